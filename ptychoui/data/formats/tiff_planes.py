"""Which planes a TIFF holds and along which axes, as its header maps them: OME, ImageJ, Micro-Manager, tifffile.

The pages of a file need not be in the order of its planes, may lie in several files, and may be a raster, several
colours or positions. More than one axis beside rows and columns is named and asked about.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from ptychoui.data.formats.common import sidecar_path
from ptychoui.errors import DataError, ManyAxesError
from ptychoui.settings import Images
from ptychoui.words import counted

HEADERS = {"ome": "OME", "imagej": "ImageJ", "shaped": "tifffile", "mmstack": "Micro-Manager", "ndtiff": "NDTiff"}
"""Kinds of series whose header maps planes to pages; of all others the pages are taken as they are stored."""
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType: a smaller copy of another page, and a mask of one."""
MOST_PLANES = 2**20
LONGEST_NAME = 80
DAMAGED = "the file is damaged or cut short: copy it again and compare its size"
AS_STORED = 'to take the pages as they are stored, write [images] led_axis = "pages" in a geometry'


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis beside rows and columns: its letter, its length and what its places are called."""

    name: str
    size: int
    labels: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """What every place is called."""
        return (*self.labels[: self.size], *map(str, range(len(self.labels), self.size)))

    def __str__(self) -> str:
        listed = ", ".join(label[:20] for label in self.labels[:4])
        return f"{self.name} ({self.size}{': ' + listed if listed else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """All planes of a file in the order of their axes, the last axis fastest.

    Attributes
    ----------
    pages
        One page for each plane, or for every ``samples`` of them.
    series
        The block in which the planes lie one after the other, where the file has a single page for all.
    header
        Which header maps the planes; empty where the pages are taken as they are stored.
    left_out
        Which pages are no images, in words.
    """

    pages: tuple[Any, ...]
    axes: tuple[Axis, ...]
    samples: int = 1
    series: Any = None
    header: str = ""
    left_out: str = ""

    @property
    def count(self) -> int:
        """Number of planes."""
        return math.prod(axis.size for axis in self.axes)

    def places(self, planes: list[int]) -> list[dict[str, int]]:
        """Place of some planes on every axis."""
        indices = np.unravel_index(planes, [axis.size for axis in self.axes]) if self.axes else ()
        return [
            {axis.name: int(index[n]) for axis, index in zip(self.axes, indices, strict=True)}
            for n in range(len(planes))
        ]


def images_among(tiff: tifffile.TiffFile) -> tuple[list[Any], str]:
    """Pages that are images and no reduced copies of one or masks, by their NewSubfileType; and what was left out.

    Where all pages are said to be such, all are taken, which is said.
    """
    pages = list(tiff.pages)
    kinds = [page.aspage().subfiletype if page.offset is not None else 0 for page in pages]
    reduced, masks = sum(bool(kind & REDUCED) for kind in kinds), sum(bool(kind & MASK) for kind in kinds)
    found = [page for page, kind in zip(pages, kinds, strict=True) if not kind & (REDUCED | MASK)]
    what = " and ".join(
        [counted(reduced, "reduced copy", "reduced copies")] * bool(reduced) + [counted(masks, "mask")] * bool(masks)
    )
    if not what:
        return pages, ""
    if not found:
        says = f"all {counted(len(pages), 'page')} are marked as reduced copies or masks: they were taken as images"
        return pages, says
    return found, f"{what} among the pages {'was' if reduced + masks == 1 else 'were'} left out"


def planes_of(tiff: tifffile.TiffFile, path: Path, root: ElementTree.Element | None, as_stored: bool) -> Planes:
    """Planes of an opened TIFF; ``root`` is its OME header, if it has one.

    Raises
    ------
    DataError
        If the header maps planes that are in none of the files that are there, or one page to several planes.
    """
    images, left_out = images_among(tiff)
    return replace(_planes_of(tiff, images, path, root, as_stored), left_out=left_out)


def _planes_of(
    tiff: tifffile.TiffFile, images: list[Any], path: Path, root: ElementTree.Element | None, as_stored: bool
) -> Planes:
    samples = _samples(images[0].aspage())
    if as_stored:
        return _stored(images, samples)
    if root is not None:
        _check_ome(root, path)
    if tiff.is_micromanager:
        _check_index(tiff, path)
    series = _series(tiff, images, path)
    kind = series[0].kind if series else ""
    if kind not in HEADERS or (root is not None and kind == "generic"):
        if root is not None:
            raise DataError(
                f"{path.name}: its OME header does not fit its {counted(len(images), 'page')}, so the order of the "
                "planes is not known",
                AS_STORED,
            )
        return _stored(images, samples)
    sizes = {(tuple(one.keyframe.shape), one.keyframe.dtype) for one in series}
    axes_of = {tuple(_outer(one)) for one in series}
    if kind == "shaped" and len(sizes) > 1:
        return _stored(images, samples)
    if len(sizes) > 1 or len(axes_of) > 1:
        listed = ", ".join(f"{n}: {' x '.join(map(str, one.shape))}" for n, one in enumerate(series[:6]))
        raise DataError(
            f"{path.name} holds {len(series)} series of images that differ in size or axes ({listed})",
            "save the one that holds the images of the LEDs as a file of its own",
        )
    pages = [page for one in series for page in one.pages]
    axes = _named([*([("P", len(series))] if len(series) > 1 else []), *_outer(series[0])], samples)
    if kind == "mmstack" and all(page is None or page.parent is tiff for page in pages):
        # The index names pages of this file: where their data lie is said by these, not by custom.
        at = {page.offset: page for page in tiff.pages}
        pages = [None if page is None else at.get(page.offset) for page in pages]
    names = _channel_names(tiff, root)
    known = {"C": names, "P": _position_names(root)}
    axes = tuple(replace(a, labels=known[a.name]) if len(known.get(a.name, ())) == a.size else a for a in axes)
    planes = Planes(pages=tuple(pages), axes=axes, samples=samples, header=HEADERS[kind])
    if len(series) == 1 and len(pages) == 1 and planes.count > samples:
        if series[0].dataoffset is None or len(images) > 1:
            raise _incomplete(path, planes, len(images), root)
        return Planes(pages=planes.pages, axes=axes, samples=samples, series=series[0], header=planes.header)
    there = sum(page is not None for page in pages) * samples
    if there < planes.count:
        raise _incomplete(path, planes, there, root)
    _check_once(tiff, path, planes, len(images))
    return planes


def _series(tiff: tifffile.TiffFile, images: list[Any], path: Path) -> list[Any]:
    """What tifffile takes for series, without those of pages that are left out; nothing where these confuse it."""
    if len(images) == len(tiff.pages):
        return list(tiff.series)
    kept = {page.offset for page in images}
    try:
        return [one for one in tiff.series if any(page is None or page.offset in kept for page in one.pages)]
    except RuntimeError:  # it expects pages of one size
        sizes = [(tiff.imagej_metadata or {}).get(name, 1) for name in ("channels", "slices", "frames")]
        if sum(size != 1 for size in sizes) > 1:
            raise DataError(
                f"{path.name} has planes along several axes of ImageJ, and reduced copies or masks among them",
                "save it without the latter",
            ) from None
        return []


def chosen(planes: Planes, said: Images, path: Path) -> tuple[list[int], str]:
    """Numbers of the planes that are the images of the LEDs, in their order, and which axes that are, in words.

    Raises
    ------
    DataError
        If several axes have more than one place and it is not said which is that of the LEDs, or if what is said names
        an axis or a place that the file does not have.
    """
    long = [axis for axis in planes.axes if axis.size > 1]
    named = {axis.name: axis for axis in planes.axes}
    fixed = said.indices or {}
    unknown = [name for name in fixed if name not in named]
    beyond = [name for name, place in fixed.items() if name in named and place >= named[name].size]
    if unknown or beyond:
        wrong = f"the axis {unknown[0]!r}" if unknown else f"a place {fixed[beyond[0]]} on the axis {beyond[0]}"
        raise DataError(f"{path.name} does not have {wrong}, which [images] indices names", _has(planes))
    free = [axis for axis in long if axis.name not in fixed]
    wanted = said.led_axis
    if wanted in (None, "pages"):
        if len(free) > 1:
            raise _question(planes, free, path, "", fixed)
        along = [axis.name for axis in free]
    elif wanted in ("first", "last"):
        along = [long[0 if wanted == "first" else -1].name] if long else []
    else:
        along = list(str(wanted))
        if any(name not in named for name in along) or len(set(along)) != len(along):
            raise DataError(
                f"{path.name} does not have the axis {wanted!r}, which [images] led_axis names", _has(planes)
            )
        if twice := set(along) & set(fixed):
            raise DataError(
                f"[images] names the axis {twice.pop()} in led_axis and in indices", "leave one of them out"
            )
    open_axes = [axis for axis in long if axis.name not in along and axis.name not in fixed]
    if open_axes:
        raise _question(planes, open_axes, path, "".join(along), fixed)
    numbers = np.arange(planes.count).reshape([axis.size for axis in planes.axes])
    names = [axis.name for axis in planes.axes]
    place = tuple(fixed.get(name, 0) if name not in along else slice(None) for name in names)
    kept = [name for name in names if name in along]
    order = np.transpose(numbers[place], [kept.index(name) for name in along]) if along else numbers[place]
    header = f"the {planes.header} header" if planes.header else "the file"
    words = [f"{' x '.join(along)} of {header}" if along else "one plane"]
    words += [f"{axis.name} = {fixed[axis.name]}" for axis in long if axis.name in fixed]
    return [int(number) for number in order.ravel()], " and ".join(words)


def _outer(series: Any) -> list[tuple[str, int]]:
    """Letter and length of the axes beside those of a page."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    return [(name, int(size)) for name, size in zip(axes, shape, strict=True) if name not in "YXS"]


