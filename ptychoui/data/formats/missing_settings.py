"""Settings that data lack, in words and as the lines of a geometry file that state them."""

from __future__ import annotations

from collections.abc import Iterable

from ptychoui.data.formats.geometry_file import KIND_NEEDS
from ptychoui.settings import load_geometry

WORDS = {
    "microscope.objective_na": ("objective's NA", "", "0.1"),
    "microscope.magnification": ("magnification", "", "4.0"),
    "microscope.camera_pixel_um": ("camera's pixel", "um", "3.45"),
    "microscope.wavelength_um": ("wavelength", "um", "0.53"),
    "microscope.defocus_um": ("defocus", "um", "0.0"),
    "array.height_mm": ("height of the LEDs", "mm", "80.0"),
    "array.pitch_mm": ("LED pitch", "mm", "4.0"),
    "array.kind": ("layout and order of the LEDs", "", '"lattice"'),
    "array.rows": ("rows of LEDs", "", "15"),
    "array.columns": ("columns of LEDs", "", "15"),
    "array.count": ("number of LEDs", "", "225"),
    "array.positions_mm": ("positions of the LEDs", "mm", "[[0, 0, 0], [4, 0, 0]]"),
    "array.ring_radii_mm": ("radii of the rings", "mm", "[0, 4]"),
    "array.ring_counts": ("LEDs on each ring", "", "[1, 8]"),
    "array.dome_radius_mm": ("radius of the dome", "mm", "60.0"),
}
"""Setting -> its words, its unit, and a value that shows how it is written."""


def likely_kind(stated: Iterable[str], example: str = "") -> str:
    """Kind of the array that the ``stated`` settings, or else the shipped ``example`` of such data, speak of."""
    stated = set(stated)
    for kind, mark in (("dome", "dome_radius_mm"), ("rings", "ring_radii_mm"), ("rings", "ring_counts")):
        if f"array.{mark}" in stated:
            return kind
    if "array.count" in stated or "array.spiral_steps" in stated:
        return "spiral"
    if example and "array.rows" not in stated and "array.columns" not in stated:
        return load_geometry(example).array.kind
    return "lattice"


def lines_for(missing: tuple[str, ...], kind: str = "lattice", stated: Iterable[str] = ()) -> list[str]:
    """Lines of TOML that state the missing settings, with values that show how they are written.

    Where the layout is missing they show that of ``kind``, without what is ``stated``.
    """
    lines = []
    for table in ("microscope", "array"):
        names = [name for name in missing if name.startswith(f"{table}.")]
        if "array.kind" in names:  # an array of that kind needs these too
            needs = [f"array.{name}" for name in KIND_NEEDS[kind]]
            names = [name for name in names if name != "array.pitch_mm" or name in needs]
            names += [name for name in needs if name not in names and name not in set(stated)]
        if names:
            lines.append(f"[{table}]")
            for name in names:
                value = f'"{kind}"' if name == "array.kind" else WORDS[name][2] if name in WORDS else "..."
                lines.append(f"{name.removeprefix(f'{table}.')} = {value}")
    return lines
