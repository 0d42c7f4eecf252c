"""What a TIFF states of each of its planes: exposures in headers, and all that names or describes single planes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

import tifffile

from ptychoui.data.formats.acquisition import Acquisition, of_cameras, of_frames, of_ome, positive, what_is
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.micro_manager import Frame, frame_name, match_frames, named_leds
from ptychoui.data.formats.name_exposures import of_name
from ptychoui.data.formats.name_order import FIX, NUMBERED
from ptychoui.data.formats.name_places import PAIR
from ptychoui.data.formats.stated_names import (
    StatedNames,
    as_name,
    keyed,
    members_of,
    members_per_image,
    name_of_members,
    unused_members,
)
from ptychoui.data.formats.tiff_planes import Planes, tag_of
from ptychoui.words import counted

EXPOSURE_TIME, EXIF = 33434, 34665
LONGEST_TEXT = 2**14
TEXTS = (1, 2, 7)
"""Types of tags that may hold text: bytes, ASCII, undefined."""
DESCRIPTION, DOCUMENT_NAME, PAGE_NAME, PAGE_NUMBER = 270, 269, 285, 297
OF_PROGRAMS = re.compile(r"\s*(?:ImageJ=|SCIFIO=|\{\"shape\"|\{\"axes\")|.{0,400}<OME\b", re.DOTALL)
"""What begins descriptions that programs write for themselves."""
KNOWN_TAGS = {DESCRIPTION, DOCUMENT_NAME, PAGE_NAME, 271, 272, 305, 306, 316, 33432, 51123}
"""Texts that are read elsewhere, or name the camera, the program, the time and the owner."""
OF_LEDS = re.compile(r"(?<![A-Za-z])[Ll][Ee][Dd]s?(?![a-z])|LED")
IMAGEJ_OWN = {"images", "channels", "slices", "frames", "Info", "Labels", "Ranges", "LUTs", "axes", "min", "max"}
LINE = re.compile(r"\s*([A-Za-z][\w \[\]()./-]{0,60}?)\s*[:=]\s*(\S.{0,60}?)\s*")


def acquisitions(
    tiff: tifffile.TiffFile,
    root: ElementTree.Element | None,
    planes: Planes,
    wanted: list[int],
    frames: Sequence[Frame],
    draft: Draft,
) -> tuple[list[Acquisition], list[StatedNames]]:
    """What the headers of the images say of the acquisition, the most trusted first, and what they call the planes."""
    places = planes.places(wanted)
    candidates: list[Acquisition] = []
    names: list[StatedNames] = []
    if frames:
        matched = match_frames(frames, places, planes.count)
        if matched is None:
            draft.notes.append(
                f"the metadata beside the file list {counted(len(frames), 'frame')}, the file holds "
                f"{counted(planes.count, 'plane')}: they could not be matched and were not used"
            )
        else:
            source = "the metadata beside the file"
            values: list[Mapping[str, Any] | None] = [frame.values for frame in matched]
            candidates += [of_frames(values, source), *of_cameras(values, source)]
            names.append(_of_frames(values, source))
    if root is not None and planes.header == "OME":
        candidates.append(of_ome(root, places))
        tell_ome_texts(root, draft)
    names += _of_axes(planes, wanted)
    if planes.series is None:
        pages = [planes.pages[number // planes.samples] for number in wanted]
        if tiff.is_micromanager or any(page_metadata(page) for page in pages[:1]):
            metadata, source = [page_metadata(page) for page in pages], "the pages' metadata"
            candidates += [of_frames(metadata, source), *of_cameras(metadata, source)]
            names.append(_of_frames(metadata, source))
            if fields := named_leds([Frame(place={}, file="", values=one) for one in metadata if one]):
                draft.notes.append(f"{source} hold {', '.join(fields[:6])}, which were not used")
        times = [tag_exposure(page) for page in pages]
        if any(times):
            candidates.append(Acquisition(exposures_ms=times, source="the pages' ExposureTime"))
        if planes.samples == 1:
            names += _of_pages(pages)
            candidates.append(_described(pages, draft))
    candidates += _of_headers(tiff, planes, wanted, names, draft)
    return candidates, [one for one in names if any(one.texts)]


def labels(tiff: tifffile.TiffFile, planes: Planes, wanted: list[int]) -> list[StatedNames]:
    """What the slices of ImageJ, or the pages, are called, and what stands below; nothing if not all have a name."""
    found = (tiff.imagej_metadata or {}).get("Labels")
    if found is None and planes.series is None:
        found = [page_text(page, PAGE_NAME) for page in planes.pages]
    if not isinstance(found, list) or len(found) != planes.count or not all(isinstance(v, str) and v for v in found):
        return []
    lines = [found[number].strip().splitlines() or [""] for number in wanted]
    first = StatedNames(
        texts=tuple(one[0].strip() for one in lines), source="the slices' names", are_labels=True, as_stored=True
    )
    rest = StatedNames(texts=tuple(as_name("\n".join(one[1:])) for one in lines), source="the slices' descriptions")
    return [first, rest]


def page_numbers(planes: Planes, wanted: list[int]) -> list[int] | None:
    """PageNumber of each plane, where all have one of their own."""
    if planes.series is not None or planes.samples > 1:
        return None
    values = [getattr(tags(planes.pages[number]).get(PAGE_NUMBER), "value", None) for number in wanted]
    found = [value[0] if isinstance(value, tuple) and value else value for value in values]
    numbers = [number for number in found if isinstance(number, int)]
    return numbers if len(set(numbers)) == len(wanted) > 1 else None


def page_text(page: Any, code: int) -> str:
    """All texts of one tag of a page that people write, one below the other."""
    found = []
    for tag in tags(page).getall(code, []):
        if isinstance(tag.value, str) and tag.value.strip() and not OF_PROGRAMS.match(tag.value):
            found.append(tag.value.strip())
    return "\n".join(found)


def other_texts(page: Any) -> dict[str, str]:
    """Name of a tag that nobody expects there -> what it states of LEDs or exposures, as names of files do."""
    found = {}
    for tag in tags(page):
        if tag.code in KNOWN_TAGS or tag.dtype not in TEXTS or tag.count > LONGEST_TEXT:
            continue
        value = tag.value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) and not OF_PROGRAMS.match(value):
            text = as_name(value[:LONGEST_TEXT])
            if NUMBERED.search(text) or PAIR.search(text.lower()) or of_name(text) is not None:
                found[tag.name if not tag.name.isdigit() else f"tag {tag.code}"] = text
    return found


def tag_exposure(page: Any) -> float | None:
    """Exposure in ms by the page's own tag ExposureTime, or that of its Exif data, which is in seconds."""
    tag, exif = tags(page).get(EXPOSURE_TIME), tags(page).get(EXIF)
    value = None if tag is None else tag.value
    if tag is None and exif is not None and isinstance(exif.value, dict):
        value = exif.value.get("ExposureTime")
    if isinstance(value, tuple) and len(value) == 2:
        value = value[0] / value[1] if value[1] else None
    seconds = positive(value)
    return None if seconds is None else seconds * 1e3


