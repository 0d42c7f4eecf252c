"""Designs side by side, as `ptychoui bench design` compares them, for the window. Torch is imported inside.

The very generator of the command is run, so that the figures are the command's to the last digit, on as many threads.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ptychoui.bench.design.entrants import (
    EVERYTHING,
    LEARNED_BEFORE,
    PAINTED,
    Effort,
    Entrants,
    Judged,
    LearnedDone,
    Opened,
    Run,
    Starting,
    given_name,
)
from ptychoui.data.files import json_text
from ptychoui.design.patterns import PatternSet, levels_on
from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.session.comparison_told import (
    ComparisonBegun,
    ComparisonHistory,
    DesignJudged,
    DesignStarted,
    NotKept,
    SplitDone,
)
from ptychoui.session.runs import LOADING, READING, leave_a_core
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.titles import TITLES
from ptychoui.training.control import RunControl
from ptychoui.training.events import Event, Finished, Preparing
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.session.document import Document

LOG = logging.getLogger(__name__)

REMEDY = "compare fewer objects at once, or cut smaller tiles"

QUICK = Effort(draws=5, judged=4)
"""A first look, in a few minutes."""

Kind = Literal["learned", "painted", "given", "known", "ceilings"]
CEILINGS_TITLE = "all LEDs one by one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A design that can be ticked.

    Attributes
    ----------
    key
        Name of a hand-made design, or any that no other has.
    patterns
        Of those that are no hand-made ones.
    source
        Where they come from: a path, or nothing.
    """

    key: str
    title: str
    kind: Kind
    patterns: PatternSet | None = None
    source: str = ""

    @property
    def ours(self) -> bool:
        """Whether somebody brought it, and may take it away."""
        return self.kind == "given"

    def called(self, title: str) -> Candidate:
        """The same under another title."""
        patterns = None if self.patterns is None else replace(self.patterns, name=title)
        return replace(self, title=title, patterns=patterns)


CEILINGS = Candidate(key="ceilings", title=CEILINGS_TITLE, kind="ceilings")


def candidates(document: Document) -> tuple[Candidate, ...]:
    """What the open document offers: what was learned, what was painted, hand-made designs, all LEDs one by one."""
    if document.fpm is None or document.design() is None:
        return ()
    found, result = [], document.history.result
    learned = result if isinstance(result, PatternSet) else document.patterns() if document.shows_run else None
    if learned is not None:
        learned = replace(learned, name=LEARNED_BEFORE)
        found.append(Candidate(key="learned", title=learned.name, kind="learned", patterns=learned))
    if document.changed_design[0] is not None and not document.shows_run:
        painted = replace(document.patterns(), name=PAINTED)
        found.append(Candidate(key="painted", title=painted.name, kind="painted", patterns=painted))
    found += [Candidate(key=name, title=title, kind="known") for name, title in TITLES.items()]
    return (*found, CEILINGS)


def candidate_from(path: str) -> Candidate:
    """Patterns of a file or of a run folder. A run's data are read again: this belongs in a job.

    Raises
    ------
    PtychouiError
        If there are none.
    """
    from ptychoui.bench.design.given import patterns_in

    found = patterns_in(path)
    key = f"given {hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:12]}"
    name = found.name if Path(path).is_dir() else Path(path).stem
    return Candidate(key=key, title=name, kind="given", patterns=replace(found, name=name), source=str(path))


def refusal(candidate: Candidate, document: Document) -> str:
    """Why a design cannot be compared on the open document, in a sentence; empty where it can."""
    leds, experiment = document.leds(), document.fpm
    if candidate.patterns is None or leds is None or experiment is None:
        return ""
    try:
        levels_on(candidate.patterns, leds.numbers, experiment.design.rows)
    except PtychouiError as error:
        return error.message
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignPlan:
    """What is compared.

    Attributes
    ----------
    frames
        Numbers of frames; empty for the experiment's.
    seeds
        Splits of the objects, 1 to 100.

    Raises
    ------
    SettingsError
        If a value is refused.
    """

    entrants: Entrants = EVERYTHING
    frames: tuple[int, ...] = ()
    seeds: int = 1
    effort: Effort = QUICK

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 100:
            raise SettingsError(f"{self.seeds} splits are not compared", "choose 1 to 100")
        if any(not 1 <= count <= 1000 for count in self.frames):
            raise SettingsError("every number of frames is 1 to 1000", "write numbers such as 2 4 8 12")

    @classmethod
    def of(cls, chosen: Iterable[Candidate], learn: bool = False, **values: Any) -> DesignPlan:
        """The plan for some designs.

        Raises
        ------
        SettingsError
            If there is nothing to compare.
        """
        chosen = tuple(chosen)
        entrants = Entrants(
            learn=learn,
            known=tuple(one.key for one in chosen if one.kind == "known"),
            given=tuple(one.patterns for one in chosen if one.patterns is not None),
            ceilings=any(one.kind == "ceilings" for one in chosen),
        )
        return cls(entrants=entrants, **values)


