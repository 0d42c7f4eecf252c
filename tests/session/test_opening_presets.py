"""A preset that is chosen while a stack is open keeps what the stack's file states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from ptychoui.paths import resources
from ptychoui.session.opening import OpenedGeometry, open_or_ask
from ptychoui.settings import DataSource, load_geometry

PRESET = resources() / "geometries" / "uconn_bloodsmear.toml"


def chosen(path: Path, data: DataSource | None) -> OpenedGeometry:
    found = open_or_ask(path, None, data)
    assert isinstance(found, OpenedGeometry)
    return found


def test_a_preset_keeps_what_the_open_data_state(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((8, 8, 225)) + 0.1
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": images, "wlength": 5.3e-7, "z": 1e-5, "yint": 0.35, "xint": 0.1})
    data = DataSource(path=str(tmp_path / "s.mat"))
    found = chosen(PRESET, data)
    assert found.filled_in and found.geometry.microscope.wavelength_um == 0.53
    assert found.geometry.microscope.defocus_um == 10.0 and found.geometry.array.pose.shift_y_mm == 0.35
    assert any("0.53 um in the data file and 0.63 um in the preset" in note for note in found.notes)
    own = tmp_path / "own.toml"
    own.write_text(PRESET.read_text())
    for path, source in ((own, data), (PRESET, None), (PRESET, DataSource())):
        found = chosen(path, source)
        assert found.geometry == load_geometry(PRESET) and not found.filled_in


def test_a_preset_that_does_not_fit_the_data_is_taken_as_it_is(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": np.ones((8, 8, 9))})
    found = chosen(PRESET, DataSource(path=str(tmp_path / "s.mat")))
    assert found.geometry == load_geometry(PRESET) and not found.filled_in
