"""HDF5 files of PtyLab (Fourier ptychography) and of the Aidukas pipeline, which share their names; SI units.

PtyLab: ``ptychogram`` (LED, row, column), ``encoder`` (LED, 2) place of the LED in m, ``zled`` distance of the LEDs,
``dxd`` camera pixel, ``wavelength``, ``magnification``, ``NA`` (may be absent). The program moves the pupil's window by
(row, column) = -encoder / R. A file with ``zo`` and no ``zled`` is conventional ptychography: refused.

Aidukas: groups ``section0``, ``section1``, ... (tiles of the field), each with ``ptychogram``, ``positions`` (LED, 2)
in pixels of the spectrum and ``positions_led`` (LED, 2) in m as seen from that tile; at the root ``dxd`` camera pixel,
``dxp`` pixel at the sample, ``wavelength``, ``zo`` distance of the LEDs, ``num_apert`` objective NA.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.hdf5 import natural_names, numeric_dataset, read_array, scalar_or_none
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.led_units import NO_POSITION_MM
from ptychoui.errors import DataError

IMAGES = "ptychogram"
SCALARS = ("wavelength", "dxd", "zled", "magnification", "NA")
SI = (
    ("microscope.wavelength_um", "wavelength", 1e6),
    ("microscope.camera_pixel_um", "dxd", 1e6),
)


def is_ptylab(file: h5py.File) -> bool:
    """Whether an HDF5 file has the names of PtyLab."""
    return "ptychogram" in file


def sections(file: h5py.File) -> list[str]:
    """Names of the tiles of an Aidukas file, in natural order; empty for other files."""
    return natural_names(
        name
        for name in file
        if name.startswith("section")
        and isinstance(file.get(name, getlink=True), h5py.HardLink)
        and isinstance(file[name], h5py.Group)
        and "ptychogram" in file[name]
    )


def read_ptylab(path: Path, given: GivenGeometry, part: str | None = None) -> ImageStack:
    """Read a PtyLab file of Fourier ptychography.

    ``part`` names the images; it may be None where only the ptychogram can be them.

    Raises
    ------
    DataError
        If it is conventional ptychography, or its arrays do not fit together.
    """
    draft = Draft(path=path, layout="PtyLab HDF5")
    with parsing(path, "PtyLab file"), h5py.File(path, "r") as file:
        if "zled" not in file:
            raise DataError(
                f"{path.name} is a PtyLab file without zled"
                + (", that is conventional ptychography with a detector distance zo" if "zo" in file else "")
                + ": it has no LEDs",
                "ptychoui reads Fourier ptychography; a file of that must state zled, the distance of the LEDs in m",
            )
        for setting, name, scale in SI:
            _state(draft, file, setting, name, scale)
        _state(draft, file, "microscope.magnification", "magnification", 1.0)
        _state(draft, file, "microscope.objective_na", "NA", 1.0)
        _state(draft, file, "array.height_mm", "zled", 1e3)
        reversed_axes = _matlab_axes(file, path, draft)
        if "encoder" in file:
            places = _encoder(file, path, draft, reversed_axes)
            flat = -places[:, ::-1] * 1e3
            draft.tell_leds(
                Leds(positions_mm=np.column_stack([flat, np.zeros(len(flat))])),
                "`encoder` [m]",
                "x = minus the second column, y = minus the first",
                "the program moves the window by minus the encoder, row first",
            )
        if "orientation" in file:
            draft.notes.append("the file's orientation was not used: set flip and swap in array.pose")
        draft.tell_unused(file)
        images = choose(path, _stacks(file, path), part, "stack")
        turned = _turned(file, images, path, draft) if reversed_axes else (0, 1, 2)
        _images(file, images, path, draft, given, turned)
        draft.tell_unused_per_image(_sizes(file), draft.images or 0)
        geometry = draft.complete(given)
        check_images(draft, geometry)
        raw = read_array(file, images, path).transpose(turned)
    return draft.finish(raw, geometry, sha256=sha256_file(path))


def read_aidukas(path: Path, given: GivenGeometry, part: str | None) -> ImageStack:
    """Read one tile of an Aidukas file.

    Parameters
    ----------
    part
        Name of the tile, and where it holds several stacks TILE.STACK; may be None where there is only one.
    """
    draft = Draft(path=path, layout="Aidukas HDF5", example="aidukas_usaf")
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        names = sections(file)
        tile, _, wanted = (part or "").partition(".")
        section = choose(path, names, tile or None, "tile")
        images = choose(path, _stacks(file[section], path), wanted or None, "stack", f"{section}.")
        draft.tell("tile", section, "", f"the file's {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}")
        for setting, name, scale in SI:
            _state(draft, file, setting, name, scale)
        _state(draft, file, "microscope.objective_na", "num_apert", 1.0)
        _state(draft, file, "array.height_mm", "zo", 1e3)
        camera, sample = scalar_or_none(file, "dxd", path), scalar_or_none(file, "dxp", path)
        if camera is not None and sample is not None:
            if not (camera > 0 and sample > 0):
                raise DataError(f"{path.name}: dxd = {camera:g} m and dxp = {sample:g} m must be above 0 m")
            draft.state("microscope.magnification", camera / sample, "`dxd` / `dxp`")
        group = file[section]
        if "positions_led" in group:
            places = in_metres(pairs(group, "positions_led", path), "positions_led", path)
            flat = np.column_stack([places[:, 1], -places[:, 0], np.zeros(len(places))]) * [1e3, 1e3, 1.0]
            draft.tell_leds(
                Leds(positions_mm=flat),
                f"`{section}/positions_led` [m], as seen from this tile",
                "x = the second column, y = minus the first",
                "measured on a published tile; the opposite sign of both is its twin",
            )
        draft.tell_unused([*file, *group])
        _images(group, images, path, draft, given)
        draft.tell_unused_per_image(_sizes(file) | _sizes(group), draft.images or 0)
        geometry = draft.complete(given)
        check_images(draft, geometry)
        raw = read_array(group, images, path)
    return draft.finish(raw, geometry, sha256=sha256_file(path))


def _stacks(group: h5py.Group, path: Path) -> list[str]:
    """The ptychogram, and other arrays of its size that may be meant as well."""
    size = sorted(numeric_dataset(group, IMAGES, path).shape)
    held = {name: group[name] for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)}
    others = [
        name
        for name, one in held.items()
        if name != IMAGES
        and isinstance(one, h5py.Dataset)
        and one.dtype.kind in "fiubc"
        and len(one.shape or ()) == 3
        and sorted(one.shape) == size
    ]
    return [IMAGES, *sorted(others)]


def choose(path: Path, names: list[str], part: str | None, what: str, before: str = "") -> str:
    """The part of a file that was asked for; where there are several, one has to be.

    ``before`` stands before its name behind that of the file.
    """
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    if part is not None:
        if part not in names and names == [IMAGES]:
            raise DataError(f"{path.name} has no parts, so there is no {part!r} in it", f"open {path.name} itself")
        if part not in names:
            raise DataError(
                f"{path.name} has no {what} {part!r}; it holds {listed}", f"name one: {path.name}::{before}{names[0]}"
            )
        return part
    if len(names) != 1:
        raise DataError(
            f"{path.name} holds {len(names)} {what}s: {listed}",
            f"choose one by writing its name behind the file: {path.name}::{before}{names[0]}",
        )
    return names[0]


def pairs(group: h5py.Group, name: str, path: Path) -> NDArray[np.float64]:
    """(LED, 2) finite numbers of a dataset."""
    value = read_array(group, name, path)
    if value.ndim != 2 or value.shape[1] != 2 or value.dtype.kind == "c" or not np.isfinite(value).all():
        raise DataError(f"{path.name}: {name} has the shape {value.shape}, expected (LEDs, 2) finite numbers")
    return value.astype(np.float64)


def in_metres(places: NDArray[np.float64], name: str, path: Path) -> NDArray[np.float64]:
    """(LED, 2) places, refused where they can hardly be metres."""
    # Counted LEDs lie whole steps apart, also where their middle was taken off.
    steps, low, high = places - places[0], NO_POSITION_MM[0] * 1e-3, NO_POSITION_MM[1] * 1e-3
    if len(places) < 2 or not np.any(steps):
        return places
    farthest, counted_up = float(np.abs(places).max()), np.all(np.abs(steps - np.round(steps)) < 1e-6)
    if counted_up or not low <= farthest <= high:
        how = "whole metres apart, up to" if counted_up else "up to"
        raise DataError(
            f"{path.name}: {name} places LEDs {how} {farthest:.4g} m from the axis, which is hardly meant",
            f"{name} holds places in m: are they LED indices, or in another unit? Convert them and save again",
        )
    return places


def _matlab_axes(file: h5py.File, path: Path, draft: Draft) -> bool:
    """Whether MATLAB wrote the file, which reverses the axes of every array: it has no scalars, only arrays of one.

    Told by a lying encoder; where there is none, what is likely is noted.
    """
    numbers = [name for name in SCALARS if name in file and isinstance(file[name], h5py.Dataset)]
    by_matlab = bool(numbers) and all(file[name].shape not in ((), None) for name in numbers)
    if not by_matlab:
        return False
    if "encoder" not in file:
        draft.notes.append(
            "the file looks written by MATLAB, which reverses the axes of arrays: if its images lie on their side, "
            "state array.pose.swap_xy in a geometry"
        )
        return False
    encoder = numeric_dataset(file, "encoder", path)
    return bool(encoder.ndim == 2 and encoder.shape[0] == 2 < encoder.shape[1] and encoder.dtype.kind != "c")


def _turned(file: h5py.File, images: str, path: Path, draft: Draft) -> tuple[int, int, int]:
    """Order of the axes of images that MATLAB wrote: of (row, column, LED) there, or of (LED, row, column)."""
    shape, count = numeric_dataset(file, images, path).shape, 0 if draft.leds is None else len(draft.leds)
    if len(shape) != 3:
        return (0, 1, 2)  # refused where its shape is checked
    draft.notes.append(
        "the file was written by MATLAB, which reverses the axes of arrays: encoder and images were turned back"
    )
    return (2, 1, 0) if shape[2] == count != shape[0] else (0, 2, 1)


def _encoder(file: h5py.File, path: Path, draft: Draft, reversed_axes: bool) -> NDArray[np.float64]:
    """The encoder as the program takes it: turned if it is (2, LED), and then with its mean taken off.

    One that MATLAB has turned was not centred by whoever wrote it.
    """
    value = read_array(file, "encoder", path)
    if reversed_axes:
        value = value.T.astype(np.float64)
        if not np.isfinite(value).all():
            raise DataError(f"{path.name}: encoder holds NaN or infinity", "correct it and save again")
        return in_metres(value, "encoder", path)
    if value.ndim == 2 and value.shape[0] == 2 and value.shape[1] > 2 and value.dtype.kind != "c":
        draft.notes.append(
            "encoder has the shape (2, LEDs): it was turned and centred on its mean, as PtyLab does; the images were "
            "not turned (if they lie on their side, too, state array.pose.swap_xy in a geometry)"
        )
        value = value.T.astype(np.float64)
        if not np.isfinite(value).all():
            raise DataError(f"{path.name}: encoder holds NaN or infinity", "correct it and save again")
        return in_metres(np.asarray(value - value.mean(axis=0)), "encoder", path)
    return in_metres(pairs(file, "encoder", path), "encoder", path)


def _sizes(group: h5py.Group) -> dict[str, int]:
    """Name -> number of elements of the datasets of real numbers that this file itself holds."""
    links = {name: group.get(name, getlink=True) for name in group}
    datasets = {name: group[name] for name, link in links.items() if isinstance(link, h5py.HardLink)}
    return {
        name: int(dataset.size or 0)
        for name, dataset in datasets.items()
        if isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "fiub"
    }


def _state(draft: Draft, file: h5py.File, setting: str, name: str, scale: float) -> None:
    value = scalar_or_none(file, name, draft.path)
    if value is not None:
        draft.state(setting, value * scale, f"`{name}`" + (" [m]" if scale != 1 else ""))


def _images(
    group: h5py.Group,
    name: str,
    path: Path,
    draft: Draft,
    given: GivenGeometry,
    turned: tuple[int, int, int] = (0, 1, 2),
) -> None:
    """Record the images; which axis is the LED is told by the LEDs."""
    shape: tuple[int, ...] = numeric_dataset(group, name, path).shape
    if len(shape) == 3:
        shape = tuple(shape[axis] for axis in turned)
    if len(shape) != 3 or 0 in shape:
        raise DataError(
            f"{path.name}: {name} has the shape {shape}, expected (LEDs, rows, columns)",
            "save one stack: choose one colour, focus or repetition, and give a grid of LEDs one axis, in their order",
        )
    if draft.leds is not None and given is None and len(draft.leds) != shape[0] and len(draft.leds) == shape[2]:
        raise DataError(
            f"{path.name}: {name} has the shape {shape}, its last axis has the {len(draft.leds)} LEDs",
            "this layout has the LEDs on the first axis: turn the array and save it again",
        )
    matches = draft.leds is not None and len(draft.leds) == shape[0]
    draft.tell(
        "axis of the LEDs",
        "first",
        "",
        f"{shape[0]} images = {shape[0]} LEDs" if matches else "the custom of the layout",
        assumed=not matches,
    )
    draft.tell_images(*shape, f"`{name}`")