Keep = Callable[[DesignPlan, ComparisonHistory], object]


def comparison_run(experiment: FpmExperiment, plan: DesignPlan, keep: Keep | None = None) -> MakeEvents:
    """Return what a worker needs to compare designs on an experiment.

    ``keep`` writes what was found after every split.
    """

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        control.now(LOADING)
        leave_a_core()
        import scipy.stats  # noqa: F401  # here, so that the window's thread need not wait for it

        from ptychoui.bench.design.comparison import runs

        yield Preparing(step=0, text=READING)
        told = runs(experiment, plan.frames, range(plan.seeds), plan.effort, plan.entrants, control)
        history, counts = ComparisonHistory(), plan.frames or (experiment.design.rows,)
        total = plan.seeds * sum(len(plan.entrants.names(count)) for count in counts)
        sweep, step, seconds = len(counts) > 1, 0, 0.0
        for one in told:
            event: Event | None = None
            if isinstance(one, Opened):
                problem = _problem(experiment, plan, counts)
                event = ComparisonBegun(step=0, designs=total, facts=one.facts, seeds=plan.seeds, problem=problem)
            elif isinstance(one, Starting):
                title = one.title if len(counts) == 1 else f"{one.title} with {counted(one.frames, 'frame')}"
                event = DesignStarted(step=step, frames=one.frames, seed=one.seed, title=title)
            elif isinstance(one, Judged):
                step += 1
                seconds += one.seconds
                pictured = one.seed == 0 and not sweep
                event = DesignJudged(step=step, judged=one if pictured else without_pictures(one))
            elif isinstance(one, Run):
                event = SplitDone(step=step, run=one)
            elif isinstance(one, LearnedDone):
                continue
            history.take(event)
            yield event
            if isinstance(one, Run) and keep is not None:
                try:
                    keep(plan, history)
                except (PtychouiError, OSError) as error:
                    LOG.warning("the comparison was not kept: %s", error)
                    yield NotKept(step=step, message=f"the comparison is not kept for the next time: {error}")
        yield Finished(step=step, seconds=seconds)

    return events


def without_pictures(judged: Judged) -> Judged:
    """What was found of a design without its reconstructions."""
    empty = np.empty((0, 0, 0), np.complex64)
    return replace(judged, objects=empty, truth=empty)


def _problem(experiment: FpmExperiment, plan: DesignPlan, counts: tuple[int, ...]) -> str:
    """What is compared, in a line."""
    asked = " or ".join((", ".join(map(str, counts[:-1])), str(counts[-1])) if len(counts) > 1 else map(str, counts))
    total = "" if len(counts) > 1 else f", total exposure {_exposure(experiment):g} frames"
    return (
        f"{experiment.name}: {asked} {'frame' if counts == (1,) else 'frames'}{total}, at most "
        f"{counted(plan.effort.judged, 'held-out object')}, {counted(plan.seeds, 'split')}"
    )


def _exposure(experiment: FpmExperiment) -> float:
    design = experiment.design
    return float(design.total_exposure if design.total_exposure is not None else design.rows)


def key_of(document: Document) -> str:
    """What tells one experiment with its patterns from another."""
    told = hashlib.sha256(json_text(document.to_train().model_dump(mode="json")).encode())
    for values in document.changed_design:
        told.update(b"-" if values is None else np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return told.hexdigest()[:16]


def chosen_names(chosen: Iterable[Candidate]) -> dict[str, str]:
    """Name in the result of each design that is ticked, by its key."""
    names, place = {}, 0
    for one in chosen:
        if one.patterns is None:
            names[one.key] = one.key
        else:
            names[one.key] = given_name(place)
            place += 1
    return names
