"""Presets in the geometry form: they fill in what the open data do not state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.optics.geometry.presets import array_preset, microscope_preset
from ptychoui.paths import resources

LONG = 60_000
PRESET = resources() / "geometries" / "uconn_bloodsmear.toml"


def quiet(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not window.controller.jobs.busy and not window.controller.desk._open, timeout=LONG)


@pytest.fixture
def smear(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).random((16, 16, 225)) + 0.1
    scipy.io.savemat(tmp_path / "s.mat", {"imlow_HDR": images, "wlength": 5.3e-7, "z": 1e-5, "yint": 0.35, "xint": 0.1})
    return tmp_path / "s.mat"


@pytest.mark.parametrize("native", [False, True])
def test_halves_replace_nothing_that_the_file_states(
    native: bool, window: MainWindow, qtbot: Any, smear: Path, tmp_path: Path
) -> None:
    panel, geometry = window.panels.geometry, open_dataset(smear, PRESET).geometry
    if native:
        window.controller.open(str(save_hdf5(tmp_path / "s.h5", open_dataset(smear, PRESET))))
    else:
        (tmp_path / "s.geometry.toml").write_text(
            "[microscope]\nobjective_na = 0.1\nmagnification = 2.0\ncamera_pixel_um = 3.69\n"
            '[array]\nkind = "spiral"\ncount = 225\npitch_mm = 4.0\nheight_mm = 90.88\n'
        )
        window.controller.open(str(smear))
    quiet(window, qtbot)
    before = window.document.geometry
    assert before is not None and geometry is not None
    panel.half_chosen.emit(microscope_preset("zheng2013"))
    quiet(window, qtbot)
    said = [message.text for message in window.panels.messages.messages]
    assert window.document.geometry == before  # the file beside it states the rest of the microscope
    panel.half_chosen.emit(array_preset("ws2812_16x16"))
    quiet(window, qtbot)
    if native:
        assert window.document.geometry == before and "was not used" in said[-1]
        assert not window.document.undo_label
    window.controller.open(str(PRESET))
    quiet(window, qtbot)
    found = window.document.geometry
    assert found is not None and found.microscope.wavelength_um == 0.53 and found.array.pose.shift_y_mm == 0.35


def test_a_half_is_taken_with_what_it_says_of_itself(window: MainWindow, qtbot: Any) -> None:
    window.controller.open_sample("sample:stack")
    quiet(window, qtbot)
    before, preset = window.document.geometry, microscope_preset("zheng2013")
    assert before is not None
    window.panels.geometry.half_chosen.emit(preset)
    assert window.document.geometry == before.replace(microscope=preset.microscope)
    assert window.document.undo_label == preset.name and preset.name in window.panels.geometry.source.text()
    window.undo()
    assert window.document.geometry == before
