"""A reconstruction on disk: what is written is read, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptychoui.data.formats.open import open_dataset
from ptychoui.data.results import (
    DESCRIPTION,
    StoredReconstruction,
    describe_reconstruction,
    is_reconstruction,
    load_reconstruction,
    save_reconstruction,
)
from ptychoui.errors import DataError
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0),
    array=Array(kind="lattice", rows=2, columns=2, pitch_mm=4.0, height_mm=50.0),
)


def result(**changes: Any) -> StoredReconstruction:
    rng = np.random.default_rng(0)
    whole = StoredReconstruction(
        object=(rng.normal(size=(20, 30)) + 1j * rng.normal(size=(20, 30))).astype(np.complex64),
        object_pixel_um=0.25,
        pupil=(rng.normal(size=(2, 9, 9)) + 1j).astype(np.complex64),
        frequency_step_per_um=0.1,
        zernike_noll=np.array([4, 11]),
        zernike_waves=rng.normal(size=(2, 2)),
        led_numbers=np.array([3, 1, 0, 2]),
        illumination_na=rng.normal(size=(2, 4, 2)),
        gain=rng.random((2, 4)),
        background=rng.random((2, 4)),
        light=rng.random((2, 4)),
        residual=rng.random((2, 4)),
        history=np.array([[0.5, 0.2, 0.1], [0.4, 0.3, np.nan]]),
        corners_px=np.array([[0, 0], [0, 8]]),
        tile_px=16,
        amplitude_residual=0.02,
        fitted_residual=0.01,
        geometry=GEOMETRY,
        settings=Reconstruct(passes=3, upsampling=2),
        record={"source": "a stack", "data_sha256": "ab" * 32, "seconds": 1.5, "notes": ["a note"]},
    )
    return replace(whole, **changes)


def test_a_file_of_an_earlier_version_is_refused_by_name(tmp_path: Path) -> None:
    path = save_reconstruction(tmp_path / "old.h5", result())
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 1
    with pytest.raises(DataError, match="earlier version"):
        load_reconstruction(path)


def test_everything_survives_the_disk(tmp_path: Path) -> None:
    for whole in (result(), result(weights=np.random.default_rng(1).random((4, 4)))):
        path = save_reconstruction(tmp_path / "result.h5", whole)
        back = load_reconstruction(path)
        for name in (field.name for field in fields(whole)):
            mine, theirs = getattr(whole, name), getattr(back, name)
            if isinstance(mine, np.ndarray):
                assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=name == "history"), name
            else:
                assert mine == theirs, name
        assert back.passes == 3


def test_every_array_says_its_axes_and_units(tmp_path: Path) -> None:
    path = save_reconstruction(tmp_path / "result.h5", result(weights=np.eye(4)))
    with h5py.File(path) as file:
        assert sorted(file) == sorted(DESCRIPTION)
        for name, stored in file.items():
            assert stored.attrs["axes"].decode() and stored.attrs["units"].decode()
            assert len(stored.attrs["axes"].decode().split(", (")[0].split(", ")) <= max(1, stored.ndim), name
        assert file.attrs["object_pixel_um"] == 0.25
    assert is_reconstruction(path) and not is_reconstruction(tmp_path) and not is_reconstruction(tmp_path / "none.h5")


def test_info_names_what_is_in_it_in_plain_values(tmp_path: Path) -> None:
    values = describe_reconstruction(save_reconstruction(tmp_path / "result.h5", result()))
    json.dumps(values)
    assert values["kind"] == "reconstruction" and values["passes"] == 3 and values["tiles"] == 2
    stored = result()
    for name, array in (("gain", stored.gain), ("background", stored.background)):
        assert values[name] == {"min": array.min(), "max": array.max()}
    assert values["data_sha256"] == "ab" * 32 and set(values["zernike_waves"]) == {"4", "11"}


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    path = save_reconstruction(tmp_path / "result.h5", result())
    with h5py.File(path, "r+") as file:
        file["gain"][0, 0] += 1e-9
    with pytest.raises(DataError, match="damaged: its content does not match"):
        load_reconstruction(path)
    path = save_reconstruction(tmp_path / "result.h5", result())
    with h5py.File(path, "r+") as file:
        file.attrs["object_pixel_um"] = 0.26
    with pytest.raises(DataError, match="damaged: its content does not match"):
        load_reconstruction(path)


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    good = save_reconstruction(tmp_path / "result.h5", result()).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "bad.h5"
    for attempt in range(40):
        bad = bytearray(good)
        if attempt % 2:
            bad = bad[: int(rng.integers(1, len(bad)))]
        else:
            for place in rng.integers(0, len(bad), 20):
                bad[place] ^= 0xFF
        path.write_bytes(bad)
        try:
            back = load_reconstruction(path)
        except DataError as error:
            assert error.message and "\n" not in str(error)
        else:
            assert np.array_equal(back.object, result().object)


def test_other_files_and_newer_versions_are_refused(tmp_path: Path) -> None:
    path = save_reconstruction(tmp_path / "result.h5", result())
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="format version 99"):
        load_reconstruction(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = np.bytes_("something")
    with pytest.raises(DataError, match="is not a reconstruction"):
        load_reconstruction(path)
    with pytest.raises(DataError, match="there is no file"):
        load_reconstruction(tmp_path / "none.h5")


def test_a_result_is_not_a_stack(tmp_path: Path) -> None:
    path = save_reconstruction(tmp_path / "result.h5", result())
    with pytest.raises(DataError, match="is a reconstruction, not a stack"):
        open_dataset(path)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="gain has the shape"):
        result(gain=np.ones((2, 3)))
    with pytest.raises(DataError, match="NaN or infinity"):
        result(object=np.full((4, 4), np.nan + 0j))
    with pytest.raises(DataError, match="without a pixel"):
        result(object=np.ones((0, 4), np.complex64))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_reconstruction(tmp_path / "result.h5", result())
    before = path.read_bytes()
    from ptychoui.data.formats import hdf5

    def full(self: Any, data: Any) -> int:
        self.error = OSError(28, "No space left on device")
        return len(data)

    monkeypatch.setattr(hdf5.PatientFile, "write", full)
    with pytest.raises(DataError, match="disk is full"):
        save_reconstruction(path, result(tile_px=17))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