def _channel_names(tiff: tifffile.TiffFile, root: ElementTree.Element | None) -> tuple[str, ...]:
    """What the channels are called by OME or Micro-Manager."""
    if root is not None:
        image = next((e for e in root.iter() if tag_of(e) == "Pixels"), root)
        names = [e.get("Name") for e in image.iter() if tag_of(e) == "Channel"]
    else:
        summary = (tiff.micromanager_metadata or {}).get("Summary")
        names = summary.get("ChNames", []) if isinstance(summary, dict) else []
    return tuple(str(name)[:LONGEST_NAME] for name in names) if isinstance(names, list) and all(names) else ()


def _position_names(root: ElementTree.Element | None) -> tuple[str, ...]:
    """What the images of an OME header, one for each position, are called."""
    names = [] if root is None else [image.get("Name") for image in root if tag_of(image) == "Image"]
    if not all(names) or all(re.fullmatch(r"Image:?[0-9]+", str(name)) for name in names):
        return ()  # numbers of the program that wrote it
    return tuple(str(name)[:LONGEST_NAME] for name in names)


def _samples(page: Any) -> int:
    """Planes that lie pixel by pixel in one page: samples that are neither colour nor transparency."""
    if page.samplesperpixel < 2 or int(page.photometric) not in (0, 1):
        return 1
    return int(page.samplesperpixel) if all(int(kind) == 0 for kind in page.extrasamples) else 1


