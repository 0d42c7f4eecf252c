"""A folder of TIFF or PNG files in natural order (image_2 before image_10), one image per LED.

Names that state column and row, or one bit of many, give the order instead. Files whose name starts with "dark" are
dark frames; those that start with "darkfield" are not.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.acquisition import Acquisition, exposure_words, of_cameras, of_frames, with_all_stated
from ptychoui.data.formats.dark_frames import matched_dark_frames
from ptychoui.data.formats.dark_scale import in_scale_of_images
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.file_facts import facts_of_files
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.image_file import is_tiff, kind_of, read_picture
from ptychoui.data.formats.micro_manager import frame_name, frames_of, load_metadata, metadata_beside, named_leds
from ptychoui.data.formats.name_exposures import agreed, of_name
from ptychoui.data.formats.name_order import tell_names
from ptychoui.data.formats.name_places import named_places
from ptychoui.data.formats.names import natural_key as key_of_name
from ptychoui.data.formats.names import natural_order
from ptychoui.data.formats.picture import Picture, light, shifted_bits, stack_of
from ptychoui.data.formats.refusals import RAW_SUFFIXES
from ptychoui.data.formats.stated_names import StatedNames, as_name
from ptychoui.data.formats.stated_order import order_of_files
from ptychoui.data.formats.tables_beside import tables_in_folder
from ptychoui.data.formats.tiff import ome_files, read_tiff_stack
from ptychoui.errors import DataError
from ptychoui.words import counted

KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
DARK = re.compile(r"dark(?!\W*_*field)", re.IGNORECASE)
"""Names of dark frames; an image under dark-field illumination is none."""


def read_folder(folder: Path, given: GivenGeometry, draft: Draft | None = None) -> ImageStack:
    """Read the images of a folder; the geometry is the one given or ``geometry.toml`` in the folder.

    Files whose name starts with "dark", but not "darkfield", are dark frames: their mean is taken off every image, or
    those of each exposure off the images of that exposure. ``draft`` holds what other files in the folder say.
    """
    draft = draft or Draft(path=folder, layout="")
    files, dark_files = image_files(folder)
    if draft.leds is None and not named_places([file.name for file in files]) and _is_ome_set(files, dark_files):
        draft.path = files[0]
        draft.notes.append(f"the headers of the {len(files)} files say in which order they belong together")
        return read_tiff_stack(files[0], given, draft)
    draft.layout = draft.layout or f"folder of {kind_of(files[0])} files"
    first = read_picture(files[0])
    draft.tell_images(len(files), first.values.shape[0], first.values.shape[1], "the files")
    tell_names([file.name for file in files], draft)
    if dark_files:
        some = f"{dark_files[0].name}{', ...' if len(dark_files) > 1 else ''}"
        dark_frames = "a dark frame" if len(dark_files) == 1 else "dark frames"
        draft.aside = f"{counted(len(dark_files), 'file')} set aside as {dark_frames} by name: {some}"
    geometry = draft.complete(given)
    check_images(draft, geometry)
    names = _names_of(files, draft)
    stated, settings = facts_of_files(files, draft)
    metadata = _metadata_of(folder, files, draft)
    called = tuple(as_name(frame_name(metadata[0].get(file.name, {}))) for file in files)
    stated += [StatedNames(texts=called, source=f"the names in {metadata[1]}", are_labels=True)] * any(called)
    stated += tables_in_folder(folder, names.texts, geometry, draft)
    order = order_of_files(names, stated, geometry, draft)
    files = [files[place] for place in order]
    stated = [replace(one, texts=tuple(one.texts[place] for place in order)) for one in stated]
    digest = hashlib.sha256()
    raw, pictures = read_files(files, digest)
    draft.check_mosaic(pictures[0].mosaic)
    draft.notes.extend(list(dict.fromkeys(words for picture in pictures for words in picture.says))[:3])
    found = with_all_stated(_acquisition(files, pictures, draft, stated, metadata), [settings])
    draft.notes.extend(found.notes(found.source or "the header"))
    count, darks = len(raw), list[Picture]()
    if dark_files:
        frames, darks = read_files(dark_files, digest, first)
        raw = np.concatenate([raw, frames])
    bits = draft.said.bit_depth or found.bits() or pictures[0].bits_said
    if dark_files and first.white_is_zero:
        in_scale_of_images(~raw[count:], ~raw[:count], draft, white_is_zero=True)
    raw = light(raw, pictures[0], bits, folder.name, draft.tell_scale)
    raw, frames = raw[:count], raw[count:]
    if shift := shifted_bits(raw):
        draft.tell_shift(shift)
    exposure = found.relative(folder.name, draft.said.exposures is not None, draft.notes)
    if exposure is not None:
        draft.tell("exposures stated", exposure_words(exposure), "", found.source)
    dark = None
    if dark_files:
        of_darks = _exposures_of_darks(dark_files, darks, draft)
        if not first.white_is_zero:
            depths = [one.bits_said or one.bits for one in (darks[0], pictures[0])]
            frames = in_scale_of_images(frames, raw, draft, bits=(depths[0], depths[1]))
        dark = matched_dark_frames(frames, [file.name for file in dark_files], of_darks, exposure, count, draft)
    return draft.finish(raw, geometry, sha256=digest.hexdigest(), dark=dark, exposure=exposure)


def _is_ome_set(files: list[Path], dark_files: list[Path]) -> bool:
    """Whether the OME header of the first file spreads the planes of one stack over all of them.

    Raises
    ------
    DataError
        If there are dark frames beside them, which belong to no stack.
    """
    names = {file.name for file in files}
    if len(files) < 2 or not is_tiff(files[0]) or not names <= ome_files(files[0]):
        return False
    if dark_files:
        raise DataError(
            f"the OME headers of the files in {files[0].parent.name} say in which order they belong together, and "
            f"{dark_files[0].name} lies beside them",
            f"move the dark frames away and state dark_level in [images] of a geometry, or open {files[0].name}",
        )
    return True


def _names_of(files: list[Path], draft: Draft) -> StatedNames:
    return StatedNames(
        texts=tuple(file.name for file in files),
        source="the files' names",
        where=f"the names of the files in {draft.path.name}",
        are_labels=True,
    )


def _metadata_of(folder: Path, files: list[Path], draft: Draft) -> tuple[dict[str, dict[str, Any]], str]:
    """Name of each file -> what Micro-Manager's metadata in the folder state of it, and what these are called."""
    metadata = metadata_beside(folder)
    if metadata is None:
        return {}, ""
    frames = list(frames_of(load_metadata(metadata, draft.notes)))
    by_file = {frame.file: frame.values for frame in frames if frame.file}
    if not by_file.keys() & {file.name for file in files}:
        if frames:
            draft.notes.append(f"{metadata.name} names other files than those here: not used")
        return {}, metadata.name
    if fields := named_leds(frames):
        draft.notes.append(f"{metadata.name} holds {', '.join(fields[:6])}, which were not used")
    return by_file, metadata.name


