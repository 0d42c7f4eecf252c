"""From what is learned to what the LED array shows, with a derivative.

Where an experiment limits the bits of a level or the number of LEDs that shine at once, continuous levels are learned
and `design.drive_levels` says what shines. Everything behind it (measurement, first estimate, network, scores,
pictures, result) sees what shines. Rounding has no derivative of use; that in the shown levels is handed to the
continuous ones as it is (the straight-through estimator: Bengio, Leonard and Courville, arXiv 1308.3432 (2013)). An LED
that is dark has a derivative like any other, for images are linear in levels: so LEDs go on as well as off.

Frame times that a row's light limits are differentiated as they are: one more LED in such a row shortens its frame.

Rounding hardens while patterns are learned: steps learn from levels that are moved towards the shown ones by a share
that grows from 0 to 1 over the first four fifths of a run; scores, pictures and results see what shines at any time. Of
what was tried on the sample objects (on or off, six rows, 20 unrolls, 30 steps, two seeds, complex error of held-out
and of training objects) that was best:

    ====================================  ===============  ===============
    rounding                              from hybrid      from dense random
    ====================================  ===============  ===============
    hardening over four fifths            0.365, 0.399     0.467, 0.500
    none, then all at half of the run     0.371, 0.399     0.479, 0.507
    all from the first step               0.416, 0.449     0.518, 0.565
    ====================================  ===============  ===============

Random rounding, and starts half way between on and off, did better than rounding from the first step and worse than
hardening (two seeds from hybrid, while short frames still gave their time to other rows). With levels of any value that
are rounded in the end it is about even over five seeds of 60 steps: ``ptychoui bench levels``, docs/benchmarks.md.

The rounding lies before the network, so the engine's check of products looks at the network with the shown design as
its input. It is done in double precision whatever the run computes in, so that the check in double precision measures
with the same codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ptychoui.design import starts
from ptychoui.design.drive_levels import shown_levels

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.parameters import DesignParameters
    from ptychoui.tasks.fpm.task import FpmTask


HARD_AFTER = 0.8
"""Share of a run after which steps learn from levels exactly as they are shown."""


def hardness(progress: float) -> float:
    """How far levels are rounded while they are learned, 0 to 1, when a share of the run, 0 to 1, is done."""
    return min(1.0, progress / HARD_AFTER)


def shown_in_training(task: FpmTask, parameters: DesignParameters) -> tuple[Tensor, Tensor]:
    """Levels (M, LED) and frame times (M,) that a step learns from, at the present share of the run."""
    return shown_design(task, parameters.levels, parameters.exposures, hardness(parameters.progress))


def shown_at_last(task: FpmTask, parameters: DesignParameters) -> tuple[Tensor, Tensor]:
    """Levels (M, LED) and frame times (M,) that the LED array shows of what is learned."""
    return shown_design(task, parameters.levels, parameters.exposures)


def shown_design(task: FpmTask, levels: Tensor, exposures: Tensor, hard: float = 1.0) -> tuple[Tensor, Tensor]:
    """Levels (M, LED) that shine and frame times (M,), of continuous ones; what is shown stays as it is.

    Levels lie within the mask, and are whole codes where the experiment states their bits. With ``hard`` below 1 they
    are moved by that share of the way only.
    """
    design = task.experiment.design
    levels = levels * task.mask
    if not design.limits_levels:
        return levels, exposures
    light = task.leds.gain * task.leds.bright_field(task.objective_na)
    brightest = starts.brightest_open_field(task.experiment.measurement)
    found = shown_levels(_array(levels), _array(task.mask) > 0, design, light, brightest)
    # Not levels + (found - levels): that is found only to within rounding.
    shown = torch.from_numpy(found).to(levels)
    if hard < 1:
        shown = torch.lerp(levels.detach(), shown, hard)
    shown = shown + (levels - levels.detach())
    direct = (shown * torch.from_numpy(light).to(levels)).sum(1)
    longest = (brightest / direct.clamp_min(1e-12)).clamp_min(design.minimum_exposure)
    return shown, torch.where(longest < exposures, longest, exposures)


def _array(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Values in double precision, of the tensor's shape."""
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
