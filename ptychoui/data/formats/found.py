"""What a reader found in a file: settings, LEDs, facts and notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptychoui.data.dataset import Fact
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.missing_settings import WORDS
from ptychoui.errors import DataError

ORIENTATION = (
    "the orientation of the LED array follows the layout's custom; check it: the 8 variants of flip and swap differ, "
    "and array.pose in a geometry sets them"
)

CORRECTIONS = ("expo", "dark", "background")
"""What names of variables hold that seem to correct the images."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a file states.

    Attributes
    ----------
    values
        Settings that the file states, by name.
    leds
        LEDs of the images, where the file states them.
    images
        Number of images; None where it is not known before the geometry is.
    """

    path: Path
    layout: str
    facts: list[Fact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    leds: Leds | None = None
    images: int | None = None

    def state(self, setting: str, value: float | None, source: str, assumed: bool = False) -> None:
        """Record a setting that the file states; None where it does not."""
        if value is None:
            return
        if not math.isfinite(value):
            raise DataError(f"{self.path.name}: {source} is {value}, not a number", "state it in a geometry")
        words, unit, _ = WORDS[setting]
        self.values[setting] = float(value)
        self.tell(words, float(value), unit, source, assumed)

    def tell(
        self, name: str, value: float | int | str, unit: str = "", source: str = "", assumed: bool = False
    ) -> None:
        """Record anything else for the report."""
        self.facts.append(Fact(name=name, value=value, unit=unit, source=source, assumed=assumed))

    def tell_images(self, images: int, rows: int, columns: int, source: str) -> None:
        """Record the number and size of the images."""
        self.images = images
        self.tell("images", f"{images} of {rows} x {columns} pixels", "", source)

    def tell_leds(self, leds: Leds, source: str, orientation: str = "", note: str = "") -> None:
        """Record the LEDs of the images, and how their axes were taken."""
        self.leds = leds
        self.tell("LEDs", len(leds), "", source)
        order = "the file's order" if leds.numbers is None else "the numbers stated"
        self.tell(
            "LED numbers",
            "counted from 0" if leds.numbers is None else f"{min(leds.numbers)} to {max(leds.numbers)}",
            "",
            order if leds.numbers else f"{order}: no firmware number is stated",
            assumed=leds.numbers is None,
        )
        if orientation:
            self.tell("axes of the LEDs", orientation, "", note or "the custom of the layout", assumed=True)
            self.notes.append(ORIENTATION)

    def tell_unused(self, names: Iterable[str]) -> None:
        """Note variables of the file that seem to hold exposures or dark frames, which no custom gives a meaning."""
        found = sorted(name for name in names if any(word in name.lower() for word in CORRECTIONS))
        if found:
            self.notes.append(
                f"the file holds {', '.join(found)[:120]}, which were not used: if the images are not corrected yet, "
                "state exposures and dark_level in [images] of a geometry"
            )

    def tell_unused_per_image(self, sizes: Mapping[str, int], images: int) -> None:
        """Note variables, name -> number of elements, that hold one number for each image and were not used."""
        found = sorted(
            name
            for name, size in sizes.items()
            if size == images > 1 and not any(word in name.lower() for word in CORRECTIONS)
        )
        if found:
            self.notes.append(
                f"the file holds {', '.join(found)[:120]} with one number for each of the {images} images, which "
                f"{'was' if len(found) == 1 else 'were'} not used: state exposures or gains in [images], or the order "
                "of the LEDs as led_numbers, in a geometry"
            )

    def tell_scale(self, what: str, why: str) -> None:
        """Record how stored values became light."""
        self.tell("grey values", what, "", why)

    def tell_shift(self, bits: int) -> None:
        """Record that the values lie at the top of their words."""
        self.tell(
            "bits in use", 16 - bits, "", f"all values are multiples of {2**bits}; dark_level is in the file's unit"
        )

    def report(self) -> dict[str, Any]:
        """What was read, as plain values."""
        return {"layout": self.layout, "images": self.images, "facts": list(self.facts), "notes": list(self.notes)}
