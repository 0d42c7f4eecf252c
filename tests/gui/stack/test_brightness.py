"""Images that contradict their geometry are named as soon as they are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from session.test_assessment import BESIDE, RIGHT, stack

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.settings import Geometry

LONG = 60_000
SAID = "contradict the geometry"


def saved(path: Path, geometry: Geometry) -> Path:
    some = stack()
    save_hdf5(path, ImageStack(images=some.images, led_numbers=some.led_numbers, geometry=geometry))
    return path


def opened(window: MainWindow, qtbot: Any, path: Path) -> None:
    window.controller.open(str(path))
    settled(window, qtbot)


def settled(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not window.controller.jobs.busy and not window.controller.desk._open, timeout=LONG)


def said(window: MainWindow) -> list[str]:
    return [m.text for m in window.panels.messages.messages if SAID in m.text]


def test_a_wrong_geometry_is_named_on_opening_until_it_is_mended(
    window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    panel = window.panels.geometry
    opened(window, qtbot, saved(tmp_path / "beside.h5", BESIDE))
    assert len(said(window)) == 1 and said(window)[0] in panel.warnings.text()
    window.controller.edit_geometry(RIGHT, "shift", "")
    settled(window, qtbot)
    assert SAID not in panel.warnings.text()
    window.undo()
    settled(window, qtbot)
    assert SAID in panel.warnings.text()


def test_every_stack_is_told_of_and_a_right_one_says_nothing(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    for name in ("one", "another"):
        opened(window, qtbot, saved(tmp_path / f"{name}.h5", BESIDE))
    assert len(said(window)) == 2
    opened(window, qtbot, saved(tmp_path / "right.h5", RIGHT))
    assert len(said(window)) == 2 and SAID not in window.panels.geometry.warnings.text()


def test_the_same_doubt_is_said_once(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    opened(window, qtbot, saved(tmp_path / "beside.h5", BESIDE))
    scope = BESIDE.microscope.replace(camera_pixel_um=6.4)
    window.controller.edit_geometry(BESIDE.replace(microscope=scope), "pixel", "")
    settled(window, qtbot)
    assert len(said(window)) == 1 and SAID in window.panels.geometry.warnings.text()
