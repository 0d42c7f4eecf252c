"""Loss against steps: training and held-out, log axis by default."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.log_plot import LogPlot
from ptychoui.session.history import RunHistory


class LossPlot(LogPlot):
    """Two curves; once a person has zoomed, the axes stay until a double-click on ``A``."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("step", "loss", parent)
        item = self.plot.getPlotItem()
        self.legend = item.addLegend(
            offset=(-8, 4), colCount=2, labelTextSize=f"{self.font().pointSizeF() * 0.9:.1f}pt"
        )
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
        self.legend.setBrush(None)
        for _, label in self.legend.items:
            label.setText(label.text, color=c.text)

    def _aim(self) -> None:
        """Axes of an empty plot: a hundred steps, two decades."""
        self.plot.setRange(xRange=(0, 100), yRange=(-2, 0.3), padding=0)

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
