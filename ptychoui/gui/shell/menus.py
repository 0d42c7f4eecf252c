"""Actions, menus and the toolbar, all made from the command table."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QMainWindow, QMenu, QToolBar

from ptychoui.gui.look.icons import icon
from ptychoui.gui.shell.commands import COMMANDS, MENUS, TOOLBAR
from ptychoui.gui.training.kinds import KindPanels
from ptychoui.gui.widgets.number_boxes import commit_typing
from ptychoui.gui.widgets.parts import by_font


def make_actions(window: QMainWindow) -> dict[str, QAction]:
    """One action per command, joined to the window's method of that name."""
    actions = {}
    for command in COMMANDS.values():
        action = QAction(command.text, window)
        action.setObjectName(command.key)
        action.setIconText(command.short or command.text.replace("&", ""))
        keys = f" ({command.shortcut})" if command.shortcut else ""
        action.setToolTip(command.tip + keys)
        action.setProperty("tip", command.tip + keys)
        action.setStatusTip("")
        action.setCheckable(command.checkable)
        if command.shortcut:
            action.setShortcut(QKeySequence(command.shortcut))
        method = getattr(window, command.method)
        if command.checkable:
            action.toggled.connect(method)
        else:
            action.triggered.connect(lambda _=False, method=method: _do(method))
        # Menus alone do not carry shortcuts when the menu bar is hidden.
        window.addAction(action)
        actions[command.key] = action
    set_icons(actions)
    return actions


def _do(method: Callable[[], object]) -> None:
    """Do what was asked for with what a person sees, though the field that is typed into has the focus yet."""
    commit_typing()
    method()


def set_icons(actions: dict[str, QAction]) -> None:
    """Draw the icons in the theme's colour."""
    for key, action in actions.items():
        if COMMANDS[key].icon:
            action.setIcon(icon(COMMANDS[key].icon))


def make_menus(window: QMainWindow, actions: dict[str, QAction]) -> dict[str, QMenu]:
    """Fill the menu bar; returns the menus that the window fills itself, by their mark."""
    bar = window.menuBar()
    filled: dict[str, QMenu] = {}
    if bar is None:
        return filled
    for title, keys in MENUS.items():
        menu = bar.addMenu(title)
        if menu is None:
            continue
        for key in keys:
            if key == "":
                menu.addSeparator()
            elif key == "@recent":
                filled[key] = menu.addMenu("Open &recent") or menu
            elif key == "@docks":
                filled[key] = menu.addMenu("&Panels") or menu
            else:
                menu.addAction(actions[key])
    return filled


def make_toolbar(window: QMainWindow, actions: dict[str, QAction]) -> QToolBar:
    """The toolbar: text beside icons for what is done most."""
    bar = QToolBar("Toolbar", window)
    bar.setObjectName("toolbar")
    bar.setMovable(False)
    by_font(bar, lambda _: bar.setIconSize(QSize(1, 1) * round(1.25 * bar.fontMetrics().height())))
    for key in TOOLBAR:
        if not key:
            bar.addSeparator()
            continue
        bar.addAction(actions[key])
        button = bar.widgetForAction(actions[key])
        if button is not None:
            style = (
                Qt.ToolButtonStyle.ToolButtonTextBesideIcon
                if COMMANDS[key].short
                else Qt.ToolButtonStyle.ToolButtonIconOnly
            )
            button.setProperty("toolButtonStyle", style)
    window.addToolBar(bar)
    return bar


def speak_of_kind(actions: dict[str, QAction], panels: KindPanels) -> None:
    """Offer what a kind of experiment has, in its words."""
    for key, action in actions.items():
        action.setVisible(not panels.hides(key))
    for key, tip in (("train", panels.words.train), ("export", panels.words.export)):
        actions[key].setProperty("tip", f"{tip} ({COMMANDS[key].shortcut})")
        actions[key].setToolTip(actions[key].property("tip"))
    actions["export"].setText(panels.words.export_text)
    actions["export"].setIconText(COMMANDS["export"].short)
