"""``ptychoui bench poster``: one certified training step of the problem that back-propagation needs 500 GB for.

The problem is that of the poster of Kellman and others on memory-efficient learning: 293 LEDs below NA 0.64, 20
measurements, 300 unrolls, an object of 512 x 512 pixels. Its files are not public; this is a lattice of LEDs with
pitch / height = 0.086957, as in Kellman et al., IEEE Trans. Comput. Imaging 6 (2020), with an object pixel of 0.305 um,
so that every LED's light fits, and drawn cells. A step is a training step of the program: photon noise, measurements,
all unrolls, the loss, the way back through every unroll and through the measurements, and Adam.

Beside what it takes stands what others would: back-propagation through the same cropped model by autograd, and through
the published algorithm on full grids in one graph, both from one unroll more of a smaller object, by the meter, times
unrolls and pixels. Every large array of either grows with both. The poster's own figure is quoted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import floor
from typing import Any

import numpy as np
import torch

from ptychoui.bench.engine import published
from ptychoui.bench.engine.autograd import autograd_gradient
from ptychoui.bench.engine.problem import Bench
from ptychoui.bench.engine.resident import available, give_back_free_memory, reset_peak, resident_kb
from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.sizes import size_text
from ptychoui.errors import CertificateError, SettingsError
from ptychoui.optics.cells import cell_objects
from ptychoui.optics.geometry.microscope import transforms_fast
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.events import StepDone
from ptychoui.training.planning import predicted_peaks
from ptychoui.training.trainer import Trainer
from ptychoui.words import counted

LEDS, MEASUREMENTS, UNROLLS, SIZE_PX = 293, 20, 300, 512
STATED_BYTES = 500e9
"""Of back-propagation through `UNROLLS` unrolls, as the poster says."""

WAVELENGTH_UM, OBJECTIVE_NA = 0.514, 0.2
OUTER_NA = 0.6364
"""Of the outermost LEDs, nine rows and three columns off the axis."""

PADDING_PX = 8
SMALL_PX = 128
"""Object on which the memory of others is measured; that of full grids on half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a training step took.

    Attributes
    ----------
    predicted_bytes, metered_bytes
        Peak of the pass, foretold from one unroll and as metered.
    resident_bytes
        Peak of the whole process: Python, libraries, data and pass. None where the system does not tell.
    before_bytes
        Resident before the step.
    autograd_bytes, published_bytes, checkpoint_bytes
        What back-propagation through the same model, through the published algorithm, and a checkpoint at every unroll
        would hold.
    seconds
        Time of the step, in s.
    """

    unrolls: int
    predicted_bytes: int
    metered_bytes: int
    resident_bytes: int | None
    before_bytes: int | None
    autograd_bytes: int
    published_bytes: int
    checkpoint_bytes: int
    loss: float
    certificate: str
    seconds: float
    load: float


def object_pixel_um(size: int) -> float:
    """The largest object pixel that holds the light of every LED, in whole nm: 0.305 um at 512 pixels."""
    reach = (OUTER_NA + OBJECTIVE_NA) / WAVELENGTH_UM
    return floor(1000 * (size - 3) / (2 * size * reach)) / 1000


def experiment_of(unrolls: int, size: int, device: str = "auto") -> FpmExperiment:
    """The settings of one step.

    Parameters
    ----------
    size
        Edge of the object in pixels.
    """
    span = size // 2
    values: dict[str, Any] = {
        "name": "poster",
        "data": {"tile_px": span - 2 * PADDING_PX, "pad_px": PADDING_PX},
        "geometry": {
            "microscope": {
                "wavelength_um": WAVELENGTH_UM, "objective_na": OBJECTIVE_NA, "magnification": 4.0,
                "camera_pixel_um": 4 * 2 * object_pixel_um(size), "pixel": "point",
            },
            "array": {
                "kind": "lattice", "rows": 19, "columns": 19, "pitch_mm": 4.0, "height_mm": 46.0,
                "max_illumination_na": 0.64,
            },
        },
        "design": {"start": "dense_random", "bright_field_rows": 1, "dark_field_rows": MEASUREMENTS - 1},
        "network": {"unrolls": unrolls},
        "engine": {"device": device, "strategy": "reversible", "check_every": 0},
        "training": {"steps": 1, "batch": 1, "loss": "complex"},
    }  # fmt: skip
    return FpmExperiment(**values)


def task_of(unrolls: int, size: int, device: str = "auto") -> FpmTask:
    """Operators and two slides of drawn cells, one to learn from.

    Raises
    ------
    SettingsError
        If no grids of the object's size hold every LED's light.
    """
    if size % 2 or size < SMALL_PX // 2 or not transforms_fast(size // 2):
        raise SettingsError(f"--size {size}: no grid of half its pixels transforms fast", "use 128, 256, 512 or 1024")
    cells = cell_objects(object_pixel_um(size), size, 2, seed=0)
    return build_task(experiment_of(unrolls, size, device), dataset=cells)


def run(
    unrolls: Sequence[int] = (UNROLLS,),
    size: int = SIZE_PX,
    device: str = "auto",
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Take a step at every depth; the dictionary is what ``--json`` prints.

    Raises
    ------
    CertificateError
        If a step was not undone exactly.
    """
    large_arrays_apart()
    say("drawing cells and their images, and compiling where needed")
    task = task_of(2, size, device)
    # Twice: the first compiles what it uses.
    for _ in range(2):
        (small,) = (event for event in Trainer(task).steps_alone() if isinstance(event, StepDone))
    say("foretelling from one unroll")
    predicted = predicted_peaks(task, task.parameters(), unrolls)
    autograd, full_grids = others_bytes(unrolls, size)
    steps = []
    for place, depth in enumerate(unrolls):
        say(f"{depth} unrolls, about {_minutes(small.seconds / 2 * depth)}")
        deep = task_of(depth, size, device)
        before = None
        if available():
            give_back_free_memory()
            reset_peak()
            before = 1024 * resident_kb("VmRSS")
        trainer = Trainer(deep)
        (done,) = (event for event in trainer.steps_alone(metered=True) if isinstance(event, StepDone))
        step = Step(
            unrolls=depth,
            predicted_bytes=predicted["reversible"][place],
            metered_bytes=done.memory_bytes,
            resident_bytes=1024 * resident_kb("VmHWM") if available() else None,
            before_bytes=before,
            autograd_bytes=autograd[place],
            published_bytes=full_grids[place],
            checkpoint_bytes=predicted["checkpoint"][place],
            loss=done.loss,
            certificate=done.certificate,
            seconds=done.seconds,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        )
        say(f"{size_text(step.metered_bytes)}, {_minutes(step.seconds)}, {step.certificate}")
        if not step.certificate.startswith("exact"):
            raise CertificateError(f"the step of {depth} unrolls was not undone exactly", "report this device")
        steps.append(step)
        del trainer, deep
    return {
        "steps": [asdict(step) for step in steps],
        "size_px": size,
        "leds": len(task.leds),
        "measurements": len(task.mask),
        "stated_bytes": STATED_BYTES if size == SIZE_PX else None,
        "device": str(task.device),
        "threads": torch.get_num_threads(),
    }


