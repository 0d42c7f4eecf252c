"""Tables of LEDs as text, as spreadsheets and scripts write them: columns by name and unit, in any common separator.

The header names the columns, in any order: ``number``, ``x``, ``y`` and, where wanted, ``z`` (height above the array's
plane, towards the sample) or ``distance`` (from the sample), each with its unit as in ``x_mm``, ``x [um]`` or ``x/m``;
``na_x``, ``na_y`` are direction cosines. Cells are separated by commas, semicolons, tabs or blanks; decimals have a
point, or a comma where commas do not separate. Lines that begin with ``#``, ``%`` or ``//`` are comments.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.led_units import NO_POSITION_MM, UNITS, UNKNOWN_UNITS, plain_unit, unit_of_comments
from ptychoui.errors import DataError
from ptychoui.words import counted

CSV_HEADER = ("number", "x_mm", "y_mm", "z_mm")
WANTED = f"write the columns into the first line, for example {','.join(CSV_HEADER)}"
SEPARATORS = (",", ";", "\t", " ")
FILLERS = {"pos", "position", "coord", "coordinate", "koordinate", "led", "leds", "location", "place", "of", "the"}
NUMBER_NAMES = {
    *("number", "no", "nr", "num", "nummer", "n", "id", "index", "idx", "led", "leds", "#", "numero", "numéro"),
    *("ledno", "lednr", "lednum", "lednumber", "ledid", "ledindex", "lednummer"),
}
DIRECTION_NAMES = {"na", "nax", "nay", "cos", "cosine"}
DISTANCE_NAMES = {
    "distance": "distance",
    "dist": "distance",
    "abstand": "distance",
    "height": "height",
    "höhe": "height",
}
LENGTHS = ("x", "y", "z", "distance", "height")
COMMENT = re.compile(r"\s*(#+|%+|//+) *(?=[^\s,;]|$)")
"""What begins a comment; a # right before a separator is the name of a column."""
BRIGHTNESS = re.compile(r"bright|intens|hellig|power|gain|flux|current|\bma\b", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")
"""A number that may have separators of thousands: 8,000 or 8.000."""
Row = tuple[int, str]
"""Line number from 1, and text."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one column holds: number, na_x, na_y or one of `LENGTHS`, whose unit is None where none is named."""

    what: str
    place: int
    name: str
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The columns of a table by what they hold.

    Attributes
    ----------
    twice
        Columns that hold what another holds already.
    unused
        Names of the columns that were not understood.
    width
        Number of columns.
    separator
        Between the names.
    """

    columns: dict[str, Column]
    twice: tuple[Column, ...] = ()
    unused: tuple[str, ...] = ()
    width: int
    separator: str


def is_led_text(text: str) -> bool:
    """Whether the start of a text, perhaps cut within a line, has the header of a table of LED positions."""
    if text.lstrip()[:1] in ("{", "["):
        return False
    return any(_header(COMMENT.sub("", line)) for line in text.splitlines()[:50] if len(line) < 1000)


def read_led_text(text: str, path: Path, encoding: str = "UTF-8") -> TextTable:
    """Read the table in a text.

    Raises
    ------
    DataError
        If it is no such table, with the line that is wrong, or the header that is wanted.
    """
    notes: list[str] = []
    header, rows, comments = _split(text)
    if header is None:
        header = _without_header(rows, comments, path, notes)
    else:
        header, rows = _unit_row(header, rows)
        header = _checked(_with_unit_of_comments(header, comments, path, notes), path, notes)
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


# ---------------------------------------------------------------------------------- lines and header


def _split(text: str) -> tuple[Header | None, list[Row], list[str]]:
    """Header, lines of LEDs and comments; where no line names columns, a comment may, as NumPy writes it."""
    rows: list[Row] = []
    comments: list[str] = []
    above = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip(",;\t ") or line.strip().lower().startswith("sep="):
            continue
        if not COMMENT.match(line):
            rows.append((number, line))
        else:
            comments.append(COMMENT.sub("", line))
            above += not rows
    if rows and (header := _header(rows[0][1])) is not None:
        return header, rows[1:], comments
    for comment in reversed(comments[:above]):
        header = _header(comment)
        if header and rows and any(len(_fields(rows[0][1], sep)) == header.width for sep in SEPARATORS):
            return header, rows, comments
    return None, rows, comments


def _header(line: str) -> Header | None:
    """Columns that a line names, in the separator in which it names most; None without x and y."""
    best: tuple[tuple[int, int], Header] | None = None
    for separator in SEPARATORS:
        names = _fields(line, separator)
        columns: dict[str, Column] = {}
        twice, unused = [], []
        for place, name in enumerate(names):
            column = _column(name.strip(), place)
            if column is None:
                unused.append(name.strip())
            elif column.what in columns:
                twice.append(column)
            else:
                columns[column.what] = column
        if not ({"x", "y"} <= set(columns) or {"na_x", "na_y"} <= set(columns)):
            continue
        if "x" in columns:
            unused += [columns.pop(what).name for what in ("na_x", "na_y") if what in columns]
        score = (len(columns), -len(unused) - len(twice))
        if best is None or score > best[0]:
            named = tuple(name for name in unused if name)
            found = Header(columns=columns, twice=tuple(twice), unused=named, width=len(names), separator=separator)
            best = score, found
    return best[1] if best else None


def _column(name: str, place: int) -> Column | None:
    """What a cell of the header names; None where it names nothing that is used."""
    lower = plain_unit(name)
    lower = re.sub(r"(?<![a-zà-ÿ])([xyz])(um|mm|cm|inch)(?![a-zà-ÿ])", r"\1 \2", lower)
    words = re.findall(r'[a-zà-ÿ]+|#|"|°', lower)
    if re.search(r"[0-9]", lower) or not words:
        return None
    unit = words[-1] if len(words) > 1 and words[-1] in (*UNITS, *UNKNOWN_UNITS) else None
    if unit:
        words = words[:-2] if words[-2] == "in" else words[:-1]  # "x in mm"
    essential = [word for word in words if word not in FILLERS]
    if unit is None and all(word in NUMBER_NAMES for word in essential or words):
        return Column(what="number", place=place, name=name)
    if unit is None and set(essential) & DIRECTION_NAMES and len(essential) <= 2:
        axes = [word for word in essential if word in ("x", "y")] or [essential[0][-1]]
        return Column(what=f"na_{axes[0]}", place=place, name=name) if axes[0] in ("x", "y") else None
    if len(essential) != 1 or DISTANCE_NAMES.get(essential[0], essential[0]) not in LENGTHS:
        return None
    return Column(what=DISTANCE_NAMES.get(essential[0], essential[0]), place=place, name=name, unit=unit)


def _checked(header: Header, path: Path, notes: list[str]) -> Header:
    """Refuse a header that can be read in two ways, and give lengths without a unit that of the others, else mm."""
    for column in header.twice:
        what = {"number": "LED's number"}.get(column.what, column.what)
        raise DataError(
            f"two columns of {path.name} hold the {what}: {header.columns[column.what].name} and {column.name}",
            "leave one of them out, or name it otherwise",
        )
    lengths = [column for what, column in header.columns.items() if what in LENGTHS]
    for column in lengths:
        if column.unit in UNKNOWN_UNITS:
            raise DataError(
                f"{path.name}: the column {column.name} is in {column.unit}, which is no unit of a place",
                "state places in um, mm, cm, m or inch",
            )
    units = {column.unit for column in lengths if column.unit}
    unstated = [column.what for column in lengths if column.unit is None]
    if unstated:
        if len(units) > 1:
            raise DataError(f"{path.name} states no unit for {', '.join(unstated)}", WANTED)
        unit = next(iter(units), None)
        as_others = f"{unit}, as the other columns" if unit else "mm"
        notes.append(f"{path.name} states no unit for {', '.join(unstated)}: taken as {as_others}")
        if unit:
            filled = {c.what: replace(c, unit=unit) for c in lengths}
            return replace(header, columns=header.columns | filled)
    return header


def _fields(line: str, separator: str) -> list[str]:
    """Cells of a line, without the quotes around them."""
    if separator == " ":
        return next(csv.reader([re.sub(r"\s+", " ", line.strip())], delimiter=" ", skipinitialspace=True), [])
    return next(csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t"), [])


def _unit_row(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
    """Take a line of units under the header into it."""
    lengths = [column for what, column in header.columns.items() if what in LENGTHS]
    if not rows or not lengths:
        return header, rows
    fields = [plain_unit(f.strip(" \t[]()")) for f in _fields(rows[0][1], header.separator)]
    if not all(column.place < len(fields) and fields[column.place] in UNITS for column in lengths):
        return header, rows
    stated = {column.what: replace(column, unit=fields[column.place]) for column in lengths}
    return replace(header, columns=header.columns | stated), rows[1:]


def _with_unit_of_comments(header: Header, comments: list[str], path: Path, notes: list[str]) -> Header:
    """Take the unit that a comment states where no column names one."""
    lengths = [column for what, column in header.columns.items() if what in LENGTHS]
    if not lengths or any(column.unit for column in lengths):
        return header
    unit = unit_of_comments(comments, path)
    if unit is None:
        return header
    notes.append(f"the places of {path.name} were taken in {unit}, as its comment says")
    return replace(header, columns=header.columns | {c.what: replace(c, unit=unit) for c in lengths})


def _without_header(rows: list[Row], comments: list[str], path: Path, notes: list[str]) -> Header:
    """Columns of a table of two or three numbers in each line; what was assumed is said."""
    for separator in SEPARATORS:
        lines = [[cell.strip() for cell in _fields(line, separator)] for _, line in rows]
        width = len(lines[0]) if lines else 0
        if width not in (2, 3) or not all(len(cells) == width and all(map(NUMBER.fullmatch, cells)) for cells in lines):
            continue
        names = ("x", "y", "z")[:width]
        firsts = [cells[0] for cells in lines]
        if width == 3 and all(word.isdigit() and len(word) < 10 for word in firsts):
            counting = sorted(map(int, firsts))
            if counting[0] <= 1 and counting == list(range(counting[0], counting[0] + len(counting))):
                names = ("number", "x", "y")
        unit = unit_of_comments(comments, path)
        notes.append(f"{path.name} has no header: its columns were taken as {', '.join(names)} in {unit or 'mm'}")
        columns = {
            name: Column(what=name, place=place, name=name, unit=unit if name in LENGTHS else None)
            for place, name in enumerate(names)
        }
        return Header(columns=columns, width=width, separator=separator)
    raise DataError(f"{path.name} is not a table of LED positions: no line names columns x and y", WANTED)


# ---------------------------------------------------------------------------------- cells


def _cells(header: Header, rows: list[Row], path: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every LED, in the separator that fits the header best."""
    separators = sorted(SEPARATORS, key=lambda separator: separator != header.separator)
    wanted = [column.place for column in header.columns.values()]

    def fits(separator: str) -> bool:
        cells = _fields(rows[0][1], separator)
        return len(cells) == header.width and all(NUMBER.fullmatch(cells[place].strip()) for place in wanted)

    separator = next((s for s in separators if fits(s)), header.separator)
    needed = 1 + max(column.place for what, column in header.columns.items() if what not in ("z", "distance"))
    found = []
    for line, text in rows:
        cells = _fields(text, separator)
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
