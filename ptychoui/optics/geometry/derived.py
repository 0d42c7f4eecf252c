"""The numbers derived from a geometry, and what they warn of. NumPy only: the window uses them too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import TileLimits, pupil_overlap, sampling, tile_limits
from ptychoui.settings import Array, Geometry, Microscope

MINIMUM_OVERLAP = 0.35


def usaf_element(cutoff_lp_per_mm: float) -> tuple[int, int]:
    """Group and element of the finest USAF 1951 pattern at or below a cut-off in line pairs per mm.

    Element E of group G has 2^(G + (E - 1) / 6) lp/mm (MIL-STD-150A), E from 1 to 6.
    """
    sixths = math.floor(6 * math.log2(cutoff_lp_per_mm) + 1e-9)
    return sixths // 6, sixths % 6 + 1


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
