"""Damaged, foreign and hostile files end in one sentence and a hint, never in another exception."""

from __future__ import annotations

import json
import pickle
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from data import foreign_layouts as foreign
from PIL import Image

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, PtychouiError
from ptychoui.settings import Geometry

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


# ------------------------------------------------------------------------------------ mutants

CONSTANT_BYTES = 8 * 2**20
"""What reading may take besides ten times the file: the libraries' own tables and buffers."""


def parts_of(path: Path) -> list[Path]:
    """The files that make up a dataset of one of the layouts, each of which is damaged in turn."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        # Of many images of one kind a few stand for all.
        named = [file for file in files if file.suffix not in (".tif", ".png", ".npy")]
        return named + [file for file in files if file not in named][:3]
    beside = [path.with_name(f"{path.name.split('.')[0]}_metadata.txt"), path.with_name("coords.json")]
    return [path, *(file for file in beside if file.is_file()), *sorted(path.parent.glob("crop_1/*.tif"))[:1]]


def flipped(whole: bytes, rng: np.random.Generator) -> bytes:
    """Three changed bytes; half of the mutants have them near the start, where most of the structure is."""
    raw = bytearray(whole)
    for place in rng.integers(0, len(raw) if rng.integers(2) else min(len(raw), 1200), 3):
        raw[place] = rng.integers(256)
    return bytes(raw)


def cut(whole: bytes, rng: np.random.Generator) -> bytes:
    return whole[: rng.integers(len(whole))]


def grown(whole: bytes, rng: np.random.Generator) -> bytes:
    """A word of four or eight bytes that becomes huge or negative: dimensions, lengths and offsets."""
    raw = bytearray(whole)
    place = int(rng.integers(0, max(1, min(len(raw), 1600) - 8)))
    value = int(rng.choice([0x7FFFFFFF, 0xFFFFFFFF, 0x10000000, 0, 60_000]))
    raw[place : place + 4] = value.to_bytes(4, "little" if rng.integers(2) else "big")
    return bytes(raw)


WRONG: list[Any] = [
    np.nan,
    -1.0,
    0.0,
    np.inf,
    1e300,
    "text",
    np.zeros((2, 3, 4)),
    np.zeros((0, 3)),
    1j,
    np.uint8([[7, 8]]),
]


def wrong_hdf5(whole: bytes, rng: np.random.Generator, path: Path) -> bytes:
    """One dataset of another kind, size or shape; huge ones claim what is not stored."""
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = names[rng.integers(len(names))]
        old = file[name][()]
        del file[name]
        choice = int(rng.integers(len(WRONG) + 4))
        if choice < len(WRONG):
            file[name] = WRONG[choice]
        elif choice == len(WRONG):
            file.create_dataset(name, shape=(9, 100_000, 100_000), dtype="f8", chunks=(1, 100, 100), compression="gzip")
        elif choice == len(WRONG) + 1:
            file.create_dataset(name, shape=(2**40,), dtype="f4")
        elif choice == len(WRONG) + 2:
            file.create_group(name)
        else:
            file[name] = np.asarray(old).T
    return path.read_bytes()


def wrong_mat5(whole: bytes, rng: np.random.Generator, path: Path) -> bytes:
    """One variable, or one field of a structure, of another kind, size or shape."""
    path.write_bytes(whole)
    variables = {k: v for k, v in scipy.io.loadmat(path, simplify_cells=True).items() if k[:2] != "__"}
    inner = [v for v in variables.values() if isinstance(v, dict)]
    table = inner[0] if inner and rng.integers(4) else variables
    name = sorted(table)[rng.integers(len(table))]
    choice = int(rng.integers(len(WRONG) + 3))
    if choice < len(WRONG):
        table[name] = WRONG[choice]
    elif choice == len(WRONG):
        del table[name]
    elif choice == len(WRONG) + 1:
        table[name] = {"a": 1.0, "b": "text"}
    else:
        table[name] = np.asarray(table[name]).T
    scipy.io.savemat(path, variables or {"nothing": 1.0})
    return path.read_bytes()


def wrong_json(whole: bytes, rng: np.random.Generator) -> bytes:
    """One value of another kind or size, or one that is missing."""
    values = json.loads(whole)
    table: Any = values
    while True:
        keys = list(table) if isinstance(table, dict) else list(range(len(table)))
        key = keys[rng.integers(len(keys))]
        if not isinstance(table[key], dict | list) or not table[key] or rng.integers(5) == 0:
            break
        table = table[key]
    wrong: list[Any] = [None, "text", -1, 0, 1e308, 10**400, [], {}, True, float("nan"), [1e300] * 3, "\0", "../x"]
    choice = int(rng.integers(len(wrong) + 1))
    if choice < len(wrong):
        table[key] = wrong[choice]
    else:
        del table[key]
    return json.dumps(values).encode()


def wrong_words(whole: bytes, rng: np.random.Generator) -> bytes:
    """One number of a text that becomes something else."""
    numbers = list(re.finditer(rb"[0-9.]+(e[0-9]+)?", whole))
    found = numbers[rng.integers(len(numbers))]
    other = [b"-1", b"NaN", b"1e999", b"0", b"", b"[1 2 3]", b"9" * 50, b"ones(1e9)", b"(1, 2)"][rng.integers(9)]
    return whole[: found.start()] + other + whole[found.end() :]


def mutant(attempt: int, whole: bytes, rng: np.random.Generator, scratch: Path) -> bytes:
    """Every fourth has flipped bytes, is cut, has a huge dimension, or holds something of a wrong type."""
    if attempt % 4 < 3:
        return (flipped, cut, grown)[attempt % 4](whole, rng)
    if whole[:1] == b"{" or whole[:2] == b"[[":
        return wrong_json(whole, rng)
    if whole.startswith((b"\x89HDF", b"MATLAB 7.3")):
        return wrong_hdf5(whole, rng, scratch)
    if whole.startswith(b"MATLAB 5"):
        return wrong_mat5(whole, rng, scratch)
    if whole[:4] in (b"II*\0", b"MM\0*", b"\x89PNG"):
        return flipped(grown(whole, rng), rng)
    return wrong_words(whole, rng)


def judge(path: str | Path, geometry: Any, size: int) -> str:
    """Open a mutant: "read" or "refused"; anything but a valid dataset, a sentence and little memory fails."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        read = open_dataset(path, geometry)
    except PtychouiError as error:
        assert error.message and "\n" not in str(error)
        outcome = "refused"
    else:
        assert np.isfinite(values(read)).all() and read.geometry is not None
        assert read.provenance.layout and len(read.provenance.sha256) == 64
        if isinstance(read, ImageStack):
            assert len(read.images) == len(read.geometry.array.numbers()) == len(read.led_numbers)
        outcome = "read"
    peak = tracemalloc.get_traced_memory()[1] - before
    assert peak < 10 * size + CONSTANT_BYTES, f"{peak} bytes taken for a file of {size}"
    return outcome


