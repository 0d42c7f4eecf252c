"""What an emulated array's LEDs do right now, whatever the program believes, and its cable to pull."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ptychoui.gui.devices.parts import TitledPlot, tool
from ptychoui.gui.widgets.parts import Elided, gap_of


class EmulatedView(QWidget):
    """A drawing of the LEDs of an emulated array.

    Attributes
    ----------
    pull_wanted
        The cable is to be pulled.
    """

    pull_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._light: NDArray[np.uint8] | None = None
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._places: NDArray[np.float64] = np.empty((0, 2))
        self._objective_na = 0.0
        self._of_grid = 0
        self.leds = TitledPlot("Emulated array", "What the LEDs of the emulated array do now, as it says itself")
        self.says = Elided(least=8)
        self.pull = tool("Pull the cable", "See what happens when an array loses its cable", "remove")
        gap = gap_of(self)
        row = QHBoxLayout()
        row.addWidget(self.says, 1)
        row.addWidget(self.pull)
        self.pull.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap // 2)
        column.addWidget(self.leds, 1)
        column.addLayout(row)
        self.pull.clicked.connect(self.pull_wanted)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        """About ten lines with the drawing."""
        high = super().sizeHint().height() if self.leds.isHidden() else 11 * self.fontMetrics().height()
        return QSize(30 * self.fontMetrics().averageCharWidth(), high)

    def draw_leds(self, drawn: bool) -> None:
        """Draw the LEDs, or only say how many shine where there is little room."""
        self.leds.setVisible(drawn)

    def show_geometry(
        self, na: NDArray[np.float64] | None, numbers: NDArray[np.int64] | None, objective_na: float
    ) -> None:
        """Draw the LEDs of a geometry at their illumination NA (LED, 2); None: a square of all LEDs there are."""
        self._numbers = np.empty(0, dtype=np.int64) if numbers is None else np.asarray(numbers)
        self._places = np.empty((0, 2)) if na is None else np.asarray(na)
        self._objective_na, self._of_grid, self._light = objective_na, 0, None
        if len(self._numbers):
            self.leds.plot.set_leds(self._places, self._numbers, objective_na)

    def show_light(self, light: NDArray[np.uint8], full: float) -> None:
        """Draw drive values (LED, channel), ``full`` as level 1; costs nothing while they are the same array."""
        if light is self._light:
            return
        self._light = light
        level = light.max(1).astype(np.float64)
        top = max(full, 1.0)
        if len(self._numbers):
            there = self._numbers < len(level)
            shown = np.zeros(len(self._numbers))
            shown[there] = np.minimum(level[self._numbers[there]] / top, 1)
            elsewhere = int(np.count_nonzero(level)) - int(np.count_nonzero(shown))
        else:
            self._use_grid(len(level))
            shown, elsewhere = np.minimum(level / top, 1), 0
        self.leds.plot.set_levels(shown)
        lit = int(np.count_nonzero(level))
        said = f"{lit} of {len(level)} lit"
        more = f"{elsewhere} of them outside the geometry; " if elsewhere else ""
        if lit:
            said += f", to {level.max():.0f}/255"
            more += f"drive values up to {level.max():.0f} of 255"
        self.says.say(said, f"{said}; {more}" if more else said)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.leds.use_colours()

    def _use_grid(self, count: int) -> None:
        """A square of LEDs, row by row from the top left."""
        if count == self._of_grid:
            return
        self._of_grid = count
        side = int(np.ceil(np.sqrt(count)))
        row, column = np.divmod(np.arange(count), side)
        places = np.column_stack([column - (side - 1) / 2, (side - 1) / 2 - row])
        self.leds.plot.set_leds(places, np.arange(count), 0.0)
