"""Places in the field of view, and the smooth edges and noise that phantoms are drawn with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
"""Real values; in double precision, so that a seed gives the same object to rounding on every processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Coordinates of pixels; 1 is half the longer side of the field of view in the plane.

    A pixel's place is that of its left upper corner as seen from one side of the field: 2 n / N - 1 along an axis of N
    pixels. Grids of any size over one field therefore share their first pixel, as images of one k-space do that is cut
    to several sizes.

    Attributes
    ----------
    z, y, x
        (planes, 1, 1), (1, rows, 1) and (1, 1, columns).
    pixel
        Length of a pixel along a row.
    """

    z: Reals
    y: Reals
    x: Reals
    pixel: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(planes, rows, columns)."""
        return self.z.shape[0], self.y.shape[1], self.x.shape[2]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbours along (z, y, x); that of a single plane is 1."""
        return tuple(float(axis.flat[1] - axis.flat[0]) if axis.size > 1 else 1.0 for axis in (self.z, self.y, self.x))  # type: ignore[return-value]


def plane_grid(shape: tuple[int, int], half: tuple[float, float], level: float = 0.0) -> Grid:
    """A single plane of (rows, columns) pixels.

    Parameters
    ----------
    shape
        Rows and columns.
    half
        Half the field of view along rows and columns, the longer of them 1.
    level
        Where the plane lies along z.

    Returns
    -------
    A grid of shape (1, rows, columns).
    """
    y, x = (_places(size, length) for size, length in zip(shape, half, strict=True))
    return Grid(z=np.full((1, 1, 1), level), y=y[None, :, None], x=x[None, None, :], pixel=2 * half[1] / shape[1])


def volume_grid(shape: tuple[int, int, int], half: tuple[float, float, float], level: float = 0.0) -> Grid:
    """Planes of shape (planes, rows, columns) over a field of twice ``half`` along each axis, around z = level."""
    z, y, x = (_places(size, length) for size, length in zip(shape, half, strict=True))
    return Grid(z=level + z[:, None, None], y=y[None, :, None], x=x[None, None, :], pixel=2 * half[2] / shape[2])


def _places(size: int, half: float) -> Reals:
    return np.asarray(half * (2 * np.arange(size) / size - 1))


def noise(grid: Grid, scale: float, generator: np.random.Generator) -> Reals:
    """Gaussian noise without detail much finer than ``scale``: mean 0, variance 1, periodic over the field.

    Parameters
    ----------
    grid
        Where it is wanted.
    scale
        Standard deviation of the Gaussian that white noise is smoothed with, in the grid's lengths.
    generator
        Source of the white noise.

    Returns
    -------
    ndarray
        (planes, rows, columns).
    """
    spectrum = np.fft.rfftn(generator.standard_normal(grid.shape))
    lengths = [*(np.fft.fftfreq(n) for n in grid.shape[:2]), np.fft.rfftfreq(grid.shape[2])]
    for axis, (frequencies, spacing) in enumerate(zip(lengths, grid.spacing, strict=True)):
        if grid.shape[axis] > 1:
            spectrum *= np.exp(-2 * (np.pi * scale * frequencies / spacing) ** 2).reshape(
                [-1 if other == axis else 1 for other in range(3)]
            )
    smooth: Reals = np.fft.irfftn(spectrum, grid.shape, axes=(0, 1, 2))
    smooth -= smooth.mean()
    return np.asarray(smooth / np.maximum(smooth.std(), 1e-12))


def inside(distance: Reals, width: float) -> Reals:
    """1 where a signed distance is far above 0, 0 far below: an edge as wide as ``width``; of the distance's shape.

    The cubic 3 t^2 - 2 t^3 has no kink, so that fine grids hold the edge without steps.
    """
    t = np.clip(distance / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def level_distance(values: Reals, grid: Grid) -> Reals:
    """Signed distance to where smooth values cross zero, (planes, rows, columns); good near there only."""
    axes = [axis for axis in range(3) if grid.shape[axis] > 1]
    slopes = np.gradient(values, *(grid.spacing[axis] for axis in axes), axis=axes)
    steep = np.sqrt(sum(np.square(slope) for slope in (slopes if len(axes) > 1 else [slopes])))
    return np.asarray(values / np.maximum(steep, 0.3 * steep.mean()))
