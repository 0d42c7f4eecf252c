"""Clipped pixels and pixels below zero: said where they are, and silence where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.pixels import clipped_images
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, Images

NUMBERS = tuple(range(10, 19))


def scene(brightest: float, seed: int = 0) -> np.ndarray:
    """(9, 64, 64) counts: shot noise on images that fall from ``brightest`` to a hundredth, with a smooth sample."""
    rng = np.random.default_rng(seed)
    row, column = np.meshgrid(np.linspace(0, 7, 64), np.linspace(0, 9, 64), indexing="ij")
    sample = 0.7 + 0.3 * np.sin(row) * np.cos(column)
    return rng.poisson(brightest * np.geomspace(1, 0.01, 9)[:, None, None] * sample).astype(float)


@pytest.mark.parametrize(
    ("most", "kind", "step"),
    [
        (255, np.uint8, 1),
        (1023, np.uint16, 1),
        (4095, np.uint16, 1),
        (16383, np.int32, 1),
        (65535, np.uint16, 1),
        (65520, np.uint16, 16),
        (4095, np.float32, 1),
        (3211, np.uint16, 1),
    ],
)
def test_a_clipped_stack_names_its_images(most: int, kind: Any, step: int) -> None:
    """The first two images are brighter than the camera's limit; the third nearly reaches it."""
    counts = step * np.floor(scene(2.2 * most / step))
    raw = np.minimum(counts, most).astype(kind)
    expected = (counts >= most).mean((1, 2))
    found = dict(clipped_images(raw, NUMBERS))
    assert [NUMBERS[place] for place in np.argsort(-expected, kind="stable") if expected[place] > 1e-2] == list(found)
    assert list(found.values()) == pytest.approx(sorted(expected[expected > 1e-2])[::-1], abs=1e-9)


def test_a_wholly_white_image_is_clipped() -> None:
    raw = np.minimum(scene(200), 250).astype(np.uint8)
    raw[4] = 255
    assert clipped_images(raw, NUMBERS) == ((14, 1.0),)


@pytest.mark.parametrize(
    "raw",
    [
        scene(200).clip(0, 255).astype(np.uint8),
        scene(30_000).astype(np.uint16),
        scene(3).astype(np.uint16),  # few photons: many pixels have the largest value
        scene(3) / scene(3).max(),
        np.full((9, 64, 64), 500, np.uint16),
        np.zeros((9, 64, 64), np.uint16),
        scene(40_000).astype(int) % 256,  # wrapped, not clipped
        (scene(900) / 1000).astype(np.float32),
    ],
    ids=["8 bits", "16 bits", "photons", "scaled photons", "constant", "zeros", "wrapped", "float"],
)
def test_what_is_not_clipped(raw: np.ndarray) -> None:
    assert clipped_images(raw.astype(np.uint8) if raw.dtype == int else raw, NUMBERS) == ()


def test_a_bright_spot_is_no_matter() -> None:
    """A reflection and hot pixels at the limit of the camera, in every image."""
    raw = scene(2000).astype(np.uint16)
    raw[:, 10:12, 30:32] = raw[:, 50, ::20] = 4095
    assert clipped_images(raw, NUMBERS) == ()


def read(folder: Path, raw: np.ndarray, geometry: Geometry, **images: Any) -> ImageStack:
    tifffile.imwrite(folder / "s.tif", raw, photometric="minisblack")
    given = PartialGeometry(values=flat_settings(geometry), source="g.toml", images=Images(**images))
    found = open_dataset(folder / "s.tif", given)
    assert isinstance(found, ImageStack)
    return found


def notes_of(folder: Path, raw: np.ndarray, geometry: Geometry, **images: Any) -> str:
    return "\n".join(read(folder, raw, geometry, **images).provenance.notes)


def test_the_note_is_kept(geometry: Geometry, tmp_path: Path) -> None:
    raw = np.minimum(scene(20_000), 4095).astype(np.uint16)
    stack = read(tmp_path, raw, geometry)
    share = float((raw[1] == 4095).mean())
    (note,) = (note for note in stack.provenance.notes if "clipped" in note)
    assert "clipped: 3 of 9 images" in note and f"(LED 0 100 %, LED 1 {100 * share:.3g} %, LED 2" in note
    assert stack.provenance.clipped[:2] == ((0, 1.0), (1, share))
    again = open_dataset(save_hdf5(tmp_path / "s.h5", stack))
    assert again.provenance.clipped == stack.provenance.clipped and note in again.provenance.notes


def test_noise_about_zero_is_legal(geometry: Geometry, tmp_path: Path) -> None:
    raw = (scene(4000) + 100 + np.random.default_rng(1).normal(0, 3, (9, 64, 64))).astype(np.float32)
    raw[3:] = 100 + np.random.default_rng(2).normal(0, 3, (6, 64, 64))
    raw[0, 0, 0] = -30_000  # a hot pixel of the dark frame
    assert "below zero (legal after dark subtraction)" in notes_of(tmp_path, raw, geometry, dark_level=100.0)
    one = np.full((9, 64, 64), 10.0, np.float32)
    one[0, 0, 0] = -1
    assert "1 pixel is below zero (legal" in notes_of(tmp_path, one, geometry)


def test_an_overflow_and_a_wrong_offset_are_no_noise(geometry: Geometry, tmp_path: Path) -> None:
    overflown = scene(45_000).astype(np.uint16).view(np.int16)
    said = notes_of(tmp_path, overflown, geometry)
    assert "unsigned numbers that were read as signed" in said and "legal" not in said
    said = notes_of(tmp_path, scene(4000).astype(np.float32), geometry, dark_level=1500.0)
    assert "looks like a wrong dark level" in said and "signed" not in said and "legal" not in said
    # Small everywhere, but noise does not lie on one side.
    said = notes_of(tmp_path, scene(4000).astype(np.float32) / 4000 + 99.5, geometry, dark_level=100.0)
    assert "looks like a wrong dark level" in said


def test_a_dead_image_is_named(geometry: Geometry, tmp_path: Path) -> None:
    raw = scene(2000).astype(np.uint16)
    assert not any("same value" in note for note in read(tmp_path, raw, geometry).provenance.notes)
    raw[4] = 0
    assert "1 image has the same value in all its pixels (LED 4)" in notes_of(tmp_path, raw, geometry)
    raw[[2, 6]] = 7
    assert "3 images have the same value in all their pixels (LED 2, LED 4, LED 6)" in notes_of(tmp_path, raw, geometry)


@pytest.mark.parametrize(
    ("exposures", "words"),
    [
        ((1.0, 2.0), "holds 9 images, but 2 exposures are stated"),
        ((1.0,), "but 1 exposure is stated"),
        ((1.0,) * 8 + (0.0,), "not all numbers above 0"),
    ],
)
def test_exposures_that_do_not_fit(
    exposures: tuple[float, ...], words: str, geometry: Geometry, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, scene(100).astype(np.uint16), geometry, exposures=exposures)
