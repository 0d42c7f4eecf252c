"""What single image files of a folder state inside: descriptions, names of pages and channels, texts of PNG files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from real_files import TIMES, WHOLE, exposed, is_same, ome, plain, read, said, stack

from ptychoui.errors import DataError

MIXED = [7 * n % 25 for n in range(25)]
"""LED of each file; the files are in no order."""
MS = [round(1000 * time) for time in TIMES]
Write = Callable[[Path, np.ndarray, list[str]], Path]


def in_tiffs(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        plain(folder / f"img_{place:02}.tif", image, description=text, metadata=None)
    return folder


def in_headers_of_tifffile(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        values = {"led_number": int(re.findall("[0-9]+", text)[0]), "exposure_ms": float(re.findall("[0-9]+", text)[1])}
        plain(folder / f"img_{place:02}.tif", image, metadata=values)
    return folder


def in_ome_channels(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        ome(folder / f"img_{place:02}.ome.tif", image[None], "CYX", Channel={"Name": [text]})
    return folder


def in_pages_of_micro_manager(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        raw = json.dumps({"PositionName": text, "Andor-Gain": "3"}).encode() + b"\0"
        plain(folder / f"img_{place:02}.tif", image, metadata=None, extratags=[(51123, 2, len(raw), raw, True)])
    return folder


def in_pngs(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        info = PngImagePlugin.PngInfo()
        info.add_text("Description", text)
        Image.fromarray(image).save(folder / f"img_{place:02}.png", pnginfo=info)
    return folder


def in_metadata_of_micro_manager(folder: Path, images: np.ndarray, texts: list[str]) -> Path:
    frames: dict[str, Any] = {"Summary": {}}
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        name = f"img_{place:02}.tif"
        plain(folder / name, image)
        frames[f"Metadata-Default/{name}"] = {"PositionName": text}
    (folder / "metadata.txt").write_text(json.dumps(frames))
    return folder


@pytest.mark.parametrize(
    "write",
    [
        in_metadata_of_micro_manager,
        in_tiffs,
        in_headers_of_tifffile,
        in_ome_channels,
        in_pages_of_micro_manager,
        in_pngs,
    ],
    ids=lambda write: write.__name__,
)
def test_what_single_files_state_inside(write: Write, tmp_path: Path) -> None:
    images = stack()
    found = read(write(tmp_path, images[MIXED], [f"LED {n}, exposure {MS[n]} ms" for n in MIXED]))
    assert is_same(found, exposed(images)), said(found)
    assert "file 0 is LED 0, file 24 is LED 18" in said(found) and "10 to 40 ms, divided out" in said(found)
    if write is in_pages_of_micro_manager:
        assert "a gain of 3, which was not used" in said(found)


def test_names_and_contents_of_files_that_disagree(tmp_path: Path) -> None:
    images = stack()
    for n, image in enumerate(images):
        plain(tmp_path / f"led_{n:02}.tif", image, description=f"LED {n}", metadata=None)
    assert is_same(read(tmp_path), images)
    plain(tmp_path / "led_03.tif", images[3], description="LED 4", metadata=None)
    found = read(tmp_path)
    assert is_same(found, images) and "the descriptions in the files state LEDs (LED 0), which were not used" in said(
        found
    )
    plain(tmp_path / "led_04.tif", images[4], description="LED 3", metadata=None)
    with pytest.raises(DataError, match=r"state different LEDs, of led_03\.tif LED 3 and LED 4"):
        read(tmp_path)
    listed = WHOLE.replace(array=WHOLE.array.replace(led_numbers=tuple(range(25))))
    assert "the descriptions in the files state other LEDs than array.led_numbers" in said(read(tmp_path, listed))


def test_dark_frames_that_state_their_exposure_inside(tmp_path: Path) -> None:
    images = stack()
    level = [100 if time == 0.01 else 130 for time in TIMES]
    for n, image in enumerate(images):
        plain(tmp_path / f"led_{n:02}_{MS[n]}ms.tif", image + np.uint16(level[n]))
    for name, text, value in (("dark_a", "exposure 10 ms", 100), ("dark_b", "exposure 40 ms", 130)):
        plain(tmp_path / f"{name}.tif", np.full((6, 8), value, np.uint16), description=text, metadata=None)
    assert is_same(read(tmp_path), exposed(images))
    (tmp_path / "dark_a.tif").rename(tmp_path / "dark_20ms.tif")
    with pytest.raises(DataError, match=r"dark_20ms\.tif states exposures of 10 and 20 ms in its name and its header"):
        read(tmp_path)
