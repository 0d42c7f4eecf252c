"""Multi-page TIFF and OME-TIFF: one page per LED, with the geometry in a file beside it."""

from __future__ import annotations

import io
import logging
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, array_sha256
from ptychoui.data.files import sha256_file, write_atomic
from ptychoui.data.formats.common import (
    check_claim,
    check_count,
    conflict,
    parsing,
    sidecar_path,
)
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_matrix import state_info
from ptychoui.data.formats.refusals import LINEAR
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry, to_toml
from ptychoui.words import counted

DNG_VERSION = 50706
UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


def read_tiff_stack(path: Path, given: GivenGeometry, draft: Draft | None = None) -> ImageStack:
    """Read a multi-page TIFF whose pages are the images of the LEDs, in the array's order.

    ``draft`` holds what files beside the TIFF say of it.
    """
    draft = draft or Draft(path=path, layout="")
    with _opened(path, draft.notes) as tiff:
        if DNG_VERSION in tiff.pages[0].aspage().tags:
            raise DataError(f"{path.name} is a DNG file, a raw camera format: not read", LINEAR)
        ome = tiff.ome_metadata
        if draft.leds is None:
            state_info(draft, (tiff.imagej_metadata or {}).get("Info"))
        draft.layout = draft.layout or ("OME-TIFF" if ome else "multi-page TIFF")
        count, *size = _shape(tiff, path)
        draft.tell_images(count, size[0], size[1], "the pages")
        order = "one page for each LED, in the " + ("order of the LED indices" if draft.leds else "array's order")
        draft.tell("axis of the LEDs", "pages", "", order, assumed=True)
        geometry = draft.complete(given)
        raw = _pages(tiff, path, geometry)
    if ome:
        _compare_pixel(ome, geometry, draft.notes)
    return draft.finish(raw, geometry, sha256=sha256_file(path))


def read_tiff_image(path: Path) -> NDArray[Any]:
    """Read a TIFF of one grey page: (row, column), in the file's own type."""
    with _opened(path) as tiff:
        if len(tiff.pages) != 1:
            raise DataError(
                f"{path.name} has {counted(len(tiff.pages), 'page')}, expected one image per file",
                "open the multi-page file itself, not its folder",
            )
        return _page(tiff.pages[0], path, 0)


def save_stack_tiff(path: str | Path, stack: ImageStack) -> Path:
    """Write a stack as OME-TIFF, one float32 page per LED in the file's own counts.

    The geometry goes to ``NAME.geometry.toml`` beside it, because OME has no field for an LED array.

    Raises
    ------
    DataError
        If the stack has no geometry or lacks images of some LEDs (HDF5 keeps both), or the disk is full.
    """
    path = Path(path)
    if stack.geometry is None:
        raise DataError("this stack has no geometry, which a TIFF needs beside it", "save it as HDF5 instead")
    check_count(len(stack.images), stack.geometry, path.name)
    pixel = stack.geometry.microscope.pixel_size_um
    counts = (stack.images * np.float64(stack.unit_counts)).astype(np.float32)

    def write(file: BinaryIO) -> None:
        tifffile.imwrite(
            file,
            counts,
            ome=True,
            photometric="minisblack",
            metadata={
                "axes": "TYX",
                # From the content, not the clock: the same stack gives the same file.
                "UUID": f"urn:uuid:{uuid.UUID(hex=array_sha256(counts)[:32])}",
                "PhysicalSizeX": pixel,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": pixel,
                "PhysicalSizeYUnit": "µm",
                "Description": "one page per LED, in the order of the array",
            },
        )

    written = write_atomic(path, write)
    write_atomic(sidecar_path(path), to_toml(stack.geometry))
    return written


def _shape(tiff: tifffile.TiffFile, path: Path) -> tuple[int, int, int]:
    """Pages, rows and columns as the headers say."""
    if _is_long_imagej(tiff):
        shape = tiff.series[0].shape
        return int(shape[0]), int(shape[1]), int(shape[2])
    shape = tiff.pages[0].aspage().shape
    return len(tiff.pages), int(shape[0]), int(shape[1] if len(shape) > 1 else 1)


