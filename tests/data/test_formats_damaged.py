"""Damaged, foreign and hostile files end in one sentence and a hint, never in another exception."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, PtychouiError
from ptychoui.experiment import Geometry

LAYOUTS = [
    "uconn",
    "uconn compressed",
    "uconn 7.3",
    "training",
    "hdf5",
    "hdf5 training",
    "ome-tiff",
    "tiff",
    "folder png",
    "folder tif",
]


def victim(path: Path) -> Path:
    """The file that is damaged: the dataset itself, or one image of a folder."""
    return sorted(path.glob("image_*"))[3] if path.is_dir() else path


def values(dataset: ImageStack | TrainingSet) -> np.ndarray:
    return dataset.images if isinstance(dataset, ImageStack) else dataset.objects


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_short(layout: str, tmp_path: Path, write_layout: Any, geometry: Geometry) -> None:
    path = write_layout(layout, tmp_path)
    file = victim(path)
    whole = file.read_bytes()
    expected = values(open_dataset(path, geometry))
    for length in [0, 1, 7, 60, 127, 129, *(len(whole) * k // 10 for k in range(1, 10)), len(whole) - 1]:
        file.write_bytes(whole[:length])
        try:
            read = open_dataset(path, geometry)
        except DataError as error:
            assert error.hint
            assert "\n" not in error.message and len(error.message) < 400
        else:  # only padding or the OME text, which is stored last, is missing
            assert length >= 0.6 * len(whole), f"{length} of {len(whole)} bytes were accepted"
            assert values(read).tobytes() == expected.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flipped_bytes(layout: str, tmp_path: Path, write_layout: Any, geometry: Geometry) -> None:
    """Whatever three changed bytes do, the answer is a valid dataset or a sentence."""
    path = write_layout(layout, tmp_path)
    file = victim(path)
    whole = file.read_bytes()
    rng = np.random.default_rng(len(whole))
    for attempt in range(150):
        raw = bytearray(whole)
        # Half of the attempts aim at the headers, where most of the structure is.
        places = rng.integers(0, len(raw) if attempt % 2 else min(len(raw), 1200), 3)
        for place in places:
            raw[place] = rng.integers(256)
        file.write_bytes(raw)
        try:
            read = open_dataset(path, geometry)
        except PtychouiError as error:
            assert error.message and "\n" not in error.message
        except Exception as error:
            raise AssertionError(f"attempt {attempt}, bytes {places}") from error
        else:
            assert np.isfinite(values(read)).all()


def test_own_hdf5_never_returns_other_values(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        raw = bytearray(whole)
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        try:
            read = open_dataset(path)
        except DataError:
            continue
        assert read.images.tobytes() == stack.images.tobytes()  # type: ignore[union-attr]
        assert read.geometry == stack.geometry


def test_hash_guards_the_content(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    with h5py.File(path, "r+") as file:
        file["led_numbers"][0] = 5
    with pytest.raises(DataError, match="is damaged: its content does not match the hash"):
        open_dataset(path)


def test_newer_version_is_refused(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 7
    with pytest.raises(DataError) as caught:
        open_dataset(path)
    assert caught.value.message == "s.h5 has format version 7; this program knows up to 1"
    assert caught.value.hint == "update ptychoui"


def test_foreign_hdf5(tmp_path: Path, geometry: Geometry) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["ptychogram"] = np.zeros((2, 3, 3))
    with pytest.raises(DataError, match="HDF5 file of an unknown layout"):
        open_dataset(tmp_path / "x.h5", geometry)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_refused(tmp_path: Path, images: np.ndarray, geometry: Geometry, value: float) -> None:
    images = images.astype(np.float64)
    images[4, 2, 3] = value
    scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": np.moveaxis(images, 0, 2)})
    with pytest.raises(DataError, match=r"1 pixels are NaN or infinite, the first in image 4") as caught:
        open_dataset(tmp_path / "u.mat", geometry)
    assert caught.value.hint


def test_dark_stack_is_refused(tmp_path: Path, geometry: Geometry) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((9, 8, 10), np.uint16), photometric="minisblack")
    with pytest.raises(DataError, match="99th percentile of 0, not above 0"):
        open_dataset(tmp_path / "s.tif", geometry)


class _Alarm:
    """Marks that it was unpickled."""

    rung = False

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return _ring, ()


def _ring() -> None:
    _Alarm.rung = True


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pkl", "a.pt", "renamed.mat", "renamed.tif", "renamed.zip"])
def test_pickles_are_refused_unread(name: str, tmp_path: Path, geometry: Geometry) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        if name.endswith(("npz", "zip")):
            np.savez(file, a=np.array([_Alarm()], dtype=object))
        elif name.endswith("npy"):
            np.save(file, np.array([_Alarm()], dtype=object))
        else:
            pickle.dump(_Alarm(), file)
    _Alarm.rung = False
    with pytest.raises(DataError, match="not read") as caught:
        open_dataset(path, geometry)
    assert "convert the images to a multi-page TIFF" in caught.value.hint
    assert not _Alarm.rung


def test_unknown_missing_and_single_files(tmp_path: Path, geometry: Geometry) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        open_dataset(tmp_path / "absent.mat")
    (tmp_path / "x.mat").write_text("hello, this is a text of some length")
    with pytest.raises(DataError, match="is of an unknown kind"):
        open_dataset(tmp_path / "x.mat")
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="is a single PNG image"):
        open_dataset(tmp_path / "one.png", geometry)


# -------------------------------------------------------------------- headers that claim too much


def mat5_claiming(shape: tuple[int, ...], stored: int, packed: bool) -> bytes:
    """A MATLAB 5 file whose one variable claims a shape that its bytes cannot fill."""
    values = b"\0" * stored
    body = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack(f"<II{len(shape)}i", 5, 4 * len(shape), *shape)
    body += b"\0" * (-len(body) % 8) + struct.pack("<II9s7x", 1, 9, b"imlow_HDR")
    claimed = int(np.prod(shape)) * 8 if packed else stored
    body += struct.pack("<II", 9, claimed & 0xFFFFFFFF) + values
    length = len(body) - stored + claimed if packed else len(body)
    element = struct.pack("<II", 14, length & 0xFFFFFFFF) + body
    if packed:
        packed_bytes = zlib.compress(element)
        element = struct.pack("<II", 15, len(packed_bytes)) + packed_bytes
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return header + element


@pytest.mark.parametrize("packed", [False, True])
def test_huge_mat_does_not_take_memory(packed: bool, tmp_path: Path, make_geometry: Callable[..., Geometry]) -> None:
    path = tmp_path / "u.mat"
    path.write_bytes(mat5_claiming((8000, 8000, 8), 64, packed))
    with pytest.raises(DataError, match=r"has the shape|claims") as caught:
        open_dataset(path, make_geometry(rows=1, columns=8))
    assert "u.mat" in caught.value.message


def test_huge_hdf5_does_not_take_memory(tmp_path: Path, geometry: Geometry, mat73: Callable[..., Path]) -> None:
    path = mat73(tmp_path / "u.mat", {"wlength": 6e-7})
    with h5py.File(path, "r+") as file:
        file.create_dataset("imlow_HDR", shape=(9, 100_000, 100_000), dtype="f4", chunks=(1, 100, 100))
    with pytest.raises(DataError, match="header of imlow_HDR claims"):
        open_dataset(path, geometry)


def test_huge_tiff_and_png_do_not_take_memory(tmp_path: Path, make_geometry: Callable[..., Geometry]) -> None:
    one = make_geometry(rows=1, columns=1)
    tifffile.imwrite(tmp_path / "s.tif", np.ones((8, 8), np.uint8), compression="zlib")
    with tifffile.TiffFile(tmp_path / "s.tif", mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[tag].overwrite(60_000)
    with pytest.raises(DataError, match=r"claims 3433 MiB|is not a readable TIFF"):
        open_dataset(tmp_path / "s.tif", one)
    folder = tmp_path / "png"
    folder.mkdir()
    Image.new("L", (8, 8)).save(folder / "a.png")
    raw = bytearray((folder / "a.png").read_bytes())
    raw[16:24] = struct.pack(">II", 60_000, 60_000)
    (folder / "a.png").write_bytes(raw)
    with pytest.raises(DataError, match=r"the header of the image claims 429\.2 MiB"):
        open_dataset(folder, one)


def test_links_to_other_files_are_not_followed(tmp_path: Path, geometry: Geometry, images: np.ndarray) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["imlow_HDR"] = images
    for kind in ("link", "virtual", "external"):
        path = tmp_path / f"{kind}.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            if kind == "link":
                file["imlow_HDR"] = h5py.ExternalLink("secret.h5", "imlow_HDR")
            elif kind == "virtual":
                layout = h5py.VirtualLayout(shape=images.shape, dtype="f4")
                layout[:] = h5py.VirtualSource("secret.h5", "imlow_HDR", shape=images.shape)
                file.create_virtual_dataset("imlow_HDR", layout)
            else:
                file.create_dataset("imlow_HDR", (9, 8, 10), "f4", external=[(str(secret), 0, 2880)])
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
        with pytest.raises(DataError, match=r"not an array stored in this file|no LED images"):
            open_dataset(path, geometry)
