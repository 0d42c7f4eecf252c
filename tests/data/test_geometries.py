"""The shipped geometries load, and the published numbers come out of them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import resources
from ptychoui.settings import Geometry, load_geometry

GEOMETRIES = sorted((resources() / "geometries").glob("*.toml"))
MEASURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def measured(name: str) -> Path:
    path = MEASURED / name
    if not path.exists():
        pytest.skip(f"the measured file {name} is not here")
    return path


@pytest.mark.parametrize("path", GEOMETRIES, ids=lambda p: p.stem)
def test_loads_and_samples_the_intensity(path: Path) -> None:
    geometry = load_geometry(path)
    scope = geometry.microscope
    leds = led_array(geometry.array)
    if geometry.array.max_illumination_na is None:
        assert geometry.array.numbers() == tuple(leds.numbers)
    assert leds.bright_field(scope.objective_na).sum() >= 9
    limit = scope.wavelength_um / (4 * scope.objective_na)
    assert scope.pixel_size_um < 1.4 * limit  # the blood smear is 17 % (red) to 39 % (green) coarser


def test_published_learned_design_counts() -> None:
    geometry = load_geometry(resources() / "geometries" / "published_learned_design.toml")
    leds = led_array(geometry.array)
    assert len(leds) == 89
    assert leds.bright_field(0.2).sum() == 21
    assert leds.radius_na.max() == pytest.approx(0.4053, abs=1e-4)
    assert sorted(leds.radius_na.round(4))[1] == pytest.approx(0.0866, abs=1e-4)
    whole = led_array(geometry.array.model_copy(update={"max_illumination_na": None}))
    assert len(whole) == 293


@pytest.mark.parametrize(
    ("data", "name", "bright"),
    [
        ("uconn/bloodsmear_red.mat", "uconn_bloodsmear", 21),
        ("uconn/bloodsmear_green.mat", "uconn_bloodsmear_green", None),
        ("elfpie/lowSeqData260.mat", "elfpie_usaf", 16),
    ],
)
def test_measured_stacks_are_bright_where_the_geometry_says(data: str, name: str, bright: int | None) -> None:
    """Direct light passes the objective for bright-field LEDs only, so they are the brightest images."""
    geometry = load_geometry(resources() / "geometries" / f"{name}.toml")
    stack = open_dataset(measured(data), geometry)
    assert isinstance(stack, ImageStack) and stack.geometry is not None
    leds = led_array(stack.geometry.array)
    brightness = stack.images.mean(axis=(1, 2))
    inside = leds.bright_field(stack.geometry.microscope.objective_na)
    assert bright is None or inside.sum() == bright
    assert brightness[inside].min() > brightness[~inside].max()


def test_uconn_pose_comes_from_the_file() -> None:
    geometry = load_geometry(resources() / "geometries" / "uconn_bloodsmear_green.toml")
    stack = open_dataset(measured("uconn/bloodsmear_green.mat"), geometry)
    assert stack.geometry is not None
    assert stack.geometry.array.pose.shift_y_mm == pytest.approx(0.35)
    assert stack.provenance.notes == (
        "the array's pose taken from the data file: rotation_deg = 0, shift_x_mm = 0, shift_y_mm = 0.35",
    )


def test_aidukas_geometry_reproduces_the_stored_positions() -> None:
    path = measured("aidukas/Image_sections_color_0.hdf5")
    geometry = load_geometry(resources() / "geometries" / "aidukas_usaf.toml")
    with h5py.File(path, "r") as file:
        positions = file["section0/positions"][:]
    scope = geometry.microscope
    window = led_array(geometry.array).illumination_na / scope.wavelength_um * 32 * scope.pixel_size_um
    np.testing.assert_allclose(window, np.stack([-positions[:, 1], positions[:, 0]], axis=1), atol=2e-3)


def test_a_table_in_a_file_may_say_that_it_is_one(tmp_path: Path) -> None:
    """kind = "table" goes without saying; written out it used to ask for the positions that the file holds."""
    (tmp_path / "leds.csv").write_text("number,x_mm,y_mm\n" + "\n".join(f"{i},{4 * i},0" for i in range(5)))
    scope = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.1\nmagnification = 2.0\ncamera_pixel_um = 3.0\n"
    found = []
    for kind in ("", 'kind = "table"\n'):
        path = tmp_path / "g.toml"
        path.write_text(f'{scope}[array]\n{kind}height_mm = 80.0\npositions_file = "leds.csv"\n')
        found.append(read_geometry(path))
    assert found[0] == found[1] and isinstance(found[0], Geometry) and len(found[0].array.numbers()) == 5
