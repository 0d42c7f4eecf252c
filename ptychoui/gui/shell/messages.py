"""Messages that do not stop anybody: a note over the window, and a list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from PyQt6.QtCore import QEvent, QObject, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QColor, QGuiApplication, QPalette
from PyQt6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QPlainTextEdit,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.theme import colours

INFO_MS = 6000


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence, what to do about it, and what a developer wants to see."""

    level: str
    text: str
    hint: str = ""
    details: str = ""


class Toast(QFrame):
    """The newest message over the lower edge of a window; errors stay until they are closed.

    Attributes
    ----------
    details_asked
        The person wants the list.
    """

    details_asked = pyqtSignal()

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.title, self.hint, self.also = QLabel(), QLabel(), QLabel()
        self.also.hide()
        for label in (self.title, self.hint, self.also):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.details = QToolButton()
        self.details.setText("Details")
        self.details.setToolTip("Show all messages, with what a developer wants to know of them")
        self.details.setAutoRaise(True)
        self.details.clicked.connect(self.details_asked)
        self.remedy = QToolButton()
        self.remedy.setAutoRaise(False)
        self.remedy.setToolTip("Do what the message advises")
        self.remedy.setAccessibleName("Do what the message advises")
        self.remedy.clicked.connect(self._remedied)
        self._cure: Callable[[], object] | None = None
        close = QToolButton()
        close.setText("✕")
        close.setToolTip("Close this message; it stays in the list")
        close.setAccessibleName("Close this message")
        close.setAutoRaise(True)
        close.clicked.connect(self.hide)
        gap = max(6, self.fontMetrics().height() // 2)
        texts = QVBoxLayout()
        texts.setSpacing(gap // 3)
        texts.addWidget(self.title)
        texts.addWidget(self.hint)
        texts.addWidget(self.also)
        # Below the text, which would be squeezed into a column beside them.
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.remedy)
        buttons.addWidget(self.details)
        texts.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * gap, gap, gap, gap)
        layout.addLayout(texts, 1)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._timed_out)
        over.installEventFilter(self)
        self.hide()

    def show_message(self, message: Message) -> None:
        """Show a message; an error is not pushed away by a note, which stands below it for a while."""
        if message.level == "info" and self.isVisible() and self.title.property("level") == "error":
            self.also.setText(message.text)
            self.also.show()
            self._timer.start(INFO_MS)
            self._place()
            return
        self.also.hide()
        self.title.setProperty("level", message.level)
        self.title.setText(message.text)
        self.hint.setText(message.hint[:1].upper() + message.hint[1:])
        self.hint.setVisible(bool(message.hint))
        self.details.setVisible(bool(message.details))
        self.remedy.hide()
        self.use_colours()
        self._timer.stop()
        if message.level == "info":
            self._timer.start(INFO_MS)
        self.show()
        self._place()
        self.raise_()

    def _timed_out(self) -> None:
        """A note goes by itself; the error above it stays."""
        if self.also.isHidden():
            self.hide()
        else:
            self.also.hide()
            self._place()

    def let_go(self) -> None:
        """Hide a warning or an error about what was before: it stays in the list."""
        if self.title.property("level") in ("error", "warning"):
            self.hide()

    def let_go_of_errors(self) -> None:
        """Hide an error about what was open before; a warning may be about what is open now."""
        if self.title.property("level") == "error":
            self.hide()

    def offer(self, text: str, cure: Callable[[], object]) -> None:
        """Put a button on the message that is shown: one click does what its hint says."""
        self._cure = cure
        self.remedy.setText(text)
        self.remedy.setAccessibleName(text)
        self.remedy.show()
        self._place()

    def _remedied(self) -> None:
        cure, self._cure = self._cure, None
        self.hide()
        if cure is not None:
            cure()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        level = self.title.property("level")
        tone = {"error": c.error, "warning": c.warning}.get(str(level), c.accent)
        palette = QPalette(self.palette())
        palette.setColor(QPalette.ColorRole.Window, QColor(c.raised))
        self.setPalette(palette)
        palette.setColor(QPalette.ColorRole.WindowText, QColor(tone))
        self.title.setPalette(palette)
        palette.setColor(QPalette.ColorRole.WindowText, QColor(c.accent))
        self.also.setPalette(palette)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stay at the lower edge, and above what lies there."""
        if event is not None and self.isVisible():
            if watched is self._over and event.type() == QEvent.Type.Resize:
                self._place()
            elif event.type() == QEvent.Type.ZOrderChange:
                self.raise_()  # raising a dock raises what lies in the middle, too
        return super().eventFilter(watched, event)

    def _over_images(self) -> bool:
        """Whether contrast controls may lie below it: they are on every page of a window but the first, the welcome."""
        central = self._over.centralWidget() if isinstance(self._over, QMainWindow) else None
        return not isinstance(central, QStackedWidget) or central.currentIndex() > 0

    def _place(self) -> None:
        line = self.fontMetrics().height()
        area = self._over.rect()
        if isinstance(self._over, QMainWindow) and (central := self._over.centralWidget()) is not None:
            area = central.geometry()
            central.installEventFilter(self)  # one that is installed already is not installed again
        width = min(area.width() - 2 * line, 80 * self.fontMetrics().averageCharWidth())
        layout = self.layout()
        if layout is None:
            return
        # Labels that were filled a moment ago know their height for a width only once they are polished.
        layout.activate()
        frame = 2 * self.frameWidth()  # which the layout lies inside of
        height = max(layout.heightForWidth(width - frame), layout.minimumSize().height()) + frame
        # Clear of the contrast controls at the lower edge, where there are any.
        above = 5 if self._over_images() else 1
        self.setGeometry(area.center().x() - width // 2, area.bottom() - height - above * line, width, height)


class MessageList(QWidget):
    """All messages of the session, newest last, with their details."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.messages: list[Message] = []
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setAccessibleName("Messages")
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Details of the chosen message")
        self.text.setPlaceholderText("Choose a message to see its details.")
        copy = QToolButton()
        copy.setText("Copy")
        copy.setToolTip("Copy the chosen message with its details")
        copy.clicked.connect(self._copy)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.list)
        split.addWidget(self.text)
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.addWidget(split)
        layout.addWidget(copy, 0, Qt.AlignmentFlag.AlignRight)
        self.list.currentRowChanged.connect(self._show)

    def add(self, message: Message) -> None:
        """Append a message."""
        self.messages.append(message)
        stamp = datetime.now().strftime("%H:%M:%S")
        item = QListWidgetItem(f"{stamp}  {message.text}" + (f"\n{message.hint}" if message.hint else ""))
        c = colours()
        tone = {"error": c.error, "quiet": c.error, "warning": c.warning}.get(message.level)
        if tone:
            item.setForeground(QColor(tone))
        self.list.addItem(item)
        self.list.scrollToBottom()

    def texts(self) -> tuple[str, ...]:
        """What was said, with its details."""
        return tuple("\n".join(part for part in (m.text, m.hint, m.details) if part) for m in self.messages)

    def show_last(self) -> None:
        """Choose the newest message."""
        self.list.setCurrentRow(self.list.count() - 1)

    def _show(self, row: int) -> None:
        if 0 <= row < len(self.messages):
            self.text.setPlainText(self.messages[row].details or "No details.")

    def _copy(self) -> None:
        row = self.list.currentRow()
        clipboard = QGuiApplication.clipboard()
        if 0 <= row < len(self.messages) and clipboard is not None:
            clipboard.setText(self.texts()[row])
