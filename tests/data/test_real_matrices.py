"""MATLAB and HDF5 files as people have them: origins, pupils, axes, structures, and kinds that are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats import hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import pupil_function
from ptychoui.settings import Geometry, Microscope


def opened(path: str | Path, geometry: Any = None) -> ImageStack:
    read = open_dataset(path, geometry)
    assert isinstance(read, ImageStack) and read.geometry is not None
    return read


def told(read: ImageStack) -> str:
    return "\n".join([*map(str, read.provenance.facts), *read.provenance.notes])


def directions_of(read: ImageStack) -> np.ndarray:
    assert read.geometry is not None
    return led_array(read.geometry.array).illumination_na


# ---------------------------------------------------------------------------------- places in the spectrum

STEPS = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3), indexing="ij"), -1).reshape(-1, 2)
RADIUS_PX, NA = 6.4, 0.1


def apic(
    center: tuple[float, float],
    shape: tuple[int, int] = (32, 32),
    shift: float = 0.3,
    led_axis: int = 2,
    x_first: bool = False,
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Variables of an APIC file whose LEDs inside the NA are bright, its (LED, [x, y]) directions and its images."""
    rng = np.random.default_rng(4)
    y_x_px = STEPS * 4.0 + shift * np.array([1.0, -0.6])
    inside = np.hypot(*y_x_px.T) < RADIUS_PX
    images = rng.random((25, *shape)) * np.where(inside, 1.0, 0.05)[:, None, None] + 0.01
    places = y_x_px[:, ::-1] if x_first else y_x_px
    variables = {
        "I_low": np.moveaxis(images, 0, led_axis),
        "freqXY_calib": places + center,
        "na_rp_cal": RADIUS_PX,
        "na_cal": NA,
        "dpix_c": foreign.CAMERA_UM,
        "mag": foreign.MAGNIFICATION,
        "lambda": foreign.WAVELENGTH_UM,
    }
    return variables, y_x_px[:, ::-1] * NA / RADIUS_PX, images


@pytest.mark.parametrize(
    ("kind", "kwargs", "words"),
    [
        (
            "custom",
            {"center": (17.0, 17.0)},
            "centre of freqXY_calib: (17, 17) px - assumed, pixels counted from 1",
        ),
        ("from 0", {"center": (0.0, 0.0)}, "(0, 0) px - from values below 0 (19 LEDs), and the brightest images lie"),
        (
            "Python",
            {"center": (16.0, 16.0), "shift": 0.0},
            "(16, 16) px - from pixels counted from 0: the LEDs are symm",
        ),
        ("symmetric", {"center": (17.0, 17.0), "shift": 0.0}, "(17, 17) px - assumed, pixels counted from 1"),
        ("wide", {"center": (17.0, 49.0), "shape": (32, 96)}, "(17, 49) px - assumed, pixels counted from 1"),
        (
            "x first",
            {"center": (49.0, 17.0), "shape": (32, 96), "x_first": True},
            "axes of the LEDs: first column x, second column y",
        ),
        ("LED first", {"center": (17.0, 21.0), "shape": (32, 40), "led_axis": 0}, "(17, 21) px - assumed"),
        ("LED first from 0", {"center": (0.0, 0.0), "shape": (32, 40), "led_axis": 0}, "(0, 0) px - from values below"),
    ],
)
def test_the_origin_of_places_in_the_spectrum(kind: str, kwargs: dict[str, Any], words: str, tmp_path: Path) -> None:
    variables, directions, images = apic(**kwargs)
    scipy.io.savemat(tmp_path / "a.mat", variables)
    read = opened(tmp_path / "a.mat")
    np.testing.assert_allclose(directions_of(read), directions, atol=1e-9)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    assert words in told(read)
    inside = np.hypot(*directions_of(read).T) < NA
    means = read.images.mean(axis=(1, 2))
    assert means[inside].min() > means[~inside].max()