def _named(axes: list[tuple[str, int]], samples: int) -> tuple[Axis, ...]:
    """Axes with a letter of their own each: one that is there twice is called by its place."""
    axes = [*axes, ("S", samples)] if samples > 1 else axes
    names = [name for name, size in axes if size > 1]
    return tuple(
        Axis(name=str(place) if names.count(name) > 1 else name, size=size)
        for place, (name, size) in enumerate(axes)
        if size > 1
    )


def _stored(pages: list[Any], samples: int) -> Planes:
    return Planes(pages=tuple(pages), axes=_named([("I", len(pages))], samples), samples=samples)


def _check_once(tiff: tifffile.TiffFile, path: Path, planes: Planes, images: int) -> None:
    """Refuse a header that maps one page to two planes, or leaves pages out."""
    offsets = [(id(page.parent), page.offset or page.dataoffsets) for page in planes.pages]
    if len(set(offsets)) < len(offsets):
        raise DataError(f"{path.name}: its {planes.header} header maps one page to several planes", AS_STORED)
    own = sum(page.parent is tiff for page in planes.pages)
    if own < images:
        raise DataError(
            f"{path.name} has {counted(images, 'page')}, of which its {planes.header} header maps {own}",
            AS_STORED,
        )


def _question(planes: Planes, axes: list[Axis], path: Path, along: str, fixed: dict[str, int]) -> ManyAxesError:
    """What to write about several axes."""
    long = [axis for axis in planes.axes if axis.size > 1]
    most = along or max(axes, key=lambda axis: axis.size).name
    others = ", ".join(f"{axis.name} = 0" for axis in long if axis.name not in most)
    raster = "".join(axis.name for axis in long)
    listed = ", ".join(map(str, long))
    what = "which of them is that of the LEDs" if not along else f"which place on {' and '.join(a.name for a in axes)}"
    return ManyAxesError(
        f"{path.name} has the axes {listed} beside rows and columns, and nothing says {what}",
        f'write into {sidecar_path(path).name} or a geometry: [images] led_axis = "{most}" indices = {{ {others} }} '
        f'(places count from 0); if rows and columns of LEDs are axes of their own, led_axis = "{raster}", '
        "the slowest first",
        {axis.name: axis.places for axis in long},
        along,
        fixed,
    )


