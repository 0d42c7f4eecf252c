"""Points of k-space that keep a distance from each other: Poisson discs that end, with an exact number."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError
from ptychoui.mri.frequencies import central, radius, samples_wanted

DISC_GROWTH = 2.0
"""A Poisson disc at the edge midpoints is 1 + 2 times as wide as one at the centre."""
PACKED = 0.7
"""Points in a plane full of discs that keep one radius apart, times the radius squared (measured, 0.70)."""


def poisson_disc(
    shape: tuple[int, int],
    net_acceleration: float,
    calibration: int,
    generator: np.random.Generator,
    growth: float = DISC_GROWTH,
) -> NDArray[np.bool_]:
    """Points that keep a distance from each other which grows away from the centre.

    Darts are thrown at points in a random order, with discs so large that too few fit; the discs then shrink by a few
    percent at a time, and the rest is thrown again, until the number wanted lies there (McCool and Fiume 1992,
    "Hierarchical Poisson disk sampling distributions"). The number is exact, and the procedure ends: discs below one
    sample forbid nothing.

    Parameters
    ----------
    shape
        Rows and columns of k-space.
    net_acceleration
        All samples divided by those measured, from 1.
    calibration
        Side in samples of the square in the centre that is all measured.
    generator
        Source of every random number.
    growth
        A disc at the edge is 1 + growth times as wide as one in the centre; 0 is uniform.

    Returns
    -------
    ndarray
        (rows, columns) bool, zero frequency first.

    Raises
    ------
    SettingsError
        If the acceleration is below 1 or leaves fewer samples than the calibration has, or the growth is below 0.
    """
    if not (0 <= growth <= 100):
        raise SettingsError(f"discs that grow by {growth:g} are not possible", "the growth lies between 0 and 100")
    rows, columns = shape
    block = central(rows, calibration)[:, None] & central(columns, calibration)[None, :]
    wanted = samples_wanted(rows * columns, net_acceleration, calibration**2, "samples")
    mask = np.fft.fftshift(block)
    sizes = 1 + growth * np.fft.fftshift(np.hypot(radius(rows)[:, None], radius(columns)[None, :]))
    _throw(mask, sizes, wanted - int(mask.sum()), generator)
    return np.fft.ifftshift(mask)


def _throw(mask: NDArray[np.bool_], sizes: NDArray[np.float64], wanted: int, generator: np.random.Generator) -> None:
    """Mark ``wanted`` more places of a (row, column) mask, each as many of its own radii as possible from all others.

    The calibration keeps nobody off: its border would show as a ring without points.
    """
    rows, columns = mask.shape
    order = generator.permutation(np.flatnonzero(~mask))
    allowed = np.full(mask.shape, np.inf)  # the largest scale of all discs at which a place is still free
    if not wanted:
        return
    scale = 1.5 * math.sqrt(PACKED * float(np.sum(sizes[~mask] ** -2.0)) / wanted)
    while True:
        for place in order[allowed.flat[order] >= scale]:
            row, column = divmod(int(place), columns)
            if allowed[row, column] < scale:
                continue
            mask[row, column] = True
            allowed[row, column] = 0
            wanted -= 1
            if not wanted:
                return
            reach = math.ceil(scale * sizes[row, column] * 2)
            part = (
                slice(max(0, row - reach), row + reach + 1),
                slice(max(0, column - reach), column + reach + 1),
            )
            away = np.hypot(
                np.arange(part[0].start, min(rows, part[0].stop))[:, None] - row,
                np.arange(part[1].start, min(columns, part[1].stop))[None, :] - column,
            )
            np.minimum(allowed[part], away / np.sqrt(sizes[part] * sizes[row, column]), out=allowed[part])
        scale *= 0.96
