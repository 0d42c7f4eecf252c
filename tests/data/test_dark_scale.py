"""Dark frames that are stored in another scale than the images: scaled where it can be told, else refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import is_same, read, said, stack

from ptychoui.data.formats.dark_scale import in_scale_of_images
from ptychoui.data.formats.draft import Draft
from ptychoui.errors import DataError


def noisy(level: int, step: int = 1, count: int = 2) -> np.ndarray:
    """(count, 6, 8) dark frames of 12 bits about a level, times ``step``."""
    return ((level + np.random.default_rng(1).integers(-3, 4, (count, 6, 8))) * step).astype(np.uint16)


def write(folder: Path, images: np.ndarray, darks: np.ndarray, **options: Any) -> Path:
    for n, image in enumerate(images):
        tifffile.imwrite(folder / f"led_{n:02}.tif", image, **({"photometric": "minisblack"} | options))
    for n, frame in enumerate(darks):
        tifffile.imwrite(folder / f"dark_{n}.tif", frame, **({"photometric": "minisblack"} | options))
    return folder


def lit(darks: np.ndarray, least: int = 0) -> np.ndarray:
    """Images of 12 bits with the dark level in them; those of the dark field are as dark as it."""
    return (stack(3000) // 2 * 2 + 1) // 16 + np.uint16(darks.max() + least)


@pytest.mark.parametrize(
    ("of_images", "of_darks", "words"),
    [
        (16, 1, "were multiplied by 16"),
        (1, 16, "were divided by 16"),
        (4, 1, "were multiplied by 4"),
        (64, 1, "were multiplied by 64"),
        (16, 16, ""),
        (1, 1, ""),
    ],
)
def test_dark_frames_are_brought_into_the_scale_of_the_images(
    of_images: int, of_darks: int, words: str, tmp_path: Path
) -> None:
    darks = noisy(100)
    images = lit(darks)
    found = read(write(tmp_path, (images * of_images).astype(np.uint16), (darks * of_darks).astype(np.uint16)))
    assert is_same(found, (images - darks.mean(axis=0)) * of_images)
    assert (words in said(found)) if words else ("in one scale" not in said(found)), said(found)


def test_averages_of_frames_are_in_the_scale_of_their_frames(tmp_path: Path) -> None:
    """A mean of frames at the top of their words is no multiple, and times 16 brighter than any image."""
    darks = noisy(1600)
    images = lit(noisy(100)).astype(np.uint16) * np.uint16(16)
    found = read(write(tmp_path, images, darks))
    assert is_same(found, images - darks.mean(axis=0))
    assert "the dark frames were subtracted as they are: else they would be brighter" in said(found)


@pytest.mark.parametrize(("of_images", "level", "of_darks"), [(16, 20, 1), (1, 10, 16)])
def test_a_scale_that_is_open_is_refused(of_images: int, level: int, of_darks: int, tmp_path: Path) -> None:
    """All images are bright: dark frames may be in either scale."""
    images = (lit(noisy(100), least=800) * of_images).astype(np.uint16)
    with pytest.raises(
        DataError, match=r"multiples of 16 and those of the .* are not, and it cannot be told"
    ) as caught:
        read(write(tmp_path, images, noisy(level, of_darks)))
    assert "dark_level" in caught.value.hint


def test_values_that_a_program_spread_over_all_bits(tmp_path: Path) -> None:
    """12 bits as 16 by repeating the upper bits: the steps are 16 or 17."""
    darks = noisy(100)
    rng = np.random.default_rng(3)
    images = np.concatenate([rng.integers(100, 4096, (24, 40, 40)), rng.integers(97, 104, (1, 40, 40))])
    spread = (images * 16 + images // 256).astype(np.uint16)
    darks = np.tile(darks, (1, 7, 5))[:, :40, :40]
    with pytest.raises(DataError, match="the values of the images lie at least 16 apart and those of the dark frames"):
        read(write(tmp_path, spread, darks))
    for n, frame in enumerate(noisy(1600)):
        tifffile.imwrite(tmp_path / f"dark_{n}.tif", np.tile(frame, (7, 5))[:40, :40], photometric="minisblack")
    assert "the dark frames were subtracted as they are" in said(read(tmp_path))
    for n, frame in enumerate(darks):
        tifffile.imwrite(tmp_path / f"dark_{n}.tif", frame * 16 + frame // 256, photometric="minisblack")
    found = read(tmp_path)
    assert is_same(found, spread - (darks * 16.0).mean(axis=0)) and "scale" not in said(found)


def test_bits_that_headers_state_differently(tmp_path: Path) -> None:
    darks = noisy(100)
    write(tmp_path, stack(60000), darks)
    assert is_same(read(tmp_path), stack(60000) - darks.mean(axis=0))
    for n, frame in enumerate(darks):
        tags = [(281, "H", 1, 4095, True)]
        tifffile.imwrite(tmp_path / f"dark_{n}.tif", frame, photometric="minisblack", extratags=tags)
    with pytest.raises(DataError, match="the dark frames have 12 bits and the images 16, and it cannot be told"):
        read(tmp_path)
    write(tmp_path, stack(4000), darks[:0])
    assert is_same(read(tmp_path), stack(4000) - darks.mean(axis=0))


def test_white_as_zero_is_refused(tmp_path: Path) -> None:
    images = 65535 - lit(noisy(100)) * 16
    with pytest.raises(DataError, match="cannot be told"):
        read(write(tmp_path, images.astype(np.uint16), 65535 - noisy(100), photometric="miniswhite"))


def test_even_dark_frames_and_zeros_say_nothing() -> None:
    images, draft = lit(noisy(100)), Draft(path=Path("a"), layout="")
    for darks in (np.full((1, 6, 8), 96), np.zeros((1, 6, 8)), np.array([[[0, 4, 8, 0]]])):
        assert in_scale_of_images(darks, images, draft) is darks
    even = np.full((1, 6, 8), 1600)
    assert in_scale_of_images(even, images * 16, draft) is even and not draft.notes


def test_raw_dark_frames_of_captures(tmp_path: Path) -> None:
    """The program imaged keeps raw numbers of the camera, whose two kinds of frames may come from two modes."""
    rng = np.random.default_rng(0)
    darks = noisy(100, count=1)
    images = [(100 + rng.integers(0, 900, (6, 8))).astype(np.uint16) for _ in range(4)]
    images[3] = (98 + rng.integers(0, 4, (6, 8))).astype(np.uint16)
    (tmp_path / "captures").mkdir()
    captures = []
    for n, image in enumerate(images):
        np.save(tmp_path / "captures" / f"{n}.npy", image * np.uint16(16))
        captures.append({"filename": f"{n}.npy", "led_positions": [{"x": 4e-3 * n, "y": 0.0, "z": 0.09}]})
    np.save(tmp_path / "captures" / "d.npy", darks[0])
    captures.append({"filename": "d.npy", "led_positions": []})
    rest = {"wavelength": 5e-7, "channel": "green", "exposure": 0.1}
    info = {"magnification": 2.0, "numerical_aperture": 0.1, "sensor_pixel_size": 4e-6, "bayer_format": "mono"}
    info |= {"captures": [one | rest for one in captures]}
    (tmp_path / "info.json").write_text(json.dumps(info))
    found = read(tmp_path, None)
    assert is_same(found, (np.array(images).astype(float) - darks[0]) * 16) and "multiplied by 16" in said(found)
    np.save(tmp_path / "captures" / "d.npy", darks[0].astype(np.uint8))
    with pytest.raises(DataError, match=r"the dark frame d\.npy is \(6, 8\) uint8, the images are \(6, 8\) uint16"):
        read(tmp_path, None)
