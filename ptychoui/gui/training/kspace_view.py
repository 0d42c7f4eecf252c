"""A file of multi-channel k-space: the coils' images, their sum, what was measured, and the coil maps."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.theme import colours
from ptychoui.gui.training.mri_view import SAMPLED_WHITE
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import Elided, gap_of, ink, note, sentence
from ptychoui.session.kspace_shown import KSpaceShown, MapsShown
from ptychoui.words import counted

PANEL_ASPECT = 1.7
"""Width by height of a panel."""

BORDER = 1
"""Pixels between coils that are shown side by side."""


class KSpaceView(QWidget):
    """One example of a file.

    Attributes
    ----------
    hover_text
        One line for the status bar; empty when the cursor is outside.
    example_wanted
        Another example is to be shown, counted from 0.
    """

    hover_text = pyqtSignal(str)
    example_wanted = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: KSpaceShown | None = None
        self._maps: MapsShown | None = None
        self.combined = ImagePanel("Root sum of squares", self)
        self.sampled = ImagePanel("Measured samples", self)
        self.coils = ImagePanel("Coils", self)
        self.maps = ImagePanel("Coil maps", self)
        self.panels = (self.combined, self.sampled, self.coils, self.maps)
        self.contrast = ContrastBar("magnitude of the sum of squares", "gray", None, self)
        self.coil_contrast = ContrastBar("magnitude of single coils", "gray", None, self)
        self.phase = QCheckBox("phase of the maps")
        self.phase.setToolTip("Show where coils see the object, or with which phase, relative to their combination")
        self.number = CountBox(arrows=True)
        self.number.setAccessibleName("Number of the example")
        self.number.setToolTip("Example to show, from 1")
        self.caption = Elided(least=12, usual=40)
        self.explained = note()
        gap = gap_of(self)
        grid = QGridLayout()
        grid.setSpacing(gap)
        for place, panel in enumerate(self.panels):
            grid.addWidget(panel, 2 * (place // 2), place % 2)
        grid.addWidget(self.contrast, 1, 0, 1, 2)
        grid.addWidget(self.coil_contrast, 3, 0, 1, 2)
        for row in (0, 2):
            grid.setRowStretch(row, 1)
        for column in (0, 1):
            grid.setColumnStretch(column, 1)
        line = QHBoxLayout()
        line.setSpacing(gap)
        line.addWidget(self.number)
        line.addWidget(self.caption, 1)
        line.addWidget(self.phase)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addLayout(grid, 1)
        layout.addWidget(self.explained)
        layout.addLayout(line)
        for bar, panel in ((self.contrast, self.combined), (self.coil_contrast, self.coils)):
            panel.set_lut(bar.table)
            panel.set_limits(bar.low, bar.high)
            bar.changed.connect(panel.set_limits)
            bar.lut_changed.connect(panel.set_lut)
        self.sampled.set_limits(0.0, SAMPLED_WHITE)
        self.maps.note = "not estimated"
        self.phase.toggled.connect(lambda _: self._draw_maps())
        self.number.valueChanged.connect(lambda number: self.example_wanted.emit(number - 1))
        for panel in self.panels:
            panel.hovered.connect(lambda row, column, panel=panel: self._hover(panel, row, column))
        for group in ((self.coils, self.maps),):
            for panel in group:
                panel.moved.connect(self._link)
        self.show_example(None)

    @property
    def shown(self) -> KSpaceShown | None:
        """The example that is shown."""
        return self._shown

    def show_example(self, shown: KSpaceShown | None) -> None:
        """Show an example, unless it is shown already; its maps come later."""
        if shown is self._shown and shown is not None:
            return
        before, self._shown, self._maps = self._shown, shown, None
        same_file = before is not None and shown is not None and before.path == shown.path
        if shown is None:
            for panel in self.panels:
                panel.set_image(None, None)
            self.caption.say("")
        else:
            if not same_file:
                self.contrast.start_over()
                self.coil_contrast.start_over()
            self.combined.set_image(shown.combined, None)
            self.sampled.set_image(shown.sampled, None)
            self.coils.title = counted(len(shown.coils), "coil")
            self.coils.set_image(side_by_side(shown.coils), None)
            self.contrast.set_images([shown.combined])
            self.coil_contrast.set_images(list(shown.coils))
            self.caption.say(f"{shown.name}   {shown.sentence}", "\n".join([shown.sentence, *shown.notes]))
        count = 1 if shown is None else shown.count
        self.number.blockSignals(True)
        self.number.setRange(1, count)
        self.number.setValue(1 if shown is None else shown.place + 1)
        self.number.blockSignals(False)
        self.number.setVisible(count > 1)
        self.maps.note = "" if shown is None else "estimating coil maps…"
        self.explained.hide()
        self._draw_maps()

    def show_maps(self, maps: MapsShown | str) -> None:
        """Show the coil maps of the example, or the sentence why there are none."""
        self._maps = None if isinstance(maps, str) else maps
        self.maps.note = "no coil maps"
        text = maps if isinstance(maps, str) else ". ".join(sentence(part) for part in (maps.sentence, *maps.warnings))
        self.explained.setText(f"{sentence(text)}.")
        self.explained.setVisible(bool(text))
        self._ink()
        self._draw_maps()

    def fit(self) -> None:
        """Show the whole images."""
        for panel in self.panels:
            panel.fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        for panel in self.panels:
            panel.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits."""
        self.contrast.auto()
        self.coil_contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels:
            panel.use_colours()
        self._ink()
        self.update()

    def _ink(self) -> None:
        good = self._maps is not None and not self._maps.warnings
        ink(self.explained, colours().muted if good else colours().warning)

    def _draw_maps(self) -> None:
        maps = self._maps
        self.phase.setEnabled(maps is not None)
        self.maps.title = "Coil maps, phase" if self.phase.isChecked() else "Coil maps, magnitude"
        if maps is None:
            self.maps.set_image(None, None)
        elif self.phase.isChecked():
            self.maps.set_lut(lut("phase (cyclic)"))
            self.maps.set_limits(-np.pi, np.pi)
            self.maps.set_image(side_by_side(np.angle(maps.maps).astype(np.float32)), None)
        else:
            self.maps.set_lut(lut("viridis"))
            self.maps.set_limits(0.0, 1.0)
            self.maps.set_image(side_by_side(np.abs(maps.maps)), None)

    def _link(self, moved: ImagePanel) -> None:
        for panel in (self.coils, self.maps):
            if panel.image is not None:
                panel.follow(moved)

    def _hover(self, panel: ImagePanel, row: int, column: int) -> None:
        s = self._shown
        if s is None or row < 0 or panel.image is None:
            self.hover_text.emit("")
        elif panel is self.combined:
            self.hover_text.emit(f"pixel ({row}, {column})   root sum of squares {s.combined[row, column]:.4g}")
        elif panel is self.sampled:
            rows, columns = s.sampled.shape
            measured = "measured" if s.sampled[row, column] > 0 else "not measured"
            self.hover_text.emit(f"k-space ({row - rows // 2:+d}, {column - columns // 2:+d})   {measured}")
        else:
            self.hover_text.emit(self._coil_text(s, row, column))

    def _coil_text(self, s: KSpaceShown, row: int, column: int) -> str:
        count, rows, columns = s.coils.shape
        (down, y), (along, x) = divmod(row, rows + BORDER), divmod(column, columns + BORDER)
        wide = across(count, rows, columns)
        coil = down * wide + along
        if along >= wide or coil >= count or y >= rows or x >= columns:
            return ""
        text = f"coil {coil}   pixel ({y}, {x})   magnitude {s.coils[coil, y, x]:.4g}"
        if self._maps is not None:
            value = self._maps.maps[coil, y, x]
            text += f"   map |S| {abs(value):.3f}  φ {np.angle(value):+.2f} rad"
        return text


def across(count: int, rows: int, columns: int) -> int:
    """Coils side by side in a row, so that all together are about as wide as a panel of the window."""
    wide = min(count, max(1, round(sqrt(count * PANEL_ASPECT * rows / columns))))
    return ceil(count / ceil(count / wide))


def side_by_side(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images (image, row, column) in rows of a large one, `BORDER` pixels apart; what is left over is 0."""
    count, rows, columns = images.shape
    wide = across(count, rows, columns)
    high = ceil(count / wide)
    tiled = np.zeros((high * (rows + BORDER) - BORDER, wide * (columns + BORDER) - BORDER), np.float32)
    for place, image in enumerate(images):
        down, along = divmod(place, wide)
        top, left = down * (rows + BORDER), along * (columns + BORDER)
        tiled[top : top + rows, left : left + columns] = image
    return tiled
