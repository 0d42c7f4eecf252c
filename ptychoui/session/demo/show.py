"""What the screen of the demonstration shows: a recording until the run moves, then the run. No Qt, no torch.

Every value says where it comes from. Nothing is made up: without a recording and without a run there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.session.demo.live import LiveSnapshot, MemoryByDepth
from ptychoui.session.demo.recording import Recording
from ptychoui.training.events import Failed, Finished, Preparing, Saved, Started, StepDone, Stopped, Validated
from ptychoui.training.verdict import LEARNED
from ptychoui.words import counted

RECORDED_STEPS_A_SECOND = 4.0
CAUGHT_UP_STEPS_A_SECOND = 8.0
"""Live steps that were done before anybody looked are shown so fast, until the newest is reached."""

FIRST_STEPS = 2
"""Live steps that have to be there before the recording gives way: so that what is shown moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """The learning chapter at one moment.

    Attributes
    ----------
    live
        Whether it is this machine's run.
    label
        Where it comes from, in words.
    step, steps
        Of the run.
    levels
        (M, LED), in the order of the recording's LEDs.
    phase
        (N, N) of the held-out slide, rad.
    losses
        (step,) until now.
    error
        Complex error of held-out slides, and the step it was measured at; None before there is one.
    note
        What is being done meanwhile, or why the run ended.
    """

    live: bool
    label: str
    step: int
    steps: int
    levels: NDArray[np.float32]
    phase: NDArray[np.float32]
    losses: NDArray[np.float64]
    error: tuple[float, int] | None
    note: str = ""