def others_bytes(unrolls: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """What autograd would hold through the cropped model, and through the published algorithm, for every depth."""
    cropped, full = _small_peaks()
    half = SMALL_PX // 2
    return _grown(unrolls, cropped, (size / SMALL_PX) ** 2), _grown(unrolls, full, (size / half) ** 2)


def _grown(unrolls: Sequence[int], peaks: tuple[int, int], pixels: float) -> list[int]:
    """Bytes at every depth and at so many times the pixels, from those of one and of two unrolls."""
    one, two = peaks
    return [int(pixels * (one + (depth - 1) * (two - one))) for depth in unrolls]


@cache
def _small_peaks() -> tuple[tuple[int, int], tuple[int, int]]:
    """Bytes of one and of two unrolls: the cropped model at `SMALL_PX`, the published algorithm at half of it."""
    task = task_of(2, SMALL_PX, "cpu")
    with torch.no_grad():
        given = task.inputs(task.parameters(), task.training.pick([0]), None, training=True)

    def cropped(depth: int) -> int:
        network = task.network(unrolls=depth)
        inputs = {**given.tensors, "step": network.initial_step()}
        return _peak(lambda: autograd_gradient(Bench(network, given.x, inputs, given.x)))

    half = SMALL_PX // 2
    step = 1 / (half * object_pixel_um(half))
    frequency = np.fft.fftfreq(half) * half * step
    pupil = np.hypot(frequency[:, None], frequency) <= OBJECTIVE_NA / WAVELENGTH_UM
    weights = given.tensors["weights"]
    truth = given.x[0, :half, :half].contiguous()
    places = task.leds.illumination_na / WAVELENGTH_UM / step
    problem = published.full_grid_problem(places, pupil, weights, truth, step=0.2, floor=1e-6)

    def full(depth: int) -> int:
        return _peak(lambda: published.back_propagation(problem, truth, weights, truth, depth))

    return (cropped(1), cropped(2)), (full(1), full(2))


def _peak(work: Callable[[], object]) -> int:
    meter = MemoryMeter()
    with meter:
        work()
    return meter.peak


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def table(result: dict[str, Any]) -> str:
    """The steps as text."""
    size = result["size_px"]
    lines = [
        f"one training step, {result['leds']} LEDs, {result['measurements']} measurements, {size} x {size} pixels, "
        f"{result['device']}, {counted(result['threads'], 'thread')}"
    ]
    for step in result["steps"]:
        resident = step["resident_bytes"]
        process = "" if resident is None else f", {size_text(resident)} of the whole process"
        lines += [
            f"{step['unrolls']} unrolls: {size_text(step['metered_bytes'])} in the step "
            f"({size_text(step['predicted_bytes'])} foretold, {step['predicted_bytes'] / step['metered_bytes']:.2f})"
            f"{process}, {_minutes(step['seconds'])} at load {step['load']:.1f}; {step['certificate']}",
            f"  back-propagation through the same model: {size_text(step['autograd_bytes'])}, "
            f"{step['autograd_bytes'] / step['metered_bytes']:.0f} times as much; "
            f"a checkpoint at every unroll: {size_text(step['checkpoint_bytes'])}",
            f"  the published algorithm on full grids in one graph: {size_text(step['published_bytes'])}",
        ]
    if result["stated_bytes"]:
        lines.append(f"the poster says {size_text(int(result['stated_bytes']))} for {UNROLLS} unrolls")
    return "\n".join(lines)
