"""Curves of designs that are told apart by colour, dashes and marks: over frequencies, and over numbers of frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QResizeEvent
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.session.comparison_export import Curve

TONES = ("accent", "second", "good", "error", "muted", "warning", "text")
DASHES = (
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.DashLine,
    Qt.PenStyle.DotLine,
    Qt.PenStyle.DashDotLine,
    Qt.PenStyle.DashDotDotLine,
)
MARKS = ("o", "s", "t", "d", "+", "x", "star", "p", "h")


MOST = 0.6
"""Share of the width that the legend takes at most."""


class CurvesPlot(QWidget):
    """Curves with a legend beside them.

    Parameters
    ----------
    limit
        A level that is drawn as a thin line.
    octaves
        Whether the lower axis is logarithmic.
    """

    def __init__(
        self,
        bottom: str,
        left: str,
        limit: float | None = None,
        octaves: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.setMenuEnabled(False)
        item = self.plot.getPlotItem()
        item.setLabel("bottom", bottom)
        item.setLabel("left", left)
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        item.showGrid(x=True, y=True, alpha=0.15)
        item.setLogMode(x=octaves, y=False)
        self.legend = item.addLegend(offset=(-12, 12))
        self.limit = None if limit is None else pg.InfiniteLine(pos=limit, angle=0)
        if self.limit is not None:
            self.plot.addItem(self.limit, ignoreBounds=True)
        self._curves: list[Curve] = []
        self._octaves = octaves
        self.lines: dict[str, pg.PlotDataItem] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.figure = FigureMenu(self.plot, f"{left} of designs", fit=self._fit)
        self.use_colours()
        number_axes(self.plot, False)

    def sizeHint(self) -> QSize:
        """Half of a screen."""
        return QSize(70 * self.fontMetrics().averageCharWidth(), 21 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Readable still."""
        return QSize(24 * self.fontMetrics().averageCharWidth(), 8 * self.fontMetrics().height())

    def show_curves(self, curves: list[Curve], ticks: Mapping[float, str] | None = None) -> None:
        """Draw curves where they have changed; ``ticks`` are where the lower axis is numbered."""
        if curves == self._curves:
            return
        self._curves = curves
        item = self.plot.getPlotItem()
        for line in self.lines.values():
            item.removeItem(line)
        self.lines = {curve.title: item.plot(curve.x, curve.y, name=curve.title) for curve in curves}
        if ticks is not None:
            item.getAxis("bottom").setTicks([[(float(np.log10(at)), text) for at, text in ticks.items()]])
        number_axes(self.plot, bool(curves))
        self.use_colours()
        self._make_room()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The legend needs as much room as before."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """Let the axis go on to the right for as far as the legend is wide, so that it hides no curve."""
        if not self._curves:
            return
        x = np.concatenate([curve.x for curve in self._curves])
        first, last = (np.log10(x.min()), np.log10(x.max())) if self._octaves else (x.min(), x.max())
        wide = max(self.fontMetrics().horizontalAdvance(curve.title) for curve in self._curves)
        share = min((wide + 5 * self.fontMetrics().height()) / max(self.width(), 1), MOST)
        room = max(float(last - first), 1e-9) * share / (1 - share)
        self.plot.getPlotItem().setXRange(float(first), float(last) + room, padding=0.02)

    def _fit(self) -> None:
        self.plot.enableAutoRange(axis="y")
        self._make_room()

    @property
    def curves(self) -> list[Curve]:
        """What is drawn."""
        return list(self._curves)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        for place, line in enumerate(self.lines.values()):
            tone = getattr(c, TONES[place % len(TONES)])
            line.setPen(pg.mkPen(tone, width=2, style=DASHES[place % len(DASHES)]))
            line.setSymbol(MARKS[place % len(MARKS)])
            line.setSymbolSize(9)
            line.setSymbolPen(pg.mkPen(tone))
            line.setSymbolBrush(tone)
        if self.limit is not None:
            self.limit.setPen(pg.mkPen(c.line, width=1))
        self.legend.setBrush(None)
        self.legend.setLabelTextSize(f"{self.font().pointSizeF():.1f}pt")
        for _, label in self.legend.items:
            label.setText(label.text, color=c.text)