class Show:
    """Takes what the run tells, and says what is to be seen.

    Parameters
    ----------
    recording
        Of an earlier run.
    doing
        What the run is doing and for how many seconds, as `Worker.doing` has it.
    """

    def __init__(self, recording: Recording, doing: Callable[[], tuple[str, float]] = lambda: ("", 0.0)) -> None:
        self.recording = recording
        self._doing = doing
        self._order: NDArray[np.int64] | None = None
        self.begin()

    def begin(self) -> None:
        """A new run: nothing is known of it yet."""
        self.snapshots: list[Any] = []
        self.losses: list[float] = []
        self.scores: list[tuple[int, float]] = []
        self.started: Started | None = None
        self.memory: MemoryByDepth | None = None
        self.measured_bytes = 0
        self.certificate = ""
        self.certified = 0
        self.end: Finished | Stopped | Failed | None = None
        self.saved = False
        self.preparing: list[str] = []
        self._shown_from: float | None = None

    def take(self, event: object) -> None:
        """Note an event of the run."""
        if isinstance(event, Preparing):
            self.preparing.append(event.text)
        elif isinstance(event, Started):
            self.started = event
        elif isinstance(event, MemoryByDepth):
            self.memory = event
        elif isinstance(event, LiveSnapshot):
            self.snapshots.append(event.picture)
        elif isinstance(event, StepDone):
            self.losses.append(event.loss)
            self.measured_bytes = event.memory_bytes or self.measured_bytes
            self.certificate = event.certificate
            self.certified += bool(event.certificate)
        elif isinstance(event, Validated):
            self.scores.append((event.step, next(iter(event.scores.values()))))
        elif isinstance(event, Saved):
            self.saved = True
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event

    # Where it comes from ---------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether the run has steps to show."""
        return len(self.snapshots) > FIRST_STEPS and bool(self.losses)

    @property
    def step(self) -> int:
        """Steps of the live run."""
        return len(self.losses)

    @property
    def steps(self) -> int:
        """Steps that the live run will have."""
        return self.recording.last_step if self.started is None else self.started.steps

    @property
    def trouble(self) -> str:
        """Why there is no run any more, in a sentence; empty while all is well."""
        if not isinstance(self.end, Failed):
            return ""
        return f"The live run ended: {self.end.message}. The recording goes on."

    @property
    def status(self) -> str:
        """What the run is doing, for the corner of the screen."""
        if isinstance(self.end, Failed):
            return self.trouble
        if isinstance(self.end, Finished):
            return f"Live run finished: {counted(self.step, 'step')} on this machine"
        if isinstance(self.end, Stopped):
            return f"Live run stopped after {counted(self.step, 'step')}"
        if self.losses:
            return f"Live on this machine: step {self.step} of {self.steps}"
        return self.preparation

    @property
    def preparation(self) -> str:
        """The step of the preparation with its count and its seconds."""
        doing, seconds = self._doing()
        doing = doing or (self.preparing[-1] if self.preparing else "starting")
        number = min(len(self.preparing), 3) or 1
        return f"Preparing the live run, {number} of 3: {doing}, {int(seconds)} s"

    # Chapters --------------------------------------------------------------------------------------------

    def enter_learning(self) -> None:
        """The learning chapter begins: live steps are shown from the first one."""
        self._shown_from = None

    def learning(self, at: float) -> Learning:
        """The learning chapter, ``at`` seconds after it began."""
        return self._live_learning(at) if self.live and not self.trouble else self._recorded_learning(at)

    def _recorded_learning(self, at: float) -> Learning:
        recording = self.recording
        step = min(int(at * RECORDED_STEPS_A_SECOND), recording.last_step)
        place = int(np.searchsorted(recording.steps, step, side="right")) - 1
        scored = int(np.searchsorted(recording.score_steps, step, side="right")) - 1
        return Learning(
            live=False,
            label=f"Recording of an earlier run, step {step} of {recording.last_step}",
            step=step,
            steps=recording.last_step,
            levels=recording.levels[place],
            phase=recording.phase[place],
            losses=np.asarray(recording.losses[:step], np.float64),
            error=(float(recording.scores[scored]), int(recording.score_steps[scored])) if scored >= 0 else None,
            note=self.trouble or ("" if self.end is not None else self.preparation),
        )

    def _live_learning(self, at: float) -> Learning:
        if self._shown_from is None:
            self._shown_from = at
        newest = len(self.snapshots) - 1
        place = min(int((at - self._shown_from) * CAUGHT_UP_STEPS_A_SECOND), newest)
        snapshot = self.snapshots[place]
        step = int(snapshot.step)
        behind = place < newest
        known = [score for score in self.scores if score[0] <= step]
        label = f"Live on this machine, step {step} of {self.steps}"
        if behind:
            label += f" (done before; now at {self.step})"
        return Learning(
            live=True,
            label=label,
            step=step,
            steps=self.steps,
            levels=self.ordered(snapshot.levels),
            phase=snapshot.phase_rad,
            losses=np.array(self.losses[:step]),
            error=(known[-1][1], known[-1][0]) if known else None,
            note="",
        )

    def ordered(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Levels (M, LED) of the run in the order of the recording, which is from the middle outwards."""
        if self._order is None:
            self._order = np.argsort(np.argsort(self.recording.led_numbers))
        return levels[:, self._order]

    def memory_at(self, unrolls: int) -> MemoryShown:
        """Memory of ours and of back-propagation at a number of unrolls."""
        recording = self.recording
        place = int(np.argmin(np.abs(recording.depths - unrolls)))
        depth = int(recording.depths[place])
        own_depth = int(recording.facts["unrolls"])
        here = self.measured_bytes if depth == own_depth else 0
        told = {} if self.memory is None else dict(zip(self.memory.depths, self.memory.predicted, strict=True))
        live = depth in told
        known = dict(zip(recording.depths.tolist(), recording.predicted.tolist(), strict=True)) | told
        return MemoryShown(
            unrolls=depth,
            ours=here or int(recording.measured[place]),
            ours_from="measured here, in the live run" if here else "measured, in the recorded run",
            other=known[depth],
            other_from="predicted here, from one unroll" if live else "predicted in the recorded run, from one unroll",
            most=max(known.values()),
            free=self.memory.free if self.memory is not None else 0,
        )

    def undone(self) -> tuple[int, str]:
        """Unrolls that were undone bit for bit, and in which run, for people."""
        unrolls = int(self.recording.facts["unrolls"])
        if self.certified:
            return self.certified * unrolls, f"in the live run: {counted(self.certified, 'step')} of {unrolls} unrolls"
        steps = self.recording.last_step
        return steps * unrolls, f"in the recorded run: {counted(steps, 'step')} of {unrolls} unrolls"

    @property
    def recommendation(self) -> tuple[str, str]:
        """What to use, by the program's judges, in a sentence, and how each of them came to it."""
        verdict = self.recording.facts["verdict"]
        rows = verdict["comparisons"]
        known = min({row["name"] for row in rows}, key=lambda name: _mean_error(rows, name))
        against = [row for row in rows if row["name"] == known]
        title = against[0]["title"]
        if verdict["recommended"] == LEARNED:
            said = f"Use the learned patterns: {_less(against)} error than {title}, the best of what is known."
        else:
            said = f"Use {title} here: the learned patterns are not better for certain."
        parts = [f"{_less([row])} error by {row['judge']}{_interval(row)}" for row in against]
        evidence = f"Learned against {title}: {'; '.join(parts)}"
        return said, f"{evidence}; {counted(int(verdict['examples']), 'held-out slide')}, equal frames and light."


def _mean_error(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([row["error"] for row in rows if row["name"] == name]))


def _less(rows: Sequence[Mapping[str, Any]]) -> str:
    """Such as "14 % less", or "14 to 38 % less" where judges differ."""
    shares = sorted({round(100 * row["gain"]) for row in rows})
    if shares[0] < 0 <= shares[-1] and len(shares) > 1:
        return f"{-shares[0]} % more to {shares[-1]} % less"
    word = "less" if shares[0] >= 0 else "more"
    sizes = sorted({abs(share) for share in shares})
    return f"{' to '.join(str(size) for size in sizes)} % {word}"


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["low"], row["high"]
    if low is None or high is None or not np.isfinite([low, high]).all():
        return ""
    sign = 1 if row["gain"] >= 0 else -1
    first, last = sorted((sign * 100 * low, sign * 100 * high))
    return f" (95 % interval {first:.0f} to {last:.0f} %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryShown:
    """Peak bytes of one learning step at so many unrolls, and where each figure comes from.

    Attributes
    ----------
    ours, other
        Of the reversible strategy and of back-propagation.
    most
        Of back-propagation at the largest number of unrolls: the end of the scale.
    free
        Memory that is free here; 0 where nobody looked.
    """

    unrolls: int
    ours: int
    ours_from: str
    other: int
    other_from: str
    most: int
    free: int
