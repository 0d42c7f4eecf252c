"""Sampling grids, the pupil and the numbers derived from a geometry. NumPy only: the window uses it too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import GeometryError
from ptychoui.experiment import Geometry, Microscope
from ptychoui.optics.led_array import LedArray, led_array

MINIMUM_OVERLAP = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The grids of one square tile.

    The tile of ``tile_px`` camera pixels is simulated with ``pad_px`` more on every side, because a Fourier
    transform wraps round. The field of one LED lives on ``field_px`` samples (fine enough for its
    intensity), the object on ``object_px``; all three span the same length, so all share ``step_per_um``.
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


def zernike(noll: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zernike polynomial in Noll's order, unit RMS on the unit disc (Noll 1976, equation 2).

    Values beyond the disc continue the polynomial, clipped at radius 1.1: only the soft edge lies there.
    """
    if not 1 <= noll <= 66:
        raise GeometryError(f"Zernike index {noll} is outside 1 to 66", "Noll's order: 4 is defocus, 5, 6 astigmatism")
    n = 0
    while (n + 1) * (n + 2) // 2 < noll:
        n += 1
    place = noll - n * (n + 1) // 2 - 1
    m = 2 * (place // 2) + 1 if n % 2 else 2 * ((place + 1) // 2)
    rho, theta = np.minimum(np.hypot(x, y), 1.1), np.arctan2(y, x)
    radial = sum(
        (-1) ** s
        * math.factorial(n - s)
        / (math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s))
        * rho ** (n - 2 * s)
        for s in range((n - m) // 2 + 1)
    )
    if m == 0:
        return np.asarray(np.sqrt(n + 1) * radial)
    angular = np.cos(m * theta) if noll % 2 == 0 else np.sin(m * theta)
    return np.asarray(np.sqrt(2 * (n + 1)) * radial * angular)


def pupil_overlap(distance_na: float, objective_na: float) -> float:
    """Share of its area that a pupil shares with one moved by ``distance_na``."""
    half = min(distance_na / (2 * objective_na), 1.0)
    return float(2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half**2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Numbers that follow from a geometry, for people; lengths in um."""

    led_count: int
    bright_field_leds: int
    dark_field_leds: int
    pixel_size_um: float
    illumination_na: float
    synthetic_na: float
    resolution_um: float
    cutoff_lp_per_mm: float
    intensity_nyquist_um: float
    object_pixel_um: float
    neighbour_overlap: float
    warnings: tuple[str, ...]


def derived_numbers(geometry: Geometry, tile_px: int = 256) -> Derived:
    """Work out sampling, resolution and overlap of a geometry, with warnings that say what to change.

    The object's pixel is that of a tile of ``tile_px`` camera pixels; it is a whole fraction of the camera's.
    """
    microscope = geometry.microscope
    leds = led_array(geometry.array)
    bright = leds.bright_field(microscope.objective_na)
    illumination_na = float(leds.radius_na.max())
    synthetic_na = microscope.objective_na + illumination_na
    nyquist = microscope.wavelength_um / (4 * microscope.objective_na)
    object_pixel = sampling(microscope, leds, tile_px, 0).object_pixel_um
    overlap = _smallest_neighbour_overlap(leds, microscope.objective_na)
    pixel = microscope.pixel_size_um
    warnings = []
    if pixel > 2 * nyquist:
        warnings.append(
            f"the camera's pixel of {pixel:.3g} um at the sample is coarser than lambda/(2 NA) = "
            f"{2 * nyquist:.3g} um: the field itself is undersampled; use a higher magnification"
        )
    elif pixel > nyquist:
        warnings.append(
            f"the camera's pixel of {pixel:.3g} um at the sample is coarser than lambda/(4 NA) = {nyquist:.3g} um: "
            "intensities are aliased; the model integrates over the pixel, never interpolate such images"
        )
    if overlap < MINIMUM_OVERLAP:
        warnings.append(
            f"neighbouring LEDs share {overlap:.0%} of the pupil, {MINIMUM_OVERLAP:.0%} or more is wanted: "
            "raise the array, or use a finer pitch"
        )
    if not bright.any():
        warnings.append("no LED is in the bright field: check the array's shift and height")
    near = np.abs(leds.radius_na - microscope.objective_na) < 0.02 * microscope.objective_na
    if near.any():
        listed = ", ".join(str(n) for n in leds.numbers[near][:6])
        warnings.append(
            f"{int(near.sum())} LEDs lie within 2 % of the objective NA ({listed}{', ...' if near.sum() > 6 else ''}): "
            "a small misalignment turns them from bright to dark field; set design.guard_na"
        )
    if synthetic_na > microscope.medium_index + 1:
        warnings.append("the synthetic NA exceeds what propagates; check height and pitch")
    return Derived(
        led_count=len(leds),
        bright_field_leds=int(bright.sum()),
        dark_field_leds=int((~bright).sum()),
        pixel_size_um=pixel,
        illumination_na=illumination_na,
        synthetic_na=synthetic_na,
        resolution_um=microscope.wavelength_um / synthetic_na,
        cutoff_lp_per_mm=1e3 * synthetic_na / microscope.wavelength_um,
        intensity_nyquist_um=nyquist,
        object_pixel_um=object_pixel,
        neighbour_overlap=overlap,
        warnings=tuple(warnings),
    )


def _smallest_neighbour_overlap(leds: LedArray, objective_na: float) -> float:
    """Overlap with the nearest neighbour, for the median LED."""
    if len(leds) < 2:
        return 1.0
    from scipy.spatial import cKDTree

    distance = cKDTree(leds.illumination_na).query(leds.illumination_na, k=2)[0][:, 1]
    return pupil_overlap(float(np.median(distance)), objective_na)
