"""The grids of a full-stack reconstruction: as small as what the images hold allows."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ptychoui.errors import GeometryError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling, good_length
from ptychoui.settings import Microscope

SLACK_PX = 2
"""Samples by which a direction may be corrected before its window is cut out elsewhere."""


def free_border_px(microscope: Microscope) -> int:
    """Camera pixels around a tile from which light reaches into it: three lambda / NA, and the blur of a defocus."""
    reach_um = 3 * microscope.wavelength_um / microscope.objective_na
    reach_um += abs(microscope.defocus_um) * microscope.objective_na
    return math.ceil(reach_um / microscope.pixel_size_um)


COARSEST = 8.0
"""Camera pixel over the largest that samples the intensity, from which a geometry is a mistake: its grids are huge."""


def stack_sampling(microscope: Microscope, leds: LedArray, tile_px: int, pad_px: int | None = None) -> Sampling:
    """The grids of a full-stack reconstruction: as small as the transforms' fast lengths allow.

    Parameters
    ----------
    tile_px
        Edge of the images in camera pixels.
    pad_px
        Free border around them, in camera pixels, by default `free_border_px`: light from outside the tile finds a
        place there instead of coming in from the other side.

    Raises
    ------
    GeometryError
        If the tile resolves the pupil too coarsely, or the camera's pixels are far too large.
    """
    pad_px = free_border_px(microscope) if pad_px is None else pad_px
    span = tile_px + 2 * pad_px
    pixel = microscope.pixel_size_um
    step = 1 / (span * pixel)
    radius = microscope.objective_na / microscope.wavelength_um / step
    if radius < 2:
        raise GeometryError(
            f"a tile of {tile_px} pixels resolves only {radius:.2g} frequencies in the pupil's radius",
            "use a larger tile",
        )
    half = half_width(radius)
    if pixel * 4 * microscope.objective_na / microscope.wavelength_um > COARSEST:
        raise GeometryError(
            f"a camera pixel of {pixel:.3g} um at the sample is {COARSEST:g} times what samples the images, "
            f"{microscope.wavelength_um / 4 / microscope.objective_na:.3g} um, or more",
            "check magnification, camera pixel and objective NA",
        )
    needed = 2 * half + 1 if microscope.pixel == "point" else max(2 * half + 1, math.ceil(4 * (radius + 0.5)))
    field = span if microscope.pixel == "point" and span >= needed else good_length(max(needed, span))
    reach = float(np.abs(leds.illumination_na).max()) / microscope.wavelength_um / step
    size = max(2 * math.ceil(reach + half + 2), span)
    return Sampling(
        tile_px=tile_px,
        pad_px=pad_px,
        pixel_size_um=pixel,
        oversampling=Fraction(field, span),
        upsampling=Fraction(size, span),
    )


def window_width(microscope: Microscope, grids: Sampling) -> int:
    """Edge of the windows that are cut out of the spectrum: w."""
    return 2 * half_width(microscope.objective_na / microscope.wavelength_um / grids.step_per_um) + 1


def object_upsampling(grids: Sampling, asked: int | None = None) -> int:
    """Object pixels per camera pixel, in whole numbers: what was asked for, or the fewest that hold the spectrum.

    Raises
    ------
    GeometryError
        If so few pixels as were asked for cannot hold it.
    """
    least = math.ceil(grids.upsampling)
    if asked is not None and asked < least:
        raise GeometryError(
            f"{asked} object pixels per camera pixel cannot hold the synthetic aperture, it takes {least}",
            f"use {least} or more, or leave LEDs out with max_illumination_na",
        )
    return asked or least


def half_width(radius: float) -> int:
    """Samples from a window's centre to its edge, for a pupil of a ``radius`` in samples."""
    return math.ceil(radius + 0.5) + SLACK_PX
