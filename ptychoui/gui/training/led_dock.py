"""The LED array panel: the selected pattern, thumbnails of all, and what the LED under the cursor is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QResizeEvent, QShowEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from ptychoui.design.starts import row_names
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.parts import Elided, by_font
from ptychoui.gui.widgets.pattern_strip import PatternStrip
from ptychoui.session.document import Document
from ptychoui.words import counted

LOW_LINES = 20
"""Lines of text below which the panel leaves out what its tooltips say, too."""


class LedPanel(QWidget):
    """Shows a document's design, or the newest levels of a run.

    Attributes
    ----------
    level_edited
        (row, LED place, level) when a level was clicked or dragged.
    led_clicked
        Firmware number of a clicked LED.
    """

    level_edited = pyqtSignal(int, int, float)
    led_clicked = pyqtSignal(int)
    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._levels: NDArray[np.float64] = np.empty((0, 0))
        self._exposures: NDArray[np.float64] = np.empty(0)
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._na: NDArray[np.float64] = np.empty((0, 2))
        self._names: tuple[str, ...] = ()
        self._objective_na = 0.0
        self._chosen_led = -1
        self._editable = True
        self._stale = False
        self.plot = LedPlot(self)
        self.strip = PatternStrip(self)
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.circles = QLabel()
        self.circles.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.level_label = Elided(least=10)
        self.level_label.say("click an LED to set its level")
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(0, 100)
        by_font(self.level, lambda slider: slider.setMinimumWidth(8 * slider.fontMetrics().averageCharWidth()))
        self.level.setEnabled(False)
        self.level.setToolTip("Drive level of the chosen LED in this pattern, in percent")
        gap = max(4, self.fontMetrics().height() // 3)
        self.editor = QWidget()
        editor = QHBoxLayout(self.editor)
        editor.setContentsMargins(0, 0, 0, 0)
        editor.addWidget(self.level_label)
        editor.addWidget(self.level, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addWidget(self.caption)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.circles)
        layout.addWidget(self.editor)
        layout.addWidget(self.strip)
        self.strip.chosen.connect(self._row_chosen)
        self.plot.hovered.connect(self._hovered)
        self.plot.clicked.connect(self._clicked)
        self.level.valueChanged.connect(self._slid)
        self._caption()

    def show_design(self, document: Document) -> None:
        """Show the document's geometry and design."""
        leds, geometry, design, experiment = document.leds(), document.geometry, document.design(), document.fpm
        if leds is None or geometry is None or design is None or experiment is None:
            self._levels, self._na, self._names = np.empty((0, 0)), np.empty((0, 2)), ()
            self._numbers = np.empty(0, dtype=np.int64)
            self.plot.set_leds(None, None, 0.0)
            self.strip.set_patterns(self._levels, self._na, ())
            self._choose_led(-1)
            self._caption()
            return
        same = np.array_equal(self._na, leds.illumination_na) and (
            self._objective_na == geometry.microscope.objective_na
        )
        self._na, self._numbers = leds.illumination_na, leds.numbers
        self._objective_na = geometry.microscope.objective_na
        self._names = row_names(experiment.design)
        if not same:
            self.plot.set_leds(self._na, self._numbers, self._objective_na)
            self._choose_led(-1)
        self.show_levels(*design)

    def show_levels(self, levels: NDArray[np.floating], exposures: NDArray[np.floating]) -> None:
        """Show new levels (row, LED) on the same array; while hidden they are only kept."""
        if levels.shape[1] != len(self._na):
            return
        self._levels = np.asarray(levels, dtype=np.float64)
        self._exposures = np.asarray(exposures, dtype=np.float64)
        self._stale = True
        if self.isVisible():
            self._draw()

    def set_editable(self, editable: bool) -> None:
        """Levels can be edited while no run is active."""
        self._editable = editable
        self._choose_led(self._chosen_led)

    def mark_number(self, number: int) -> None:
        """Ring the LED of a firmware number: the one whose image is shown."""
        found = np.flatnonzero(self._numbers == number)
        self.plot.mark(int(found[0]) if len(found) else -1)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.plot.use_colours()
        self.strip.update()
        self._name_circles()

    def minimumSizeHint(self) -> QSize:
        """Without the names of the circles, which are left out where it is low."""
        hint = super().minimumSizeHint()
        return QSize(28 * self.fontMetrics().averageCharWidth(), hint.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Leave room for the LEDs."""
        super().resizeEvent(event)
        self._offer_circles()

    def _offer_circles(self) -> None:
        low = self.height() < LOW_LINES * self.fontMetrics().height()
        self.circles.setVisible(self.strip.row < len(self._levels) and not low)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _draw(self) -> None:
        self._stale = False
        self.strip.set_patterns(self._levels, self._na, self._names)
        self.plot.set_levels(self._levels[self.strip.row])
        self._show_level()
        self._caption()

    def _row_chosen(self, row: int) -> None:
        if row < len(self._levels):
            self.plot.set_levels(self._levels[row])
            self._show_level()
            self._caption()

    def _caption(self) -> None:
        row = self.strip.row
        self._name_circles()
        for part in (self.editor, self.strip):
            part.setVisible(row < len(self._levels))
        self._offer_circles()
        if row >= len(self._levels):
            self.caption.setText("No patterns yet: open data, or choose a geometry.")
            return
        levels = self._levels[row]
        name = self._names[row] if row < len(self._names) else f"pattern {row + 1}"
        lit = counted(int(np.count_nonzero(levels > 0.01)), "LED")
        self.caption.setText(
            f"<b>{name}</b> ({row + 1} of {len(self._levels)}): {lit} lit, "
            f"mean level {levels[levels > 0.01].mean() if (levels > 0.01).any() else 0:.2f}, "
            f"exposure {self._exposures[row]:.2f} frames"
        )

    def _name_circles(self) -> None:
        """Say what the circles are, in their colours."""
        c = colours()
        if not len(self._na):
            self.circles.setText("")
            return
        reach = self._objective_na + float(np.hypot(*self._na.T).max())
        self.circles.setText(
            f'<span style="color:{c.accent}">━ objective NA {self._objective_na:g}</span> &nbsp; '
            f'<span style="color:{c.muted}">╌ synthetic NA {reach:.3g}</span>'
        )
        self.plot.setToolTip(f"Solid: objective NA {self._objective_na:g}. Dashed: synthetic NA {reach:.3g}")

    def _hovered(self, led: int) -> None:
        if led < 0 or self.strip.row >= len(self._levels):
            self.hover_text.emit("")
            return
        x, y = self._na[led]
        na = float(np.hypot(x, y))
        band = "bright" if na < self._objective_na else "dark"
        self.hover_text.emit(
            f"LED {self._numbers[led]}   NA {na:.3f} ({x:+.3f}, {y:+.3f}), {band} field   "
            f"level {self._levels[self.strip.row, led]:.2f}"
        )

    def _clicked(self, led: int) -> None:
        """Choose an LED; a second click switches it between dark and full level."""
        again = led == self._chosen_led
        self._choose_led(led)
        self.led_clicked.emit(int(self._numbers[led]))
        if again and self._editable:
            level = 0.0 if self._levels[self.strip.row, led] > 0.01 else 1.0
            self.level_edited.emit(self.strip.row, led, level)

    def _choose_led(self, led: int) -> None:
        self._chosen_led = led
        self.plot.mark(led)
        self.level.setEnabled(led >= 0 and self._editable)
        self._show_level()

    def _show_level(self) -> None:
        led, row = self._chosen_led, self.strip.row
        if led < 0 or row >= len(self._levels):
            self.level_label.say("click an LED to set its level" if self._editable else "a run is active")
            return
        level = float(self._levels[row, led])
        self.level.blockSignals(True)
        self.level.setValue(round(100 * level))
        self.level.blockSignals(False)
        self.level_label.say(f"LED {self._numbers[led]}: {level:.0%}")

    def _slid(self, percent: int) -> None:
        if self._chosen_led >= 0 and self._editable:
            self.level_edited.emit(self.strip.row, self._chosen_led, percent / 100)
