"""What one pattern asks of an array, and what a device of 8 bits makes of it. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.words import counted

FULL = 255
"""Largest drive value of the protocols: all have 8 bits."""
USUAL_BRIGHTNESS = 0.1
"""Share of full drive unless another is asked for: an array at full drive is hot, and blinds whoever looks at it."""
CHANNEL_MA = 20.0
"""Current of one colour of one LED at full drive in mA, where nothing else is known."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "white": (1, 1, 1),
}
"""Which of red, green and blue shine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Levels of LEDs by their firmware numbers; LEDs that are not named are dark.

    Attributes
    ----------
    numbers
        (LED,) firmware numbers, each once.
    levels
        (LED,) in 0 to 1.
    name
        What to call it in sentences.

    Raises
    ------
    SettingsError
        If shapes differ, a number occurs twice, or a level is outside 0 to 1.
    """

    numbers: NDArray[np.int64]
    levels: NDArray[np.float64]
    name: str = "pattern"

    def __post_init__(self) -> None:
        if np.ndim(self.numbers) != 1 or np.shape(self.numbers) != np.shape(self.levels):
            raise SettingsError(
                f"{self.name}: {np.shape(self.levels)} levels for {np.shape(self.numbers)} LED numbers",
                "give one level for each LED",
            )
        if len(np.unique(self.numbers)) != len(self.numbers):
            raise SettingsError(f"{self.name} names an LED twice", "correct array.led_numbers in the geometry")
        levels = np.asarray(self.levels, dtype=np.float64)
        if not (np.isfinite(levels) & (levels >= 0) & (levels <= 1)).all():
            raise SettingsError(f"{self.name} has levels outside 0 to 1", "divide by the largest level")


def frames_of(patterns: PatternSet) -> list[Frame]:
    """One frame per row of a pattern set, levels as they stand there."""
    numbers = np.asarray(patterns.led_numbers, dtype=np.int64)
    return [
        Frame(numbers=numbers, levels=np.asarray(levels, dtype=np.float64), name=name)
        for levels, name in zip(patterns.levels, patterns.row_names, strict=True)
    ]


def drive_values(frame: Frame, n_leds: int, brightness: float) -> NDArray[np.uint8]:
    """(n_leds,) 8-bit drive values: round(level x brightness), brightness itself rounded to 8 bits.

    Raises
    ------
    SettingsError
        If a lit LED has a number that the array does not have: firmware does not check it.
    """
    lit = np.asarray(frame.levels) > 0
    strange = np.asarray(frame.numbers)[lit & ((frame.numbers < 0) | (frame.numbers >= n_leds))]
    if len(strange):
        raise SettingsError(
            f"{frame.name} lights LED {int(strange[0])}, and the array has {counted(n_leds, 'LED')}, 0 to {n_leds - 1}",
            "correct array.led_numbers in the geometry: they are the numbers of the firmware",
        )
    values = np.zeros(n_leds, dtype=np.uint8)
    top = np.rint(brightness * FULL)
    values[frame.numbers[lit]] = np.rint(np.asarray(frame.levels)[lit] * top).astype(np.uint8)
    return values


def distinct_levels(values: NDArray[np.uint8]) -> int:
    """Number of different drive values above 0 in values of any shape."""
    return int(np.count_nonzero(np.unique(values)))


def current_ma(values: NDArray[np.uint8], channels: int) -> float:
    """Estimated current in mA of drive values of any shape with so many colours each."""
    return float(values.astype(np.float64).sum() / FULL * channels * CHANNEL_MA)
