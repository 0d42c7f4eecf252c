"""What the headers of single image files state beside their pixels and exposures: names, descriptions, settings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile
from PIL import Image

from ptychoui.data.formats.acquisition import Acquisition, what_is
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.image_file import is_tiff
from ptychoui.data.formats.micro_manager import frame_name
from ptychoui.data.formats.plane_facts import (
    DESCRIPTION,
    DOCUMENT_NAME,
    PAGE_NAME,
    other_texts,
    page_metadata,
    page_text,
)
from ptychoui.data.formats.stated_names import StatedNames, as_name, members_of, name_of_members, unused_members
from ptychoui.data.formats.tiff import opened_tiff
from ptychoui.data.formats.tiff_planes import images_among, ome_root, tag_of

SOURCES = ("the descriptions in the files", "the names in the files' headers", "the texts in the files")


def facts_of_files(files: Sequence[Path], draft: Draft) -> tuple[list[StatedNames], Acquisition]:
    """What the files call their images, and what they state of the camera; other things that differ are noted."""
    each = [_of_file(file) for file in files]
    found = Acquisition(exposures_ms=[None] * len(files), source="the files' headers")
    names = []
    for source in SOURCES:
        texts = [one.get(source, ("", {})) for one in each]
        names.append(StatedNames(texts=tuple(name for name, _ in texts), source=source))
        members = [values for _, values in texts]
        for values in members:
            for key, value in values.items():
                found.state(key, value)
        if unused := unused_members(members, what_is):
            draft.notes.append(
                f"{source} state {', '.join(unused[:6])}, which {'differs' if len(unused) == 1 else 'differ'} between "
                f"the images and {'was' if len(unused) == 1 else 'were'} not used"
            )
    return [one for one in names if any(one.texts)], found


def _of_file(file: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Source -> what it calls the image, and its members."""
    with parsing(file, "image"):
        return _of_tiff(file) if is_tiff(file) else _of_png(file)


def _of_tiff(file: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    with opened_tiff(file) as tiff:
        page = images_among(tiff)[0][0].aspage()
        text = page_text(page, DESCRIPTION)
        shaped: dict[str, Any] = (tiff.shaped_metadata or ({},))[0]
        own = tiff.imagej_metadata or {}
        members = members_of(text) | {key: value for key, value in shaped.items() if key not in ("shape", "axes")}
        described = " ".join(filter(None, [as_name(text), name_of_members(shaped), name_of_members(own)]))
        metadata = page_metadata(page)
        labels = own.get("Labels")
        called = [page_text(page, PAGE_NAME), page_text(page, DOCUMENT_NAME), frame_name(metadata or {})]
        called += [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
        called += _of_ome(tiff)
        called += other_texts(page).values()
    names = " ".join(dict.fromkeys(filter(None, map(as_name, called))))
    return {SOURCES[0]: (described, members), SOURCES[1]: (names, dict(metadata or {}))}


def _of_ome(tiff: tifffile.TiffFile) -> list[str]:
    """Names of the image and its channel, where the header speaks of this file's plane alone."""
    root = ome_root(tiff.ome_metadata)
    elements = [] if root is None else [e for e in root.iter() if tag_of(e) in ("Image", "Channel")]
    return [str(e.get("Name", "")) for e in elements] if len(elements) == 2 else []


def _of_png(file: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    with Image.open(io.BytesIO(file.read_bytes()), formats=["PNG"]) as image:
        texts = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    # Of exposures under names of their own is said that they were not used, where the image is read.
    texts = {key: value for key, value in texts.items() if "exposure" not in key.lower() and not key.startswith("XML:")}
    members = {key: value for key, value in texts.items() if not members_of(value)}
    for value in texts.values():
        members |= members_of(value)
    plain = [as_name(value) for key, value in texts.items() if not name_of_members({key: value})]
    return {SOURCES[2]: (" ".join(filter(None, [*plain, name_of_members(members)])), members)}
