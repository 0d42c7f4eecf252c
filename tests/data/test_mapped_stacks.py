"""Large stacks stay in their file: nothing is read at once, and nothing is taken on trust."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoui.bench.engine.resident import available
from ptychoui.data import dataset as dataset_module
from ptychoui.data.dataset import ImageStack, array_sha256, pieces
from ptychoui.data.formats import native
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError


@pytest.fixture
def mapped_file(tmp_path: Path, stack: ImageStack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small stack, stored as a large one."""
    monkeypatch.setattr(native, "MAPPED_BYTES", 64)
    monkeypatch.setattr(dataset_module, "PIECE_BYTES", 700)  # two images
    return save_hdf5(tmp_path / "large.h5", stack)


def opened(path: Path) -> ImageStack:
    found = open_dataset(path)
    assert isinstance(found, ImageStack)
    return found


def test_images_of_a_large_stack_lie_in_one_block_and_are_mapped(mapped_file: Path, stack: ImageStack) -> None:
    with h5py.File(mapped_file) as file:
        assert file["images"].chunks is None and file["images"].id.get_offset() % 4096 == 0
        assert file["led_numbers"].fletcher32
    found = opened(mapped_file)
    assert found.mapped and not stack.mapped
    assert np.array_equal(found.images, stack.images) and found.unit_counts == stack.unit_counts
    assert found.extent == (float(stack.images.min()), float(stack.images.max()))
    assert "used from the file" in found.provenance.notes[-1]
    assert replace(found, led_numbers=found.led_numbers + 1).mapped
    with pytest.raises(ValueError, match="read-only"):
        found.images[0] = 0


def test_a_tile_of_a_mapped_stack_is_in_memory(mapped_file: Path, stack: ImageStack) -> None:
    tile = opened(mapped_file).crop(2, 3, 4, 5)
    assert not tile.mapped and not isinstance(tile.images, np.memmap)
    assert np.array_equal(tile.images, stack.images[:, 2:6, 3:8])


def test_small_stacks_and_other_types_are_read(tmp_path: Path, stack: ImageStack) -> None:
    assert not opened(save_hdf5(tmp_path / "small.h5", stack)).mapped


def test_a_mapped_stack_can_be_saved_over_its_own_file(mapped_file: Path, stack: ImageStack) -> None:
    found = opened(mapped_file)
    save_hdf5(mapped_file, found)
    assert np.array_equal(found.images, stack.images)
    assert np.array_equal(opened(mapped_file).images, stack.images)


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_changed_pixel_is_found(place: int, mapped_file: Path, stack: ImageStack) -> None:
    with h5py.File(mapped_file) as file:
        offset = file["images"].id.get_offset() + place % stack.images.nbytes
    content = bytearray(mapped_file.read_bytes())
    content[offset] ^= 1
    mapped_file.write_bytes(content)
    with pytest.raises(DataError, match="does not match the hash"):
        open_dataset(mapped_file)


def test_a_file_cut_short_is_refused(mapped_file: Path) -> None:
    content = mapped_file.read_bytes()
    for keep in (len(content) - 1, len(content) // 2):
        mapped_file.write_bytes(content[:keep])
        with pytest.raises(DataError):
            open_dataset(mapped_file)


@pytest.mark.parametrize(("image", "value"), [(0, np.nan), (8, np.inf)])
def test_nan_in_a_mapped_file_is_refused(image: int, value: float, tmp_path: Path, stack: ImageStack) -> None:
    images = stack.images.copy()
    images[image, 3, 4] = value
    images.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", np.float32, "r", shape=images.shape)
    with pytest.raises(DataError, match=f"1 pixel is NaN or infinite, the first in image {image}"):
        replace(stack, images=mapped)


def test_a_writable_map_is_copied(tmp_path: Path, stack: ImageStack) -> None:
    stack.images.tofile(tmp_path / "raw")
    for mode in ("r+", "c"):
        changed = np.memmap(tmp_path / "raw", np.float32, mode, shape=stack.images.shape)
        changed[0, 0, 0] = 7
        copied = replace(stack, images=changed)
        changed[0, 0, 0] = 8
        assert not copied.mapped and copied.images[0, 0, 0] == 7
        assert array_sha256(changed) and changed[0, 0, 0] == 8  # hashing gives no changed page back


def test_hash_in_pieces_is_the_hash_of_all(monkeypatch: pytest.MonkeyPatch, stack: ImageStack) -> None:
    whole = array_sha256(stack.images, stack.images[:, ::2, 1:], np.float64(3), np.zeros((0, 3)))
    monkeypatch.setattr(dataset_module, "PIECE_BYTES", 100)
    assert len(list(pieces(stack.images))) == 9
    assert array_sha256(stack.images, stack.images[:, ::2, 1:], np.float64(3), np.zeros((0, 3))) == whole


OPEN = """
import sys
import numpy as np
from ptychoui.bench.engine.resident import reset_peak, resident_kb
from ptychoui.data.formats.open import open_dataset
open_dataset(sys.argv[1])
reset_peak()
before = resident_kb("VmRSS")
tile = open_dataset(sys.argv[2]).crop(100, 100, 64, 64)
print(resident_kb("VmHWM") - before, resident_kb("VmRSS") - before, tile.images.nbytes)
"""


@pytest.mark.skipif(not available(), reason="needs /proc")
def test_opening_a_large_stack_and_cutting_a_tile_takes_little_memory(tmp_path: Path, stack: ImageStack) -> None:
    small = save_hdf5(tmp_path / "small.h5", stack)
    images = np.random.default_rng(0).random((36, 850, 850), dtype=np.float32)
    many = replace(stack, images=images, led_numbers=np.arange(36), geometry=None)
    large = save_hdf5(tmp_path / "large.h5", many)
    words = [sys.executable, "-c", OPEN, str(small), str(large)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    peak, after, _ = (int(word) * 1024 for word in done.stdout.split())
    assert images.nbytes > 100e6
    assert peak < 40e6 and after < 4e6
