"""LEDs that the names of a folder's images state: by column and row, or by a string of bits with a single 1.

``x``, ``ix``, ``c``, ``col`` and ``column`` count columns from the left, ``r`` and ``row`` rows from the top. ``y``
without signs counts rows from the top, too; where some are negative, x and y are coordinates from the LED on the axis,
and +y is up. The n-th bit from the left is LED n of the array.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ptychoui.data.formats.names import stem_of
from ptychoui.errors import DataError
from ptychoui.settings import Array, led_order

PAIR = re.compile(
    r"(?<![a-z])(?:led|pos|idx|index)?[ _-]?"
    r"(columns?|cols?|spalte|rows?|zeile|ix|iy|x|y|c|r)[ _=]*([+-]?)(\d{1,6})(?![\d]|[.,]\d)"
)
"""A letter or word for an axis, a sign or hyphen, and a whole number."""
AXES = {
    **dict.fromkeys(("column", "columns", "col", "cols", "spalte", "c"), "column"),
    **dict.fromkeys(("row", "rows", "zeile", "r"), "row"),
    **dict.fromkeys(("x", "ix"), "x"),
    **dict.fromkeys(("y", "iy"), "y"),
}
BITS = re.compile(r"(?<![0-9.])[01]{3,}(?![0-9])")
GROUPS = re.compile(r"(?<![0-9.])[01]+(?:([ _-])[01]+)(?:\1[01]+)+(?![0-9])")
"""Bits in groups, such as one for each row of the array."""
UNUSED = re.compile(r"(?<![a-z])(na(?:_?[xy])?|k_?[xy]|angle|theta|phi|deg|ring|row|col|column|mm|x|y|r|c)(?![a-z])")
"""Words by which names speak of an LED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPlaces:
    """What the names state of each image: column and row, or one number.

    Attributes
    ----------
    places
        (column or x, row or y) of each image; None where bits are stated.
    bits
        Place of the 1 of each image, and the number of bits; empty where columns and rows are stated.
    words
        What the numbers are, in words.
    coordinates
        The places are coordinates from the LED on the axis, +y up.
    """

    words: str
    places: tuple[tuple[int, int], ...] = ()
    bits: tuple[int, ...] = ()
    length: int = 0
    coordinates: bool = False

    @property
    def orientation(self) -> str:
        """How the places were taken, in words."""
        if self.bits:
            return "the first bit is the array's first LED"
        if self.coordinates:
            return "x to the right, y up, from the LED on the axis"
        return "columns from the left, rows from the top"


def named_places(names: Sequence[str]) -> NamedPlaces | None:
    """Places that all names state, one of its own each; None if they do not."""
    stems = [stem_of(name).lower() for name in names]
    return _bits(stems) or _pairs(stems)


def led_words(names: Sequence[str]) -> str:
    """The words by which the names seem to speak of LEDs; empty if they do not, or all say the same."""
    stems = [stem_of(name).lower() for name in names]
    if len(set(stems)) < 2:
        return ""
    found = [set(UNUSED.findall(re.sub(r"\d+", " ", stem))) for stem in stems]
    words = set.intersection(*found)
    # A single c or r may be a channel or a run.
    return ", ".join(sorted(words)) if words & {"r", "c"} in ({"r", "c"}, set()) else ""


def numbers_of_places(named: NamedPlaces, array: Array) -> list[int] | None:
    """LED number of each image; None where the layout of the array has no columns and rows, or no such LED.

    Raises
    ------
    DataError
        If a signed place is meant from the axis, and no LED of the lattice lies on it.
    """
    wanted = set(array.numbers())
    if named.bits:
        known = list(range(named.length))
        found = [known[bit] for bit in named.bits]
        return found if set(found) == wanted else None
    if array.kind == "spiral" and array.spiral_start is None:
        if not named.coordinates:
            return None
        steps = {place: number for number, place in enumerate(led_order.spiral(array.count or 0, array.spiral_steps))}
        places = [steps.get(place, -1) for place in named.places]
        return places if set(places) == wanted else None
    if array.kind not in ("lattice", "spiral"):
        return None
    number_at = {site: number for number, site in enumerate(array.board())}
    results = []
    for row_first, column_first in _origins(named, array):
        sign = -1 if named.coordinates else 1
        sites = [(row_first + sign * y, column_first + x) for x, y in named.places]
        found = [number_at.get(site, -1) for site in sites]
        if set(found) == wanted and found not in results:
            results.append(found)
    return results[0] if len(results) == 1 else None


