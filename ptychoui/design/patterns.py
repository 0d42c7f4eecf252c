"""A finished set of LED patterns: what is compared, shown and exported. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError, SettingsError
from ptychoui.settings import Geometry
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternSet:
    """Drive levels and exposures of M patterns on L LEDs.

    Attributes
    ----------
    levels
        (row, LED) drive levels in [0, 1]; 1 is an LED at full brightness.
    exposures
        (row,) frame times in units of one frame, above 0.
    led_numbers
        (LED,) firmware number of each LED; not its place in the list.
    positions_mm
        (LED, 3) x, y, z in mm after the array's pose.
    illumination_na
        (LED, 2) direction cosines (x, y) times the medium's index.
    row_names
        One short name per row, such as ``bright field 1``.
    geometry
        The microscope and array the patterns were made for.
    record
        Settings, versions, seed and data hash: plain values that JSON can hold.
    """

    levels: NDArray[np.float64]
    exposures: NDArray[np.float64]
    led_numbers: NDArray[np.int64]
    positions_mm: NDArray[np.float64]
    illumination_na: NDArray[np.float64]
    row_names: tuple[str, ...]
    geometry: Geometry
    name: str = "design"
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows, leds = self.levels.shape
        shapes = {
            "exposures": ((rows,), np.shape(self.exposures)),
            "led_numbers": ((leds,), np.shape(self.led_numbers)),
            "positions_mm": ((leds, 3), np.shape(self.positions_mm)),
            "illumination_na": ((leds, 2), np.shape(self.illumination_na)),
            "row_names": ((rows,), (len(self.row_names),)),
        }
        for name, (expected, found) in shapes.items():
            if tuple(found) != expected:
                raise SettingsError(f"patterns: {name} has the shape {tuple(found)}, expected {expected}")
        if not np.isfinite(self.levels).all() or self.levels.min() < 0 or self.levels.max() > 1:
            raise SettingsError(
                f"drive levels run from {self.levels.min():g} to {self.levels.max():g}; they must lie in 0 to 1",
                "divide by the largest level and lengthen the exposure instead",
            )
        if not np.isfinite(self.exposures).all() or self.exposures.min() <= 0:
            raise SettingsError(f"an exposure of {self.exposures.min():g} frames: it must be above 0")

    @property
    def lit(self) -> NDArray[np.int64]:
        """(row,) number of LEDs above zero in each pattern."""
        return np.asarray(np.count_nonzero(self.levels > 0, axis=1), dtype=np.int64)


def levels_on(patterns: PatternSet, led_numbers: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Levels (rows, LED) of patterns on other LEDs, (LED,) by their firmware numbers; those they do not know are dark.

    Raises
    ------
    DataError
        If the patterns are more or fewer than ``rows``, or light an LED that is not there.
    """
    if len(patterns.levels) != rows:
        raise DataError(
            f"{patterns.name} has {counted(len(patterns.levels), 'pattern')}, the comparison is of "
            f"{counted(rows, 'frame')}",
            f"compare with --frames {len(patterns.levels)}",
        )
    places = {int(number): place for place, number in enumerate(led_numbers)}
    lit = patterns.led_numbers[(patterns.levels > 0).any(0)]
    strange = [int(number) for number in lit if int(number) not in places]
    if strange:
        raise DataError(
            f"{patterns.name} lights LED {strange[0]}, which is not among the {len(places)} LEDs that are used here "
            f"({len(strange)} of {len(lit)} are not)",
            "give patterns for the same array, or raise array.max_illumination_na",
        )
    levels = np.zeros((rows, len(places)))
    for led, number in enumerate(patterns.led_numbers):
        if int(number) in places:
            levels[:, places[int(number)]] = patterns.levels[:, led]
    return levels
