"""A button with a menu of files that can be written of what is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QMenu, QToolButton

from ptychoui.gui.widgets.parts import tall

Write = Callable[[Path], object]
"""Writes a file: called in the background."""


@dataclass(frozen=True, slots=True)
class Export:
    """One kind of file.

    Attributes
    ----------
    text
        In the menu.
    start, kinds
        A file name to begin with, and the filter of the file dialog.
    collect
        Called when it is chosen: takes what is shown then, and returns what writes it.
    """

    text: str
    start: str
    kinds: str
    collect: Callable[[], Write]


class ExportButton(QToolButton):
    """Opens its menu at once.

    Attributes
    ----------
    wanted
        `Export` that was chosen.
    """

    wanted = pyqtSignal(object)

    def __init__(self, exports: Sequence[Export]) -> None:
        super().__init__()
        self.setText("Export")
        self.setToolTip("Write what is shown to a file: table, result, pictures, curves")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        menu = QMenu(self)
        for export in exports:
            action = menu.addAction(export.text)
            if action is not None:
                action.triggered.connect(partial(self._chosen, export))
        self.setMenu(menu)
        tall(self, 1.6)

    def _chosen(self, export: Export, _checked: bool = False) -> None:
        self.wanted.emit(export)
