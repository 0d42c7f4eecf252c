"""One pattern on the LED array in NA coordinates: colour is the drive level."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QColor, QFont, QMouseEvent, QPainter, QPainterPath, QPen, QResizeEvent
from PyQt6.QtWidgets import QApplication, QVBoxLayout, QWidget

from ptychoui.design.led_shapes import pitch_of
from ptychoui.gui.look.theme import DARK, colours, dress_axes, level_colours, number_axes, ring_colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table

FloatArray = NDArray[np.float64]

AXES_LINES = 9
"""Lines of text that a plot is high, at least, where it has numbers on its axes."""


LEAST_SEEN = 0.004
"""Level below which an LED is drawn as dark."""


def filled(level: float) -> float:
    """Share of a spot's radius that a level fills: its area follows the level, and little levels are seen still."""
    return float(0.3 + 0.7 * np.sqrt(level))


class _Spots(pg.GraphicsObject):  # type: ignore[misc]
    """All LEDs in one paint call: cheaper than a scatter plot whose every spot has a brush of its own.

    A level is told by colour and by how much of a spot is filled, so that it is seen without colours, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.na = np.empty((0, 2))
        self.levels = np.empty(0)
        self.radius = 0.01
        self.marked = -1
        self.table: NDArray[np.uint8] | None = None
        self.ringed: NDArray[np.bool_] = np.empty(0, bool)
        self.chosen: NDArray[np.bool_] = np.empty(0, bool)
        self.allowed: NDArray[np.bool_] = np.empty(0, bool)
        self.numbers: NDArray[np.int64] | None = None
        self._paths: dict[bool, tuple[object, QPainterPath]] = {}
        self._bounds = QRectF(-1, -1, 2, 2)

    def set_places(self, na: FloatArray, radius: float) -> None:
        self.prepareGeometryChange()
        self.na, self.radius, self.marked = na, radius, -1
        reach = float(np.abs(na).max(initial=0.01)) + 2 * radius
        self._bounds = QRectF(-reach, -reach, 2 * reach, 2 * reach)
        self.update()

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, *_: object) -> None:
        if self.table is None:
            self._draw_levels(painter)
        else:
            self._draw_values(painter, self.table)
        self._ring(painter, self.ringed, colours().error, 2.5, 1.55)
        self._ring(painter, self.chosen, colours().accent, 2.0, 1.14)
        at = np.zeros(len(self.na), bool)
        at[self.marked : self.marked + 1] = self.marked >= 0
        self._ring(painter, at, colours().accent, 2.0, 1.0 if self.table is not None else 1.14)
        self._write_numbers(painter)

    def _draw_values(self, painter: QPainter, table: NDArray[np.uint8]) -> None:
        painter.setPen(QPen(QColor(colours().line), 0))
        for (x, y), level in zip(self.na, self.levels, strict=False):
            painter.setBrush(QBrush(QColor(*(int(v) for v in table[int(min(max(level, 0.0), 1.0) * 255)]))))
            painter.drawEllipse(QPointF(x, y), self.radius, self.radius)

    def _draw_levels(self, painter: QPainter) -> None:
        c, table, rings = colours(), level_colours(), ring_colours()
        outline = QPen(QColor(c.line), 0)
        never = QPen(QColor(c.line), 0, Qt.PenStyle.DotLine)
        free = self.allowed if len(self.allowed) == len(self.na) else np.ones(len(self.na), bool)
        for may, pen, brush in ((True, outline, QBrush(table[0])), (False, never, QBrush(Qt.BrushStyle.NoBrush))):
            painter.setPen(pen)
            painter.setBrush(brush)
            painter.drawPath(self._all_of(free, may))
        for place in np.flatnonzero(self.levels[: len(self.na)] > LEAST_SEEN):
            level = float(min(self.levels[place], 1.0))
            ring = QPen(rings[int(level * 255)], 0.6 + 1.2 * level)
            ring.setCosmetic(True)
            painter.setPen(ring)
            painter.setBrush(QBrush(table[int(level * 255)]))
            size = filled(level) * self.radius
            painter.drawEllipse(QPointF(*self.na[place]), size, size)

    def _all_of(self, free: NDArray[np.bool_], may: bool) -> QPainterPath:
        """The outlines of all LEDs that may be lit, or of all others: one path, made once."""
        key = (may, self.radius, free.tobytes(), self.na.tobytes())
        if self._paths.get(may, (None, None))[0] != key:
            path, size = QPainterPath(), self.radius if may else 0.7 * self.radius
            for x, y in self.na[free == may]:
                path.addEllipse(QPointF(x, y), size, size)
            self._paths[may] = key, path
        return self._paths[may][1]

    def _ring(self, painter: QPainter, which: NDArray[np.bool_], colour: str, width: float, size: float) -> None:
        ring = QPen(QColor(colour), width)
        ring.setCosmetic(True)
        painter.setPen(ring)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for x, y in self.na[np.flatnonzero(which[: len(self.na)])]:
            painter.drawEllipse(QPointF(x, y), size * self.radius, size * self.radius)

    def _write_numbers(self, painter: QPainter) -> None:
        """Numbers inside the spots, where the spots are large enough to hold them."""
        if self.numbers is None:
            return
        to_screen = painter.transform()
        painter.save()
        painter.resetTransform()
        font = QFont(QApplication.font())
        font.setPointSizeF(font.pointSizeF() * 0.75)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        side = 2 * abs(to_screen.m11()) * self.radius
        if side >= metrics.horizontalAdvance("00"):
            for number, (x, y), level in zip(self.numbers, self.na, self.levels, strict=False):
                lit = colours() is not DARK or level > 0.3
                bright = lit if self.table is None else level > 0.6
                painter.setPen(QColor("#000000" if bright else "#ffffff"))
                at = to_screen.map(QPointF(x, y))
                box = QRectF(at.x() - side, at.y() - side, 2 * side, 2 * side)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), str(number))
        painter.restore()


class LedPlot(QWidget):
    """The selected pattern, inside the synthetic aperture unless ``aperture`` is False.

    Where it is not ``labelled``, somebody else says what the axes are; without ``axes`` there are none.

    Attributes
    ----------
    hovered
        Place of the LED under the cursor in the list, or -1.
    clicked
        Place of the LED that was clicked.
    """

    hovered = pyqtSignal(int)
    clicked = pyqtSignal(int)

    def __init__(
        self, parent: QWidget | None = None, aperture: bool = True, labelled: bool = True, axes: bool = True
    ) -> None:
        super().__init__(parent)
        self._aperture, self._labelled, self._axes = aperture, labelled, axes
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._show_numbers = False
        self.unit = "NA"
        self._na: FloatArray = np.empty((0, 2))
        self._positions_mm: FloatArray | None = None
        self._objective_na = 0.0
        self._pressed = -1
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.setAspectLocked(True)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        if labelled:
            item.setLabel("bottom", "illumination NA")
        self._spots = _Spots()
        self.plot.addItem(self._spots)
        self._circles = [pg.PlotCurveItem() for _ in range(2)]
        for circle in self._circles:
            circle.setZValue(5)
            circle.setVisible(aperture or circle is self._circles[0])
            self.plot.addItem(circle, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.figure = FigureMenu(self.plot, "LEDs", self._table, self.fit)
        self._hover = pg.SignalProxy(self.plot.scene().sigMouseMoved, rateLimit=20, slot=self._mouse_moved)
        self.plot.viewport().installEventFilter(self)
        self.use_colours()

    def sizeHint(self) -> QSize:
        """Square."""
        side = 34 * self.fontMetrics().averageCharWidth()
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        """The LEDs can still be told apart."""
        side = 5 * self.fontMetrics().height()
        return QSize(side, side)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Without axes where they would take the room of the LEDs."""
        super().resizeEvent(event)
        self._offer_axes()

    def _offer_axes(self) -> None:
        shown = self._axes and min(self.height(), self.width()) >= AXES_LINES * self.fontMetrics().height()
        for axis in ("left", "bottom"):
            if self.plot.getAxis(axis).isVisible() != shown:
                self.plot.getPlotItem().showAxis(axis, shown)

    def set_leds(
        self,
        na: FloatArray | None,
        numbers: NDArray[np.int64] | None,
        objective_na: float,
        positions_mm: FloatArray | None = None,
    ) -> None:
        """Place the LEDs by their illumination NA (LED, 2) and positions (LED, 3) in mm; None clears the plot."""
        if na is None or numbers is None:
            na, numbers, objective_na, positions_mm = np.empty((0, 2)), np.empty(0, dtype=np.int64), 0.0, None
        self._numbers, self._na, self._objective_na = numbers, na, objective_na
        self._positions_mm = None if positions_mm is None else positions_mm[:, :2]
        self._spots.levels = np.zeros(len(na))
        self._spots.chosen = self._spots.allowed = np.empty(0, bool)
        self._place()

    def use_unit(self, unit: str) -> None:
        """Show the LEDs by their illumination ``NA`` or their position in ``mm``, where that is known."""
        if unit != self.unit:
            self.unit = unit
            marked = self._spots.marked
            self._place()
            self.mark(marked)

    def _table(self) -> Table | None:
        levels = self._spots.levels
        mm = self._positions_mm
        value = "level (0 to 1)" if self._spots.table is None else "share of the colour scale (0 to 1)"
        header = ("LED", "NA x", "NA y", *(("x (mm)", "y (mm)") if mm is not None else ()), value)
        rows = [
            (int(number), *map(float, self._na[i]), *(map(float, mm[i]) if mm is not None else ()), float(levels[i]))
            for i, number in enumerate(self._numbers)
            if i < len(levels)
        ]
        return Table(header, rows) if rows else None

    @property
    def places(self) -> FloatArray:
        """(LED, 2) where the LEDs are drawn, in the unit of the axes."""
        return self._spots.na

    def _place(self) -> None:
        na, in_mm = self._na, self.unit == "mm" and self._positions_mm is not None
        places = self._positions_mm if in_mm and self._positions_mm is not None else na
        number_axes(self.plot, len(na) > 0)
        self._spots.set_places(places, _spot_radius(places))
        reach = float(np.hypot(*na.T).max()) if len(na) else 0.0
        radii = (self._objective_na, self._objective_na + reach)
        angle = np.linspace(0, 2 * np.pi, 181)
        for circle, radius in zip(self._circles, radii, strict=True):
            size = _in_mm(radius, na, places) if in_mm else radius
            circle.setData(size * np.cos(angle), size * np.sin(angle))
        self._circles[1].setVisible(self._aperture and not in_mm)
        if self._labelled:
            self.plot.getPlotItem().setLabel("bottom", "position (mm)" if in_mm else "illumination NA")
        self.show_numbers(self._show_numbers)
        self.fit()
        self.use_colours()

    def set_levels(self, levels: FloatArray) -> None:
        """Show drive levels (LED,)."""
        self._spots.levels = levels
        self._spots.update()

    def set_values(self, shares: FloatArray, table: NDArray[np.uint8], ringed: NDArray[np.bool_]) -> None:
        """Show other numbers than levels: (LED,) shares of a (256, 3) table of colours, some LEDs ringed."""
        self._spots.table, self._spots.ringed = table, ringed
        self.set_levels(np.clip(shares, 0, 1))

    def ring(self, ringed: NDArray[np.bool_]) -> None:
        """Put a ring of warning around LEDs (LED,)."""
        self._spots.ringed = ringed
        self._spots.update()

    def set_allowed(self, allowed: NDArray[np.bool_]) -> None:
        """Say which LEDs (LED,) the pattern may light; the others are drawn faint."""
        self._spots.allowed = allowed
        self._spots.update()

    def set_chosen(self, chosen: NDArray[np.bool_]) -> None:
        """Ring the chosen LEDs (LED,)."""
        self._spots.chosen = chosen
        self._spots.update()

    def mark(self, led: int) -> None:
        """Ring an LED by its place in the list; -1 for none."""
        self._spots.marked = led
        self._spots.update()

    def show_numbers(self, shown: bool) -> None:
        """Show firmware numbers beside the LEDs."""
        self._show_numbers = shown
        self._spots.numbers = self._numbers if shown else None
        self._spots.update()

    def fit(self) -> None:
        """Show the LEDs and the objective's pupil; the synthetic aperture lies around them, for who zooms out."""
        if len(self._spots.na):
            x, _ = self._circles[0].getData()
            reach = max(float(np.max(x)), float(np.abs(self._spots.na).max()) + 2 * self._spots.radius)
            self.plot.setRange(QRectF(-reach, -reach, 2 * reach, 2 * reach), padding=0.02)
            return
        self.plot.setRange(QRectF(-0.5, -0.5, 1, 1), padding=0.08)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        self._offer_axes()
        styles = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)
        for circle, colour, style in zip(self._circles, (c.accent, c.muted), styles, strict=True):
            circle.setPen(pg.mkPen(colour, width=1, style=style))
        self._spots.update()

    def led_at(self, point: QPointF) -> int:
        """Place of the LED at a point of the viewport, or -1."""
        at = self.plot.getViewBox().mapSceneToView(point)
        if not len(self._spots.na):
            return -1
        distance = np.hypot(self._spots.na[:, 0] - at.x(), self._spots.na[:, 1] - at.y())
        nearest = int(np.argmin(distance))
        return nearest if distance[nearest] <= 1.3 * self._spots.radius else -1

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Tell clicks from drags; fit on a double-click; forget the hover when the cursor leaves."""
        if isinstance(event, QMouseEvent) and event.button() == Qt.MouseButton.LeftButton:
            led = self.led_at(event.position())
            if event.type() == QEvent.Type.MouseButtonPress:
                self._pressed = led
            elif event.type() == QEvent.Type.MouseButtonRelease and led >= 0 and led == self._pressed:
                self.clicked.emit(led)
            elif event.type() == QEvent.Type.MouseButtonDblClick and led < 0:
                self.fit()
        if event is not None and event.type() == QEvent.Type.Leave:
            self.hovered.emit(-1)
        return super().eventFilter(watched, event)

    def _mouse_moved(self, arguments: tuple[QPointF]) -> None:
        self.hovered.emit(self.led_at(arguments[0]))


def _in_mm(radius_na: float, na: FloatArray, places: FloatArray) -> float:
    """Distance from the axis in mm at which an LED has an illumination NA, from the LEDs (LED, 2) themselves."""
    order = np.argsort(np.hypot(*na.T))
    of_na, of_mm = np.hypot(*na[order].T), np.hypot(*places[order].T)
    if not len(of_na) or of_na[-1] <= 0:
        return 0.0
    if radius_na > of_na[-1]:
        return float(of_mm[-1] * radius_na / of_na[-1])
    return float(np.interp(radius_na, of_na, of_mm))


def _spot_radius(na: FloatArray) -> float:
    """Two fifths of the distance of neighbours, so that spots do not touch."""
    return 0.42 * pitch_of(na) or 0.01
