"""The few questions that must be answered, each behind a class method that a test can patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.shell.commands import COMMANDS

Answer = TypeVar("Answer", bound=str)
Role, Standard = QMessageBox.ButtonRole, QMessageBox.StandardButton
Button: TypeAlias = QMessageBox.StandardButton | tuple[str, QMessageBox.ButtonRole]
"""A button of Qt's own, or words and where it stands."""
SAVE_OR_NOT: dict[Literal["save", "discard", "cancel"], Button] = {
    "save": Standard.Save,
    "discard": Standard.Discard,
    "cancel": Standard.Cancel,
}


def _asked(
    parent: QWidget,
    title: str,
    text: str,
    buttons: Mapping[Answer, Button],
    usual: Answer,
    escape: Answer,
    more: str = "",
) -> Answer:
    """Ask in a box; ``usual`` is the answer of Return, ``escape`` that of Escape and of a box that is closed."""
    box = QMessageBox(QMessageBox.Icon.Question, title, text, parent=parent)
    box.setInformativeText(more)
    made = {
        answer: box.addButton(button) if isinstance(button, Standard) else box.addButton(*button)
        for answer, button in buttons.items()
    }
    for answer, use in ((usual, box.setDefaultButton), (escape, box.setEscapeButton)):
        if (chosen := made[answer]) is not None:
            use(chosen)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return next((answer for answer, button in made.items() if button is clicked), escape)


class CloseQuestion:
    """Asked when the window is closed while a run is active."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "keep", "cancel"]:
        """Save and quit, keep running in a minimised window, or cancel."""
        return _asked(
            parent,
            "A run is active",
            "Training is still going on.",
            {
                "save": ("Save and quit", Role.AcceptRole),
                "keep": ("Keep running", Role.ActionRole),
                "cancel": Standard.Cancel,
            },
            "save",
            "cancel",
            "Save and quit ends it at the next layer; it can be resumed from its folder.",
        )


class CloseReconstructionQuestion:
    """Asked when the window is closed while a stack is being worked on."""

    doing = "The stack is still being worked on."
    lost = "Quitting gives up what it has found so far."

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "keep", "cancel"]:
        """Quit ("save", for settings are), keep running in a minimised window, or cancel."""
        return _asked(
            parent,
            "Work is going on",
            cls.doing,
            {
                "save": ("Quit", Role.AcceptRole),
                "keep": ("Keep running", Role.ActionRole),
                "cancel": Standard.Cancel,
            },
            "cancel",
            "cancel",
            cls.lost,
        )


class CloseFieldQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while a field is reconstructed tile by tile."""

    lost = "Finished tiles are kept: reconstruct the field into the same file to go on."


class CloseKeptQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while a stack is reconstructed."""

    lost = "What it has found so far is kept and offered at the next start."


class CloseComparisonQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while strategies are compared."""

    doing = "Strategies are still being compared."


class CloseDesignsQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while designs are compared."""

    doing = "Designs are still being compared."


class CloseDailyQuestion(CloseReconstructionQuestion):
    """Asked when the window is closed while sets are reconstructed as they arrive."""

    doing = "Sets of images are still being reconstructed as they arrive."
    lost = "What is done is kept in its files; the set that is being worked on is not."


class ResultQuestion:
    """Asked when a reconstruction would be lost that is in no file yet."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "discard", "cancel"]:
        """Save, discard, or cancel."""
        text = "The reconstruction is finished and was not saved."
        return _asked(parent, "Unsaved reconstruction", text, SAVE_OR_NOT, "save", "cancel")


class UntakenQuestion:
    """Asked when a geometry that was measured would be lost: nobody has taken it, and it is in no file."""

    @classmethod
    def ask(cls, parent: QWidget, what: str) -> Literal["take", "discard", "cancel"]:
        """Take it into the geometry, discard it, or cancel."""
        return _asked(
            parent,
            "Geometry not taken",
            f"{what} and was not taken into the geometry.",
            {"take": ("Take it", Role.AcceptRole), "discard": Standard.Discard, "cancel": Standard.Cancel},
            "take",
            "cancel",
        )


class UnfinishedQuestion:
    """Asked at the start for work that the last session left behind."""

    @classmethod
    def ask(cls, parent: QWidget, sentence: str) -> Literal["take", "later", "drop"]:
        """Take it up, ask again at the next start, or give it up for good."""
        return _asked(
            parent,
            "Work was left behind",
            sentence,
            {
                "take": ("Take it up", Role.AcceptRole),
                "later": ("Later", Role.RejectRole),
                "drop": ("Give it up", Role.DestructiveRole),
            },
            "take",
            "later",
            "Take it up?",
        )


class UnsavedQuestion:
    """Asked when settings would be lost."""

    @classmethod
    def ask(cls, parent: QWidget) -> Literal["save", "discard", "cancel"]:
        """Save, discard, or cancel."""
        text = "The experiment's settings were changed and not saved."
        return _asked(parent, "Unsaved settings", text, SAVE_OR_NOT, "save", "cancel")


class RecoveryQuestion:
    """Asked once at the start, when the last session ended without saving."""

    @classmethod
    def ask(cls, parent: QWidget) -> bool:
        """True to take the recovered settings."""
        text = "The last session ended before its settings were saved. Take them up again?"
        answer = _asked(parent, "Unsaved settings found", text, {"yes": Standard.Yes, "no": Standard.No}, "yes", "no")
        return answer == "yes"


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
        for each in buttons.buttons():
            each.setToolTip("Close this window (Esc)")
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