def test_values_below_zero_of_the_dark_field_are_no_other_origin(tmp_path: Path) -> None:
    """LEDs far out lie beyond the image's own spectrum: below 0 though the origin is the middle."""
    variables, _, _ = apic((17.0, 17.0))
    variables["freqXY_calib"] = (variables["freqXY_calib"] - 17) * 3.0 + 17
    variables["I_low"] = variables["I_low"] * np.where(np.abs(STEPS).max(axis=1) == 0, 1.0, 0.1)
    assert variables["freqXY_calib"].min() < 0
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert "centre of freqXY_calib: (17, 17) px" in told(opened(tmp_path / "a.mat"))


def test_an_origin_of_no_custom_is_told(tmp_path: Path) -> None:
    variables, _, _ = apic((33.0, 33.0))  # of the whole image, of which this is a crop
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert "the brightest images lie about (33.3, 32.8) px in freqXY_calib, far from (17, 17)" in told(
        opened(tmp_path / "a.mat")
    )


def test_places_that_contradict_the_directions_are_told(tmp_path: Path) -> None:
    variables, directions, _ = apic((17.0, 17.0))
    variables["na_calib"] = directions[:, ::-1]
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert "not needed: na_calib says the same" in told(opened(tmp_path / "a.mat"))
    variables["na_calib"] = directions[:, ::-1] * [1.0, -1.0]
    scipy.io.savemat(tmp_path / "a.mat", variables)
    read = opened(tmp_path / "a.mat")
    assert "na_calib and freqXY_calib differ by up to 0.25" in told(read) and "says the same" not in told(read)
    np.testing.assert_allclose(directions_of(read), directions * [-1.0, 1.0], atol=1e-9)


# ---------------------------------------------------------------------------------- a pupil as an array

PUPIL_PX = 64
WAVES = {5: 0.15, 6: -0.08, 7: 0.11, 11: 0.05}


