"""Tables of LEDs as text, as spreadsheets and scripts write them: columns by name and unit, in any common separator.

The header names the columns, in any order: ``number``, ``x``, ``y`` and, where wanted, ``z`` (height above the array's
plane, towards the sample) or ``distance`` (from the sample), each with its unit as in ``x_mm``, ``x [um]`` or ``x/m``;
``na_x``, ``na_y`` are direction cosines. Cells are separated by commas, semicolons, tabs or blanks; decimals have a
point, or a comma where commas do not separate. Lines that begin with ``#``, ``%`` or ``//`` are comments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.led_text_header import (
    COMMENT,
    CSV_HEADER,
    LENGTHS,
    NUMBER,
    SEPARATORS,
    Column,
    Header,
    Row,
    cells_of,
    checked_header,
    header_of,
    header_of_numbers,
    split_rows,
    with_unit_of_comments,
    with_unit_row,
)
from ptychoui.data.formats.led_units import NO_POSITION_MM, UNITS
from ptychoui.errors import DataError
from ptychoui.words import counted

BRIGHTNESS = re.compile(r"bright|intens|hellig|power|gain|flux|current|\bma\b", re.IGNORECASE)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")
"""A number that may have separators of thousands: 8,000 or 8.000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """LEDs of a table: ``places_mm`` (LED, [x, y, z]) or ``directions`` (LED, [x, y]), the other is None.

    Attributes
    ----------
    numbers
        Number of each LED, or None where no column states it.
    height_mm
        Distance of the array's plane from the sample, where the table states it.
    notes
        What was assumed, or not used.
    said
        One sentence that says what it is.
    """

    places_mm: NDArray[np.float64] | None = None
    directions: NDArray[np.float64] | None = None
    numbers: tuple[int, ...] | None
    height_mm: float | None = None
    notes: tuple[str, ...]
    said: str


def is_led_text(text: str) -> bool:
    """Whether the start of a text, perhaps cut within a line, has the header of a table of LED positions."""
    if text.lstrip()[:1] in ("{", "["):
        return False
    return any(header_of(COMMENT.sub("", line)) for line in text.splitlines()[:50] if len(line) < 1000)


def read_led_text(text: str, path: Path, encoding: str = "UTF-8") -> TextTable:
    """Read the table in a text.

    Raises
    ------
    DataError
        If it is no such table, with the line that is wrong, or the header that is wanted.
    """
    notes: list[str] = []
    header, rows, comments = split_rows(text)
    if header is None:
        header = header_of_numbers(rows, comments, path, notes)
    else:
        header, rows = with_unit_row(header, rows)
        header = checked_header(with_unit_of_comments(header, comments, path, notes), path, notes)
    if not rows:
        raise DataError(f"{path.name} holds no LED", f"after the header expected lines of {','.join(CSV_HEADER)}")
    cells = _cells(header, rows, path)
    numbers = _numbers(header, cells, path)
    if numbers is None:
        notes.append(f"{path.name} has no column of LED numbers: they are counted from 0 in the order of the lines")
    _tell_unused(header, path, notes)
    where = "in the order of the lines" + ("" if encoding == "UTF-8" else f"; text in {encoding}")
    count = counted(len(cells), "LED")
    if "x" not in header.columns:
        directions = _table(header, cells, ("na_x", "na_y"), path)
        said = f"directions of {count} as direction cosines, {where}"
        return TextTable(directions=directions, numbers=numbers, notes=tuple(notes), said=said)
    places = _table(header, cells, LENGTHS, path)
    _check_unit(header, places, path)
    height = _height(header, places, path, notes)
    said = f"positions of {count} in mm, {where}"
    return TextTable(places_mm=places[:, :3], numbers=numbers, height_mm=height, notes=tuple(notes), said=said)


# ---------------------------------------------------------------------------------- cells