def tags(page: Any) -> Any:
    """Tags of a page; none of one that lies in another file or is known by an index only."""
    if page.parent.filehandle.closed or page.offset is None:
        return tifffile.TiffTags()
    return page.aspage().tags


def page_metadata(page: Any) -> dict[str, Any] | None:
    """What Micro-Manager wrote into a page."""
    tag = tags(page).get("MicroManagerMetadata")
    return tag.value if tag is not None and isinstance(tag.value, dict) else None


def _of_frames(frames: Sequence[Mapping[str, Any] | None], source: str) -> StatedNames:
    """What Micro-Manager calls the positions and channels of the frames."""
    texts = tuple("" if frame is None else as_name(frame_name(frame)) for frame in frames)
    return StatedNames(texts=texts, source=f"the names in {source}", are_labels=True)


def _of_axes(planes: Planes, wanted: list[int]) -> list[StatedNames]:
    """What the header calls the places on its axes: channels, positions."""
    named = [axis for axis in planes.axes if len(axis.labels) == axis.size > 1]
    texts = tuple(
        " ".join(as_name(axis.labels[place[axis.name]]) for axis in named if axis.name in place)
        for place in planes.places(wanted)
    )
    if not any(texts):
        return []
    words = " and ".join({"C": "channels", "P": "positions"}.get(axis.name, axis.name) for axis in named)
    return [StatedNames(texts=texts, source=f"the names of the {words}", are_labels=True)]


