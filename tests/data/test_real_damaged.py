"""Damaged image files of the kinds that microscopes write: a dataset or a sentence, little memory, and no output."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from real_files import SNAKE, TIMES, WHOLE, mapped, ome, ome_exposures, stack

from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import PtychouiError


def lzw(folder: Path) -> Path:
    pages = [Image.fromarray(image) for image in stack()]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw", tiffinfo={317: 2})
    return folder / "a.tif"


def palette(folder: Path) -> Path:
    ramp = np.array([np.arange(256) * 257] * 3, np.uint16)
    tifffile.imwrite(folder / "a.tif", stack(250, np.uint8), photometric="palette", colormap=ramp)
    return folder / "a.tif"


def imagej(folder: Path) -> Path:
    info = {"cf": 0, "c0": -5, "c1": 1, "Labels": [f"led {n}" for n in range(25)], "axes": "TYX"}
    tifffile.imwrite(folder / "a.tif", stack(), imagej=True, metadata=info)
    return folder / "a.tif"


def exposures(folder: Path) -> Path:
    return ome_exposures(folder / "a.ome.tif", stack(), TIMES)


def planes(folder: Path) -> Path:
    return mapped(folder / "a.ome.tif", stack(), SNAKE)


def metadata(folder: Path) -> Path:
    """The text beside the stack is what is damaged."""
    ome(folder / "a.ome.tif", stack())
    frames = {f"FrameKey-{n}-0-0": {"Exposure-ms": 1e3 * time, "FrameIndex": n} for n, time in enumerate(TIMES)}
    (folder / "a_metadata.txt").write_text(json.dumps({"Summary": {"Frames": 25}} | frames, indent=1))
    return folder / "a_metadata.txt"


def check(write: Callable[[Path], Path], folder: Path, mutants: int, seed: int) -> None:
    path = write(folder)
    opened = path.with_name("a.ome.tif") if path.suffix == ".txt" else path
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    for number in range(mutants):
        raw = bytearray(whole)
        if number % 3 == 0:
            raw = raw[: rng.integers(len(raw))]
        elif number % 3 == 1:
            for place in rng.integers(0, len(raw) if rng.integers(2) else min(len(raw), 1200), 3):
                raw[place] = rng.integers(256)
        else:
            place = int(rng.integers(0, len(raw) - 4))
            raw[place : place + 4] = int(rng.choice([0x7FFFFFFF, 0xFFFFFFFF, 0, 60_000])).to_bytes(4, "little")
        path.write_bytes(raw)
        tracemalloc.start()
        try:
            open_dataset(opened, WHOLE)
        except PtychouiError as error:
            assert error.message and "\n" not in error.message
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10 * len(whole) + 8 * 2**20, f"{peak / 2**20:.1f} MiB for {len(whole)} bytes"


KINDS = [lzw, palette, imagej, exposures, planes, metadata]


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_mutants(write: Callable[[Path], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check(write, tmp_path, 12, 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_three_hundred_mutants(
    write: Callable[[Path], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check(write, tmp_path, 300, 1)
    assert capfd.readouterr() == ("", "")
