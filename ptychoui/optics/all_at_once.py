"""Full-stack Fourier ptychography by gradient descent with momentum on the same forward model as the learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import DataError
from ptychoui.experiment import Microscope
from ptychoui.optics.forward import FourierPtychography
from ptychoui.optics.led_array import LedArray
from ptychoui.optics.microscope import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReconstruction:
    """A complex object and how well it explains the images.

    Attributes
    ----------
    object
        (row, column) complex64 on the whole grid, padding included.
    amplitude_residual
        sum (sqrt(I_predicted) - A)^2 / sum A^2 with A the square root of the images, no per-LED gain.
    """

    object: NDArray[np.complex64]
    amplitude_residual: float
    iterations: int


def all_at_once(
    microscope: Microscope,
    leds: LedArray,
    grids: Sampling,
    images: NDArray[np.float32],
    iterations: int = 60,
    progress: Callable[[int, float], None] | None = None,
    device: torch.device | str = "cpu",
) -> FieldReconstruction:
    """Reconstruct an object from one image per LED.

    Nesterov's accelerated gradient on D(x) = sum_l ||sqrt(I_l + c) - sqrt(max(J_l, 0) + c)||^2 with the bound of its
    curvature as the step: 1 / (largest number of pupils over one frequency).

    Parameters
    ----------
    images
        (LED, row, column) intensities of the tile, 1 = open field.
    progress
        Called with the iteration and the residual.

    Raises
    ------
    DataError
        If the images do not match the tile or the LEDs.
    """
    if images.shape != (len(leds), grids.tile_px, grids.tile_px):
        raise DataError(
            f"images of shape {images.shape} do not match {len(leds)} LEDs and a tile of {grids.tile_px} pixels"
        )
    physics = FourierPtychography(microscope, leds, grids, torch.float32, device)
    recorded = torch.from_numpy(np.array(images)).to(device)[None].clamp_min(0)
    floor = 1e-4 * float(recorded.mean())
    bright = torch.from_numpy(leds.bright_field(microscope.objective_na)).to(device)
    if not bool(bright.any()):
        raise DataError("no LED lies in the bright field", "check the array's shift and the objective's NA")
    reference = recorded[:, bright].mean(1, keepdim=True)
    amplitude = torch.sqrt(recorded + floor)
    with torch.no_grad():
        work = Scratch()
        x = physics.first_estimate(torch.sqrt(reference), torch.ones(1, device=device))
        y, t = x.clone(), 1.0
        step = 1.0 / physics.largest_overlap
        for iteration in range(iterations):
            gradient = physics.single_led_gradient(y, amplitude, floor, work)
            following = y - step * gradient
            t_next = (1 + (1 + 4 * t * t) ** 0.5) / 2
            y = following + (t - 1) / t_next * (following - x)
            x, t = following, t_next
            if progress is not None and (iteration + 1) % 10 == 0:
                progress(iteration + 1, _residual(physics, x, recorded))
        residual = _residual(physics, x, recorded)
    return FieldReconstruction(object=x[0].cpu().numpy(), amplitude_residual=residual, iterations=iterations)


def _residual(physics: FourierPtychography, x: torch.Tensor, recorded: torch.Tensor) -> float:
    predicted = physics.intensities(x).clamp_min(0).sqrt()
    measured = recorded.sqrt()
    return float((predicted - measured).square().sum() / measured.square().sum())
