"""LED after LED shines; a person says where. In the end stands whether the numbers run as the geometry says."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QEvent, QObject, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ptychoui.gui.devices.parts import allow, tool
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.parts import CommandRow, Elided, Yielding, bold, bullets, gap_of, ink, note
from ptychoui.session.device_state import LinkState
from ptychoui.session.led_walk import DEAD, Verdict, Walk
from ptychoui.settings import Geometry

INTRO = (
    "One LED after the other shines. Click on the plot where you see it: the plot has the array as the geometry places "
    "it, x to the right and y up, seen from the sample. A few LEDs tell mirrors, turns, rows, columns and serpentines."
)
STEPS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}


class WalkPlot(LedPlot):
    """LEDs to point at, by mouse or by arrow keys and Return.

    Attributes
    ----------
    pointed
        Place of the LED in the list.
    """

    pointed = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, aperture=False)
        self.cursor_at = -1
        self.plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.plot.installEventFilter(self)
        self.plot.setAccessibleName("Where the LED shines: arrow keys move, Return answers")
        self.clicked.connect(self.pointed)

    def point(self, place: int) -> None:
        """Put the ring that arrow keys move around an LED; -1 for none."""
        self.cursor_at = place
        self.mark(place)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Move by arrow keys, answer by Return."""
        if watched is self.plot and isinstance(event, QKeyEvent) and self.cursor_at >= 0:
            key = Qt.Key(event.key()) if event.key() in STEPS else None
            answers = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            if key is not None or answers:
                if event.type() == QEvent.Type.KeyPress:
                    if key is not None:
                        self._move(*STEPS[key])
                    else:
                        self.pointed.emit(self.cursor_at)
                event.accept()
                return True
        return super().eventFilter(watched, event)

    def _move(self, right: int, up: int) -> None:
        """To the next LED in a direction."""
        away = self.places - self.places[self.cursor_at]
        along = away @ np.array([right, up])
        aside = np.abs(away @ np.array([up, right]))
        ahead = along > 1e-9
        if ahead.any():
            self.point(int(np.argmin(np.where(ahead, along + 3 * aside, np.inf))))


