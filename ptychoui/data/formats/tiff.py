"""TIFF stacks, also OME and ImageJ: one plane per LED, with the geometry in a file beside it."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from ptychoui.data import scratch
from ptychoui.data.dataset import ImageStack, array_sha256
from ptychoui.data.files import sha256_file, write_atomic
from ptychoui.data.formats.acquisition import (
    Acquisition,
    exposure_words,
    of_cameras,
    of_frames,
    of_ome,
    positive,
    with_all_stated,
)
from ptychoui.data.formats.common import check_count, conflict, parsing, sidecar_path
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_matrix import state_info
from ptychoui.data.formats.micro_manager import Frame
from ptychoui.data.formats.name_exposures import agreed
from ptychoui.data.formats.picture import GREY, Picture, light, numbers, shifted_bits, stack_of
from ptychoui.data.formats.plane_facts import acquisitions, labels, page_metadata, page_numbers, tag_exposure
from ptychoui.data.formats.refusals import LINEAR
from ptychoui.data.formats.stated_order import order_as_stated
from ptychoui.data.formats.tables_beside import tables_beside_stack
from ptychoui.data.formats.tiff_decode import orientation, picture_of
from ptychoui.data.formats.tiff_planes import (
    Planes,
    chosen,
    files_of_set,
    images_among,
    ome_root,
    place_in_set,
    planes_of,
    tag_of,
)
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, to_toml
from ptychoui.words import counted

DNG_VERSION = 50706
UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


def read_tiff_stack(
    path: Path, given: GivenGeometry, draft: Draft | None = None, frames: Sequence[Frame] = ()
) -> ImageStack:
    """Read the planes of a TIFF as the images of the LEDs, in the array's order.

    ``draft`` and ``frames`` hold what files beside the TIFF say of it.
    """
    draft = draft or Draft(path=path, layout="")
    with opened_tiff(path, draft.notes) as tiff:
        if DNG_VERSION in tiff.pages[0].aspage().tags:
            raise DataError(f"{path.name} is a DNG file, a raw camera format: not read", LINEAR)
        ome = tiff.ome_metadata
        root = ome_root(ome)
        meta = tiff.imagej_metadata or {}
        if draft.leds is None:
            state_info(draft, meta.get("Info"))
        draft.layout = draft.layout or ("OME-TIFF" if ome else "multi-page TIFF")
        said = draft.said_of(given)
        planes = planes_of(tiff, path, root, said.led_axis == "pages")
        draft.notes.extend(filter(None, [planes.left_out]))
        wanted, along = chosen(planes, said, path)
        key = planes.pages[0].keyframe
        size = (key.imagelength, key.imagewidth) if orientation(key) < 5 else (key.imagewidth, key.imagelength)
        draft.tell_images(len(wanted), *size, "the pages")
        _tell_axes(draft, planes, wanted, along)
        wanted = _by_page_numbers(planes, wanted, said.led_axis, draft)
        candidates, named = acquisitions(tiff, root, planes, wanted, frames, draft)
        named = [*labels(tiff, planes, wanted), *named]
        found = agreed(candidates, named, path.name, draft, said.exposures is not None)
        found = with_all_stated(found, candidates)
        draft.notes.extend(found.notes(found.source or "the header"))
        exposure = found.relative(path.name, said.exposures is not None, draft.notes)
        if exposure is not None:
            draft.tell("exposures in the header", exposure_words(exposure), "", found.source)
        geometry = draft.complete(given)
        draft.aside = _others_of_the_stack(path)
        _check_no_colour(path, key, len(wanted), len(geometry.array.numbers()))
        check_images(draft, geometry)
        if tables := tables_beside_stack(path, len(wanted), geometry, draft):
            named = [*named, *tables]
            by_table = agreed([found], tables, path.name, draft, said.exposures is not None)
            if by_table is not found:
                exposure = by_table.relative(path.name, said.exposures is not None, draft.notes)
                if exposure is not None:
                    draft.tell("exposures stated", exposure_words(exposure), "", by_table.source)
        if named:
            order = order_as_stated(named, geometry, draft, "page")
            wanted = [wanted[place] for place in order]
            exposure = None if exposure is None else exposure[order]
        pages = [number // planes.samples for number in wanted]
        if planes.series is None:
            pictures = (
                (f"{path.name}: page {page}", picture_of(planes.pages[page], path, page, number % planes.samples))
                for page, number in zip(pages, wanted, strict=True)
            )
            raw, first = stack_of(pictures, len(wanted))
        else:
            raw, first = _block(planes, path)
            raw = raw if wanted == list(range(planes.count)) else raw[wanted]
        draft.check_mosaic(first.mosaic)
        draft.notes.extend(first.says)
        raw = light(raw, first, draft.said.bit_depth or found.bits() or first.bits_said, path.name, draft.tell_scale)
        raw = _calibrated(raw, meta, draft)
        digest = _digest(path, planes)
    if shift := shifted_bits(raw):
        draft.tell_shift(shift)
    if pixel := found.pixel_um or _imagej_pixel(key, meta):
        conflict("the pixel at the sample", geometry.microscope.pixel_size_um, pixel, "um", draft.notes)
    if root is not None:
        _compare(root, geometry, draft.notes)
    elif ome:
        draft.notes.append(
            "the OME header could not be read, so its pixel size was not compared and the pages were taken as stored"
        )
    return draft.finish(raw, geometry, sha256=digest, exposure=exposure)


def read_tiff_image(path: Path) -> Picture:
    """Read a TIFF of one grey page."""
    with opened_tiff(path) as tiff:
        pages, left_out = images_among(tiff)
        if len(pages) != 1:
            raise DataError(
                f"{path.name} has {counted(len(pages), 'page')}, expected one image per file",
                "open the multi-page file itself, not its folder; if the stack is split over several, join them first",
            )
        picture = picture_of(pages[0], path, 0)
        root = ome_root(tiff.ome_metadata)
        place = None if root is None else place_in_set(root, path.name)
        found = Acquisition() if root is None or place is None else of_ome(root, [place])
        frame = [page_metadata(pages[0])]
        sources = [of_frames(frame, ""), *of_cameras(frame, ""), found]
        exposures = [value for one in sources for value in one.exposures_ms] + [tag_exposure(pages[0])]
        known = [value for value in exposures if value is not None]
        says = (*picture.says, *([f"of files such as {path.name} {left_out}"] if left_out else []))
        if other := next((value for value in known if not math.isclose(value, known[0], rel_tol=1e-3)), None):
            says += (
                f"the header of {path.name} states exposures of {known[0]:g} and {other:g} ms: the first was used",
            )
        return replace(picture, exposure_ms=next(iter(known), None), says=says)


def ome_files(path: Path) -> set[str]:
    """Names of the files over which the OME header of a TIFF spreads one stack."""
    with opened_tiff(path) as tiff:
        return files_of_set(ome_root(tiff.ome_metadata))


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


def _check_no_colour(path: Path, key: Any, images: int, leds: int) -> None:
    """Refuse images of LEDs that a program stored as the colours of fewer images."""
    samples = key.samplesperpixel
    if int(key.photometric) == 2 and images != leds == images * samples:
        raise DataError(
            f"{path.name} holds {counted(images, 'colour image')} of {samples} channels: {leds} images of LEDs seem to "
            "have been saved as colours",
            'save them as grey pages, in Python with tifffile.imwrite(..., photometric="minisblack")',
        )


def _others_of_the_stack(path: Path) -> str:
    """Files beside a stack whose names differ from its own by a number only, which may hold the rest of it."""

    def apart_from_numbers(name: str) -> set[str]:
        return {re.sub(r"\d+", "#", name), re.sub(r"(?:[-_.]|_X)\d+(?=\.)", "", name)}

    own = apart_from_numbers(path.name)
    beside = [file.name for file in path.parent.glob("*.tif*") if file != path]
    others = sorted(name for name in beside if own & apart_from_numbers(name))
    return f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''} beside it may hold others" if others else ""


def _tell_axes(draft: Draft, planes: Planes, wanted: list[int], along: str) -> None:
    """Say which planes were taken, and in which order."""
    one = len([axis for axis in planes.axes if axis.size > 1]) < 2
    order = "one page for each LED, in the " + ("order of the LED indices" if draft.leds else "array's order")
    by_user = draft.said.led_axis is not None or draft.said.indices is not None
    source = f"[images] of {draft.said_in}" if by_user else order
    draft.tell("axis of the LEDs", "pages" if one else along, "", source, assumed=not by_user)
    offsets = [page.offset for page in planes.pages if page is not None]
    parents = {id(page.parent) for page in planes.pages}
    if planes.header and (len(parents) > 1 or offsets != sorted(offsets)):
        files = f" from {len(parents)} files" if len(parents) > 1 else ""
        draft.notes.append(f"the planes were taken{files} in the order of the {planes.header} header, not as stored")
    if len(wanted) < planes.count:
        draft.notes.append(f"{len(wanted)} of {planes.count} planes were used ({along})")


def _block(planes: Planes, path: Path) -> tuple[NDArray[Any], Picture]:
    """All planes of a file that keeps them in one block behind its only page."""
    series, key = planes.series, planes.pages[0].keyframe
    if series.dataoffset + series.nbytes > path.stat().st_size:
        raise DataError(f"{path.name} is cut short: its images end beyond the file", "copy it again")
    if key.samplesperpixel != 1 or int(key.photometric) not in (0, 1) or orientation(key) != 1:
        raise DataError(f"{path.name} is a stack of {key.photometric.name} images, expected grey", GREY)
    # Images in which 0 is white are turned round in place.
    mapped = series.nbytes >= scratch.LARGE_BYTES and int(key.photometric) == 1
    raw = numbers(series.asarray(out="memmap") if mapped else np.asarray(series.asarray())).reshape(
        planes.count, key.imagelength, key.imagewidth
    )
    return raw, Picture(values=raw[0], white_is_zero=int(key.photometric) == 0, bits=key.bitspersample)


def _by_page_numbers(planes: Planes, wanted: list[int], led_axis: str | None, draft: Draft) -> list[int]:
    """The planes in the order of their pages' numbers, where no header says which plane each page is."""
    numbers = page_numbers(planes, wanted)
    if numbers is None or numbers == sorted(numbers) or led_axis == "pages":
        return wanted
    listed = ", ".join(map(str, numbers[:3])) + (", ..." if len(numbers) > 3 else "")
    if planes.header:
        draft.notes.append(
            f"the pages are numbered in another order ({listed}) than that of the {planes.header} header, which was "
            "used"
        )
        return wanted
    draft.notes.append(
        f"the pages were taken in the order of their numbers ({listed} as stored): to take them as they are stored, "
        'write [images] led_axis = "pages" in a geometry'
    )
    return [wanted[place] for place in np.argsort(numbers)]


