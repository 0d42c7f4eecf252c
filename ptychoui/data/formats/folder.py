"""A folder of TIFF or PNG files in natural order (image_2 before image_10), one image per LED.

Files whose name starts with "dark" are dark frames; those that start with "darkfield" are not.
"""

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
    parsing,
)
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.names import notes_on_names
from ptychoui.data.formats.refusals import RAW_SUFFIXES
from ptychoui.data.formats.tiff import read_tiff_image
from ptychoui.errors import DataError
from ptychoui.words import counted

KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
DARK = re.compile(r"dark(?!\W*_*field)", re.IGNORECASE)
"""Names of dark frames; an image under dark-field illumination is none."""
END_OF_PNG = b"IEND\xaeB`\x82"
GREY_MODES = {"1", "L", "I", "I;16", "I;16B", "I;16L"}


def read_folder(folder: Path, given: GivenGeometry, draft: Draft | None = None) -> ImageStack:
    """Read the images of a folder; the geometry is the one given or ``geometry.toml`` in the folder.

    Files whose name starts with "dark", but not "darkfield", are dark frames: their mean is taken off every image.
    ``draft`` holds what other files in the folder say.
    """
    draft = draft or Draft(path=folder, layout="")
    files, dark_files = image_files(folder)
    draft.layout = draft.layout or f"folder of {KINDS[files[0].suffix.lower()]} files"
    first = read_image(files[0])
    draft.tell_images(len(files), first.shape[0], first.shape[1], "the files")
    draft.tell(
        "order of the images", f"{files[0].name} to {files[-1].name}", "", "natural order of the names", assumed=True
    )
    draft.notes.extend(notes_on_names([file.name for file in files]))
    if dark_files:
        some = f"{dark_files[0].name}{', ...' if len(dark_files) > 1 else ''}"
        draft.tell("dark frames", len(dark_files), "", f"{some}; their mean is subtracted")
        dark_frames = "a dark frame" if len(dark_files) == 1 else "dark frames"
        draft.aside = f"{counted(len(dark_files), 'file')} set aside as {dark_frames} by name: {some}"
    geometry = draft.complete(given)
    check_images(draft, geometry)
    digest = hashlib.sha256()
    raw = read_files(files, digest)
    draft.notes.append(f"{counted(len(files), 'file')} in natural order, from {files[0].name} to {files[-1].name}")
    dark = None
    if dark_files:
        frame = read_files(dark_files, digest, first).mean(axis=0, dtype=np.float64)
        dark = [frame] * len(raw)
        which = "the dark frame" if len(dark_files) == 1 else f"the mean of {len(dark_files)} dark frames"
        draft.notes.append(f"{which} ({frame.mean():.4g}) was subtracted")
    return draft.finish(raw, geometry, sha256=digest.hexdigest(), dark=dark)


def read_files(files: list[Path], digest: hashlib._Hash, like: NDArray[Any] | None = None) -> NDArray[Any]:
    """(file, row, column) of files that must have one size and type (that of ``like``, or of the first)."""
    first = read_image(files[0])
    like, name = (first, files[0].name) if like is None else (like, "the first image")
    raw = np.empty((len(files), *like.shape), dtype=like.dtype)
    for place, file in enumerate(files):
        image = first if place == 0 else read_image(file)
        if image.shape != like.shape or image.dtype != like.dtype:
            raise DataError(
                f"{file.name} is {image.shape} {image.dtype}, {name} is {like.shape} {like.dtype}",
                "all images of a stack must have the same size and type",
            )
        raw[place] = image
        digest.update(f"{file.name}\0{sha256_file(file)}\n".encode())
    return raw


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder and its dark frames in natural order; two kinds of image in one folder are refused."""
    try:
        files = [
            f for f in folder.iterdir() if f.suffix.lower() in KINDS and not f.name.startswith(".") and f.is_file()
        ]
        names = sorted({f.suffix.lower() for f in folder.iterdir() if f.suffix.lower() in RAW_SUFFIXES})
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror}", "check its permissions") from None
    kinds = {KINDS[f.suffix.lower()] for f in files}
    if not kinds:
        found = f", but {', '.join(names)} files" if names else ""
        raise DataError(
            f"the folder {folder.name!r} holds no TIFF or PNG files{found}", "convert the images to TIFF or PNG"
        )
    if len(kinds) > 1:
        raise DataError(
            f"the folder {folder.name!r} holds both TIFF and PNG files ({len(files)} in all)",
            "keep the images of the stack in a folder of their own",
        )
    files = sorted(files, key=natural_key)
    dark = [file for file in files if DARK.match(file.name)]
    images = [file for file in files if not DARK.match(file.name)]
    if not images:
        raise DataError(f"the folder {folder.name!r} holds dark frames only", "add the images of the LEDs")
    return images, dark


def natural_key(file: Path) -> tuple[list[str | int], str]:
    """Sort key in which the numbers inside a name count as numbers; equal names by their spelling."""
    parts = re.split(r"([0-9]+)", file.name.lower())
    # Text and numbers alternate, so two keys always compare like with like.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], file.name


def read_image(path: Path) -> NDArray[Any]:
    """Read one grey image, TIFF or PNG: (row, column)."""
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
