"""Drive levels that a controller can show: whole codes, a dead zone, and what the rounding costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptychoui.errors import SettingsError

MAXIMUM_BITS = 16
SCALE_TRIALS = 257
WHOLE = 1e-6
"""Distance from a whole code, in codes, below which a level is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """Quantised patterns.

    Attributes
    ----------
    levels
        (row, LED) ``codes`` divided by the largest code, in [0, 1].
    codes
        (row, LED) whole numbers from 0 to 2**bits - 1.
    exposure_scale
        (row,) factor for the row's exposure, so that the row's total light stays what it was.
    relative_error
        (row,) ``|level - exposure_scale * quantised level| / |level|``, Euclidean norms over the LEDs.
    bits
        Bits of a code.
    """

    levels: NDArray[np.float64]
    codes: NDArray[np.int64]
    exposure_scale: NDArray[np.float64]
    relative_error: NDArray[np.float64]
    bits: int


def quantise(levels: ArrayLike, bits: int, minimum_code: int = 0) -> Quantised:
    """Round drive levels to what a controller of so many bits can show.

    Every row is rounded on its own: among all roundings ``q = round(level / scale)`` the one is taken that
    minimises ``|level - s q|`` under ``s sum(q) = sum(level)``. So the row keeps its light, and ``s``, in
    units of the largest code, is a correction of the exposure. For one bit every threshold is tried, so the
    result is the best of all LED subsets that treat equal levels alike; for more bits a fine set of scales. A row of
    whole codes, as learned with ``design.drive_bits``, stays as it is.

    Parameters
    ----------
    levels
        (row, LED) drive levels in [0, 1].
    bits
        1 (LEDs on or off) to 16.
    minimum_code
        Smallest code above zero that makes an LED shine; codes between are rounded to it or to zero.

    Raises
    ------
    SettingsError
        If a number is outside its range.
    """
    values = np.asarray(levels, dtype=np.float64)
    if not 1 <= bits <= MAXIMUM_BITS:
        raise SettingsError(f"{bits} bits per level: it must be 1 to {MAXIMUM_BITS}", "most controllers have 8")
    top = 2**bits - 1
    if not 0 <= minimum_code <= top:
        raise SettingsError(f"a smallest code of {minimum_code}: with {bits} bits it must be 0 to {top}")
    if values.ndim != 2 or not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise SettingsError(
            f"levels of shape {values.shape} cannot be quantised: expected (row, LED) in 0 to 1",
            "divide by the largest level and lengthen the exposure instead",
        )
    codes = np.zeros(values.shape, dtype=np.int64)
    scale, error = np.ones(len(values)), np.zeros(len(values))
    for row, level in enumerate(values):
        if not level.any():
            continue
        whole = np.rint(level * top)
        if np.abs(level * top - whole).max() < WHOLE and whole[whole > 0].min(initial=top) >= minimum_code:
            codes[row] = whole.astype(np.int64)
            continue
        trials = _thresholds(level) if bits == 1 else _roundings(level, top, max(minimum_code, 1))
        codes[row], scale[row], error[row] = _best(level, trials, top)
    return Quantised(levels=codes / top, codes=codes, exposure_scale=scale, relative_error=error, bits=bits)


def _thresholds(level: NDArray[np.float64]) -> NDArray[np.int64]:
    """(trial, LED) on-off patterns: all LEDs at or above each level that occurs."""
    cuts = np.unique(level[level > 0])
    return np.asarray(level >= cuts[:, None], dtype=np.int64)


def _roundings(level: NDArray[np.float64], top: int, smallest: int) -> NDArray[np.int64]:
    """(trial, LED) codes for full-scale levels from 40 % to 110 % of the row's largest, and 1 itself."""
    full = np.append(level.max() * np.linspace(0.4, 1.1, SCALE_TRIALS), [1.0, level.max()])
    codes = np.rint(np.minimum(level / full[:, None], 1.0) * top).astype(np.int64)
    dead = codes < smallest
    codes[dead] = np.where(codes[dead] * 2 >= smallest, smallest, 0)
    codes[:, level == 0] = 0
    return np.asarray(codes[codes.any(axis=1)])


def _best(level: NDArray[np.float64], trials: NDArray[np.int64], top: int) -> tuple[NDArray[np.int64], float, float]:
    """The trial with the smallest error once its light is that of the row, its scale and that error."""
    if not len(trials):  # every code fell into the dead zone: the brightest LEDs alone, at full level
        trials = np.where(level == level.max(), top, 0).astype(np.int64)[None]
    shown = trials / top
    scales = level.sum() / shown.sum(axis=1)
    errors = np.linalg.norm(level - scales[:, None] * shown, axis=1)
    place = int(np.argmin(errors))
    return trials[place], float(scales[place]), float(errors[place] / np.linalg.norm(level))
