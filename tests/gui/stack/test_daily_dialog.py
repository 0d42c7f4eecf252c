"""Daily use in the window: a design, a folder, and phase as sets arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workflows import daily

from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.daily_dialog import DailyDialog
from ptychoui.gui.widgets.files import Files
from ptychoui.session.worker import RunState
from ptychoui.workflows import watched_sets

LONG = 60_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few passes, and a given prior."""
    full = watched_sets.DailyPlan

    def short(**values: object) -> watched_sets.DailyPlan:
        return full(**{**values, "passes": 20, "smoothness": 0.0, "look_s": 0.01})

    monkeypatch.setattr(watched_sets, "DailyPlan", short)


@pytest.fixture
def dialog(window: MainWindow) -> DailyDialog:
    window.actions_by_key["daily"].trigger()
    found = window.findChildren(DailyDialog)
    window.actions_by_key["daily"].trigger()
    assert window.findChildren(DailyDialog) == found
    return found[0]


def fill(dialog: DailyDialog, tmp_path: Path) -> Path:
    camera = tmp_path / "camera"
    camera.mkdir()
    dialog.design.setText(str(daily.write_design(tmp_path / "design.json")))
    dialog.source.setText(str(camera))
    return camera


def texts(dialog: DailyDialog) -> list[str]:
    return [dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())]  # type: ignore[union-attr]


def test_sets_are_shown_as_they_arrive_until_the_stop(
    window: MainWindow, dialog: DailyDialog, tmp_path: Path, qtbot: Any
) -> None:
    camera = fill(dialog, tmp_path)
    assert dialog.results.text() == str(tmp_path / "camera-phase")
    dialog.begin.click()
    assert window.controller.task == "daily" and not dialog.begin.isEnabled() and not dialog.design.isEnabled()
    qtbot.waitUntil(lambda: dialog.halt.isEnabled() and "Waiting" in dialog.status.time_left.text(), timeout=LONG)
    daily.write_images(camera / "a.tif", *daily.images())
    qtbot.waitUntil(lambda: texts(dialog) == ["a"], timeout=LONG)
    line = window.document.daily.lines[0].done
    assert line is not None and line.phase_rad is not None and dialog.panel.image is not None
    assert np.array_equal(dialog.panel.image, line.phase_rad) and dialog.panel.title == "a: phase (rad)"
    dialog.contrast.set_limits(-0.25, 0.5)
    daily.write_images(camera / "b.tif", *daily.images()[:3])
    qtbot.waitUntil(lambda: len(texts(dialog)) == 2, timeout=LONG)
    assert texts(dialog)[1].startswith("B.tif holds 3 images") or texts(dialog)[1].startswith("b.tif holds 3 images")
    daily.write_images(camera / "c.tif", *(0.5 * daily.images()))
    qtbot.waitUntil(lambda: texts(dialog)[-1] == "c", timeout=LONG)
    assert dialog.panel.title == "c: phase (rad)" and dialog.table.currentRow() == 2
    assert (dialog.contrast.low, dialog.contrast.high) == (-0.25, 0.5)  # contrast is kept from set to set
    assert tuple(dialog.panel.item.getLevels()) == (-0.25, 0.5)
    dialog.table.selectRow(0)
    qtbot.waitUntil(lambda: dialog.panel.title == "a: phase (rad)", timeout=LONG)
    assert np.allclose(dialog.panel.image, line.phase_rad)
    daily.write_images(camera / "d.tif", *daily.images())
    qtbot.waitUntil(lambda: texts(dialog)[-1] == "d", timeout=LONG)
    assert dialog.panel.title == "a: phase (rad)" and dialog.table.currentRow() == 0
    dialog.halt.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    assert dialog.begin.isEnabled() and "3 sets done" in dialog.status.time_left.text()
    assert sorted(path.name for path in (tmp_path / "camera-phase").iterdir()) == sorted(
        f"{name}{ending}" for name in "acd" for ending in (".phase.tif", ".reconstruction.h5")
    )


def test_one_recording_with_the_open_design(
    window: MainWindow, dialog: DailyDialog, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog.use_open.click()
    assert "no patterns yet" in dialog.trouble.text()
    monkeypatch.setattr(type(window.document), "patterns", lambda self: daily.patterns())
    dialog.use_open.click()
    assert dialog.design.text() == "four, 4 patterns (open in the window)"
    path = daily.write_images(tmp_path / "one.tif", *daily.images())
    monkeypatch.setattr(Files, "to_open", classmethod(lambda cls, parent: str(path)))
    dialog.file.click()
    assert dialog.single.isChecked() and dialog.results.text() == str(tmp_path / "one-phase")
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    qtbot.waitUntil(lambda: texts(dialog) == ["one"], timeout=LONG)
    assert "1 set done" in dialog.status.time_left.text()


def test_what_is_wrong_is_said_in_the_dialog(
    window: MainWindow, dialog: DailyDialog, tmp_path: Path, qtbot: Any
) -> None:
    dialog.begin.click()
    assert "no design" in dialog.trouble.text() and not window.controller.state.active
    fill(dialog, tmp_path)
    dialog.design.setText(str(tmp_path / "none.json"))
    dialog.begin.click()
    qtbot.waitUntil(lambda: "none.json" in dialog.trouble.text(), timeout=LONG)
    assert dialog.begin.isEnabled()


def test_closing_the_dialog_or_the_window_ends_the_watch(
    window: MainWindow, dialog: DailyDialog, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        dialogs.CloseDailyQuestion, "ask", classmethod(lambda cls, parent: asked.append("") or "cancel")
    )
    fill(dialog, tmp_path)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    window.close()
    assert asked and window.isVisible()
    dialog.close()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
