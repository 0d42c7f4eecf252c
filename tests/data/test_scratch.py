"""Images of foreign formats that are larger than memory: converted into a file, the same numbers, and little resident."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data import scratch
from ptychoui.data.dataset import ImageStack, release
from ptychoui.data.formats.open import open_dataset
from ptychoui.paths import sample_data


@pytest.fixture(params=["pages", "one block", "white is zero", "white in one block"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(5, 4000, (81, 24, 24), dtype=np.uint16)
    images[40] += 20_000
    path = tmp_path / "stack.tif"
    if request.param == "pages":
        with tifffile.TiffWriter(path) as file:
            for image in images:
                file.write(image, contiguous=False, photometric="minisblack")
    elif request.param == "one block":
        tifffile.imwrite(path, images, imagej=True, truncate=True, photometric="minisblack")
    else:
        white = np.uint16(65535) - images
        white[0, 0, 0] = 65535
        block = request.param == "white in one block"
        kind = "minisblack" if block else "miniswhite"
        tifffile.imwrite(path, white, imagej=block, truncate=block, photometric=kind)
        if block:
            with tifffile.TiffFile(path, mode="r+") as written:
                written.pages[0].tags["PhotometricInterpretation"].overwrite(0)  # type: ignore[union-attr]
    shutil.copy(sample_data() / "stack.geometry.toml", tmp_path / "stack.geometry.toml")
    return path


def opened(path: Path) -> ImageStack:
    found = open_dataset(str(path), str(path.with_name("stack.geometry.toml")))
    assert isinstance(found, ImageStack)
    return found


def test_a_mapped_stack_holds_what_one_in_memory_holds(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, file = opened(stack), stack.read_bytes()
    assert not before.mapped
    monkeypatch.setattr(scratch, "LARGE_BYTES", 1000)
    after = opened(stack)
    assert after.mapped and not after.images.flags.writeable
    assert np.array_equal(before.images, after.images)
    assert before.unit_counts == after.unit_counts and before.provenance == after.provenance
    release(after.images)
    assert np.array_equal(before.images, after.images), "pages that were given back are read again"
    assert stack.read_bytes() == file, "the user's file is never written to"


def test_nothing_is_left_behind(stack: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(folder))
    monkeypatch.setattr(scratch, "LARGE_BYTES", 1000)
    found = opened(stack)
    assert found.mapped
    if os.name == "posix":
        assert not list(folder.iterdir())


def test_a_full_disk_means_memory(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "LARGE_BYTES", 1000)
    monkeypatch.setattr(scratch, "LEFT_FREE_BYTES", 2**70)
    assert not opened(stack).mapped
    monkeypatch.setattr(scratch, "LEFT_FREE_BYTES", 0)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.os, "posix_fallocate", full, raising=False)
    assert not opened(stack).mapped


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_pages_that_were_written_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    monkeypatch.setattr(scratch, "LARGE_BYTES", 2**20)
    array = scratch.room((32, 2**20), np.float32)
    before = resident()
    for place in range(len(array)):
        array[place] = place
        release(array)
    assert resident() - before < array.nbytes / 4
    assert (array[:, 5] == np.arange(32)).all()