def _is_long_imagej(tiff: tifffile.TiffFile) -> bool:
    """ImageJ writes a stack above 4 GiB as one page followed by bare images."""
    return bool(len(tiff.pages) == 1 and tiff.is_imagej and len(tiff.series) == 1 and len(tiff.series[0].shape) == 3)


def _pages(tiff: tifffile.TiffFile, path: Path, geometry: Geometry) -> NDArray[Any]:
    """(LED, row, column) of all pages; the count is checked before anything is read."""
    pages = tiff.pages
    if _is_long_imagej(tiff):
        series = tiff.series[0]
        check_count(series.shape[0], geometry, path.name)
        if series.dataoffset is None or series.dataoffset + series.nbytes > path.stat().st_size:
            raise DataError(f"{path.name} is cut short: its images end beyond the file", "copy it again")
        return np.asarray(series.asarray())
    check_count(len(pages), geometry, path.name)
    first = _page(pages[0], path, 0)
    raw = np.empty((len(pages), *first.shape), dtype=first.dtype)
    for number, page in enumerate(pages):
        image = _page(page, path, number)
        if image.shape != first.shape or image.dtype != first.dtype:
            raise DataError(
                f"{path.name}: page {number} is {image.shape} {image.dtype}, page 0 is {first.shape} {first.dtype}",
                "all images of a stack must have the same size and type",
            )
        raw[number] = image
    return raw


def _page(page: Any, path: Path, number: int) -> NDArray[Any]:
    """Read one grey page after its claims were checked against the file's size."""
    page = page.aspage()
    if page.samplesperpixel != 1 or len(page.shape) != 2 or page.dtype is None:
        raise DataError(
            f"{path.name}: page {number} has the shape {page.shape} ({page.photometric.name}), expected grey",
            "convert colour images to one channel first",
        )
    size = path.stat().st_size
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count > 0]
    if len(ends) != len(page.databytecounts) or not ends or max(ends) > size:
        raise DataError(f"{path.name} is cut short: page {number} ends beyond the file", "copy it again")
    packed = page.compression != tifffile.COMPRESSION.NONE
    check_claim(path, f"page {number}", int(page.nbytes), int(sum(page.databytecounts)), packed)
    return np.asarray(page.asarray())


def _compare_pixel(ome: str, geometry: Geometry, notes: list[str]) -> None:
    """Note an OME pixel size that differs from the geometry's."""
    try:
        root = ElementTree.parse(io.StringIO(ome)).getroot()
        pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
        text = None if pixels is None else pixels.get("PhysicalSizeX")
        if pixels is None or text is None:
            return
        unit = pixels.get("PhysicalSizeXUnit", "µm")
        scale = UM_PER_UNIT.get(unit)
        if scale is None:
            notes.append(f"the OME pixel size of {text} {unit} was not compared: unknown unit")
            return
        conflict("the pixel at the sample", geometry.microscope.pixel_size_um, float(text) * scale, "um", notes)
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an unknown encoding
        notes.append("the OME header could not be read, so its pixel size was not compared")


@contextmanager
def _opened(path: Path, notes: list[str] | None = None) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what tifffile only logs is refused (a broken chain of pages) or noted, never printed."""
    logged: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            logged.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        with parsing(path, "TIFF file"), tifffile.TiffFile(path) as tiff:
            pages = len(tiff.pages)
            broken = next((text for text in logged if "TiffPages" in text), None)
            if broken:
                raise DataError(
                    f"{path.name} is cut short or damaged: no page could be found after the first {pages}",
                    "copy the file again and compare its size",
                )
            yield tiff
        if logged and notes is not None:
            notes.append(f"tifffile says of {path.name}: {logged[0].splitlines()[0][:160]}")
    finally:
        logger.removeFilter(collect)
