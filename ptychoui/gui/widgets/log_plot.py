"""What plots with a logarithmic axis share: ticks that fit, how they are set up, and that nothing hidden is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QSize
from PyQt6.QtGui import QFontMetrics, QShowEvent
from PyQt6.QtWidgets import QApplication, QWidget


class LogAxis(pg.AxisItem):  # type: ignore[misc]
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


class LogPlot(QWidget):
    """A plot whose left axis is logarithmic; what arrives while it is hidden is drawn when it is shown.

    Parameters
    ----------
    bottom, left
        Labels of the axes.
    """

    def __init__(self, bottom: str, left: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, axisItems={"left": LogAxis("left")}, enableMenu=False)
        self.plot.setMenuEnabled(False)
        item = self.plot.getPlotItem()
        item.setLogMode(x=False, y=True)
        item.setLabel("bottom", bottom)
        item.setLabel("left", left)
        item.getAxis("left").enableAutoSIPrefix(False)
        item.showGrid(x=True, y=True, alpha=0.15)

    def minimumSizeHint(self) -> QSize:
        """Readable still."""
        return QSize(20 * self.fontMetrics().averageCharWidth(), 6 * self.fontMetrics().height())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        """Draw what is new."""
        raise NotImplementedError
