"""Tables of LED positions: the JSON of the Waller arrays and their firmware, and text with columns (`led_text`).

JSON: ``led_position_list_cartesian`` {"number": [x, y, z]} in mm and ``led_position_list_na`` {"number": [x, y]} in
direction cosines, as the firmware illuminate prints them (rounded to 0.01 mm and 0.001), or ``led_list``
[{x, y, z, board_index}] in mm, whose entries may have a ``number`` or an ``index``; a member ``units`` states another
unit than mm. In both kinds z is the LED's distance from the sample; 0 means that it is not stated.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.led_text import is_led_text, read_led_text
from ptychoui.data.formats.led_text_header import CSV_HEADER, WANTED
from ptychoui.data.formats.led_units import LARGEST_NA, NO_POSITION_MM, UNIT_HINT, UNITS, plain_unit
from ptychoui.errors import DataError
from ptychoui.text import text_of
from ptychoui.words import counted

JSON_KEYS = ("led_position_list_cartesian", "led_position_list_na", "led_list")
TABLE_HEIGHT_MM = 100.0
"""Height at which LEDs known by their directions only are placed: on a flat array any height gives the directions."""
LARGEST_MM = 5000.0
LEAST_NA = 1e-4
LARGEST_TABLE = 2**26
OWN_NUMBERS = ("number", "led_number", "index", "led_index")
"""Members of the entries of ``led_list`` that number the LEDs, the first that is there."""
SAME_NA = 0.005
"""Largest difference of direction cosines that comes from rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leds:
    """LEDs of a data file or a table: exactly one of the first four is given.

    Attributes
    ----------
    positions_mm
        (LED, 3) x, y, z; z is the height above the array's plane, towards the sample.
    directions
        (LED, 2) direction cosines x, y at the sample.
    per_um
        (LED, 2) spatial frequencies x, y in 1/um: directions once the wavelength is known.
    steps
        (LED, 2) places x, y on a square lattice in LED pitches: positions once the pitch is known.
    numbers
        Firmware number of each LED, or None where they are counted from 0 in this order.
    height_mm
        Distance of the array's plane from the sample, where it is stated.
    notes
        What was assumed of a table, or not used.
    listed
        The user lists these LEDs in the order of the images.
    """

    positions_mm: NDArray[np.float64] | None = None
    directions: NDArray[np.float64] | None = None
    per_um: NDArray[np.float64] | None = None
    steps: NDArray[np.float64] | None = None
    numbers: tuple[int, ...] | None = None
    height_mm: float | None = None
    notes: tuple[str, ...] = ()
    listed: bool = False

    def __post_init__(self) -> None:
        found = [v for v in (self.positions_mm, self.directions, self.per_um, self.steps) if v is not None]
        if len(found) != 1 or found[0].ndim != 2 or 0 in found[0].shape:
            raise DataError("a table of LEDs must have one line of two or three numbers for each LED")
        bad = ~np.isfinite(found[0]).all(axis=1)
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} LEDs have a position that is NaN or infinite, the first is LED {int(bad.argmax())} "
                "of the table",
                "correct the table of LEDs",
            )

    def __len__(self) -> int:
        return len(next(v for v in (self.positions_mm, self.directions, self.per_um, self.steps) if v is not None))

    def other_height(self, height_mm: float | None) -> bool:
        """Whether the table states another height than this one."""
        if self.height_mm is None or height_mm is None:
            return False
        return not math.isclose(self.height_mm, height_mm, rel_tol=1e-3)

    def needs(self) -> tuple[str, ...]:
        """Settings without which these LEDs have no positions, besides the height."""
        if self.per_um is not None:
            return ("microscope.wavelength_um",)
        return ("array.pitch_mm",) if self.steps is not None else ()

    @property
    def places_are_made(self) -> bool:
        """True if the LEDs are known by directions, for which positions at some height are made up."""
        return self.directions is not None or self.per_um is not None

    def settings(self, known: dict[str, Any]) -> dict[str, Any]:
        """Settings of the array that place these LEDs, as far as ``known`` settings allow.

        Raises
        ------
        DataError
            If an LED lies at or beyond the horizon or too far away, with its place in the table.
        """
        if any(known.get(name) is None for name in self.needs()):
            return {}
        values: dict[str, Any] = {"array.kind": "table"}
        if self.numbers is not None:
            values["array.led_numbers"] = self.numbers
        if self.height_mm is not None:
            values["array.height_mm"] = self.height_mm
        if self.positions_mm is not None:
            places = self.positions_mm
        elif self.steps is not None:
            flat = self.steps * float(known["array.pitch_mm"])
            places = np.column_stack([flat, np.zeros(len(flat))])
        else:
            values["array.height_mm"] = TABLE_HEIGHT_MM
            height = float(known.get("array.height_mm") or TABLE_HEIGHT_MM)
            places = _on_plane(self._cosines(known), height)
        if not np.abs(places).max() < LARGEST_MM:
            worst = int(np.abs(places).max(axis=1).argmax())
            raise DataError(
                f"LED {worst} of the table lies {np.abs(places).max():.4g} mm from the array's centre, "
                f"beyond {LARGEST_MM:g} mm",
                "check the unit of the positions, and the directions of the LEDs",
            )
        if not self.places_are_made:
            _refuse_horizon(places, known, known.get("array.height_mm") or self.height_mm)
        values["array.positions_mm"] = tuple(tuple(row) for row in places.tolist())
        return values

    def _cosines(self, known: dict[str, Any]) -> NDArray[np.float64]:
        if self.directions is not None:
            return self.directions
        assert self.per_um is not None
        return np.asarray(self.per_um * float(known["microscope.wavelength_um"]))


