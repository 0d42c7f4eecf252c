"""``array.led_numbers``: the LEDs of the images, in their order, for arrays of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, PtychouiError, SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import single_slopes
from ptychoui.settings import Array

SCOPE = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.2\nmagnification = 10.0\ncamera_pixel_um = 5.0\n"
ARRAYS = {
    "lattice": 'kind = "lattice"\nrows = 3\ncolumns = 4\npitch_mm = 4.0',
    "serpentine": 'kind = "lattice"\nrows = 3\ncolumns = 4\npitch_mm = 4.0\nserpentine = true',
    "columns": 'kind = "lattice"\nrows = 3\ncolumns = 4\npitch_mm = 4.0\norder = "columns"',
    "disc": 'kind = "lattice"\nrows = 4\ncolumns = 4\npitch_mm = 4.0\ndisc = true',
    "spiral": 'kind = "spiral"\ncount = 12\npitch_mm = 4.0',
    "board": 'kind = "spiral"\ncount = 12\npitch_mm = 4.0\nrows = 8\ncolumns = 8\nspiral_start = [3, 4]',
    "rings": 'kind = "rings"\nring_radii_mm = [0.0, 4.0, 8.0]\nring_counts = [1, 4, 7]',
    "dome": 'kind = "dome"\nring_radii_mm = [0.0, 4.0, 8.0]\nring_counts = [1, 4, 7]\ndome_radius_mm = 60.0',
    "file": 'positions_file = "leds.json"',
}


def opened(folder: Path, name: str, images: np.ndarray, extra: str = "") -> ImageStack:
    """A TIFF of these images, with an array of this name."""
    places = {str(7 * n + 3): [n % 4 - 1.0, n // 4 * 2.0, 50.0] for n in range(12)}
    (folder / "leds.json").write_text(json.dumps({"led_position_list_cartesian": places}), encoding="utf-8")
    text = f"{SCOPE}\n[array]\nheight_mm = 50.0\n{ARRAYS[name]}\n{extra}"
    (folder / "g.toml").write_text(text, encoding="utf-8")
    tifffile.imwrite(folder / "s.tif", images, photometric="minisblack")
    found = open_dataset(folder / "s.tif", read_geometry(folder / "g.toml"))
    assert isinstance(found, ImageStack)
    return found


def by_place(stack: ImageStack) -> dict[tuple[float, ...], bytes]:
    """Place of an LED -> its number and its image."""
    assert stack.geometry is not None
    leds = led_array(stack.geometry.array)
    assert leds.numbers.tolist() == stack.led_numbers.tolist()
    return {
        tuple(np.round(place, 9)): bytes([number]) + image.tobytes()
        for number, place, image in zip(leds.numbers, leds.positions_mm, stack.images, strict=True)
    }


@pytest.mark.parametrize("name", ARRAYS)
def test_images_in_another_order_are_the_same_dataset(name: str, tmp_path: Path) -> None:
    """Only the order of pages and numbers differs: every place must keep its number and its image."""
    images = np.random.default_rng(3).integers(100, 900, (12, 6, 7)).astype(np.uint16)
    plain = opened(tmp_path, name, images)
    numbers = plain.led_numbers
    assert len(set(by_place(plain))) == 12
    for order in (np.arange(12)[::-1], np.random.default_rng(4).permutation(12)):
        listed = f"led_numbers = {numbers[order].tolist()}"
        assert by_place(opened(tmp_path, name, images[order], listed)) == by_place(plain)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_part_of_the_array_in_any_order(name: str, tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(100, 900, (12, 6, 7)).astype(np.uint16)
    images[5] += 500  # the brightest, which makes the unit
    plain = opened(tmp_path, name, images)
    chosen = np.array([9, 5, 2, 11])
    part = opened(tmp_path, name, images[chosen], f"led_numbers = {plain.led_numbers[chosen].tolist()}")
    everything = by_place(plain)
    assert len(by_place(part)) == 4 and all(everything[place] == image for place, image in by_place(part).items())
    assert part.geometry is not None and single_slopes(part.geometry.array).shape == (4, 2, 2)


def test_the_choice_is_kept_where_the_geometry_is_partial(tmp_path: Path) -> None:
    """Rows and columns come from one file, the numbers from another, which knows no layout."""
    images = np.random.default_rng(3).integers(100, 900, (4, 6, 7)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    text = f"{SCOPE}\n[array]\nheight_mm = 50.0\n{ARRAYS['lattice']}\n"
    (tmp_path / "s.geometry.toml").write_text(text, encoding="utf-8")
    (tmp_path / "part.toml").write_text("[array]\nled_numbers = [11, 0, 5, 6]\n", encoding="utf-8")
    found = open_dataset(tmp_path / "s.tif", read_geometry(tmp_path / "part.toml"))
    assert isinstance(found, ImageStack) and found.led_numbers.tolist() == [11, 0, 5, 6]
    assert any("4 LEDs of the lattice, 11 to 6 as listed" in str(fact) for fact in found.provenance.facts)
    (tmp_path / "part.toml").write_text("[array]\nled_numbers = [11, 0, 5, 12]\n", encoding="utf-8")
    with pytest.raises(DataError, match="LED 12, which this lattice does not have: its LEDs are 0 to 11"):
        open_dataset(tmp_path / "s.tif", read_geometry(tmp_path / "part.toml"))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0, 1, 9), "LED 9, which this lattice does not have: its LEDs are 0 to 8"),
        ((-1, 1), "LED -1, which"),
        ((3, 4, 3), "a number twice: 3"),
        ((), "led_numbers is empty"),
    ],
)
def test_numbers_that_cannot_be(numbers: tuple[int, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Array(kind="lattice", rows=3, columns=3, pitch_mm=4.0, height_mm=50.0, led_numbers=numbers)


def test_a_number_twice_in_a_file(tmp_path: Path) -> None:
    images: Any = np.ones((3, 6, 7), np.uint16)
    for name in ("lattice", "file"):
        with pytest.raises(PtychouiError, match=r"^g\.toml: .*twice: 3"):
            opened(tmp_path, name, images, "led_numbers = [3, 10, 3]")
    with pytest.raises(DataError, match="holds 3 images but the array in the geometry has 2 LEDs"):
        opened(tmp_path, "lattice", images, "led_numbers = [3, 10]")
