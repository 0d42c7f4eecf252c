from __future__ import annotations

from typing import Any

import pytest
from PyQt6.QtCore import Qt

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.way import TITLES

LONG = 60_000


def opened(window: MainWindow, qtbot: Any) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)


def test_steps_say_in_words_and_marks_what_they_are(window: MainWindow, qtbot: Any) -> None:
    bar = window.way.bar
    assert bar.buttons["open"].text() == "▶ Open" and bar.next.whole.startswith("Next: Open an LED stack")
    assert bar.buttons["export"].text() == "· Export" and "has to wait" in bar.buttons["export"].toolTip()
    opened(window, qtbot)
    assert bar.buttons["open"].text() == "✓ Open"
    assert bar.buttons["reconstruct"].text() == "▶ Reconstruct" and bar.buttons["reconstruct"].font().bold()
    assert bar.buttons["open"].accessibleName() == "Open: done"


def test_a_step_that_waits_says_why(window: MainWindow, qtbot: Any) -> None:
    qtbot.mouseClick(window.way.bar.buttons["train"], Qt.MouseButton.LeftButton)
    assert window.panels.toast.title.text() == "Open data with a geometry first"


@pytest.mark.parametrize(("key", "dock"), [("geometry", "geometry"), ("reconstruct", "reconstruct"), ("train", "run")])
def test_steps_bring_their_panels_to_the_front(window: MainWindow, qtbot: Any, key: str, dock: str) -> None:
    opened(window, qtbot)
    panels = window.panels
    panels.docks["runs"].raise_()
    panels.docks[dock].hide()
    qtbot.mouseClick(window.way.bar.buttons[key], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panels.docks[dock].visibleRegion().isEmpty(), timeout=LONG)


def test_steps_that_are_commands_do_them(window: MainWindow, qtbot: Any) -> None:
    triggered: list[str] = []
    for key in ("open", "export"):
        action = window.actions_by_key[key]
        action.triggered.disconnect()
        action.triggered.connect(lambda _=False, key=key: triggered.append(key))
    qtbot.mouseClick(window.way.bar.buttons["open"], Qt.MouseButton.LeftButton)
    opened(window, qtbot)
    qtbot.mouseClick(window.way.bar.buttons["export"], Qt.MouseButton.LeftButton)
    assert triggered == ["open", "export"]


def test_the_way_ends_with_what_was_written(window: MainWindow, qtbot: Any) -> None:
    opened(window, qtbot)
    window.way.mark_exported()
    assert window.way.bar.buttons["export"].text() == "✓ Export"
    window.open_sample_objects()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    assert window.way.bar.buttons["export"].text() == "○ Export"
    assert window.way.bar.buttons["reconstruct"].isHidden()


def test_every_step_has_a_button(window: MainWindow) -> None:
    assert list(window.way.bar.buttons) == list(TITLES)
    assert all(button.focusPolicy() == Qt.FocusPolicy.StrongFocus for button in window.way.bar.buttons.values())
