"""What this is, and what it stands on."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from ptychoui import __version__
from ptychoui.session.problem_report import versions


class AboutBox(QDialog):
    """Version, licence and libraries, to be read or copied."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("About ptychoui")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        found = versions()
        self.text = "\n".join(f"{name} {version}" for name, version in found.items())
        title = QLabel(f"<b>ptychoui {__version__}</b>")
        about = QLabel(
            "Learn what to illuminate, and what to make of it, at constant memory.\n"
            "Free software under the GNU General Public License, version 3 or later."
        )
        libraries = QLabel(self.text)
        libraries.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        for each in buttons.buttons():
            each.setToolTip("Close this window (Esc)")
        copying = buttons.addButton("Copy versions", QDialogButtonBox.ButtonRole.ActionRole)
        if copying is not None:
            copying.setToolTip("Put the versions of the program and its libraries on the clipboard")
            copying.clicked.connect(self.copy)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        for part in (title, about, libraries, buttons):
            layout.addWidget(part)

    @classmethod
    def show_box(cls, parent: QWidget) -> AboutBox:
        """Show it without stopping anything."""
        box = cls(parent)
        box.show()
        return box

    def copy(self) -> None:
        """Put the versions on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text)
