"""Fourier coverage: how many LEDs see each frequency of the synthetic aperture."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.colour_scale import ColourScale
from ptychoui.gui.widgets.figure_menu import FigureMenu, Map
from ptychoui.gui.widgets.parts import Yielding
from ptychoui.session.stack_run import StackReport
from ptychoui.words import counted


class CoveragePage(QWidget):
    """A map in NA, with the outline of the aperture and the objective's pupil."""

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.setAspectLocked(True)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        item.setLabel("bottom", "spatial frequency × wavelength, x (NA)")
        item.setLabel("left", "y (NA)")
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setLookupTable(lut("viridis"))
        self.outline, self.pupil = pg.PlotCurveItem(), pg.PlotCurveItem()
        for part in (self.image, self.outline, self.pupil):
            self.plot.addItem(part)
        self.figure = FigureMenu(self.plot, "Fourier coverage", self._map, self.fit)
        self.scale = ColourScale()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self._report: StackReport | None = None
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.scale)
        layout.addWidget(Yielding(self.text, 2))
        self._hover = pg.SignalProxy(self.plot.scene().sigMouseMoved, rateLimit=20, slot=self._mouse_moved)
        number_axes(self.plot, False)
        self.use_colours()

    def show_report(self, report: StackReport | None) -> None:
        """Show a result."""
        self._report = report
        for part in (self.image, self.outline, self.pupil):
            part.setVisible(report is not None)
        number_axes(self.plot, report is not None)
        if report is None:
            self.scale.set_scale(lut("viridis"), "", "", "")
            self.text.setText("No reconstruction yet.")
            return
        found = report.coverage
        counts = found.counts.astype(np.float32)
        # Nothing there is the ground of the plot, not the colour of one LED.
        self.image.setImage(np.where(counts > 0, counts, np.nan)[::-1], autoLevels=False)
        most = int(counts.max())
        self.image.setLevels((0, most))
        edge = 2 * found.extent_na
        self.image.setRect(QRectF(-found.extent_na, -found.extent_na, edge, edge))
        self.outline.setData(*found.outline_na.T)
        angle = np.linspace(0, 2 * np.pi, 181)
        objective = report.geometry.microscope.objective_na
        self.pupil.setData(objective * np.cos(angle), objective * np.sin(angle))
        self.scale.set_scale(lut("viridis"), "0", str(most), "LEDs that see a frequency")
        wavelength = report.geometry.microscope.wavelength_um
        holes = "no holes" if found.hole_share < 0.001 else f"{found.hole_share:.1%} of it are holes"
        self.text.setText(
            f"Synthetic NA {found.least_na:.3f} to {found.largest_na:.3f} (dashed), objective NA {objective:g} "
            f"(solid); {holes}; a frequency is seen by {found.mean_count:.1f} LEDs on average. Smallest period "
            f"{wavelength / found.largest_na:.2f} µm."
        )
        self.fit()

    def _map(self) -> Map | None:
        if self._report is None:
            return None
        found = self._report.coverage
        edge = 2 * found.extent_na / len(found.counts)
        return Map(found.counts.astype(np.float32), edge, "NA", "LEDs that see a frequency")

    def fit(self) -> None:
        """Show the whole aperture."""
        if self._report is not None:
            reach = self._report.coverage.extent_na
            self.plot.setRange(QRectF(-reach, -reach, 2 * reach, 2 * reach), padding=0.02)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        self.outline.setPen(pg.mkPen(c.text, width=1.2, style=Qt.PenStyle.DashLine))
        self.pupil.setPen(pg.mkPen(c.text, width=1.2))
        self.scale.update()

    def _mouse_moved(self, arguments: tuple[QPointF]) -> None:
        report = self._report
        if report is None:
            return
        at = self.plot.getViewBox().mapSceneToView(arguments[0])
        found = report.coverage
        count = len(found.counts)
        column, row = (int((v / found.extent_na + 1) / 2 * count) for v in (at.x(), -at.y()))
        if not (0 <= row < count and 0 <= column < count):
            self.hover_text.emit("")
            return
        radius = float(np.hypot(at.x(), at.y()))
        period = report.geometry.microscope.wavelength_um / radius if radius > 1e-6 else np.inf
        seen = counted(int(found.counts[row, column]), "LED")
        self.hover_text.emit(f"NA ({at.x():+.3f}, {at.y():+.3f})   period {period:.2f} µm   seen by {seen}")
