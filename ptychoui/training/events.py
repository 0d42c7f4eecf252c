"""What a run tells the world: immutable values, no torch, safe to hand to another thread or process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.training.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events; ``step`` counts optimiser steps done."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing(Event):
    """What is being done before a run has begun, in a few words."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(Event):
    """Everything is set up; from now on the work itself is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Event):
    """Something to look at: only the newest matters, older ones may be lost."""


def picture(array: NDArray[Any]) -> NDArray[np.float32]:
    """A frozen, contiguous float32 copy of equal shape: a view would tear when the buffer is used again."""
    copy = np.array(array, dtype=np.float32, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Begun):
    """The run is set up: sizes, predictions and what can be said before the first step.

    Attributes
    ----------
    predicted_bytes
        Predicted peak of one step for each strategy, in bytes.
    summary
        One line about what is learned, before the first step.
    warnings, notes
        What to change, and what was assumed: sentences.
    """

    steps: int
    device: str
    strategy: str
    predicted_bytes: Mapping[str, int]
    summary: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    run_folder: str | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyChanged(Event):
    """Memory ran out: the step is done again with another gradient strategy; ``reason`` is a sentence."""

    strategy: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """One optimiser step.

    Attributes
    ----------
    loss
        Mean training loss of the batch before the step.
    memory_bytes
        Measured peak of a step (by the meter on a CPU, by the allocator on CUDA); the newest figure.
    certificate
        Proof of exact reversal of this step, or its drift; empty for strategies that keep states.
    seconds_left
        Estimate from the steps so far.
    """

    loss: float
    seconds: float
    memory_bytes: int
    certificate: str
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VjpsChecked(Event):
    """Derivatives were held against differences in double precision.

    Attributes
    ----------
    deviation
        Largest relative deviation of the derivative in any input.
    method
        Strategy and variant that were checked: the run's own, unless they take too much memory in double precision.
    """

    deviation: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated(Event):
    """Scores on the held-out examples, with fixed noise.

    Attributes
    ----------
    loss
        Mean loss.
    scores
        Name of a metric -> mean over the examples; the metric that decides comes first.
    """

    loss: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Event):
    """What was learned was held against what is known: what to use, and why."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownArray:
    """One picture or curve of a snapshot.

    Attributes
    ----------
    title
        What it shows.
    values
        (row, column) of a picture, or (sample,) of a curve.
    unit, pixel_size_um
        Of the values, and of a picture's pixels; 0 where pixels have no size.
    """

    title: str
    values: NDArray[np.float32]
    unit: str = ""
    pixel_size_um: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Picture):
    """Pictures of the present state: only when somebody wants them. Kinds with views of their own derive from it."""

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        """What a view without knowledge of the kind shows, in its order."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultReady(Event):
    """What was learned as it stands at the end of a run, complete for export."""

    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(Event):
    """The run folder holds everything up to this step."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The last step was done."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """The user stopped the run; everything up to this step is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The run ended with an error; ``kind`` is the error's class name."""

    kind: str
    message: str
    hint: str = ""
    traceback_text: str = field(default="", repr=False)


TERMINAL = (Finished, Stopped, Failed)
"""Exactly one of these is the last event of a run."""
