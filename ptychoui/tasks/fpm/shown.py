"""From what is learned to what the LED array shows, with a derivative.

Where an experiment limits the bits of a level or the number of LEDs that shine at once, continuous levels are learned
and `design.drive_levels` says what shines. Everything behind it (measurement, first estimate, network, scores,
pictures, result) sees what shines. Rounding has no derivative of use; that in the shown levels is handed to the
continuous ones as it is (the straight-through estimator: Bengio, Leonard and Courville, arXiv 1308.3432 (2013)). An LED
that is dark has a derivative like any other, for images are linear in levels: so LEDs go on as well as off.

Frame times that a row's light limits are differentiated as they are: one more LED in such a row shortens its frame.

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
from ptychoui.design.drive_levels import frame_times, shown_levels

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask


def shown_design(task: FpmTask, levels: Tensor, exposures: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (M, LED) that shine and frame times (M,), of continuous ones; what is shown stays as it is.

    Levels lie within the mask, and are whole codes where the experiment states their bits.
    """
    design = task.experiment.design
    levels = levels * task.mask
    if not design.limits_levels:
        return levels, exposures
    light = task.leds.gain * task.leds.bright_field(task.objective_na)
    brightest = starts.brightest_open_field(task.experiment.measurement)
    found = shown_levels(_array(levels), _array(task.mask) > 0, design, light, brightest)
    # Not levels + (found - levels): that is found only to within rounding.
    shown = torch.from_numpy(found).to(levels) + (levels - levels.detach())
    if design.drive_bits is None:
        return shown, exposures
    return shown, _frame_times(task, shown, exposures, torch.from_numpy(light).to(levels), brightest)


def _frame_times(task: FpmTask, shown: Tensor, exposures: Tensor, light: Tensor, brightest: float) -> Tensor:
    """Frame times (M,) of `drive_levels.frame_times`, differentiable in shown levels (M, LED) and exposures (M,)."""
    design = task.experiment.design
    shortest, total = design.minimum_exposure, float(starts.start_exposures(design).sum())
    longest = (brightest / (shown * light).sum(1).clamp_min(1e-12)).clamp(shortest, total)
    within = frame_times(_array(exposures), _array(longest), shortest, total)
    limited = torch.from_numpy(within >= _array(longest)).to(shown.device)
    short = torch.from_numpy(within <= shortest).to(shown.device) & ~limited
    free = ~(limited | short)
    left = total - (longest * limited).sum() - shortest * short.sum()
    shared = exposures * (left / (exposures * free).sum().clamp_min(1e-12))
    return torch.where(limited, longest, torch.where(short, torch.full_like(shared, shortest), shared))


def _array(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Values in double precision, of the tensor's shape."""
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
