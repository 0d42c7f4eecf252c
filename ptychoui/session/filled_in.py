"""Presets that are chosen while measured data are open: they fill in what no file states, and replace nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import (
    GivenGeometry,
    PartialGeometry,
    build,
    flat_settings,
    read_geometry,
    with_images,
)
from ptychoui.data.formats.missing_settings import WORDS
from ptychoui.errors import PtychouiError
from ptychoui.optics.geometry.presets import ArrayPreset, MicroscopePreset
from ptychoui.paths import data_file
from ptychoui.settings import Array, DataSource, Geometry, Microscope

OF_EVERY_LAYOUT = ("array.height_mm", "array.pitch_mm", "array.pose.")
"""Settings of an array that files state without its layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledIn:
    """A geometry that a preset completed.

    Attributes
    ----------
    notes
        Where the data state something else than the preset, which then stays.
    used
        False where the preset has nothing to say, because a file states all of it.
    """

    geometry: Geometry
    notes: tuple[str, ...] = ()
    used: bool = True


def filled_in(preset: PartialGeometry, data: DataSource, present: Geometry | None = None) -> FilledIn:
    """A preset under what the files of measured data state.

    Parameters
    ----------
    preset
        A whole geometry that comes with the program, as `read_geometry` gives it for data.
    present
        The geometry that the data have now, which their number of images fits.
    """
    whole, source = preset.whole, preset.source
    assert whole is not None
    named = read_geometry(data.geometry, for_data=True) if data.geometry else None
    if isinstance(named, PartialGeometry) and named.is_preset:
        named = None
    elif isinstance(named, Geometry) or (named is not None and named.whole is not None):
        note = f"the preset {source} was not used: the geometry file of the data is whole"
        return FilledIn(geometry=present or whole, notes=(note,), used=False)
    try:
        dataset = _open(preset, data)
    except PtychouiError:
        # That its array does not fit the number of images is said where it is used.
        return _without_layout(preset, whole, data, present)
    notes = tuple(note for note in dataset.provenance.notes if f"the preset {source}" in note)
    geometry = dataset.geometry or whole
    if any(note.startswith(f"the preset {source} was not used") for note in notes):
        return FilledIn(geometry=present or geometry, notes=notes, used=False)
    if named is not None and named.values:
        geometry = build(flat_settings(geometry) | named.values)
    return FilledIn(geometry=geometry, notes=notes)


def half_filled_in(preset: MicroscopePreset | ArrayPreset, present: Geometry, data: DataSource | None) -> FilledIn:
    """The microscope or the array of a preset in the present geometry, under what the files of the data state.

    ``data`` is None where no measured data are open.
    """
    part: Microscope | Array
    if isinstance(preset, MicroscopePreset):
        part, other = preset.microscope, "array."
        whole = present.replace(microscope=part)
    else:
        part, other = preset.for_wavelength(present.microscope.wavelength_um), "microscope."
        whole = present.replace(array=part)
    if data is None:
        return FilledIn(geometry=whole)
    values = {name: value for name, value in flat_settings(whole).items() if value is not None}
    found = filled_in(PartialGeometry(values=values, source=preset.name, whole=whole, is_preset=True), data, present)
    if not found.used:
        return found
    # The other half of what was offered is the present one, not the preset's.
    others = tuple(f"the {words} is " for name, (words, _, _) in WORDS.items() if name.startswith(other))
    notes = tuple(note for note in found.notes if not note.startswith(others))
    if isinstance(part, Microscope):
        return FilledIn(geometry=present.replace(microscope=found.geometry.microscope), notes=notes)
    array = found.geometry.array
    if array.kind == "table" != part.kind:  # the data state where their LEDs are
        array = array.replace(pose=present.array.pose)
        before = present.array
        if (array.positions_mm, array.height_mm) == (before.positions_mm, before.height_mm):
            note = f"the preset {preset.name} was not used: the data state where their LEDs are"
            return FilledIn(geometry=present, notes=(note,), used=False)
    return FilledIn(geometry=present.replace(array=array), notes=notes)


def _without_layout(preset: PartialGeometry, whole: Geometry, data: DataSource, present: Geometry | None) -> FilledIn:
    """A preset whose layout does not fit the data, under what these state besides a layout."""
    if present is None:
        return FilledIn(geometry=whole)
    offered = {name: value for name, value in flat_settings(whole).items() if not _of_layout(name)}
    layout = {name: v for name, v in flat_settings(present).items() if _of_layout(name) and v is not None}
    try:
        dataset = _open(replace(preset, values=offered | layout, leds=None), data)
    except PtychouiError:
        return FilledIn(geometry=whole)
    if dataset.geometry is None:
        return FilledIn(geometry=whole)
    found = flat_settings(dataset.geometry)
    stated = {name: v for name, v in found.items() if not _of_layout(name) and offered.get(name) != v}
    notes = tuple(note for note in dataset.provenance.notes if f"the preset {preset.source}" in note)
    return FilledIn(geometry=build(flat_settings(whole) | stated), notes=notes)


def _of_layout(name: str) -> bool:
    return name.startswith("array.") and not name.startswith(OF_EVERY_LAYOUT)


def _open(given: GivenGeometry, data: DataSource) -> ImageStack | TrainingSet:
    from ptychoui.data.formats.open import open_dataset

    said = given if data.images is None else with_images(given, data.images, "the experiment")
    return open_dataset(data_file(data.path), said)
