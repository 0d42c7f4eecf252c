"""Planes of TIFF files: in the order of their header, further axes asked about, incomplete stacks named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import (
    SNAKE,
    TIMES,
    WHOLE,
    XML,
    exposed,
    given,
    is_same,
    mapped,
    ome,
    plain,
    read,
    rewritten,
    said,
    stack,
    tiff_data,
)

from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.settings import Images

# ------------------------------------------------------------------------------------ order of planes


def back_and_forth(folder: Path, images: np.ndarray) -> Path:
    return mapped(folder / "a.ome.tif", images, SNAKE)


def newest_first(folder: Path, images: np.ndarray) -> Path:
    return mapped(folder / "a.ome.tif", images, list(range(24, -1, -1)))


def along_z(folder: Path, images: np.ndarray) -> Path:
    return mapped(folder / "a.ome.tif", images, SNAKE, "Z")


def in_two_files(folder: Path, images: np.ndarray) -> Path:
    """Every second plane lies in another file, as the headers of both say."""
    names = ["a.ome.tif", "b.ome.tif"]
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="{t // 2}" PlaneCount="1"><UUID FileName="{names[t % 2]}">urn:uuid:{t % 2}'
        "</UUID></TiffData>"
        for t in range(len(images))
    )

    def header(text: str, part: int) -> str:
        text = re.sub(r"<TiffData.*?(/>|</TiffData>)", planes, text)
        text = re.sub(r'(<OME [^>]*UUID=)"[^"]*"', rf'\1"urn:uuid:{part}"', text)
        return re.sub(r'SizeT="\d+"', 'SizeT="25"', text)

    for part, name in enumerate(names):
        ome(folder / name, images[part::2])
        rewritten(folder / name, partial(header, part=part))
    return folder / names[0]


def imagej_frames(folder: Path, images: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", images[:, None, None], imagej=True, metadata={"axes": "TZCYX"})
    return folder / "a.tif"


def imagej_channels(folder: Path, images: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", images[None, None], imagej=True, metadata={"axes": "TZCYX"})
    return folder / "a.tif"


def written_one_by_one(folder: Path, images: np.ndarray) -> Path:
    with tifffile.TiffWriter(folder / "a.tif") as tiff:
        for image in images:
            tiff.write(image, photometric="minisblack")
    return folder / "a.tif"


def samples_of_one_page(folder: Path, images: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", np.moveaxis(images, 0, 2), photometric="minisblack", planarconfig="contig")
    return folder / "a.tif"


def separate_samples_of_one_page(folder: Path, images: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", images, photometric="minisblack", planarconfig="separate")
    return folder / "a.tif"


ORDERS = [back_and_forth, newest_first, along_z, in_two_files, imagej_frames, imagej_channels, written_one_by_one]
ORDERS += [samples_of_one_page, separate_samples_of_one_page]


@pytest.mark.parametrize("write", ORDERS, ids=lambda write: write.__name__)
def test_planes_are_those_of_the_header(write: Callable[..., Path], tmp_path: Path) -> None:
    images = stack()
    found = read(write(tmp_path, images))
    assert is_same(found, images)
    moved = write in ORDERS[:4]
    assert ("in the order of the OME header" in said(found)) == moved
    assert found.provenance.sha256


def colours(folder: Path, images: np.ndarray) -> Path:
    both = np.stack([images, images[::-1]], axis=1)
    return ome(folder / "a.ome.tif", both, "TCYX", Channel={"Name": ["Red", "Green"]})


def colours_first(folder: Path, images: np.ndarray) -> Path:
    return ome(folder / "a.ome.tif", np.stack([images, images[::-1]]), "CTYX")


def slices(folder: Path, images: np.ndarray) -> Path:
    return ome(folder / "a.ome.tif", np.stack([images, images[::-1]]), "ZTYX")


def imagej_hyperstack(folder: Path, images: np.ndarray) -> Path:
    both = np.stack([images, images[::-1]], axis=1)[:, None]
    tifffile.imwrite(folder / "a.tif", both, imagej=True, metadata={"axes": "TZCYX"})
    return folder / "a.tif"


def positions(folder: Path, images: np.ndarray) -> Path:
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as tiff:
        for part in (images, images[::-1]):
            tiff.write(part, photometric="minisblack", metadata={"axes": "TYX"})
    return folder / "a.ome.tif"


@pytest.mark.parametrize(
    ("write", "axes", "lines"),
    [
        (colours, "T (25), C (2", {"led_axis": "T", "indices": {"C": 0}}),
        (colours_first, "C (2), T (25)", {"led_axis": "T", "indices": {"C": 0}}),
        (slices, "(2), T (25)", {"led_axis": "T", "indices": {"Z": 0}}),
        (imagej_hyperstack, "T (25), C (2", {"led_axis": "T", "indices": {"C": 0}}),
        (positions, "P (2), T (25)", {"indices": {"P": 0}}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_further_axes_are_named_and_asked_about(
    write: Callable[..., Path], axes: str, lines: dict[str, Any], tmp_path: Path
) -> None:
    images = stack()
    path = write(tmp_path, images)
    with pytest.raises(DataError, match="nothing says which of them is that of the LEDs") as caught:
        read(path)
    assert axes in caught.value.message and 'led_axis = "T"' in caught.value.hint and "indices" in caught.value.hint
    assert is_same(read(path, given(**lines)), images)
    other = dict.fromkeys(lines["indices"], 1)
    assert is_same(read(path, given(**lines | {"indices": other})), images[::-1])
    with pytest.raises(DataError, match="does not have"):
        read(path, given(led_axis="Q", indices=lines["indices"]))
    with pytest.raises(DataError, match="does not have a place 2"):
        read(path, given(**lines | {"indices": dict.fromkeys(lines["indices"], 2)}))


def test_what_is_asked_can_be_written_as_it_is_printed(tmp_path: Path) -> None:
    images = stack()
    path = colours(tmp_path, images)
    with pytest.raises(DataError) as caught:
        open_dataset(path)
    lines = re.search(r"\[images\] (led_axis = \S+) (indices = \{.*?\})", caught.value.hint)
    assert lines is not None
    (tmp_path / "a.geometry.toml").write_text(f"[images]\n{lines[1]}\n{lines[2]}\n")
    assert is_same(read(path), images)


def test_rows_and_columns_may_be_axes_of_their_own(tmp_path: Path) -> None:
    images = stack()
    grid = images.reshape(5, 5, 6, 8)
    path = ome(tmp_path / "a.ome.tif", grid, "TZYX")
    with pytest.raises(DataError, match="nothing says"):
        read(path)
    assert is_same(read(path, given(led_axis="TZ")), images)
    assert is_same(read(path, given(led_axis="ZT")), grid.swapaxes(0, 1).reshape(25, 6, 8))
    tifffile.imwrite(tmp_path / "b.tif", grid, photometric="minisblack")
    with pytest.raises(DataError, match=r"axes 0 \(5\), 1 \(5\)"):
        read(tmp_path / "b.tif")
    assert is_same(read(tmp_path / "b.tif", given(led_axis="01")), images)
    assert is_same(read(tmp_path / "b.tif", given(led_axis="pages")), images)


# ------------------------------------------------------------------------------------ incomplete, not damaged


def test_a_stack_of_which_a_file_is_missing(tmp_path: Path) -> None:
    path = in_two_files(tmp_path, stack())
    (tmp_path / "b.ome.tif").rename(tmp_path / "away.tif")
    with pytest.raises(DataError, match="is incomplete: its OME header says 25 planes, 13 are in this file") as caught:
        read(path)
    assert "put b.ome.tif beside it" in caught.value.hint and "copy" not in str(caught.value)


@pytest.mark.parametrize("kind", ["ome", "imagej", "tifffile"])
def test_a_header_that_says_more_than_is_there(kind: str, tmp_path: Path) -> None:
    images, path = stack(), tmp_path / "a.tif"
    if kind == "ome":
        ome(path, images[:10])
        rewritten(path, lambda text: text.replace('SizeT="10"', 'SizeT="25"'))
    else:
        options: dict[str, Any] = {"imagej": True} if kind == "imagej" else {"photometric": "minisblack"}
        tifffile.imwrite(tmp_path / "whole.tif", images, **options)
        with tifffile.TiffFile(tmp_path / "whole.tif") as tiff:
            text = tiff.pages[0].aspage().description
        with tifffile.TiffWriter(path) as tiff:
            for number, image in enumerate(images[:10]):
                tiff.write(image, description=text if number == 0 else None, metadata=None, photometric="minisblack")
    with pytest.raises(DataError, match=r"incomplete: its \w+ header says 25 planes, 10 are in this file") as caught:
        read(path)
    assert 'led_axis = "pages"' in caught.value.hint
    ten = PartialGeometry(
        values=flat_settings(WHOLE) | {"array.rows": 2}, source="g.toml", images=Images(led_axis="pages")
    )
    assert is_same(read(path, ten), images[:10])


def test_headers_that_cannot_be_followed(tmp_path: Path) -> None:
    images = stack()
    once = tiff_data([0] * 25)
    path = ome(tmp_path / "a.ome.tif", images)
    rewritten(path, lambda text: re.sub(r"<TiffData.*?(/>|</TiffData>)", once.replace('IFD="1"', 'IFD="0"'), text))
    with pytest.raises(DataError, match="header"):
        read(path)
    path = ome(tmp_path / "b.ome.tif", images)
    same = "".join(f'<TiffData FirstT="{t}" IFD="{min(t, 23)}" PlaneCount="1"/>' for t in range(25))
    rewritten(path, lambda text: re.sub(r"<TiffData.*?(/>|</TiffData>)", same, text))
    with pytest.raises(DataError, match="maps one page to several planes"):
        read(path)
    assert is_same(read(path, given(led_axis="pages")), images)
    path = ome(tmp_path / "c.ome.tif", images)
    outside = '<TiffData FirstT="0" IFD="0" PlaneCount="25"><UUID FileName="../x.tif">urn:uuid:1</UUID></TiffData>'
    rewritten(path, lambda text: re.sub(r"<TiffData.*?(/>|</TiffData>)", outside, text))
    with pytest.raises(DataError, match="outside its folder"):
        read(path)
    path = ome(tmp_path / "d.ome.tif", images)
    rewritten(path, lambda _: f'{XML}<BinaryOnly MetadataFile="m.companion.ome" UUID="urn:uuid:1"/></OME>')
    with pytest.raises(DataError, match=r"described in 'm\.companion\.ome'"):
        read(path)
    path = ome(tmp_path / "e.ome.tif", images)
    rewritten(path, lambda text: text.replace('PlaneCount="25"', 'PlaneCount="2500000000"'))
    with pytest.raises(DataError, match="claims more than"):
        read(path)


def test_a_stack_split_over_files_without_a_header(tmp_path: Path) -> None:
    images = stack()
    plain(tmp_path / "cells_1.tif", images[:10], metadata=None)
    plain(tmp_path / "cells_2.tif", images[10:], metadata=None)
    plain(tmp_path / "other.tif", images[10:], metadata=None)
    with pytest.raises(DataError, match=r"10 images \(cells_2\.tif beside it may hold others\) but the array"):
        read(tmp_path / "cells_1.tif")


def test_a_folder_of_files_that_belong_together(tmp_path: Path) -> None:
    """One plane in each file, as Bio-Formats writes them; the headers know the order, the names do not."""
    images = stack()
    names = [f"{chr(97 + (7 * t) % 25)}.ome.tif" for t in range(25)]
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{t}</UUID></TiffData>'
        f'<Plane TheT="{t}" TheC="0" TheZ="0" ExposureTime="{TIMES[t]}"/>'
        for t, name in enumerate(names)
    )
    planes = "".join(sorted(re.findall(r"<TiffData.*?</TiffData>|<Plane .*?/>", planes), reverse=True))

    def header(text: str, own: int) -> str:
        text = re.sub(r"<TiffData.*?(/>|</TiffData>)", planes, text)
        text = re.sub(r'(<OME [^>]*UUID=)"[^"]*"', rf'\1"urn:uuid:{own}"', text)
        return re.sub(r'SizeT="\d+"', 'SizeT="25"', text)

    for t, name in enumerate(names):
        ome(tmp_path / name, images[t : t + 1])
        rewritten(tmp_path / name, partial(header, own=t))
    for path in (tmp_path, tmp_path / names[3]):
        found = read(path)
        assert is_same(found, exposed(images)) and "from 25 files in the order of the OME header" in said(found)
    plain(tmp_path / "dark.tif", images[0])
    with pytest.raises(DataError, match=r"say in which order they belong together, and dark\.tif lies beside them"):
        read(tmp_path)
    (tmp_path / "dark.tif").unlink()
    # By names that state the LED, each file is an image of its own, with its own exposure.
    for t, name in enumerate(names):
        (tmp_path / name).rename(tmp_path / f"x{t % 5}_y{t // 5}.ome.tif")
    found = read(tmp_path)
    assert is_same(found, images) and "exposures" not in said(found)


def micro_manager(path: Path, images: np.ndarray, planes: list[int], channels: int = 1, gap: int = 0) -> Path:
    """A stack as Micro-Manager writes it: an index of (channel, slice, frame, position, offset) before the pages."""
    count = len(images)
    summary = {"MicroManagerVersion": "1.4.22", "Frames": count // channels, "Channels": channels, "Slices": 1}
    summary |= {"Positions": 1, "Prefix": path.name.partition("_MMStack")[0], "ChNames": ["Red", "Blue"][:channels]}
    summary |= {"SlicesFirst": True, "TimeFirst": False}
    text = json.dumps(summary).encode()
    first = 40 + len(text) + len(text) % 2
    pixels = images[0].nbytes
    notes = [json.dumps({"Exposure-ms": 10.0 + 30 * (plane % 2)}).encode().ljust(64) for plane in planes]
    size = 162 + gap + pixels + 64
    offsets = [first + n * size for n in range(count)]
    raw = bytearray(b"II*\0" + first.to_bytes(4, "little"))
    index = first + count * size
    for number in (54773648, index, 0, 0, 0, 0, 2355492, len(text)):
        raw += number.to_bytes(4, "little")
    raw += text.ljust(first - 40)
    for n, plane in enumerate(planes):
        data = offsets[n] + 162 + gap
        entries = [(256, 4, 1, images.shape[2]), (257, 4, 1, images.shape[1]), (258, 3, 1, 16), (259, 3, 1, 1)]
        entries += [(262, 3, 1, 1), (273, 4, 1, data), (277, 3, 1, 1), (278, 3, 1, images.shape[1])]
        entries += [(279, 4, 1, pixels), (282, 4, 1, 1), (283, 4, 1, 1), (296, 3, 1, 1), (51123, 2, 64, data + pixels)]
        raw += len(entries).to_bytes(2, "little")
        for tag, kind, length, value in entries:
            raw += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
            raw += length.to_bytes(4, "little") + value.to_bytes(4, "little")
        raw += (offsets[n + 1] if n + 1 < count else 0).to_bytes(4, "little")
        raw += bytes(gap) + images[plane].tobytes() + notes[n]
    raw += (3453623).to_bytes(4, "little") + count.to_bytes(4, "little")
    for plane, offset in zip(planes, offsets, strict=True):
        for number in (plane % channels, 0, plane // channels, 0, offset):
            raw += number.to_bytes(4, "little")
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("planes", [list(range(25)), SNAKE, list(range(24, -1, -1))], ids=["stored", "snake", "newest"])
def test_the_index_of_micro_manager(planes: list[int], tmp_path: Path) -> None:
    images = stack()
    found = read(micro_manager(tmp_path / "a_MMStack_Pos0.tif", images, planes, gap=4))
    assert is_same(found, exposed(images, [10 + 30 * (plane % 2) for plane in range(25)]))
    assert ("in the order of the Micro-Manager header" in said(found)) == (planes != sorted(planes))
    assert "divided out - from the pages' metadata" in said(found)


def test_channels_of_micro_manager_are_asked_about(tmp_path: Path) -> None:
    images = stack()
    both = np.stack([images, images[::-1]], 1).reshape(50, 6, 8)
    path = micro_manager(tmp_path / "a_MMStack_Pos0.tif", both, list(range(49, -1, -1)), channels=2)
    with pytest.raises(DataError, match=r"T \(25\), C \(2: Red, Blue\)"):
        read(path)
    assert is_same(read(path, given(led_axis="T", indices={"C": 0})), images)
    assert is_same(read(path, given(led_axis="T", indices={"C": 1})), images[::-1])


def test_lengths_that_micro_manager_cannot_mean(tmp_path: Path) -> None:
    path = micro_manager(tmp_path / "a_MMStack_Pos0.tif", stack(), SNAKE)
    whole = path.read_bytes()
    for place in (36, 12):  # of the summary, and where the index lies
        raw = bytearray(whole)
        if place == 12:
            place = int.from_bytes(whole[12:16], "little") + 4
        raw[place : place + 4] = b"\xff\xff\xff\x7f"
        path.write_bytes(raw)
        with pytest.raises(DataError, match="claims more than the file holds"):
            read(path)
