"""Thumbnails of all patterns; click or arrow keys choose one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.gui.look.theme import colours, level_colours, ring_colours

MOST_SPOTS = 1500


class PatternStrip(QWidget):
    """One small picture per row, in as many lines as fit the width.

    Attributes
    ----------
    chosen
        The row that was chosen.
    """

    chosen = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = 0
        self._levels: NDArray[np.float64] = np.empty((0, 0))
        self._na: NDArray[np.float64] = np.empty((0, 2))
        self._names: tuple[str, ...] = ()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName("Patterns")

    def set_patterns(self, levels: NDArray[np.float64], na: NDArray[np.float64], names: tuple[str, ...]) -> None:
        """Show levels (row, LED) at places (LED, 2)."""
        regroup = levels.shape[0] != self._levels.shape[0]
        self._levels, self._na, self._names = levels, na, names
        if self.row >= len(levels):
            self.choose(0)
        if regroup:
            self.updateGeometry()
        self.update()

    def choose(self, row: int) -> None:
        """Choose a row; the ends stop."""
        row = min(max(row, 0), max(0, len(self._levels) - 1))
        if row != self.row:
            self.row = row
            self.update()
            self.chosen.emit(row)

    @property
    def _cell(self) -> int:
        return round(3.4 * self.fontMetrics().height())

    def _side(self, width: int) -> int:
        """Edge of a thumbnail: a little smaller where that saves a line."""
        smaller = width // max(1, len(self._levels))
        return smaller if 0.6 * self._cell <= smaller < self._cell else self._cell

    def _columns(self, width: int) -> int:
        return max(1, width // self._side(width))

    def heightForWidth(self, width: int) -> int:
        """As many lines as are needed, two at most."""
        lines = -(-max(1, len(self._levels)) // self._columns(width))
        return min(lines, 2) * self._side(width)

    def hasHeightForWidth(self) -> bool:
        """Height follows from width."""
        return True

    def sizeHint(self) -> QSize:
        """Four thumbnails wide."""
        return QSize(4 * self._cell, self.heightForWidth(max(self.width(), 4 * self._cell)))

    def minimumSizeHint(self) -> QSize:
        """One thumbnail wide."""
        return QSize(self._cell, self._cell)

    def _boxes(self) -> list[QRectF]:
        columns = self._columns(self.width())
        side = self._side(self.width())
        # More rows than two lines hold: smaller thumbnails.
        while -(-len(self._levels) // columns) * side > self.height() and side > 12:
            side -= 2
            columns = max(1, self.width() // side)
        return [QRectF((i % columns) * side, (i // columns) * side, side, side) for i in range(len(self._levels))]

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the thumbnails; the chosen one has a frame."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        table, rings = level_colours(), ring_colours()
        reach = float(np.abs(self._na).max(initial=1e-9))
        for row, box in enumerate(self._boxes()):
            inner = box.adjusted(2, 2, -2, -2)
            painter.setPen(QPen(QColor(c.accent if row == self.row else c.line), 2 if row == self.row else 1))
            painter.setBrush(QColor(c.base))
            painter.drawRoundedRect(inner, 3, 3)
            painter.setPen(Qt.PenStyle.NoPen)
            scale = (inner.width() / 2 - 4) / reach
            spot = max(0.8, 0.42 * scale * 2 * reach / max(2.0, np.sqrt(len(self._na)) * 1.15))
            stride = max(1, len(self._na) // MOST_SPOTS)
            for (x, y), level in zip(self._na[::stride], self._levels[row, ::stride], strict=True):
                level = min(max(float(level), 0.0), 1.0)
                painter.setBrush(table[int(level * 255)])
                painter.setPen(QPen(rings[int(level * 255)], 0.7) if level > 0.05 else Qt.PenStyle.NoPen)
                # Dark LEDs are small, too: a full level is no lighter than the ground of the light theme.
                size = spot * (0.55 + 0.55 * level)
                painter.drawEllipse(QPointF(inner.center().x() + x * scale, inner.center().y() - y * scale), size, size)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose by click."""
        if event is not None:
            for row, box in enumerate(self._boxes()):
                if box.contains(event.position()):
                    self.choose(row)
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Choose by arrow keys."""
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self._columns(self.width()),
            Qt.Key.Key_Down: self._columns(self.width()),
        }
        if event is not None and event.key() in steps:
            self.choose(self.row + steps[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