def _of_pages(pages: Sequence[Any]) -> list[StatedNames]:
    """Descriptions and names in the tags of the pages."""
    found = []
    for code, source in ((DESCRIPTION, "the pages' descriptions"), (DOCUMENT_NAME, "the pages' document names")):
        texts = tuple(as_name(page_text(page, code)) for page in pages)
        found.append(StatedNames(texts=texts, source=source))
    others = [other_texts(page) for page in pages]
    for name in dict.fromkeys(name for one in others for name in one):
        texts = tuple(one.get(name, "") for one in others)
        found.append(StatedNames(texts=texts, source=f"the pages' texts ({name})"))
    return found


def _of_headers(
    tiff: tifffile.TiffFile, planes: Planes, wanted: list[int], names: list[StatedNames], draft: Draft
) -> list[Acquisition]:
    """What tifffile and ImageJ keep in the first page for all planes: numbers, and lists with one for each plane."""
    found = []
    shaped = tiff.shaped_metadata or ()
    own = {key: _listed(value) for key, value in (tiff.imagej_metadata or {}).items() if key not in IMAGEJ_OWN}
    for values, source in ((shaped[0] if shaped else {}, "tifffile's header"), (own, "ImageJ's header")):
        each, sizes = members_per_image(values, planes.count)
        alike = name_of_members({key: value for key, value in values.items() if not isinstance(value, list | tuple)})
        alike = alike if alike.startswith("exposure") else ""
        texts = tuple(" ".join(filter(None, [name_of_members(each[number]), alike])) for number in wanted)
        names.append(StatedNames(texts=texts, source=source))
        unused = {key: size for key, size in sizes.items() if not any(keyed(key, one[key]) for one in each)}
        draft.tell_unused(unused)
        draft.tell_unused_per_image({key: size for key, size in unused.items() if not what_is(key)}, planes.count)
        found.append(_stated(values, each, wanted, source))
    info = (tiff.imagej_metadata or {}).get("Info")
    if isinstance(info, str):
        lines = [match for line in info.splitlines() if (match := LINE.fullmatch(line))]
        stated = Acquisition(exposures_ms=[None] * len(wanted), source="ImageJ's Info")
        for match in lines:
            stated.state(match[1], match[2])
        found.append(stated)
        leds = [line.strip()[:30] for line in info.splitlines() if OF_LEDS.search(line) and "led_indexes" not in line]
        if leds and draft.leds is None:
            draft.notes.append(f"ImageJ's Info speaks of LEDs ({', '.join(leds[:3])}), which was not used: {FIX}")
        if "exposure" in info.lower():
            draft.notes.append(
                "ImageJ's Info speaks of exposures, which were not used: if they differ, state exposures in [images] "
                "of a geometry"
            )
    return found


def _listed(value: Any) -> Any:
    """A list that ImageJ's header holds as text."""
    if not isinstance(value, str) or value[:1] not in ("[", "("):
        return value
    try:
        found = json.loads(f"[{value[1:-1]}]")
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, list) else value


def tell_ome_texts(root: ElementTree.Element, draft: Draft) -> None:
    """Name descriptions and annotations of an OME header that speak of LEDs."""
    found = []
    for part in (e for e in root.iter() if tag_of(e) in ("Description", "StructuredAnnotations")):
        texts = [text for e in part.iter() for text in (e.text or "", *e.attrib.values())]
        found += [text.strip()[:40] for text in texts if OF_LEDS.search(text)]
    if found:
        some = ", ".join(dict.fromkeys(found[:3])) + (", ..." if len(found) > 3 else "")
        draft.notes.append(f"texts in the OME header speak of LEDs ({some}), which were not used: {FIX}")


def _described(pages: Sequence[Any], draft: Draft) -> Acquisition:
    """What the descriptions of the pages state beside LED and exposure."""
    found = Acquisition(exposures_ms=[None] * len(pages), source="the pages' descriptions")
    each = [members_of(page_text(page, DESCRIPTION)) for page in pages]
    for one in each:
        for key, value in one.items():
            found.state(key, value)
    if unused := unused_members(each, what_is):
        differ, were = ("differs", "was") if len(unused) == 1 else ("differ", "were")
        draft.notes.append(
            f"the pages' descriptions state {', '.join(unused[:6])}, which {differ} between the images and {were} not "
            "used"
        )
    return found


def _stated(
    values: Mapping[str, Any], each: Sequence[Mapping[str, Any]], wanted: list[int], source: str
) -> Acquisition:
    found = Acquisition(exposures_ms=[None] * len(wanted), source=source)
    for key, value in values.items():
        for one in [each[number][key] for number in wanted] if each and key in each[0] else [value]:
            found.state(str(key), one)
    return found
