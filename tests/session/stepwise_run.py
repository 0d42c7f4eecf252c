"""Runs without torch: iterators of events whose every step a test allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ptychoui.errors import StopRequested
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Started, StepDone, Stopped, Validated


def started(steps: int = 5) -> Started:
    return Started(
        step=0,
        steps=steps,
        device="cpu",
        strategy="reversible",
        predicted_bytes={"reversible": 1_000_000, "store_all": 9_000_000},
        summary="9 LEDs lit per pattern",
        warnings=(),
    )


def step_done(step: int) -> StepDone:
    return StepDone(
        step=step, loss=1.0 / step, seconds=0.1, memory_bytes=1_100_000, certificate="exact", seconds_left=3.0
    )


def validated(step: int) -> Validated:
    return Validated(step=step, loss=0.5, scores={"complex_error": 0.5, "amplitude_error": 0.1, "phase_error_rad": 0.2})


def snapshot(step: int, rows: int = 1, leds: int = 4) -> PatternSnapshot:
    image = np.full((6, 8), float(step), dtype=np.float32)
    return PatternSnapshot(
        step=step,
        levels=np.zeros((rows, leds), dtype=np.float32),
        exposures=np.ones(rows, dtype=np.float32),
        amplitude=image,
        phase_rad=image,
        true_amplitude=image,
        true_phase_rad=image,
        pixel_size_um=0.6,
    )


class StepwiseRun:
    """A run that does one step for every `allow`; looks at its control as a trainer does."""

    def __init__(self, steps: int = 5) -> None:
        self.steps = steps
        self.reached = [threading.Event() for _ in range(steps + 1)]
        self._permits = threading.Semaphore(0)
        self._open = False

    def allow(self, count: int = 1) -> None:
        self._permits.release(count)

    def allow_all(self) -> None:
        self._open = True
        self._permits.release(self.steps + 1)

    def __call__(self, control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        step = 0
        try:
            yield started(self.steps)
            self.reached[0].set()
            for step in range(1, self.steps + 1):
                # Polls both, as a real step looks at its control between layers.
                while not self._permits.acquire(timeout=0.005):
                    control.checkpoint()
                control.checkpoint()
                if want_images():
                    yield snapshot(step)
                yield step_done(step)
                self.reached[step].set()
            yield Finished(step=step, seconds=1.0)
        except StopRequested:
            yield Stopped(step=step)
