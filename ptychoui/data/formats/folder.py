"""A folder of TIFF or PNG files in natural order (image_2 before image_10), one image per LED.

Names that state column and row, or one bit of many, give the order instead. Files whose name starts with "dark" are
dark frames; those that start with "darkfield" are not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.acquisition import Acquisition, exposure_words, of_frames, of_name
from ptychoui.data.formats.dark_frames import matched_dark_frames
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.image_file import is_tiff, kind_of, read_picture
from ptychoui.data.formats.micro_manager import frames_of, load_metadata, metadata_beside, named_leds
from ptychoui.data.formats.name_places import led_words, named_places, numbers_of_places
from ptychoui.data.formats.names import natural_key as key_of_name
from ptychoui.data.formats.names import natural_order, notes_on_names
from ptychoui.data.formats.picture import Picture, light, shifted_bits, stack_of
from ptychoui.data.formats.refusals import RAW_SUFFIXES
from ptychoui.data.formats.tiff import ome_files, read_tiff_stack
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry
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
    if dark_files:
        some = f"{dark_files[0].name}{', ...' if len(dark_files) > 1 else ''}"
        dark_frames = "a dark frame" if len(dark_files) == 1 else "dark frames"
        draft.aside = f"{counted(len(dark_files), 'file')} set aside as {dark_frames} by name: {some}"
    geometry = draft.complete(given)
    check_images(draft, geometry)
    files = _in_led_order(files, geometry, draft)
    digest = hashlib.sha256()
    raw, pictures = read_files(files, digest)
    draft.check_mosaic(pictures[0].mosaic)
    draft.notes.extend(pictures[0].says)
    found = _acquisition(folder, files, pictures, draft)
    draft.notes.extend(found.notes(found.source or "the header"))
    count, darks = len(raw), list[Picture]()
    if dark_files:
        frames, darks = read_files(dark_files, digest, first)
        raw = np.concatenate([raw, frames])
    bits = draft.said.bit_depth or found.bits() or pictures[0].bits_said
    raw = light(raw, pictures[0], bits, folder.name, draft.tell_scale)
    raw, frames = raw[:count], raw[count:]
    if shift := shifted_bits(raw):
        draft.tell_shift(shift)
    exposure = found.relative(folder.name, draft.said.exposures is not None, draft.notes)
    if exposure is not None:
        draft.tell("exposures stated", exposure_words(exposure), "", found.source)
    dark = None
    if dark_files:
        stated = [of_name(file.name) or one.exposure_ms for file, one in zip(dark_files, darks, strict=True)]
        dark = matched_dark_frames(frames, [file.name for file in dark_files], stated, exposure, count, draft)
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


def _in_led_order(files: list[Path], geometry: Geometry, draft: Draft) -> list[Path]:
    """The images in the order of the array's LEDs: by the places that their names state, or as they are."""
    names = [file.name for file in files]
    ends = f"{names[0]} to {names[-1]}"
    natural = f"{counted(len(files), 'file')} in natural order, from {names[0]} to {names[-1]}"
    named, array = named_places(names), geometry.array
    numbers = None if named is None or draft.leds is not None else numbers_of_places(named, array)
    listed = array.kind != "table" and array.led_numbers is not None
    if named is not None and numbers is not None and not listed:
        order = dict(zip(numbers, files, strict=True))
        draft.tell("order of the images", f"by {named.words} in the names", "", named.orientation, assumed=True)
        draft.notes.append(
            f"the LEDs were taken from the files' names ({named.words}): {named.orientation}; {names[0]} is LED "
            f"{numbers[0]}, {names[-1]} is LED {numbers[-1]}"
        )
        return [order[number] for number in array.numbers()]
    if named is not None and numbers is None and draft.leds is None and array.kind == "lattice" and not listed:
        raise DataError(
            f"the names of the files in {draft.path.name} state LEDs ({named.words}: {_range_of(named.places)}) that "
            f"are not those of the lattice of {array.rows} x {array.columns} in the geometry",
            "correct rows and columns of the geometry, or list the LEDs in the natural order of the names as "
            "array.led_numbers",
        )
    draft.tell("order of the images", ends, "", "natural order of the names", assumed=True)
    fix = "if the LEDs were lit otherwise, list their numbers in that order as array.led_numbers of a geometry"
    if named is not None and numbers is not None:
        if list(numbers) != list(array.numbers()):
            draft.notes.append(
                f"the names state the LEDs ({named.words}), and array.led_numbers of the geometry states others for "
                f"them, which were used; {names[0]} is LED {array.numbers()[0]}, by its name LED {numbers[0]}"
            )
    elif named is not None:
        draft.notes.append(f"the names state LEDs ({named.words}), which were not used: {ends} in natural order; {fix}")
    else:
        said = notes_on_names(names)
        words = led_words(names)
        if words and not any("not used" in note for note in said):
            said.append(f"the names speak of LEDs ({words}), of which only the natural order was used; {fix}")
        draft.notes.extend(said)
        _note_on_numbers(names, geometry, draft)
    draft.notes.append(natural)
    return files


