"""Units of places in tables of LEDs: as their columns, comments and JSON members name them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ptychoui.errors import DataError

UNITS = {
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e3),
    **dict.fromkeys(("in", "inch", "inches", '"'), 25.4),
    **dict.fromkeys(("mil", "mils", "thou"), 0.0254),
}
"""Unit -> millimetres."""
UNKNOWN_UNITS = {"px", "pixel", "pixels", "deg", "degree", "degrees", "rad", "nm", "pm", "km", "ft", "pt", "°"}
NO_POSITION_MM = (0.5, 1000.0)
"""Farthest LED from the origin, below and beyond which the unit of a table is taken to be another than it seems."""
LARGEST_NA = 0.995
"""Illumination NA from which light comes from beside the sample rather than from below, where no array has LEDs."""
UNIT_HINT = "positions and pitch are in mm: are they LED indices, or in another unit? Check the height, too"
STATED = re.compile(r"\bunits?\b *(?:[:=]|of length|is|are|in)? *[\[(]?([a-z]+|\")")
"""units: um"""
SAID = re.compile(
    r"\b(?:all|everything|leds?|[xyz]|positions?|coordinates?|places?|lengths?|distances?|values|numbers)\b"
    r".*?\bin (" + "|".join(map(re.escape, UNITS)) + r")(?![a-z])"
)
"""all in cm"""


def plain_unit(name: str) -> str:
    """A unit in small letters, with u for micro."""
    return re.sub("[\u00b5\u03bc]", "u", name.strip().lower())


def unit_of_comments(comments: Iterable[str], path: Path) -> str | None:
    """The unit of places that comments state, such as ``units: um`` or ``all in cm``; None where they do not.

    Raises
    ------
    DataError
        If they state two, or one that is none of a length.
    """
    found: set[str] = set()
    for comment in map(plain_unit, comments):
        stated = STATED.search(comment)
        if stated and stated[1] in (*UNITS, *UNKNOWN_UNITS):
            found.add(stated[1])
        elif said := SAID.search(comment):
            found.add(said[1])
    if unknown := sorted(found & UNKNOWN_UNITS):
        raise DataError(
            f"{path.name}: a comment states {unknown[0]}, which is no unit of a place",
            "state places in um, mm, cm, m or inch",
        )
    if len({UNITS[unit] for unit in found}) > 1:
        raise DataError(
            f"the comments of {path.name} state several units: {', '.join(sorted(found))}",
            "write the unit into the names of the columns, as in x_mm",
        )
    return min(found, default=None)
