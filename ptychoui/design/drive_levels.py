"""Patterns that an LED array can show: whole codes, a largest number of LEDs at once, no saturated camera. NumPy only.

What is learned are continuous levels; what shines is their rounding. Rules, each row on its own:

1. a level is rounded to the nearest of the 2**bits codes, half a code upwards;
2. of the LEDs that are left those with the highest levels shine, as many as may. Equal levels are taken in an order
   that jumps over the array, so that no side of it is preferred;
3. a row whose levels all round to zero keeps its brightest LED, at the smallest code: an exposure of nothing tells
   nothing, and nothing could be learned from it;
4. a row that would saturate the camera has a shorter frame, for an LED that is on or off cannot be dimmed, and coarse
   codes that are dimmed are another pattern. It gets the light that it would have if it were dimmed. What is left of
   its time is not given to other rows, so that the total exposure is kept to and never exceeded, and designs of any
   level, whose rows are dimmed, are compared fairly; where exposures are learned, they move to where time is of use;
5. a row that would saturate even in the shortest frame loses LEDs of the bright field, the faintest first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.settings import Design

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole part, lie evenly between 0 and 1 however many there are."""


def shown_levels(
    levels: FloatArray, mask: BoolArray, design: Design, open_light: FloatArray, brightest: float
) -> FloatArray:
    """Levels that shine, of continuous ones: rules 1, 2, 3 and 5 of the module.

    Parameters
    ----------
    levels
        (M, L) in [0, 1].
    mask
        (M, L), the LEDs that each row may light.
    design
        Its ``drive_bits``, ``maximum_lit`` and ``minimum_exposure`` are looked at.
    open_light
        (L,) light of each LED at full level where there is no object, in units of one LED on axis; 0 in the dark field.
    brightest
        Largest light of a row that does not saturate the camera, level times frame time.

    Returns
    -------
    (M, L) whole codes divided by the largest, or any levels where ``drive_bits`` is left out.
    """
    levels = np.where(mask, levels, 0.0)
    shown = levels.copy()
    order = np.lexsort((np.broadcast_to((np.arange(levels.shape[1]) * GOLDEN) % 1, levels.shape), -levels), axis=1)
    if design.drive_bits is not None:
        top = 2**design.drive_bits - 1
        shown = np.floor(levels * top + 0.5) / top
    if design.maximum_lit is not None:
        np.put_along_axis(shown, order[:, design.maximum_lit :], 0.0, axis=1)
    if design.drive_bits is not None:
        for row in np.flatnonzero(mask.any(1) & ~shown.any(1)):
            shown[row, next(led for led in order[row] if mask[row, led])] = 1 / (2**design.drive_bits - 1)
    most = brightest / design.minimum_exposure
    for row in np.flatnonzero((shown * open_light).sum(1) > most):
        ranked = [led for led in order[row] if shown[row, led] * open_light[led] > 0]
        kept = np.cumsum(shown[row, ranked] * open_light[ranked]) <= most
        # The brightest stays where it is alone: that it saturates is for the feasibility to say.
        kept[0] |= np.count_nonzero(shown[row]) == len(ranked)
        shown[row, np.array(ranked)[~kept]] = 0.0
    return np.asarray(shown, dtype=np.float64)


def longest_frames(shown: FloatArray, open_light: FloatArray, brightest: float, shortest: float) -> FloatArray:
    """(M,) frame time at which each row of shown levels (M, L) just does not saturate, at least the shortest frame.

    ``open_light`` (L,) and ``brightest`` as in `shown_levels`; infinite for rows without direct light.
    """
    light = (shown * open_light).sum(1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(brightest / light, shortest))
