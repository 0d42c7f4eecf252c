"""The patterns of every design as small pictures of the LED array."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.bench.design.entrants import Judged
from ptychoui.gui.widgets.parts import Scrolled, gap_of
from ptychoui.gui.widgets.pattern_strip import PatternStrip

MOST = 24
"""Patterns of one design that are drawn at most: of all LEDs one by one the first are enough."""


class PatternsPage(QWidget):
    """A title and a strip of pictures for every design."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: list[int] = []
        self.strips: dict[str, PatternStrip] = {}
        self._content = QWidget()
        self._grid = QGridLayout(self._content)
        self._grid.setColumnStretch(1, 1)
        self._grid.setHorizontalSpacing(2 * gap_of(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Scrolled(self._content))

    def show_designs(self, designs: list[Judged]) -> None:
        """Show designs where others are shown."""
        if [id(one) for one in designs] == self._shown:
            return
        self._shown = [id(one) for one in designs]
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self.strips.clear()
        for place, one in enumerate(designs):
            title = QLabel(one.title)
            title.setWordWrap(True)
            title.setFixedWidth(24 * self.fontMetrics().averageCharWidth())
            if len(one.levels) > MOST:
                title.setText(f"{one.title} (the first {MOST} of {len(one.levels)})")
            strip = PatternStrip()
            strip.set_patterns(one.levels[:MOST], one.illumination_na, tuple("" for _ in one.levels[:MOST]))
            # Pictures alone: none of them is chosen, or can be.
            strip.row = -1
            strip.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            strip.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            title.setToolTip("Frame times: " + ", ".join(f"{time:.3g}" for time in one.exposures[:MOST]))
            self.strips[one.name] = strip
            self._grid.addWidget(title, place, 0)
            self._grid.addWidget(strip, place, 1)
        self._grid.setRowStretch(len(designs), 1)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for strip in self.strips.values():
            strip.update()
