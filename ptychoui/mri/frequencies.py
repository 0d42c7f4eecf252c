"""The frequencies along an axis, zero first: which lie in the middle, how far out they are, how many are wanted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError


def central(size: int, count: int) -> NDArray[np.bool_]:
    """The ``count`` lowest frequencies of an axis, zero frequency first.

    Parameters
    ----------
    size
        Samples along the axis.
    count
        How many are marked: -count // 2 rounded up to (count - 1) // 2, so that an even count has one more below zero.

    Returns
    -------
    ndarray
        (size,) bool.

    Raises
    ------
    SettingsError
        If there are fewer samples than are to be marked, or a count below 0.
    """
    if not 0 <= count <= size:
        raise SettingsError(
            f"{count} calibration lines do not fit {size} lines", f"calibration lies between 0 and {size} lines"
        )
    marked = np.zeros(size, dtype=bool)
    marked[np.arange(-(count // 2), count - count // 2)] = True
    return marked


def radius(size: int) -> NDArray[np.float64]:
    """(size,) distance from the zero frequency, which comes first, as a share of the largest."""
    distance: NDArray[np.float64] = np.abs(np.fft.fftfreq(size)) * size / max(1, size // 2)
    return distance


def samples_wanted(samples: int, net_acceleration: float, calibration: int, unit: str) -> int:
    """How many of ``samples`` are measured at a net acceleration: the nearest whole number.

    Parameters
    ----------
    samples, calibration
        All of them, and those of the calibration.
    net_acceleration
        All samples divided by those measured, calibration counted, from 1.
    unit
        What to call them in an error, such as "lines".

    Raises
    ------
    SettingsError
        If the acceleration is below 1, or leaves none or fewer than the calibration has.
    """
    if not (math.isfinite(net_acceleration) and net_acceleration >= 1):
        raise SettingsError(
            f"a net acceleration of {net_acceleration:g} is not possible", "it is 1 (all is measured) or more"
        )
    wanted = round(samples / net_acceleration)
    if wanted < max(1, calibration):
        raise SettingsError(
            f"a net acceleration of {net_acceleration:g} leaves {wanted} of {samples} {unit}, "
            f"fewer than the {calibration} of the calibration"
            if calibration
            else f"a net acceleration of {net_acceleration:g} leaves none of {samples} {unit}",
            f"choose an acceleration of at most {samples / max(1, calibration):.3g}, or a smaller calibration",
        )
    return wanted
