"""Names of a folder's images: what is missing, twice, set aside or not understood is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.names import notes_on_names
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.settings import Geometry


@pytest.mark.parametrize(
    "names",
    [
        [f"img_{n}.png" for n in range(12)],
        [f"LED ({n}) ünï.tif" for n in range(3, 12)],
        [f"led_{n:03}_10ms.tif" for n in range(0, 40, 2)],
        [f"2024-05-01_led-{n}.png" for n in range(9)],
        [f"r{n // 3}_c{n % 3}.png" for n in range(9)],
        [f"{n}_{20240501 + 37 * n}.png" for n in range(9)],  # with a time
        [f"{1714550400 + n * n * 7919}.png" for n in range(9)],  # a time only
        [f"{n // 2}_exposure{n % 2 + 1}.png" for n in range(18)],
        ["one.png"],
        ["led7.png"],
    ],
    ids=lambda names: names[-1],
)
def test_names_that_say_their_order(names: list[str]) -> None:
    assert notes_on_names(names) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"led{n}.png" for n in range(12) if n != 4], r"leave out 1 number \(4\)"),
        ([f"led{n}.png" for n in range(0, 24, 2) if n not in (6, 8)], r"leave out 2 numbers \(6; 8\)"),
        ([f"r{n // 3}_c{n % 3}.png" for n in range(9) if n != 5], r"leave out 1 number \(1, 2\)"),
        (["00007.png", *(f"{n}.png" for n in range(9))], r"00007\.png and 7\.png have the same number"),
        ([f"{n:02x}.png" for n in range(17)], "not numbered in one way"),
        (["bright_4.png", "dark field_0.png", "dark field_1.png"], "not numbered in one way"),
        ([f"x{x}_y{y}.png" for x in (-1, 0, 1) for y in (-1, 0, 1)], "numbers with signs.*not used"),
        ([f"{x:+d}_{y:+d}.png" for x in (-1, 0, 1) for y in (-1, 0, 1)], "numbers with signs.*not used"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_names_that_do_not(names: list[str], words: str) -> None:
    (note,) = notes_on_names(names)
    assert re.search(words, note), note


def write(folder: Path, names: list[str], level: int = 400) -> None:
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        Image.fromarray(np.full((8, 10), level + place, np.uint16)).save(folder / name)


def test_images_of_the_dark_field_are_no_dark_frames(geometry: Geometry, tmp_path: Path) -> None:
    names = [f"{kind}{n}.png" for n, kind in enumerate(("darkfield_", "DarkField", "dark-field ", "dark_field_"))]
    write(tmp_path / "s", names + [f"led{n}.png" for n in range(5)])
    found = open_dataset(tmp_path / "s", geometry)
    assert isinstance(found, ImageStack) and len(found.images) == 9
    assert not any("dark frame" in note for note in found.provenance.notes)


def test_dark_frames_are_counted_apart(make_geometry: Callable[..., Geometry], tmp_path: Path) -> None:
    write(tmp_path / "s", [f"led{n}.png" for n in range(9)])
    write(tmp_path / "s", ["dark.png"], level=100)
    found = open_dataset(tmp_path / "s", make_geometry())
    assert "the dark frame (100) was subtracted" in found.provenance.notes
    with pytest.raises(
        DataError, match=r"9 images \(1 file set aside as a dark frame by name: dark\.png\) but the array"
    ):
        open_dataset(tmp_path / "s", make_geometry(rows=2, columns=5))


def test_a_gap_is_a_note_of_the_dataset(geometry: Geometry, tmp_path: Path) -> None:
    write(tmp_path / "s", [f"led{n}.png" for n in (0, 1, 2, 3, 5, 6, 7, 8, 9)])
    found = open_dataset(tmp_path / "s", geometry)
    assert any("leave out 1 number (4)" in note for note in found.provenance.notes)
