"""Every layout of k-space is read to images that are known; what was guessed is said, what does not fit is refused."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from data.kspace_files import centred, draw, fastmri, lines, mel, meld, smooth

from ptychoui.data.dataset import Fact, Provenance
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.formats.npy import read_npy
from ptychoui.data.formats.open_kspace import is_kspace, open_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.paths import sample_data


def coil_images(data: KSpaceSet) -> np.ndarray:
    return np.fft.ifftn(data.k_space, axes=data.transformed, norm="ortho")


def fact(data: KSpaceSet, name: str) -> Fact:
    return next(one for one in data.provenance.facts if one.name == name)


def refusal(path: Path, *words: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        open_kspace(path, **options)
    assert error.value.hint and "\n" not in error.value.message
    for word in words:
        assert word in error.value.message, error.value.message
    return error.value.message


# fastMRI -------------------------------------------------------------------------------------------------


def test_fastmri_whole(tmp_path: Path) -> None:
    images = fastmri(tmp_path / "a.h5", masked=False)
    data = open_kspace(tmp_path / "a.h5")
    assert (data.acquisition, data.k_space.shape, data.coils) == ("2d", (2, 3, 16, 11), 3)
    assert np.allclose(coil_images(data), images, atol=1e-5)
    assert data.sampled.shape == (2, 1, 1) and data.sampled.all() and data.net_acceleration == 1
    assert data.names == ("a slice 0", "a slice 1") and data.source_of == (0, 0)
    assert fact(data, "sampled").assumed and fact(data, "contrast").value == "AXT2"
    assert data.provenance.sha256 == sha256_file(tmp_path / "a.h5")
    assert any("readout is oversampled" in note for note in data.provenance.notes)


def test_fastmri_under_a_mask(tmp_path: Path) -> None:
    images = fastmri(tmp_path / "a.h5")
    data = open_kspace(tmp_path / "a.h5")
    expected = np.fft.fft2(images, norm="ortho") * np.fft.ifftshift(lines(11))
    assert np.allclose(data.k_space, expected, atol=1e-4)
    assert data.sampled.shape == (2, 1, 11)
    assert np.array_equal(data.sampled[0, 0], np.fft.ifftshift(lines(11)))
    assert not fact(data, "sampled").assumed
    # Without the mask the zeros say the same.
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["mask"]
    again = open_kspace(tmp_path / "a.h5")
    assert np.array_equal(again.sampled, data.sampled) and fact(again, "sampled").assumed


def test_fastmri_a_mask_of_whole_k_space(tmp_path: Path) -> None:
    images = fastmri(tmp_path / "a.h5", masked=False)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["mask"] = lines(11)
    data = open_kspace(tmp_path / "a.h5")
    assert np.allclose(data.k_space, np.fft.fft2(images, norm="ortho") * np.fft.ifftshift(lines(11)), atol=1e-4)
    assert any("set to zero" in note for note in data.provenance.notes)


def test_fastmri_of_one_coil(tmp_path: Path) -> None:
    images = smooth(2, 16, 11)
    fastmri(tmp_path / "a.h5", kspace=centred(images) * lines(11))
    data = open_kspace(tmp_path / "a.h5")
    assert data.coils == 1 and fact(data, "coils").assumed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mask": np.ones((16, 11))}, "mask has the shape (16, 11), 2 axes instead of 1"),
        ({"mask": np.ones(12)}, "mask has the shape (12,)"),
        ({"mask": np.full(11, np.nan)}, "no truth values"),
        ({"kspace": np.ones((2, 3, 16, 11), np.float32)}, "holds real numbers (float32)"),
        ({"kspace": draw(2, 3, 16, 11) * np.float32("nan")}, "holds NaN or infinity, the first in example 0"),
        ({"kspace": draw(2, 3, 16, 11) * np.array([1, 0, 1], np.float32)[:, None, None]}, "coil 1 of example 0"),
        ({"kspace": draw(16, 11)}, "has the shape (16, 11)"),
        ({"kspace": np.zeros((2, 3, 16, 11), np.complex64)}, "nothing but zeros"),
        ({"maps": draw(2), "target": draw(2)}, "order of axes that differs between programs"),
    ],
)
def test_fastmri_that_does_not_fit(tmp_path: Path, change: dict[str, np.ndarray], words: str) -> None:
    fastmri(tmp_path / "a.h5", **change)
    refusal(tmp_path / "a.h5", words)


def test_unscaled_data_are_said_to_be(tmp_path: Path) -> None:
    fastmri(tmp_path / "a.h5", kspace=1e-6 * centred(smooth(2, 3, 16, 11)), mask=np.ones(11))
    notes = open_kspace(tmp_path / "a.h5").provenance.notes
    assert any("brightest pixels have values near 2" in note and "scale them first" in note for note in notes)
    fastmri(tmp_path / "b.h5")
    assert not any("scale them" in note for note in open_kspace(tmp_path / "b.h5").provenance.notes)


# .npy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.complex64, np.complex128, ">c8"])
def test_an_array_of_coils(tmp_path: Path, kind: Any) -> None:
    images = smooth(3, 16, 11)
    np.save(tmp_path / "brain.npy", (centred(images) * lines(11)).astype(kind))
    data = open_kspace(tmp_path / "brain.npy")
    assert data.k_space.shape == (1, 3, 16, 11) and data.names == ("brain",)
    assert np.allclose(data.k_space[0], np.fft.fft2(images, norm="ortho") * np.fft.ifftshift(lines(11)), atol=1e-4)
    assert np.array_equal(data.sampled[0, 0], np.fft.ifftshift(lines(11)))
    assert fact(data, "zero frequency").assumed and "middle" in str(fact(data, "zero frequency").value)


def test_several_examples_and_another_order(tmp_path: Path) -> None:
    images = smooth(2, 3, 16, 11)
    np.save(tmp_path / "both.npy", np.asfortranarray(np.fft.fft2(images, norm="ortho")))
    data = open_kspace(tmp_path / "both.npy")
    assert np.allclose(coil_images(data), images, atol=1e-4)
    assert fact(data, "zero frequency").value == "first" and data.names == ("both 0", "both 1")


def test_arrays_that_are_no_k_space(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((3, 8, 8), np.float32))
    refusal(path, "holds real numbers (float32)")
    np.save(path, np.ones((3, 8, 8), bool))
    refusal(path, "real numbers (bool)")
    np.save(path, draw(8, 8))
    refusal(path, "has the shape (8, 8)")
    np.save(path, draw(1, 2, 3, 8, 8))
    assert "shape (1, 2, 3, 8, 8)" in refusal(path)
    np.save(path, np.array([draw(3), None], dtype=object), allow_pickle=True)
    refusal(path, "objects, which are pickled")
    path.write_bytes(pickle.dumps(draw(3)))
    refusal(path, "not k-space of a known kind")
    np.save(path, draw(3, 8, 8) * np.nan)
    refusal(path, "NaN or infinity")
    dead = draw(3, 8, 8)
    dead[1] = 0
    np.save(path, dead)
    refusal(path, "coil 1 of example 0 measured only zeros")
    np.save(path, draw(3, 8, 8))
    whole = path.read_bytes()
    for length in (11, 60, 140, len(whole) - 1):
        path.write_bytes(whole[:length])
        refusal(path)


def test_readers_of_images_take_no_complex_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", draw(3))
    with pytest.raises(DataError, match="holds complex numbers"):
        read_npy(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.ones(3, bool))
    with pytest.raises(DataError, match="holds truth values"):
        read_npy(tmp_path / "a.npy")
    assert read_npy(tmp_path / "a.npy", "b").tolist() == [True] * 3
    raw = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(raw.replace(b"|b1", b"<c4"))
    with pytest.raises(DataError, match="numbers of an unknown kind"):
        read_npy(tmp_path / "a.npy", "uifbc")


# MELD ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("volume", [False, True])
def test_meld_is_simulated(tmp_path: Path, volume: bool) -> None:
    held = meld(tmp_path / "m.h5", volume)
    data = open_kspace(tmp_path / "m.h5")
    assert data.acquisition == ("slab" if volume else "2d") and data.noise_std == 0
    assert data.truth is not None and np.array_equal(data.truth, held["imgs"])
    mask = held["masks"][:, None, None] if volume else held["masks"][:, None]
    expected = np.fft.fft2(held["maps"] * held["imgs"][:, None], norm="ortho") * mask
    assert np.allclose(data.k_space, expected, atol=1e-4)
    assert data.sampled.shape == ((3, 1, 12, 1) if volume else (3, 12, 1)) and data.source_of == (0, 1, 2)
    assert fact(data, "k-space").assumed and fact(data, "zero frequency of the masks").value == "first"


def test_meld_with_noise(tmp_path: Path) -> None:
    meld(tmp_path / "m.h5", masks=np.ones((3, 12, 10)))
    clean = open_kspace(tmp_path / "m.h5")
    one, same, other = (open_kspace(tmp_path / "m.h5", seed=seed, noise_std=0.3) for seed in (1, 1, 2))
    assert np.array_equal(one.k_space, same.k_space) and not np.array_equal(one.k_space, other.k_space)
    noise = one.k_space - clean.k_space
    assert one.noise_std == 0.3 and np.isclose(noise.real.std(), 0.3, rtol=0.1)
    assert np.isclose(noise.imag.std(), 0.3, rtol=0.1)
    for wrong in (-1.0, np.nan):
        with pytest.raises(SettingsError, match="a noise of"):
            open_kspace(tmp_path / "m.h5", noise_std=wrong)


def test_meld_masks_with_the_zero_frequency_in_the_middle(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    first = rng.random((3, 12, 10)) < 0.2
    first[:, [0, 1, -1]] = True
    meld(tmp_path / "m.h5", masks=np.fft.fftshift(first, axes=(-2, -1)).astype(np.uint8))
    data = open_kspace(tmp_path / "m.h5")
    assert np.array_equal(np.broadcast_to(data.sampled, first.shape), first)
    assert fact(data, "zero frequency of the masks").value == "in the middle"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maps": None}, "lacks maps"),
        ({"masks": None}, "lacks masks"),
        ({"maps": draw(3, 5, 12, 9)}, "maps of shape (3, 5, 12, 9) do not fit images of (3, 12, 10)"),
        ({"maps": draw(2, 5, 12, 10)}, "maps of shape (2, 5, 12, 10) do not fit"),
        ({"maps": draw(3, 12, 10)}, "maps has the shape (3, 12, 10)"),
        ({"masks": np.ones((12, 10))}, "masks has the shape (12, 10), 2 axes instead of 3"),
        ({"masks": np.ones((3, 12, 10), np.complex64)}, "masks holds complex64"),
        ({"masks": np.zeros((3, 12, 10))}, "nothing but zeros"),
        ({"imgs": np.ones((3, 12, 10))}, "imgs holds real numbers"),
        ({"imgs": draw(3, 12, 10) * np.nan}, "imgs holds NaN"),
    ],
)
def test_meld_that_does_not_fit(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    meld(tmp_path / "m.h5", **change)
    refusal(tmp_path / "m.h5", words)


# MEL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "words"), [("centred", "origin of the image"), ("shifted", "first pixel"), ("first", "first")]
)
@pytest.mark.parametrize("factor", [1, 40 - 3j])
def test_mel_is_ordered_by_what_images_and_maps_predict(
    tmp_path: Path, order: str, words: str, factor: complex
) -> None:
    held = mel(tmp_path / "d", order=order, factor=factor)
    data = open_kspace(tmp_path / "d")
    expected = np.fft.fft2(held["maps"] * held["images"][:, None], norm="ortho") * held["mask"][:, None]
    assert np.allclose(data.k_space, expected, atol=1e-3)
    assert np.array_equal(np.broadcast_to(data.sampled, held["mask"].shape), held["mask"])
    assert data.names == ("1_5", "1_20", "2_3", "10_1") and data.source_of == (0, 0, 1, 2)
    assert words in str(fact(data, "zero frequency").value)
    assert any(one.name == "k-space divided by" for one in data.provenance.facts) == (factor != 1)


def test_mel_of_k_space_alone(tmp_path: Path) -> None:
    held = mel(tmp_path / "d")
    for kind in ("img", "mps", "mask"):
        for file in (tmp_path / "d" / f"train_{kind}_slices").iterdir():
            file.unlink()
        (tmp_path / "d" / f"train_{kind}_slices").rmdir()
    data = open_kspace(tmp_path / "d")
    assert data.maps is None and data.truth is None
    assert np.allclose(data.k_space, np.fft.fft2(held["maps"] * held["images"][:, None], norm="ortho"), atol=1e-3)


def test_mel_of_several_splits(tmp_path: Path) -> None:
    mel(tmp_path / "d", "test")
    mel(tmp_path / "d", "train")
    refusal(tmp_path / "d", "holds the splits test, train")
    assert len(open_kspace(f"{tmp_path / 'd'}::test")) == 4
    refusal(Path(f"{tmp_path / 'd'}::val"), "no split 'val'")
    assert is_kspace(f"{tmp_path / 'd'}::test") and is_kspace(tmp_path / "d")


def test_mel_that_does_not_fit(tmp_path: Path) -> None:
    mel(tmp_path / "d")
    folder = tmp_path / "d"
    np.save(folder / "train_mps_slices" / "2_3.npy", draw(3, 14, 8))
    refusal(folder, "maps of 2_3.npy are complex64 of shape (3, 14, 8), of 1_5.npy")
    (folder / "train_mps_slices" / "2_3.npy").unlink()
    refusal(folder, "cannot read 2_3.npy")
    for name in ("1_5", "1_20", "2_3", "10_1"):
        np.save(folder / "train_mps_slices" / f"{name}.npy", draw(3, 14, 8))
    refusal(folder, "maps of shape (3, 14, 8) do not fit k-space of (3, 14, 9)")
    for name in ("1_5", "1_20", "2_3", "10_1"):
        np.save(folder / "train_mps_slices" / f"{name}.npy", draw(3, 14, 9, seed=9))
    assert any("may not belong together" in note for note in open_kspace(folder).provenance.notes)
    for name in ("1_5", "1_20", "2_3", "10_1"):
        np.save(folder / "train_mask_slices" / f"{name}.npy", np.ones((3, 14, 9), bool))
    refusal(folder, "masks has the shape (4, 3, 14, 9), 4 axes instead of 3")
    for file in (folder / "train_ksp_slices").iterdir():
        file.unlink()
    refusal(folder, "holds no slices")


# The program's own ---------------------------------------------------------------------------------------


def own(acquisition: str = "2d", **changes: Any) -> KSpaceSet:
    space = {"2d": (6, 5), "slab": (3, 6, 5), "3d": (4, 6, 5), "cine": (3, 6, 5)}[acquisition]
    values: dict[str, Any] = {
        "acquisition": acquisition,
        "k_space": draw(2, 3, *space),
        "sampled": np.ones((2, *space[:-1], 1), dtype=bool),
        "maps": draw(2, 3, *((1, 6, 5) if acquisition == "cine" else space), seed=1),
        "truth": draw(2, *space, seed=2),
        "support": np.ones((2, *space), dtype=bool),
        "noise_std": 0.25,
        "names": ("one", "two"),
        "source_of": (4, 7),
        "provenance": Provenance(
            source="there", layout="made", sha256="abc", notes=("a note",), facts=(Fact(name="n", value=1.5),)
        ),
    }
    return KSpaceSet(**(values | changes))


@pytest.mark.parametrize("acquisition", ["2d", "slab", "3d", "cine"])
def test_what_is_written_is_read(tmp_path: Path, acquisition: str) -> None:
    data = own(acquisition)
    path = write_kspace(tmp_path / "k.h5", data)
    found = open_kspace(path)
    for field in dataclasses.fields(KSpaceSet):
        mine, theirs = getattr(data, field.name), getattr(found, field.name)
        if field.name == "provenance":
            assert theirs.notes == mine.notes and theirs.facts == mine.facts and theirs.source == str(path)
        else:
            assert np.array_equal(mine, theirs) and type(mine) is type(theirs)
    bare = open_kspace(write_kspace(path, own(acquisition, maps=None, truth=None, support=None, noise_std=None)))
    assert bare.maps is None and bare.truth is None and bare.support is None and bare.noise_std is None
    with h5py.File(path) as file:
        assert file["k_space"].attrs["axes"].startswith(b"example, coil, ")


def test_damage_is_seen(tmp_path: Path) -> None:
    path = write_kspace(tmp_path / "k.h5", own())
    whole = path.read_bytes()
    for length in range(9, len(whole), len(whole) // 17):
        path.write_bytes(whole[:length])
        refusal(path)
    for place in range(600, len(whole) - 40, len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        path.write_bytes(changed)
        try:
            assert np.array_equal(open_kspace(path).k_space, own().k_space)
        except DataError as error:
            assert error.hint and "\n" not in error.message
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        file["k_space"][0, 0, 0, 0] = 9
    refusal(path, "does not match the hash")
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    refusal(path, "format version 2")


def test_nothing_is_half_written(tmp_path: Path) -> None:
    path = write_kspace(tmp_path / "k.h5", own())
    before = path.read_bytes()
    with pytest.raises(DataError, match="no folder"):
        write_kspace(tmp_path / "missing" / "k.h5", own())
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["k.h5"]


# ISMRMRD and everything else -----------------------------------------------------------------------------


def ismrmrd_file(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["dataset/xml"] = np.bytes_(b"<xml/>")
        file["dataset/data"] = np.zeros(3)
    return path


def test_ismrmrd_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ismrmrd", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="ISMRMRD file") as error:
        open_kspace(ismrmrd_file(tmp_path / "i.h5"))
    assert "pip install ismrmrd" in error.value.hint


class Line:
    """An acquisition as the package hands it out."""

    def __init__(self, data: np.ndarray, step: int, slice_number: int = 0, flags: tuple[int, ...] = ()) -> None:
        self.data, self.flags = data, flags
        self.idx = SimpleNamespace(slice=slice_number, kspace_encode_step_1=step, contrast=0, phase=0, set=0)

    def is_flag_set(self, flag: int) -> bool:
        return flag in self.flags


def package(lines_: list[Line], trajectory: str = "cartesian", depth: int = 1, centre: int = 4) -> SimpleNamespace:
    size = SimpleNamespace(x=16, y=11, z=depth)
    encoding = SimpleNamespace(
        trajectory=trajectory,
        encodedSpace=SimpleNamespace(matrixSize=size),
        encodingLimits=SimpleNamespace(kspace_encoding_step_1=SimpleNamespace(center=centre)),
    )

    class Dataset:
        def __init__(self, path: str, group: str, create_if_needed: bool) -> None:
            assert group == "dataset" and not create_if_needed

        def read_xml_header(self) -> bytes:
            return b"<xml/>"

        def number_of_acquisitions(self) -> int:
            return len(lines_)

        def read_acquisition(self, number: int) -> Line:
            return lines_[number]

        def close(self) -> None:
            pass

    header = SimpleNamespace(encoding=[encoding])
    return SimpleNamespace(Dataset=Dataset, xsd=SimpleNamespace(CreateFromDocument=lambda text: header))


def test_ismrmrd_lines_become_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth(2, 3, 16, 11)
    k_space = centred(images)
    # Line 4 of the file is the zero frequency, which the program's grid has at column 5: a partial Fourier file.
    made = [Line(k_space[s, :, :, step + 1], step, s) for s in (1, 0) for step in range(10)]
    made += [Line(9 * k_space[0, :, :, 0], 0, 0, (19,)), Line(k_space[0, :, :, 3], 2, 0)]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "ismrmrd", package(made))
    data = open_kspace(ismrmrd_file(tmp_path / "i.h5"))
    mask = np.ones(11, bool)
    mask[0] = False
    expected = np.fft.fft2(images, norm="ortho") * np.fft.ifftshift(mask)
    assert np.allclose(data.k_space, expected, atol=1e-4)
    assert np.array_equal(data.sampled[1, 0], np.fft.ifftshift(mask)) and data.names == ("i slice 0", "i slice 1")
    assert any("1 acquisitions of other kinds" in note for note in data.provenance.notes)
    for wrong, words in (
        (package(made, "radial"), "radial trajectory"),
        (package(made, depth=8), "encodes phase along slices"),
        (package(made, centre=9), "does not fit an encoded space"),
        (package([Line(k_space[0, :, :, 0], 0, 0, (22,))]), "read backwards"),
        (package([]), "no line of an image"),
    ):
        monkeypatch.setitem(sys.modules, "ismrmrd", wrong)
        refusal(tmp_path / "i.h5", words)


def test_what_is_no_k_space(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["pictures"] = np.ones(3)
    refusal(tmp_path / "x.h5", "unknown layout: it holds pictures")
    (tmp_path / "damaged.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:300])
    refusal(tmp_path / "damaged.h5", "damaged.h5")
    (tmp_path / "empty.h5").touch()
    refusal(tmp_path / "empty.h5", "not k-space of a known kind")
    refusal(tmp_path, "not a folder of k-space")
    refusal(tmp_path / "nothing.h5", "no file or folder")
    refusal(Path("a\0b"), "no file or folder")
    refusal(Path(f"{tmp_path / 'x.h5'}::train"), "has no parts")
    assert not is_kspace(tmp_path / "x.h5") and not is_kspace(tmp_path / "damaged.h5") and not is_kspace(tmp_path)
    assert not is_kspace(tmp_path / "nothing.h5") and not is_kspace("a\0b") and not is_kspace(tmp_path / "empty.h5")
    for sample in sample_data().iterdir():
        assert is_kspace(sample) == (".kspace." in sample.name)
    fastmri(tmp_path / "f.h5")
    assert is_kspace(tmp_path / "f.h5")
    np.save(tmp_path / "a.npy", np.ones(3))
    assert not is_kspace(tmp_path / "a.npy") and is_kspace(tmp_path / "a.npy", any_array=True)
    np.save(tmp_path / "a.npy", draw(3))
    assert is_kspace(tmp_path / "a.npy")


def test_the_measured_slice(shared_data: Path) -> None:
    path = shared_data / "mri" / "cartesian_ksp.npy"
    data = open_kspace(path)
    assert data.k_space.shape == (1, 8, 230, 180) and np.isclose(1 / data.net_acceleration, 0.1243, atol=1e-4)
    assert data.sampled[0, 0, 0] and "middle" in str(fact(data, "zero frequency").value)