class WalkPage(QWidget):
    """Leads through a walk.

    Attributes
    ----------
    begin_wanted
        Whether all LEDs are to be walked over.
    light_wanted
        Number of the LED that is to shine.
    ended
        Nothing is to shine any more.
    take_wanted
        The geometry that explains the answers is to be taken.
    """

    begin_wanted = pyqtSignal(bool)
    light_wanted = pyqtSignal(int)
    ended = pyqtSignal()
    take_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.walk: Walk | None = None
        self._verdict: Verdict | None = None
        self._has_geometry = False
        self._state = LinkState()
        self.intro = QLabel(INTRO)
        self.intro.setWordWrap(True)
        self.ask = bold(Elided(least=10))
        self.plot = WalkPlot()
        self.plot.use_unit("mm")
        self.begin = tool("Check the numbering", "Walk over about five LEDs that tell most", "walk")
        self.whole = tool("All LEDs", "Walk over every LED, which finds dead ones and gives a table of places", "leds")
        self.here = tool("It shines here", "The LED shines where the ring is (Return on the plot)", "yes")
        self.dead = tool("It is dark", "Nothing shines: the LED is dead, or its number is not used", "dark")
        self.back = tool("Back", "Ask for the last LED again", "undo")
        self.end = tool("End", "End the walk; what was found stays below", "stop")
        self.words = note()
        self.take = tool("Use this numbering", "Put it into the geometry; undo takes it back", "geometry")
        gap = gap_of(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, gap, 0, 0)
        column.setSpacing(gap)
        column.addWidget(Yielding(self.intro, 3))
        self._start_row = CommandRow((self.begin, self.whole))
        self._answer_row = CommandRow((self.here, self.dead, self.back, self.end))
        column.addWidget(self._start_row)
        column.addWidget(Yielding(self.words, 3))
        column.addWidget(self.take)
        column.addWidget(self.ask)
        column.addWidget(self.plot, 100)
        column.addWidget(self._answer_row)
        column.addStretch(1)
        self.begin.clicked.connect(lambda: self.begin_wanted.emit(False))
        self.whole.clicked.connect(lambda: self.begin_wanted.emit(True))
        self.here.clicked.connect(lambda: self._pointed(self.plot.cursor_at))
        self.dead.clicked.connect(lambda: self._answer(DEAD))
        self.back.clicked.connect(self._go_back)
        self.end.clicked.connect(self.stop)
        self.plot.pointed.connect(self._pointed)
        self.take.clicked.connect(self._take)
        self._show()

    @property
    def walking(self) -> bool:
        """Whether an LED is asked for now."""
        return self.walk is not None and self.walk.current is not None

    def show_geometry(self, geometry: Geometry | None) -> None:
        """Another geometry is open: what was found of the last one goes."""
        self._has_geometry = geometry is not None
        if self.walk is not None and self.walk.geometry != geometry:
            if self.walking:
                self.ended.emit()
            self.walk, self._verdict = None, None
        self._show()

    def start(self, walk: Walk) -> None:
        """Begin a walk: its first LED is to shine."""
        self.walk, self._verdict = walk, None
        places = np.column_stack([walk.places_mm, np.zeros(len(walk.places_mm))])
        self.plot.set_leds(walk.places_mm, walk.numbers, 0.0, places)
        self._ask()
        self.plot.plot.setFocus(Qt.FocusReason.OtherFocusReason)

    def stop(self) -> None:
        """End the walk."""
        if self.walk is not None and self.walking:
            self._verdict = self.walk.verdict()
            self.walk.current = None
            self.ended.emit()
        self._show()

    def show_state(self, state: LinkState) -> None:
        """What can be pressed; an array that is gone ends the walk."""
        gone = self._state.opened is not None and state.opened is None
        self._state = state
        if gone and self.walking:
            self.stop()
        self._show()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.plot.use_colours()
        ink(self.intro, colours().muted)
        self._show()

    def _ask(self) -> None:
        walk = self.walk
        if walk is None or walk.current is None:
            if walk is not None:
                self._verdict = walk.verdict()
                self.ended.emit()
            self._show()
            return
        place = int(np.flatnonzero(walk.numbers == walk.current)[0])
        levels = np.zeros(len(walk.numbers))
        levels[place] = 1.0
        self.plot.set_levels(levels)
        self.plot.point(place)
        self.light_wanted.emit(walk.current)
        self._show()

    def _pointed(self, place: int) -> None:
        if self.walking and self.walk is not None and place >= 0:
            self._answer(int(self.walk.numbers[place]))

    def _answer(self, where: int) -> None:
        if self.walk is not None and self.walking:
            self.walk.answer(where)
            self._ask()

    def _go_back(self) -> None:
        if self.walk is not None:
            self.walk.back()
            self._ask()

    def _take(self) -> None:
        if self._verdict is not None and self._verdict.geometry is not None:
            self.take_wanted.emit(self._verdict.geometry)

    def _show(self) -> None:
        walk, walking, verdict = self.walk, self.walking, self._verdict
        self.plot.setVisible(walk is not None)
        self.intro.setVisible(not walking)
        self._start_row.setVisible(not walking)
        self._answer_row.setVisible(walking)
        self.ask.setVisible(walking)
        if walk is not None and walk.current is not None:
            x, y = walk.places_mm[int(np.flatnonzero(walk.numbers == walk.current)[0])]
            far = f"{len(walk.answers) + 1} of {'' if walk.every else 'about '}{walk.total}"
            self.ask.say(
                f"LED {walk.current} shines ({far}). Where?",
                f"LED {walk.current} shines. The geometry says at x = {x:+.2f} mm, y = {y:+.2f} mm: drawn lit",
            )
        elif walk is not None:
            self.plot.set_levels(np.zeros(len(walk.numbers)))
            self.plot.point(-1)
        c = colours()
        good = verdict is not None and verdict.sure and verdict.geometry is None
        bullets(
            self.words, [verdict.sentence] if verdict is not None and not walking else [], c.good if good else c.warning
        )
        self.take.setVisible(not walking and verdict is not None and verdict.geometry is not None)
        why = "" if self._state.opened is not None else "connect an array first"
        if not why and not self._has_geometry:
            why = "there is no geometry yet"
        for button in (self.begin, self.whole):
            allow(button, why)
        allow(self.back, "" if walk is not None and walk.answers else "this is the first")