def attack(path: str, geometry: Any, count: int, scratch: Path) -> dict[str, int]:
    """Damage the files of a dataset ``count`` times; returns how many mutants were read and refused."""
    files = parts_of(Path(path.partition("::")[0]))
    contents = [file.read_bytes() for file in files]
    size = sum(map(len, contents))
    outcomes = {"read": 0, "refused": 0}
    judge(path, geometry, size)
    for attempt in range(count):
        # Four kinds of mutant for one file, then four for the next.
        place = attempt // 4 % len(files)
        rng = np.random.default_rng([attempt, len(contents[place])])
        files[place].write_bytes(mutant(attempt, contents[place], rng, scratch))
        try:
            outcomes[judge(path, geometry, size)] += 1
        except Exception as error:
            raise AssertionError(f"mutant {attempt} of {files[place].name}") from error
        files[place].write_bytes(contents[place])
    return outcomes


@pytest.fixture
def measured_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.fixture
def dataset_of(
    tmp_path: Path, write_layout: Any, images: np.ndarray, geometry: Geometry
) -> Callable[[str], tuple[str, Any]]:
    """Write a layout; what to open and with which geometry."""

    def make(layout: str) -> tuple[str, Any]:
        if layout in foreign.LAYOUTS:
            return foreign.write_foreign(layout, tmp_path, images), None
        return str(write_layout(layout, tmp_path)), geometry

    return make


