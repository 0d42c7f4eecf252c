"""The LED array as something to draw on: clicks, boxes, strokes of a brush, and keys."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QEvent, QObject, QPointF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent
from PyQt6.QtWidgets import QWidget

from ptychoui.design.led_shapes import pitch_of, touched
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.led_plot import LedPlot

BoolArray = NDArray[np.bool_]

_KEY = Qt.Key
KEYS: dict[tuple[int, int], str] = {
    (_KEY.Key_Left, 0): "left",
    (_KEY.Key_Right, 0): "right",
    (_KEY.Key_Up, 0): "up",
    (_KEY.Key_Down, 0): "down",
    (_KEY.Key_Left, 1): "extend left",
    (_KEY.Key_Right, 1): "extend right",
    (_KEY.Key_Up, 1): "extend up",
    (_KEY.Key_Down, 1): "extend down",
    (_KEY.Key_Space, 0): "toggle",
    (_KEY.Key_S, 0): "select",
    (_KEY.Key_B, 0): "paint",
    (_KEY.Key_E, 0): "erase",
    (_KEY.Key_I, 0): "invert",
    (_KEY.Key_BracketLeft, 0): "smaller brush",
    (_KEY.Key_BracketRight, 0): "larger brush",
    (_KEY.Key_Delete, 0): "clear",
    (_KEY.Key_Backspace, 0): "clear",
    (_KEY.Key_A, 2): "all",
    (_KEY.Key_C, 2): "copy",
    (_KEY.Key_V, 2): "paste",
    (_KEY.Key_PageUp, 0): "previous pattern",
    (_KEY.Key_PageDown, 0): "next pattern",
    (_KEY.Key_Up, 4): "pattern earlier",
    (_KEY.Key_Down, 4): "pattern later",
    (_KEY.Key_Escape, 0): "none",
    **{(_KEY.Key_0 + digit, 0): f"level {digit}" for digit in range(10)},
}
"""What keys mean here, by key and modifiers (1: Shift, 2: Ctrl, 4: Alt)."""


def _meaning(event: QKeyEvent) -> str:
    held = event.modifiers()
    modifier = Qt.KeyboardModifier
    marks = sum(
        bit
        for flag, bit in ((modifier.ShiftModifier, 1), (modifier.ControlModifier, 2), (modifier.AltModifier, 4))
        if held & flag
    )
    return KEYS.get((event.key(), marks), "")


class LedCanvas(LedPlot):
    """A plot of the LEDs that tells what mouse and keys ask for; it changes nothing itself.

    Attributes
    ----------
    pointed
        (LED, whether to add to the selection): a click with the select tool; -1 beside all LEDs.
    boxed
        ((LED,) mask, whether to add): a box was drawn with the select tool.
    stroked
        (LED,) mask of what the brush touched newly, for every part of a stroke.
    stroke_ended
        The button is up, or, with False, the stroke was given up.
    asked
        The meaning of a key, one of `KEYS`.
    """

    pointed = pyqtSignal(int, bool)
    boxed = pyqtSignal(object, bool)
    stroked = pyqtSignal(object)
    stroke_ended = pyqtSignal(bool)
    asked = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, labelled=False)
        self.tool = "select"
        self.brush_pitches = 0.5
        self.has_selection = False
        self._pitch = 1.0
        self._last: tuple[float, float] | None = None
        self._start: QPointF | None = None
        self._brush, self._box = pg.PlotCurveItem(), pg.PlotCurveItem()
        for drawn in (self._brush, self._box):
            drawn.setZValue(10)
            self.plot.addItem(drawn, ignoreBounds=True)
        self.plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.plot.installEventFilter(self)
        self.setFocusProxy(self.plot)
        self.plot.setAccessibleName("LEDs of the pattern")
        self.use_colours()

    def use_tool(self, tool: str) -> None:
        """Draw with ``select``, ``paint`` or ``erase``; an empty word is for looking only."""
        self._give_up()
        self.tool = tool
        cross = Qt.CursorShape.CrossCursor if tool in ("paint", "erase") else Qt.CursorShape.ArrowCursor
        self.plot.viewport().setCursor(cross)
        self._brush.setData([], [])

    @property
    def busy(self) -> bool:
        """Whether a stroke or a box is being drawn."""
        return self._last is not None or self._start is not None

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        if hasattr(self, "_box"):
            self._box.setPen(pg.mkPen(colours().accent, width=1.5, style=Qt.PenStyle.DashLine))
            self._brush.setPen(pg.mkPen(colours().accent, width=1.5))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Draw, or read keys; what is for nobody here goes on to the plot."""
        if watched is self.plot and isinstance(event, QKeyEvent):
            return self._key(event)
        if isinstance(event, QMouseEvent) and watched is self.plot.viewport() and self.tool:
            return self._mouse(event)
        if event is not None and event.type() == QEvent.Type.Leave and not self.busy:
            self._brush.setData([], [])
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        meaning = _meaning(event)
        # Esc stops runs: it is taken only where there is something here to leave.
        if not meaning or (meaning == "none" and not (self.busy or self.has_selection)):
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if event.type() == QEvent.Type.KeyPress:
            if meaning == "none" and self.busy:
                self._give_up()
            elif not self.busy:
                self.asked.emit(meaning)
        return True

    def _mouse(self, event: QMouseEvent) -> bool:
        kind, left = event.type(), event.button() == Qt.MouseButton.LeftButton
        if kind == QEvent.Type.MouseMove:
            return self._move(event)
        if not left:
            return False
        if kind == QEvent.Type.MouseButtonDblClick and self.led_at(event.position()) < 0:
            self.fit()
            return True
        if kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            self.plot.setFocus(Qt.FocusReason.MouseFocusReason)
            self._pitch = pitch_of(self.places) or 1.0
            if self.tool == "select":
                self._start = event.position()
            else:
                self._last = self._at(event)
                self._stroke(self._last)
            return True
        if kind == QEvent.Type.MouseButtonRelease and self.busy:
            self._release(event)
            return True
        return False

    def _move(self, event: QMouseEvent) -> bool:
        at = self._at(event)
        if self.tool in ("paint", "erase"):
            angle, radius = np.linspace(0, 2 * np.pi, 49), self._radius()
            self._brush.setData(at[0] + radius * np.cos(angle), at[1] + radius * np.sin(angle))
        if self._last is not None:
            self._stroke(at)
        elif self._start is not None:
            (x, y), (u, v) = self._of(self._start), at
            self._box.setData([x, u, u, x, x], [y, y, v, v, y])
        return self.busy

    def _release(self, event: QMouseEvent) -> None:
        if self._last is not None:
            self._last = None
            self.stroke_ended.emit(True)
            return
        start, self._start = self._start, None
        self._box.setData([], [])
        assert start is not None
        more = bool(event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier))
        if (event.position() - start).manhattanLength() < self.fontMetrics().height() / 2:
            self.pointed.emit(self.led_at(start), more)
            return
        corners = np.array([self._of(start), self._at(event)])
        low, high = corners.min(0), corners.max(0)
        self.boxed.emit(((self.places >= low) & (self.places <= high)).all(1), more)

    def _stroke(self, to: tuple[float, float]) -> None:
        mask = touched(self.places, self._last or to, to, self._radius())
        self._last = to
        if mask.any():
            self.stroked.emit(mask)

    def _give_up(self) -> None:
        painting = self._last is not None
        self._last = self._start = None
        self._box.setData([], [])
        if painting:
            self.stroke_ended.emit(False)

    def _radius(self) -> float:
        """Radius of the brush in the unit of the axes."""
        return self.brush_pitches * (pitch_of(self.places) if not self.busy else self._pitch)

    def _at(self, event: QMouseEvent) -> tuple[float, float]:
        return self._of(event.position())

    def _of(self, point: QPointF) -> tuple[float, float]:
        at = self.plot.getViewBox().mapSceneToView(point)
        return at.x(), at.y()
