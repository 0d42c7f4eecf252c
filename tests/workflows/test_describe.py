"""What is said of a file: the numbers are those of the file and of textbook formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.native import save_hdf5
from ptychoui.errors import DataError, SettingsError
from ptychoui.paths import resources, sample_data
from ptychoui.settings import Geometry, to_toml
from ptychoui.workflows.describe import as_text, describe
from ptychoui.workflows.sample_data import sample_geometry


@pytest.fixture
def geometry() -> Geometry:
    return sample_geometry()


@pytest.fixture
def stack(geometry: Geometry, tmp_path: Path) -> Path:
    images = np.ones((81, 16, 20), np.float32)
    images[7, 0, :3] = -0.5
    images[40, 1, 1] = 3.0
    some = ImageStack(images=images, led_numbers=np.arange(81), geometry=geometry, unit_counts=1000.0)
    return save_hdf5(tmp_path / "stack.h5", some)


def test_a_stack(stack: Path) -> None:
    values = describe(str(stack), None)
    assert values["kind"] == "LED stack" and values["file"] == str(stack)
    assert (values["images"], values["rows_px"], values["columns_px"]) == (81, 16, 20)
    assert (values["intensity_min"], values["intensity_max"]) == (-0.5, 3.0)
    assert values["negative_pixels"] == 3 and values["unit_counts"] == 1000.0
    assert values["led_numbers"] == [0, 80]


def test_numbers_of_a_lattice_by_hand(stack: Path) -> None:
    """4x / 0.1 at 0.53 um, 9 x 9 LEDs of 4 mm pitch, 72 mm away."""
    derived = describe(str(stack), None)["derived"]
    corner = np.hypot(16, 16) / np.sqrt(16**2 + 16**2 + 72**2)
    assert derived["pixel_size_um"] == pytest.approx(1.2)
    assert derived["illumination_na"] == pytest.approx(corner)
    assert derived["synthetic_na"] == pytest.approx(0.1 + corner)
    assert derived["resolution_um"] == pytest.approx(0.53 / (0.1 + corner))
    assert derived["cutoff_lp_per_mm"] == pytest.approx(1e3 * (0.1 + corner) / 0.53)
    assert derived["intensity_nyquist_um"] == pytest.approx(0.53 / 0.4)
    radius = np.hypot(*np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))) * 4
    bright = int((radius / np.sqrt(radius**2 + 72**2) < 0.1).sum())
    assert (derived["bright_field_leds"], derived["dark_field_leds"]) == (bright, 81 - bright)


def test_every_led_where_asked(stack: Path) -> None:
    """LED 1 of the 9 x 9 lattice stands at (-12, 16) mm, 72 mm away."""
    assert "leds" not in describe(str(stack), None)
    values = describe(str(stack), None, leds=True)
    led = values["leds"][1]
    reach = np.sqrt(12**2 + 16**2 + 72**2)
    assert (led["number"], led["x_mm"], led["y_mm"], led["z_mm"]) == (1, -12.0, 16.0, 0.0)
    assert (led["na_x"], led["na_y"], led["na"]) == pytest.approx((-12 / reach, 16 / reach, 20 / reach))
    assert led["field"] == "dark" and led["brightness"] == 1.0
    assert [row["field"] for row in values["leds"]].count("bright") == values["derived"]["bright_field_leds"]
    lines = as_text(values).splitlines()
    assert len(lines[-81:]) == 81 and lines[-82].split()[:2] == ["LED", "x"] and "  dark " in lines[-80]


def test_values_are_plain_json(stack: Path) -> None:
    values = describe(str(stack), None)
    assert json.loads(json.dumps(values, allow_nan=False))["images"] == 81


def test_the_same_words_for_a_terminal(stack: Path) -> None:
    text = as_text(describe(str(stack), None))
    assert text.splitlines()[0].endswith("81 images of 16 x 20 pixels, LEDs 0 to 80")
    assert "3 negative pixels" in text and "synthetic NA" in text and "1000 of the file's unit" in text
    assert "nan" not in text


def test_warnings_follow_the_geometry(stack: Path, geometry: Geometry, tmp_path: Path) -> None:
    low = geometry.replace(array=geometry.array.replace(height_mm=20.0))
    (tmp_path / "low.toml").write_text(to_toml(low), encoding="utf-8")
    values = describe(str(stack), str(tmp_path / "low.toml"))
    assert any("raise the array" in warning for warning in values["derived"]["warnings"])
    assert any("height_mm" in note for note in values["notes"])
    assert "warning: " in as_text(values)


def test_objects_without_and_with_a_geometry(geometry: Geometry, tmp_path: Path) -> None:
    some = TrainingSet(
        objects=np.ones((4, 12, 12), np.complex64),
        sources=np.array([0, 0, 1, 1]),
        pixel_size_um=0.5,
        source_names=("a", "b"),
    )
    path = save_hdf5(tmp_path / "objects.h5", some)
    values = describe(str(path), None)
    assert values["kind"] == "training set" and values["objects"] == 4 and values["sources"] == ["a", "b"]
    assert "geometry" not in values and "derived" not in values
    assert as_text(values).splitlines()[-1].startswith("no geometry: give a TOML file")
    (tmp_path / "g.toml").write_text(to_toml(geometry), encoding="utf-8")
    assert describe(str(path), str(tmp_path / "g.toml"))["derived"]["led_count"] == 81


def test_the_sample_data() -> None:
    for name in ("objects.h5", "stack.ome.tif"):
        values = describe(str(sample_data() / name), None)
        assert values["derived"]["led_count"] == 81
        assert as_text(values)
    assert describe(str(sample_data() / "stack.ome.tif"), None)["sha256"] == sha256_file(
        sample_data() / "stack.ome.tif"
    )


@pytest.mark.parametrize("path", sorted((resources() / "geometries").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_geometry_can_be_described(path: Path, tmp_path: Path) -> None:
    some = TrainingSet(
        objects=np.ones((2, 8, 8), np.complex64), sources=np.arange(2), pixel_size_um=0.5, source_names=("a", "b")
    )
    values = describe(str(save_hdf5(tmp_path / "objects.h5", some)), str(path))
    assert values["derived"]["bright_field_leds"] > 0
    assert np.isfinite([v for v in values["derived"].values() if isinstance(v, float)]).all()
    assert as_text(values)


def test_what_is_not_there(tmp_path: Path, stack: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        describe(str(tmp_path / "nope"), None)
    with pytest.raises(SettingsError, match="no file"):
        describe(str(stack), str(tmp_path / "nope.toml"))
