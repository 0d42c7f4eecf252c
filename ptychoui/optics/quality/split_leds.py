"""Two halves of an LED array that each see the whole aperture: for results that share no image. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

REACH = 1.7
"""Distance up to which LEDs count as neighbours, in distances of the nearest ones: diagonal ones of a lattice, too."""

FEWEST = 8
"""LEDs below which two halves have too little overlap to mean anything."""


def two_halves(illumination_na: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(L,) True for the LEDs of the first half; neighbours go to different halves as far as they can.

    From the axis outwards each LED goes to the half that has less of its neighbours, weighted by the inverse fourth
    power of their distance, so that diagonal ones do not outweigh the nearest: a chessboard on a lattice, every other
    LED along a ring. One without neighbours goes to the half that the nearest before it did not go to.

    Parameters
    ----------
    illumination_na
        (L, 2) direction cosines.

    Raises
    ------
    DataError
        If there are too few LEDs.
    """
    na = np.asarray(illumination_na, dtype=np.float64)
    if len(na) < FEWEST:
        raise DataError(f"{len(na)} LEDs are too few for two halves", f"use at least {FEWEST}")
    distance = np.hypot(*(na[:, None] - na[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    weight = np.where(distance <= REACH * np.median(distance.min(1)), 1 / np.maximum(distance, 1e-9) ** 4, 0)
    side = np.zeros(len(na))
    for led in np.argsort(np.hypot(*na.T), kind="stable"):
        lean = float(weight[led] @ side)
        if not weight[led].any():
            # LEDs far from all others, as on a wide ring: the nearest that has a half already.
            placed = np.flatnonzero(side)
            if len(placed):
                lean = float(side[placed[np.argmin(distance[led, placed])]])
        elif abs(lean) < 1e-9 * weight[led].sum():
            lean = float(side.sum())
        side[led] = -1 if lean > 0 else 1
    return np.asarray(side > 0)
