"""Daily work for the worker: sets of coded images become phase as they arrive, and a list of what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError, StopRequested
from ptychoui.session.runs import leave_a_core
from ptychoui.session.worker import MakeEvents
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped

if TYPE_CHECKING:
    from ptychoui.workflows.watched_sets import SetDone, Told

MOST_LINES = 2000
"""So many sets and sentences are listed; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyOrder:
    """What a person asks for, in texts.

    Attributes
    ----------
    design
        File of patterns, or folder of a run, or the patterns themselves.
    source
        A file, a folder of one recording, or, with ``watch``, the folder in which sets arrive.
    results
        Folder for results.
    passes
        Most passes for each set.
    """

    design: str | PatternSet
    source: str
    results: str
    watch: bool
    device: str = "cpu"
    passes: int = 600

    def check(self) -> None:
        """Refuse what is left out.

        Raises
        ------
        SettingsError
            That names it.
        """
        design = self.design if isinstance(self.design, str) else self.design.name or "patterns"
        for text, what in ((design, "design"), (self.source, "images"), (self.results, "folder for results")):
            if not text.strip():
                raise SettingsError(f"there is no {what} yet", "choose one")


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBegun(Begun):
    """The design is read."""

    design: str
    patterns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyTold(Event):
    """Something of the work; ``step`` counts sets that are done."""

    told: Told


@dataclass(frozen=True, slots=True)
class DailyLine:
    """A line of the list: a set, and its result or why there is none."""

    name: str
    done: SetDone | None = None
    why_not: str = ""


class DailyHistory:
    """What the work has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: DailyBegun | None = None
        self.lines: list[DailyLine] = []
        self.now = ""
        self.share = 0.0
        self.sets = 0
        self.dropped = 0
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        from ptychoui.workflows.frame_sets import SetRefused, Waiting
        from ptychoui.workflows.watched_sets import SetDone, SetPass, SetStarted

        if isinstance(event, DailyBegun):
            self.begun = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end, self.now, self.share = event, "", 0.0
        elif isinstance(event, DailyTold):
            told = event.told
            self.sets = event.step
            if isinstance(told, SetStarted):
                self.now, self.share = f"Reconstructing {told.name}", 0.0
            elif isinstance(told, SetPass):
                self.share = told.number / told.passes
            elif isinstance(told, Waiting):
                self.now, self.share = f"Waiting for {told.text}", 0.0
            elif isinstance(told, SetDone):
                self._add(DailyLine(told.name, done=told))
            elif isinstance(told, SetRefused):
                self._add(DailyLine(told.name, why_not=f"{told.message}: {told.hint}"))

    def _add(self, line: DailyLine) -> None:
        """Pictures are kept of the newest set alone: the others are in their files."""
        if line.done is not None:
            for place, earlier in enumerate(self.lines):
                if earlier.done is not None and earlier.done.phase_rad is not None:
                    self.lines[place] = DailyLine(earlier.name, done=without_pictures(earlier.done))
        self.lines.append(line)
        if len(self.lines) > MOST_LINES:
            del self.lines[0]
            self.dropped += 1


def without_pictures(done: SetDone) -> SetDone:
    """A set's result without its pictures."""
    from dataclasses import replace

    return replace(done, phase_rad=None, amplitude=None)


def phase_of(done: SetDone) -> tuple[Any, float]:
    """Phase in rad (row, column) and pixel in um of a set, from its file where it is not in memory.

    Raises
    ------
    PtychouiError
        If the file is gone or cannot be read.
    """
    if done.phase_rad is not None:
        return done.phase_rad, done.pixel_um
    from ptychoui.data.results import load_reconstruction
    from ptychoui.optics.quality.validation import unwrapped_phase

    stored = load_reconstruction(done.files[0])
    return unwrapped_phase(stored.object), stored.object_pixel_um


def daily_run(order: DailyOrder) -> MakeEvents:
    """Return what a worker needs to do daily work until it is stopped, or until a single recording is done."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.bench.design.given import patterns_in
        from ptychoui.training.devices import pick_device
        from ptychoui.workflows.watched_sets import DailyPlan, SetDone, daily_work

        began, sets = time.monotonic(), 0
        order.check()
        patterns = order.design if isinstance(order.design, PatternSet) else patterns_in(order.design)
        yield DailyBegun(step=0, design=patterns.name, patterns=len(patterns.levels))
        plan = DailyPlan(
            patterns=patterns,
            source=Path(order.source),
            results=Path(order.results),
            follow=order.watch,
            device=str(pick_device(order.device)),
            passes=order.passes,
        )
        try:
            for told in daily_work(plan, control.checkpoint):
                sets += isinstance(told, SetDone)
                yield DailyTold(step=sets, told=told)
                control.checkpoint()
        except StopRequested:
            yield Stopped(step=sets)
            return
        yield Finished(step=sets, seconds=time.monotonic() - began)

    return events
