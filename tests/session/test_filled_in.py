"""Presets chosen while data are open: what a file states stays, whatever else does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.geometry.presets import array_preset, microscope_preset
from ptychoui.paths import resources
from ptychoui.session.filled_in import half_filled_in
from ptychoui.session.opening import OpenedGeometry, open_or_ask
from ptychoui.settings import DataSource, Geometry, Images, load_geometry

PRESET = resources() / "geometries" / "uconn_bloodsmear.toml"
WHOLE = load_geometry(PRESET)


@pytest.fixture
def smear(tmp_path: Path) -> DataSource:
    """A file of 225 images that states wavelength, focus and a shift of the array."""
    images = np.random.default_rng(0).random((8, 8, 225)) + 0.1
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": images, "wlength": 5.3e-7, "z": 1e-5, "yint": 0.35, "xint": 0.1})
    return DataSource(path=str(tmp_path / "s.mat"))


def geometry_of(data: DataSource) -> Geometry:
    found = open_or_ask(PRESET, None, data)
    assert isinstance(found, OpenedGeometry)
    return found.geometry


def test_a_microscope_keeps_what_the_data_state(smear: DataSource) -> None:
    present = geometry_of(smear)
    present = present.replace(array=present.array.replace(height_mm=77.0))
    preset = microscope_preset("tian2014")
    found = half_filled_in(preset, present, smear)
    scope, other = found.geometry.microscope, preset.microscope
    assert (scope.wavelength_um, scope.defocus_um) == (0.53, 10.0) and other.wavelength_um != 0.53
    assert (scope.objective_na, scope.magnification, scope.camera_pixel_um) == (
        other.objective_na,
        other.magnification,
        other.camera_pixel_um,
    )
    assert found.geometry.array == present.array and found.used
    assert len(found.notes) == 1 and f"um in the preset {preset.name}; the data file's value" in found.notes[0]


@pytest.mark.parametrize("key", ["panel_32x32_p4", "uconn_spiral"])
def test_an_array_keeps_what_the_data_state(key: str, smear: DataSource) -> None:
    # Of the panel the number of LEDs is not that of the images: what is stated beside the layout stays even so.
    present, preset = geometry_of(smear), array_preset(key)
    found = half_filled_in(preset, present, smear)
    assert found.geometry.microscope == present.microscope
    expected = preset.for_wavelength(0.53)
    pose = expected.pose.replace(shift_x_mm=0.1, shift_y_mm=0.35, rotation_deg=found.geometry.array.pose.rotation_deg)
    assert found.geometry.array == expected.replace(pose=pose)


def test_a_whole_preset_of_another_array_keeps_what_the_data_state(smear: DataSource) -> None:
    present = geometry_of(smear)
    found = open_or_ask(resources() / "geometries" / "tian2014_multiplexed.toml", None, smear, present)
    assert isinstance(found, OpenedGeometry) and found.filled_in
    assert found.geometry.microscope.wavelength_um == 0.53 and found.geometry.array.pose.shift_y_mm == 0.35
    whole = load_geometry("tian2014_multiplexed")
    assert found.geometry.array.kind == whole.array.kind and found.geometry.array.height_mm == whole.array.height_mm


@pytest.mark.parametrize("what", ["whole", "microscope", "array"])
@pytest.mark.parametrize("where", ["native", "beside", "named"])
def test_nothing_replaces_a_whole_geometry_of_a_file(what: str, where: str, tmp_path: Path, smear: DataSource) -> None:
    present = geometry_of(smear)
    if where == "native":
        images = np.random.default_rng(0).random((225, 8, 8)).astype(np.float32)
        stack = ImageStack(images=images, led_numbers=np.arange(225), geometry=present)
        data = DataSource(path=str(save_hdf5(tmp_path / "s.h5", stack)))
    else:
        name = tmp_path / ("s.geometry.toml" if where == "beside" else "other.toml")
        shutil.copy(PRESET, name)
        data = smear if where == "beside" else smear.replace(geometry=str(name))
    edited = present.replace(microscope=present.microscope.replace(defocus_um=3.0))
    if what == "whole":
        found = open_or_ask(PRESET, None, data, edited)
        assert isinstance(found, OpenedGeometry) and found.unused and found.geometry == edited
        notes = found.notes
    else:
        preset = microscope_preset("tian2014") if what == "microscope" else array_preset("panel_32x32_p4")
        half = half_filled_in(preset, edited, data)
        assert not half.used and half.geometry == edited
        notes = half.notes
    assert len(notes) == 1 and "was not used" in notes[0]


def test_places_of_leds_that_a_file_states_stay(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((9, 8, 10)) + 0.1
    data = DataSource(path=str(foreign.ptylab(tmp_path, images)))
    read = open_dataset(data.path)
    assert isinstance(read, ImageStack) and read.geometry is not None
    present = read.geometry.replace(array=read.geometry.array.replace(pose={"shift_x_mm": 1.0}))
    found = half_filled_in(array_preset("panel_32x32_p4"), present, data)
    assert not found.used and found.geometry == present and "where their LEDs are" in found.notes[0]


def test_what_a_person_said_of_the_images_still_holds(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((225, 8, 225)) + 0.1
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": images, "wlength": 5.3e-7})
    data = DataSource(path=str(tmp_path / "s.mat"), images=Images(led_axis="last"))
    assert geometry_of(data).microscope.wavelength_um == 0.53


def test_without_measured_data_a_preset_is_taken_as_it_is() -> None:
    preset = microscope_preset("tian2014")
    assert half_filled_in(preset, WHOLE, None).geometry == WHOLE.replace(microscope=preset.microscope)
