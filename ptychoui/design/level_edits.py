"""Levels of one pattern, changed by hand: set, inverted, scaled, mirrored. NumPy only; nothing is changed in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def with_level(levels: FloatArray, chosen: BoolArray, level: float) -> FloatArray:
    """Levels (LED,) with those of the chosen LEDs (LED,) set."""
    return np.where(chosen, min(max(level, 0.0), 1.0), levels)


def inverted(levels: FloatArray, chosen: BoolArray) -> FloatArray:
    """Levels (LED,) with 1 minus themselves for the chosen LEDs (LED,)."""
    return np.where(chosen, 1.0 - levels, levels)


def scaled_to_light(levels: FloatArray, chosen: BoolArray, exposure: float, light: float) -> FloatArray:
    """Scale the chosen levels so that the whole pattern gives a total exposure.

    Parameters
    ----------
    levels, chosen
        (LED,) of one pattern.
    exposure
        Its frame time, in frames.
    light
        Sum of level times frame time over all LEDs that is wanted: 1 is one LED at full level for one frame.

    Raises
    ------
    SettingsError
        If the chosen LEDs are dark, or an LED would have to be brighter than it can be, or less than dark.
    """
    part = float(levels[chosen].sum()) * exposure
    rest = float(levels[~chosen].sum()) * exposure
    if part <= 0:
        raise SettingsError("the chosen LEDs are dark: there is nothing to scale", "set them to a level first")
    share = (light - rest) / part
    largest = float(levels[chosen].max()) * share
    if share < 0:
        raise SettingsError(
            f"the LEDs that are not chosen give {rest:.3g} already", "choose more LEDs, or ask for more"
        )
    if largest > 1 + 1e-9:
        most = rest + part / float(levels[chosen].max())
        raise SettingsError(
            f"a total exposure of {light:g} needs an LED at level {largest:.2f}",
            f"these LEDs can give {most:.3g}; light more of them, or give the pattern a longer frame",
        )
    return np.where(chosen, np.minimum(levels * share, 1.0), levels)


def mirrored(levels: FloatArray, images: NDArray[np.int64]) -> FloatArray:
    """Levels (LED,) of the mirrored pattern: every LED takes the level of the one opposite, by places (LED,).

    An LED with none opposite (-1) becomes dark.
    """
    return np.where(images >= 0, levels[images], 0.0)


def symmetric(levels: FloatArray, images: NDArray[np.int64]) -> FloatArray:
    """Levels (LED,) of which every LED has the larger of its own level and that of the one opposite, (LED,)."""
    return np.maximum(levels, mirrored(levels, images))
