"""MATLAB and HDF5 files as people have them: origins, pupils, axes, structures, and kinds that are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.led_array import led_array


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
