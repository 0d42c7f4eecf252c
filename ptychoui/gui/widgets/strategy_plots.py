"""Losses of strategies that lie on each other, and their memory against the number of unrolls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table
from ptychoui.gui.widgets.log_plot import LogPlot
from ptychoui.gui.widgets.strategy_bars import TONES
from ptychoui.session.strategy_race import TITLES, RaceBegun, RaceHistory

WIDTHS = {"store_all": 14, "checkpoint": 8, "reversible": 3}
"""Widths of the curves: each is seen though the next lies on it."""

LEGEND_LINES = 14
"""Lines of text that a plot is high at least where it has a legend."""

LARGE = 1.25
"""Text of the legend, in units of the usual one."""

Measured = Mapping[tuple[str, int], int]
"""(strategy, unrolls) -> measured peak of a step, in bytes."""


class RacePlot(LogPlot):
    """Losses of all strategies against steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("step", "training loss", parent)
        item = self.plot.getPlotItem()
        self.legend = item.addLegend(offset=(-12, 12), labelTextSize=f"{self.font().pointSizeF() * LARGE:.1f}pt")
        self.curves = {name: item.plot([], [], name=title) for name, title in TITLES.items()}
        self._history = RaceHistory()
        item.enableAutoRange(x=False, y=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.figure = FigureMenu(self.plot, "Losses of strategies", fit=self.plot.enableAutoRange)
        self.use_colours()

    def sizeHint(self) -> QSize:
        """Half of a screen."""
        return QSize(70 * self.fontMetrics().averageCharWidth(), 21 * self.fontMetrics().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """There may be room for a legend now, or none."""
        super().resizeEvent(event)
        self._draw()

    def show_history(self, history: RaceHistory) -> None:
        """Draw what is new."""
        self._history = history
        if self.isVisible():
            self._draw()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        for name, curve in self.curves.items():
            curve.setPen(pg.mkPen(getattr(c, TONES[name]), width=WIDTHS[name]))
        self.legend.setBrush(None)
        for _, label in self.legend.items:
            label.setText(label.text, color=c.text)

    def _draw(self) -> None:
        drawn = 0
        begun = self._history.begun
        # All steps from the start: what is drawn does not move while people look at it.
        self.plot.setXRange(1, 20 if begun is None else begun.steps, padding=0.02)
        for name, curve in self.curves.items():
            points = self._history.losses.get(name)
            drawn = max(drawn, 0 if points is None else len(points))
            x, y = (points.x, np.maximum(points.y, 1e-300)) if points is not None else ([], [])
            curve.setData(x, y)
        # In a small dialog it would hide the curves; the bars beside them have the same colours and names.
        self.legend.setVisible(drawn > 0 and self.height() > LEGEND_LINES * self.fontMetrics().height())
        number_axes(self.plot, drawn > 0)


class DepthPlot(QWidget):
    """Peak memory of a step against the number of unrolls: predicted as lines, measured as dots."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.setMenuEnabled(False)
        item = self.plot.getPlotItem()
        item.setLabel("bottom", "unrolls")
        item.setLabel("left", "peak (MB)")
        item.getAxis("left").enableAutoSIPrefix(False)
        item.showGrid(x=True, y=True, alpha=0.15)
        self.lines = {name: item.plot([], []) for name in TITLES}
        self.dots = {name: item.plot([], [], pen=None, symbol="o", symbolSize=13) for name in TITLES}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.figure = FigureMenu(self.plot, "Memory against unrolls", self._table, self.plot.enableAutoRange)
        self.setToolTip("Lines are predictions; dots were measured, one for each comparison that was made here")
        self.use_colours()
        self.show_memory(None, {})

    def sizeHint(self) -> QSize:
        """A third of a screen."""
        return QSize(70 * self.fontMetrics().averageCharWidth(), 13 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Readable still."""
        return QSize(20 * self.fontMetrics().averageCharWidth(), 6 * self.fontMetrics().height())

    def show_memory(self, begun: RaceBegun | None, measured: Measured) -> None:
        """Draw predictions of a comparison, and what was measured in this one and those before."""
        for name in TITLES:
            peaks = () if begun is None else begun.by_depth.get(name, ())
            self.lines[name].setData([] if begun is None or not peaks else begun.depths, [peak / 1e6 for peak in peaks])
            found = sorted((unrolls, peak / 1e6) for (of, unrolls), peak in measured.items() if of == name)
            self.dots[name].setData([unrolls for unrolls, _ in found], [peak for _, peak in found])
        number_axes(self.plot, begun is not None)

    def _table(self) -> Table | None:
        rows = [
            (TITLES[name], kind, int(unrolls), float(peak))
            for kind, curves in (("predicted", self.lines), ("measured", self.dots))
            for name, curve in curves.items()
            for unrolls, peak in zip(
                *(part if part is not None else () for part in curve.getOriginalDataset()), strict=True
            )
        ]
        return Table(("strategy", "known by", "unrolls", "peak memory (MB)"), rows) if rows else None

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        dress_axes(self.plot)
        for name in TITLES:
            tone = getattr(colours(), TONES[name])
            self.lines[name].setPen(pg.mkPen(tone, width=2, style=Qt.PenStyle.DashLine))
            self.dots[name].setSymbolBrush(tone)
            self.dots[name].setSymbolPen(None)


def _points(curve: pg.PlotDataItem) -> Iterator[tuple[float, float]]:
    x, y = curve.getOriginalDataset()
    return zip(() if x is None else x, () if y is None else y, strict=True)
