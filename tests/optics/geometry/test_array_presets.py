"""Presets load, say where they come from, and have the numbers of the tables they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptychoui.errors import GeometryError, SettingsError
from ptychoui.optics.geometry import presets
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.presets import array_preset, array_presets, microscope_preset, microscope_presets
from ptychoui.paths import resources
from ptychoui.settings import Geometry, load_geometry, to_toml

ARRAYS = sorted(path.stem for path in (resources() / "arrays").glob("*.toml"))
MICROSCOPES = sorted(path.stem for path in (resources() / "microscopes").glob("*.toml"))
FIRMWARE = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "led_positions"

COUNTS = {
    "waller_quasi_dome": 581,
    "sci_round": 257,
    "sci_iris": 256,
    "sci_dome": 793,
    "sci_big_wing": 1529,
    "sci_epi_dome": 720,
    "sci_asym": 48,
    "luled_quad": 256,
    "quadrant_tiles": 256,
    "panel_32x32_p3": 1024,
    "panel_32x32_p4": 1024,
    "panel_32x32_p5": 1024,
    "panel_32x32_p6": 1024,
    "ws2812_16x16": 256,
    "uc2_8x8": 64,
    "uc2_rings": 136,
    "squid_dotstar": 128,
    "vem_rings": 93,
    "uconn_spiral": 225,
    "tian_disc": 293,
    "learned_design_293": 293,
}
LARGEST_NA_AT_50_MM = {
    "waller_quasi_dome": 0.97,
    "sci_round": 0.66,
    "sci_iris": 0.66,
    "sci_dome": 0.91,
    "sci_epi_dome": 0.96,
    "sci_asym": 0.42,
    "luled_quad": 0.65,
}


def test_every_array_has_its_number_of_leds() -> None:
    assert {preset.key: len(led_array(preset.array)) for preset in array_presets()} == COUNTS


@pytest.mark.parametrize("key", sorted(LARGEST_NA_AT_50_MM))
def test_extent_of_the_arrays_of_the_firmware(key: str) -> None:
    leds = led_array(array_preset(key).array.replace(height_mm=50.0))
    assert leds.radius_na.max() == pytest.approx(LARGEST_NA_AT_50_MM[key], abs=0.013)


@pytest.mark.parametrize("key", ARRAYS)
def test_arrays_say_what_is_theirs(key: str) -> None:
    preset = array_preset(key)
    assert preset.key == key and "height_mm" in preset.measure
    if "positions_mm" in preset.measure:
        assert any(word in preset.description for word in ("nominal", "placeholder", "check it"))
        assert "positions" in preset.description
    assert all(0.3 < wavelength < 1.0 for wavelength in preset.wavelengths_um.values())
    for colour in preset.array.die_offsets_mm:
        assert colour in preset.wavelengths_um


@pytest.mark.parametrize("key", MICROSCOPES)
def test_microscopes_go_with_the_array_they_name(key: str, tmp_path: Path) -> None:
    preset = microscope_preset(key)
    assert preset.microscope.wavelength_um in preset.wavelengths_um.values()
    array = array_preset(preset.led_array or "panel_32x32_p4").array
    geometry = Geometry(microscope=preset.microscope, array=array)
    if preset.led_array:
        assert led_array(array).bright_field(preset.microscope.objective_na).any()
    (tmp_path / "geometry.toml").write_text(to_toml(geometry), encoding="utf-8")
    assert load_geometry(tmp_path / "geometry.toml") == geometry


def test_lists_are_sorted_by_name_and_complete() -> None:
    for listed, keys in ((array_presets(), ARRAYS), (microscope_presets(), MICROSCOPES)):
        names = [preset.name for preset in listed]
        assert names == sorted(names, key=str.lower) and len(set(names)) == len(names)
        assert sorted(preset.key for preset in listed) == keys


def test_the_round_board_is_that_of_its_firmware() -> None:
    path = FIRMWARE / "sci_round257_led_position_list_cartesian.json"
    if not path.exists():
        pytest.skip("the firmware's table of the round board is not here")
    table = json.loads(path.read_text())["led_position_list_cartesian"]
    leds = led_array(array_preset("sci_round").array)
    firmware = np.array([table[str(number)] for number in leds.numbers])
    assert np.abs(leds.positions_mm[:, :2] - firmware[:, :2]).max() < 0.0101  # rounded to 0.01 mm


def test_a_board_of_the_wrong_kind_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="there is no preset 'nothing' in arrays") as error:
        array_preset("nothing")
    assert "sci_round" in error.value.hint
    (tmp_path / "arrays").mkdir()
    file = tmp_path / "arrays" / "mine.toml"
    head = 'name = "mine"\ndescription = "d"\nsource = "s"\n'
    monkeypatch.setattr(presets, "resources", lambda: tmp_path)
    file.write_text(head + 'measure = ["pich_mm"]\n[array]\nheight_mm = 50.0\nkind = "rings"\n')
    with pytest.raises(SettingsError, match=r"mine\.toml: .*also needs ring_radii_mm"):
        array_presets()
    file.write_text(head + 'measure = ["pich_mm"]\n[array]\nheight_mm = 50.0\npitch_mm = 1.0\nrows = 2\ncolumns = 2\n')
    with pytest.raises(SettingsError, match=r"mine\.toml: .*'pich_mm' is no setting"):
        array_presets()
    file.write_text(head + "measure = []\n[array]\nheight_mm = 50.0\npitch_mm = 0.0\nrows = 2\ncolumns = 2\n")
    with pytest.raises((SettingsError, GeometryError), match=r"mine\.toml: LED pitch of 0 mm"):
        array_presets()


def test_the_lit_die_follows_the_wavelength() -> None:
    preset = array_preset("panel_32x32_p6")
    found = [preset.for_wavelength(wavelength).colour for wavelength in (0.66, 0.532, 0.45)]
    assert found == ["red", "green", "blue"]
    plain = array_preset("sci_round")
    assert plain.for_wavelength(0.63) is plain.array


def test_what_is_to_be_measured_in_words() -> None:
    assert microscope_preset("zheng2013").to_measure() == ("objective NA", "camera pixel", "magnification")
    assert array_preset("uconn_spiral").to_measure() == ("height", "shift x", "shift y", "rotation")
    text = array_preset("sci_iris").about()
    assert "near infrared" in text and "firmware" in text and text.endswith("To be measured: height, positions.")
    assert microscope_preset("tian2014").about().endswith("LED array: Disc of 293 LEDs of a P4 panel.")


def test_the_published_list_is_sorted_by_radius() -> None:
    """na_list of the released notebooks: 0, 0.0866, ..., 21 LEDs below NA 0.2 and 89 below 0.42, the first ones."""
    leds = led_array(array_preset("learned_design_293").array)
    assert leds.numbers.tolist() == list(range(293)) and (np.diff(leds.radius_na) > -1e-12).all()
    assert leds.radius_na[[0, 1, 4]].round(4).tolist() == [0.0, 0.0866, 0.0866]
    assert (np.count_nonzero(leds.radius_na < 0.2), np.count_nonzero(leds.radius_na < 0.42)) == (21, 89)
