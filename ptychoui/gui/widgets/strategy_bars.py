"""Memory and time of gradient strategies as bars that are read from afar."""

from __future__ import annotations

from dataclasses import dataclass

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QBrush, QColor, QFont, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.engine.sizes import size_text
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table

TONES = {"store_all": "second", "checkpoint": "good", "reversible": "accent"}
"""Colours of strategies, by their names in the theme."""

LARGEST_TEXT = 3.6
"""Of the figures, in units of the usual text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyBar:
    """One strategy.

    Attributes
    ----------
    name, title, keeps
        As the engine and as people call it, and what it keeps.
    bytes
        Peak of a step; 0 where nothing is known.
    measured
        Whether that was measured, or predicted.
    note
        Time of a step, or why it does not run.
    """

    name: str
    title: str
    keeps: str
    bytes: int = 0
    measured: bool = False
    note: str = ""


class StrategyBars(QWidget):
    """A row for each strategy: what it keeps, the peak of a step as a bar on one scale, and its time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bars: tuple[StrategyBar, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip("Peak memory of one step under each strategy; hatched bars are predicted, full ones measured")
        self.figure = FigureMenu(self, "Memory of strategies", self._table)

    def _table(self) -> Table | None:
        rows = [
            (bar.title, bar.bytes or "", ("measured" if bar.measured else "predicted") if bar.bytes else "", bar.note)
            for bar in self.bars
        ]
        return Table(("strategy", "peak memory (bytes)", "known by", "note"), rows) if rows else None

    def show_bars(self, bars: tuple[StrategyBar, ...]) -> None:
        """Show these."""
        if bars != self.bars:
            self.bars = bars
            self.update()
            self.setAccessibleDescription("; ".join(self.text_of(bar) for bar in bars))

    @staticmethod
    def text_of(bar: StrategyBar) -> str:
        """A row in words."""
        size = f"{size_text(bar.bytes)} {'measured' if bar.measured else 'predicted'}" if bar.bytes else "not known"
        return f"{bar.title}: {size}{', ' if bar.note else ''}{bar.note}"

    def sizeHint(self) -> QSize:
        """Three rows of large text."""
        return QSize(46 * self.fontMetrics().averageCharWidth(), 21 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Three rows of usual text."""
        return QSize(34 * self.fontMetrics().averageCharWidth(), 13 * self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        largest = max((bar.bytes for bar in self.bars), default=0)
        pitch = self.height() / max(1, len(self.bars))
        line = self.fontMetrics().height()
        scale = min(LARGEST_TEXT, max(1.0, pitch / (4.6 * line)), max(1.0, self.width() / (19 * line)))
        for place, bar in enumerate(self.bars):
            self._row(painter, bar, QRectF(0, place * pitch, self.width(), pitch), scale, largest)
        if not self.bars:
            painter.setPen(QColor(c.muted))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "nothing to compare")
        painter.end()

    def _row(self, painter: QPainter, bar: StrategyBar, area: QRectF, scale: float, largest: int) -> None:
        c, line = colours(), self.fontMetrics().height()
        tone = QColor(getattr(c, TONES.get(bar.name, "accent")))
        high = scale * line * 1.15
        top, gap = area.top() + 0.1 * line, 0.3 * line
        painter.setFont(self._font(scale, bold=True))
        size = size_text(bar.bytes) if bar.bytes else "\N{EM DASH}"
        painter.setPen(tone)
        painter.drawText(QRectF(area.left(), top, area.width(), high), int(Qt.AlignmentFlag.AlignRight), size)
        room = area.width() - painter.fontMetrics().horizontalAdvance(size) - line
        painter.setPen(QColor(c.text))
        title = painter.fontMetrics().elidedText(bar.title, Qt.TextElideMode.ElideRight, round(room))
        painter.drawText(QRectF(area.left(), top, room, high), int(Qt.AlignmentFlag.AlignLeft), title)
        small = max(1.0, 0.55 * scale)
        painter.setFont(self._font(small))
        low = small * line * 1.15
        under = top + high
        known = ("measured" if bar.measured else "predicted") if bar.bytes else ""
        painter.setPen(QColor(c.muted))
        painter.drawText(QRectF(area.left(), under, area.width(), low), int(Qt.AlignmentFlag.AlignRight), known)
        painter.drawText(QRectF(area.left(), under, area.width(), low), int(Qt.AlignmentFlag.AlignLeft), bar.keeps)
        thick = min(2.2 * scale * line, max(0.4 * line, area.bottom() - under - 2 * low - 3 * gap))
        track = QRectF(area.left(), under + low + gap, area.width(), thick)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.raised))
        painter.drawRoundedRect(track, 3, 3)
        if bar.bytes and largest:
            filled = QRectF(track.left(), track.top(), max(4.0, track.width() * bar.bytes / largest), track.height())
            if bar.measured:
                painter.setBrush(tone)
            else:  # what nobody measured must not look as if it were
                painter.setPen(QPen(tone, 1.5))
                painter.setBrush(QBrush(tone, Qt.BrushStyle.BDiagPattern))
            painter.drawRoundedRect(filled.adjusted(1, 1, -1, -1), 3, 3)
        painter.setPen(QColor(c.text))
        below = QRectF(area.left(), track.bottom() + gap / 2, area.width(), low)
        note = painter.fontMetrics().elidedText(bar.note, Qt.TextElideMode.ElideRight, round(area.width()))
        painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft), note)

    def _font(self, scale: float, bold: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * scale)
        font.setBold(bold)
        return font
