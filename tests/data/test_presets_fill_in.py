"""Geometries that come with the program fill in what data do not state; a person's own file wins over the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import PartialGeometry, given_of, read_geometry, with_geometry
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import NoGeometryError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import resources
from ptychoui.settings import DataSource, FpmExperiment, Geometry, load_geometry
from ptychoui.workflows.describe import as_text, describe

PRESET = "uconn_bloodsmear"
WHOLE = load_geometry(PRESET)


def opened(path: Path, geometry: Any) -> tuple[Geometry, str]:
    read = open_dataset(path, geometry)
    assert isinstance(read, ImageStack) and read.geometry is not None
    return read.geometry, "\n".join([*map(str, read.provenance.facts), *read.provenance.notes])


@pytest.fixture
def smear(tmp_path: Path) -> Path:
    """A file of the preset's layout, taken in green light, at another focus and with a shifted array."""
    images = np.random.default_rng(0).random((8, 8, 225)) + 0.1
    stated = {"wlength": 5.3e-7, "z": 1e-5, "theta": 2.0, "xint": 0.0, "yint": 0.35}
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": images} | stated)
    return tmp_path / "s.mat"


@pytest.mark.parametrize("path", [PRESET, str(resources() / "geometries" / f"{PRESET}.toml")])
def test_what_the_file_states_stays(path: str, smear: Path) -> None:
    geometry, text = opened(smear, read_geometry(path, for_data=True))
    scope, pose = geometry.microscope, geometry.array.pose
    assert (scope.wavelength_um, scope.defocus_um) == pytest.approx((0.53, 10.0))
    assert (pose.rotation_deg, pose.shift_y_mm) == pytest.approx((2.0, 0.35), rel=1e-2)
    assert (scope.objective_na, scope.magnification) == (0.1, 2.0)
    assert geometry.array.kind == "spiral" and geometry.array.height_mm == WHOLE.array.height_mm
    assert "the wavelength is 0.53 um in the data file and 0.63 um in the preset uconn_bloodsmear.toml" in text
    filled = next(line for line in text.splitlines() if line.startswith("filled in from the preset: "))
    assert "camera_pixel_um" in filled and "objective_na" in filled and "uconn_bloodsmear.toml" in filled
    assert "defocus" not in filled and "wavelength" not in filled
    assert "defocus of 10 um taken from the data file" in text


def test_a_file_of_ones_own_wins(smear: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text((resources() / "geometries" / f"{PRESET}.toml").read_text())
    geometry, text = opened(smear, read_geometry(own, for_data=True))
    assert (geometry.microscope.wavelength_um, geometry.microscope.defocus_um) == (0.63, -55.0)
    assert (
        "the wavelength is 0.63 um in the geometry and 0.53 um in the data file; the geometry's value was used" in text
    )
    (tmp_path / "s.geometry.toml").write_text("[microscope]\nmagnification = 4.0\nwavelength_um = 0.47\n")
    geometry, text = opened(smear, PRESET)
    assert (geometry.microscope.wavelength_um, geometry.microscope.magnification) == (0.47, 4.0)
    own.rename(tmp_path / "s.geometry.toml")
    geometry, text = opened(smear, PRESET)
    assert geometry.microscope.wavelength_um == 0.63
    assert "the preset uconn_bloodsmear.toml was not used: the geometry beside the data is whole" in text


@pytest.mark.parametrize("layout", ["ptylab", "caltech", "waller", "leb"])
def test_leds_that_the_file_states_stay(layout: str, tmp_path: Path, images: np.ndarray) -> None:
    path = foreign.LAYOUTS[layout](tmp_path, images)
    if layout == "leb":  # states no height and no pitch; the preset's are 90.88 and 4 mm
        geometry, _ = opened(path, PRESET)
        mm = np.column_stack([foreign.COLUMN.ravel(), -foreign.ROW.ravel()]) * 4.0
        np.testing.assert_allclose(np.array(geometry.array.positions_mm)[:, :2], mm)
        assert geometry.array.height_mm == WHOLE.array.height_mm
        return
    geometry, text = opened(path, PRESET)
    expected = foreign.expected_directions(layout)
    np.testing.assert_allclose(led_array(geometry.array).illumination_na, expected, atol=1e-9)
    for name, value in foreign.MICROSCOPE.items():
        assert getattr(geometry.microscope, name) == pytest.approx(value)
    assert "the positions in the data file were not used" not in text


def test_a_preset_is_whole_where_data_state_nothing(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(100, 1000, (225, 8, 8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    assert opened(tmp_path / "s.tif", PRESET)[0] == WHOLE


def test_a_whole_geometry_of_a_file_stays(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    geometry, text = opened(path, PRESET)
    assert geometry == stack.geometry and "the preset uconn_bloodsmear.toml was not used" in text


def test_experiments_keep_what_their_data_state(smear: Path) -> None:
    found = with_geometry(FpmExperiment(data=DataSource(path=str(smear))), PRESET)
    given = given_of(found.data, found.geometry)
    assert isinstance(given, PartialGeometry) and given.is_preset
    assert opened(smear, given)[0].microscope.wavelength_um == pytest.approx(0.53)
    assert with_geometry(FpmExperiment(), PRESET).geometry == WHOLE


@pytest.mark.parametrize(
    ("layout", "partial", "shown", "hidden"),
    [
        ("uconn", "", ['kind = "spiral"', "count = 225", "pitch_mm = 4.0"], ["rows", "columns"]),
        ("uconn", "[array]\ncount = 225\n", ['kind = "spiral"', "pitch_mm = 4.0"], ["rows", "count ="]),
        ("uconn", "[array]\nring_counts = [1, 8]\n", ['kind = "rings"', "ring_radii_mm"], ["pitch_mm", "ring_counts"]),
        ("elfpie", "", ['kind = "rings"' if load_geometry("elfpie_usaf").array.kind == "rings" else "kind ="], []),
        ("tiff", "", ['kind = "lattice"', "rows = 15", "columns = 15", "pitch_mm"], ["count"]),
        ("tiff", "[array]\ncount = 225\n", ['kind = "spiral"'], ["rows"]),
        ("tiff", "[array]\ndome_radius_mm = 60.0\n", ['kind = "dome"', "ring_counts"], ["dome_radius_mm", "rows"]),
    ],
)
def test_the_lines_that_are_asked_for_are_those_of_the_layout(
    layout: str, partial: str, shown: list[str], hidden: list[str], tmp_path: Path, uconn_variables: dict[str, Any]
) -> None:
    path = tmp_path / "s"
    if layout == "tiff":
        tifffile.imwrite(path, np.ones((9, 8, 8), np.uint16), photometric="minisblack")
    else:
        name = {"uconn": "imlow_HDR", "elfpie": "lowSeq"}[layout]
        scipy.io.savemat(path, {name: uconn_variables["imlow_HDR"]}, appendmat=False)
    (tmp_path / "g.toml").write_text(partial or "[microscope]\nobjective_na = 0.1\n")
    with pytest.raises(NoGeometryError) as caught:
        open_dataset(path, tmp_path / "g.toml")
    values = describe(str(path), str(tmp_path / "g.toml"))
    for lines in (caught.value.hint, "\n".join(values["lines"]), as_text(values).partition("with --geometry:")[2]):
        assert all(line in lines for line in shown) and not any(f"{line}" in lines for line in hidden)
