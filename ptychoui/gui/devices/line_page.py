"""What the array can do, and what went over its line, byte by byte."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QFontDatabase, QGuiApplication
from PyQt6.QtWidgets import QPlainTextEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ptychoui.devices.byte_log import ByteLog
from ptychoui.gui.devices.parts import allow, tool
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import CommandRow, bullets, gap_of, note, scrolled
from ptychoui.session.device_state import LinkState

SHOWN_LINES = 300


class LinePage(QWidget):
    """Facts in words, and the log folded away.

    Attributes
    ----------
    copied
        The log went to the clipboard.
    """

    copied = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._log: ByteLog | None = None
        self._shown: object = None
        self.facts = note()
        self.unfold: QToolButton = tool("Bytes", "Show the last bytes sent (>) and received (<), with seconds", "rows")
        self.unfold.setCheckable(True)
        self.copy = tool("Copy", "Copy all bytes that are kept to the clipboard, to send them with a question", "copy")
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Bytes on the line")
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setMinimumHeight(4 * self.fontMetrics().height())
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.text.hide()
        gap = gap_of(self)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, gap, 0, 0)
        column.setSpacing(gap)
        column.addWidget(scrolled(0, self.facts), 2)
        column.addWidget(CommandRow((self.unfold, self.copy)))
        column.addWidget(self.text, 3)
        self.unfold.toggled.connect(self._fold)
        self.copy.clicked.connect(self._copy)
        self.show_state(LinkState())

    def use_log(self, log: ByteLog) -> None:
        """Read the bytes of a line."""
        self._log = log

    def show_state(self, state: LinkState) -> None:
        """Say what the open array can do."""
        if state.opened is None:
            bullets(self.facts, ["no array is connected"], colours().muted)
        else:
            bullets(self.facts, [state.opened.name, *state.opened.facts()], colours().text)

    def look(self) -> None:
        """Show new bytes, where anybody sees them."""
        if self._log is None or not self.text.isVisible():
            return
        entries = self._log.entries()
        last = (len(entries), entries[-1] if entries else None)
        if last == self._shown:
            return
        self._shown = last
        self.text.setPlainText("\n".join(entry.line() for entry in entries[-SHOWN_LINES:]))
        bar = self.text.verticalScrollBar()
        if bar is not None:
            bar.setValue(bar.maximum())

    def use_colours(self) -> None:
        """Take the colours and the size of the theme's text."""
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(0.9 * self.font().pointSizeF())
        self.text.setFont(font)
        allow(self.copy)

    def _fold(self, shown: bool) -> None:
        self.text.setVisible(shown)
        self._shown = None
        self.look()

    def _copy(self) -> None:
        board = QGuiApplication.clipboard()
        if board is not None and self._log is not None:
            board.setText(self._log.text())
            self.copied.emit()