def _cells(header: Header, rows: list[Row], path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every LED, in the separator that fits the header best."""
    separators = sorted(SEPARATORS, key=lambda separator: separator != header.separator)
    wanted = [column.place for column in header.columns.values()]

    def fits(separator: str) -> bool:
        cells = cells_of(rows[0][1], separator)
        return len(cells) == header.width and all(NUMBER.fullmatch(cells[place].strip()) for place in wanted)

    separator = next((s for s in separators if fits(s)), header.separator)
    needed = 1 + max(column.place for what, column in header.columns.items() if what not in ("z", "distance"))
    found = []
    for line, text in rows:
        cells = cells_of(text, separator)
        while len(cells) > header.width and not cells[-1].strip():
            cells.pop()
        if not needed <= len(cells) <= header.width:
            raise DataError(
                f"{path.name}: line {line} has {counted(len(cells), 'value')}, the header names {header.width} columns",
                "use semicolons or tabs between the columns where decimals have a comma"
                if len(cells) > header.width
                else f"expected {','.join(CSV_HEADER)}",
            )
        found.append((line, cells + [""] * (header.width - len(cells))))
    return found


def _numbers(header: Header, cells: list[tuple[int, list[str]]], path: Path) -> tuple[int, ...] | None:
    """Number of every LED; None where no column states it."""
    column = header.columns.get("number")
    if column is None:
        return None
    found: dict[int, int] = {}
    for line, row in cells:
        word = row[column.place].strip()
        digits = re.fullmatch(r"(?:led)?[ _#-]*([0-9]{1,9})(?:[.,]0+)?", word, re.IGNORECASE | re.ASCII)
        if digits is None:
            raise DataError(f"{path.name}: {word[:20]!r} is not an LED number", "LED numbers are 0, 1, 2, ...")
        number = int(digits[1])
        if number in found:
            raise DataError(f"{path.name}: LED {number} is listed twice, again in line {line}")
        found[number] = line
    return tuple(found)


def _table(header: Header, cells: list[tuple[int, list[str]]], names: Sequence[str], path: Path) -> NDArray[np.float64]:
    """(LED, name) numbers of some columns, lengths in mm; a column that is not there is 0."""
    table = np.zeros((len(cells), len(names)))
    comma = point = ""
    for place, name in enumerate(names):
        column = header.columns.get(name)
        if column is None:
            continue
        for row, (line, texts) in enumerate(cells):
            word = texts[column.place].strip().replace("\N{MINUS SIGN}", "-")
            comma, point = comma or word * ("," in word), point or word * ("." in word)
            table[row, place] = _number(word, line, name, path) * UNITS[column.unit or "mm"]
        _refuse_thousands(column, [texts[column.place].strip() for _, texts in cells], path)
    if comma and point:
        raise DataError(
            f"{path.name} has decimals with a point ({point[:20]}) and with a comma ({comma[:20]})",
            "write all decimals in one way, and no separators of thousands",
        )
    return table


def _refuse_thousands(column: Column, words: list[str], path: Path) -> None:
    """Refuse a column of lengths whose every mark may group digits, where that gives places that an array can have.

    In mm 8.000 is no 8000: so far away no LED stands.
    """
    words = [word.replace("\N{MINUS SIGN}", "-") for word in words]
    marked = [word for word in words if "," in word or "." in word]
    if column.what not in LENGTHS or not marked or not all(map(GROUPED.fullmatch, marked)):
        return
    scale = UNITS[column.unit or "mm"]
    grouped = max(abs(float(re.sub("[.,]", "", word))) * scale for word in marked)
    low, high = NO_POSITION_MM
    if low <= grouped <= high:
        plain = re.sub("[.,]", "", marked[0])
        raise DataError(
            f"{path.name}: in the column {column.name} it is open whether {marked[0]} is {plain} or "
            f"{float(marked[0].replace(',', '.')):.1f}",
            "write the numbers without separators of thousands, and decimals with a point: 8000 or 8.0",
        )


def _check_unit(header: Header, places: NDArray[np.float64], path: Path) -> None:
    """Refuse places that no array has in the unit named, or in mm where none is."""
    farthest = float(np.abs(np.nan_to_num(places[:, :2])).max())
    low, high = NO_POSITION_MM
    if len(places) < 2 or low <= farthest <= high:
        return
    if (unit := header.columns["x"].unit) is not None:
        raise DataError(
            f"{path.name}: LEDs up to {farthest:g} mm from the axis are hardly meant (places in {unit})",
            "check the unit in the header, and write the numbers without separators of thousands: 8000 or 8.0",
        )
    raise DataError(
        f"{path.name} states no unit, and LEDs up to {farthest:g} mm from the axis are hardly meant",
        f"write the unit into the header, for example {','.join(CSV_HEADER)}",
    )


def _number(word: str, line: int, name: str, path: Path) -> float:
    if not word and name in ("z", "distance"):
        return 0.0
    if NUMBER.fullmatch(word):
        return float(word.replace(",", "."))
    if word.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float("nan")
    what = "nothing" if not word else "something that is not a number"
    hint = f"{word[:20]!r} stands where {name} is expected" + (
        "; separators of thousands are not read" if word.count(",") + word.count(".") > 1 else ""
    )
    raise DataError(f"{path.name}: line {line} holds {what}", hint)


def _height(header: Header, places: NDArray[np.float64], path: Path, notes: list[str]) -> float | None:
    """Distance of the array's plane from the sample where the table states it; z then counts from that plane.

    z is the height above the array's plane. Where it is the same for all LEDs, or below zero for all, it counts from
    the sample.
    """
    z = places[:, 2]
    stated = next((name for name in ("distance", "height") if name in header.columns), None)
    if stated is not None:
        values = places[:, LENGTHS.index(stated)]
        if not np.all(values > 0):
            raise DataError(f"{path.name}: a {stated} is not above 0 mm", "correct the table of LEDs")
        if stated == "height" and np.any(values != values[0]):
            raise DataError(
                f"{path.name}: the heights of the LEDs differ, and from where they count is not said",
                "name the column distance_mm (from the sample) or z_mm (above the array's plane)",
            )
        if not np.any(z):
            places[:, 2] = values.max() - values
        return float(values.max())
    if not np.isfinite(z).all() or not np.any(z):
        return None
    if len(z) > 1 and np.all(z == z[0]):
        notes.append(f"all LEDs of {path.name} have z = {z[0]:g} mm: taken as their distance from the sample")
    elif np.all(z < 0):
        notes.append(f"z of all LEDs of {path.name} is below 0 mm: it was taken to count from the sample")
    else:
        return None
    farthest = float(np.abs(z).max())
    places[:, 2] = farthest - np.abs(z)
    return farthest


def _tell_unused(header: Header, path: Path, notes: list[str]) -> None:
    """Name the columns that were not used."""
    if not header.unused:
        return
    one = len(header.unused) == 1
    note = (
        f"the column{'' if one else 's'} {', '.join(header.unused)[:120]} of {path.name} "
        f"{'was' if one else 'were'} not used"
    )
    if any(BRIGHTNESS.search(name) for name in header.unused):
        note += ": if the images are not corrected for it yet, state the brightness of the LEDs as gains in [images]"
    notes.append(note)
