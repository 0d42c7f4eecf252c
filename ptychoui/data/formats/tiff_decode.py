"""Pixels of a TIFF page, also those that tifffile leaves to imagecodecs: LZW, packed bits, predictors.

LZW and Zstandard are unpacked by the libtiff inside Pillow, which is given each strip as a small TIFF of bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ptychoui.data.formats.common import check_claim
from ptychoui.data.formats.picture import Picture, looked_up, numbers, one_channel
from ptychoui.errors import DataError

LOSSY = {6, 7, 33003, 33004, 33005, 33007, 34712, 50001, 34927}
BY_PILLOW = {} if importlib.util.find_spec("imagecodecs") else {5: 5, 50000: 50000, 34926: 50000}
"""Compressions that are unpacked here, and their number in libtiff; tifffile has no decoder of its own for them."""
PALETTE, MOSAIC = 3, 32803
GREY_KINDS = {0: 1, 1: 1, 2: 3, PALETTE: 1, MOSAIC: 1, 34892: 1}
"""Photometric interpretation -> samples that must be equal: grey, colour, palette, Bayer mosaic, linear raw."""
TURNED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: image[::-1, ::-1],
    4: np.flipud,
    5: np.transpose,
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).T,
    8: np.rot90,
}
"""Orientation that a header states -> how the stored image is shown, its first row at the top."""
DENSE, DENSE_BYTES = {5, 34925, 34926, 50000}, 2**26
"""Compressions that shrink an even image by more than Deflate can, and the size of a page up to which they may."""
_TERMINAL = threading.Lock()
WHOLE_BYTES = {8, 16, 32, 64}
CUT = "the file is damaged or cut short: copy it again and compare its size"


def picture_of(page: Any, path: Path, number: int, sample: int = 0) -> Picture:
    """One page as grey numbers; ``sample`` is the plane that is meant where several lie in one page.

    Raises
    ------
    DataError
        If the page is cut short, damaged, stored in a way that is not read, or not grey.
    """
    values = decoded(page, path, number)
    page = _framed(page)
    key = page.keyframe
    photometric = int(key.photometric)
    what = f"{path.name}: page {number}"
    if int(key.planarconfig) == 2 and key.samplesperpixel > 1:
        values = np.moveaxis(values.reshape(key.samplesperpixel, key.imagelength, key.imagewidth), 0, -1)
    grey = GREY_KINDS.get(photometric, 0)
    if not grey or key.imagedepth != 1 or key.samplesperpixel < grey:
        kind = getattr(key.photometric, "name", str(photometric))
        raise DataError(
            f"{what} has the shape {key.shape} ({kind}), expected grey", "convert colour images to one channel first"
        )
    values = values.reshape(key.imagelength, key.imagewidth, key.samplesperpixel)
    extra = [int(one) for one in key.extrasamples]
    if photometric in (0, 1) and key.samplesperpixel > 1 and not any(extra):
        values = values[..., sample : sample + 1]
    values = one_channel(values, grey, what)
    if photometric == PALETTE:
        values = looked_up(values, np.asarray(key.colormap).T, what)
    turned = orientation(key)
    values = numbers(np.ascontiguousarray(TURNED[turned](values)))
    most = key.tags.get("MaxSampleValue")
    most = most.value if most is not None and isinstance(most.value, int) else 0
    black = key.tags.get("BlackLevel")
    return Picture(
        values=values,
        white_is_zero=photometric == 0,
        bits=key.bitspersample,
        bits_said=most.bit_length() if most and (most & (most + 1)) == 0 else None,
        colour=grey == 3,
        palette=photometric == PALETTE,
        mosaic=photometric == MOSAIC,
        turned=turned,
        says=_says(black, turned),
    )


def _says(black: Any, turned: int) -> tuple[str, ...]:
    found = []
    if black is not None:
        found.append(
            f"the TIFF states a black level of {black.value}, which was not subtracted: state dark_level in [images] "
            "of a geometry if it is still in the values"
        )
    if turned != 1:
        found.append(f"the images were turned as their header says (Orientation {turned})")
    return tuple(found)


def orientation(key: Any) -> int:
    """How a page is meant to be shown, 1 to 8; 1 is as it is stored."""
    tag = key.tags.get("Orientation")
    value = 1 if tag is None else tag.value
    return int(value) if isinstance(value, int) and value in TURNED else 1


def decoded(page: Any, path: Path, number: int) -> NDArray[Any]:
    """Pixels of one page, with the axes of ``page.axes``, after its claims were checked against the file's size.

    Raises
    ------
    DataError
        If the page is cut short or damaged, or stored in a way that is not read.
    """
    page = page if isinstance(page, tifffile.TiffPage) else _framed(page)
    key = page.keyframe
    compression = int(key.compression)
    file = Path(page.parent.filehandle.path)
    size = file.stat().st_size
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count > 0]
    if len(ends) != len(page.databytecounts) or not ends or max(ends) > size:
        raise DataError(f"{path.name} is cut short: page {number} ends beyond the file", "copy it again")
    what = f"{path.name}: page {number}"
    _check_known(key, compression, what)
    stored = int(sum(page.databytecounts))
    claimed = math.prod(key.shape) * key.bitspersample // 8
    if compression not in DENSE or claimed > DENSE_BYTES:
        check_claim(path, f"page {number}", claimed, stored, packed=compression != 1)
    handle = page.parent.filehandle
    closed = handle.closed  # one of several files of a stack
    if closed:
        handle.open()
    try:
        if _tifffile_can(key, compression):
            return np.asarray(page.asarray())
        return _by_segments(page, key, compression, what)
    finally:
        if closed:
            handle.close()


def _framed(page: Any) -> Any:
    """A frame of a stack as it is, or the page that a list of pages stands for."""
    return page if isinstance(page, tifffile.TiffFrame) else page.aspage()


def _check_known(key: Any, compression: int, what: str) -> None:
    name = getattr(key.compression, "name", str(compression))
    if compression in LOSSY:
        raise DataError(
            f"{what} is compressed by {name}, which changes the values: not read",
            "save the images with lossless compression (LZW, Deflate) or none",
        )
    if compression != 1 and compression not in BY_PILLOW and compression not in tifffile.TIFF.DECOMPRESSORS:
        raise DataError(
            f"{what} uses the compression {name}, which this installation cannot decode",
            "install imagecodecs (pip install imagecodecs), or save the images without compression",
        )
    if key.dtype is None or key.dtype.kind not in "uifb":
        kind = getattr(key.sampleformat, "name", str(key.sampleformat)).lower()
        hint = "save |field|^2 instead" if key.dtype is not None and key.dtype.kind == "c" else "save 16-bit integers"
        raise DataError(f"{what} holds numbers of a kind that is not read: {kind} of {key.bitspersample} bits", hint)
    packed = key.bitspersample not in WHOLE_BYTES
    if packed and (key.dtype.kind not in "ub" or key.bitspersample > 16 or key.predictor != 1):
        raise DataError(
            f"{what} holds packed numbers of {key.bitspersample} bits, which are not read",
            "save them as 16-bit integers",
        )
    if key.predictor not in (1, 2, 3):
        raise DataError(f"{what} uses an unknown predictor ({key.predictor})", "save the images without compression")


def _tifffile_can(key: Any, compression: int) -> bool:
    known = compression not in BY_PILLOW
    packed = key.bitspersample not in WHOLE_BYTES and key.bitspersample != 1
    return known and not packed and key.predictor in (1, 2) and (key.predictor == 1 or key.samplesperpixel == 1)


def _by_segments(page: Any, key: Any, compression: int, what: str) -> NDArray[Any]:
    """The page strip by strip, or tile by tile."""
    separate = int(key.planarconfig) == 2 and key.samplesperpixel > 1
    samples = 1 if separate else key.samplesperpixel
    rows, columns = key.imagelength, key.imagewidth
    height, width = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, columns)
    across, down = -(-columns // width), -(-rows // height)
    planes = key.samplesperpixel if separate else 1
    if len(page.dataoffsets) != across * down * planes or key.imagedepth != 1:
        raise DataError(f"{what} has {len(page.dataoffsets)} strips, expected {across * down * planes}", CUT)
    image = np.empty((planes, rows, columns, samples), dtype=np.dtype(key.dtype).newbyteorder("="))
    handle = page.parent.filehandle
    for place, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        handle.seek(offset)
        data = handle.read(count)
        plane, inside = divmod(place, across * down)
        row, column = inside // across * height, inside % across * width
        there = height if key.is_tiled else min(height, rows - row)
        part = _segment(data, key, compression, (there, width, samples), what)
        kept = part[: rows - row, : columns - column]
        image[plane, row : row + kept.shape[0], column : column + kept.shape[1]] = kept
    return image.reshape(key.shape)


def _segment(data: bytes, key: Any, compression: int, shape: tuple[int, int, int], what: str) -> NDArray[Any]:
    rows, columns, samples = shape
    bits, dtype = key.bitspersample, np.dtype(key.dtype)
    row_bytes = -(-columns * samples * bits // 8)
    if int(key.fillorder) == 2:
        data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")).tobytes()
    if compression in BY_PILLOW:
        data = _unpacked(data, BY_PILLOW[compression], rows * row_bytes, what)
    elif compression != 1:
        data = bytes(tifffile.TIFF.DECOMPRESSORS[compression](data, out=rows * row_bytes))
    if len(data) < rows * row_bytes:
        raise DataError(f"{what} is damaged: a strip holds {len(data)} bytes, expected {rows * row_bytes}", CUT)
    lines = np.frombuffer(data, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    if bits not in WHOLE_BYTES:
        single = np.unpackbits(lines, axis=1)[:, : columns * samples * bits].reshape(rows, columns, samples, bits)
        packed = np.zeros(shape, dtype=dtype.newbyteorder("="))
        for bit in range(bits):
            packed = (packed << 1) | single[..., bit]
        return packed
    if key.predictor == 3:
        summed = np.cumsum(lines.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
        by_significance = summed.reshape(rows, dtype.itemsize, columns * samples)
        joined = np.ascontiguousarray(by_significance.transpose(0, 2, 1))
        return np.asarray(joined.view(dtype.newbyteorder(">")).reshape(shape))
    values = lines.view(dtype.newbyteorder(key.parent.byteorder)).reshape(shape).astype(dtype.newbyteorder("="))
    if key.predictor == 2:
        whole = values.view(f"u{dtype.itemsize}")
        values = np.cumsum(whole, axis=1, dtype=whole.dtype).view(values.dtype)
    return np.asarray(values)


def _unpacked(data: bytes, compression: int, size: int, what: str) -> bytes:
    """Unpack one strip: libtiff reads it as a TIFF of one row of ``size`` bytes."""
    entries = [(256, size), (257, 1), (258, 8), (259, compression), (262, 1), (273, 0), (277, 1), (278, 1)]
    entries.append((279, len(data)))
    start = 8 + 2 + 12 * len(entries) + 4
    entries = [(tag, start if tag == 273 else value) for tag, value in entries]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + b"\0\0\0\0"
    try:
        with _without_output(), Image.open(io.BytesIO(head + data), formats=["TIFF"]) as image:
            return image.tobytes()
    except Image.DecompressionBombError:
        raise DataError(
            f"{what} keeps {size / 2**20:.4g} MiB in one compressed strip, too much to unpack here",
            "install imagecodecs (pip install imagecodecs), or save the images without compression",
        ) from None
    except (OSError, ValueError, SyntaxError) as error:
        reason = (str(error).splitlines() or [""])[0][:100]
        raise DataError(f"{what} is damaged: its compressed data cannot be unpacked ({reason})", CUT) from None


@contextmanager
def _without_output() -> Iterator[None]:
    """Keep libtiff from writing to the terminal, which it does by itself about damaged data."""
    with _TERMINAL:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
