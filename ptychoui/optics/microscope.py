"""Sampling grids, the pupil and the numbers derived from a geometry. NumPy only: the window uses it too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import GeometryError
from ptychoui.optics.led_array import LedArray, led_array
from ptychoui.settings import Array, Geometry, Microscope
from ptychoui.zernike import zernike

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


def pupil_overlap(distance_na: float, objective_na: float) -> float:
    """Share of its area that a pupil shares with one moved by ``distance_na``."""
    half = min(distance_na / (2 * objective_na), 1.0)
    return float(2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half**2)))


def usaf_element(cutoff_lp_per_mm: float) -> tuple[int, int]:
    """Group and element of the finest USAF 1951 pattern at or below a cut-off in line pairs per mm.

    Element E of group G has 2^(G + (E - 1) / 6) lp/mm (MIL-STD-150A), E from 1 to 6.
    """
    sixths = math.floor(6 * math.log2(cutoff_lp_per_mm) + 1e-9)
    return sixths // 6, sixths % 6 + 1


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


FieldOfLed = Literal["bright", "edge", "dark"]
GUARD_SHARE = 0.02
"""LEDs this close to the objective NA, as a share of it, may be bright or dark field."""
FAR_OUTSIDE = 3.0
"""Illumination NA of the nearest LED, over the objective's, from which the unit of the places is doubted, too."""
ALL_ON_AXIS = 0.05
"""Share of the objective's NA below which illumination adds nothing to speak of."""


