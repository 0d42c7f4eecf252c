"""Where there is little room, the progress yields to the array that was asked for, and comes back."""

from __future__ import annotations

from typing import Any

import pytest
from PyQt6.QtWidgets import QApplication

from ptychoui.gui.shell import panels as shell_panels
from ptychoui.gui.shell.main_window import MainWindow


@pytest.mark.parametrize("little", [True, False])
def test_the_progress_yields_where_there_is_little_room(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, little: bool
) -> None:
    monkeypatch.setattr(shell_panels, "LEAST_ROOM", 1000 if little else 0)
    docks = window.panels.docks
    QApplication.processEvents()
    window.send_to_array()
    qtbot.waitUntil(lambda: docks["progress"].isHidden() is little, timeout=20_000)
    docks["run"].raise_()
    qtbot.waitUntil(lambda: not docks["progress"].isHidden(), timeout=20_000)


def test_the_progress_that_was_closed_stays_closed(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_panels, "LEAST_ROOM", 1000)
    docks = window.panels.docks
    docks["progress"].hide()
    window.send_to_array()
    docks["run"].raise_()
    QApplication.processEvents()
    assert docks["progress"].isHidden()
