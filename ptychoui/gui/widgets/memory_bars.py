"""Memory of a step: what is measured now beside what back-propagation would take."""

from __future__ import annotations

from collections.abc import Mapping

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.engine.sizes import size_text
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table

NAMES = {
    "store_all": "back-propagation",
    "checkpoint": "checkpoints",
    "offload": "checkpoints on the host",
    "greedy": "greedy modules",
}


class MemoryBars(QWidget):
    """Bars on one scale: a line of text over each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bars: list[tuple[str, float, str]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Peak memory of one optimiser step, without the program and its data")
        self.figure = FigureMenu(self, "Memory of a step", self._table)

    def show_memory(self, strategy: str, measured: int, predicted: Mapping[str, int]) -> None:
        """Show the measured peak (0: not yet) of a strategy, and the predictions for it and back-propagation."""
        bars = []
        own = predicted.get(strategy, 0)
        name = NAMES.get(strategy, strategy)
        if measured:
            bars.append((f"{name}, measured", float(measured), "accent"))
        elif own:
            bars.append((f"{name}, predicted", float(own), "accent"))
        full = predicted.get("store_all", 0)
        if full:
            bars.append((f"{NAMES['store_all']} would take", float(full), "second"))
        if bars != self._bars:
            self._bars = bars
            self.update()

    def _table(self) -> Table | None:
        rows = [(name, size) for name, size, _ in self._bars]
        return Table(("strategy", "peak memory (bytes)"), rows) if rows else None

    def clear(self) -> None:
        """Nothing to show."""
        self._bars = []
        self.update()

    def sizeHint(self) -> QSize:
        """Two bars with a line of text each."""
        return QSize(200, round(4.1 * self.fontMetrics().height()))

    def minimumSizeHint(self) -> QSize:
        """The same, narrower."""
        return QSize(100, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the bars."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._bars:
            painter.setPen(QColor(c.muted))
            text = "Memory is predicted when a run starts and measured at its first step."
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), text)
            painter.end()
            return
        line = painter.fontMetrics().height()
        largest = max(size for _, size, _ in self._bars)
        thick = max(5.0, 0.45 * line)
        pitch = self.height() / 2
        for i, (name, size, tone) in enumerate(self._bars):
            top = i * pitch
            row = QRectF(0, top, self.width(), line)
            painter.setPen(QColor(c.text))
            text = self._size_text(size)
            metrics = painter.fontMetrics()
            room = self.width() - metrics.horizontalAdvance(text) - line // 2
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
            painter.drawText(row, int(Qt.AlignmentFlag.AlignLeft), shown)
            painter.drawText(row, int(Qt.AlignmentFlag.AlignRight), text)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.raised))
            painter.drawRoundedRect(QRectF(0, top + line + 2, self.width(), thick), 2, 2)
            painter.setBrush(QColor(getattr(c, tone)))
            painter.drawRoundedRect(QRectF(0, top + line + 2, max(3.0, self.width() * size / largest), thick), 2, 2)
        painter.end()

    def _size_text(self, size: float) -> str:
        first = self._bars[0][1]
        return size_text(size) if size == first or not first else f"{size_text(size)}  ({size / first:.1f}×)"