def _calibrated(raw: NDArray[Any], meta: dict[str, Any], draft: Draft) -> NDArray[Any]:
    """Values by ImageJ's calibration, by which it keeps signed numbers: value = c0 + c1 * stored."""
    function, offset, slope = meta.get("cf"), meta.get("c0", 0), meta.get("c1", 1)
    if function is None or (offset, slope) == (0, 1):
        return raw
    if function != 0 or not all(isinstance(v, int | float) and math.isfinite(v) for v in (offset, slope)) or slope == 0:
        draft.notes.append(f"ImageJ's calibration (function {function}) was not used: the stored values were taken")
        return raw
    draft.tell("calibration of the values", f"{offset:g} + {slope:g} * stored", "", "ImageJ's header")
    if slope == 1 and float(offset).is_integer() and raw.dtype.kind in "ui" and raw.dtype.itemsize < 4:
        return raw.astype(np.int32) + np.int32(offset)
    return np.asarray(raw.astype(np.float64) * slope + offset)


def _imagej_pixel(key: Any, meta: dict[str, Any]) -> float | None:
    """Pixel in um that ImageJ states by its unit and the resolution."""
    unit = str(meta.get("unit", "")).replace("\\u00B5", "µ")
    scale = {"micron": 1.0, "microns": 1.0}.get(unit, UM_PER_UNIT.get(unit))
    tag = key.tags.get("XResolution")
    if scale is None or tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2 or not all(tag.value):
        return None
    return float(scale * tag.value[1] / tag.value[0])


