"""One grey image from a file, TIFF or PNG; the content decides which, not the name."""

from __future__ import annotations

import io
from dataclasses import replace
from numbers import Rational
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from ptychoui.data.formats.acquisition import positive
from ptychoui.data.formats.common import check_claim, parsing
from ptychoui.data.formats.picture import GREY, Picture, looked_up, numbers, one_channel
from ptychoui.data.formats.refusals import LINEAR, refused_image
from ptychoui.data.formats.tiff import read_tiff_image
from ptychoui.data.formats.tiff_decode import TURNED
from ptychoui.errors import DataError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
END_OF_PNG = b"IEND\xaeB`\x82"
GREY_MODES = {"1", "L", "I", "I;16", "I;16B", "I;16L"}
COLOURS = {"LA": 1, "RGB": 3, "RGBA": 3}
"""Modes of Pillow -> channels that must be equal; what follows them is transparency."""
OTHERS = {b"BM": "a BMP", b"GIF8": "a GIF", b"RIFF": "a WebP or another RIFF", b"\x89HDF": "an HDF5"}


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in TIFF_MAGIC


def kind_of(path: Path) -> str:
    """TIFF or PNG by the first bytes; by the name where they are of neither, so that an error can say so."""
    if is_tiff(path):
        return "TIFF"
    with path.open("rb") as file:
        start = file.read(8)
    return "PNG" if start == PNG_MAGIC or path.suffix.lower() == ".png" else "TIFF"


def read_picture(path: Path) -> Picture:
    """Read one grey image, TIFF or PNG.

    Raises
    ------
    DataError
        If it is neither, cut short or damaged, or not grey.
    """
    with parsing(path, "image"):
        with path.open("rb") as file:
            start = file.read(16)
        if start[:4] in TIFF_MAGIC:
            return read_tiff_image(path)
        if start[:8] == PNG_MAGIC:
            return _png(path)
        if refused := refused_image(path.with_suffix(""), start):
            raise DataError(*refused)
        other = next((words for magic, words in OTHERS.items() if start.startswith(magic)), None)
        if other:
            raise DataError(f"{path.name} is {other} file, not a TIFF or PNG", LINEAR)
        if not start:
            raise DataError(f"{path.name} is empty (0 bytes)", "copy the file again")
        kind = "PNG" if path.suffix.lower() == ".png" else "TIFF"
        raise DataError(f"{path.name} is not a {kind} file", f"copy it again, or save it again as {kind}")


def _png(path: Path) -> Picture:
    """Read a grey PNG, 8 or 16 bits."""
    with parsing(path, "PNG file"):
        raw = path.read_bytes()
        if END_OF_PNG not in raw:
            raise DataError(f"{path.name} is cut short: the end of the PNG is missing", "copy the file again")
        width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
        # At least one bit per pixel: enough to refuse a damaged header before memory is taken.
        check_claim(path, "the image", width * height // 8, len(raw))
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            if image.mode in GREY_MODES:
                return _by_exif(Picture(values=numbers(np.asarray(image)), bits=raw[24], says=_gamma(image)), image)
            if image.mode == "P":
                palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
                _check_opaque(image, path)
                values = looked_up(np.asarray(image), palette, path.name, any_greys=True)
                return _by_exif(Picture(values=values, bits=8, palette=True, says=_gamma(image)), image)
            if image.mode in COLOURS:
                if raw[24] == 16:
                    raise DataError(
                        f"{path.name} is a colour image of 16 bits per channel, which is not read, expected grey", GREY
                    )
                grey = _equal(np.asarray(image), COLOURS[image.mode], path)
                return _by_exif(Picture(values=grey, bits=8, colour=image.mode != "LA", says=_gamma(image)), image)
            raise DataError(
                f"{path.name} is a colour or palette image (mode {image.mode}), expected grey",
                "convert colour images to one channel first",
            )


def _by_exif(picture: Picture, image: Image.Image) -> Picture:
    """Turned as the Exif data of a PNG say, with the exposure and other facts that it states."""
    named = [str(key)[:24] for key in image.info if "exposure" in str(key).lower()]
    if named:
        words = (
            f"the PNG files state {', '.join(named[:3])} as text, which was not used: if the exposures differ, state "
            "exposures in [images] of a geometry"
        )
        picture = replace(picture, says=(*picture.says, words))
    if "exif" not in image.info:
        return picture
    exif = image.getexif()
    turned = exif.get(ExifTags.Base.Orientation, 1)
    seconds = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ExposureTime, exif.get(ExifTags.Base.ExposureTime))
    seconds = positive(float(seconds)) if isinstance(seconds, Rational | float) else None
    picture = replace(picture, exposure_ms=None if seconds is None else seconds * 1e3)
    if turned == 1 or turned not in TURNED:
        return picture
    says = (*picture.says, f"the images were turned as their header says (Orientation {turned})")
    return replace(picture, values=np.ascontiguousarray(TURNED[turned](picture.values)), turned=turned, says=says)


def _equal(values: NDArray[Any], colours: int, path: Path) -> NDArray[Any]:
    return one_channel(values, colours, path.name)


def _gamma(image: Image.Image) -> tuple[str, ...]:
    """What a PNG says of the curve of its values."""
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or gamma == 1:
        return ()
    return (
        f"the PNG files state a gamma of {gamma:g}, which was not used: the values were taken as proportional to light",
    )


def _check_opaque(image: Image.Image, path: Path) -> None:
    """Refuse a palette with transparent colours that are in use."""
    clear = image.info.get("transparency")
    if clear is None:
        return
    alpha = np.frombuffer(clear, np.uint8) if isinstance(clear, bytes) else np.array([255] * clear + [0])
    used = np.unique(np.asarray(image))
    if any(place < len(alpha) and alpha[place] != 255 for place in used):
        raise DataError(f"{path.name} has transparent colours in its palette, expected grey", GREY)
