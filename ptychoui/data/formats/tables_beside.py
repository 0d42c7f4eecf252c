"""Small tables beside images, such as ``exposures.csv``: used where they are plain, else named as unused.

A table is plain where each line is about one image: by a column of file names, by the LED that the file's name states
too, or as the images follow each other. Its columns have names, and exposures a unit: ``file, led, exposure_ms``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.led_table import is_led_json, read_led_table
from ptychoui.data.formats.led_text import is_led_text
from ptychoui.data.formats.led_text_header import COMMENT, SEPARATORS
from ptychoui.data.formats.names import natural_key, stem_of
from ptychoui.data.formats.stated_names import StatedNames, keyed, members_per_image, name_of_members
from ptychoui.data.formats.stated_order import stated_leds
from ptychoui.errors import PtychouiError
from ptychoui.settings import Geometry
from ptychoui.text import text_of

SUFFIXES = {".csv", ".tsv", ".txt", ".dat", ".log", ".json"}
UNREAD = {".xlsx", ".xls", ".ods", ".yaml", ".yml", ".ini", ".xml", ".mat", ".npy"}
"""Tables that are named by their names alone."""
COUNTING = re.compile(
    r"(?:frame|image|img|picture|page|slice|step)[ _-]*(?:no|nr|number|index|idx|id)?\.?", re.IGNORECASE
)
"""Names of columns that count the images."""
LARGEST = 2**20
SPEAKS = re.compile(r"expos|leds?(?![a-z])|order|sequence|gain|bright|positions?|illum", re.IGNORECASE)
"""Names of tables that are named where they cannot be read, however many lines they have."""
OTHERS = {"metadata.txt", "info.json", "requirements.txt"}
NUMBER = re.compile(r"[-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines of a table as members, in the order of the file; without a header the columns are numbered."""

    rows: list[dict[str, Any]]
    has_header: bool = True


def tables_in_folder(folder: Path, names: Sequence[str], geometry: Geometry, draft: Draft) -> list[StatedNames]:
    """What the tables in a folder state of its images, whose files have these ``names``."""
    return _of_tables(_candidates(folder, ""), names, geometry, draft)


def tables_beside_stack(path: Path, images: int, geometry: Geometry, draft: Draft) -> list[StatedNames]:
    """What tables beside a stack that begin with its name state of its images."""
    stem = stem_of(path.name)
    own = _candidates(path.parent, stem)
    _tell_common(path, [file for file in _candidates(path.parent, "") if file not in own], images, geometry, draft)
    return _of_tables(own, [""] * images, geometry, draft)


def _candidates(folder: Path, start: str) -> list[Path]:
    try:
        found = [
            file
            for file in folder.iterdir()
            if (file.suffix.lower() in SUFFIXES or (file.suffix.lower() in UNREAD and SPEAKS.search(file.stem)))
            and file.name.startswith(start or file.name[:1])
            and not file.name.startswith(".")
            and file.name.lower() not in OTHERS
            and not file.name.lower().endswith("_metadata.txt")
            and file.is_file()
            and 0 < file.stat().st_size
            and (SPEAKS.search(file.stem) or file.stat().st_size <= LARGEST)
        ]
    except OSError:
        return []
    return sorted(found, key=lambda file: natural_key(file.name))


def _tell_common(path: Path, files: Sequence[Path], images: int, geometry: Geometry, draft: Draft) -> None:
    """Name tables beside a stack that may be about any file of the folder."""
    for file in files:
        table = _read(file) if file.suffix.lower() in SUFFIXES and file.stat().st_size <= LARGEST else None
        if SPEAKS.search(file.stem) and table and len(table.rows) == images > 1 and not _in_use(file, geometry):
            draft.notes.append(
                f"{file.name} beside it has a line for each of the {images} images and was not used: "
                f"if it is about them, call it {stem_of(path.name)}_{file.name}"
            )


def _of_tables(files: Sequence[Path], names: Sequence[str], geometry: Geometry, draft: Draft) -> list[StatedNames]:
    found = []
    for file in files:
        if file.suffix.lower() in UNREAD or file.stat().st_size > LARGEST:
            draft.notes.append(
                f"{file.name} beside the images was not read: if it is about them, save it as CSV with the columns "
                "file, led, exposure_ms"
            )
            continue
        if _in_use(file, geometry):
            continue
        if (leds := _led_positions(file)) is not None:
            if leds == len(names) or SPEAKS.search(file.stem):
                draft.notes.append(
                    f"{file.name} is a table of {leds} LED positions, which was not used: if it is that of these "
                    f'images, write [array] positions_file = "{file.name}" in a geometry'
                )
            continue
        table = _read(file)
        stated = _stated(file, table, names, geometry, draft) if table and names else None
        if stated is not None:
            found.append(stated)
        elif SPEAKS.search(file.stem) or (table and len(table.rows) == len(names) > 1):
            draft.notes.append(
                f"{file.name} beside the images was not used: for that it needs a line for each image, a name for each "
                "column (file, led, exposure_ms), and each LED once"
            )
    return found


def _stated(file: Path, table: Table, names: Sequence[str], geometry: Geometry, draft: Draft) -> StatedNames | None:
    """The lines in the order of the images; None where that is not known, or they state nothing that is used."""
    rows, by = _matched(table.rows, names, geometry)
    if rows is None or not table.has_header:
        return None
    texts = tuple(map(name_of_members, rows))
    if not any(texts):
        return None
    columns = list(dict.fromkeys(key for row in rows for key in row))
    used = [key for key in columns if any(keyed(key, row.get(key)) for row in rows)]
    rest = [key for key in columns if key not in used and key != by]
    if by:
        draft.notes.append(f"{', '.join(used)} of {file.name} belong to the images by its column {by}")
    else:
        how = "the images follow each other" + (", by their names in natural order" if any(names) else "")
        draft.notes.append(
            f"the lines of {file.name} ({', '.join(used)}) were taken as {how}: it does not name the files"
        )
    if rest:
        draft.notes.append(f"{', '.join(rest)[:120]} of {file.name} {'was' if len(rest) == 1 else 'were'} not used")
    return StatedNames(texts=texts, source=file.name)