def _range_of(places: tuple[tuple[int, int], ...]) -> str:
    if not places:
        return "bits"
    first, second = ([place[axis] for place in places] for axis in (0, 1))
    return f"{min(first)} to {max(first)}, {min(second)} to {max(second)}"


def _note_on_numbers(names: list[str], geometry: Geometry, draft: Draft) -> None:
    """Say that names number the LEDs otherwise than the geometry lists them, or by two bare numbers."""
    found = [re.findall(r"led[ _#-]?(\d{1,6})(?!\d|\.\d)", Path(name).stem.lower()) for name in names]
    listed = geometry.array.numbers()
    if all(len(one) == 1 for one in found):
        numbers = [int(one[0]) for one in found]
        if draft.leds is None and numbers != list(listed) and sorted(numbers) == sorted(listed):
            draft.notes.append(
                f"the names number the LEDs, and the geometry lists them in another order, which was used: {names[0]} "
                f"is LED {listed[0]}, {names[-1]} is LED {listed[-1]}"
            )
        return
    bare = [re.findall(r"(?<![0-9a-z])\d{1,4}(?![0-9a-z])", Path(name).stem.lower()) for name in names]
    columns = list(zip(*bare, strict=True)) if len({len(one) for one in bare}) == 1 else []
    moving = [column for column in columns if len(set(column)) > 1]
    if len(moving) == 2 and len(set(moving[0])) * len(set(moving[1])) == len(names):
        draft.notes.append(
            f"the names hold two numbers, as row and column would be, but do not say which is which: the first was "
            f"taken as the slow one, from {names[0]} to {names[-1]}"
        )


def _acquisition(folder: Path, files: list[Path], pictures: list[Picture], draft: Draft) -> Acquisition:
    """What the metadata in the folder, the headers or the names say of the exposures."""
    candidates = []
    if metadata := metadata_beside(folder):
        frames = list(frames_of(load_metadata(metadata, draft.notes)))
        by_file = {frame.file: frame.values for frame in frames if frame.file}
        if by_file.keys() & {file.name for file in files}:
            found = of_frames([by_file.get(file.name) for file in files], metadata.name)
            candidates.append(found)
            if fields := named_leds(frames):
                draft.notes.append(f"{metadata.name} holds {', '.join(fields[:6])}, which were not used")
        elif frames:
            draft.notes.append(f"{metadata.name} names other files than those here: not used")
    candidates.append(stated_by(files, pictures))
    return next((one for one in candidates if any(one.exposures_ms)), candidates[0])


def stated_by(files: list[Path], pictures: list[Picture]) -> Acquisition:
    """Exposures by the headers of single images, or by their names."""
    headers = Acquisition(exposures_ms=[one.exposure_ms for one in pictures], source="the files' headers")
    names = Acquisition(exposures_ms=[of_name(file.name) for file in files], source="the files' names")
    return headers if any(headers.exposures_ms) else names


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