def _acquisition(
    files: list[Path],
    pictures: list[Picture],
    draft: Draft,
    stated: Sequence[StatedNames],
    metadata: tuple[dict[str, dict[str, Any]], str],
) -> Acquisition:
    """What the metadata in the folder, the headers or the names say of the exposures."""
    by_file, source = metadata
    values = [by_file.get(file.name) for file in files]
    candidates = [of_frames(values, source), *of_cameras(values, source)] if by_file else []
    return stated_by(files, pictures, draft, candidates, stated)


def stated_by(
    files: list[Path],
    pictures: list[Picture],
    draft: Draft,
    candidates: Sequence[Acquisition] = (),
    stated: Sequence[StatedNames] = (),
) -> Acquisition:
    """Exposures by ``candidates``, by the headers of single images, by their names, or as ``stated``; see `agreed`."""
    headers = Acquisition(exposures_ms=[one.exposure_ms for one in pictures], source="the files' headers")
    return agreed(
        [*candidates, headers],
        [_names_of(files, draft), *stated],
        draft.path.name,
        draft,
        draft.said.exposures is not None,
    )


def _exposures_of_darks(files: list[Path], pictures: list[Picture], draft: Draft) -> list[float | None]:
    """Exposure in ms of each dark frame, by its name, its header and what is written in it.

    Raises
    ------
    DataError
        If two of these differ.
    """
    stated, _ = facts_of_files(files, draft)
    found: list[float | None] = []
    for place, (file, picture) in enumerate(zip(files, pictures, strict=True)):
        values = [of_name(file.name), picture.exposure_ms, *(of_name(one.texts[place]) for one in stated)]
        known = [value for value in values if value is not None]
        if known and not math.isclose(min(known), max(known), rel_tol=1e-2):
            raise DataError(
                f"{file.name} states exposures of {min(known):g} and {max(known):g} ms in its name and its header",
                "name the dark frame by the exposure that it was taken with, and save it without the other",
            )
        found.append(known[0] if known else None)
    return found


