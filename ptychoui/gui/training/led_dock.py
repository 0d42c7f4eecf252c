"""The LED array panel: the selected pattern with tools to edit it, thumbnails of all, and the LED under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QResizeEvent, QShowEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.design.starts import row_names
from ptychoui.gui.look.theme import colours
from ptychoui.gui.training.led_canvas import LedCanvas
from ptychoui.gui.training.led_editor import CLOSED, LedEditor, Shown
from ptychoui.gui.training.led_tools import LedTools, LevelRow, chosen_in_words
from ptychoui.gui.training.led_views import LedViews
from ptychoui.gui.widgets.notices import notices
from ptychoui.gui.widgets.parts import Elided, sentence
from ptychoui.gui.widgets.pattern_strip import PatternStrip
from ptychoui.session.document import Document
from ptychoui.session.level_history import KeptLevels
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.gui.shell.controller import Controller

PAST = "an earlier step: go to the end to edit"
LOW_LINES = 24
"""Lines of text below which the panel leaves out what its tooltips say, too."""


class LedPanel(QWidget):
    """Shows a document's design, or the newest levels of a run; drawn on, it asks for changes.

    Attributes
    ----------
    change_wanted
        A function that changes a document's patterns and answers with a sentence, or nothing.
    led_clicked
        Firmware number of a clicked LED.
    row_shown
        Another pattern is shown, or the same one with other levels.
    """

    change_wanted = pyqtSignal(object)
    led_clicked = pyqtSignal(int)
    row_shown = pyqtSignal()
    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._levels: NDArray[np.float64] = np.empty((0, 0))
        self._exposures: NDArray[np.float64] = np.empty(0)
        self._allowed: NDArray[np.bool_] = np.empty((0, 0), bool)
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._na: NDArray[np.float64] = np.empty((0, 2))
        self._positions: NDArray[np.float64] = np.empty((0, 3))
        self._names: tuple[str, ...] = ()
        self._objective_na = 0.0
        self._stale = False
        self._running = False
        self.plot = LedCanvas(self)
        self.editor = LedEditor(self.plot)
        self.tools = LedTools(self.editor)
        self.level_row = LevelRow(self.editor)
        self.strip = PatternStrip(self)
        self.caption = Elided(least=12)
        self.circles = QLabel()
        self.circles.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addWidget(self.tools)
        layout.addWidget(self.caption)
        self._beside = QHBoxLayout()
        self._beside.setSpacing(gap)
        self._beside.addWidget(self.plot, 3)
        layout.addLayout(self._beside, 1)
        layout.addWidget(self.circles)
        layout.addWidget(self.level_row)
        layout.addWidget(self.strip)
        self._column = layout
        self.views: LedViews | None = None
        self._past: KeptLevels | None = None
        self._connect()
        self._caption()

    def join(self, controller: Controller) -> None:
        """Let changes go to a document, and predictions be made of it."""
        self.change_wanted.connect(controller.change_patterns)
        self.views = LedViews(self, controller)
        self._beside.addWidget(self.views.image, 2)
        self._column.insertWidget(self._column.indexOf(self.strip), self.views.learning)

    def pattern_shown(self) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
        """Levels (row, LED), exposures (row,) and the chosen row, as they are shown; None without patterns."""
        if self.strip.row >= len(self._levels):
            return None
        if self._past is not None:
            return self._past.levels.astype(np.float64), self._past.exposures.astype(np.float64), self.strip.row
        return self._levels, self._exposures, self.strip.row

    def show_past(self, past: KeptLevels | None) -> None:
        """Show the patterns as they were after a step, not to be edited; None: as they are now."""
        if past is not None and past.levels.shape != self._levels.shape:
            past = None
        self._past = past
        self._allow()
        if self.isVisible():
            self._draw()

    def _connect(self) -> None:
        editor, tools, row = self.editor, self.tools, self.level_row
        self.strip.chosen.connect(self._row_chosen)
        self.plot.hovered.connect(self._hovered)
        self.plot.pointed.connect(self._pointed)
        editor.change_wanted.connect(self.change_wanted)
        editor.refused.connect(lambda text, hint: notices().told.emit("warning", sentence(text), hint))
        editor.selected.connect(self._show_level)
        editor.tool_wanted.connect(self.use_tool)
        editor.row_wanted.connect(lambda step: self.strip.choose(self.strip.row + step))
        editor.brush_wanted.connect(lambda radius: row.brush.setValue(round(2 * radius)))
        tools.tool_chosen.connect(self.use_tool)
        tools.unit_chosen.connect(self.plot.use_unit)
        row.slid.connect(self._slid)
        row.brush.valueChanged.connect(self._size_brush)

    def show_design(self, document: Document) -> None:
        """Show the document's geometry and design."""
        leds, geometry, design, experiment = document.leds(), document.geometry, document.design(), document.fpm
        allowed = document.may_light()
        if leds is None or geometry is None or design is None or experiment is None or allowed is None:
            self._levels, self._na, self._names = np.empty((0, 0)), np.empty((0, 2)), ()
            self._numbers = np.empty(0, dtype=np.int64)
            self.plot.set_leds(None, None, 0.0)
            self.strip.set_patterns(self._levels, self._na, ())
            self.editor.show(Shown())
            self._caption()
            return
        same = (
            np.array_equal(self._na, leds.illumination_na)
            and np.array_equal(self._positions, leds.positions_mm)
            and self._objective_na == geometry.microscope.objective_na
        )
        self._na, self._numbers, self._positions = leds.illumination_na, leds.numbers, leds.positions_mm
        self._objective_na = geometry.microscope.objective_na
        self._names, self._allowed = row_names(experiment.design), allowed
        if not same:
            self.plot.set_leds(self._na, self._numbers, self._objective_na, self._positions)
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
        self._running = not editable
        self._allow()

    def _allow(self) -> None:
        closed = CLOSED if self._running else "" if self._past is None else PAST
        if closed != self.editor.closed:
            self.editor.closed = closed
            self.tools.set_closed(closed)
            if closed:
                self.use_tool("select")
        self._show_level()

    def use_tool(self, tool: str) -> None:
        """Draw with a tool of `led_tools.TOOLS`."""
        self.plot.use_tool(tool)
        self.tools.show_tool(tool)
        self._show_level()

    def mark_number(self, number: int) -> None:
        """Ring the LED of a firmware number: the one whose image is shown."""
        found = np.flatnonzero(self._numbers == number)
        self.plot.mark(int(found[0]) if len(found) else -1)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.plot.use_colours()
        self.tools.use_colours()
        if self.views is not None:
            self.views.use_colours()
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
        shown = self.pattern_shown()
        if shown is not None:
            self.strip.set_patterns(shown[0], self._na, self._names)
        self._row_chosen(self.strip.row)

    def _row_chosen(self, row: int) -> None:
        shown = self.pattern_shown()
        if shown is None:
            return
        levels, exposures, row = shown
        if not self.plot.busy:
            self.plot.set_levels(levels[row])
        known = row < len(self._names)
        self.editor.show(
            Shown(
                row=row,
                name=self._names[row] if known else f"pattern {row + 1}",
                exposure=float(exposures[row]),
                objective_na=self._objective_na,
                levels=levels[row],
                allowed=self._allowed[row] if row < len(self._allowed) else np.ones(len(self._na), bool),
                na=self._na,
            )
        )
        self._caption()
        self.row_shown.emit()

    def _caption(self) -> None:
        shown = self.pattern_shown()
        self._name_circles()
        for part in (self.tools, self.level_row, self.strip):
            part.setVisible(shown is not None)
        self._offer_circles()
        if shown is None:
            self.caption.say("No patterns yet: open data, or choose a geometry.")
            return
        levels, exposure, name = shown[0][shown[2]], shown[1][shown[2]], self.editor.shown.name
        lit = levels > 0.01
        mean = levels[lit].mean() if lit.any() else 0.0
        of = f"{name}, {shown[2] + 1} of {len(self._levels)}"
        whole = f"{of}: {counted(int(lit.sum()), 'LED')} lit, mean level {mean:.2f}, exposure {exposure:.2f} frames"
        self.caption.say(f"{of}: {int(lit.sum())} lit, mean {mean:.2f}, {exposure:.2f} frames", whole)

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
        shown = self.pattern_shown()
        if led < 0 or shown is None:
            self.hover_text.emit("")
            return
        x, y = self._na[led]
        na = float(np.hypot(x, y))
        band = "bright" if na < self._objective_na else "dark"
        self.hover_text.emit(
            f"LED {self._numbers[led]}   NA {na:.3f} ({x:+.3f}, {y:+.3f}), {band} field   "
            f"level {shown[0][shown[2], led]:.2f}"
        )

    def _pointed(self, led: int) -> None:
        if led >= 0:
            self.led_clicked.emit(int(self._numbers[led]))

    def _show_level(self) -> None:
        numbers = [int(number) for number in self._numbers]
        self.level_row.show_for(self.plot.tool, lambda: chosen_in_words(self.editor, numbers))

    def _slid(self, level: float) -> None:
        if self.plot.tool == "paint":
            self.editor.brush_level = level
            self._show_level()
        else:
            self.editor.slide_level(level)

    def _size_brush(self, halves: int) -> None:
        self.plot.brush_pitches = halves / 2
        self._show_level()
