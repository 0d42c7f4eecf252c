"""Parts that docks and dialogs share: what a run is doing, command buttons, notes, scrolled columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from PyQt6.QtCore import QEvent, QObject, QSize, Qt
from PyQt6.QtGui import QAction, QColor, QPalette, QResizeEvent
from PyQt6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.theme import colours
from ptychoui.session.in_the_window import for_window
from ptychoui.session.worker import RunState

W = TypeVar("W", bound=QWidget)
L = TypeVar("L", bound=QLabel)

STATE_TEXTS = {
    RunState.IDLE: "Ready",
    RunState.STARTING: "Preparing…",
    RunState.PAUSING: "Pausing…",
    RunState.STOPPING: "Stopping…",
    RunState.FINISHED: "Finished",
    RunState.STOPPED: "Stopped",
    RunState.FAILED: "Failed",
}


class Status(QWidget):
    """What a run is doing, how far it is, and a thin bar below.

    Parameters
    ----------
    running, paused
        What is said while it runs and while it waits.
    """

    def __init__(self, running: str, paused: str = "Paused", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._texts = {**STATE_TEXTS, RunState.RUNNING: running, RunState.PAUSED: paused}
        self.state, self.time_left = bold(QLabel()), QLabel()
        self.time_left.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(max(5, self.fontMetrics().height() // 3))
        line = QHBoxLayout()
        line.addWidget(self.state)
        line.addWidget(self.time_left, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap_of(self))
        layout.addLayout(line)
        layout.addWidget(self.bar)
        self.why = note()
        layout.addWidget(self.why)

    def say_why(self, message: str, hint: str = "") -> None:
        """Say below the bar why it failed, for as long as that is what it did."""
        self.why.setText(". ".join(sentence(part).rstrip(".") for part in (message, hint) if part) + ".")
        self.why.setVisible(bool(message))
        ink(self.why, colours().error)

    def show_state(self, state: RunState, running: str = "") -> None:
        """Say a state in its colour; ``running`` names work of another kind."""
        self.state.setText(running if running and state is RunState.RUNNING else self._texts[state])
        c = colours()
        tones = {
            RunState.RUNNING: c.accent,
            RunState.FINISHED: c.good,
            RunState.FAILED: c.error,
            RunState.PAUSED: c.warning,
        }
        ink(self.state, tones.get(state, c.text))
        ink(self.why, c.error)
        if state is not RunState.FAILED:
            self.why.hide()
        if state is RunState.STARTING:
            self.show_busy()

    def show_busy(self, text: str = "") -> None:
        """Nobody knows how far it is."""
        self.bar.setRange(0, 0)
        self.time_left.setText(text)

    def show_elsewhere(self, step: int, steps: int) -> None:
        """Another process is at it."""
        self.state.setText("Another process learns")
        ink(self.state, colours().accent)
        self.show_progress(step, max(step, steps), f"step {step} of {max(step, steps)}")

    def show_progress(self, done: int, total: int, text: str = "") -> None:
        """Say how far it is."""
        # A bar paints itself, and all that waits to be painted, as soon as it has a value: it is to wait for its turn.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)
        self.bar.setUpdatesEnabled(True)
        self.time_left.setText(text)


def gap_of(widget: QWidget) -> int:
    """The distance between parts, by the size of the text."""
    return max(4, widget.fontMetrics().height() // 3)


def duration(seconds: float) -> str:
    """A time as a person would say it."""
    if seconds < 59.5:
        return f"{max(0, round(seconds))} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def sentence(text: str) -> str:
    """With a capital, unless it begins with the name of a file or of a device."""
    first = text.split(" ", 1)[0]
    return text if any(mark in "./\\_" or mark.isdigit() for mark in first) else text[:1].upper() + text[1:]


def bullets(label: QLabel, texts: Iterable[str], colour: str) -> None:
    """Sentences one below the other; the label is hidden where there are none."""
    ink(label, colour)
    lines = [f"• {sentence(for_window(text))}" for text in texts if text]
    label.setText("\n".join(lines))
    label.setVisible(bool(lines))


def scrolled(gap: int, *parts: QWidget | QLayout) -> QScrollArea:
    """Parts of a dock one below the other, scrolled where there is too little room."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(0, gap, gap, 0)
    column.setSpacing(2 * gap)
    for part in parts:
        if isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    column.addStretch(1)
    return Scrolled(inner)


