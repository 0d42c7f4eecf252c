from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from PyQt6.QtWidgets import QDialog

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.orientation_dialog import OrientationDialog
from ptychoui.optics.calibration import orientation
from ptychoui.optics.geometry.pose import Variant, laid_out
from ptychoui.session.worker import RunState

LONG = 120_000


@pytest.fixture
def small(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    assert window.controller.edit_plan("size_px", 32) == ""
    return window


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few passes: how well layouts are told apart has tests of its own."""
    monkeypatch.setattr(orientation, "try_orientations", partial(orientation.try_orientations, passes=2))


def dialog_of(window: MainWindow) -> OrientationDialog:
    found = window.findChild(OrientationDialog)
    assert isinstance(found, OrientationDialog)
    return found


def test_a_mirrored_array_is_put_right_with_undo(small: MainWindow, qtbot: Any) -> None:
    window = small
    right = window.document.geometry
    assert right is not None
    wrong = right.replace(array=laid_out(right.array, Variant(True, False, False)))
    window.controller.edit_geometry(wrong, "mirror", "")
    window.actions_by_key["orientation"].trigger()
    dialog = dialog_of(window)
    assert dialog.leave.text() == "Cancel"
    qtbot.waitUntil(lambda: dialog.status.state.text() == "Trying orientations", timeout=LONG)
    assert window.panels.stack_run.state.text() == "Testing orientation"
    assert not dialog.use.isEnabled() and not window.actions_by_key["orientation"].isEnabled()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert dialog.table.rowCount() == 8 and dialog.leave.text() == "Close"
    names = [dialog.table.item(row, 0).text() for row in range(8)]
    assert "flip x" in names[:2] and "none" in names[2:]
    assert "worse" in dialog.verdict.text() and dialog.verdict.isVisible()
    dialog.table.selectRow(names.index("none"))
    assert not dialog.use.isEnabled() and "already" in dialog.use.toolTip()
    dialog.table.selectRow(names.index("flip x"))
    window.switch_theme()
    window.switch_theme()
    dialog.use.click()
    assert not dialog.isVisible()
    assert window.document.geometry == right and window.document.undo_label == "Orientation"
    window.undo()
    assert window.document.geometry == wrong
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


@pytest.mark.parametrize("way", ["cancel", "escape", "window"])
def test_closing_in_mid_test_cancels_it(small: MainWindow, qtbot: Any, way: str) -> None:
    window = small
    before = window.document.geometry
    window.test_orientation()
    dialog = dialog_of(window)
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    if way == "cancel":
        dialog.leave.click()
    elif way == "escape":
        dialog.reject()
    else:
        dialog.close()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert window.controller.state is RunState.STOPPED
    assert window.document.orientation.found is None and window.document.geometry == before


def test_another_document_closes_the_dialog(hasty: None, small: MainWindow, qtbot: Any) -> None:
    window = small
    window.test_orientation()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    dialog = dialog_of(window)
    window.open_sample_stack()
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


def test_what_cannot_be_tested_is_said_in_the_dialog(small: MainWindow, qtbot: Any) -> None:
    window = small
    geometry = window.document.geometry
    assert geometry is not None
    tilted = geometry.array.pose.replace(tilt_x_deg=1.0, tilt_y_deg=1.0)
    window.controller.edit_geometry(geometry.replace(array=geometry.array.replace(pose=tilted)), "tilt", "")
    window.test_orientation()
    dialog = dialog_of(window)
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    assert "tilted about both axes" in dialog.trouble.text() and dialog.trouble.isVisible()
    assert dialog.table.rowCount() == 0 and not dialog.use.isEnabled()


def test_without_a_stack_there_is_no_dialog(window: MainWindow) -> None:
    window.test_orientation()
    assert not window.findChildren(QDialog)
    assert "no LED stack" in window.panels.messages.messages[-1].text


def test_a_geometry_that_is_edited_makes_a_test_stale(hasty: None, small: MainWindow, qtbot: Any) -> None:
    window = small
    window.test_orientation()
    dialog = dialog_of(window)
    window.test_orientation()
    assert window.findChildren(OrientationDialog) == [dialog]
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    names = [dialog.table.item(row, 0).text() for row in range(8)]
    dialog.table.selectRow(names.index("swap x and y"))
    assert dialog.use.isEnabled()
    geometry = window.document.geometry
    assert geometry is not None
    edited = geometry.replace(microscope=geometry.microscope.replace(wavelength_um=0.6))
    window.controller.edit_geometry(edited, "wavelength", "")
    assert dialog.isVisible() and not dialog.use.isEnabled() and "changed since" in dialog.use.toolTip()
    dialog.use.click()
    assert window.document.geometry == edited
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
