"""What a design sees, in two maps: frequencies that reach the camera, and how well phase is transferred."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF, Qt, pyqtSignal
from PyQt6.QtWidgets import QButtonGroup, QDialog, QGridLayout, QHBoxLayout, QLabel, QRadioButton, QVBoxLayout, QWidget

from ptychoui.design.sight import WEAK, Sight
from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.theme import colours, dress_axes
from ptychoui.gui.widgets.colour_scale import ColourScale
from ptychoui.gui.widgets.figure_menu import FigureMenu, Map
from ptychoui.gui.widgets.parts import bold, by_font, gap_of, ink, note

WIDE, HIGH = 110, 34
"""Size of the dialog in characters and lines."""


class FrequencyMap(QWidget):
    """A map over spatial frequencies in NA, with circles; what is not there is the ground of the plot."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.setAspectLocked(True)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        item.setLabel("bottom", "spatial frequency × wavelength (NA)")
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setLookupTable(lut("viridis"))
        self.circles = [pg.PlotCurveItem() for _ in range(2)]
        for part in (self.image, *self.circles):
            self.plot.addItem(part)
        self._map: Map | None = None
        self.figure = FigureMenu(self.plot, title, lambda: self._map)
        self.scale = ColourScale()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap_of(self))
        layout.addWidget(bold(QLabel(title)))
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.scale)
        self.use_colours()

    def show_map(
        self, values: NDArray[np.floating], extent: float, largest: float, radii: tuple[float, float], meaning: str
    ) -> None:
        """Show values (row, column), the first row at the smallest y, with two circles in NA."""
        self._map = Map(np.asarray(values)[::-1], 2 * extent / len(values), "NA", meaning)
        self.image.setImage(values, autoLevels=False)
        self.image.setLevels((0, max(largest, 1e-9)))
        self.image.setRect(QRectF(-extent, -extent, 2 * extent, 2 * extent))
        angle = np.linspace(0, 2 * np.pi, 181)
        for circle, radius in zip(self.circles, radii, strict=True):
            circle.setData(radius * np.cos(angle), radius * np.sin(angle))
        self.scale.set_scale(lut("viridis"), "0", f"{largest:.3g}", meaning)
        self.plot.setRange(QRectF(-extent, -extent, 2 * extent, 2 * extent), padding=0.02)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        for circle, style in zip(self.circles, (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine), strict=True):
            circle.setPen(pg.mkPen(c.text, width=1.2, style=style))
        self.scale.update()


class SightDialog(QDialog):
    """Stands beside the window and follows the patterns that are edited there.

    Attributes
    ----------
    wanted
        Whether all patterns are asked for, or the chosen one alone.
    """

    wanted = pyqtSignal(bool)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("What this design sees")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.all, self.one = QRadioButton("&All patterns"), QRadioButton("The &chosen pattern")
        self.all.setToolTip("What all patterns bring together")
        self.one.setToolTip("What the pattern that is chosen in the panel LED array brings")
        self.all.setChecked(True)
        self._group = QButtonGroup(self)
        choice = QHBoxLayout()
        for button in (self.all, self.one):
            self._group.addButton(button)
            choice.addWidget(button)
        choice.addStretch(1)
        self.covered = FrequencyMap("Frequencies that are seen")
        self.transfer = FrequencyMap("Transfer of phase")
        self.text, self.warning = QLabel(), note()
        self.text.setWordWrap(True)
        gap = gap_of(self)
        maps = QGridLayout()
        maps.setSpacing(2 * gap)
        maps.addWidget(self.covered, 0, 0)
        maps.addWidget(self.transfer, 0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * gap, 2 * gap, 2 * gap, 2 * gap)
        layout.setSpacing(gap)
        layout.addLayout(choice)
        layout.addLayout(maps, 1)
        layout.addWidget(self.text)
        layout.addWidget(self.warning)
        by_font(self, lambda d: d.resize(WIDE * d.fontMetrics().averageCharWidth(), HIGH * d.fontMetrics().height()))
        self.all.toggled.connect(self.wanted)

    def show_sight(self, seen: Sight) -> None:
        """Show what was found."""
        objective = seen.objective_na
        if seen.coverage is not None:
            counts = seen.coverage.counts[::-1].astype(np.float32)
            self.covered.show_map(
                np.where(counts > 0, counts, np.nan),
                seen.coverage.extent_na,
                float(counts.max()),
                (objective, seen.coverage.largest_na),
                "lit LEDs that see a frequency; solid: objective NA",
            )
        for part in (self.covered.image, *self.covered.circles):
            part.setVisible(seen.coverage is not None)
        axis = np.linspace(-1, 1, seen.transfer.shape[-1])
        inside = np.hypot(axis[:, None], axis) <= 1
        self.transfer.show_map(
            np.where(inside, seen.transfer, np.nan),
            seen.transfer_na,
            max(float(seen.transfer.max()), WEAK),
            (objective, seen.transfer_na),
            f"by the best pattern; below {WEAK:g}: weak; dashed: 2 × NA",
        )
        self.text.setText(seen.sentence)
        ink(self.warning, colours().warning)
        self.warning.setText(f"{seen.warning[:1].upper()}{seen.warning[1:]}" + ("." if seen.warning else ""))
        self.warning.setVisible(bool(seen.warning))

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.covered.use_colours()
        self.transfer.use_colours()
