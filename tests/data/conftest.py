"""A small stack in every layout, written by the tests themselves."""

from __future__ import annotations

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
from ptychoui.data.formats.tiff import save_stack_tiff
from ptychoui.settings import Geometry, to_toml

SCOPE = {"wavelength_um": 0.63, "objective_na": 0.1, "magnification": 2.0, "camera_pixel_um": 3.69}
LATTICE = {"kind": "lattice", "rows": 3, "columns": 3, "pitch_mm": 4.0, "height_mm": 90.0}


@pytest.fixture
def make_geometry() -> Callable[..., Geometry]:
    """Geometry with nine LEDs; keywords change the array, ``scope`` the microscope."""

    def make(scope: dict[str, Any] | None = None, **array: Any) -> Geometry:
        return Geometry(microscope=SCOPE | (scope or {}), array=LATTICE | array)  # type: ignore[arg-type]

    return make


@pytest.fixture
def geometry(make_geometry: Callable[..., Geometry]) -> Geometry:
    return make_geometry()


@pytest.fixture
def images() -> np.ndarray:
    """(9, 8, 10) float32; image 0 is the brightest."""
    rng = np.random.default_rng(1)
    stack = rng.random((9, 8, 10)) + 0.1
    return (stack * np.linspace(1, 0.2, 9)[:, None, None]).astype(np.float32)


@pytest.fixture
def stack(images: np.ndarray, geometry: Geometry) -> ImageStack:
    return ImageStack(images=images, led_numbers=np.arange(9), geometry=geometry, unit_counts=812.5)


@pytest.fixture
def training(geometry: Geometry) -> TrainingSet:
    rng = np.random.default_rng(2)
    objects = rng.normal(size=(3, 6, 6)) + 1j * rng.normal(size=(3, 6, 6))
    return TrainingSet(
        objects=objects,
        sources=np.array([0, 0, 1]),
        pixel_size_um=0.4,
        source_names=("one", "two"),
        geometry=geometry,
    )


@pytest.fixture
def uconn_variables(images: np.ndarray) -> dict[str, Any]:
    return {
        "imlow_HDR": np.moveaxis(images, 0, 2),
        "wlength": 6.3e-7,
        "z": 1e-5,
        "theta": np.uint8(0),
        "xint": np.uint8(0),
        "yint": 0.35,
        "aberration": np.uint8(0),
    }


@pytest.fixture
def training_variables() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    na_list = rng.uniform(-0.25, 0.25, (4, 2))
    return {
        "truth": rng.normal(size=(3, 6, 6, 2)),
        "noisy": rng.random((3, 4, 6, 6)),
        "na_list": na_list,
        "na": 0.2,
        "na_illum": 0.42,
        "wl": 0.514,
        "ps": 6.5,
        "mag": 4.0,
        "Nleds": 4,
        "Np": np.array([[6, 6]]),
    }


def write_mat73(path: Path, variables: dict[str, Any]) -> Path:
    """A file as MATLAB 7.3 writes it: HDF5 with reversed axes after a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            file[name] = np.atleast_2d(value).T
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: today".ljust(124) + b"\x00\x02IM")
    return path


@pytest.fixture
def mat73() -> Callable[[Path, dict[str, Any]], Path]:
    return write_mat73


@pytest.fixture
def write_layout(
    stack: ImageStack,
    training: TrainingSet,
    uconn_variables: dict[str, Any],
    training_variables: dict[str, Any],
) -> Callable[[str, Path], Path]:
    """Write one layout into a folder and return what ``open_dataset`` should be given."""

    def write(layout: str, folder: Path) -> Path:
        geometry = stack.geometry
        assert geometry is not None
        if layout == "uconn":
            scipy.io.savemat(path := folder / "u.mat", uconn_variables)
        elif layout == "uconn compressed":
            scipy.io.savemat(path := folder / "u.mat", uconn_variables, do_compression=True)
        elif layout == "uconn 7.3":
            path = write_mat73(folder / "u.mat", uconn_variables)
        elif layout == "training":
            scipy.io.savemat(path := folder / "t.mat", training_variables, do_compression=True)
        elif layout == "hdf5":
            path = save_hdf5(folder / "s.h5", stack)
        elif layout == "hdf5 training":
            path = save_hdf5(folder / "t.h5", training)
        elif layout == "ome-tiff":
            path = save_stack_tiff(folder / "s.ome.tif", stack)
        elif layout == "tiff":
            counts = (stack.images * 1000).astype(np.uint16)
            tifffile.imwrite(path := folder / "s.tif", counts, photometric="minisblack", compression="zlib")
        else:
            path = folder / "images"
            path.mkdir(exist_ok=True)
            (path / "geometry.toml").write_text(to_toml(geometry))
            for number, image in enumerate(stack.images):
                if layout == "folder png":
                    Image.fromarray((image * 200).astype(np.uint8)).save(path / f"image_{number}.png")
                else:
                    tifffile.imwrite(path / f"image_{number}.tif", (image * 1000).astype(np.uint16))
        return path

    return write
