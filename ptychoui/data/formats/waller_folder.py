"""Folders of TIFF files with a ``SystemSetup.m`` (Waller lab): numbers of its simple assignments, never executed.

``lambda`` [um], ``NA``, ``mag``, ``dpix_c`` camera pixel [um], ``ds_led`` LED pitch [um], ``z_led`` LED distance [um],
``dia_led`` diameter of the disc of LEDs used, in LEDs; ``nstart``, ``ncent`` first and central camera pixel of the tile
(row, column, from 1) and ``Np`` its size. The program lists the LEDs of a square grid with rho < dia_led / 2 by columns
and moves the window by (row, column) = -(row, column) of the LED, less the tile's place in the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.folder import read_folder
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import Leds
from ptychoui.errors import DataError
from ptychoui.text import text_of

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
ASSIGNMENT = re.compile(rf"([A-Za-z]\w*)[ \t]*=[ \t]*({NUMBER})")
VECTOR = re.compile(rf"([A-Za-z]\w*)[ \t]*=[ \t]*\[[ \t]*({NUMBER}(?:[ \t,]+{NUMBER}){{0,3}})[ \t]*\]")
CHANGED = re.compile(r"(?<![\w.])([A-Za-z]\w*)(?:\.\w+|\([^()]*\)|\{[^{}]*\})*[ \t]*(?:[-+*/^.]*=(?!=)|\+\+|--)")
"""A name that a statement changes: a = .., a(1) = .., a.b = .., a += .., a++."""
SEVERAL = re.compile(r"\[([^\[\]]*)\][ \t]*=(?!=)")
"""[a, b] = .."""
OPENING = re.compile(r"(?:if|switch|for|parfor|while|try|do|spmd|unwind_protect|function)\b")
CLOSING = re.compile(r"(?:end(?:if|switch|for|parfor|while|function|_try_catch|_unwind_protect)?|until)\b")
STRING = re.compile(r'(?<![\w)\]}.\'])\'(?:[^\'\n]|\'\')*\'|"(?:[^"\n]|"")*"')
"""Text; after a name or a bracket a quote is MATLAB's transposition."""
USED = ("lambda", "NA", "mag", "dpix_c", "z_led", "ds_led", "dia_led", "nstart", "ncent", "Np")
LARGEST_SCRIPT = 2**20
LARGEST_DISC = 512


def setup_script(folder: Path) -> Path | None:
    """The set-up script of a folder, if it has one."""
    try:
        return next((f for f in sorted(folder.iterdir()) if f.name.lower() == "systemsetup.m" and f.is_file()), None)
    except OSError:
        return None


def read_waller_folder(folder: Path, given: GivenGeometry) -> ImageStack:
    """Read the images of a folder whose set-up script describes the microscope."""
    script = setup_script(folder)
    assert script is not None
    values, notes = _assigned(script)
    draft = Draft(path=folder, layout="folder of TIFF files with SystemSetup.m", notes=notes)
    for setting, name, scale in (
        ("microscope.wavelength_um", "lambda", 1.0),
        ("microscope.objective_na", "NA", 1.0),
        ("microscope.magnification", "mag", 1.0),
        ("microscope.camera_pixel_um", "dpix_c", 1.0),
        ("array.height_mm", "z_led", 1e-3),
        ("array.pitch_mm", "ds_led", 1e-3),
    ):
        if name in values:
            unit = "" if name in ("NA", "mag") else " [um]"
            draft.state(setting, _one(values, name, script) * scale, f"`{name}` of {script.name}{unit}")
    _leds(values, script, draft)
    return read_folder(folder, given, draft)


def assignments(script: Path) -> dict[str, list[float]]:
    """Name -> numbers of every plain assignment of a number or a short vector of numbers; the last one wins.

    A name that is changed in another way after that, or under a condition, is left out: its value is not known without
    executing the script. Functions and comments are not looked at.
    """
    return _assigned(script)[0]


def _assigned(script: Path) -> tuple[dict[str, list[float]], list[str]]:
    """The assignments, and notes on names with several values."""
    try:
        with script.open("rb") as file:
            raw = file.read(LARGEST_SCRIPT + 1)
    except OSError as error:
        raise DataError(f"cannot read {script.name}: {error.strerror}", "check its permissions") from None
    if len(raw) > LARGEST_SCRIPT:
        raise DataError(f"{script.name} is larger than 1 MiB, not a set-up script", "copy the file again")
    found: dict[str, list[list[float]]] = {}
    unknown: set[str] = set()
    text = text_of(raw)
    if text is None:
        raise DataError(f"{script.name} is no text", "copy the file again")
    for statement, inside in _statements(text[0]):
        match = ASSIGNMENT.fullmatch(statement) or VECTOR.fullmatch(statement)
        if match and not inside:
            found.setdefault(match[1], []).append([float(word) for word in re.split(r"[ \t,]+", match[2])])
            unknown.discard(match[1])
            continue
        unknown |= {name[1] for name in CHANGED.finditer(statement)}
        for names in SEVERAL.finditer(statement):
            unknown |= set(re.findall(r"[A-Za-z]\w*", names[1]))
    notes = [
        f"{script.name} computes {name}, or sets it under a condition: its value is not known, state it in a geometry"
        for name in USED
        if name in unknown
    ]
    for name in USED:
        if name not in unknown and any(value != found[name][-1] for value in found.get(name, [])):
            last = ", ".join(f"{number:g}" for number in found[name][-1])
            notes.append(f"{script.name} assigns {name} several times: the last value, {last}, was taken")
    return {name: values[-1] for name, values in found.items() if name not in unknown}, notes


