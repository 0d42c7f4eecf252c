"""Sampling grids, the pupil and the limits of a tile. NumPy only: the window uses it too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import GeometryError
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.settings import Geometry, Microscope
from ptychoui.zernike import zernike


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The grids of one square tile.

    The tile of ``tile_px`` camera pixels is simulated with ``pad_px`` more on every side, because a Fourier
    transform wraps round. The field of one LED lives on ``field_px`` samples (fine enough for its
    intensity), the object on ``object_px``; all three span the same length, so all share ``step_per_um``.

    Raises
    ------
    GeometryError
        If the edge of a grid would not be a whole number of pixels.
    """

    tile_px: int
    pad_px: int
    pixel_size_um: float
    oversampling: int | Fraction
    upsampling: int | Fraction

    def __post_init__(self) -> None:
        for times in (self.upsampling, self.oversampling):
            if Fraction(self.span_px * times).denominator != 1:
                raise GeometryError(f"{self.span_px} pixels times {times} is not a whole number of finer pixels")

    @property
    def span_px(self) -> int:
        """Edge of tile and padding in camera pixels."""
        return self.tile_px + 2 * self.pad_px

    @property
    def field_px(self) -> int:
        """Edge of the grid on which the intensity of one LED is formed."""
        return int(self.span_px * self.oversampling)

    @property
    def object_px(self) -> int:
        """Edge of the object's grid."""
        return int(self.span_px * self.upsampling)

    @property
    def object_pixel_um(self) -> float:
        """Pixel of the object in um."""
        return self.pixel_size_um / float(self.upsampling)

    @property
    def step_per_um(self) -> float:
        """Spacing of spatial frequencies in 1/um."""
        return 1 / (self.span_px * self.pixel_size_um)

    def object_window(self, margin_px: int = 0) -> slice:
        """Rows (or columns) of the object's grid under the tile, less a margin in camera pixels."""
        first = int((self.pad_px + margin_px) * self.upsampling)
        return slice(first, self.object_px - first)


def sampling(microscope: Microscope, leds: LedArray, tile_px: int, pad_px: int) -> Sampling:
    """Choose the grids for a tile.

    The field's grid has pixels of at most lambda / (4 NA), which holds |u|^2 without aliasing (a camera
    that samples points needs lambda / (2 NA) only, and then its pixels are that grid); the object's grid
    has at most lambda / (2 (NA + NA_illumination)).

    Raises
    ------
    GeometryError
        If the tile is too small to hold the pupil's frequencies.
    """
    pixel = microscope.pixel_size_um
    span = tile_px + 2 * pad_px
    # In frequency steps; the soft edge of the pupil reaches half a step beyond its radius.
    radius = microscope.objective_na / microscope.wavelength_um * span * pixel
    needed = 2 * radius + 3 if microscope.pixel == "point" else 4 * (radius + 0.5)
    synthetic = radius * (1 + float(leds.radius_na.max()) / microscope.objective_na)
    if radius < 2:
        raise GeometryError(
            f"a tile of {span} pixels resolves only {radius:.2g} frequencies in the pupil's radius",
            "use a larger tile, at least "
            f"{math.ceil(2 * microscope.wavelength_um / microscope.objective_na / pixel)} pixels",
        )
    return Sampling(
        tile_px=tile_px,
        pad_px=pad_px,
        pixel_size_um=pixel,
        oversampling=max(1, math.ceil((needed + 1e-6) / span)),
        upsampling=max(1, math.ceil((2 * synthetic + 3) / span)),
    )


def transforms_fast(length: int) -> bool:
    """True for lengths with prime factors up to 7 and, from 32 on, even ones that are multiples of 8.

    On a CPU torch transforms these at twice the rate of others: 48 x 48 takes less time than 42 x 42.
    """
    rest = length
    for prime in (2, 3, 5, 7):
        while rest % prime == 0:
            rest //= prime
    return rest == 1 and (length < 32 or length % 2 == 1 or length % 8 == 0)


def good_length(length: int) -> int:
    """Smallest length of at least ``length`` that transforms fast."""
    while not transforms_fast(length):
        length += 1
    return length


