"""Read and change one setting by its dotted name, such as ``network.unrolls``."""

from __future__ import annotations

from functools import reduce
from typing import Any, TypeVar

from pydantic import BaseModel

from ptychoui.errors import SettingsError
from ptychoui.settings import Array, FpmExperiment, Geometry, Microscope, Settings

S = TypeVar("S", bound=Settings)

KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "lattice": {"pitch_mm": 4.0, "rows": 15, "columns": 15},
    "spiral": {"pitch_mm": 4.0, "count": 225},
    "rings": {"ring_radii_mm": (0.0, 8.0, 16.0, 24.0), "ring_counts": (1, 8, 16, 24)},
    "dome": {"ring_radii_mm": (0.0, 8.0, 16.0, 24.0), "ring_counts": (1, 8, 16, 24), "dome_radius_mm": 60.0},
    "table": {"positions_mm": ((0.0, 0.0, 0.0),)},
}


def value_of(settings: Settings, name: str) -> Any:
    """Value of a setting; None where a table on the way is missing."""
    return reduce(lambda table, part: None if table is None else getattr(table, part), name.split("."), settings)


def with_value(settings: S, name: str, value: Any) -> S:
    """Return settings with one value changed, validated.

    Raises
    ------
    PtychouiError
        If the value is refused; the message names the setting, the value and the range.
    """
    head, _, rest = name.partition(".")
    if not rest:
        return settings.replace(**{head: value})
    inner = getattr(settings, head)
    if inner is None:
        raise SettingsError(f"the setting {name} has no table yet", "choose a geometry first")
    return settings.replace(**{head: with_value(inner, rest, value)})


def with_kind(array: Array, kind: str) -> Array:
    """Return an array of another kind; what the kind needs and the array lacks takes a usual value."""
    missing = {key: value for key, value in KIND_DEFAULTS[kind].items() if getattr(array, key) is None}
    # Numbers of another layout name other LEDs.
    return array.replace(kind=kind, led_numbers=array.led_numbers if kind == array.kind else None, **missing)


def with_order(array: Array, order: str) -> Array:
    """Return an array numbered in another order; tiles that it lacks are quadrants, or the whole lattice."""
    changes: dict[str, Any] = {"order": order}
    if order == "tiles" and (array.tile_rows is None or array.tile_columns is None):
        for name, length in (("tile_rows", array.rows or 1), ("tile_columns", array.columns or 1)):
            changes[name] = length // 2 if length % 2 == 0 else length
    return array.replace(**changes)


def description_of(name: str, root: type[BaseModel] = FpmExperiment) -> str:
    """What a setting means, from its declaration."""
    model = root
    *tables, last = name.split(".")
    for table in tables:
        model = _table(model, table)
    return model.model_fields[last].description or ""


def usual_geometry() -> Geometry:
    """A geometry to start from: a 4x objective over a 15 x 15 lattice of 4 mm pitch."""
    microscope: dict[str, Any] = {
        "wavelength_um": 0.63,
        "objective_na": 0.1,
        "magnification": 4.0,
        "camera_pixel_um": 3.45,
    }
    array: dict[str, Any] = {"kind": "lattice", "height_mm": 70.0, **KIND_DEFAULTS["lattice"]}
    return Geometry(microscope=Microscope(**microscope), array=Array(**array))


def _table(model: type[BaseModel], name: str) -> type[BaseModel]:
    if name == "geometry" and name in model.model_fields:
        return Geometry
    annotation = model.model_fields[name].annotation
    if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
        raise SettingsError(f"{name} is no table of settings")
    return annotation
