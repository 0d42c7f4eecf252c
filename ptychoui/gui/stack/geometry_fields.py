"""The fields of the geometry form, and which of them an array of each kind has."""

from __future__ import annotations

from ptychoui.gui.widgets.fields import Field
from ptychoui.settings import Array

M, A = "geometry.microscope.", "geometry.array."
MICROSCOPE = (
    Field(name=M + "wavelength_um", label="Wavelength", unit="µm"),
    Field(name=M + "bandwidth_nm", label="Bandwidth", unit="nm", automatic=True, empty="not known"),
    Field(name=M + "objective_na", label="Objective NA"),
    Field(name=M + "magnification", label="Magnification", unit="×"),
    Field(name=M + "camera_pixel_um", label="Camera pixel", unit="µm"),
    Field(name=M + "medium_index", label="Medium's index"),
    Field(name=M + "defocus_um", label="Defocus", unit="µm"),
    Field(
        name=M + "pixel",
        label="Pixel model",
        kind="choice",
        choices=(("integrating", "Integrates"), ("point", "Samples a point")),
    ),
)
ARRAY = (
    Field(
        name=A + "kind",
        label="Layout",
        tip="How the LEDs stand on their board: the numbers below follow from it",
        kind="choice",
        choices=(
            ("lattice", "Square lattice"),
            ("spiral", "Square spiral"),
            ("rings", "Rings"),
            ("dome", "Dome of rings"),
            ("table", "Table of positions"),
        ),
    ),
    Field(name=A + "height_mm", label="Height", unit="mm"),
    Field(name=A + "pitch_mm", label="Pitch", unit="mm"),
    Field(name=A + "rows", label="Rows", kind="int"),
    Field(name=A + "columns", label="Columns", kind="int"),
    Field(name=A + "count", label="LEDs", kind="int"),
    Field(name=A + "ring_radii_mm", label="Ring radii (mm)", kind="numbers"),
    Field(name=A + "ring_counts", label="LEDs per ring", kind="numbers", integers=True),
    Field(name=A + "ring_start_deg", label="First LED at", unit="°"),
    Field(name=A + "ring_clockwise", label="Clockwise", kind="bool"),
    Field(name=A + "dome_radius_mm", label="Dome radius", unit="mm"),
    Field(
        name=A + "order",
        label="Numbered",
        kind="choice",
        choices=(
            ("rows", "row by row"),
            ("columns", "column by column"),
            ("tiles", "tile by tile"),
            ("radial", "from the middle out"),
        ),
    ),
    Field(name=A + "tile_rows", label="Rows of a tile", kind="int"),
    Field(name=A + "tile_columns", label="Columns of a tile", kind="int"),
    Field(name=A + "serpentine_tiles", label="Serpentine tiles", kind="bool"),
    Field(name=A + "serpentine", label="Serpentine", kind="bool"),
    Field(name=A + "disc", label="Inscribed disc", kind="bool"),
    Field(name=A + "slide_thickness_mm", label="Glass slide", unit="mm"),
    Field(
        name=A + "falloff",
        label="Brightness",
        kind="choice",
        choices=(
            ("none", "the same for all"),
            ("cos4", "cos⁴ of the angle"),
            ("lambertian", "Lambertian LEDs"),
            ("table", "measured table"),
        ),
    ),
    Field(name=A + "colour", label="Lit die", kind="choice"),
    Field(name=A + "led_size_um", label="LED size", unit="µm", automatic=True, empty="not known"),
)
POSE = (
    Field(name=A + "pose.shift_x_mm", label="Shift x", unit="mm"),
    Field(name=A + "pose.shift_y_mm", label="Shift y", unit="mm"),
    Field(name=A + "pose.rotation_deg", label="Rotation", unit="°"),
    Field(name=A + "pose.tilt_x_deg", label="Tilt about x", unit="°"),
    Field(name=A + "pose.tilt_y_deg", label="Tilt about y", unit="°"),
    Field(name=A + "pose.flip_x", label="Mirror x", kind="bool"),
    Field(name=A + "pose.flip_y", label="Mirror y", kind="bool"),
    Field(name=A + "pose.swap_xy", label="Exchange x and y", kind="bool"),
)
TABS = {"Microscope": "Optics"}
"""Shorter names for tabs: all four fit a narrow panel."""

ALWAYS = ("kind", "height_mm", "slide_thickness_mm", "falloff", "led_size_um")
RINGS = ("ring_radii_mm", "ring_counts", "ring_start_deg", "ring_clockwise")
SHOWN = {
    "lattice": (*ALWAYS, "pitch_mm", "rows", "columns", "order", "serpentine", "disc"),
    "spiral": (*ALWAYS, "pitch_mm", "count"),
    "rings": (*ALWAYS, *RINGS),
    "dome": (*ALWAYS, *RINGS, "dome_radius_mm"),
    "table": ALWAYS,
}
OF_TILES = ("tile_rows", "tile_columns", "serpentine_tiles")
OF_RADIAL = ("ring_start_deg", "ring_clockwise")


def shown_fields(array: Array) -> list[str]:
    """Names of the fields that say something of this array."""
    names = list(SHOWN[array.kind])
    if array.kind == "lattice" and array.order == "tiles":
        names += OF_TILES
    if array.kind == "lattice" and array.order == "radial":
        names = [name for name in names if name != "serpentine"] + list(OF_RADIAL)
    if array.die_offsets_mm:
        names.append("colour")
    return [A + name for name in names]
