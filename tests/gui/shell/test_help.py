from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtTest import QTest

from ptychoui import __version__
from ptychoui.gui.shell.about_box import AboutBox
from ptychoui.gui.shell.guide import ABOUT, Guide
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.files import Files
from ptychoui.session.way import TITLES

LONG = 60_000


def test_f1_opens_the_guide_which_follows_what_is_done(window: MainWindow, qtbot: Any) -> None:
    QTest.keyClick(window, Qt.Key.Key_F1)
    guide = window.findChild(Guide)
    assert guide is not None and guide.isVisible() and set(ABOUT) == set(TITLES)
    assert "▶ next" in guide._said["open"].text() and "has to wait" in guide._said["train"].text()
    window.open_sample_objects()
    qtbot.waitUntil(lambda: "✓ done" in guide._said["open"].text(), timeout=LONG)
    assert not guide.buttons["reconstruct"].isEnabled() and "not for what is open" in guide._said["reconstruct"].text()
    QTest.keyClick(window, Qt.Key.Key_F1)
    assert len(window.findChildren(Guide)) == 1
    window.panels.docks["run"].hide()
    qtbot.mouseClick(guide.buttons["train"], Qt.MouseButton.LeftButton)
    assert window.panels.docks["run"].isVisible()
    guide.close()


def test_about_says_what_the_program_stands_on(window: MainWindow, qtbot: Any) -> None:
    window.actions_by_key["about"].trigger()
    box = window.findChild(AboutBox)
    assert box is not None and box.isVisible()
    assert f"ptychoui {__version__}" in box.text and "torch" in box.text and "PyQt6" in box.text
    box.copy()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None and clipboard.text() == box.text
    box.close()


def test_a_problem_is_reported_in_one_file(
    window: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.tell("error", "cannot read /home/ann/stack.tif", "look")
    target = tmp_path / "report.zip"
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *_: str(target)))
    window.actions_by_key["problem"].trigger()
    qtbot.waitUntil(target.exists, timeout=LONG)
    with zipfile.ZipFile(target) as archive:
        assert archive.read("messages.txt").decode() == "cannot read …/stack.tif\nlook"
        assert "window 1280 x 800" in archive.read("about.json").decode()
    qtbot.waitUntil(lambda: str(target) in window.panels.messages.texts()[-1], timeout=LONG)
