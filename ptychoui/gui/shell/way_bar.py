"""The way from a file to patterns on hardware, over the images: what is done, what is next, and why a step waits."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPalette
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import Elided, gap_of, ink
from ptychoui.session.way import TITLES, WayStep

MARKS = {"done": "✓", "next": "▶", "can": "○", "waits": "·"}
WORDS = {"done": "done", "next": "next", "can": "can be done", "waits": "has to wait"}


class WayBar(QWidget):
    """One button per step, and the next one in words.

    Attributes
    ----------
    chosen
        (key of the step) somebody wants to go there.
    """

    chosen = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Way")
        gap = gap_of(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(gap, gap // 2, gap, gap // 2)
        row.setSpacing(gap // 2)
        self.buttons: dict[str, QToolButton] = {}
        for key, title in TITLES.items():
            button = self.buttons[key] = QToolButton()
            button.setAutoRaise(True)
            button.setText(title)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            row.addWidget(button)
        self.next = Elided(least=0)
        self.next.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self.next, 1)
        self._steps: tuple[WayStep, ...] = ()
        self._doing = ""

    def show_steps(self, steps: tuple[WayStep, ...], doing: str = "") -> None:
        """Show where one is, and what is being done now."""
        if steps == self._steps and doing == self._doing:
            return
        self._doing = doing
        self._steps = steps
        there = {step.key: step for step in steps}
        for key, button in self.buttons.items():
            step = there.get(key)
            button.setVisible(step is not None)
            if step is None:
                continue
            button.setText(f"{MARKS[step.state]} {step.title}")
            button.setToolTip(f"{step.title}, {WORDS[step.state]}: {step.sentence}")
            button.setAccessibleName(f"{step.title}: {WORDS[step.state]}")
            button.setAccessibleDescription(step.sentence)
        following = next((step for step in steps if step.state == "next"), None)
        self.next.say(doing or ("" if following is None else f"Next: {following.sentence}"))
        self.use_colours()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        tones = {"done": c.good, "next": c.accent, "can": c.text, "waits": c.muted}
        for step in self._steps:
            button = self.buttons[step.key]
            palette = button.palette()
            palette.setColor(QPalette.ColorRole.ButtonText, QColor(tones[step.state]))
            button.setPalette(palette)
            font = button.font()
            font.setBold(step.state == "next")
            button.setFont(font)
        ink(self.next, c.accent)

    def minimumSizeHint(self) -> QSize:
        """The buttons; the sentence beside them gives way."""
        return QSize(20 * self.fontMetrics().averageCharWidth(), super().minimumSizeHint().height())
