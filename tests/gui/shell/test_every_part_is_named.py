"""Everything that can be pressed, typed into, or looked at says what it is: in words, a tooltip, and for screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyqtgraph as pg
import pytest
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDialog,
    QDockWidget,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QScrollBar,
    QTabBar,
    QToolButton,
    QWidget,
)

from ptychoui.gui.compare.compare_dialog import CompareDialog
from ptychoui.gui.shell.about_box import AboutBox
from ptychoui.gui.shell.dialogs import ShortcutList
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.daily_dialog import DailyDialog
from ptychoui.gui.stack.orientation_dialog import OrientationDialog
from ptychoui.gui.stack.profile_guide import ProfileGuide
from ptychoui.gui.training.export_dialog import ExportDialog
from ptychoui.gui.training.led_sight import SightDialog
from ptychoui.gui.training.strategy_dialog import StrategyDialog
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.session.opening import demo_experiment

FIELDS = (QLineEdit, QAbstractSpinBox, QComboBox, QAbstractSlider)
LONG = 60_000


def of_qt(widget: QWidget) -> bool:
    """What Qt makes inside of its own widgets: scroll bars, the text of a box, buttons of a dock, a tab or a menu bar."""
    name = widget.objectName()
    parent = widget.parent()
    return (
        name.startswith("qt_")
        or isinstance(widget, QScrollBar)
        or isinstance(parent, (QAbstractSpinBox, QComboBox, QDockWidget, QTabBar, QAbstractItemView))
        or (parent is not None and parent.inherits("QComboBoxPrivateContainer"))
        or (isinstance(parent, QLineEdit) and isinstance(widget, QToolButton))
    )


def tip_of(widget: QWidget) -> str:
    action = widget.defaultAction() if isinstance(widget, QToolButton) else None
    return widget.toolTip() or (action.toolTip() if action is not None else "")


def faults(whole: QWidget) -> list[str]:
    """What is not named, in words."""
    found = []
    labels = {label.buddy() for label in whole.findChildren(QLabel) if label.buddy() is not None}
    for widget in whole.findChildren(QWidget):
        if of_qt(widget):
            continue
        where = f"{type(whole).__name__}: {type(widget.parent()).__name__} > {type(widget).__name__}"
        if isinstance(widget, QAbstractButton):
            said = widget.text().replace("&", "")
            mark = not any(letter.isalpha() for letter in said)
            if not tip_of(widget) or tip_of(widget).replace("&", "") == said:
                found.append(f"{where} {said!r}: no tooltip")
            if mark and not widget.accessibleName() and not said.strip("… "):
                found.append(f"{where} {tip_of(widget)!r}: no name for screen readers")
        elif isinstance(widget, FIELDS):
            if not widget.toolTip():
                found.append(f"{where} {widget.accessibleName()!r}: no tooltip")
            if not widget.accessibleName() and widget not in labels:
                found.append(f"{where} {widget.toolTip()!r}: no name for screen readers")
        elif isinstance(widget, (pg.PlotWidget, ImagePanel)) or widget.findChild(FigureMenu) in widget.children():
            if not (widget.accessibleName() or getattr(widget, "title", "")):
                found.append(f"{where}: a figure without a name")
        elif isinstance(widget, (QAbstractItemView, QPlainTextEdit)):
            if not (widget.accessibleName() or widget.toolTip() or widget in labels):
                found.append(f"{where}: a list without a name")
    return found


@pytest.fixture
def opened(window: MainWindow, qtbot: Any) -> Iterator[MainWindow]:
    window.document.replace_experiment(demo_experiment(), None)
    window._show_document("all")
    yield window


def test_everything_in_the_window_is_named(opened: MainWindow) -> None:
    assert not (found := faults(opened)), "\n".join(found)


@pytest.mark.parametrize("of", ["sample_stack", "k_space"])
def test_everything_of_other_data_is_named(window: MainWindow, qtbot: Any, of: str) -> None:
    if of == "sample_stack":
        window.open_sample_stack()
        qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    else:
        window.open_sample_k_space()
        qtbot.waitUntil(lambda: window.document.k_space is not None and not window.controller.jobs.busy, timeout=LONG)
    assert not (found := faults(window)), "\n".join(found)


def dialogs_of(window: MainWindow) -> list[QDialog]:
    c = window.controller
    return [
        CompareDialog(c, window),
        StrategyDialog(c, window),
        OrientationDialog(c, window),
        DailyDialog(c, window),
        ProfileGuide(c, window),
        ExportDialog(window.document.patterns(), Path.cwd(), window),
        SightDialog(window),
        AboutBox(window),
        ShortcutList(window),
    ]


def test_everything_in_the_dialogs_is_named(opened: MainWindow) -> None:
    found: list[str] = []
    for dialog in dialogs_of(opened):
        if not isinstance(dialog, QMessageBox):
            found += faults(dialog)
        dialog.close()
        dialog.deleteLater()
    assert not found, "\n".join(found)


def test_every_action_says_what_it_does_and_a_closed_one_why(opened: MainWindow) -> None:
    for key, action in opened.actions_by_key.items():
        assert len(action.toolTip()) > len(action.text()) - 3, key
        if not action.isEnabled():
            assert "Not now: " in action.toolTip(), key
        else:
            assert "Not now" not in action.toolTip(), key
