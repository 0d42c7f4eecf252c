"""The pictures and curves of a run of any kind, as its snapshots name them."""

from __future__ import annotations

import pyqtgraph as pg
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import Yielding, bullets, gap_of, note
from ptychoui.session.history import RunHistory
from ptychoui.training.events import ShownArray, Snapshot

COLUMNS = 2


class CurvePanel(pg.PlotWidget):  # type: ignore[misc]
    """One curve."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMenuEnabled(False)
        self.curve = self.getPlotItem().plot([], [])
        self.getPlotItem().showGrid(x=True, y=True, alpha=0.15)
        self.figure = FigureMenu(self, "Curve", fit=self.getPlotItem().autoRange)
        self.use_colours()

    def show_array(self, shown: ShownArray) -> None:
        """Draw it."""
        self.figure.title = shown.title
        self.setAccessibleName(shown.title)
        self.getPlotItem().setTitle(shown.title, color=colours().text)
        self.getPlotItem().setLabel("left", shown.unit or None)
        self.curve.setData(shown.values)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.setBackground(colours().plot)
        self.curve.setPen(pg.mkPen(colours().accent, width=2))


class PicturesView(QWidget):
    """What the present parameters give for an example that was not trained on.

    Attributes
    ----------
    hover_text
        One line for the status bar; empty when the cursor is outside.
    """

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._snapshot: Snapshot | None = None
        self._stale = False
        self.panels: dict[str, ImagePanel | CurvePanel] = {}
        self.warnings = note()
        gap = gap_of(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(gap, gap, gap, gap)
        outer.setSpacing(gap)
        outer.addWidget(Yielding(self.warnings))
        self._grid = QGridLayout()
        self._grid.setSpacing(gap)
        outer.addLayout(self._grid, 1)

    def show_run(self, history: RunHistory) -> None:
        """Say what should keep its owner from the run."""
        started = history.started
        bullets(self.warnings, () if started is None else started.warnings[:1], colours().warning)

    def show_snapshot(self, shown: Snapshot | None) -> None:
        """Show a snapshot; while hidden it is only kept."""
        self._snapshot, self._stale = shown, True
        if self.isVisible():
            self._draw()

    def start_over(self) -> None:
        """A new run: what is shown belongs to the one before."""
        for panel in self.panels.values():
            self._grid.removeWidget(panel)
            panel.deleteLater()
        self.panels.clear()

    def fit(self) -> None:
        """Show all of every picture and curve."""
        for panel in self.panels.values():
            if isinstance(panel, ImagePanel):
                panel.fit()
            else:
                panel.getPlotItem().autoRange()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        for panel in self.panels.values():
            if isinstance(panel, ImagePanel):
                panel.actual_size()

    def auto_contrast(self) -> None:
        """Limits of every picture from its values."""
        self._draw()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels.values():
            panel.use_colours()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _draw(self) -> None:
        self._stale = False
        pictures = self._snapshot.pictures if self._snapshot is not None else ()
        if [shown.title for shown in pictures] != list(self.panels):
            self.start_over()
        for place, shown in enumerate(pictures):
            panel = self.panels.get(shown.title)
            if panel is None:
                panel = CurvePanel(self) if shown.values.ndim == 1 else ImagePanel(shown.title, self)
                self.panels[shown.title] = panel
                self._grid.addWidget(panel, place // COLUMNS, place % COLUMNS)
            if isinstance(panel, CurvePanel):
                panel.show_array(shown)
            else:
                panel.set_image(shown.values, shown.pixel_size_um or None)
                panel.set_limits(float(shown.values.min()), float(shown.values.max()))
