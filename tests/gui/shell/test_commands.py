from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtGui import QKeySequence
from PyQt6.QtWidgets import QDialog

from ptychoui.gui.shell.commands import COMMANDS, MENUS, TOOLBAR
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.export_dialog import ExportDialog
from ptychoui.paths import resources


@pytest.mark.parametrize("key", [key for key in COMMANDS if key not in ("close", "quit", "demo")])
def test_every_command_can_be_triggered_in_an_empty_window(window: MainWindow, qtbot: Any, key: str) -> None:
    action = window.actions_by_key[key]
    action.setEnabled(True)
    action.trigger()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=20000)
    qtbot.wait(50)
    assert window.isVisible()
    errors = [
        m for m in window.panels.messages.messages if m.details.startswith("Traceback") and "Unexpected" in m.text
    ]
    assert not errors
    for dialog in window.findChildren(QDialog):
        dialog.close()


@pytest.mark.parametrize("key", ["close", "quit"])
def test_closing_commands_close(window: MainWindow, key: str) -> None:
    window.actions_by_key[key].trigger()
    assert not window.isVisible()


def test_shortcuts_are_valid_and_unique() -> None:
    keys = [command.shortcut for command in COMMANDS.values() if command.shortcut]
    assert len(keys) == len(set(keys))
    assert all(QKeySequence(key).toString() for key in keys)


def test_menus_and_toolbar_name_commands_only() -> None:
    listed = [key for keys in (*MENUS.values(), TOOLBAR) for key in keys if key and not key.startswith("@")]
    assert set(listed) == set(COMMANDS)


def test_every_command_has_a_tip_and_its_icon() -> None:
    for command in COMMANDS.values():
        assert command.tip and command.tip[0].isupper() and not command.tip.endswith(".")
        if command.icon:
            assert (resources() / "icons" / f"{command.icon}.svg").is_file(), command.key


def test_export_writes_what_was_asked_for(
    window: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(cls: type[ExportDialog], patterns: Any, folder: Path, parent: Any) -> Any:
        dialog = cls(patterns, tmp_path, parent)
        for place in range(dialog.formats.count()):
            dialog.formats.setCurrentIndex(place)
            assert "patterns of 81 LEDs" in dialog.summary.text()
        dialog.formats.setCurrentIndex(dialog.formats.findData("json"))
        dialog.bits.setValue(4)
        choice = dialog.choice()
        dialog.deleteLater()
        return choice

    monkeypatch.setattr(ExportDialog, "ask", classmethod(choose))
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=20000)
    window.export()
    qtbot.waitUntil(lambda: any("written" in m.text for m in window.panels.messages.messages), timeout=20000)
    assert list(tmp_path.glob("*.json"))
