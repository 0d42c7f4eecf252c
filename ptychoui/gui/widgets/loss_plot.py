"""Loss against steps: training and held-out, log axis by default."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize
from PyQt6.QtGui import QFontMetrics, QShowEvent
from PyQt6.QtWidgets import QApplication, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.session.history import RunHistory


class LossAxis(pg.AxisItem):  # type: ignore[misc]
    """Ticks at 1, 2 and 5 times powers of ten: the usual nine of a decade do not fit."""

    def logTickValues(self, low: float, high: float, size: float, ticks: list[Any]) -> list[Any]:
        """Decades, and between them what there is room for."""
        decades = np.arange(np.floor(low), np.ceil(high) + 1)
        room = size / max(high - low, 1e-9) / self.fontMetrics().height() if size else 10.0
        between = np.log10([2.0, 5.0] if room > 5 else []) if room < 16 else np.log10([1.5, 2, 3, 4, 5, 7])
        minor = (decades[:, None] + between[None, :]).ravel()
        return [(1.0, [v for v in decades if low <= v <= high]), (None, [v for v in minor if low <= v <= high])]

    def logTickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Plain numbers."""
        return [f"{10.0**value:.3g}" for value in values]

    def fontMetrics(self) -> QFontMetrics:
        """Of the application's font, which the ticks use."""
        return QFontMetrics(QApplication.font())


class LossPlot(QWidget):
    """Two curves; once a person has zoomed, the axes stay until a double-click on ``A``."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, axisItems={"left": LossAxis("left")}, enableMenu=False)
        item = self.plot.getPlotItem()
        item.setLogMode(x=False, y=True)
        item.setLabel("bottom", "step")
        item.setLabel("left", "loss")
        item.getAxis("left").enableAutoSIPrefix(False)
        item.showGrid(x=True, y=True, alpha=0.15)
        self.legend = item.addLegend(offset=(-8, 8), labelTextSize=f"{self.font().pointSizeF() * 0.9:.1f}pt")
        self.training = item.plot([], [], name="training")
        self.held_out = item.plot(
            [], [], name="held-out", symbol="o", symbolSize=5, symbolBrush=colours().second, symbolPen=None
        )
        for curve in (self.training, self.held_out):
            curve.setClipToView(True)
            curve.setDownsampling(auto=True, method="subsample")
        self._history = RunHistory()
        self._shown = (-1, -1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self._aim()
        self.use_colours()

    def sizeHint(self) -> QSize:
        """Ten lines of text high."""
        return QSize(40 * self.fontMetrics().averageCharWidth(), 13 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Readable still."""
        return QSize(20 * self.fontMetrics().averageCharWidth(), 6 * self.fontMetrics().height())

    def show_history(self, history: RunHistory) -> None:
        """Draw what is new; nothing while hidden."""
        if history is not self._history:
            self._history, self._shown = history, (-1, -1)
            self._aim()
        if self.isVisible():
            self._draw()

    def set_log(self, log: bool) -> None:
        """Switch the loss axis between logarithmic and linear."""
        self.plot.getPlotItem().setLogMode(x=False, y=log)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        self.training.setPen(pg.mkPen(c.accent, width=1))
        self.held_out.setPen(pg.mkPen(c.second, width=1))
        self.held_out.setSymbolBrush(c.second)
        self.held_out.setSymbolPen(None)
        self.legend.setBrush(pg.mkBrush(c.plot))
        for _, label in self.legend.items:
            label.setText(label.text, color=c.text)

    def _aim(self) -> None:
        """Axes of an empty plot: a hundred steps, two decades."""
        self.plot.setRange(xRange=(0, 100), yRange=(-2, 0.3), padding=0)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        counts = len(self._history.training), len(self._history.held_out)
        if counts == self._shown:
            return
        was_empty, self._shown = max(self._shown) <= 0, counts
        self.legend.setVisible(max(counts) > 0)
        number_axes(self.plot, max(counts) > 0)
        if was_empty and max(counts):
            self.plot.enableAutoRange()
        for curve, points in ((self.training, self._history.training), (self.held_out, self._history.held_out)):
            # A loss of exactly zero has no logarithm.
            curve.setData(points.x, np.maximum(points.y, 1e-300))
