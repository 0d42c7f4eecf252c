"""When LEDs shine and the camera looks, as bars over time."""

from __future__ import annotations

import math

import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ptychoui.devices.timeline import Timeline, Timing
from ptychoui.gui.look.theme import blend, colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table

MOST_STEPS = 4
"""Steps that are drawn: the others are like them."""
LANES = ("LEDs", "trigger", "camera", "read-out")


def tick_ms(total_ms: float) -> float:
    """Distance of the numbers below a time axis in ms: 1, 2 or 5 times a power of ten, at most five of them."""
    least = max(total_ms, 1e-6) / 5
    decade = 10.0 ** math.floor(math.log10(least))
    return next(factor * decade for factor in (1.0, 2.0, 5.0, 10.0) if factor * decade >= least * (1 - 1e-9))


class TimelineView(QWidget):
    """Four lanes: LEDs on, trigger, exposure and read-out of the camera; the first patterns of a sequence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: Timeline | None = None
        self._timing = Timing()
        self._delay_ms = 0.0
        self._triggered = False
        self.playing = -1
        self.setAccessibleName("Timeline of the sequence")
        self.setToolTip(self.words())
        self.figure = FigureMenu(self, "Timeline of the sequence", self._table)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_times(self, times: Timeline | None, timing: Timing, delay_ms: float, triggered: bool) -> None:
        """Draw times of a sequence, or nothing."""
        self._times, self._timing, self._delay_ms, self._triggered = times, timing, delay_ms, triggered
        self.setAccessibleDescription(self.words())
        self.setToolTip(self.words())
        self.update()

    def _table(self) -> Table | None:
        rows = [(step + 1, LANES[lane], begin, end) for step, lane, begin, end in self.bars()]
        return Table(("pattern", "what", "from (ms)", "to (ms)"), rows) if rows else None

    def mark(self, row: int) -> None:
        """Mark the pattern that shines now; -1 for none."""
        if row != self.playing:
            self.playing = row
            self.update()

    def words(self) -> str:
        """The times of the first pattern in words."""
        if self._times is None:
            return "no sequence"
        start = float(self._times.exposure_from_ms[0])
        exposure = float(self._times.exposure_ms[0])
        return (
            f"Pattern 1 is on for {self._delay_ms:g} ms; the camera is triggered after {self._timing.settle_ms:g} ms "
            f"and exposes from {start:g} to {start + exposure:g} ms"
            + (f", its last row ends {self._timing.readout_ms:g} ms later" if self._timing.readout_ms else "")
        )

    def sizeHint(self) -> QSize:
        """Five lines and a half."""
        line = self.fontMetrics().height()
        return QSize(30 * self.fontMetrics().averageCharWidth(), round(6.4 * line))

    def minimumSizeHint(self) -> QSize:
        """As high as it is."""
        return QSize(18 * self.fontMetrics().averageCharWidth(), self.sizeHint().height())

    def bars(self) -> list[tuple[int, int, float, float]]:
        """(step, lane, from, to) in ms of all that is drawn; the trigger has no length."""
        if self._times is None:
            return []
        found = []
        for step in range(min(MOST_STEPS, len(self._times.on_ms))):
            on = step * self._delay_ms
            start = on + float(self._times.exposure_from_ms[step] - self._times.on_ms[step])
            end = start + float(self._times.exposure_ms[step])
            found.append((step, 0, on, on + self._delay_ms))
            if self._triggered:
                at = on + self._timing.settle_ms
                found.append((step, 1, at, at))
            found.append((step, 2, start, end))
            if self._timing.readout_ms:
                found.append((step, 3, end, end + self._timing.readout_ms))
        return found

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(c.plot))
        bars = self.bars()
        if not bars:
            painter.setPen(QColor(c.muted))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "no sequence")
            painter.end()
            return
        metrics = painter.fontMetrics()
        line = metrics.height()
        left = metrics.horizontalAdvance("read-out ") + line // 3
        total = max(bar[3] for bar in bars)
        scale = max(1.0, self.width() - left - line) / max(total, 1e-9)
        tones = (c.warning, c.accent, c.good, blend(c.good, c.plot, 0.5))
        for lane, name in enumerate(LANES):
            top = line * (0.3 + 1.15 * lane)
            painter.setPen(QColor(c.muted))
            side = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            painter.drawText(QRectF(0, top, left - line // 3, line), side, name)
            painter.setPen(QPen(QColor(c.line), 1))
            painter.drawLine(QPointF(left, top + line), QPointF(self.width(), top + line))
        rows = 1 if self._times is None else len(self._times.on_ms)
        for step, lane, begin, end in bars:
            top = line * (0.3 + 1.15 * lane)
            x, wide = left + begin * scale, (end - begin) * scale
            tone = QColor(tones[lane])
            painter.setPen(QPen(QColor(c.text), 1.6) if step == self.playing else Qt.PenStyle.NoPen)
            painter.setBrush(tone)
            if lane == 1:
                peak = QPolygonF(
                    [
                        QPointF(x, top + 0.15 * line),
                        QPointF(x - 0.3 * line, top + line),
                        QPointF(x + 0.3 * line, top + line),
                    ]
                )
                painter.drawPolygon(peak)
                continue
            painter.drawRect(QRectF(x + 0.5, top + 0.15 * line, max(1.5, wide - 1), 0.85 * line))
            if lane == 0 and wide > metrics.horizontalAdvance("00"):
                painter.setPen(QColor(c.plot if c.plot != "#ffffff" else c.base))
                painter.drawText(QRectF(x, top, wide, line * 1.1), int(Qt.AlignmentFlag.AlignCenter), str(step + 1))
        self._number_axis(painter, left, scale, total, line, rows)
        painter.end()

    def _number_axis(self, painter: QPainter, left: float, scale: float, total: float, line: int, rows: int) -> None:
        """Times below the lanes, and how many patterns follow."""
        c = colours()
        painter.setPen(QColor(c.muted))
        step, top = tick_ms(total), line * (0.3 + 1.15 * len(LANES))
        for at in np.arange(0, total + 0.5 * step, step):
            wide = 4.0 * line
            text = f"{at:g} ms" if at == 0 else f"{at:g}"
            if left + at * scale + painter.fontMetrics().horizontalAdvance(text) / 2 > self.width():
                break
            painter.drawText(
                QRectF(left + at * scale - wide / 2, top, wide, line), int(Qt.AlignmentFlag.AlignHCenter), text
            )
        if rows > MOST_STEPS:
            painter.drawText(
                QRectF(0, top, left, line),  # clear of the 0 of the axis
                int(Qt.AlignmentFlag.AlignLeft),
                f"+{rows - MOST_STEPS}",
            )