def _matched(
    rows: list[dict[str, Any]], names: Sequence[str], geometry: Geometry
) -> tuple[list[dict[str, Any]] | None, str]:
    """The lines in the order of the images, and the column by which they were found."""
    if any(names):
        wanted = [{name.lower(), stem_of(name).lower()} for name in names]
        for key in dict.fromkeys(key for row in rows for key in row):
            cells = [str(row.get(key, "")).replace("\\", "/").rpartition("/")[2].strip().lower() for row in rows]
            places = [[place for place, cell in enumerate(cells) if cell in one] for one in wanted]
            if all(len(one) == 1 for one in places):
                return [rows[one[0]] for one in places], key
    if len(rows) != len(names):
        return None, ""
    for key in (key for key in rows[0] if COUNTING.fullmatch(key)):
        cells = [str(row.get(key, "")) for row in rows]
        counts = [int(cell) for cell in cells if re.fullmatch("[0-9]{1,6}", cell)]
        if sorted(counts) in (list(range(len(rows))), list(range(1, len(rows) + 1))):
            return [row for _, row in sorted(zip(counts, rows, strict=True), key=lambda pair: pair[0])], key
    by_names = stated_leds(names, geometry.array) if any(names) else None
    if by_names is not None:
        leds = stated_leds([name_of_members(row) for row in rows], geometry.array)
        if leds is not None:
            key = next((key for key in rows[0] if keyed(key, rows[0][key]).startswith("led")), "of LEDs")
            return [rows[leds.index(number)] for number in by_names], key
    return rows, ""


def _in_use(file: Path, geometry: Geometry) -> bool:
    """Whether the geometry's LEDs are those of a table."""
    array = geometry.array
    if array.kind != "table" or array.positions_mm is None or _led_positions(file) is None:
        return False
    leds, _ = read_led_table(file)
    try:
        known = leds.settings({"array.height_mm": array.height_mm, "microscope.wavelength_um": 1.0})
    except PtychouiError:
        return False
    stated = np.array(known.get("array.positions_mm", np.empty((0, 3))), dtype=float).reshape(-1, 3)[:, :2]
    return all(
        len(stated) and float(np.abs(stated - np.array(place[:2])).max(axis=1).min()) < 1e-6
        for place in array.positions_mm
    )


def _led_positions(file: Path) -> int | None:
    """Number of LEDs of a table of LED positions; None for other files."""
    found = text_of(file.read_bytes())
    if found is None:
        return None
    try:
        if found[0].lstrip()[:1] == "{":
            is_table = is_led_json(json.loads(found[0]))
        else:
            is_table = is_led_text(found[0]) and not _whole_places(_read(file))
        return len(read_led_table(file)[0]) if is_table else None
    except (PtychouiError, ValueError, RecursionError):
        return None


def _whole_places(table: Table | None) -> bool:
    """Whether x and y without a unit are whole numbers, as places on a lattice are."""
    return table is not None and all(
        all(re.fullmatch(r"[-+]?[0-9]{1,3}", str(row.get(key, ""))) for key in ("x", "y")) for row in table.rows
    )


def _read(file: Path) -> Table | None:
    """The lines of a text or JSON with names for its columns; None for what is no table."""
    found = text_of(file.read_bytes())
    if found is None:
        return None
    text = found[0].strip()
    if file.suffix.lower() == ".json" or text[:1] in ("{", "["):
        return _of_json(text)
    lines = [line for line in text.splitlines() if line.strip(",;\t ") and not line.lower().startswith("sep=")]
    comments = [COMMENT.sub("", line) for line in lines if COMMENT.match(line)]
    lines = [line for line in lines if not COMMENT.match(line)]
    best: list[list[str]] = []
    for separator in SEPARATORS:
        cells = [_cells(line, separator) for line in lines]
        if len({len(row) for row in cells}) == 1 and (not best or len(cells[0]) > len(best[0])):
            best = cells
            header = [_cells(comment, separator) for comment in comments]
    if not best:
        return None
    has_numbers = any(NUMBER.fullmatch(cell) for row in best[1:] for cell in row)
    is_header = not any(map(NUMBER.fullmatch, best[0])) and (has_numbers or any(keyed(cell, "1") for cell in best[0]))
    named = best[0] if is_header else next((one for one in reversed(header) if len(one) == len(best[0])), None)
    rows = best[1:] if is_header else best
    if named and len(set(named)) < len(named):
        named = None  # which of two columns of one name is meant is not known
    keys = named or [f"column {place + 1}" for place in range(len(best[0]))]
    return Table(rows=[dict(zip(keys, row, strict=True)) for row in rows], has_header=named is not None)


def _of_json(text: str) -> Table | None:
    """Lists of one length, a list of objects, or objects by the names of files."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(values, list) and values and all(isinstance(one, dict) for one in values):
        return Table(rows=values)
    if not isinstance(values, Mapping):
        return None
    if values and all(isinstance(one, dict) for one in values.values()):
        return Table(rows=[{"file": key} | one for key, one in values.items()])
    lengths = {len(value) for value in values.values() if isinstance(value, list)}
    return Table(rows=members_per_image(values, lengths.pop())[0]) if len(lengths) == 1 else None


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        line = re.sub(r"\s+", " ", line.strip())
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]
