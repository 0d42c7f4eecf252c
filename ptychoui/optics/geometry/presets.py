"""Presets of LED arrays and microscopes: data files with a name, where their numbers come from and what to measure.

They lie in ``resources/arrays`` and ``resources/microscopes``; a file is a few lines of text and one table,
``[array]`` or ``[microscope]``, as a geometry file has both. NumPy only: the window lists them too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import Field, field_validator

from ptychoui.data.files import write_atomic
from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.paths import resources
from ptychoui.settings import Array, Geometry, Microscope, Pose, Settings, read_toml, to_toml


class Preset(Settings):
    """What both kinds of presets say of themselves.

    Attributes
    ----------
    key
        Name of the file without its ending.
    measure
        Settings to be measured on one's own instrument before the numbers are trusted.
    wavelengths_um
        Vacuum wavelength of each colour, um; may be empty.
    """

    key: str = ""
    name: str = Field(min_length=1, max_length=60, description="one line for a list")
    description: str = Field(min_length=1, description="what it is, and what of it is nominal")
    source: str = Field(min_length=1, description="where the numbers come from")
    measure: tuple[str, ...] = Field(description="settings to be measured on one's own instrument")
    wavelengths_um: dict[str, float] = Field(default_factory=dict, description="wavelength of each colour in um")

    @field_validator("measure")
    @classmethod
    def _names_settings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {*Array.model_fields, *Microscope.model_fields, *Pose.model_fields}
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} is no setting of an array, its pose or a microscope")
        return value

    @field_validator("description", "source")
    @classmethod
    def _without_outer_breaks(cls, value: str) -> str:
        return value.strip()

    def to_measure(self) -> tuple[str, ...]:
        """What is to be measured, in words: ``camera_pixel_um`` is the camera pixel."""
        words = [name.removesuffix("_mm").removesuffix("_um").removesuffix("_deg") for name in self.measure]
        return tuple(word.replace("_na", " NA").replace("_", " ") for word in words)

    def about(self) -> str:
        """Everything the preset says of itself, for a tooltip or a terminal."""
        measure = f"\nTo be measured: {', '.join(self.to_measure())}." if self.measure else ""
        return f"{self.description}\n\n{self.source}{measure}"


class ArrayPreset(Preset):
    """An LED array as it is sold or was published."""

    array: Array

    def for_wavelength(self, wavelength_um: float) -> Array:
        """The array with the die lit whose colour is nearest to a wavelength, where the dies are known."""
        known = [colour for colour in self.array.die_offsets_mm if colour in self.wavelengths_um]
        if not known:
            return self.array
        return self.array.replace(colour=min(known, key=lambda name: abs(self.wavelengths_um[name] - wavelength_um)))


class MicroscopePreset(Preset):
    """A published microscope; ``led_array`` is the key of the array preset it was used with, or empty."""

    microscope: Microscope
    led_array: str = Field("", description="key of the array preset it was used with")

    def about(self) -> str:
        """What it says of itself, and with which array it was used."""
        text = Preset.about(self)
        return f"{text}\nLED array: {array_preset(self.led_array).name}." if self.led_array else text


P = TypeVar("P", bound=Preset)


def array_presets() -> tuple[ArrayPreset, ...]:
    """All array presets, sorted by name."""
    return _all(ArrayPreset, "arrays")


def microscope_presets() -> tuple[MicroscopePreset, ...]:
    """All microscope presets, sorted by name."""
    return _all(MicroscopePreset, "microscopes")


def array_preset(key: str) -> ArrayPreset:
    """One array preset by its key; an unknown one raises `SettingsError` with the known keys."""
    return _one(ArrayPreset, "arrays", key)


def microscope_preset(key: str) -> MicroscopePreset:
    """One microscope preset by its key; an unknown one raises `SettingsError` with the known keys."""
    return _one(MicroscopePreset, "microscopes", key)


def write_geometry(path: str | Path, microscope: str, array: str) -> Path:
    """Write a geometry file of two presets, with what they say of themselves as comments; return its path.

    Raises
    ------
    SettingsError
        If a key is unknown, or the file cannot be written.
    """
    scope, board = microscope_preset(microscope), array_preset(array)
    geometry = Geometry(microscope=scope.microscope, array=board.for_wavelength(scope.microscope.wavelength_um))
    says = [line for preset in (scope, board) for line in (preset.name, *preset.about().splitlines(), "")]
    comments = "\n".join(f"# {line}".rstrip() for line in says)
    return write_atomic(path, f"{comments}\n{to_toml(geometry)}", SettingsError)


def _files(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in (resources() / folder).glob("*.toml")}


def _read(kind: type[P], path: Path) -> P:
    try:
        return kind(**(read_toml(path) | {"key": path.stem}))
    except PtychouiError as error:
        raise type(error)(f"{path.name}: {error.message}", error.hint) from None


def _all(kind: type[P], folder: str) -> tuple[P, ...]:
    presets = [_read(kind, path) for path in _files(folder).values()]
    return tuple(sorted(presets, key=lambda preset: preset.name.casefold()))


def _one(kind: type[P], folder: str, key: str) -> P:
    files = _files(folder)
    if key not in files:
        raise SettingsError(f"there is no preset {key!r} in {folder}", f"known: {', '.join(sorted(files))}")
    return _read(kind, files[key])
