"""A small recording with values that tests know, and a run of events without an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.session.demo.live import LiveSnapshot, MemoryByDepth
from ptychoui.session.demo.recording import Recording
from ptychoui.session.worker import MakeEvents
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Preparing, Started, StepDone, Validated

LEDS, ROWS, SIDE, STEPS = 9, 6, 16, 12
DEPTHS = (20, 30, *range(40, 401, 40))


def recording(**facts: Any) -> Recording:
    rng = np.random.default_rng(0)
    at = np.arange(3) - 1
    na = 0.1 * np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    order = np.argsort(np.hypot(*na.T), kind="stable")
    stages = 5
    told = {
        "pixel_um": 0.6,
        "frame_pixel_um": 1.2,
        "objective_na": 0.12,
        "unrolls": 20,
        "built_errors": [0.9, 0.5, 0.125],
        "contenders": [
            {"name": "singles", "title": "single LEDs", "error": 0.5, "own_error": 0.5, "slides": 4, "frames": 6},
            {"name": "half_circles", "title": "half circles", "error": 0.4, "own_error": 0.4, "slides": 4, "frames": 6},
            {"name": "learned", "title": "learned patterns", "error": 0.25, "own_error": 0.2, "slides": 4, "frames": 6},
        ],
        "verdict": {
            "sentence": "learned from dense random patterns: better than half circles",
            "recommended": "learned",
            "examples": 4,
            "comparisons": [
                {
                    "name": "hybrid",
                    "title": "half circles with a partition of the dark field",
                    "judge": judge,
                    "error": 0.4,
                    "learned": 0.25,
                    "gain": 0.375,
                    "low": 0.2,
                    "high": 0.5,
                }
                for judge in ("its network", "an independent solver")
            ],
        },
        "bits": 4096,
        "bits_different": 0,
        **facts,
    }

    def phases(count: int) -> Any:
        return rng.uniform(-0.5, 0.5, (count, SIDE, SIDE)).astype(np.float32)

    forward = phases(stages)
    return Recording(
        led_na=na[order].astype(np.float32),
        led_numbers=order + 100,
        frames=rng.integers(0, 255, (LEDS, 8, 8), dtype=np.uint8),
        frame_peaks=np.linspace(40_000, 400, LEDS, dtype=np.float32),
        coded_levels=rng.uniform(0, 1, (ROWS, LEDS)).astype(np.float32),
        coded_frames=rng.integers(0, 255, (ROWS, 8, 8), dtype=np.uint8),
        coded_peaks=np.full(ROWS, 4e4, np.float32),
        built_counts=np.array([1, 5, 9]),
        built_phase=phases(3),
        steps=np.array([0, 1, 2, 4, 8, 12]),
        levels=rng.uniform(0, 1, (6, ROWS, LEDS)).astype(np.float32),
        phase=phases(6),
        losses=np.geomspace(1, 0.1, STEPS).astype(np.float32),
        score_steps=np.array([0, 6, 12]),
        scores=np.array([1.5, 0.75, 0.25], np.float32),
        true_phase=phases(1)[0],
        depths=np.array(DEPTHS),
        predicted=np.array([1_000_000 * depth for depth in DEPTHS]),
        measured=np.array([3_000_000 + depth for depth in DEPTHS]),
        undone_phase=np.concatenate([forward, forward[-2::-1]]),
        contender_phase=phases(3),
        facts=told,
    )


def snapshot(step: int) -> PatternSnapshot:
    """The level of LED number n is n / 1000, in the order of numbers."""
    levels = np.tile(np.arange(LEDS, dtype=np.float32) / 1000, (ROWS, 1))
    phase = np.full((SIDE, SIDE), step / 100, np.float32)
    return PatternSnapshot(
        step=step,
        levels=levels,
        exposures=np.ones(ROWS, np.float32),
        amplitude=phase,
        phase_rad=phase,
        true_amplitude=phase,
        true_phase_rad=phase,
        pixel_size_um=0.6,
    )


def started(steps: int = 5) -> Started:
    return Started(
        step=0, steps=steps, device="cpu", strategy="reversible", predicted_bytes={}, summary="", warnings=()
    )


def done(step: int) -> StepDone:
    return StepDone(
        step=step,
        loss=1 / step,
        seconds=0.1,
        memory_bytes=7_000_000,
        certificate="exact: 20 unrolls undone bit for bit",
        seconds_left=1.0,
    )


def events(steps: int = 5) -> list[Any]:
    """A run as the worker tells it, without its end."""
    return list(told_by_a_run(steps))


def told_by_a_run(steps: int) -> Iterator[Any]:
    yield Preparing(step=0, text="loading the engine")
    yield Preparing(step=0, text="simulating what the microscope sees")
    predicted = tuple(2_000_000 * depth for depth in DEPTHS)
    yield MemoryByDepth(step=0, depths=DEPTHS, predicted=predicted, free=8 * 10**9)
    yield started(steps)
    yield LiveSnapshot(step=0, picture=snapshot(0))
    yield Validated(step=0, loss=1.0, scores={"complex_error": 1.25})
    for step in range(1, steps + 1):
        yield done(step)
        yield LiveSnapshot(step=step, picture=snapshot(step))


def run_of(
    steps: int = 5, wait: Callable[[RunControl], None] = lambda control: control.checkpoint(), fails: str = ""
) -> Callable[[Path, tuple[int, ...]], MakeEvents]:
    """What makes a run that tells `events`; it looks at its control before each, and may fail in the end."""

    def make(_folder: Path, _depths: tuple[int, ...]) -> MakeEvents:
        def told(control: RunControl, _wanted: Callable[[], bool]) -> Iterator[Any]:
            from ptychoui.errors import RunError

            for event in told_by_a_run(steps):
                wait(control)
                yield event
            if fails:
                raise RunError(fails, "try again")
            yield Finished(step=steps, seconds=1.0)

        return told

    return make
