"""The guide through the window: every step of the way in a sentence, where it is done, and whether it is."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.shell.way_bar import MARKS, WORDS
from ptychoui.gui.shell.way_desk import WayDesk
from ptychoui.gui.widgets.parts import Scrolled, by_font, gap_of, ink
from ptychoui.session.way import TITLES, WayStep

ABOUT = {
    "open": "A stack with one image per LED, objects to learn from, k-space, or a run. Files can be dropped anywhere.",
    "geometry": "Objective, camera and LED array. Files fill in what they state; below stands what is odd.",
    "reconstruct": "Amplitude and phase from the stack, with pupil, brightness of every LED and stray light.",
    "calibrate": "Where the array really stands. What is found is taken with one button, and undone with Ctrl+Z.",
    "design": "Patterns in the panel LED array: the start is chosen in the settings, and every LED can be painted.",
    "train": "The network and the patterns are learned together. Pause and Stop keep everything; Resume goes on.",
    "compare": "Learned patterns against half circles and others at equal light, by two judges: which to use.",
    "array": "Shows patterns on the array itself, or on an emulated one, from the panel Hardware; it ends dark.",
    "export": "Files for LED arrays, tables and pictures; the loss by fewer levels is told before.",
}


class Guide(QDialog):
    """A window beside the work; it follows what is done.

    Parameters
    ----------
    way
        Knows where one is, and goes there.
    """

    def __init__(self, way: WayDesk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Guide")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        gap = gap_of(self)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * gap)
        grid.setVerticalSpacing(2 * gap)
        grid.setColumnStretch(1, 1)
        self.buttons: dict[str, QPushButton] = {}
        self._said: dict[str, QLabel] = {}
        for row, (key, title) in enumerate(TITLES.items()):
            button = self.buttons[key] = QPushButton(title)
            button.clicked.connect(lambda _=False, key=key: way.go(key))
            button.setAutoDefault(False)
            label = self._said[key] = QLabel()
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.RichText)
            by_font(label, lambda text: text.setMinimumWidth(60 * text.fontMetrics().averageCharWidth()))
            grid.addWidget(button, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, row, 1)
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        for each in closing.buttons():
            each.setToolTip("Close this window (Esc)")
        closing.rejected.connect(self.close)
        inner = QWidget()
        inner.setLayout(grid)
        layout = QVBoxLayout(self)
        layout.addWidget(Scrolled(inner))
        layout.addWidget(closing)
        way.changed.connect(self.show_steps)
        self.show_steps(way.steps)

    @classmethod
    def open_for(cls, way: WayDesk, parent: QWidget) -> Guide:
        """Show the guide; there is one at most."""
        for found in parent.findChildren(cls):
            found.raise_()
            return found
        guide = cls(way, parent)
        guide.show()
        screen = parent.screen()
        guide.resize(guide.wanted().boundedTo(parent.size() if screen is None else screen.availableSize()))
        return guide

    def wanted(self) -> QSize:
        """As large as all sentences need."""
        grid = self._said["open"].parentWidget()
        wide = max(self.width(), self.minimumSizeHint().width())
        high = grid.heightForWidth(wide) if grid is not None else 0
        return QSize(wide, high + 5 * self.fontMetrics().height())

    def show_steps(self, steps: tuple[WayStep, ...]) -> None:
        """Say what each step is, and how far it is."""
        there = {step.key: step for step in steps}
        c = colours()
        tones = {"done": c.good, "next": c.accent, "can": c.text, "waits": c.muted}
        for key, label in self._said.items():
            step = there.get(key)
            self.buttons[key].setEnabled(step is not None)
            if step is None:
                label.setText(f"{ABOUT[key]}<br><i>not for what is open</i>")
                ink(label, c.muted)
                continue
            mark = f'<span style="color:{tones[step.state]}">{MARKS[step.state]} {WORDS[step.state]}: '
            label.setText(f"{ABOUT[key]}<br>{mark}{_plain(step.sentence)}</span>")
            ink(label, c.text)


def _plain(text: str) -> str:
    """A text that is no mark-up."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