def pupil_array(waves: dict[int, float], scope: dict[str, Any] | None = None) -> np.ndarray:
    """(row, column) pupil as the forward model has it, the zero frequency in the middle."""
    microscope = Microscope(**(foreign.MICROSCOPE | (scope or {})), zernike_waves=waves)
    step = 1 / (PUPIL_PX * microscope.pixel_size_um)
    frequency = (np.arange(PUPIL_PX) - PUPIL_PX // 2) * step
    x, y = np.meshgrid(frequency, frequency)
    return pupil_function(microscope, x, y, step)


def uconn(path: Path, aberration: Any, shape: tuple[int, int] = (PUPIL_PX, PUPIL_PX)) -> Path:
    images = np.random.default_rng(1).random((*shape, 9)) + 0.1
    variables = {"imlow_HDR": images, "wlength": foreign.WAVELENGTH_UM * 1e-6, "aberration": aberration}
    scipy.io.savemat(path / "u.mat", variables)
    return path / "u.mat"


ARRAY = {"kind": "lattice", "rows": 3, "columns": 3, "pitch_mm": 4.0, "height_mm": 90.0}


def microscope_of(path: Path, **scope: Any) -> tuple[Microscope, str]:
    read = opened(path, Geometry(microscope=foreign.MICROSCOPE | scope, array=ARRAY))  # type: ignore[arg-type]
    assert read.geometry is not None
    return read.geometry.microscope, told(read)


@pytest.mark.parametrize("waves", [WAVES, {4: 0.9, 8: -0.3}, {5: 0.15}, {15: -0.2}, {4: -0.9, 6: 0.3}])
def test_a_pupil_comes_back_as_its_zernike_terms(waves: dict[int, float], tmp_path: Path) -> None:
    found, text = microscope_of(uconn(tmp_path, pupil_array(waves)))
    for noll in range(4, 16):
        assert found.zernike_waves.get(noll, 0.0) == pytest.approx(waves.get(noll, 0.0), abs=2e-3)
    assert "the pupil was taken from the file's aberration: Zernike terms in waves RMS" in text
    assert "waves RMS are left" in text


def test_a_pupil_with_more_than_the_terms(tmp_path: Path) -> None:
    """Noise, a piston, a tilt and an uneven amplitude change the terms little, and are told."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:PUPIL_PX, :PUPIL_PX] / PUPIL_PX - 0.5
    pupil = pupil_array(WAVES) * np.exp(1j * (1.0 + 2 * x - 3 * y + 0.1 * rng.normal(size=x.shape))) * (1 + 3 * x)
    found, text = microscope_of(uconn(tmp_path, pupil))
    for noll in range(4, 16):
        assert found.zernike_waves.get(noll, 0.0) == pytest.approx(WAVES.get(noll, 0.0), abs=5e-3)
    assert "0.016 of 0.2 waves RMS are left" in text
    assert "the amplitude of the file's aberration, which is uneven, was not used" in text


def test_the_geometry_wins_over_the_pupil(tmp_path: Path) -> None:
    path = uconn(tmp_path, pupil_array(WAVES))
    found, text = microscope_of(path, zernike_waves={5: -0.3})
    assert found.zernike_waves == {5: -0.3}
    assert "the geometry's zernike_waves were used and not the file's aberration, which has Zernike terms" in text
    found, text = microscope_of(path, zernike_waves=WAVES)
    assert found.zernike_waves == WAVES and "aberration" not in text


@pytest.mark.parametrize(
    ("aberration", "words"),
    [
        (np.uint8(0), ""),
        (0.0, ""),
        (np.zeros((0, 0)), ""),
        (np.zeros((PUPIL_PX, PUPIL_PX)), ""),
        (0.5, "it is one number, not a complex pupil; give the pupil as microscope.zernike_waves"),
        (0.5 + 1j, "it is one number, not a complex pupil"),
        (np.ones((PUPIL_PX, PUPIL_PX)), "it is real, not a complex pupil"),
        (np.exp(1j * np.ones((PUPIL_PX, 60))), r"it has the shape (64, 60), the images have 64 x 64 pixels"),
        (np.exp(1j * np.ones((2, 3, 4))), r"it has the shape (2, 3, 4), the images"),
        (np.full((PUPIL_PX, PUPIL_PX), np.nan + 1j), "it holds NaN or infinity"),
        (
            np.exp(2j * np.pi * np.random.default_rng(0).random((PUPIL_PX, PUPIL_PX))),
            "4 to 15 do not describe its phase",
        ),
        (pupil_array({4: -2.5}), "4 to 15 do not describe its phase"),  # more than half a wave between pixels
        (np.pad(np.full((2, 2), 1j), 31), "hardly anything of it lies inside the objective's NA of 0.1"),
    ],
)
def test_what_is_no_pupil_is_named_and_never_refused(aberration: Any, words: str, tmp_path: Path) -> None:
    found, text = microscope_of(uconn(tmp_path, aberration))
    assert found.zernike_waves == {}
    assert words in text and ("aberration was not used" in text) == bool(words)


def test_a_flat_pupil_has_no_terms(tmp_path: Path) -> None:
    found, text = microscope_of(uconn(tmp_path, np.exp(0.7j) * np.ones((PUPIL_PX, PUPIL_PX))))
    assert found.zernike_waves == {} and "Zernike terms in waves RMS all below 0.005" in text


# ---------------------------------------------------------------------------------- cells, axes, structures, versions


def cells_of(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A cell array of the images, in MATLAB's order of cells."""
    cells = np.empty(len(images), dtype=object)
    for place, image in enumerate(images):
        cells[place] = image
    return cells.reshape(shape, order="F")


def cells_73(path: Path, name: str, images: list[np.ndarray], rest: dict[str, Any]) -> Path:
    """A cell array as MATLAB 7.3 writes it: references to matrices with reversed axes in #refs#."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("#refs#")
        references = np.empty((len(images), 1), dtype=h5py.ref_dtype)
        for place, image in enumerate(images):
            inner = group.create_dataset(f"c{place}", data=image.T)
            references[place, 0] = inner.ref
        file.create_dataset(name, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
        for key, value in rest.items():
            file[key] = np.atleast_2d(value).T
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


NINE = Geometry(microscope=foreign.MICROSCOPE, array=ARRAY)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (3, 3)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", [8, 9])
def test_images_in_cells(shape: tuple[int, int], packed: bool, rows: int, tmp_path: Path) -> None:
    images = np.random.default_rng(5).random((9, rows, 10)) + 0.1
    variables = {"imlow_HDR": cells_of(images, shape), "wlength": 6.3e-7}
    scipy.io.savemat(tmp_path / "u.mat", variables, do_compression=packed)
    read = opened(tmp_path / "u.mat", NINE)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    assert "cells: 9, each an image - from `imlow_HDR`; a cell array of rows and columns is taken column by" in told(
        read
    )


def test_images_in_cells_of_version_73(tmp_path: Path) -> None:
    images = np.random.default_rng(5).random((9, 8, 10)) + 0.1
    read = opened(cells_73(tmp_path / "u.mat", "imlow_HDR", list(images), {"wlength": 6.3e-7}), NINE)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    directions = {"na_calib": foreign.DIRECTIONS[:, ::-1], "na_cal": 0.1, "dpix_c": 3.69, "mag": 2.0, "lambda": 0.63}
    read = opened(cells_73(tmp_path / "a.mat", "I_low", list(images), directions))
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    np.testing.assert_allclose(directions_of(read), foreign.DIRECTIONS, atol=1e-9)


def test_cells_count_their_own_axis(tmp_path: Path) -> None:
    """Eight cells of nine rows are no nine images."""
    cells = cells_of(np.ones((8, 9, 10)), (1, 8))
    scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": cells})
    assert "holds 8 images but the array in the geometry has 9 LEDs" in refusal(tmp_path / "u.mat")


def refusal(path: str | Path, geometry: Any = NINE) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(path, geometry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_cells_that_are_no_stack(tmp_path: Path) -> None:
    images: list[Any] = [np.ones((8, 10)), np.ones((8, 11))]
    different = "imlow_HDR is a cell array of matrices of different shapes: (8, 10), but (8, 11) in cell 2: not read"
    for first, words in (
        (images, different),
        ([np.ones((8, 10)), "text"], "a cell array of something else than numbers"),
    ):
        cells = np.empty(2, dtype=object)
        cells[:] = first
        scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": cells})
        text = refusal(tmp_path / "u.mat")
        assert words in text and "save it as one array of the axes row, column, LED" in text
    assert different in refusal(cells_73(tmp_path / "c.mat", "imlow_HDR", images, {}))


@pytest.mark.parametrize("name", ["imlow_HDR", "I_low"])
def test_a_fourth_axis_is_asked_about(name: str, tmp_path: Path) -> None:
    variables: dict[str, Any] = {"na_calib": foreign.DIRECTIONS[:, ::-1], "na_cal": 0.1} if name == "I_low" else {}
    scipy.io.savemat(tmp_path / "u.mat", variables | {name: np.ones((8, 10, 3, 3))})
    text = refusal(tmp_path / "u.mat")
    assert f"{name} has 4 axes (8 x 10 x 3 x 3): which of them counts the LEDs is not said" in text
    images = np.random.default_rng(5).random((9, 8, 10)) + 0.1
    scipy.io.savemat(tmp_path / "u.mat", variables | {name: np.moveaxis(images, 0, 2)[:, :, None, :]})
    read = opened(tmp_path / "u.mat", NINE)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    assert "8 x 10 x 1 x 9" in told(read)


def test_images_in_a_structure(tmp_path: Path) -> None:
    images = np.random.default_rng(5).random((9, 8, 10)) + 0.1
    inner = {"imlow_HDR": np.moveaxis(images, 0, 2), "wlength": 6.3e-7, "z": 1e-5}
    scipy.io.savemat(tmp_path / "u.mat", {"data": inner, "note": "text"})
    read = opened(tmp_path / "u.mat", NINE)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    assert "place in the file: structure data" in told(read) and "defocus of 10 um taken" in told(read)
    scipy.io.savemat(tmp_path / "u.mat", {"data": inner, "other": inner})
    text = refusal(tmp_path / "u.mat")
    assert (
        "its structures hold images (data, other): save the one that is meant" in text and "'-struct', 'data'" in text
    )
    scipy.io.savemat(tmp_path / "u.mat", {"data": inner, "foo": 1.0})
    assert "its structure holds images (data)" in (text := refusal(tmp_path / "u.mat")) and "'-struct', 'data'" in text
    many = np.array([(np.ones((8, 10)),), (np.ones((8, 10)),)], dtype=[("img", object)])
    scipy.io.savemat(tmp_path / "u.mat", {"I": many})
    assert "I is an array of 2 structures: not read" in refusal(tmp_path / "u.mat")


def test_version_4_is_told(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "old.mat", {"imlow": np.ones((8, 90)), "z": 1.0}, format="4")
    text = refusal(tmp_path / "old.mat")
    assert (
        "is a MATLAB file of version 4, which holds tables of two axes and no stack: not read" in text and "-v7" in text
    )


def foreign_filter(path: Path, number: int, name: str = "ptychogram") -> Path:
    """A PtyLab file whose images went through a filter that is not installed."""
    with h5py.File(path, "r+") as target:
        shape = target[name].shape
        del target[name]
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1, *shape[1:]))
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(target.id, name.encode(), h5py.h5t.NATIVE_DOUBLE, space, settings)
        for place in range(shape[0]):
            made.write_direct_chunk((place, 0, 0), bytes(200), 0)
    return path


@pytest.mark.parametrize(("number", "words"), [(32001, "Blosc, "), (32015, "Zstandard, "), (32099, "")])
def test_unsupported_incomplete_and_damaged_are_three_sentences(
    number: int, words: str, tmp_path: Path, images: np.ndarray
) -> None:
    path = foreign_filter(foreign.ptylab(tmp_path, images), number)
    text = refusal(path, None)
    assert f"ptychogram is compressed with {words}HDF5 filter {number}, whose plug-in is not installed" in text
    assert "install the Python package hdf5plugin, or save" in text and "damaged" not in text
    whole = foreign.ptylab(tmp_path, images).read_bytes()
    path.write_bytes(whole[:-100])
    text = refusal(path, None)
    assert f"is incomplete: {len(whole) - 100} of {len(whole)} bytes are there" in text and "copy it again" in text
    path.write_bytes(whole[:8] + bytes(400) + whole[408:])
    text = refusal(path, None)
    assert "the file is damaged" in text and "incomplete" not in text and "compressed" not in text


def test_an_incomplete_matlab_file(tmp_path: Path, uconn_variables: dict[str, Any]) -> None:
    scipy.io.savemat(tmp_path / "u.mat", uconn_variables)
    whole = (tmp_path / "u.mat").read_bytes()
    (tmp_path / "u.mat").write_bytes(whole[:1000])
    assert "is incomplete or damaged: a variable of" in refusal(tmp_path / "u.mat")


def test_plug_ins_are_loaded_where_they_are_installed(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed file of MATLAB 7.3 or HDF5 asks for the package before it gives up."""
    asked = []
    monkeypatch.setattr(hdf5, "_load_plugins", lambda: bool(asked.append(1)))
    refusal(foreign_filter(foreign.ptylab(tmp_path, images), 32015), None)
    assert asked


# ---------------------------------------------------------------------------------- axes that MATLAB reverses


def h5write(path: Path, variables: dict[str, Any]) -> Path:
    """HDF5 as MATLAB's h5create and h5write make it: axes reversed, and no scalars."""
    with h5py.File(path, "w") as file:
        for name, value in variables.items():
            file[name] = np.atleast_2d(value).T
    return path


def ptylab_variables(images: np.ndarray) -> dict[str, Any]:
    return {
        "ptychogram": images,
        "encoder": -np.column_stack([foreign.Y_MM, foreign.X_MM]) * 1e-3,
        "wavelength": foreign.WAVELENGTH_UM * 1e-6,
        "dxd": foreign.CAMERA_UM * 1e-6,
        "zled": foreign.HEIGHT_MM * 1e-3,
        "magnification": foreign.MAGNIFICATION,
        "NA": NA,
    }


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 1, 2)], ids=["row, column, LED", "LED, row, column"])
@pytest.mark.parametrize("size", [(8, 10), (10, 10), (9, 10)])
def test_axes_that_matlab_reversed(order: tuple[int, int, int], size: tuple[int, int], tmp_path: Path) -> None:
    images = np.random.default_rng(5).random((9, *size)) + 0.1
    path = h5write(tmp_path / "s.h5", ptylab_variables(images) | {"ptychogram": images.transpose(order)})
    read = opened(path)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    np.testing.assert_allclose(directions_of(read), foreign.DIRECTIONS, atol=1e-9)
    assert "written by MATLAB, which reverses the axes of arrays: encoder and images were turned back" in told(read)
    assert f"images: 9 of {size[0]} x {size[1]} pixels" in told(read)


