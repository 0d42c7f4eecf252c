"""Complex images to measure in simulation: several disjoint families, in a plane, a volume or over a heart's cycle.

They are drawn on any grid from a generator. A simulation draws them finer than what it measures, so that nothing is
known of the object between the pixels of a reconstruction (the "inverse crime" is not committed).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ptychoui.data.kspace import SPACE_AXES, Acquisition
from ptychoui.errors import SettingsError
from ptychoui.mri.brain import brain
from ptychoui.mri.grids import Grid, Reals, noise, plane_grid, volume_grid
from ptychoui.mri.heart import contraction, heart
from ptychoui.mri.shapes import Drawn, bars, ellipses, vessels

STILL_FAMILIES: dict[str, Callable[[Grid, np.random.Generator], Drawn]] = {
    "brain": brain,
    "ellipses": ellipses,
    "vessels": vessels,
    "bars": bars,
}
"""Families of objects that are volumes, by name; in a cine, parts of them pulsate."""

FAMILIES = (*STILL_FAMILIES, "heart")
"""All families; a heart has one plane only, so it fits "2d" and "cine"."""

THICKEST = 0.7
"""Half the depth of a volume is at most this share of half its field of view."""
TAPER = 0.15
"""Share of a 3-D slab at each end over which the excitation falls to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A drawn object.

    Attributes
    ----------
    image
        Complex, of order 1 with the axes of `SPACE_AXES`.
    support
        Bool of the same shape: where the object is.
    grid
        Places of its pixels; frames share those of one plane.
    """

    image: NDArray[np.complex128]
    support: NDArray[np.bool_]
    grid: Grid


def draw_phantom(
    family: str, acquisition: Acquisition, shape: tuple[int, ...], generator: np.random.Generator
) -> Phantom:
    """Draw one object with a smooth phase of its own.

    Parameters
    ----------
    family
        One of `FAMILIES`.
    acquisition
        Says what the axes of the image are.
    shape
        Pixels along each axis; pixels are as high as wide, and as deep unless that makes the volume thicker than it
        is wide. Planes of a volume are neighbours in one object.
    generator
        Source of every shape, signal and phase.

    Returns
    -------
    The object, of that shape.

    Raises
    ------
    SettingsError
        If the family is not known or does not fit, or an axis is too short: 16 pixels in the plane, 1 across it.
    """
    _check(family, acquisition, shape)
    longest = max(shape[-2:])
    half = (shape[-2] / longest, shape[-1] / longest)
    level = generator.uniform(-0.3, 0.3)
    if acquisition in ("slab", "3d"):
        deep = min(THICKEST, shape[0] / longest)
        grid = volume_grid((shape[0], shape[1], shape[2]), (deep, *half), level)
    else:
        grid = plane_grid((shape[-2], shape[-1]), half, level)
    if family == "heart":
        values, support = heart(grid, shape[0] if acquisition == "cine" else 1, generator)
    else:
        values, support = STILL_FAMILIES[family](grid, generator)
        if acquisition == "cine":
            values, support = pulsating(values[0], support[0], grid, shape[0], generator)
    if acquisition == "3d":
        values = values * _excitation(shape[0])[:, None, None]
    image = values * np.exp(1j * _phase(grid, generator))
    return Phantom(image=image.reshape(shape), support=support.reshape(shape), grid=grid)


def pulsating(
    image: Reals, support: NDArray[np.bool_], grid: Grid, frames: int, generator: np.random.Generator
) -> Drawn:
    """Let two or three parts of a still image swell and shrink together, once in all frames.

    Parameters
    ----------
    image, support
        (rows, columns) each.
    grid
        Their pixels.
    frames
        How many frames one cycle has; the one after the last is the first again.
    generator
        Source of place, size and strength of the parts.

    Returns
    -------
    The frames and their support, (frames, rows, columns) each.
    """
    y, x = grid.y[0], grid.x[0]
    inner = np.argwhere(ndimage.binary_erosion(support, iterations=max(1, round(0.25 / grid.pixel))))
    inner = inner if len(inner) else np.argwhere(support)
    down, right = np.zeros(image.shape), np.zeros(image.shape)
    for _ in range(generator.integers(2, 4)):
        row, column = inner[generator.integers(len(inner))]
        dy, dx = y - y[row, 0], x - x[0, column]
        wide = generator.uniform(0.12, 0.2)
        # Below exp(1.5) / 2 times the width of its Gaussian a radial shift folds nothing over.
        pull = generator.uniform(0.3, 0.5) * np.exp(-(dy**2 + dx**2) / (2 * wide**2))
        down, right = down + pull * dy, right + pull * dx
    smooth = ndimage.spline_filter(image)
    rows, columns = np.indices(image.shape, dtype=float)
    values = np.empty((frames, *image.shape))
    covered = np.empty(values.shape, bool)
    for frame, amount in enumerate(contraction(np.arange(frames) / frames + generator.random())):
        places = (rows + amount / grid.pixel * down, columns + amount / grid.pixel * right)
        values[frame] = ndimage.map_coordinates(smooth, places, prefilter=False)
        covered[frame] = ndimage.map_coordinates(support.astype(float), places, order=1) > 0.5
    return np.maximum(values, 0), covered


def _phase(grid: Grid, generator: np.random.Generator) -> Reals:
    """(planes, rows, columns) radians: a constant, a slope and a bend of one or two radians, and smooth noise."""
    slopes = generator.normal(0, 0.8, 3)
    bends = generator.normal(0, 0.6, 3)
    phase = np.full(grid.shape, generator.uniform(-math.pi, math.pi))
    for axis, slope, bend in zip((grid.z, grid.y, grid.x), slopes, bends, strict=True):
        phase += slope * axis + bend * axis**2
    return phase + generator.uniform(0.1, 0.4) * noise(grid, 0.25, generator)


def _excitation(planes: int) -> Reals:
    """(planes,) how much each plane of a 3-D slab is excited: 1 in the middle, 0 beyond its ends, without an edge."""
    inward = np.minimum(np.arange(planes) + 0.5, planes - np.arange(planes) - 0.5) / planes
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(1, inward / TAPER)))


def _check(family: str, acquisition: Acquisition, shape: tuple[int, ...]) -> None:
    if family not in FAMILIES:
        raise SettingsError(f"a family of phantoms {family!r} is not known", f"known families: {', '.join(FAMILIES)}")
    if family == "heart" and acquisition in ("slab", "3d"):
        raise SettingsError(
            f"a heart has one plane and does not fit a {acquisition} acquisition",
            f"choose 2d or cine, or one of the families {', '.join(STILL_FAMILIES)}",
        )
    axes = SPACE_AXES[acquisition]
    if len(shape) != len(axes) or min(shape[-2:]) < 16 or min(shape) < 1:
        raise SettingsError(
            f"a phantom of shape {shape} cannot be drawn for a {acquisition} acquisition",
            f"its axes are {', '.join(axes)}, with 16 pixels or more in the plane",
        )
