"""What a comparison of designs tells while it goes on, and what is made of it. No torch: the window asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptychoui.bench.design.entrants import ALL_WHOLE, Judged, Run
from ptychoui.bench.design.summary import paired, subject_of, summarise
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER, TITLES
from ptychoui.training.events import Begun, Event, Failed, Finished, Preparing, Stopped
from ptychoui.training.verdict import LEARNED, Comparison, compared
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonBegun(Begun):
    """The data are read: so many designs are judged, over all splits and numbers of frames."""

    designs: int
    facts: Mapping[str, Any]
    seeds: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignStarted(Event):
    """A design is being judged; ``step`` were before it."""

    frames: int
    seed: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignJudged(Event):
    """A design was judged; pictures come with the first split alone."""

    judged: Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDone(Event):
    """All designs of a number of frames and a split are judged."""

    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKept(Event):
    """What was found could not be written: a sentence."""

    message: str


TABLE_HEADER = (
    "Design", "Frames", "Exposure", "By its network", "Gain, network", "By the solver", "Gain, solver", "Resolves",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A line of the table that is shown.

    Attributes
    ----------
    cells
        Texts under `TABLE_HEADER`.
    signs
        Column -> 1 for a gain that is certain, -1 for such a loss.
    values
        What files get of it: plain values by their names.
    """

    name: str
    cells: tuple[str, ...]
    signs: Mapping[int, int]
    recommended: bool
    values: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class ComparisonHistory:
    """What a comparison has told; filled by `take`."""

    begun: ComparisonBegun | None = None
    preparing: str = ""
    doing: DesignStarted | None = None
    judged: dict[tuple[int, int, str], Judged] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    not_kept: str = ""
    end: Finished | Stopped | Failed | None = None
    step: int = 0
    _made: tuple[int, dict[str, Any]] | None = field(default=None, repr=False)

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, Preparing):
            self.preparing = event.text
        elif isinstance(event, ComparisonBegun):
            self.begun, self.preparing = event, ""
        elif isinstance(event, DesignStarted):
            self.doing = event
        elif isinstance(event, DesignJudged):
            one = event.judged
            self.judged[one.frames, one.seed, one.name] = one
            self.step = event.step
        elif isinstance(event, SplitDone):
            self.runs.append(event.run)
        elif isinstance(event, NotKept):
            self.not_kept = event.message
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end, self.preparing, self.doing = event, "", None

    @property
    def result(self) -> dict[str, Any] | None:
        """What the command would write of the splits that are done; None before the first."""
        if not self.runs or self.begun is None:
            return None
        if self._made is None or self._made[0] != len(self.runs):
            self._made = len(self.runs), summarise(self.runs) | dict(self.begun.facts)
        return self._made[1]

    @property
    def comparable(self) -> list[Run]:
        """Splits to show: those that are done, or what there is of the first."""
        return list(self.runs) if self.runs else self._first_split()

    def _first_split(self) -> list[Run]:
        """The first split as far as it is judged, of the first number of frames."""
        if not self.judged:
            return []
        frames, seed, _ = next(iter(self.judged))
        mine = [one for (f, s, _), one in self.judged.items() if (f, s) == (frames, seed)]
        return [
            Run(
                frames=frames,
                seed=seed,
                began="",
                titles={one.name: one.title for one in mine},
                errors={one.name: one.errors for one in mine},
                correlation={one.name: one.correlation for one in mine},
                frequency_per_um=mine[0].frequency_per_um,
                pixel_um=mine[0].pixel_um,
                loss=None,
                seconds=sum(one.seconds for one in mine),
            )
        ]

    def shown(self, frames: int | None = None) -> list[Judged]:
        """Designs with pictures and patterns, of the first split of a number of frames, in the order of judging."""
        found: dict[str, Judged] = {}
        for (count, _, name), one in self.judged.items():
            if (frames is None or count == frames) and name not in found:
                found[name] = one
        return list(found.values())

    def against(self, reference: str, frames: int | None = None) -> list[tuple[Judged, list[Comparison]]]:
        """Every design with how much smaller its error is than that of a reference, by each judge both have."""
        some = [one for one in self.comparable if frames is None or one.frames == frames]
        some = [one for one in some if one.frames == some[0].frames]
        rows = []
        for one in self.shown(some[0].frames if some else None):
            if some and one.name in some[0].errors:
                own = reference if reference in some[0].errors else one.name
                # What is listed is the gain over the reference, as a share of the reference's error.
                found = [
                    compared(own, some[0].titles[own], judge, paired(some, own, judge), paired(some, one.name, judge))
                    for judge in some[0].errors[one.name]
                    if judge in some[0].errors[own]
                ]
                rows.append((one, found))
        return rows

    def table(self, reference: str, frames: int | None = None) -> list[TableRow]:
        """The table with gains over a reference."""
        result = self.result
        verdicts = [] if result is None else result["verdicts"]
        best = {one["recommended"] for one in verdicts if frames is None or one["frames"] == frames}
        periods = {
            (row["frames"], row["design"]): row["resolution_um"]
            for row in ([] if result is None else result["rows"])
            if row["judge"] == SOLVER
        }
        return [
            _table_row(one, found, self.comparable, one.name == reference, one.name in best, periods)
            for one, found in self.against(reference, frames)
        ]

    def usual_reference(self) -> str:
        """The best hand-made design; else whatever there is."""
        some = self.comparable
        if not some:
            return ""
        known = [name for name in some[0].errors if name in TITLES]
        means = {name: float(np.mean([np.mean(v) for v in some[0].errors[name].values()])) for name in known}
        return min(means, key=means.__getitem__) if means else subject_of(some)

    @property
    def sentence(self) -> str:
        """What to use; empty before the first split is done."""
        result = self.result
        return "" if result is None else str(result["verdicts"][-1]["sentence"])

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes, by the mean of those that are judged; None before there is one."""
        if self.begun is None or not self.judged or self.end is not None:
            return None
        mean = float(np.mean([one.seconds for one in self.judged.values()]))
        return mean * max(0, self.begun.designs - self.step)

    @property
    def progress(self) -> str:
        """How far it is: which design of how many, and of which split."""
        begun, doing = self.begun, self.doing
        if begun is None or doing is None:
            return self.preparing
        text = f"{min(self.step + 1, begun.designs)} of {counted(begun.designs, 'design')}"
        return text if begun.seeds == 1 else f"{text}, split {doing.seed + 1} of {begun.seeds}"


def _table_row(
    one: Judged,
    found: list[Comparison],
    runs: list[Run],
    is_reference: bool,
    recommended: bool,
    periods: Mapping[tuple[int, str], float | None],
) -> TableRow:
    exposure = float(one.exposures.sum())
    cells = [one.title, str(len(one.levels)), f"{exposure:.4g}"]
    values: dict[str, Any] = {"design": one.name, "title": one.title, "frames": len(one.levels), "exposure": exposure}
    signs: dict[int, int] = {}
    mine = [run for run in runs if run.frames == one.frames]
    for judge, key in ((NETWORK, "network"), (SOLVER, "solver")):
        errors = [value for run in mine for value in run.errors[one.name].get(judge, ())]
        row = next((each for each in found if each.judge == judge), None)
        error = float(np.mean(errors)) if errors else None
        gain = row if row is not None and not is_reference else None
        cells += ["–" if error is None else f"{error:.3f}", "reference" if is_reference else _gain_text(gain)]
        if gain is not None and np.isfinite(gain.low):
            signs[len(cells) - 1] = int(gain.low > 0) - int(gain.high < 0)
        values |= {
            f"error_{key}": error,
            f"gain_{key}": None if gain is None else gain.gain,
            f"low_{key}": None if gain is None else gain.low,
            f"high_{key}": None if gain is None else gain.high,
        }
    period = periods.get((one.frames, one.name))
    cells.append("–" if period is None else f"{period:.2f} µm")
    values["resolution_um"] = period
    return TableRow(name=one.name, cells=tuple(cells), signs=signs, recommended=recommended, values=values)


def _gain_text(row: Comparison | None) -> str:
    """Such as "+14 % (9 to 19)"."""
    if row is None or not np.isfinite(row.gain):
        return "–"
    interval = f" ({100 * row.low:+.0f} to {100 * row.high:+.0f})" if np.isfinite(row.low) else ""
    return f"{100 * row.gain:+.0f} %{interval}"


def equal_to_all(history: ComparisonHistory) -> str:
    """From how many frames on a design is as good as all LEDs one by one, in a sentence; empty where nobody knows."""
    result = history.result
    if result is None or not any(row["design"] == ALL_WHOLE for row in result["rows"]):
        return ""
    frames, rows = result["equal_to_full_stack_at"], result["rows"]
    if frames is None:
        most = max(row["frames"] for row in rows)
        return f"Up to {counted(most, 'frame')} no design is sure to come within 10 % of a frame for each LED."
    subject = next(row["subject"] for row in rows if row["frames"] == frames)
    title = next(row["title"] for row in rows if row["design"] == subject and row["frames"] == frames)
    name = "what is learned" if subject == LEARNED else title
    return f"From {counted(frames, 'frame')} on as good as a frame for each LED, within 10 %: {name}."
