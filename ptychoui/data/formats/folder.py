"""A folder of TIFF or PNG files in natural order (image_2 before image_10), one image per LED."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import (
    check_claim,
    check_count,
    finish_stack,
    geometry_for,
    need_geometry,
    parsing,
)
from ptychoui.data.formats.tiff import read_tiff_image
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry

KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
END_OF_PNG = b"IEND\xaeB`\x82"
GREY_MODES = {"1", "L", "I", "I;16", "I;16B", "I;16L"}


def read_folder(folder: Path, given: Geometry | None) -> ImageStack:
    """Read the images of a folder; the geometry is the one given or ``geometry.toml`` in the folder."""
    notes: list[str] = []
    files = image_files(folder)
    geometry = need_geometry(folder, geometry_for(folder, given, notes))
    check_count(len(files), geometry, folder.name)
    first = _image(files[0])
    raw = np.empty((len(files), *first.shape), dtype=first.dtype)
    digest = hashlib.sha256()
    for place, file in enumerate(files):
        image = first if place == 0 else _image(file)
        if image.shape != first.shape or image.dtype != first.dtype:
            raise DataError(
                f"{file.name} is {image.shape} {image.dtype}, {files[0].name} is {first.shape} {first.dtype}",
                "all images of a stack must have the same size and type",
            )
        raw[place] = image
        digest.update(f"{file.name}\0{sha256_file(file)}\n".encode())
    notes.append(f"{len(files)} files in natural order, from {files[0].name} to {files[-1].name}")
    layout = f"folder of {KINDS[files[0].suffix.lower()]} files"
    return finish_stack(raw, geometry, path=folder, layout=layout, sha256=digest.hexdigest(), notes=notes)


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order; two kinds of image in one folder are refused."""
    try:
        files = [
            f for f in folder.iterdir() if f.suffix.lower() in KINDS and not f.name.startswith(".") and f.is_file()
        ]
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror}", "check its permissions") from None
    kinds = {KINDS[f.suffix.lower()] for f in files}
    if not kinds:
        raise DataError(f"the folder {folder.name!r} holds no TIFF or PNG files", "convert the images to TIFF or PNG")
    if len(kinds) > 1:
        raise DataError(
            f"the folder {folder.name!r} holds both TIFF and PNG files ({len(files)} in all)",
            "keep the images of the stack in a folder of their own",
        )
    return sorted(files, key=natural_key)


def natural_key(file: Path) -> tuple[list[str | int], str]:
    """Sort key in which the numbers inside a name count as numbers; equal names by their spelling."""
    parts = re.split(r"([0-9]+)", file.name.lower())
    # Text and numbers alternate, so two keys always compare like with like.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], file.name


def _image(path: Path) -> NDArray[Any]:
    return _png(path) if path.suffix.lower() == ".png" else read_tiff_image(path)


def _png(path: Path) -> NDArray[Any]:
    """Read a grey PNG, 8 or 16 bits: (row, column)."""
    with parsing(path, "PNG file"):
        raw = path.read_bytes()
        if raw[:8] != b"\x89PNG\r\n\x1a\n":
            raise DataError(f"{path.name} is not a PNG file", "save it again as PNG")
        if END_OF_PNG not in raw:
            raise DataError(f"{path.name} is cut short: the end of the PNG is missing", "copy the file again")
        width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
        # At least one bit per pixel: enough to refuse a damaged header before memory is taken.
        check_claim(path, "the image", width * height // 8, len(raw))
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            if image.mode not in GREY_MODES:
                raise DataError(
                    f"{path.name} is a colour or palette image (mode {image.mode}), expected grey",
                    "convert colour images to one channel first",
                )
            return np.asarray(image)
