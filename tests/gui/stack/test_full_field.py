from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.files import Files
from ptychoui.session.worker import RunState

LONG = 120_000


@pytest.fixture
def tiled(window: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    path = str(tmp_path / "field.h5")
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *words: path))
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    for name, value in (("size_px", 56), ("settings.passes", 2)):
        assert window.controller.edit_plan(name, value) == ""
    return window


def test_the_field_is_stopped_resumed_and_shown(tiled: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    window = tiled
    window.actions_by_key["field"].trigger()
    assert window.panels.stack_run.state.text() in ("Preparing…", "Reconstructing tiles")
    qtbot.waitUntil(lambda: "of 4, pass" in window.panels.stack_run.time_left.text(), timeout=LONG)
    last = window.document.field
    qtbot.waitUntil(lambda: last.last is not None and last.last.step >= 1, timeout=LONG)
    window.stop()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    if window.controller.state is RunState.STOPPED:
        assert "kept in field.h5.tiles" in window.panels.messages.messages[-1].text
    window.full_field()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    report, result = window.document.reconstruction.report, window.panels.result
    assert report is not None and report.tiles == 4 and (tmp_path / "field.h5").is_file()
    assert window.panels.tabs.currentWidget() is result
    assert result.object.amplitude.image is report.amplitude
    result.show_page("Pupil")
    assert result.tile.isVisible()


def test_closing_in_mid_field_says_that_tiles_are_kept(
    tiled: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = tiled
    answers = ["cancel", "save"]
    monkeypatch.setattr(dialogs.CloseFieldQuestion, "ask", classmethod(lambda cls, parent: answers.pop(0)))
    assert window.controller.edit_plan("settings.passes", 500) == ""
    window.full_field()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    assert not window.close() and window.controller.state.active
    assert window.close() and answers == []
    assert (tmp_path / "field.h5.tiles").is_dir() and not (tmp_path / "field.h5").exists()


def test_a_file_that_cannot_be_written_is_said(tiled: MainWindow, qtbot: Any) -> None:
    window = tiled
    window.controller.reconstruct_field(Path("/nowhere/field.h5"))
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    assert "cannot be written" in window.panels.messages.messages[-1].text


def test_without_a_stack_nobody_is_asked_for_a_file(window: MainWindow) -> None:
    window.full_field()
    assert "no LED stack" in window.panels.messages.messages[-1].text
