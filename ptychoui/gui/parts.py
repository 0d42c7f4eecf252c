"""Parts that docks and dialogs share: what a run is doing, command buttons, notes, scrolled columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction, QColor, QPalette
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

from ptychoui.gui.theme import colours
from ptychoui.session.worker import RunState

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
        if state is RunState.STARTING:
            self.show_busy()

    def show_busy(self, text: str = "") -> None:
        """Nobody knows how far it is."""
        self.bar.setRange(0, 0)
        self.time_left.setText(text)

    def show_progress(self, done: int, total: int, text: str = "") -> None:
        """Say how far it is."""
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)
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
    """With a capital, unless it begins with the name of a file."""
    first = text.split(" ", 1)[0]
    return text if any(mark in first for mark in "./\\") else text[:1].upper() + text[1:]


def bullets(label: QLabel, texts: Iterable[str], colour: str) -> None:
    """Sentences one below the other; the label is hidden where there are none."""
    ink(label, colour)
    lines = [f"• {sentence(text)}" for text in texts if text]
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
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def command_button(action: QAction) -> QToolButton:
    """A wide button for a command."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    button.setMinimumHeight(2 * button.fontMetrics().height())
    return button


def note() -> QLabel:
    """A label for sentences, hidden while there are none."""
    label = QLabel()
    label.setWordWrap(True)
    label.hide()
    return label


def bold(label: QLabel) -> QLabel:
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