def _statements(text: str) -> Iterator[tuple[str, bool]]:
    """Statements of a script without comments, texts and functions, and whether each stands inside a block."""
    blocks: list[bool] = []  # of every open block, whether it is a function
    for statement in _split(_without_comments(text)):
        opening = OPENING.match(statement)
        if opening:
            blocks.append(opening[0] == "function")
        if not any(blocks):
            yield statement, bool(blocks)
        if CLOSING.match(statement) and blocks:
            blocks.pop()


def _without_comments(text: str) -> str:
    """The code of a script: continued lines are joined, texts are emptied."""
    lines: list[str] = []
    depth, joined = 0, False
    for line in text.splitlines():
        if line.strip() in ("%{", "#{"):
            depth += 1
        elif line.strip() in ("%}", "#}") and depth:
            depth -= 1
        elif not depth:
            code, continued, _ = re.split("[%#]", STRING.sub("''", line), maxsplit=1)[0].partition("...")
            if joined:
                lines[-1] += " " + code
            else:
                lines.append(code)
            joined = bool(continued)
    return "\n".join(lines)


def _split(code: str) -> Iterator[str]:
    """Statements between semicolons, commas and ends of lines that stand outside of brackets."""
    start = depth = 0
    for place, sign in enumerate(code + "\n"):
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth = max(depth - 1, 0)
        elif sign == "\n" or (sign in ";," and not depth):
            if sign == "\n":
                depth = 0
            if statement := code[start:place].strip():
                yield statement
            start = place + 1


def _one(values: dict[str, list[float]], name: str, script: Path) -> float:
    if len(values[name]) != 1 or not np.isfinite(values[name][0]):
        raise DataError(f"{script.name}: {name} is not one number", "correct the script")
    return values[name][0]


def _leds(values: dict[str, list[float]], script: Path, draft: Draft) -> None:
    if "dia_led" not in values:
        return
    diameter = _one(values, "dia_led", script)
    if not 1 <= diameter <= LARGEST_DISC:
        raise DataError(
            f"{script.name}: dia_led = {diameter:g} LEDs is outside 1 to {LARGEST_DISC}", "correct the script"
        )
    reach = int(diameter // 2) + 1
    column, row = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    inside = column**2 + row**2 < (diameter / 2) ** 2
    steps = -np.column_stack([column[inside], row[inside]]).astype(np.float64)
    draft.tell_leds(
        Leds(steps=steps),
        f"`dia_led` of {script.name}: a disc of {diameter:g} LEDs",
        "x = minus the column, y = minus the row of the grid",
        "as the published program does",
    )
    draft.tell(
        "LED order", "columns of the disc from left to right, each from the top", "", "find() of MATLAB", assumed=True
    )
    _tile(values, script, draft)


def _tile(values: dict[str, list[float]], script: Path, draft: Draft) -> None:
    """A tile off the axis sees all LEDs shifted."""
    if not {"nstart", "ncent", "Np", "dpix_c", "mag"} <= set(values):
        if {"nstart", "ncent"} & set(values):
            draft.notes.append("the tile's place in the field is not stated in plain numbers: taken on the axis")
        return
    start, center = values["nstart"], values["ncent"]
    size, mag = _one(values, "Np", script), _one(values, "mag", script)
    if len(start) != 2 or len(center) != 2 or not mag > 0:
        raise DataError(
            f"{script.name}: nstart and ncent must be pairs of numbers and mag above 0", "correct the script"
        )
    pixel = _one(values, "dpix_c", script) / mag
    row_um, column_um = ((start[axis] - center[axis] + size / 2) * pixel for axis in (0, 1))
    for name, value in (("shift_x_mm", -column_um * 1e-3), ("shift_y_mm", -row_um * 1e-3)):
        draft.values[f"array.pose.{name}"] = value
    draft.tell(
        "tile centre in the field (column, row)", f"{column_um:.4g}, {row_um:.4g}", "um", "`nstart`, `ncent`, `Np`"
    )
