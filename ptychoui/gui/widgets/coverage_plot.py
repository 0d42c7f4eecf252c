"""Fourier coverage: the pupil of every LED, and how far they reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table

MOST_PUPILS = 600


class CoveragePlot(QWidget):
    """Translucent pupils, so that overlap shows as brightness."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._na: NDArray[np.float64] = np.empty((0, 2))
        self._objective_na = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip(
            "Each disc is the part of the object's spectrum that one LED brings through the objective; "
            "brighter where discs overlap"
        )
        self.figure = FigureMenu(self, "Coverage", self._table)

    def _table(self) -> Table | None:
        radius = self._objective_na
        rows = [(float(x), float(y), radius) for x, y in self._na]
        return Table(("pupil at x (NA)", "pupil at y (NA)", "radius (NA)"), rows) if rows else None

    def set_geometry(self, na: NDArray[np.float64] | None, objective_na: float) -> None:
        """Show LEDs at (LED, 2) illumination NA."""
        self._na = np.empty((0, 2)) if na is None else na[:: max(1, len(na) // MOST_PUPILS)]
        self._objective_na = objective_na
        self.update()

    def sizeHint(self) -> QSize:
        """About ten lines of text."""
        side = 11 * self.fontMetrics().height()
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        """Readable still."""
        side = 5 * self.fontMetrics().height()
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw pupils, the objective's own, and the synthetic aperture."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(c.plot))
        if not len(self._na):
            painter.setPen(QColor(c.muted))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "no geometry")
            painter.end()
            return
        line = painter.fontMetrics().height()
        reach = self._objective_na + float(np.hypot(*self._na.T).max())
        centre = QPointF(self.width() / 2, self.height() / 2)
        scale = max(1.0, min(self.width(), self.height()) / 2 - 1.4 * line) / reach
        fill = QColor(c.accent)
        fill.setAlphaF(min(0.5, max(0.03, 6 / len(self._na))))
        painter.setBrush(fill)
        painter.setPen(Qt.PenStyle.NoPen)
        pupil = self._objective_na * scale
        for x, y in self._na:
            painter.drawEllipse(centre + QPointF(x * scale, -y * scale), pupil, pupil)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(c.text), 1.2))
        painter.drawEllipse(centre, pupil, pupil)
        painter.setPen(QPen(QColor(c.muted), 1, Qt.PenStyle.DashLine))
        painter.drawEllipse(centre, reach * scale, reach * scale)
        painter.setPen(QColor(c.muted))
        painter.drawText(
            self.rect().adjusted(0, 2, 0, 0),
            int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop),
            f"synthetic NA {reach:.3g}, objective NA {self._objective_na:g}",
        )
        painter.end()
