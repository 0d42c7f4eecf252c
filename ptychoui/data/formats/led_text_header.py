"""The header of a table of LEDs as text: which column holds what, in which unit and separator."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ptychoui.data.formats.led_units import UNITS, UNKNOWN_UNITS, plain_unit, unit_of_comments
from ptychoui.errors import DataError

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
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
Row = tuple[int, str]
"""Line number from 1, and text."""


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


# ---------------------------------------------------------------------------------- lines and header


def split_rows(text: str) -> tuple[Header | None, list[Row], list[str]]:
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
    if rows and (header := header_of(rows[0][1])) is not None:
        return header, rows[1:], comments
    for comment in reversed(comments[:above]):
        header = header_of(comment)
        if header and rows and any(len(cells_of(rows[0][1], sep)) == header.width for sep in SEPARATORS):
            return header, rows, comments
    return None, rows, comments


def header_of(line: str) -> Header | None:
    """Columns that a line names, in the separator in which it names most; None without x and y."""
    best: tuple[tuple[int, int], Header] | None = None
    for separator in SEPARATORS:
        names = cells_of(line, separator)
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


def checked_header(header: Header, path: Path, notes: list[str]) -> Header:
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


def cells_of(line: str, separator: str) -> list[str]:
    """Cells of a line, without the quotes around them."""
    if separator == " ":
        return next(csv.reader([re.sub(r"\s+", " ", line.strip())], delimiter=" ", skipinitialspace=True), [])
    return next(csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t"), [])


def with_unit_row(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
    """Take a line of units under the header into it."""
    lengths = [column for what, column in header.columns.items() if what in LENGTHS]
    if not rows or not lengths:
        return header, rows
    fields = [plain_unit(f.strip(" \t[]()")) for f in cells_of(rows[0][1], header.separator)]
    if not all(column.place < len(fields) and fields[column.place] in UNITS for column in lengths):
        return header, rows
    stated = {column.what: replace(column, unit=fields[column.place]) for column in lengths}
    return replace(header, columns=header.columns | stated), rows[1:]


def with_unit_of_comments(header: Header, comments: list[str], path: Path, notes: list[str]) -> Header:
    """Take the unit that a comment states where no column names one."""
    lengths = [column for what, column in header.columns.items() if what in LENGTHS]
    if not lengths or any(column.unit for column in lengths):
        return header
    unit = unit_of_comments(comments, path)
    if unit is None:
        return header
    notes.append(f"the places of {path.name} were taken in {unit}, as its comment says")
    return replace(header, columns=header.columns | {c.what: replace(c, unit=unit) for c in lengths})


def header_of_numbers(rows: list[Row], comments: list[str], path: Path, notes: list[str]) -> Header:
    """Columns of a table of two or three numbers in each line; what was assumed is said."""
    for separator in SEPARATORS:
        lines = [[cell.strip() for cell in cells_of(line, separator)] for _, line in rows]
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
