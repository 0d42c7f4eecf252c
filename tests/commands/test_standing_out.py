"""The command line names the LEDs that the window rings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands.calls import Call

from ptychoui.commands.reconstruct import _standing_out
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.results import load_reconstruction
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.session.stored_report import leds_that_stand_out, open_report
from ptychoui.settings import Array, Geometry, Measurement, Microscope

GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0),
    array=Array(kind="lattice", rows=7, columns=7, pitch_mm=4.0, height_mm=50.0),
)
QUICK = ("--passes", 8, "--no-check")  # whether the geometry fits has tests of its own


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.array(simulate_stack(GEOMETRY, GEOMETRY, Measurement(noise="none"), 64, seed=0)[0].images)


def written(path: Path, images: np.ndarray) -> Path:
    made, _ = simulate_stack(GEOMETRY, GEOMETRY, Measurement(noise="none"), 64, seed=0)
    return save_hdf5(path, replace(made, images=images))


def test_a_good_stack_has_none(works: Call, images: np.ndarray, tmp_path: Path) -> None:
    stack = written(tmp_path / "s.h5", images)
    words = ("reconstruct", stack, "-o", tmp_path / "o.h5", *QUICK)
    assert works(*words, "--json")["standing_out"] == []
    assert "stand" not in works(*words)


def test_two_swapped_images_and_a_dark_one(works: Call, images: np.ndarray, tmp_path: Path) -> None:
    """Every LED that is wrong is named, and the window, that reads the result, says the same."""
    wrong = images.copy()
    wrong[[17, 31]] = images[[31, 17]]
    wrong[12] = 0
    words = ("reconstruct", written(tmp_path / "s.h5", wrong), "-o", tmp_path / "o.h5", *QUICK)
    found = works(*words, "--json")["standing_out"]
    assert {17, 12, 31} <= {led["led"] for led in found} and all(led["reason"] for led in found)
    quality = open_report(tmp_path / "o.h5").quality
    assert {led["led"] for led in found} == set(np.flatnonzero(quality.outlier))
    said = works(*words)
    assert "out from those at similar NA" in said and "--without" in said
    left = works(*words, "--json", "--without", 17, 12, 31)
    assert left["standing_out"] == [] and left["fitted_residual"] < 0.01


def test_of_tiles_what_is_out_in_half_of_them(works: Call, images: np.ndarray, tmp_path: Path) -> None:
    wrong = images.copy()
    wrong[[17, 31]] = images[[31, 17]]
    works("reconstruct", written(tmp_path / "s.h5", wrong), "-o", tmp_path / "o.h5", *QUICK)
    one, good = load_reconstruction(tmp_path / "o.h5"), written(tmp_path / "good.h5", images)
    works("reconstruct", good, "-o", tmp_path / "o2.h5", *QUICK)
    clean = load_reconstruction(tmp_path / "o2.h5")
    per_tile = ("pupil", "zernike_waves", "illumination_na", "gain", "background", "light", "residual", "corners_px")
    for tiles, expected in (((one, clean), {17, 31}), ((one, clean, clean), set())):
        joined = {name: np.concatenate([getattr(tile, name) for tile in tiles]) for name in per_tile}
        history = np.full((len(tiles), 8), 0.1)
        named = set(leds_that_stand_out(replace(one, **joined, history=history)))
        assert named >= expected and bool(named) == bool(expected)


def test_many_leds_are_counted() -> None:
    said = _standing_out(dict.fromkeys(range(9), "too dim"))
    assert said.startswith("9 LEDs stand out") and "5 (too dim); and 3 more" in said and "--json" in said
    assert "1 LED stands out" in _standing_out({4: "too dim"}) and "--without 4" in _standing_out({4: "too dim"})
