"""One pattern on the array: brightness, colour and limit, the pattern as designed and as it will shine, and Show."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QSignalBlocker, pyqtSignal
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.frames import COLOURS, FULL, USUAL_BRIGHTNESS
from ptychoui.gui.devices.parts import TitledPlot, allow, refuse, rows_of, side_by_side, tool
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.fields import ChoiceBox
from ptychoui.gui.widgets.number_boxes import NumberBox
from ptychoui.gui.widgets.parts import CommandRow, Elided, bullets, gap_of, ink, note, scrolled, sentence
from ptychoui.gui.widgets.pattern_strip import PatternStrip
from ptychoui.session.device_preview import Prepared, Seen
from ptychoui.session.device_state import LinkState, Phase


class PatternPage(QWidget):
    """Shows what would shine and asks for it.

    Attributes
    ----------
    show_wanted
        Row of the design.
    row_chosen
        Another pattern is looked at.
    options_changed
        Brightness, colour or limit is another.
    prepare_wanted
        The design is to be prepared anew: bits or the division by the brightness of LEDs changed.
    """

    show_wanted = pyqtSignal(int)
    row_chosen = pyqtSignal(int)
    options_changed = pyqtSignal()
    prepare_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._prepared: Prepared | None = None
        self._problem = ""
        self._state = LinkState()
        self.brightness = NumberBox("%", arrows=True)
        self.brightness.setRange(100 / FULL, 100.0)
        self.brightness.setValue(100 * USUAL_BRIGHTNESS)
        self.colour = ChoiceBox()
        for name in COLOURS:
            self.colour.addItem(name.capitalize(), name)
        self.colour.setCurrentIndex(self.colour.findData("green"))
        self.limit = NumberBox("A", empty="usual")
        self.limit.setMaximum(1000.0)
        self.bits = NumberBox("", empty="all 8", whole=True)
        self.bits.setMaximum(8)
        self.gain = QCheckBox("Divide by brightness")
        self.gain.setChecked(True)
        self.gain.setToolTip(
            "Divide levels by the measured brightness of the LEDs, where the design states it; exposures make up for it"
        )
        light = side_by_side(
            (
                "Brightness",
                self.brightness,
                "Share of full drive that level 1 means, in %. An array at full drive is hot and blinds: begin low",
            ),
        )
        grid, self.errors = rows_of(
            ("Colour", self.colour, "Which LEDs of an array with three colours shine"),
            (
                "Current limit",
                self.limit,
                "Estimated current in A above which you are asked before a pattern is shown, at 20 mA a colour and "
                "LED; usual: 8 A for illuminate, 2 A for others",
            ),
            (
                "Bits per level",
                self.bits,
                "Round levels to so many bits, 1 to 8; exposures keep the light of each pattern. With 1, arrays that "
                "know LEDs on or off time sequences themselves",
            ),
        )
        self.errors[self.brightness] = note()
        self.strip = PatternStrip()
        self.strip.setAccessibleName("Patterns of the design")
        self.designed = TitledPlot("Designed", "Levels as they were designed")
        self.on_array = TitledPlot(
            "On the array",
            "Drive values as the array will have them, as shares of the brightest; red rings: LEDs that are dead or "
            "that the array does not have",
        )
        self.caption = Elided(least=10)
        self.words = note()
        self.show_pattern = tool("Show", "Show this pattern on the array and check that it is the one", "shine")
        self.previous = tool("Previous", "Go to the pattern before, and show it where one is shown", "previous")
        self.next = tool("Next", "Go to the next pattern, and show it where one is shown", "next")
        gap = gap_of(self)
        plots = QHBoxLayout()
        plots.setSpacing(gap)
        plots.addWidget(self.designed)
        plots.addWidget(self.on_array)
        holder = self._plots = QWidget()
        holder.setLayout(plots)
        plots.setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, gap, 0, 0)
        column.setSpacing(gap)
        self.empty = QLabel("No patterns yet: open data with a geometry.")
        self.empty.setWordWrap(True)
        self._with_design = (self.strip, holder, self.caption)
        column.addWidget(
            scrolled(
                gap,
                light,
                self.errors[self.brightness],
                self.empty,
                self.strip,
                self.caption,
                holder,
                self.words,
                grid,
                self.gain,
            ),
            1,
        )
        column.addWidget(CommandRow((self.show_pattern, self.previous, self.next)))
        self.strip.chosen.connect(self.row_chosen)
        self.show_pattern.clicked.connect(lambda: self.show_wanted.emit(self.strip.row))
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        for box in (self.brightness, self.limit, self.bits):
            box.refused.connect(lambda why, box=box: refuse(self.errors[box], why))
        self.brightness.valueChanged.connect(lambda _: self.options_changed.emit())
        self.limit.valueChanged.connect(lambda _: self.options_changed.emit())
        self.colour.activated.connect(lambda _: self.options_changed.emit())
        self.bits.valueChanged.connect(lambda _: self.prepare_wanted.emit())
        self.gain.toggled.connect(lambda _: self.prepare_wanted.emit())
        self.show_design(None, "")

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Let the plots have what the words around them leave."""
        super().resizeEvent(event)
        line = self.fontMetrics().height()
        self._plots.setFixedHeight(max(self.height() - 12 * line, 6 * line))

    @property
    def share(self) -> float:
        """Share of full drive that level 1 means."""
        return float(self.brightness.value()) / 100

    @property
    def options(self) -> DeviceOptions:
        """How the array is used."""
        limit = float(self.limit.value()) * 1000
        return DeviceOptions(
            brightness=self.share, colour=str(self.colour.currentData()), current_limit_ma=limit if limit > 0 else None
        )

    @property
    def bits_wanted(self) -> int | None:
        """Bits that levels are rounded to; None for those of the array."""
        return round(self.bits.value()) or None

    def use_colour(self, name: str) -> None:
        """Choose a colour without telling anybody."""
        self.colour.setCurrentIndex(self.colour.findData(name))

    def show_design(self, prepared: Prepared | None, why: str) -> None:
        """Show the design that is open; where there is none, why."""
        self._prepared = prepared
        for part in self._with_design:
            part.setVisible(prepared is not None)
        self.empty.setVisible(prepared is None)
        self.empty.setText(why or "No patterns yet: open data with a geometry.")
        if prepared is None:
            self.words.hide()
            self._enable()
            return
        patterns = prepared.patterns
        na = np.asarray(patterns.illumination_na)
        numbers = np.asarray(patterns.led_numbers)
        for titled in (self.designed, self.on_array):
            titled.plot.set_leds(na, numbers, patterns.geometry.microscope.objective_na)
        self.strip.set_patterns(np.asarray(patterns.levels, dtype=float), na, patterns.row_names)
        self._enable()

    def show_seen(self, seen: Seen, notes: tuple[str, ...]) -> None:
        """Show one pattern as designed and as it will shine."""
        self._problem = seen.problem
        self.designed.plot.set_levels(seen.designed)
        self.on_array.plot.set_levels(seen.on_array)
        for titled in (self.designed, self.on_array):
            titled.plot.ring(seen.ringed)
        lit = int(np.count_nonzero(seen.on_array))
        count = len(self.strip_names)
        self.caption.say(f"{seen.name}, {self.strip.row + 1} of {count}: {lit} LEDs, about {seen.current_ma:.3g} mA")
        if seen.problem:
            bullets(self.words, [seen.problem], colours().error)
        else:
            bullets(self.words, [seen.cost, *notes], colours().muted)
        self._enable()

    @property
    def strip_names(self) -> tuple[str, ...]:
        """Names of the patterns."""
        return self._prepared.patterns.row_names if self._prepared is not None else ()

    def show_state(self, state: LinkState) -> None:
        """What can be pressed now."""
        self._state = state
        self._enable()

    def follow(self, row: int) -> None:
        """Look at the pattern that shines while a sequence is played."""
        if 0 <= row < len(self.strip_names) and row != self.strip.row:
            self.strip.choose(row)

    def step(self, by: int) -> None:
        """Go on to another pattern; it is shown where one is shown now."""
        row = min(max(self.strip.row + by, 0), len(self.strip_names) - 1)
        if row == self.strip.row or row < 0:
            return
        self.strip.choose(row)
        if self._state.phase is Phase.SHOWING:
            self.show_wanted.emit(row)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for titled in (self.designed, self.on_array):
            titled.use_colours()
        self.strip.update()
        ink(self.words, colours().error if self._problem else colours().muted)

    def set_bits(self, bits: int) -> None:
        """Show other bits without telling anybody."""
        with QSignalBlocker(self.bits):
            self.bits.setValue(bits)

    def _enable(self) -> None:
        why = ""
        if self._state.opened is None:
            why = "connect an array first"
        elif self._prepared is None:
            why = "there are no patterns yet"
        elif self._problem:
            why = sentence(self._problem)
        allow(self.show_pattern, why)
        row, last = self.strip.row, len(self.strip_names) - 1
        allow(self.previous, "" if row > 0 else "this is the first")
        allow(self.next, "" if row < last else "this is the last")
