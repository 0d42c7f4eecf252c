"""The problem of the published curves, made again without their files, at any size.

Kellman et al., "Memory-efficient learning for large-scale computational imaging" (2020): a flat square LED lattice with
pitch / height = 0.086957, objective NA 0.2, wavelength 0.514 um, object pixel 0.41452 um, 21 bright-field LEDs and 68
dark-field LEDs below NA 0.42; one bright-field and seven dark-field measurements with random weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, pi, sqrt

import numpy as np
import torch
from torch import Tensor

from ptychoui.errors import SettingsError
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling, good_padding
from ptychoui.settings import Array, Microscope, Network

PIXEL_UM = 0.41452
PUBLISHED = Microscope(
    wavelength_um=0.514, objective_na=0.2, magnification=4.0, camera_pixel_um=4 * PIXEL_UM / 0.65, pixel="point"
)
"""The published learned-design microscope: objective NA 0.2, object pixel 0.41452 um (Kellman et al. 2020)."""


def published_leds(count: int) -> LedArray:
    """The first LEDs of the flat lattice with pitch / height = 0.086957, by radius."""
    leds = led_array(Array(kind="lattice", pitch_mm=4.0, rows=21, columns=21, height_mm=46.0))
    if not 1 <= count <= len(leds):
        raise SettingsError(f"--leds {count}: the lattice has 1 to {len(leds)} LEDs", "the published design used 89")
    return leds.select(np.argsort(leds.radius_na, kind="stable")[:count])


def disc_of_leds(count: int) -> LedArray:
    """So many LEDs of a square lattice in the disc of the published 89, closer together the more there are.

    The directions stay below NA 0.42, so that only the number of LEDs changes.
    """
    rows = 2 * ceil(sqrt(count / pi)) + 3
    array = Array(kind="lattice", pitch_mm=4.0 * sqrt(89 / count), rows=rows, columns=rows, height_mm=46.0)
    leds = led_array(array)
    return leds.select(np.argsort(leds.radius_na, kind="stable")[:count])


def field_px(size: int, pixel_um: float = PIXEL_UM) -> int:
    """Edge of the fields' grid for objects of ``size`` pixels: about 0.65 of it where pixels are the published ones."""
    return 2 * good_padding(0, max(1, round(size * 0.65 * pixel_um / PIXEL_UM / 2)))


def pixel_for(leds: LedArray, size: int) -> float:
    """Object pixel in um: the published one, or a smaller one where the light of outer LEDs needs it."""
    reach = (float(leds.radius_na.max()) + PUBLISHED.objective_na) / PUBLISHED.wavelength_um
    # An LED's window of whole frequency samples is up to two of them larger than its light.
    return min(PIXEL_UM, (0.5 - 2 / size) / reach)


@dataclass(frozen=True, slots=True)
class Bench:
    """A problem of the published size with random weights."""

    network: PtychographicNetwork
    x: Tensor
    inputs: dict[str, Tensor]
    cotangent: Tensor


def make_bench(
    unrolls: int,
    leds: int,
    measurements: int,
    size: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    update: str = "heavy_ball",
    step: float = 0.2,
    batch: int = 1,
    stream: bool = False,
    dense: bool = False,
) -> Bench:
    """Build the problem: ``batch`` objects of ``size`` pixels, field grid of about 0.65 of it.

    With ``stream`` LEDs pass in chunks; with ``dense`` they are those of `disc_of_leds`.
    """
    array = disc_of_leds(leds) if dense else published_leds(leds)
    pixel = pixel_for(array, size)
    field = field_px(size, pixel)
    grids = Sampling(
        tile_px=field, pad_px=0, pixel_size_um=pixel * size / field, oversampling=1, upsampling=Fraction(size, field)
    )
    physics = FourierPtychography(PUBLISHED, array, grids, dtype, device, stream)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    bright = torch.from_numpy(array.bright_field(PUBLISHED.objective_na))
    weights = random(measurements, leds) * torch.where(torch.arange(measurements)[:, None] == 0, bright, ~bright)
    weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-9)).to(device, dtype)
    phase = random(batch, size, size) - 0.5
    truth = torch.polar(torch.ones_like(phase), phase).to(device, physics.complex_dtype)
    offset = torch.zeros(measurements, device=device, dtype=dtype)
    floor = 1e-6
    amplitude = torch.sqrt(physics.predict(truth, weights, offset) + floor)
    settings = Network(unrolls=unrolls, update=update, step=step)
    network = PtychographicNetwork(physics, settings, floor)
    inputs = {"weights": weights, "offset": offset, "amplitude": amplitude, "step": network.initial_step()}
    x = torch.ones_like(truth)
    return Bench(network, x, inputs, truth)
