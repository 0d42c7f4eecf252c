"""The panel of the real LED array: its state, Dark, the connection, and pages for what can be done with it."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QResizeEvent
from PyQt6.QtWidgets import QBoxLayout, QHBoxLayout, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from ptychoui.gui.devices.connection import ConnectionBox
from ptychoui.gui.devices.emulated_view import EmulatedView
from ptychoui.gui.devices.line_page import LinePage
from ptychoui.gui.devices.parts import StateMark, dress, tone_of, tool
from ptychoui.gui.devices.pattern_page import PatternPage
from ptychoui.gui.devices.sequence_page import SequencePage
from ptychoui.gui.devices.walk_page import WalkPage
from ptychoui.gui.look.style import NARROW
from ptychoui.gui.look.theme import colours, paint_plain, paint_primary
from ptychoui.gui.widgets.parts import Elided, Yielding, bold, by_font, gap_of, ink, note, sentence
from ptychoui.session.device_state import LinkState, Phase
from ptychoui.session.in_the_window import for_window

WIDE = 90
"""Letters in a line from which on things stand side by side."""
TALL = 33
"""Lines from which on there is room for a drawing of the emulated array below the pages."""


class DevicePanel(QWidget):
    """Shows a `LinkState` and asks for what a person wants of the array.

    Attributes
    ----------
    dark_wanted
        The array is to be dark, whatever it does: the button, or Esc while the panel has the focus.
    """

    dark_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = LinkState()
        self.mark = StateMark()
        self.headline = bold(Elided(least=8))
        self.headline.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.dark = tool("Dark", "Make the array dark at once, whatever it does (Esc in this panel)", "dark", 2.2)
        self.dark.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.message = note()
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.connection = ConnectionBox()
        self.pattern = PatternPage()
        self.sequence = SequencePage()
        self.walk = WalkPage()
        self.line = LinePage()
        self.emulated = EmulatedView()
        self.emulated.hide()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        bar = self.tabs.tabBar()
        if bar is not None:
            bar.setProperty(NARROW, True)
            bar.setAccessibleName("Pages of the array")
        for page, title, tip in (
            (self.pattern, "Pattern", "One pattern of the design on the array"),
            (self.sequence, "Sequence", "All patterns one after the other, with triggers for the camera"),
            (self.walk, "Numbering", "LED after LED: do the numbers run as the geometry says?"),
            (self.line, "Array", "What the array can do, and every byte on its line"),
        ):
            self.tabs.addTab(page, title)
            self.tabs.setTabToolTip(self.tabs.indexOf(page), tip)
        gap = gap_of(self)
        top = QHBoxLayout()
        top.setSpacing(gap)
        top.addWidget(self.mark)
        top.addWidget(self.headline, 1)
        top.addWidget(self.dark)
        column = QVBoxLayout(self)
        column.setContentsMargins(gap, gap, gap, gap)
        column.setSpacing(gap)
        column.addLayout(top)
        # One line is kept free for it, so that nothing below jumps.
        self.message.show()
        said = Yielding(self.message, 4)
        by_font(said, lambda w: w.setMinimumHeight(round(1.1 * w.fontMetrics().height())))
        column.addWidget(said)
        column.addWidget(self.connection)
        self._lower = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._lower.setSpacing(gap)
        self._lower.addWidget(self.tabs, 3)
        self._lower.addWidget(self.emulated, 0)
        column.addLayout(self._lower, 1)
        self.dark.clicked.connect(self.dark_wanted)
        self.show_state(self.state)
        self.use_colours()

    @property
    def at_hand(self) -> QWidget:
        """What is pressed first: Connect, then Show."""
        return self.connection.connect if self.state.opened is None else self.pattern.show_pattern

    def show_state(self, state: LinkState, pending: str = "") -> None:
        """Show what the array does; ``pending`` says what it is asked for and has not done yet."""
        self.state = state
        self.mark.show_phase(state.phase)
        first = self.dark if state.opened is not None else self.connection.connect
        for button in (self.dark, self.connection.connect):  # what is pressed first stands out
            (paint_primary if button is first else paint_plain)(button)
        self.headline.say(pending or state.headline())
        self.setAccessibleDescription(self.headline.whole)
        ink(self.headline, tone_of(state.phase, colours()) if state.phase is not Phase.NOTHING else colours().text)
        bad = state.phase in (Phase.FAILED, Phase.UNPLUGGED)
        ink(self.message, colours().error if bad else colours().muted)
        parts = [sentence(for_window(part)) for part in (state.message, state.hint) if part]
        parts = [part if part[-1] in ".?!" else f"{part}." for part in parts]
        self.message.setText("\n".join(parts))
        for part in (self.connection, self.pattern, self.sequence, self.walk, self.line):
            part.show_state(state)
        self.emulated.setVisible(state.opened is not None and state.opened.emulated)

    def say_pending(self, text: str) -> None:
        """Say what is asked for and not done yet; nothing: the state."""
        self.headline.say(text or self.state.headline())

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        dress(self)
        for part in (self.pattern, self.sequence, self.walk, self.emulated, self.line):
            part.use_colours()
        self.show_state(self.state)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The emulated array beside the pages where there is room, else below."""
        super().resizeEvent(event)
        wide = self.width() > WIDE * self.fontMetrics().averageCharWidth()
        way = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if self._lower.direction() != way:
            self._lower.setDirection(way)
            self._lower.setStretch(1, 2 if wide else 0)
        self.emulated.draw_leds(wide or self.height() > TALL * self.fontMetrics().height())

    def sizeHint(self) -> QSize:
        """A column."""
        return QSize(46 * self.fontMetrics().averageCharWidth(), 34 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Its state, the connection and some lines of a page."""
        return QSize(34 * self.fontMetrics().averageCharWidth(), 12 * self.fontMetrics().height())

    def event(self, event: QEvent | None) -> bool:
        """Esc makes the array dark here, where else it stops runs."""
        if (
            isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
        ):
            # The override comes first and keeps the window's own Esc away.
            if event.type() == QEvent.Type.ShortcutOverride and not event.isAutoRepeat():
                self.dark_wanted.emit()
            event.accept()
            return True
        return super().event(event)