def _on_plane(cosines: NDArray[np.float64], height_mm: float) -> NDArray[np.float64]:
    """(LED, 3) positions on a flat array from which light arrives with these direction cosines."""
    with np.errstate(over="ignore"):
        sine = np.hypot(cosines[:, 0], cosines[:, 1])
    beyond = sine >= LARGEST_NA
    if beyond.any():
        raise DataError(
            f"{int(beyond.sum())} LEDs have an illumination NA of {LARGEST_NA:g} or more, the first is LED "
            f"{int(beyond.argmax())} of the table with {sine[beyond.argmax()]:.4g}",
            "direction cosines lie below 1: check the unit and the wavelength",
        )
    if len(sine) > 1 and 0 < sine.max() < LEAST_NA:
        raise DataError(
            f"all LEDs lie within an illumination NA of {sine.max():.2g} of the axis, which no array has",
            "check the unit of the directions: direction cosines, or wave numbers in rad/m",
        )
    flat = height_mm * cosines / np.sqrt(1 - sine**2)[:, None]
    return np.column_stack([flat, np.zeros(len(flat))])


def _refuse_horizon(places: NDArray[np.float64], known: dict[str, Any], height_mm: float | None) -> None:
    """Refuse places from which light arrives nearly along the sample, as far as a shift does not bring them nearer."""
    if height_mm is None:
        return
    shift = math.hypot(*(float(known.get(f"array.pose.shift_{axis}_mm") or 0.0) for axis in "xy"))
    aside = np.hypot(places[:, 0], places[:, 1]) - shift
    sine = np.maximum(aside, 0) / np.hypot(aside, height_mm - places[:, 2])
    beyond = (sine >= LARGEST_NA) & (places[:, 2] < height_mm)
    if beyond.any():
        worst = int(sine.argmax())
        raise DataError(
            f"{counted(int(beyond.sum()), 'LED has', 'LEDs have')} an illumination NA of {LARGEST_NA:g} or more: LED "
            f"{worst} of the table lies {aside[worst]:.4g} mm from the axis, {height_mm:g} mm below the sample",
            UNIT_HINT,
        )


def is_led_json(values: Any) -> bool:
    """Whether decoded JSON is a table of LED positions."""
    return isinstance(values, dict) and any(key in values for key in JSON_KEYS)


def is_led_csv(start: bytes) -> bool:
    """Whether the first bytes of a file are the header of a table of LED positions."""
    found = text_of(start) or text_of(start[:-1])  # a character may be cut
    return found is not None and is_led_text(found[0])