def _digest(path: Path, planes: Planes) -> str:
    """Hash of the file, or of all files in which the planes lie."""
    files = sorted({str(page.parent.filehandle.path) for page in planes.pages})
    if len(files) < 2:
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{Path(file).name}\0{sha256_file(Path(file))}\n".encode())
    return digest.hexdigest()


def _compare(root: ElementTree.Element, geometry: Geometry, notes: list[str]) -> None:
    """Note what an OME header says of the microscope and the geometry says otherwise."""
    scope = geometry.microscope
    stated = [
        ("Pixels", "PhysicalSizeX", "µm", "the pixel at the sample", scope.pixel_size_um, "um"),
        ("Objective", "NominalMagnification", "", "the magnification", scope.magnification, ""),
        ("Objective", "LensNA", "", "the objective's NA", scope.objective_na, ""),
        ("Channel", "EmissionWavelength", "nm", "the wavelength", scope.wavelength_um, "um"),
    ]
    for tag, name, usual, what, used, shown in stated:
        units = {(e.get(name), e.get(f"{name}Unit", usual)) for e in root.iter() if tag_of(e) == tag and e.get(name)}
        if len(units) != 1:
            continue
        text, unit = units.pop()
        scale = UM_PER_UNIT.get(unit) if usual else 1.0
        value = positive(text)
        if scale is None or value is None:
            notes.append(f"{what} of {text} {unit} in the OME header was not compared: unknown unit")
        else:
            conflict(what, used, value * scale, shown, notes)


@contextmanager
def opened_tiff(path: Path, notes: list[str] | None = None) -> Iterator[tifffile.TiffFile]:
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
