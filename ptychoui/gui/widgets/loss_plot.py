"""Loss against steps: training and held-out, log axis by default."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.log_plot import LogPlot
from ptychoui.session.history import RunHistory
from ptychoui.session.run_list import RunCurves

LEGEND_LINES = 9
"""Lines of text that a plot is high, at least, where it has a legend."""

DASHES = ((8.0, 4.0), (2.0, 3.0), (10.0, 3.0, 2.0, 3.0), (14.0, 6.0))
"""Dashes and gaps of the curves of other runs: they differ by more than their colour."""


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
        self._beside: list[pg.PlotDataItem] = []
        self._others: tuple[RunCurves, ...] = ()
        self._history = RunHistory()
        self._shown = (-1, -1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.plot.setToolTip("Loss at each step: a line for training, dots for held-out examples, dashes for others")
        self.figure = FigureMenu(self.plot, "Loss", fit=self.plot.enableAutoRange)
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

    def show_beside(self, others: Sequence[RunCurves]) -> None:
        """Draw held-out losses of other runs, or training losses of those without scores, each in dashes of its own."""
        if tuple(others) == self._others:
            return
        item = self.plot.getPlotItem()
        for curve in self._beside:
            item.removeItem(curve)
        self._others, self._beside = tuple(others), []
        for other in self._others:
            scored = len(other.scored) > 1
            x, y = (other.scored_at, other.scored) if scored else (other.steps, other.losses)
            curve = item.plot(x, np.maximum(y, 1e-300), name=other.name)
            curve.setClipToView(True)
            self._beside.append(curve)
        self.use_colours()
        if self._others:
            self._offer_legend()
            number_axes(self.plot, True)
            self.plot.enableAutoRange()

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
        for place, curve in enumerate(self._beside):
            colour = (c.good, c.warning, c.muted, c.error)[place % 4]
            pen = pg.mkPen(colour, width=1)
            pen.setDashPattern(DASHES[place % len(DASHES)])
            curve.setPen(pen)
        self.legend.setBrush(None)
        for _, label in self.legend.items:
            label.setText(label.text, color=c.text)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """There may be room for the legend now, or none."""
        super().resizeEvent(event)
        self._offer_legend()

    def _offer_legend(self) -> None:
        """In a small plot it would hide the curves; the tooltip has its words."""
        room = self.height() >= LEGEND_LINES * self.fontMetrics().height()
        self.legend.setVisible(room and (max(self._shown) > 0 or bool(self._beside)))

    def _aim(self) -> None:
        """Axes of an empty plot: a hundred steps, two decades."""
        self.plot.setRange(xRange=(0, 100), yRange=(-2, 0.3), padding=0)

    def _draw(self) -> None:
        counts = len(self._history.training), len(self._history.held_out)
        if counts == self._shown:
            return
        was_empty, self._shown = max(self._shown) <= 0, counts
        self._offer_legend()
        number_axes(self.plot, max(counts) > 0 or bool(self._beside))
        if was_empty and max(counts):
            self.plot.enableAutoRange()
        for curve, points in ((self.training, self._history.training), (self.held_out, self._history.held_out)):
            # A loss of exactly zero has no logarithm.
            curve.setData(points.x, np.maximum(points.y, 1e-300))