def read_led_table(path: Path) -> tuple[Leds, str]:
    """Read a table of LEDs; returns it and one sentence that says what it is.

    Raises
    ------
    DataError
        If the file is missing or not such a table, with the line or the LED that is wrong.
    """
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST_TABLE):
            raise DataError(f"{path.name} is not a file of at most 64 MiB", "check the path of the LED table")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}", "check the path of the LED table") from None
    found = text_of(raw)
    if found is not None and found[0].lstrip()[:1] in ("{", "["):
        return led_table_of(load_json(raw, path), path)
    if found is None or not found[0].strip():
        raise DataError(f"{path.name} is {'empty' if not raw else 'no text'}, not a table of LED positions", WANTED)
    table = read_led_text(found[0], path, found[1])
    leds = Leds(
        positions_mm=table.places_mm,
        directions=table.directions,
        numbers=table.numbers,
        height_mm=table.height_mm,
        notes=table.notes,
    )
    return leds, table.said


def led_table_of(values: Any, path: Path) -> tuple[Leds, str]:
    """The table in decoded JSON, and one sentence that says what it is."""
    if not is_led_json(values):
        raise DataError(
            f"{path.name} is not a table of LED positions",
            f"expected JSON with {', '.join(JSON_KEYS)}, or CSV with the header {','.join(CSV_HEADER)}",
        )
    key = next(key for key in JSON_KEYS if key in values)
    unit = _unit(values, path)
    notes: list[str] = []
    length = 2 if key == "led_position_list_na" else 3
    if key == "led_list":
        if not isinstance(values[key], list):
            raise DataError(f"{path.name}: led_list is not a list")
        places = [[_member(led, axis, path, n) for axis in "xyz"] for n, led in enumerate(values[key])]
        rows = dict(zip(_own_numbers(values[key], path), places, strict=True))
    else:
        if not isinstance(values[key], dict):
            raise DataError(f"{path.name}: {key} is not an object of LED numbers")
        rows = {_number(n, path): v for n, v in values[key].items()}
    if not rows:
        raise DataError(f"{path.name}: {key} holds no LED", "copy the file again")
    numbers = tuple(sorted(rows))
    if list(rows) != list(numbers):
        notes.append(f"the LEDs of {path.name} were brought into the order of their numbers")
    table = np.array([numbers_of(rows[n], length, f"{path.name}: LED {n}") for n in numbers])
    if length == 2:
        return Leds(directions=table, numbers=numbers, notes=tuple(notes)), (
            f"directions of {len(numbers)} LEDs as direction cosines, numbers {numbers[0]} to {numbers[-1]}"
        )
    table *= UNITS[unit]
    aside = float(np.abs(table[:, :2]).max())
    if len(table) > 1 and aside > 0 and not NO_POSITION_MM[0] <= aside <= NO_POSITION_MM[1]:
        raise DataError(
            f"{path.name}: LEDs up to {aside:g} mm from the axis are hardly meant (places in {unit})",
            'places are in mm; state another unit as a member, such as "units": "um"',
        )
    if key != JSON_KEYS[1] and JSON_KEYS[1] in values:
        notes.extend(_other_directions(values[JSON_KEYS[1]], dict(zip(numbers, table, strict=True)), path))
    said = f"positions of {len(numbers)} LEDs in {unit}, numbers {numbers[0]} to {numbers[-1]}"
    farthest = float(table[:, 2].max())
    if not np.any(table[:, 2]):
        leds = Leds(positions_mm=table, numbers=numbers, notes=tuple(notes))
        return leds, f"{said}; their distance from the sample is not stated"
    # z is the distance from the sample; ours counts from the plane of the farthest LED towards it.
    table = np.column_stack([table[:, :2], farthest - table[:, 2]])
    if farthest <= 0 or np.any(table[:, 2] >= farthest):
        raise DataError(f"{path.name}: an LED is not below the sample (z must be above 0 mm)", "z is its distance")
    leds = Leds(positions_mm=table, numbers=numbers, height_mm=farthest, notes=tuple(notes))
    return leds, f"{said}; the farthest is {farthest:g} mm from the sample"