def test_axes_that_nobody_reversed(tmp_path: Path) -> None:
    """An encoder that lies in a file with scalars, which MATLAB does not write, says nothing of the images."""
    images = np.random.default_rng(5).random((9, 8, 10)) + 0.1
    path = foreign.ptylab(tmp_path, images)
    with h5py.File(path, "r+") as file:
        encoder = file["encoder"][()]
        del file["encoder"]
        file["encoder"] = encoder.T
    read = opened(path)
    np.testing.assert_allclose(read.images * read.unit_counts, images, rtol=1e-5)
    assert "the images were not turned (if they lie on their side" in told(read)


def test_matlab_without_an_encoder_is_noted(tmp_path: Path) -> None:
    images = np.random.default_rng(5).random((9, 8, 10)) + 0.1
    variables = ptylab_variables(images)
    del variables["encoder"]
    read = opened(h5write(tmp_path / "s.h5", variables | {"ptychogram": images.transpose(1, 2, 0)}), NINE)
    assert read.images.shape == (9, 10, 8) and "the file looks written by MATLAB" in told(read)
    bad = ptylab_variables(images)
    bad["encoder"][3, 0] = np.nan
    assert "encoder holds NaN or infinity" in refusal(h5write(tmp_path / "n.h5", bad), None)


# ---------------------------------------------------------------------------------- units and encodings


