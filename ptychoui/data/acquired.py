"""What an acquired stack knows of its light: which LEDs shone, how strongly and how long, in every image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

FULL = 255
"""Drive value of an LED at full brightness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """The light of every image of a stack that the program took itself.

    Attributes
    ----------
    device, camera
        What they called themselves.
    design, design_sha256
        Name of the patterns and hash of their levels, exposures and LED numbers; no hash for LEDs one by one.
    led_numbers
        (LED,) firmware numbers of the columns of ``values``.
    values
        (image, LED) drive values, 0 to 255, that were shown; verified where the array tells what it shows.
    exposures_ms
        (image,) how long the camera looked.
    gain
        (LED,) measured brightness of the LEDs, 1 for the median; ones where nobody knows.
    gain_known
        Whether it was measured.
    dark_counts, dark_counts_per_ms
        Of a frame without light, subtracted from the images.
    wanted
        Number of images that were asked for.
    notes
        What was seen on the way, and the notes of the design.
    """

    device: str
    camera: str
    design: str = ""
    design_sha256: str = ""
    led_numbers: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]
    exposures_ms: tuple[float, ...]
    gain: tuple[float, ...]
    gain_known: bool = False
    dark_counts: float = 0.0
    dark_counts_per_ms: float = 0.0
    wanted: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, leds = len(self.values), len(self.led_numbers)
        if len(self.exposures_ms) != images or any(len(row) != leds for row in self.values) or len(self.gain) != leds:
            raise DataError("the record of the stack's light is damaged: its tables do not match", "acquire it again")
        if (
            any(not 0 <= value <= FULL for row in self.values for value in row)
            or min(self.exposures_ms, default=1) <= 0
        ):
            raise DataError(
                "the record of the stack's light is damaged: it holds impossible values", "acquire it again"
            )

    def light_ms(self) -> NDArray[np.float64]:
        """(image, LED) light of every LED: ms at full drive of an LED of the median brightness."""
        values = np.asarray(self.values, dtype=np.float64).reshape(len(self.values), len(self.led_numbers))
        return np.asarray(values / FULL * np.asarray(self.exposures_ms)[:, None] * np.asarray(self.gain))

    def plain(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        return asdict(self)

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> Acquired:
        """From what `plain` gave, read back from JSON.

        Raises
        ------
        DataError
            If something is missing.
        """
        lists = {name: tuple(part) for name, part in values.items() if isinstance(part, list) and name != "values"}
        rows = tuple(tuple(int(value) for value in row) for row in values.get("values", []))
        try:
            return cls(**{**values, **lists, "values": rows})
        except TypeError as problem:
            raise DataError(f"the record of the stack's light is damaged: {problem}", "acquire it again") from None
