"""A strip of colours with the values at its ends: the legend of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.theme import colours


class ColourScale(QWidget):
    """Low value, colours and high value; below, what they mean."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table: NDArray[np.uint8] = lut("gray")
        self._texts = "", "", ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Two lines of text."""
        return QSize(30 * self.fontMetrics().averageCharWidth(), 2 * self.fontMetrics().height())

    def set_scale(self, table: NDArray[np.uint8], low: str, high: str, meaning: str) -> None:
        """Show (n, 3) colours between two texts, and below what they mean."""
        self._table, self._texts = np.ascontiguousarray(table), (low, high, meaning)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it."""
        low, high, meaning = self._texts
        if not high:
            return
        c = colours()
        painter = QPainter(self)
        metrics = painter.fontMetrics()
        gap, line = metrics.averageCharWidth(), metrics.height()
        first, second = (metrics.horizontalAdvance(text) for text in (low, high))
        strip = max(4 * gap, min(24 * gap, self.width() - first - second - 3 * gap))
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(0, 0, first + gap, line), int(Qt.AlignmentFlag.AlignLeft), low)
        image = QImage(self._table.tobytes(), len(self._table), 1, 3 * len(self._table), QImage.Format.Format_RGB888)
        box = QRectF(first + gap, 0.2 * line, strip, 0.6 * line)
        painter.drawImage(box, image)
        painter.setPen(QPen(QColor(c.line), 1))
        painter.drawRect(box)
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(box.right() + gap, 0, second + gap, line), int(Qt.AlignmentFlag.AlignLeft), high)
        painter.setPen(QColor(c.muted))
        shown = metrics.elidedText(meaning, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(QRectF(0, line, self.width(), line), int(Qt.AlignmentFlag.AlignLeft), shown)
        painter.end()
