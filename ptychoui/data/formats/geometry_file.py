"""Geometry files: whole ones, and partial ones that complete what a data file says.

A partial geometry is the same TOML with some settings left out: what it says wins over the data file, what it does
not say is taken from there. ``positions_file = "leds.json"`` in ``[array]`` names a table of LED positions
(`led_table`) beside the geometry file; ``led_numbers`` gives the LEDs of the images, in their order, of any array.

A table ``[images]`` says of the images what a file leaves open: their axis, amplitude or intensity, exposures, a dark
level, a Bayer pattern; a microscope's profile is such a file, with the brightness and stray light of its LEDs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.formats.led_table import Leds, read_led_table
from ptychoui.errors import DataError, PtychouiError, SettingsError
from ptychoui.paths import resources, shipped
from ptychoui.settings import Array, DataSource, FpmExperiment, Geometry, Images, Microscope, Pose, read_toml

MICROSCOPE_NEEDS = ("objective_na", "magnification", "camera_pixel_um", "wavelength_um")
KIND_NEEDS = {
    "lattice": ("pitch_mm", "rows", "columns"),
    "spiral": ("pitch_mm", "count"),
    "rings": ("ring_radii_mm", "ring_counts"),
    "dome": ("ring_radii_mm", "ring_counts", "dome_radius_mm"),
    "table": ("positions_mm",),
}
REPLACES_LAYOUT = {
    f"array.{name}"
    for name in ("kind", "rows", "columns", "count", "ring_radii_mm", "ring_counts", "dome_radius_mm", "positions_mm")
}
"""A partial geometry that says one of these describes the LEDs itself: those of the data file are not used."""
LAYOUT = {
    f"array.{name}" for name in ("pitch_mm", "serpentine", "disc", "spiral_steps", "center_row", "center_column")
} | (REPLACES_LAYOUT | {"array.led_numbers"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialGeometry:
    """Some settings of a geometry.

    Attributes
    ----------
    values
        Setting name, such as ``array.pose.shift_x_mm``, to value.
    source
        Name of the file they come from.
    leds
        The table that ``positions_file`` names.
    images
        What is said of the images.
    whole
        The geometry, where nothing is missing and only the table of LEDs has something to say.
    is_preset
        It comes with the program: it fills in what data do not state, and replaces nothing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    source: str
    leds: Leds | None = None
    images: Images | None = None
    whole: Geometry | None = None
    is_preset: bool = False


GivenGeometry = Geometry | PartialGeometry | None


def read_geometry(path: str | Path, for_data: bool = False) -> Geometry | PartialGeometry:
    """Read a geometry file, or the example of that name.

    One that lacks settings which every geometry needs, or speaks of images, is partial. With ``for_data`` so is one
    whose table of LEDs has something to say, which `Draft` tells with the data, and one that comes with the program,
    which fills in what the data do not state.

    Raises
    ------
    SettingsError, DataError
        If the file or its LED table is missing or broken, or a setting is unknown or out of range.
    """
    path = shipped(path, "geometries")
    table = read_toml(path)
    if not table:
        raise SettingsError(f"{path.name} is empty", "write [microscope] and [array] into it, or leave it out")
    table.pop("profile", None)  # what a profile says of its making
    try:
        images = _images_of(table)
        leds = _table_of(table, path)
        partial = PartialGeometry(values=_flat(table), source=path.name, leds=leds, images=images)
        if missing_of(partial.values):
            # A table of LEDs that a file holds need not be written out, and its kind goes without saying.
            alone = {
                name: v for name, v in partial.values.items() if not (leds and name == "array.kind" and v == "table")
            }
            _check_alone(alone)
        values = partial.values | (leds.settings(partial.values) if leds else {})
        if leds and "array.height_mm" in partial.values:
            values["array.height_mm"] = partial.values["array.height_mm"]
        if leds and partial.values.get("array.kind", "table") != "table":
            raise SettingsError("array.kind and array.positions_file exclude each other", "leave one of them out")
        if missing_of(values):
            return partial
        whole = build(values) if leds else Geometry(**table)
        if for_data and is_preset(path):
            return replace(partial, whole=whole, is_preset=True)
        if images or not (
            for_data and leds and (leds.notes or leds.listed or leds.other_height(whole.array.height_mm))
        ):
            return partial if images else whole
        return replace(partial, whole=whole)
    except PtychouiError as error:
        message = error.message if error.message.startswith(path.name) else f"{path.name}: {error.message}"
        raise type(error)(message, error.hint) from None


