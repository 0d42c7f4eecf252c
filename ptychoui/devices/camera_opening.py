"""From the camera URL that a user gives to an open camera."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.camera import Camera
from ptychoui.devices.emulators.bench_optics import Optics
from ptychoui.devices.emulators.optical_bench import BenchCamera, OpticalBench, Sensor
from ptychoui.errors import DeviceError, SettingsError
from ptychoui.optics.geometry.led_array import layout
from ptychoui.settings import Array, Geometry

if TYPE_CHECKING:
    from ptychoui.devices.device import Device

GIVEN = (
    "led_numbers",
    "positions_mm",
    "height_mm",
    "wavelength_um",
    "objective_na",
    "magnification",
    "camera_pixel_um",
)
"""Settings of the bench that come from the geometry."""


def open_camera(url: str, device: Device, geometry: Geometry) -> Camera:
    """Open the camera behind a URL.

    Parameters
    ----------
    url
        ``simulate:`` is the camera of an emulated bench behind an emulated array. What goes wrong on it stands behind a
        question mark: ``simulate:?shift_x_mm=1.5&dead=12,40&seed=3``; all names are those of `Optics` and `Sensor`.
        ``mm:CONFIG.cfg`` is a camera of Micro-Manager, see `micro_manager`.
    device
        The open array.
    geometry
        Microscope and array by their drawing: the bench is built by it, and stands otherwise by its own settings.

    Raises
    ------
    DeviceError
        If there is no such camera, or the array is no emulated one.
    SettingsError
        If the URL says something that is not known.
    """
    head, colon, rest = url.partition(":")
    if head == "mm" and colon:
        from ptychoui.devices.micro_manager import MicroManagerCamera

        return MicroManagerCamera(rest)
    if head != "simulate" or not colon or rest.partition("?")[0]:
        raise DeviceError(
            f"there is no camera {url!r}",
            "simulate: is the camera of the emulated bench, mm:CONFIG.cfg one of Micro-Manager",
        )
    if device.emulator is None:
        raise DeviceError(
            "the emulated camera looks at emulated arrays alone", "give --device simulate:, or the camera of the bench"
        )
    return BenchCamera(bench(device, geometry, rest.partition("?")[2]))


def bench(device: Device, geometry: Geometry, query: str = "") -> OpticalBench:
    """The emulated bench behind an emulated array; ``query`` says what is other than usual, as in a URL.

    Raises
    ------
    SettingsError
        If the query says something that is not known.
    """
    assert device.emulator is not None
    optics, sensor = said(query)
    scope, array = geometry.microscope, geometry.array
    numbers, positions = drawing(array)
    wavelength = scope.wavelength_um
    sensor.setdefault("colour", "blue" if wavelength < 0.495 else "red" if wavelength > 0.585 else "green")
    built = Optics(
        wavelength_um=wavelength,
        objective_na=scope.objective_na,
        magnification=scope.magnification,
        camera_pixel_um=scope.camera_pixel_um,
        led_numbers=numbers,
        positions_mm=positions,
        height_mm=array.height_mm,
        **optics,
    )
    return OpticalBench(device.emulator.board, built, Sensor(**sensor))


def said(query: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of optics and sensor that a URL's query states.

    Raises
    ------
    SettingsError
        If a name is unknown or a value is none.
    """
    found: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    kinds = tuple(get_type_hints(cls) for cls in (Optics, Sensor))
    for name, text in parse_qsl(query, keep_blank_values=True):
        place = next((i for i, known in enumerate(kinds) if name in known and name not in GIVEN), None)
        if place is None:
            known = [f.name for cls in (Optics, Sensor) for f in dataclasses.fields(cls) if f.name not in GIVEN]
            raise SettingsError(f"the emulated bench has no setting {name!r}", f"there are {', '.join(known)}")
        try:
            found[place][name] = _value(kinds[place][name], text)
        except (ValueError, KeyError):
            raise SettingsError(f"{name}={text}: the bench cannot take this value", "see docs/hardware.md") from None
    return found


def _value(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    parts = [part for part in text.split(",") if part]
    if kind == tuple[int, ...]:
        return tuple(int(part) for part in parts)
    names = [part.partition(":") for part in parts]  # 12:0.5,13:0.8
    key = int if kind == dict[int, float] else lambda word: word.replace("_", " ")
    return {key(name): float(value) for name, _, value in names}


def drawing(array: Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers and positions of all LEDs by the array's drawing, (LED,) and (LED, 3) in mm, without its pose.

    Plain lattices are laid out here once more, so that the bench does not repeat a mistake of the program's own layout:
    rows are counted from the top, +y is up.
    """
    whole = array.replace(led_numbers=None) if array.kind != "table" else array
    plain = array.kind == "lattice" and array.order == "rows" and not array.disc and not array.die_offsets_mm
    if not plain or array.center_row is not None or array.center_column is not None:
        return layout(whole)
    rows, columns, pitch = int(array.rows or 0), int(array.columns or 0), float(array.pitch_mm or 0)
    places = []
    for row in range(rows):
        line = range(columns) if not (array.serpentine and row % 2) else reversed(range(columns))
        places += [((column - (columns - 1) / 2) * pitch, ((rows - 1) / 2 - row) * pitch, 0.0) for column in line]
    return np.arange(rows * columns), np.array(places)