@pytest.mark.usefixtures("measured_memory")
@pytest.mark.parametrize("layout", [*LAYOUTS, *foreign.LAYOUTS])
def test_mutants(
    layout: str, dataset_of: Any, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is done to a file, the answer is a valid dataset or a sentence, at little memory."""
    outcomes = attack(*dataset_of(layout), 40, tmp_path_factory.mktemp("scratch") / "scratch")
    assert outcomes["refused"] > 5
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.usefixtures("measured_memory")
@pytest.mark.parametrize("layout", [*LAYOUTS, *foreign.LAYOUTS])
def test_three_hundred_mutants(
    layout: str, dataset_of: Any, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = attack(*dataset_of(layout), 300, tmp_path_factory.mktemp("scratch") / "scratch")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    with capfd.disabled():
        print(f"\n{layout}: {outcomes['read']} of 300 mutants read, {outcomes['refused']} refused", end="")


TABLES = {
    "json": json.dumps({"led_position_list_cartesian": {str(n): [n - 4.0, n / 2, 80.0 + n] for n in range(9)}}),
    "na json": json.dumps({"led_position_list_na": {str(n): [n / 20, -n / 30] for n in range(9)}}),
    "led_list": json.dumps({"led_list": [{"x": n, "y": 0.5, "z": 70, "board_index": 1} for n in range(9)]}),
    "csv": "number,x_mm,y_mm,z_mm\n" + "".join(f"{n},{n * 2.5},{n / 3},0\n" for n in range(9)),
}


@pytest.mark.usefixtures("measured_memory")
@pytest.mark.parametrize("table", TABLES)
def test_mutants_of_led_tables(table: str, tmp_path: Path) -> None:
    """300 mutants of each kind of table: a geometry, a partial one, or a sentence."""
    whole = TABLES[table].encode()
    (tmp_path / "g.toml").write_text(foreign.SCOPE_TOML + '[array]\nheight_mm = 90\npositions_file = "t"\n')
    outcomes = {"read": 0, "refused": 0}
    for attempt in range(300):
        rng = np.random.default_rng(attempt)
        (tmp_path / "t").write_bytes(mutant(attempt, whole, rng, tmp_path / "scratch"))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            found = read_geometry(tmp_path / "g.toml")
            assert isinstance(found, Geometry) and np.isfinite(np.array(found.array.positions_mm)).all()
            outcomes["read"] += 1
        except PtychouiError as error:
            assert error.message and "\n" not in str(error)
            outcomes["refused"] += 1
        with pytest.raises(PtychouiError):
            open_dataset(tmp_path / "t")
        assert tracemalloc.get_traced_memory()[1] - before < 10 * len(whole) + CONSTANT_BYTES
    assert outcomes["refused"] > 100


@pytest.mark.parametrize("beside", [False, True])
def test_mutants_of_geometry_files(beside: bool, tmp_path: Path, images: np.ndarray) -> None:
    """A damaged partial geometry, given or beside the data, completes them or ends in a sentence."""
    path = foreign.caltech(tmp_path, images)
    (tmp_path / "leds.json").write_text(TABLES["na json"])
    whole = (
        foreign.SCOPE_TOML
        + '[array]\npositions_file = "leds.json"\nheight_mm = 90.0\n[array.pose]\nflip_x = true\n[images]\n'
        + 'led_axis = "last"\ndark_level = 0.01\nexposures = [1, 1, 1, 1, 2, 2, 2, 2, 2]\n'
    ).encode()
    geometry = tmp_path / ("apic.geometry.toml" if beside else "g.toml")
    outcomes = {"read": 0, "refused": 0}
    for attempt in range(300):
        rng = np.random.default_rng(attempt)
        kinds = (flipped, cut, wrong_words, wrong_words)
        geometry.write_bytes(kinds[attempt % 4](whole, rng))
        try:
            read = open_dataset(path, None if beside else read_geometry(geometry))
        except PtychouiError as error:
            assert error.message and "\n" not in str(error)
            outcomes["refused"] += 1
        else:
            assert np.isfinite(values(read)).all()
            outcomes["read"] += 1
    assert min(outcomes.values()) > 5, outcomes


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
    assert caught.value.message == "s.h5 has format version 7; this program knows up to 2"
    assert caught.value.hint == "update ptychoui"


def test_foreign_hdf5(tmp_path: Path, geometry: Geometry) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["pictures"] = np.zeros((2, 3, 3))
    with pytest.raises(DataError, match="HDF5 file of an unknown layout"):
        open_dataset(tmp_path / "x.h5", geometry)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_refused(tmp_path: Path, images: np.ndarray, geometry: Geometry, value: float) -> None:
    images = images.astype(np.float64)
    images[4, 2, 3] = value
    scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": np.moveaxis(images, 0, 2)})
    with pytest.raises(DataError, match=r"1 pixel is NaN or infinite, the first in image 4") as caught:
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
