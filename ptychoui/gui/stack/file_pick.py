"""A line that names a file or a folder, with a button to choose it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QWidget,
)

from ptychoui.gui.shell.work_dialog import button
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.parts import gap_of


class FilePick(QWidget):
    """The name of a file or folder, typed or chosen.

    Attributes
    ----------
    changed
        The text is another one.
    """

    changed = pyqtSignal()

    def __init__(self, empty: str, name: str, folders: bool = True) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(empty)
        self.line.setAccessibleName(name)
        self.line.setToolTip(f"{name}: the name of a file or folder")
        self.line.setMinimumHeight(2 * self.fontMetrics().height())
        self.line.setClearButtonEnabled(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(gap_of(self))
        row.addWidget(self.line, 1)
        pickers: list[tuple[str, Callable[[QWidget], str]]] = [("File…", Files.to_open)]
        if folders:
            pickers.append(("Folder…", Files.folder_to_open))
        for text, ask in pickers:
            made = button(text)
            made.setMinimumWidth(0)
            made.clicked.connect(lambda _=False, ask=ask: self._choose(ask))
            row.addWidget(made)
        self.line.textChanged.connect(self.changed)

    @property
    def text(self) -> str:
        """What is there, the home folder written out."""
        text = self.line.text().strip()
        return str(Path(text).expanduser()) if text.startswith("~") else text

    def _choose(self, ask: Callable[[QWidget], str]) -> None:
        if name := ask(self):
            self.line.setText(name)
