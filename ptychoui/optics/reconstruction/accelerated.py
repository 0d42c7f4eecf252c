"""Fourier ptychography by accelerated gradient descent on the same forward model as the learning.

Images may show one LED each, the full stack, or any mixture: y_m = sum_l C_ml I_l + o_m.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import DataError
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEstimate:
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


class AcceleratedDescent:
    """Nesterov's accelerated gradient on the amplitudes of all images at once.

    Minimises D(x) = sum_m ||sqrt(y_m + c) - sqrt(max(J_m, 0) + c)||^2 with the bound of its curvature as the step:
    1 / max_k sum_l (sum_m C_ml) |P(k - k_l)|^2, for single LEDs the largest number of pupils over one frequency.

    Parameters
    ----------
    images
        (image, row, column) intensities of the tile.
    weights
        (image, LED) light of each LED in each image; left out: one image per LED, 1 = open field.
    offset
        (image,) stray light of each image.
    light
        (N, N) complex factor of the first estimate: what is known of the illumination's wavefront.

    Attributes
    ----------
    x
        (1, N, N) complex object as it is now.
    data
        What the images say, where there are weights.

    Raises
    ------
    DataError
        If the images do not match tile, LEDs and weights, or none of them holds bright-field light.
    """

    def __init__(
        self,
        microscope: Microscope,
        leds: LedArray,
        grids: Sampling,
        images: NDArray[np.float32],
        weights: NDArray[np.float64] | None = None,
        offset: NDArray[np.float64] | None = None,
        light: NDArray[np.complex64] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        count = len(leds) if weights is None else len(weights)
        if images.shape != (count, grids.tile_px, grids.tile_px):
            what = f"{count} LEDs" if weights is None else f"{count} patterns"
            raise DataError(f"images of shape {images.shape} do not match {what} and a tile of {grids.tile_px} pixels")
        if weights is not None and weights.shape[1] != len(leds):
            raise DataError(f"patterns of {weights.shape[1]} LEDs do not match {len(leds)} LEDs")
        self.physics = FourierPtychography(microscope, leds, grids, torch.float32, device)
        self._recorded = torch.from_numpy(np.array(images)).to(device)[None].clamp_min(0)
        self._floor = 1e-4 * float(self._recorded.mean())
        amplitude = torch.sqrt(self._recorded + self._floor)
        bright = leds.bright_field(microscope.objective_na)
        if not bright.any():
            raise DataError("no LED lies in the bright field", "check the array's shift and the objective's NA")
        self.data: DataTerm | None = None
        if weights is None:
            rows, brightness = torch.from_numpy(np.flatnonzero(bright)).to(device), torch.ones(1, device=device)
            reference = self._recorded[:, rows].mean(1, keepdim=True)
            self._step = 1.0 / self.physics.largest_overlap
        else:
            table = torch.from_numpy(np.array(weights, np.float32)).to(device)
            stray = torch.zeros(count) if offset is None else torch.from_numpy(np.array(offset, np.float32))
            self.data = DataTerm(
                weights=table, offset=stray.to(device), amplitude=amplitude, variance_floor=self._floor
            )
            of_bright = table[:, torch.from_numpy(bright).to(device)].sum(1)
            # Dark-field light says nothing of the mean: only the images that are brightest by the bright field count.
            rows = torch.nonzero(of_bright > 0.5 * of_bright.max())[:, 0]
            if not float(of_bright.max()) > 0:
                raise DataError("no pattern lights an LED of the bright field", "one bright-field pattern is needed")
            brightness = of_bright[rows].sum()[None]
            reference = (self._recorded - self.data.offset[:, None, None])[:, rows].sum(1, keepdim=True)
            self._step = 1.0 / self.physics.curvature_bound(table)
        self._amplitude, self._work = amplitude, Scratch()
        with torch.no_grad():
            self.x = self.physics.first_estimate(torch.sqrt(reference.clamp_min(0)), brightness)
            if light is not None:
                self.x = self.x * torch.from_numpy(np.array(light)).to(device)

    def run(self, iterations: int) -> Iterator[int]:
        """Yield the number of each iteration when it is done; ``x`` is then the (1, N, N) object."""
        x = y = self.x
        t = 1.0
        for iteration in range(iterations):
            with torch.no_grad():
                following = y - self._step * self._gradient(y)
                t_next = (1 + (1 + 4 * t * t) ** 0.5) / 2
                y = following + (t - 1) / t_next * (following - x)
                self.x = x = following
                t = t_next
            yield iteration + 1

    def _gradient(self, y: torch.Tensor) -> torch.Tensor:
        if self.data is None:
            return self.physics.single_led_gradient(y, self._amplitude, self._floor, self._work)
        return self.physics.gradient(self.physics.linearise(y, self.data, self._work, self._work), self._work)

    def residuals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(image,) squared misfits of the amplitudes, and sums of the images."""
        with torch.no_grad():
            if self.data is None:
                light = self.physics.intensities(self.x)
            else:
                light = self.physics.predict(self.x, self.data.weights, self.data.offset)
            misfit = (light.clamp_min(0).sqrt() - self._recorded.sqrt()).square().sum((0, 2, 3))
            return misfit.double().cpu().numpy(), self._recorded.sum((0, 2, 3)).double().cpu().numpy()

    @property
    def residual(self) -> float:
        """What is left: sum (sqrt(y) - A)^2 / sum A^2 with A the square root of the images."""
        misfit, power = self.residuals()
        return float(misfit.sum() / power.sum())


def all_at_once(
    microscope: Microscope,
    leds: LedArray,
    grids: Sampling,
    images: NDArray[np.float32],
    iterations: int = 60,
    progress: Callable[[int, float], None] | None = None,
    device: torch.device | str = "cpu",
    weights: NDArray[np.float64] | None = None,
) -> ObjectEstimate:
    """Reconstruct an object in one go: see `AcceleratedDescent`; ``progress`` gets iteration and residual.

    ``images`` are (image, row, column) intensities, ``weights`` (image, LED).

    Raises
    ------
    DataError
        If the images do not match tile, LEDs and weights, or none of them holds bright-field light.
    """
    work = AcceleratedDescent(microscope, leds, grids, images, weights, device=device)
    for iteration in work.run(iterations):
        if progress is not None and iteration % 10 == 0:
            progress(iteration, work.residual)
    return ObjectEstimate(object=work.x[0].cpu().numpy(), amplitude_residual=work.residual, iterations=iterations)