def good_padding(tile_px: int, pad_px: int) -> int:
    """Smallest padding of at least ``pad_px`` whose span transforms fast."""
    while not transforms_fast(tile_px + 2 * pad_px):
        pad_px += 1
    return pad_px


def pupil_function(
    microscope: Microscope,
    frequency_x_per_um: NDArray[np.float64],
    frequency_y_per_um: NDArray[np.float64],
    step_per_um: float,
) -> NDArray[np.complex128]:
    """Amplitude transmission of the objective at given frequencies.

    P(k) = edge(|k|) exp(2 pi i [z sqrt(n^2/lambda^2 - |k|^2) + sum_j c_j Z_j(k lambda / NA)]), where the edge
    falls linearly from 1 to 0 over one frequency step centred on NA / lambda: sub-pixel shifts of the
    pupil then change it smoothly.

    Parameters
    ----------
    frequency_x_per_um, frequency_y_per_um
        Frequencies of the same shape, in 1/um.
    step_per_um
        Frequency step of the grid, the width of the soft edge.

    Returns
    -------
    Complex transmission of the same shape; exactly zero outside the edge.
    """
    radius = np.hypot(frequency_x_per_um, frequency_y_per_um)
    cutoff = microscope.objective_na / microscope.wavelength_um
    edge = np.clip((cutoff - radius) / step_per_um + 0.5, 0, 1)
    phase = np.zeros_like(radius)
    if microscope.defocus_um:
        axial = np.sqrt(np.clip((microscope.medium_index / microscope.wavelength_um) ** 2 - radius**2, 0, None))
        phase = phase + microscope.defocus_um * axial
    for noll, waves in microscope.zernike_waves.items():
        phase = phase + waves * zernike(noll, frequency_x_per_um / cutoff, frequency_y_per_um / cutoff)
    return np.asarray(edge * np.exp(2j * np.pi * phase), dtype=np.complex128)


def pupil_overlap(distance_na: float, objective_na: float) -> float:
    """Share of its area that a pupil shares with one moved by ``distance_na``."""
    half = min(distance_na / (2 * objective_na), 1.0)
    return float(2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half**2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TileLimits:
    """Widths of a tile, um, up to which the light of every LED is one plane wave; None where nothing is known.

    In each the pupil of the worst LED is smeared, or moves from edge to edge of the tile, by one frequency step of
    the tile, 1 / width.

    Attributes
    ----------
    angle_um
        The direction of an LED changes over the tile by g width: width = sqrt(lambda / g), sqrt(lambda h) on axis.
    led_size_um
        An LED of width s spans directions s g: width = lambda / (s g), on axis lambda h / s (van Cittert-Zernike).
    bandwidth_um
        k = NA / lambda spreads by NA d lambda / lambda^2: width = lambda^2 / (NA d lambda).
    """

    angle_um: float
    led_size_um: float | None
    bandwidth_um: float | None

    @property
    def smallest_um(self) -> float:
        """The limit that counts."""
        return min(limit for limit in (self.angle_um, self.led_size_um, self.bandwidth_um) if limit is not None)


def tile_limits(geometry: Geometry) -> TileLimits:
    """How large a tile may be for one direction of light per LED; see `TileLimits`."""
    microscope, array = geometry.microscope, geometry.array
    # All LEDs, so that the same ones are seen from every point; their brightness does not matter.
    everything = array.replace(max_illumination_na=None, falloff="none")
    step_um = 1.0
    here = led_array(everything)
    gradient = 0.0
    used = np.ones(len(here), bool)
    if array.max_illumination_na is not None:
        used = here.radius_na <= array.max_illumination_na
    for point in ((step_um, 0.0), (0.0, step_um)):
        moved = led_array(everything, point).illumination_na - here.illumination_na
        gradient = max(gradient, float(np.hypot(*moved[used].T).max()) / step_um)
    wavelength = microscope.wavelength_um
    largest_na = float(here.radius_na[used].max())
    size, band_nm = array.led_size_um, microscope.bandwidth_nm
    spread = None if band_nm is None else largest_na * band_nm * 1e-3 / wavelength**2
    return TileLimits(
        angle_um=math.sqrt(wavelength / gradient),
        led_size_um=None if size is None else wavelength / (size * gradient),
        bandwidth_um=1 / spread if spread else None,
    )
