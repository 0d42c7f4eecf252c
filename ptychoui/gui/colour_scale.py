"""A strip of colours with the values at its ends: the legend of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.gui.luts import lut
from ptychoui.gui.theme import colours


class ColourScale(QWidget):
    """Low value, colours, high value, and what they mean."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table: NDArray[np.uint8] = lut("gray")
        self._texts = "", "", ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """One line of text, and the strip as wide as there is room."""
        return QSize(30 * self.fontMetrics().averageCharWidth(), round(1.5 * self.fontMetrics().height()))

    def set_scale(self, table: NDArray[np.uint8], low: str, high: str, meaning: str) -> None:
        """Show (n, 3) colours between two texts, and after them what they mean."""
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
        texts = [metrics.horizontalAdvance(text) for text in (low, high, meaning)]
        strip = max(4 * gap, min(24 * gap, self.width() - sum(texts) - 5 * gap))
        x, top = 0.0, (self.height() - line) / 2
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(x, top, texts[0] + gap, line), int(Qt.AlignmentFlag.AlignLeft), low)
        x += texts[0] + gap
        image = QImage(self._table.tobytes(), len(self._table), 1, 3 * len(self._table), QImage.Format.Format_RGB888)
        box = QRectF(x, top + 0.2 * line, strip, 0.6 * line)
        painter.drawImage(box, image)
        painter.setPen(QPen(QColor(c.line), 1))
        painter.drawRect(box)
        x += strip + gap
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(x, top, texts[1] + gap, line), int(Qt.AlignmentFlag.AlignLeft), high)
        x += texts[1] + 2 * gap
        painter.setPen(QColor(c.muted))
        room = int(self.width() - x)
        shown = metrics.elidedText(meaning, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(x, top, room, line), int(Qt.AlignmentFlag.AlignLeft), shown)
        painter.end()