@pytest.mark.parametrize("scale", [1e-6, 1e-9])
def test_wave_numbers_in_another_unit_are_no_bundle_on_the_axis(scale: float, tmp_path: Path) -> None:
    path = foreign.uconn_amplitudes(tmp_path, np.ones((9, 8, 10)))
    variables = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("_")}
    variables["kx"], variables["ky"] = variables["kx"] * scale, variables["ky"] * scale
    scipy.io.savemat(path, variables)
    (tmp_path / "geometry.toml").write_text(foreign.SCOPE_TOML)
    text = refusal(path, None)
    assert "all LEDs lie within an illumination NA of" in text and "wave numbers in rad/m" in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_scripts_and_settings_in_other_encodings(encoding: str, tmp_path: Path, images: np.ndarray) -> None:
    folder = foreign.waller(tmp_path, images)
    script = folder / "SystemSetup.m"
    script.write_bytes(script.read_text().replace("%6.5um", "%6.5\N{MICRO SIGN}m").encode(encoding))
    np.testing.assert_allclose(directions_of(opened(folder)), foreign.expected_directions("waller"), atol=1e-9)
    config = foreign.fpm_torch(tmp_path, images)
    config.write_bytes(config.read_text().replace("Leech", "\N{MICRO SIGN}-Pr\xe4parat").encode(encoding))
    np.testing.assert_allclose(directions_of(opened(config)), foreign.DIRECTIONS, atol=1e-3)


def test_many_axes_of_hdf5_are_asked_about(tmp_path: Path, images: np.ndarray) -> None:
    path = foreign.ptylab(tmp_path, images)
    with h5py.File(path, "r+") as file:
        del file["ptychogram"]
        file["ptychogram"] = np.ones((3, 3, 8, 10))
    text = refusal(path, None)
    assert "ptychogram has the shape (3, 3, 8, 10), expected (LEDs, rows, columns)" in text and "one stack" in text