def is_preset(path: Path) -> bool:
    """Whether a geometry file comes with the program."""
    return path.resolve().parent == (resources() / "geometries").resolve()


def load_whole_geometry(path: str | Path) -> Geometry:
    """Read a geometry file that must be whole; what is missing in a partial one is asked for by name."""
    found = read_geometry(path)
    if isinstance(found, Geometry):
        return found
    values = (found.leds.settings(found.values) if found.leds else {}) | found.values
    missing = missing_of(values)
    if not missing:
        return build(values)
    raise SettingsError(
        f"{Path(path).name} is a partial geometry: it lacks {', '.join(missing)}",
        "give it together with data that say the rest, or add these settings",
    )


def with_geometry(experiment: FpmExperiment, path: str | Path) -> FpmExperiment:
    """The experiment with the geometry of a file; a partial one completes what its data say when they are opened.

    One that comes with the program fills in what measured data do not say.
    """
    found = read_geometry(path)
    fills_in = is_preset(shipped(path, "geometries")) and not experiment.data.path.startswith("sample:")
    if isinstance(found, Geometry) and not fills_in:
        return experiment.replace(geometry=found)
    return experiment.replace(
        geometry=None, data=experiment.data.replace(geometry=str(shipped(path, "geometries").resolve()))
    )


def given_of(source: DataSource, geometry: Geometry | None) -> GivenGeometry:
    """What an experiment says of its data: its geometry, else that of its geometry file, and its images."""
    found: GivenGeometry = geometry
    if found is None and source.geometry:
        found = read_geometry(source.geometry, for_data=True)
    return found if source.images is None else with_images(found, source.images, "the experiment")


def with_images(given: GivenGeometry, images: Images, source: str) -> PartialGeometry:
    """What is said of a microscope, and this of the images, which ``source`` says."""
    if isinstance(given, PartialGeometry):
        return replace(given, images=images)
    return PartialGeometry(values={} if given is None else flat_settings(given), source=source, images=images)


def missing_of(values: dict[str, Any]) -> tuple[str, ...]:
    """Names of the settings that a geometry still needs, the microscope's first."""
    wanted = [f"microscope.{name}" for name in MICROSCOPE_NEEDS] + ["array.height_mm"]
    kind = values.get("array.kind")
    if kind is None and any(f"array.{name}" in values for name in ("rows", "columns")):
        kind = "lattice"
    if kind is None:
        wanted += ["array.kind", "array.pitch_mm"]
    else:
        wanted += [f"array.{name}" for name in KIND_NEEDS.get(str(kind), ())]
    return tuple(name for name in wanted if values.get(name) is None)


def build(values: dict[str, Any]) -> Geometry:
    """Geometry of flat settings; a value out of range raises `SettingsError`."""
    nested: dict[str, Any] = {"microscope": {}, "array": {}}
    for name, value in values.items():
        *tables, last = name.split(".")
        place = nested
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    # One by one, so that an error names the setting and not the table it lies in.
    pose = nested["array"].pop("pose", None)
    if pose is not None:
        nested["array"]["pose"] = Pose(**pose)
    parts: dict[str, Any] = {
        "microscope": Microscope(**nested.pop("microscope")),
        "array": Array(**nested.pop("array")),
    }
    return Geometry(**parts, **nested)


def flat_settings(geometry: Geometry) -> dict[str, Any]:
    """The settings that were stated when a geometry was made."""
    return _flat(geometry.model_dump(exclude_unset=True))