def read_image(path: Path) -> NDArray[Any]:
    """One grey image, TIFF or PNG, with 0 as black: (row, column)."""
    picture = read_picture(path)
    one = light(np.array(picture.values[None]), picture, picture.bits_said, path.name, lambda _what, _why: None)
    return np.asarray(one[0])


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder and its dark frames in natural order; two kinds of image in one folder are refused."""
    try:
        files = [
            f for f in folder.iterdir() if f.suffix.lower() in KINDS and not f.name.startswith(".") and f.is_file()
        ]
        names = sorted({f.suffix.lower() for f in folder.iterdir() if f.suffix.lower() in RAW_SUFFIXES})
        kinds = {kind_of(f) for f in files}
        inner = [] if files else _folders_with_images(folder)
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror}", "check its permissions") from None
    if inner:
        listed = ", ".join(repr(f"{folder.name}/{name}") for name in inner[:3]) + (", ..." if len(inner) > 3 else "")
        raise DataError(
            f"the folder {folder.name!r} holds no TIFF or PNG files itself; they are one folder further down",
            f"open {listed}" if len(inner) == 1 else f"open one of {listed}",
        )
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
    dark = {file.name: file for file in files if DARK.match(file.name)}
    images = {file.name: file for file in files if not DARK.match(file.name)}
    if not images:
        raise DataError(f"the folder {folder.name!r} holds dark frames only", "add the images of the LEDs")
    return [images[name] for name in natural_order(list(images))], [dark[name] for name in natural_order(list(dark))]


def _folders_with_images(folder: Path) -> list[str]:
    """Folders inside a folder that hold images, in natural order."""
    inner = [f for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")]
    return natural_order([f.name for f in inner if any(g.suffix.lower() in KINDS for g in f.iterdir())])


def natural_key(file: Path) -> tuple[list[str | Fraction], str]:
    """Sort key in which the numbers inside a name count as numbers; equal names by their spelling."""
    return key_of_name(file.name)


def read_files(
    files: list[Path], digest: hashlib._Hash, like: Picture | None = None
) -> tuple[NDArray[Any], list[Picture]]:
    """(file, row, column) of files that must be of one kind (that of ``like``, or of the first), and what each says."""
    pictures: list[Picture] = []

    def read() -> Iterator[tuple[str, Picture]]:
        for file in files:
            picture = read_picture(file)
            digest.update(f"{file.name}\0{sha256_file(file)}\n".encode())
            pictures.append(replace(picture, values=picture.values[:0]))
            yield file.name, picture

    raw, _ = stack_of(read(), len(files), None if like is None else ("the first image", like))
    return raw, pictures
