"""Configurations of FPM Torch: JSON with the sections ``dataset`` and ``setup``, images by a pattern of names.

``dataset``: ``file_pattern`` such as image_x_{x}_y_{y}.tif, ``coords_file`` JSON list of [a, b] for each LED,
``nused`` how many of them, ``input_root`` folder of the images. ``setup``: ``wavelength_um``, ``objective_na``,
``magnification``, ``camera_pixel_um``, ``led_distance_um``, ``led_coord_unit_um``, ``led_coord_center``,
``led_coords_convention`` xy or rc, ``led_axis_signs`` (default [-1, -1]), ``z0`` defocus [um]. The program moves the
rows of the window by its x and the columns by its y. ``crops.crop_dir`` may name a folder inside ``input_root``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.acquisition import exposure_words, with_all_stated
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.file_facts import facts_of_files
from ptychoui.data.formats.folder import KINDS, read_files, stated_by
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.image_file import read_picture
from ptychoui.data.formats.led_table import Leds, is_number, load_json, numbers_of
from ptychoui.data.formats.picture import light
from ptychoui.data.formats.refusals import refused_image
from ptychoui.data.formats.stated_order import order_as_stated
from ptychoui.errors import DataError

SETTINGS = ("wavelength_um", "objective_na", "magnification", "camera_pixel_um")
FIELD = re.compile(r"\{([xyi])(?::0(\d))?\}")


def is_fpm_torch(values: Any) -> bool:
    """Whether decoded JSON is such a configuration."""
    return (
        isinstance(values, dict)
        and isinstance(values.get("setup"), dict)
        and isinstance(values.get("dataset"), dict)
        and "file_pattern" in values["dataset"]
    )


def read_fpm_torch(path: Path, values: dict[str, Any], given: GivenGeometry) -> ImageStack:
    """Read the images that a configuration names, from folders beside it.

    Raises
    ------
    DataError
        If a member is missing or of the wrong kind, an image is missing, or the images are of a kind that is not read.
    """
    dataset, setup = values["dataset"], values["setup"]
    draft = Draft(path=path, layout="FPM Torch configuration")
    coordinates, source = _coordinates(path, dataset)
    used = dataset.get("nused")
    if used is not None:
        if not isinstance(used, int) or isinstance(used, bool) or not 1 <= used <= len(coordinates):
            raise DataError(f"{path.name}: nused is not a number from 1 to the {len(coordinates)} LEDs of {source}")
        coordinates = coordinates[:used]
    for name in SETTINGS:
        draft.state(f"microscope.{name}", _number(setup, name, path), f"`setup.{name}`")
    distance = _number(setup, "led_distance_um", path)
    draft.state("array.height_mm", None if distance is None else distance * 1e-3, "`setup.led_distance_um`")
    draft.state("microscope.defocus_um", _number(setup, "z0", path) or None, "`setup.z0`")
    _leds(path, setup, coordinates, source, draft)
    files = _files(path, values, coordinates, draft)
    rows, columns = read_picture(files[0]).values.shape
    draft.tell_images(len(files), rows, columns, f"`file_pattern` {dataset['file_pattern']}")
    draft.tell("axis of the LEDs", "files", "", f"one file for each of {len(files)} LEDs of {source}")
    geometry = draft.complete(given)
    check_images(draft, geometry)
    digest = hashlib.sha256(sha256_file(path).encode())
    raw, pictures = read_files(files, digest)
    draft.check_mosaic(pictures[0].mosaic)
    raw = light(raw, pictures[0], draft.said.bit_depth or pictures[0].bits_said, path.name, draft.tell_scale)
    stated, settings = facts_of_files(files, draft)
    order_as_stated(stated, geometry, draft, "file")
    found = with_all_stated(stated_by(files, pictures, draft, stated=stated), [settings])
    draft.notes.extend(found.notes("the header"))
    exposure = found.relative(path.name, draft.said.exposures is not None, draft.notes)
    if exposure is not None:
        draft.tell("exposures stated", exposure_words(exposure), "", found.source)
    return draft.finish(raw, geometry, sha256=digest.hexdigest(), exposure=exposure)


def _coordinates(path: Path, dataset: dict[str, Any]) -> tuple[NDArray[np.float64], str]:
    name = dataset.get("coords_file")
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{path.name}: dataset.coords_file does not name the file of LED coordinates")
    found = _inside(path.parent, name)
    if found is None or not found.is_file():
        found = _inside(path.parent, Path(name).name)
    if found is None or not found.is_file():
        raise DataError(f"{path.name} names the LED coordinates {name!r}, which are not here", "put them beside it")
    values = load_json(found.read_bytes(), found)
    if isinstance(values, dict):
        lists = [v for v in values.values() if isinstance(v, list) and v and isinstance(v[0], list)]
        values = lists[0] if len(lists) == 1 else None
    if not isinstance(values, list) or not values:
        raise DataError(f"{found.name} is not a list of [a, b] for each LED")
    rows = [numbers_of(row, 2, f"{found.name}: entry {number}") for number, row in enumerate(values)]
    return np.array(rows), found.name


def _leds(path: Path, setup: dict[str, Any], coordinates: NDArray[np.float64], source: str, draft: Draft) -> None:
    convention = setup.get("led_coords_convention", "xy")
    if convention not in ("xy", "rc"):
        raise DataError(f"{path.name}: led_coords_convention is {str(convention)[:20]!r}", "known: xy, rc")
    lacking = [name for name in ("led_coord_unit_um", "led_coord_center") if setup.get(name) is None]
    if lacking:
        draft.notes.append(f"the setup lacks {', '.join(lacking)}: no LED positions")
        return
    unit = _number(setup, "led_coord_unit_um", path) or 0.0
    center = np.array(numbers_of(setup["led_coord_center"], 2, f"{path.name}: led_coord_center"))
    signs = np.array(numbers_of(setup.get("led_axis_signs", [-1, -1]), 2, f"{path.name}: led_axis_signs"))
    if not unit > 0 or not np.all(np.abs(signs) == 1):
        raise DataError(f"{path.name}: led_coord_unit_um must be above 0 and led_axis_signs 1 or -1")
    xy = coordinates if convention == "xy" else coordinates[:, ::-1]
    with np.errstate(over="ignore"):
        mm = signs * (xy - center) * unit * 1e-3
    draft.tell_leds(
        Leds(positions_mm=np.column_stack([mm[:, ::-1], np.zeros(len(mm))])),
        f"{source}, {convention}, unit {unit:g} um, signs {signs[0]:g} and {signs[1]:g}",
        "x (columns) = the program's y, y (rows) = its x",
        "as the program does",
    )
    if "led_axis_signs" not in setup:
        draft.tell("signs of the LED axes", "-1, -1", "", "the program's default", assumed=True)


def _files(path: Path, values: dict[str, Any], coordinates: NDArray[np.float64], draft: Draft) -> list[Path]:
    dataset, crops = values["dataset"], values.get("crops")
    pattern = dataset["file_pattern"]
    if not isinstance(pattern, str) or not pattern or "\0" in pattern or Path(pattern).name != pattern:
        raise DataError(f"{path.name}: file_pattern is not a plain file name")
    refused = refused_image(Path(pattern), b"")
    if refused:
        raise DataError(*refused)
    if Path(pattern).suffix.lower() not in KINDS:
        raise DataError(
            f"{path.name}: images of the kind {pattern[-12:]!r} are not read", "convert them to TIFF or PNG"
        )
    if FIELD.sub("", pattern).count("{"):
        raise DataError(f"{path.name}: file_pattern {pattern[:60]!r} has fields other than {{x}}, {{y}} and {{i}}")
    names = [_name(pattern, place, row) for place, row in enumerate(coordinates.tolist())]
    if len(set(names)) != len(names):
        raise DataError(f"{path.name}: file_pattern {pattern[:60]!r} gives one name for several LEDs")
    root = dataset.get("input_root")
    crop = crops.get("crop_dir") if isinstance(crops, dict) else None
    tried = [root if isinstance(root, str) else ".", Path(str(root)).name or ".", "."]
    folders = [f"{base}/{crop}" for base in tried if isinstance(crop, str)] + tried
    for text in folders:
        folder = None if "\0" in text else _inside(path.parent, text)
        if folder is not None and (folder / names[0]).is_file():
            files = [folder / name for name in names]
            absent = [file.name for file in files if not file.is_file()]
            if absent:
                raise DataError(f"{len(absent)} of {len(files)} images are missing, the first is {absent[0]}")
            draft.tell("folder of the images", str(folder.relative_to(path.parent.resolve())), "", "`input_root`")
            return files
    raise DataError(
        f"{path.name}: the first image {names[0]!r} is not here",
        "put the images in a folder beside the configuration and name it in dataset.input_root",
    )


def _name(pattern: str, place: int, row: list[float]) -> str:
    """The file name of one LED; coordinates that are whole numbers are written as such."""

    def value(match: re.Match[str]) -> str:
        number = place if match[1] == "i" else row["xy".index(match[1])]
        text = str(int(number)) if float(number).is_integer() and abs(number) < 1e9 else f"{number:g}"
        return text.zfill(int(match[2] or 0))

    return FIELD.sub(value, pattern)


def _inside(base: Path, name: str) -> Path | None:
    """A path below the folder of the configuration; None for one that leads out of it."""
    try:
        found = (base / name).resolve()
        found.relative_to(base.resolve())
    except (ValueError, OSError, RuntimeError):
        return None
    return found


def _number(setup: dict[str, Any], name: str, path: Path) -> float | None:
    value = setup.get(name)
    if value is None:
        return None
    if not is_number(value):
        raise DataError(f"{path.name}: setup.{name} is not a number", "correct it in the configuration")
    return float(value)