def _unit(values: dict[str, Any], path: Path) -> str:
    """The unit of the places, which a member of the table may state; mm where none does."""
    stated = next((values[name] for name in ("units", "unit") if values.get(name) is not None), "mm")
    unit = plain_unit(stated) if isinstance(stated, str) else ""
    if unit not in UNITS:
        raise DataError(
            f"{path.name}: {str(stated)[:20]!r} is no unit of a place", "state places in um, mm, cm, m or inch"
        )
    return unit


def _own_numbers(leds: list[Any], path: Path) -> list[int]:
    """Number of every entry of ``led_list``: its own, or its place where none has one."""
    for name in OWN_NUMBERS:
        numbers = [led.get(name) for led in leds]
        if all(number is None for number in numbers):
            continue
        known: set[int] = set()
        for place, number in enumerate(numbers):
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 10**9:
                raise DataError(
                    f"{path.name}: entry {place} of led_list has no whole number as its {name!r}",
                    "give every LED a number, or none of them",
                )
            if number in known:
                raise DataError(f"{path.name}: LED {number} is listed twice", f"correct {name!r} in led_list")
            known.add(number)
        return numbers
    return list(range(len(leds)))


def _other_directions(stated: Any, places: dict[int, NDArray[np.float64]], path: Path) -> list[str]:
    """A note where directions beside the places (x, y, distance in mm) contradict them, which win."""
    if not isinstance(stated, dict):
        return [f"led_position_list_na of {path.name} was not used: it is not an object of LED numbers"]
    if {str(number) for number in places} != set(stated):
        return [f"led_position_list_na of {path.name} was not used: it lists other LEDs than the positions"]
    worst, number = 0.0, 0
    for number_of, place in places.items():
        directions = numbers_of(stated[str(number_of)], 2, f"{path.name}: LED {number_of} of led_position_list_na")
        if place[2] > 0 and (off := float(np.abs(place[:2] / np.linalg.norm(place) - directions).max())) > worst:
            worst, number = off, number_of
    if worst <= SAME_NA:
        return []
    return [
        f"led_position_list_na of {path.name} contradicts the positions, by {worst:.2g} for LED {number}: "
        "the positions were used"
    ]


def load_json(raw: bytes, path: Path) -> Any:
    """Decode JSON; what is wrong is told with its line, also the trailing commas that some programs write."""
    found = text_of(raw)
    if found is None:
        raise DataError(f"{path.name} is not valid JSON: it is no text", "copy the file again")
    try:
        return json.loads(found[0])
    except json.JSONDecodeError as error:
        before = error.doc[: error.pos].rstrip()
        after = error.doc[error.pos :].lstrip()[:1]
        if (before.endswith(",") and after and after in "]}") or "trailing comma" in error.msg:
            line = before.count("\n") + 1
            raise DataError(
                f"{path.name} is not valid JSON: a comma too many in line {line}, before the closing bracket",
                "remove that comma: JSON has none after the last entry",
            ) from None
        raise DataError(
            f"{path.name} is not valid JSON: {error.msg[0].lower()}{error.msg[1:]} in line {error.lineno}, "
            f"column {error.colno}",
            "correct that line, or copy the file again",
        ) from None
    except (RecursionError, ValueError):
        raise DataError(f"{path.name} is not valid JSON", "copy the file again") from None


def numbers_of(value: Any, count: int, what: str) -> list[float]:
    """A JSON list of ``count`` finite numbers, or a `DataError` that starts with ``what``."""
    if not isinstance(value, list) or len(value) != count or not all(is_number(v) for v in value):
        raise DataError(f"{what} is not a list of {count} numbers")
    return [float(v) for v in value]


def is_number(value: Any) -> bool:
    """A finite number that fits a double; JSON also knows true, NaN and integers of any length."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _member(led: Any, axis: str, path: Path, number: int) -> float:
    value = led.get(axis) if isinstance(led, dict) else None
    if not is_number(value):
        raise DataError(f"{path.name}: LED {number} of led_list has no number {axis!r}")
    return float(value)  # type: ignore[arg-type]


def _number(text: str, path: Path) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DataError(f"{path.name}: {text[:20]!r} is not an LED number", "LED numbers are 0, 1, 2, ...")
    return int(text)
