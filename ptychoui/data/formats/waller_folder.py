"""Folders of TIFF files with a ``SystemSetup.m`` (Waller lab): numbers of its simple assignments, never executed.

``lambda`` [um], ``NA``, ``mag``, ``dpix_c`` camera pixel [um], ``ds_led`` LED pitch [um], ``z_led`` LED distance [um],
``dia_led`` diameter of the disc of LEDs used, in LEDs; ``nstart``, ``ncent`` first and central camera pixel of the tile
(row, column, from 1) and ``Np`` its size. The program lists the LEDs of a square grid with rho < dia_led / 2 by columns
and moves the window by (row, column) = -(row, column) of the LED, less the tile's place in the field.
"""

from __future__ import annotations

import re
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
ASSIGNMENT = re.compile(rf"^[ \t]*([A-Za-z]\w*)[ \t]*=[ \t]*({NUMBER})[ \t]*;?[ \t]*(?:%.*)?$")
VECTOR = re.compile(
    rf"^[ \t]*([A-Za-z]\w*)[ \t]*=[ \t]*\[[ \t]*({NUMBER}(?:[ \t,]+{NUMBER}){{0,3}})[ \t]*\][ \t]*;?[ \t]*(?:%.*)?$"
)
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
    values = assignments(script)
    draft = Draft(path=folder, layout="folder of TIFF files with SystemSetup.m")
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
    """Name -> numbers of every line that assigns a number or a short vector of numbers; the last line wins.

    A name that is assigned something else after that is left out: its value is not known without executing the script.
    """
    try:
        with script.open("rb") as file:
            raw = file.read(LARGEST_SCRIPT + 1)
    except OSError as error:
        raise DataError(f"cannot read {script.name}: {error.strerror}", "check its permissions") from None
    if len(raw) > LARGEST_SCRIPT:
        raise DataError(f"{script.name} is larger than 1 MiB, not a set-up script", "copy the file again")
    found: dict[str, list[float]] = {}
    unknown: set[str] = set()
    text = text_of(raw)
    if text is None:
        raise DataError(f"{script.name} is no text", "copy the file again")
    for line in text[0].splitlines():
        # Several assignments on a line are taken one by one; comments end it.
        for part in line.partition("%")[0].split(";"):
            match = ASSIGNMENT.match(part) or VECTOR.match(part)
            if match:
                found[match[1]] = [float(word) for word in re.split(r"[ \t,]+", match[2])]
                unknown.discard(match[1])
            elif other := re.match(r"[ \t]*([A-Za-z]\w*)[ \t]*=[^=]", part):
                unknown.add(other[1])
    return {name: numbers for name, numbers in found.items() if name not in unknown}


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
