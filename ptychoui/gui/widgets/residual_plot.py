"""Residual of a reconstruction after each pass."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.log_plot import LogPlot
from ptychoui.session.stack_run import StackHistory


class ResidualPlot(LogPlot):
    """One curve on a logarithmic axis, and the last value in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("pass", "residual", parent)
        item = self.plot.getPlotItem()
        self.curve = item.plot([], [], symbol="o", symbolSize=4)
        self.text = QLabel("No reconstruction yet")
        self.text.setWordWrap(True)
        self.text.setToolTip(
            "Sum of squared differences of amplitudes, as a share of all light; a small one does not prove that the "
            "geometry is right"
        )
        self._history = StackHistory()
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(self.text)
        layout.addWidget(self.plot, 1)
        self.figure = FigureMenu(self.plot, "Residual", fit=self.plot.enableAutoRange)
        self.use_colours()

    def show_history(self, history: StackHistory) -> None:
        """Draw what is new; nothing while hidden."""
        self._history = history
        last = history.last_pass
        if last is None:
            self.text.setText("No reconstruction yet")
        else:
            kept = history.report.path if history.report is not None and history.begun is None else None
            of = f"{kept.name}: residual" if kept is not None else "Residual"
            self.text.setText(f"{of} {last.residual:.3g} after pass {last.step}")
        if self.isVisible():
            self._draw()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        self.curve.setPen(pg.mkPen(c.accent, width=1))
        self.curve.setSymbolBrush(c.accent)
        self.curve.setSymbolPen(None)

    def _draw(self) -> None:
        points = self._history.residual
        number_axes(self.plot, len(points) > 0)
        if self._history.begun is not None or not len(points):
            passes = self._history.begun.passes if self._history.begun is not None else 20
            # Of very many passes the ones that were done, with some room.
            passes = min(passes, max(20, round(1.3 * len(points))))
        else:
            passes = max(5, len(points))
        self.plot.setXRange(0, passes, padding=0.02)
        if len(points) < 2:
            middle = np.log10(points.y[0]) if len(points) else -2.0
            self.plot.setYRange(middle - 1, middle + 0.3, padding=0)
        else:
            self.plot.enableAutoRange(axis="y")
        self.curve.setData(points.x, points.y.clip(1e-300))