def _origins(named: NamedPlaces, array: Array) -> list[tuple[int, int]]:
    """Row and column that the place (0, 0) may be: that of the axis, or counted from 0 or from 1."""
    if named.coordinates:
        row, column = array.center
        if not (float(row).is_integer() and float(column).is_integer()):
            raise DataError(
                f"the names of the files state coordinates ({named.words}) with signs, but no LED of the lattice lies "
                "on the axis",
                "name the files by column and row from 0, or list the LEDs as array.led_numbers of a geometry",
            )
        return [(int(row), int(column))]
    return [(-row, -column) for row in (0, 1) for column in (0, 1)]


def _bits(stems: list[str]) -> NamedPlaces | None:
    words = [max(BITS.findall(stem), key=len, default="") for stem in stems]
    if any(word.count("1") != 1 for word in words):
        words = [_joined(stem) for stem in stems]
    if any(word.count("1") != 1 for word in words):
        return None
    places = tuple(word.index("1") for word in words)
    if len({len(word) for word in words}) != 1 or len(set(places)) != len(places) or len(places) < 2:
        return None
    if len(places) < len(words[0]) < 5:
        return None  # 010 and 001 may be plain numbers
    return NamedPlaces(words=f"{len(words[0])} bits with one 1", bits=places, length=len(words[0]))


def _joined(stem: str) -> str:
    """Bits that stand in groups of one length, without what parts them."""
    groups = [re.split("[ _-]", match[0]) for match in GROUPS.finditer(stem)]
    return max(("".join(one) for one in groups if len({len(bits) for bits in one}) == 1), key=len, default="")


def _pairs(stems: list[str]) -> NamedPlaces | None:
    found: list[dict[str, tuple[str, str, int]]] = [{} for _ in stems]
    each = [PAIR.findall(stem) for stem in stems]
    for axis in ("column", "x", "row", "y"):
        mine = [[word for word in words if AXES[word[0]] == axis] for words in each]
        if len({len(words) for words in mine}) != 1:
            continue
        columns = list(zip(*mine, strict=True))
        # Of an axis that is named twice (channel c1, column c3) the one that varies is meant.
        moving = [column for column in columns if len({(sign, number) for _, sign, number in column}) > 1]
        chosen = moving if moving else columns[:1]
        if len(chosen) == 1:
            for one, (word, sign, digits) in zip(found, chosen[0], strict=True):
                one[axis] = (word, sign, int(digits))
    axes = set.intersection(*(set(one) for one in found)) if found else set()
    pair = next((p for p in (("x", "y"), ("column", "row"), ("x", "row"), ("column", "y")) if set(p) <= axes), None)
    if pair is None or len(found) < 2:
        return None
    numbers: list[list[int]] = []
    for axis in pair:
        signs = {one[axis][1] for one in found}
        # A hyphen before every number is no sign.
        hyphen = signs == {"-"} and (len({one[axis][2] for one in found}) > 1)
        numbers.append([one[axis][2] * (-1 if one[axis][1] == "-" and not hyphen else 1) for one in found])
    places = tuple(zip(numbers[0], numbers[1], strict=True))
    if len(set(places)) != len(places):
        return None
    signed = any(min(values) < 0 for values in numbers)
    if signed and pair != ("x", "y"):
        return None
    words = " and ".join(found[0][axis][0] for axis in pair)
    return NamedPlaces(words=words, places=places, coordinates=signed)