def _has(planes: Planes) -> str:
    listed = ", ".join(map(str, planes.axes)) or "none beside rows and columns"
    return f"it has the axes: {listed}; places count from 0"


def _incomplete(path: Path, planes: Planes, there: int, root: ElementTree.Element | None) -> DataError:
    """A stack of which files are missing."""
    names = sorted({name for name in _file_names(root) if not (path.parent / name).is_file()})
    if names:
        more = f", ... ({len(names)} files)" if len(names) > 3 else ""
        hint = f"put {', '.join(names[:3])}{more} beside it under these names, and open it again"
    else:
        hint = f"put the other files of the stack beside it under their own names; {AS_STORED}"
    return DataError(
        f"{path.name} is incomplete: its {planes.header} header says {counted(planes.count, 'plane')}, {there} "
        f"{'is' if there == 1 else 'are'} in this file",
        hint,
    )


def ome_root(text: str | None) -> ElementTree.Element | None:
    """The OME header, if it is there and can be read."""
    try:
        return None if text is None else ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an unknown encoding
        return None


def place_in_set(root: ElementTree.Element, name: str) -> dict[str, int] | None:
    """Place of a file's plane by its OME header, which may speak of many files; None if it is not said."""
    pixels = [e for e in root.iter() if tag_of(e) == "Pixels"]
    if len(pixels) != 1:
        return None
    if all(pixels[0].get(f"Size{axis}", "1") == "1" for axis in "CZT"):
        return {}
    for data in pixels[0]:
        if tag_of(data) == "TiffData" and any(e.get("FileName") == name for e in data):
            first = {axis: data.get(f"First{axis}", "0") for axis in "CZT"}
            return {axis: int(text) for axis, text in first.items()} if all(map(str.isdigit, first.values())) else None
    return None


def files_of_set(root: ElementTree.Element | None) -> set[str]:
    """Names of the files over which an OME header spreads its planes."""
    return set(_file_names(root))


