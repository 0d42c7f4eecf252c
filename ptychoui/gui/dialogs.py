"""The few questions that must be answered, each behind a class method that a test can patch."""

from __future__ import annotations

from typing import Literal

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.commands import COMMANDS


class CloseQuestion:
    """Asked when the window is closed while a run is active."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "keep", "cancel"]:
        """Save and quit, keep running in a minimised window, or cancel."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A run is active")
        box.setText("Training is still going on.")
        box.setInformativeText("Save and quit ends it at the next layer; it can be resumed from its folder.")
        save = box.addButton("Save and quit", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep running", QMessageBox.ButtonRole.ActionRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(save)
        box.exec()
        clicked = box.clickedButton()
        answer: Literal["save", "keep", "cancel"] = "cancel"
        if clicked is save:
            answer = "save"
        elif clicked is keep:
            answer = "keep"
        box.deleteLater()
        return answer


class CloseReconstructionQuestion:
    """Asked when the window is closed while a stack is being worked on."""

    lost = "Quitting gives up what it has found so far."

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "keep", "cancel"]:
        """Quit ("save", for settings are), keep running in a minimised window, or cancel."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Work is going on")
        box.setText("The stack is still being worked on.")
        box.setInformativeText(cls.lost)
        leave = box.addButton("Quit", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep running", QMessageBox.ButtonRole.ActionRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(cancel)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        return "save" if clicked is leave else "keep" if clicked is keep else "cancel"


class CloseFieldQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while a field is reconstructed tile by tile."""

    lost = "Finished tiles are kept: reconstruct the field into the same file to go on."


class CloseKeptQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while a stack is reconstructed."""

    lost = "What it has found so far is kept and offered at the next start."


class ResultQuestion:
    """Asked when a reconstruction would be lost that is in no file yet."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "discard", "cancel"]:
        """Save, discard, or cancel."""
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            parent,
            "Unsaved reconstruction",
            "The reconstruction is finished and was not saved.",
            buttons.Save | buttons.Discard | buttons.Cancel,
            buttons.Save,
        )
        return {buttons.Save: "save", buttons.Discard: "discard"}.get(answer, "cancel")  # type: ignore[return-value]


class UntakenQuestion:
    """Asked when a geometry that was measured would be lost: nobody has taken it, and it is in no file."""

    @classmethod
    def ask(cls, parent: QWidget, what: str) -> Literal["take", "discard", "cancel"]:
        """Take it into the geometry, discard it, or cancel."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Geometry not taken")
        box.setText(f"{what} and was not taken into the geometry.")
        take = box.addButton("Take it", QMessageBox.ButtonRole.AcceptRole)
        discard = box.addButton(QMessageBox.StandardButton.Discard)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(take)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        return "take" if clicked is take else "discard" if clicked is discard else "cancel"


class UnfinishedQuestion:
    """Asked at the start for work that the last session left behind."""

    @classmethod
    def ask(cls, parent: QWidget, sentence: str) -> Literal["take", "later", "drop"]:
        """Take it up, ask again at the next start, or give it up for good."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Work was left behind")
        box.setText(sentence)
        box.setInformativeText("Take it up?")
        take = box.addButton("Take it up", QMessageBox.ButtonRole.AcceptRole)
        later = box.addButton("Later", QMessageBox.ButtonRole.RejectRole)
        drop = box.addButton("Give it up", QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(take)
        box.setEscapeButton(later)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        return "take" if clicked is take else "drop" if clicked is drop else "later"


class UnsavedQuestion:
    """Asked when settings would be lost."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "discard", "cancel"]:
        """Save, discard, or cancel."""
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            parent,
            "Unsaved settings",
            "The experiment's settings were changed and not saved.",
            buttons.Save | buttons.Discard | buttons.Cancel,
            buttons.Save,
        )
        return {buttons.Save: "save", buttons.Discard: "discard"}.get(answer, "cancel")  # type: ignore[return-value]


class RecoveryQuestion:
    """Asked once at the start, when the last session ended without saving."""

    @classmethod
    def ask(cls, parent: QWidget) -> bool:
        """True to take the recovered settings."""
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            parent,
            "Unsaved settings found",
            "The last session ended before its settings were saved. Take them up again?",
            buttons.Yes | buttons.No,
            buttons.Yes,
        )
        return bool(answer == buttons.Yes)


class Files:
    """Names of files and folders."""

    @classmethod
    def to_open(cls, parent: QWidget) -> str:
        """A file to open, or nothing."""
        return QFileDialog.getOpenFileName(
            parent,
            "Open",
            "",
            "All known (*.toml *.h5 *.hdf5 *.tif *.tiff *.mat *.json *.csv);;All files (*)",
        )[0]

    @classmethod
    def folder_to_open(cls, parent: QWidget) -> str:
        """A folder to open, or nothing."""
        return QFileDialog.getExistingDirectory(parent, "Open a folder of images or a run")

    @classmethod
    def to_save(cls, parent: QWidget, title: str, start: str, kinds: str) -> str:
        """A file to write, or nothing."""
        return QFileDialog.getSaveFileName(parent, title, start, kinds)[0]

    @classmethod
    def folder_to_save(cls, parent: QWidget, title: str, start: str) -> str:
        """A folder to write to, or nothing."""
        return QFileDialog.getExistingDirectory(parent, title, start)


class ShortcutList(QDialog):
    """All shortcuts, from the command table."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * self.fontMetrics().height())
        rows = [command for command in COMMANDS.values() if command.shortcut]
        half = -(-len(rows) // 2)
        for place, command in enumerate(rows):
            row, column = place % half, 2 * (place // half)
            keys = QLabel(command.shortcut)
            keys.setAlignment(Qt.AlignmentFlag.AlignRight)
            font = keys.font()
            font.setBold(True)
            keys.setFont(font)
            name = QLabel(command.text.replace("&", "").rstrip("…"))
            name.setToolTip(command.tip)
            grid.addWidget(keys, row, column)
            grid.addWidget(name, row, column + 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(buttons)

    @classmethod
    def show_list(cls, parent: QWidget) -> ShortcutList:
        """Open the list without stopping anything."""
        dialog = cls(parent)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        return dialog
