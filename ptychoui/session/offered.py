"""What a form offers for a geometry that data do not state, and what a person's answer says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ptychoui.data.formats.geometry_file import KIND_NEEDS, PartialGeometry, build, flat_settings
from ptychoui.errors import PtychouiError
from ptychoui.session.edits import usual_geometry
from ptychoui.session.opening import GeometryWanted
from ptychoui.settings import Geometry

UNSEEN = ("led_numbers", "positions_mm", "pose", "center_row", "center_column", "gains")
"""Of an array, what belongs to one stack alone or is not in the form: it is never taken over."""


def offered_geometry(wanted: GeometryWanted, before: Geometry | None) -> tuple[Geometry, frozenset[str]]:
    """Values for a form that asks what data do not state: theirs, then those of before, then usual ones.

    Returns
    -------
    The geometry, and the names of the settings that were taken over from ``before``.
    """
    usual, stated = flat_settings(usual_geometry()), dict(wanted.stated)
    taken = {name: value for name, value in _taken_over(wanted, before).items() if name not in stated}
    for kept in (taken, {}):
        try:
            return build(_of_one_kind(usual | kept | stated)), frozenset(kept)
        except PtychouiError:
            continue
    return usual_geometry(), frozenset()


def answered(wanted: GeometryWanted, form: Geometry, asked: Iterable[str]) -> PartialGeometry:
    """What a person said by the fields that were ``asked``; what the data state is not among it."""
    every = _flat(form)
    names = [*asked, *wanted.missing]
    if wanted.asks_for_layout and form.array.kind == "table":
        names.append("array.positions_mm")
    values = {name: every[name] for name in names if every.get(name) is not None and name not in wanted.stated}
    return PartialGeometry(values=values, source="the form", images=wanted.images)


def _taken_over(wanted: GeometryWanted, before: Geometry | None) -> dict[str, Any]:
    """Settings of before that answer what is missing."""
    if before is None:
        return {}
    old, stated = _flat(before), flat_settings(before)
    taken = {name: old[name] for name in wanted.missing if old.get(name) is not None}
    if "array.kind" in wanted.missing:
        if before.array.kind == "table":
            for name in ("array.kind", "array.pitch_mm"):
                taken.pop(name, None)
        else:
            taken |= {
                name: value
                for name, value in stated.items()
                if name.startswith("array.") and name.split(".")[1] not in UNSEEN and value is not None
            }
    return {name: value for name, value in taken.items() if name.split(".")[1] not in UNSEEN}


def _of_one_kind(values: dict[str, Any]) -> dict[str, Any]:
    """Without what only other kinds of arrays need."""
    needed = KIND_NEEDS.get(str(values.get("array.kind")), ())
    others = {name for names in KIND_NEEDS.values() for name in names} - set(needed)
    return {name: value for name, value in values.items() if name.removeprefix("array.") not in others}


def _flat(geometry: Geometry) -> dict[str, Any]:
    """Every setting by its dotted name."""
    found: dict[str, Any] = {}

    def walk(table: dict[str, Any], prefix: str) -> None:
        for key, value in table.items():
            if isinstance(value, dict) and key in ("microscope", "array", "pose"):
                walk(value, f"{prefix}{key}.")
            else:
                found[f"{prefix}{key}"] = value

    walk(geometry.model_dump(), "")
    return found