def tag_of(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _file_names(root: ElementTree.Element | None) -> list[str]:
    if root is None:
        return []
    return [str(e.get("FileName")) for e in root.iter() if tag_of(e) == "UUID" and e.get("FileName")]


def _check_ome(root: ElementTree.Element, path: Path) -> None:
    """Refuse what tifffile would follow or make lists for without looking."""
    binary = next((e for e in root.iter() if tag_of(e) == "BinaryOnly"), None)
    if binary is not None:
        raise DataError(
            f"{path.name} holds planes whose order is described in {binary.get('MetadataFile', 'another file')!r}",
            f"save the stack as one OME-TIFF, or {AS_STORED}",
        )
    for name in _file_names(root):
        if Path(name).name != name or "\\" in name or "\0" in name:
            raise DataError(f"{path.name}: its OME header names a file outside its folder", "write the file again")
    for element in root.iter():
        sizes = [element.get(f"Size{axis}") for axis in "CZT"] if tag_of(element) == "Pixels" else []
        numbers = [element.get(name) for name in ("PlaneCount", "NumPlanes", "IFD")]
        values = [int(text) for text in (*sizes, *numbers) if text is not None and _whole(text, path)]
        if (
            math.prod(int(text) for text in sizes if text is not None) > MOST_PLANES
            or max(values, default=0) > MOST_PLANES
        ):
            raise DataError(f"{path.name}: its OME header claims more than {MOST_PLANES} planes", AS_STORED)


def _whole(text: str, path: Path) -> bool:
    if not (text.isascii() and text.strip().isdigit() and len(text) < 12):
        raise DataError(f"{path.name}: its OME header says {text[:20]!r} where a whole number is meant", AS_STORED)
    return True


def _check_lengths(path: Path) -> None:
    """Refuse lengths in Micro-Manager's header that the file does not have: tifffile takes memory for them at once."""
    size = path.stat().st_size
    with path.open("rb") as file:
        order: Literal["little", "big"] = "big" if file.read(2) == b"MM" else "little"
        file.seek(8)
        numbers = [int.from_bytes(file.read(4), order) for _ in range(8)]
        is_ndtiff = numbers[0] == 483729
        summary = (numbers[3] if numbers[2] == 2355492 else numbers[4]) if is_ndtiff else numbers[7]
        lengths = [summary]
        for place, mark, bytes_each in () if is_ndtiff else ((1, 3453623, 20), (3, 347834724, 1), (5, 84720485, 1)):
            for offset in (numbers[place], numbers[place] + 2**32):
                file.seek(offset)
                if int.from_bytes(file.read(4), order) == mark:
                    lengths.append(int.from_bytes(file.read(4), order) * bytes_each)
    if numbers[0] in (483729, 54773648) and max(lengths) > size:
        raise DataError(f"{path.name}: its Micro-Manager header claims more than the file holds", DAMAGED)


def _check_index(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse an index of Micro-Manager whose numbers cannot be."""
    _check_lengths(path)
    settings = tiff.micromanager_metadata or {}
    index, summary = settings.get("IndexMap"), settings.get("Summary")
    if index is None or not isinstance(summary, dict) or not len(index):
        return
    claims = [summary.get(name, 1) for name in ("Channels", "Slices", "Positions", "Frames")]
    most = [int(top) + 1 for top in np.max(index[:, :4], axis=0)]
    values = [value for value in claims if isinstance(value, int) and value > 0]
    if len(values) < 4 or math.prod(map(max, zip(most, values, strict=True))) > MOST_PLANES:
        raise DataError(f"{path.name}: its Micro-Manager index claims more planes than can be", AS_STORED)
    own = {page.offset for page in tiff.pages}
    if not set(index[:, 4].tolist()) <= own:
        raise DataError(f"{path.name}: its Micro-Manager index does not fit its pages", AS_STORED)
