"""What a microscope may do otherwise than stated: wrong models of right images, and images with less or other light.

The measurements stay those of the data, simulated or measured; what reconstructs them believes in an LED array, a focus
or a brightness that is not theirs. Light and stray light change the measurements instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.optics.forward.measurement import MeasurementModel
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray, layout
from ptychoui.optics.geometry.pose import ROTATION, SHIFT_X, SHIFT_Y, Movable
from ptychoui.settings import Microscope
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.tasks.fpm.training_nuisances import DIMMEST, LIGHT, STRAY, UNEVEN

SHIFT = 0.2
"""Of the array, in units of its pitch."""

TURN_DEG = 1.0
DEFOCUS_UM = 5.0


def forgiving(task: FpmTask) -> FpmTask:
    """The task with scores that forgive a phase ramp: a shift of the array is one, see `objectives.without_ramp`."""
    training = task.experiment.training.replace(without_ramp=True)
    return replace(task, experiment=task.experiment.replace(training=training))


def believing(task: FpmTask, microscope: Microscope | None = None, leds: LedArray | None = None) -> FpmTask:
    """The task with another microscope or other LEDs in its model; its measurements stay as they are.

    Raises
    ------
    GeometryError
        If an LED's pupil leaves the frequency grid of the object.
    """
    scope = microscope or task.microscope
    leds = leds or task.leds
    physics = FourierPtychography(scope, leds, task.grids, task.dtype, task.device)
    return replace(task, microscope=scope, leds=leds, physics=physics)


def pitch_mm(task: FpmTask) -> float:
    """Distance of neighbouring LEDs of the array, in mm: the median over all; 0 for a single LED."""
    _numbers, positions = layout(task.geometry.array)
    if len(positions) < 2:
        return 0.0
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(1)))


def moved_leds(task: FpmTask, change: NDArray[np.float64]) -> LedArray:
    """The task's LEDs after a change (6,) of the array's pose, as `pose.moved` takes it."""
    array = Movable(task.geometry.array)
    moves = array.directions(change) - array.directions(np.zeros(6))
    places = {number: place for place, number in enumerate(task.geometry.array.numbers())}
    used = [places[int(number)] for number in task.leds.numbers]
    return replace(task.leds, illumination_na=task.leds.illumination_na + moves[used])


@dataclass(frozen=True, slots=True, kw_only=True)
class Nuisance:
    """One thing that may be otherwise than stated.

    Attributes
    ----------
    name, title
        As files and people call it.
    task
        Puts it into a task; what is random of it comes from the generator.
    examples
        Puts it into the single-LED images of examples, (example, LED, row, column).
    random
        False where every draw is the same.
    """

    name: str
    title: str
    task: Callable[[FpmTask, np.random.Generator], FpmTask] = lambda task, _rng: task
    examples: Callable[[Objects, np.random.Generator], Objects] = lambda examples, _rng: examples
    random: bool = False


def _shifted(task: FpmTask, rng: np.random.Generator) -> FpmTask:
    angle, change = rng.uniform(0, 2 * np.pi), np.zeros(6)
    change[[SHIFT_X, SHIFT_Y]] = SHIFT * pitch_mm(task) * np.array([np.cos(angle), np.sin(angle)])
    return believing(task, leds=moved_leds(task, change))


def _turned(task: FpmTask, rng: np.random.Generator) -> FpmTask:
    change = np.zeros(6)
    change[ROTATION] = TURN_DEG * rng.choice([-1, 1])
    return believing(task, leds=moved_leds(task, change))


def _out_of_focus(task: FpmTask, rng: np.random.Generator) -> FpmTask:
    scope = task.microscope
    return believing(task, scope.replace(defocus_um=scope.defocus_um + DEFOCUS_UM * float(rng.choice([-1, 1]))))


def _uneven(examples: Objects, rng: np.random.Generator) -> Objects:
    images = examples.intensities
    factors = np.maximum(1 + UNEVEN * rng.normal(size=images.shape[1]), DIMMEST)
    return replace(examples, intensities=images * torch.from_numpy(factors).to(images)[:, None, None])


def _dim(task: FpmTask, _rng: np.random.Generator) -> FpmTask:
    settings = task.measurement.settings
    less = settings.replace(photons_per_led=max(LIGHT * settings.photons_per_led, 1e-3))
    return replace(task, measurement=MeasurementModel(less, task.measurement.gain))


def _veiled(examples: Objects, _rng: np.random.Generator) -> Objects:
    return replace(examples, intensities=examples.intensities + STRAY)


def _all_of_task(task: FpmTask, rng: np.random.Generator) -> FpmTask:
    for change in (_shifted, _turned, _out_of_focus, _dim):
        task = change(task, rng)
    return task


def _all_of_examples(examples: Objects, rng: np.random.Generator) -> Objects:
    return _veiled(_uneven(examples, rng), rng)


NONE = Nuisance(name="none", title="as stated")
OTHER_TILES = Nuisance(name="other_tiles", title="other tiles")
ALL = Nuisance(name="all", title="all together", task=_all_of_task, examples=_all_of_examples, random=True)

NUISANCES = (
    NONE,
    Nuisance(name="shift", title=f"array shifted by {SHIFT:g} pitch", task=_shifted, random=True),
    Nuisance(name="rotation", title=f"array rotated by {TURN_DEG:g} degree", task=_turned, random=True),
    Nuisance(name="defocus", title=f"defocus by {DEFOCUS_UM:g} um", task=_out_of_focus, random=True),
    Nuisance(name="brightness", title=f"LED brightness off by {100 * UNEVEN:g} % RMS", examples=_uneven, random=True),
    Nuisance(name="light", title="half the light", task=_dim),
    Nuisance(name="stray_light", title=f"stray light of {100 * STRAY:g} % of the open field", examples=_veiled),
    OTHER_TILES,
    ALL,
)
"""What a design is tried with, one after the other: half as much light is known to its owner, everything else is not.

`OTHER_TILES` is tried on tiles that the others are not, and `ALL` on those.
"""