class _FontWatch(QObject):
    """Does something again whenever the font of a widget changes."""

    def __init__(self, widget: QWidget, do: Callable[[QWidget], object]) -> None:
        super().__init__(widget)
        self._widget, self._do = widget, do
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look for a new font."""
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._do(self._widget)
        return super().eventFilter(watched, event)


def by_font(widget: QWidget, do: Callable[[QWidget], object]) -> None:
    """Set a size that follows from the size of the text, now and whenever that changes."""
    do(widget)
    _FontWatch(widget, do)


def tall(widget: W, lines: float = 2.0) -> W:
    """The widget, at least so many lines of text high."""
    by_font(widget, lambda w: w.setMinimumHeight(round(lines * w.fontMetrics().height())))
    return widget


class Elided(QLabel):
    """One line that is cut in the middle or at its end where there is too little room; the tooltip has all of it.

    Parameters
    ----------
    least, usual
        Letters that are always shown, and for which there is room where that can be had, however short the text.
    """

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight, least: int = 6, usual: int = 0) -> None:
        super().__init__()
        self._mode, self._least, self._usual, self._whole = mode, least, usual, ""

    @property
    def whole(self) -> str:
        """The text without its cut."""
        return self._whole

    def say(self, text: str, tip: str = "") -> None:
        """Show a text."""
        self._whole = text
        self.setToolTip(tip or text)
        self._cut()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """All of the text."""
        metrics = self.fontMetrics()
        wide = max(metrics.horizontalAdvance(self._whole) + 2, self._usual * metrics.averageCharWidth())
        return QSize(wide, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Its first letters."""
        return QSize(self._least * self.fontMetrics().averageCharWidth(), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Cut anew."""
        super().resizeEvent(event)
        self._cut()

    def _cut(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, self._mode, max(self.width(), 1)))


class Scrolled(QScrollArea):
    """Scrolled up and down; never narrower than what it holds."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        content.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the size of the content."""
        if event is not None and watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        """The content's width, and three lines."""
        content, bar = self.widget(), self.verticalScrollBar()
        least = 0 if content is None else content.minimumSizeHint().width()
        return QSize(least + (0 if bar is None else bar.sizeHint().width()), 3 * self.fontMetrics().height())


class Yielding(Scrolled):
    """As high as its content where there is room, else scrolled: long notes leave room for what they are about."""

    def __init__(self, content: QWidget, lines: int = 3) -> None:
        super().__init__(content)
        self._lines = lines
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setVisible(not content.isHidden())

    def sizeHint(self) -> QSize:
        """The content's height at the width there is."""
        content = self.widget()
        if content is None:
            return super().sizeHint()
        width = max(self.width(), 20 * self.fontMetrics().averageCharWidth())
        high = content.heightForWidth(width) if content.hasHeightForWidth() else content.sizeHint().height()
        return QSize(content.sizeHint().width(), max(1, high))

    def minimumSizeHint(self) -> QSize:
        """A few lines."""
        lines = self._lines * self.fontMetrics().height()
        return QSize(12 * self.fontMetrics().averageCharWidth(), min(self.sizeHint().height(), lines))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the content: whether there is any."""
        kinds = QEvent.Type.ShowToParent, QEvent.Type.HideToParent
        if event is not None and watched is self.widget() and event.type() in kinds:
            self.setVisible(event.type() == QEvent.Type.ShowToParent)
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Another width needs another height."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self.updateGeometry()


def command_button(action: QAction) -> QToolButton:
    """A wide button for a command."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return tall(button)


class FoldingButton(QToolButton):
    """A button that shows its icon alone where there is too little room for its text."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Icon and text, whichever are shown."""
        line = self.fontMetrics().height()
        wide = self.iconSize().width() + self.fontMetrics().horizontalAdvance(self.text()) + line
        return QSize(wide, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """The icon alone."""
        return QSize(self.iconSize().width() + self.fontMetrics().height() // 2, super().sizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fold or unfold."""
        super().resizeEvent(event)
        style = Qt.ToolButtonStyle
        folded = self.width() < self.sizeHint().width()
        wanted = style.ToolButtonIconOnly if folded else style.ToolButtonTextBesideIcon
        if self.toolButtonStyle() != wanted:
            self.setToolButtonStyle(wanted)


class CommandRow(QWidget):
    """Buttons side by side, the first one the widest; where there is little room the others show their icons alone."""

    def __init__(self, buttons: Iterable[QToolButton]) -> None:
        super().__init__()
        self.buttons = list(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(gap_of(self))
        for place, button in enumerate(self.buttons):
            row.addWidget(button, 2 if place else 3)

    def minimumSizeHint(self) -> QSize:
        """The first with its text, the others with their icons."""
        height = self.buttons[0].sizeHint().height()
        icons = (len(self.buttons) - 1) * (height + gap_of(self))
        return QSize(self._wide(self.buttons[0]) + icons, max(height, self.buttons[0].minimumHeight()))

    def sizeHint(self) -> QSize:
        """All with their texts."""
        return QSize(self._all(), self.minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fold or unfold."""
        super().resizeEvent(event)
        self._fold()

    def event(self, event: QEvent | None) -> bool:
        """Other texts or icons may need another room."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fold()
        return super().event(event)

    def _fold(self) -> None:
        folded = self.width() < self._all()
        style = Qt.ToolButtonStyle
        wanted = style.ToolButtonIconOnly if folded else style.ToolButtonTextBesideIcon
        for button in self.buttons[1:]:
            if button.toolButtonStyle() != wanted:
                button.setToolButtonStyle(wanted)

    def _all(self) -> int:
        """Width at which all texts fit; the first button has three parts where the others have two."""
        share = max(self._wide(self.buttons[0]) / 3, *(self._wide(button) / 2 for button in self.buttons[1:]))
        return round(share * (1 + 2 * len(self.buttons))) + gap_of(self) * (len(self.buttons) - 1)

    @staticmethod
    def _wide(button: QToolButton) -> int:
        """Icon, text and margins."""
        line = button.fontMetrics().height()
        return button.iconSize().width() + button.fontMetrics().horizontalAdvance(button.text()) + line


def note() -> QLabel:
    """A label for sentences, hidden while there are none."""
    label = QLabel()
    label.setWordWrap(True)
    label.hide()
    return label


def bold(label: L) -> L:
    """The label in bold."""
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def ink(label: QFrame, colour: str) -> None:
    """Colour a label's text, or a line."""
    palette: Any = label.palette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor(colour))
    label.setPalette(palette)
