"""Exif data and text of PNG files: turned and divided as they say, or named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from real_files import TIMES, exposed, is_same, read, said, stack


def test_what_png_files_say_beside_their_pixels(tmp_path: Path) -> None:
    images = stack()
    for folder, turned in (("s", 1), ("t", 3), ("u", 6)):
        (tmp_path / folder).mkdir()
        for n, (image, seconds) in enumerate(zip(images, TIMES, strict=True)):
            exif, text = Image.Exif(), PngImagePlugin.PngInfo()
            exif[274] = turned
            exif.get_ifd(34665)[33434] = seconds
            if folder == "s":
                text.add_text("Exposure time", f"{seconds} s")
                Image.fromarray(image).save(tmp_path / folder / f"{n}.png", pnginfo=text)
            else:
                Image.fromarray(image).save(tmp_path / folder / f"{n}.png", exif=exif)
    found = read(tmp_path / "s")
    assert is_same(found, images) and "state Exposure time as text, which was not used" in said(found)
    found = read(tmp_path / "t")
    assert is_same(found, exposed(images)[:, ::-1, ::-1]) and "turned as their header says (Orientation 3)" in said(
        found
    )
    assert is_same(read(tmp_path / "u"), np.rot90(exposed(images), -1, axes=(1, 2)))