def _images_of(table: dict[str, Any]) -> Images | None:
    """Take ``[images]`` out of a geometry's table."""
    images = table.pop("images", None)
    if images is None:
        return None
    if not isinstance(images, dict):
        raise SettingsError("images is not a table", "write [images], then its settings")
    return Images(**images)


def _table_of(table: dict[str, Any], path: Path) -> Leds | None:
    """Take ``positions_file`` out of a geometry's table and read it."""
    array = table.get("array")
    name = array.pop("positions_file", None) if isinstance(array, dict) else None
    if name is None:
        return None
    if not isinstance(name, str) or not name or "\0" in name:
        raise SettingsError("array.positions_file is not the name of a file", 'for example "leds.json"')
    leds, _ = read_led_table(path.parent / name)
    chosen = array.pop("led_numbers", None) if isinstance(array, dict) else None
    if chosen is None:
        return _in_lines(leds, Path(name).name)
    known = {number: place for place, number in enumerate(leds.numbers or range(len(leds)))}
    if not isinstance(chosen, list) or not chosen or not all(isinstance(n, int) and n in known for n in chosen):
        raise DataError(f"array.led_numbers names LEDs that {name} does not hold", "use the numbers of that table")
    rows = np.array([known[n] for n in chosen])
    return replace(
        leds,
        positions_mm=None if leds.positions_mm is None else leds.positions_mm[rows],
        directions=None if leds.directions is None else leds.directions[rows],
        numbers=tuple(chosen),
        listed=True,
    )


def _in_lines(leds: Leds, name: str) -> Leds:
    """A table that is not in the order of its numbers, with a note that says in which order images are taken."""
    if leds.numbers is None or list(leds.numbers) == sorted(leds.numbers):
        return leds
    first = ", ".join(map(str, leds.numbers[:3]))
    note = (
        f"the lines of {name} are not in the order of their LED numbers ({first}, ...): images that do not state their "
        f"LED were taken in the order of the lines, the first as that of LED {leds.numbers[0]}; if they are in the "
        "order of the numbers, sort the lines"
    )
    return replace(leds, notes=(*leds.notes, note))


def _check_alone(values: dict[str, Any]) -> None:
    """Refuse unknown settings and values out of range in a partial geometry, by a stand-in for what it lacks."""
    stand_in: dict[str, Any] = {
        "microscope.objective_na": 0.1,
        "microscope.magnification": 2.0,
        "microscope.camera_pixel_um": 4.0,
        "microscope.wavelength_um": 0.5,
        "array.height_mm": 100.0,
        "array.pitch_mm": 4.0,
    }
    kinds = {"lattice": ("rows", "columns"), "spiral": ("count",)}
    for name in kinds.get(str(values.get("array.kind", "lattice")), ()):
        stand_in[f"array.{name}"] = 3
    kind = values.get("array.kind")
    if kind in ("rings", "dome", "table") and any(f"array.{name}" not in values for name in KIND_NEEDS[str(kind)]):
        lacking = ", ".join(f"array.{n}" for n in KIND_NEEDS[str(kind)] if f"array.{n}" not in values)
        raise SettingsError(f"an array of kind {kind!r} also needs {lacking}", "add these settings")
    if "array.positions_mm" in values and "array.kind" not in values:
        raise SettingsError("array.positions_mm needs array.kind = 'table'", "add that line to [array]")
    filled: dict[str, Any] = {name: value for name, value in stand_in.items() if name not in values}
    if {"array.rows", "array.columns", "array.count"} & set(filled):
        # Which numbers there are is known once the layout is.
        values = {name: value for name, value in values.items() if name != "array.led_numbers"}
    build(filled | values)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if "." in key:
            raise SettingsError(f"unknown setting {name!r}", "names of settings hold no dots of their own")
        if name in ("microscope", "array", "array.pose"):
            if not isinstance(value, dict):
                raise SettingsError(f"{name} is not a table", f"write [{name}], then its settings")
            flat.update(_flat(value, f"{name}."))
        else:
            flat[name] = value
    return flat