def field_of_leds(leds: LedArray, objective_na: float, guard_na: float = 0.0) -> tuple[FieldOfLed, ...]:
    """Whether each LED is bright or dark field, or within ``guard_na`` of the objective NA: (LED,) words.

    Without a guard band its width is `GUARD_SHARE` of the objective NA.
    """
    guard = guard_na or GUARD_SHARE * objective_na
    return tuple(
        "edge" if abs(na - objective_na) < guard else "bright" if na < objective_na else "dark"
        for na in leds.radius_na.tolist()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Numbers that follow from a geometry, for people; lengths in um.

    Attributes
    ----------
    nearest_led, nearest_led_mm
        Number of the LED nearest to the optical axis, and its distance from it in the plane of the sample.
    bright_field_leds, dark_field_leds, edge_leds
        All LEDs are bright or dark field; those within ``guard_na`` of the objective NA are counted again as edge.
    usaf_group, usaf_element
        Finest pattern of a USAF 1951 target at or below the cut-off.
    intensity_nyquist_um, field_nyquist_um
        Largest pixel, at the sample, that samples one LED's intensity (lambda / 4 NA) or field (lambda / 2 NA).
    object_nyquist_um, object_pixel_um
        Largest pixel that samples the object (lambda / 2 synthetic NA), and the one that is used.
    tile_angle_um, tile_led_size_um, tile_bandwidth_um
        Largest tiles, see `TileLimits`; ``tile_limit_um`` is the smallest of them, ``tile_limit_px`` that in pixels.
    """

    led_count: int
    nearest_led: int
    nearest_led_mm: float
    bright_field_leds: int
    dark_field_leds: int
    edge_leds: int
    guard_na: float
    pixel_size_um: float
    illumination_na: float
    synthetic_na: float
    resolution_um: float
    cutoff_lp_per_mm: float
    usaf_group: int
    usaf_element: int
    intensity_nyquist_um: float
    field_nyquist_um: float
    object_nyquist_um: float
    object_pixel_um: float
    neighbour_overlap: float
    tile_angle_um: float
    tile_led_size_um: float | None
    tile_bandwidth_um: float | None
    tile_limit_um: float
    tile_limit_px: int
    warnings: tuple[str, ...]


def derived_numbers(geometry: Geometry, tile_px: int | None = None, guard_na: float = 0.0, pad_px: int = 0) -> Derived:
    """Work out sampling, resolution, overlap and tile size of a geometry, with warnings that say what to change.

    Parameters
    ----------
    tile_px
        Edge of the tiles in camera pixels, which is then judged. The object's pixel, a whole fraction of the
        camera's, is that of a tile of this size (256 where it is not known).
    guard_na
        LEDs this close to the objective NA stay dark (0: none do, and they are warned of).
    pad_px
        Simulated border around such a tile.

    Raises
    ------
    GeometryError
        If the geometry is impossible: LEDs above the sample, or a tile that cannot hold the pupil.
    """
    microscope = geometry.microscope
    leds = led_array(geometry.array)
    bright = leds.bright_field(microscope.objective_na)
    illumination_na = float(leds.radius_na.max())
    synthetic_na = microscope.objective_na + illumination_na
    cutoff = 1e3 * synthetic_na / microscope.wavelength_um
    group, element = usaf_element(cutoff)
    limits = tile_limits(geometry)
    from_axis_mm = np.hypot(*leds.positions_mm[:, :2].T)
    nearest = int(np.argmin(from_axis_mm))
    return Derived(
        led_count=len(leds),
        nearest_led=int(leds.numbers[nearest]),
        nearest_led_mm=float(from_axis_mm[nearest]),
        bright_field_leds=int(bright.sum()),
        dark_field_leds=int((~bright).sum()),
        edge_leds=field_of_leds(leds, microscope.objective_na, guard_na).count("edge"),
        guard_na=guard_na or GUARD_SHARE * microscope.objective_na,
        pixel_size_um=microscope.pixel_size_um,
        illumination_na=illumination_na,
        synthetic_na=synthetic_na,
        resolution_um=microscope.wavelength_um / synthetic_na,
        cutoff_lp_per_mm=cutoff,
        usaf_group=group,
        usaf_element=element,
        intensity_nyquist_um=microscope.wavelength_um / (4 * microscope.objective_na),
        field_nyquist_um=microscope.wavelength_um / (2 * microscope.objective_na),
        object_nyquist_um=microscope.wavelength_um / (2 * synthetic_na),
        object_pixel_um=sampling(microscope, leds, tile_px or 256, pad_px).object_pixel_um,
        neighbour_overlap=_smallest_neighbour_overlap(leds, microscope.objective_na),
        tile_angle_um=limits.angle_um,
        tile_led_size_um=limits.led_size_um,
        tile_bandwidth_um=limits.bandwidth_um,
        tile_limit_um=limits.smallest_um,
        tile_limit_px=int(limits.smallest_um / microscope.pixel_size_um),
        warnings=(
            *_sampling_warnings(microscope),
            *_centre_warnings(geometry.array),
            *_led_warnings(microscope, leds, guard_na),
            *_tile_warnings(geometry, limits, illumination_na, tile_px),
        ),
    )


def _sampling_warnings(microscope: Microscope) -> list[str]:
    pixel, nyquist = microscope.pixel_size_um, microscope.wavelength_um / (4 * microscope.objective_na)
    if pixel > 2 * nyquist:
        return [
            f"the camera's pixel of {pixel:.3g} um at the sample is coarser than lambda/(2 NA) = "
            f"{2 * nyquist:.3g} um: the field itself is undersampled; use a higher magnification"
        ]
    if pixel > nyquist:
        return [
            f"the camera's pixel of {pixel:.3g} um at the sample is coarser than lambda/(4 NA) = {nyquist:.3g} um: "
            "intensities are aliased; the model integrates over the pixel, never interpolate such images"
        ]
    return []


def _centre_warnings(array: Array) -> list[str]:
    """Warn of a spiral that fills an even square: its start, which lies on the axis by default, is not its middle."""
    side = math.isqrt(array.count or 0)
    if array.kind != "spiral" or side % 2 or side**2 != array.count or not array.pitch_mm:
        return []
    if array.center_row is not None or array.center_column is not None or array.spiral_start is not None:
        return []
    pose = array.pose
    if pose.shift_x_mm or pose.shift_y_mm:
        return []
    return [
        f"the start of the spiral is taken to lie on the optical axis; its {side} x {side} LEDs have no middle one, so "
        f"that the panel's middle then lies {array.pitch_mm / 2:g} mm off in both directions: if the panel itself is "
        "centred, state array.pose.shift_x_mm and shift_y_mm"
    ]


def _led_warnings(microscope: Microscope, leds: LedArray, guard_na: float) -> list[str]:
    warnings = []
    overlap = _smallest_neighbour_overlap(leds, microscope.objective_na)
    if overlap < MINIMUM_OVERLAP:
        warnings.append(
            f"neighbouring LEDs share {overlap:.0%} of the pupil, {MINIMUM_OVERLAP:.0%} or more is wanted: "
            "raise the array, or use a finer pitch"
            + ("; check that positions and pitch are in mm" if overlap == 0 else "")
        )
    if len(leds) > 1 and float(leds.radius_na.max()) < ALL_ON_AXIS * microscope.objective_na:
        warnings.append(
            f"all {len(leds)} LEDs shine from nearly the same direction, up to NA {float(leds.radius_na.max()):.2g}: "
            "check that pitch and height are in mm"
        )
    if not leds.bright_field(microscope.objective_na).any():
        nearest = float(leds.radius_na.min())
        times = nearest / microscope.objective_na
        warnings.append(
            "no LED is in the bright field: check the array's shift and height"
            if times < FAR_OUTSIDE
            else f"no LED is in the bright field, the nearest shines at NA {nearest:.3g}, {times:.2g} times the "
            "objective's: check the array's shift and height, and that positions and pitch are in mm, not LED indices"
        )
    distance = np.abs(leds.radius_na - microscope.objective_na)
    near = (distance < GUARD_SHARE * microscope.objective_na) & (distance >= guard_na)
    if near.any():
        listed = ", ".join(str(n) for n in leds.numbers[near][:6])
        warnings.append(
            f"{int(near.sum())} LEDs lie within 2 % of the objective NA ({listed}{', ...' if near.sum() > 6 else ''}): "
            "a small misalignment turns them from bright to dark field; set design.guard_na"
        )
    if microscope.objective_na + float(leds.radius_na.max()) > microscope.medium_index + 1:
        warnings.append("the synthetic NA exceeds what propagates; check height and pitch")
    return warnings


def _tile_warnings(geometry: Geometry, limits: TileLimits, illumination_na: float, tile_px: int | None) -> list[str]:
    """Warn of a tile that is too large, or where no tile can be small enough."""
    microscope, array = geometry.microscope, geometry.array
    smallest = 2 * microscope.wavelength_um / microscope.objective_na  # two frequencies in the pupil's radius
    width = smallest if tile_px is None else tile_px * microscope.pixel_size_um
    what = "even the smallest tile" if tile_px is None else f"a tile of {tile_px} pixels"
    reasons = (
        (
            limits.angle_um,
            "the direction of an LED's light changes over it by more than one frequency step",
            "raise the array",
        ),
        (
            limits.led_size_um,
            f"an LED of {array.led_size_um or 0:g} um is no point source for it",
            "raise the array, or use smaller LEDs",
        ),
        (
            limits.bandwidth_um,
            f"a bandwidth of {microscope.bandwidth_nm or 0:g} nm smears the pupil of an LED at NA "
            f"{illumination_na:.3g} by more than one frequency step",
            "use a narrower filter, or lower array.max_illumination_na",
        ),
    )
    warnings = []
    for limit, why, change in reasons:
        if limit is not None and width > limit:
            pixels = int(limit / microscope.pixel_size_um)
            # A tile below the smallest is no way out.
            smaller = f"use tiles of at most {pixels} pixels (data.tile_px), or " if limit >= smallest else ""
            warnings.append(f"{what} is {width:.3g} um wide, {limit:.3g} um is the limit: {why}; {smaller}{change}")
    return warnings


def _smallest_neighbour_overlap(leds: LedArray, objective_na: float) -> float:
    """Overlap with the nearest neighbour, for the median LED."""
    if len(leds) < 2:
        return 1.0
    from scipy.spatial import cKDTree

    distance = cKDTree(leds.illumination_na).query(leds.illumination_na, k=2)[0][:, 1]
    return pupil_overlap(float(np.median(distance)), objective_na)
