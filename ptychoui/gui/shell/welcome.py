"""What to do first."""

from __future__ import annotations

from PyQt6.QtCore import QSize
from PyQt6.QtGui import QAction, QColor, QPalette, QResizeEvent
from PyQt6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.widgets.parts import Scrolled, by_font

STEPS = (
    (
        "demo",
        "Start demo",
        "Watch the whole story, full screen: six patterns are learned before your eyes.",
    ),
    (
        "open",
        "Open…",
        "An LED stack, k-space, a reconstruction, a training set, an experiment or a run. Or drop it here.",
    ),
    ("sample_stack", "Open sample stack", "A small stack that comes with the program, to look around."),
    ("mri_example", "Open MRI example", "Learn to reconstruct simulated heads from a quarter of k-space, eight coils."),
)

BESIDE = 70
"""Letters that the page is wide, at least, where sentences stand beside the buttons."""


class Welcome(QWidget):
    """Ways to begin, as buttons with a sentence each."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        line = self.fontMetrics().height()
        self.title = QLabel("Learn how to measure, and what to make of it")
        font = self.title.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        font.setBold(True)
        self.title.setFont(font)
        self.title.setWordWrap(True)
        self.lead = QLabel(
            "ptychoui unrolls reconstructions into networks and learns through all of them at constant memory: which "
            "LEDs of a Fourier ptychographic microscope to light together, so that a few exposures replace hundreds, "
            "or how to reconstruct multi-channel MRI from a part of k-space."
        )
        self.lead.setWordWrap(True)
        grid = QGridLayout()
        grid.setHorizontalSpacing(line)
        grid.setVerticalSpacing(line)
        grid.setColumnStretch(1, 1)
        self._notes: list[QLabel] = []
        self._buttons: list[QPushButton] = []
        for row, (key, text, note) in enumerate(STEPS):
            button = _button(actions[key], text, line)
            if row == 0:
                self._first = button
            label = QLabel(note)
            label.setWordWrap(True)
            self._buttons.append(button)
            self._notes.append(label)
        self._grid, self._beside = grid, False
        self._arrange(True)
        inner = QWidget()
        by_font(inner, lambda widget: widget.setMaximumWidth(92 * widget.fontMetrics().averageCharWidth()))
        column = QVBoxLayout(inner)
        column.setSpacing(line)
        column.addWidget(self.title)
        column.addWidget(self.lead)
        column.addSpacing(line)
        column.addLayout(grid)
        whole = QWidget()
        across = QHBoxLayout()
        across.addStretch(1)
        across.addWidget(inner, 12)
        across.addStretch(1)
        centred = QVBoxLayout(whole)
        centred.setContentsMargins(line, line, line, line)
        centred.addStretch(2)
        centred.addLayout(across)
        centred.addStretch(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Scrolled(whole))
        self.use_colours()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Sentences stand beside the buttons, or below them where they would be squeezed."""
        super().resizeEvent(event)
        self._arrange(self.width() >= BESIDE * self.fontMetrics().averageCharWidth())

    def _arrange(self, beside: bool) -> None:
        if beside == self._beside:
            return
        self._beside = beside
        for row, (button, label) in enumerate(zip(self._buttons, self._notes, strict=True)):
            if beside:
                self._grid.addWidget(button, 2 * row, 0)
                self._grid.addWidget(label, 2 * row, 1)
            else:
                self._grid.addWidget(button, 2 * row, 0)
                self._grid.addWidget(label, 2 * row + 1, 0, 1, 2)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        paint_primary(self._first)
        for label in (self.lead, *self._notes):
            palette = label.palette()
            palette.setColor(QPalette.ColorRole.WindowText, QColor(colours().muted))
            label.setPalette(palette)


def _button(action: QAction, text: str, line: int) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(action.toolTip())
    button.setIconSize(QSize(round(1.4 * line), round(1.4 * line)))
    button.setMinimumHeight(round(2.6 * line))

    def widen(widget: QWidget) -> None:
        metrics = widget.fontMetrics()
        least = 22 * metrics.averageCharWidth(), metrics.horizontalAdvance(text) + 5 * metrics.height() // 2
        widget.setMinimumWidth(max(least))

    by_font(button, widen)
    button.clicked.connect(action.trigger)

    def follow() -> None:
        button.setIcon(action.icon())
        button.setEnabled(action.isEnabled())

    follow()
    action.changed.connect(follow)
    return button
