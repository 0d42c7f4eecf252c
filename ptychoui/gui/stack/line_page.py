"""A line across the object: values along it, and their contrast."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from ptychoui.errors import PtychouiError
from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.optics.quality.validation import LineProfile, line_profile
from ptychoui.session.stack_run import StackReport

QUANTITIES = (
    ("intensity", "Intensity", "gray"),
    ("amplitude", "Amplitude", "gray"),
    ("phase", "Unwrapped phase (rad)", "blue to red"),
)


class ProfilePage(QWidget):
    """An image with a line whose ends can be dragged, and the values along it."""

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panel = ImagePanel("Intensity", self)
        self.panel.note = "no reconstruction yet"
        self.contrast = ContrastBar("the quantity shown", "gray", None, self)
        self.panel.set_lut(self.contrast.table)
        self.contrast.changed.connect(self.panel.set_limits)
        self.contrast.lut_changed.connect(self.panel.set_lut)
        self.quantity = QComboBox()
        for key, text, _ in QUANTITIES:
            self.quantity.addItem(text, key)
        self.quantity.setAccessibleName("Quantity along the line")
        self.quantity.setToolTip("What is read along the line; contrast is meant for the intensity")
        self.line = pg.LineSegmentROI([(10, 10), (40, 40)])
        self.panel.view.addItem(self.line)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        item.showGrid(x=True, y=True, alpha=0.15)
        item.setLabel("bottom", "distance (µm)")
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        self.curve = item.plot([], [], name="along the line")
        self.figure = FigureMenu(self.plot, "Line profile", fit=self.plot.enableAutoRange)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self._report: StackReport | None = None
        self.profile: LineProfile | None = None
        gap = max(4, self.fontMetrics().height() // 3)
        right = QWidget()
        choice = QHBoxLayout()
        choice.addWidget(QLabel("Along the line"))
        choice.addWidget(self.quantity, 1)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap)
        column.addLayout(choice)
        column.addWidget(self.plot, 1)
        column.addWidget(self.text)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.panel)
        split.addWidget(right)
        split.setSizes([500, 400])
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(split, 1)
        layout.addWidget(self.contrast)
        self.quantity.currentIndexChanged.connect(self._choose)
        self.line.sigRegionChanged.connect(self._measure)
        self.panel.hovered.connect(self._hover)
        self.line.setVisible(False)
        number_axes(self.plot, False)
        self.use_colours()

    def show_report(self, report: StackReport | None) -> None:
        """Show a result; the line stays where it was if the image is as large."""
        fresh = report is not None and (self._report is None or self._report.amplitude.shape != report.amplitude.shape)
        self._report = report
        self.line.setVisible(report is not None)
        number_axes(self.plot, report is not None)
        if report is None:
            self.panel.set_image(None, None)
            self.curve.setData([], [])
            self.text.setText("")
            return
        self._choose()
        if fresh:
            rows, columns = report.amplitude.shape
            self.set_points((0.3 * columns, 0.5 * rows), (0.7 * columns, 0.5 * rows))

    def set_points(self, start_px: tuple[float, float], end_px: tuple[float, float]) -> None:
        """Put the line's ends to (x, y) in image pixels."""
        self.line.setPos(0, 0)
        for handle, point in zip(self.line.getHandles(), (start_px, end_px), strict=True):
            self.line.movePoint(handle, pg.Point(*point), coords="parent", finish=False)
        self._measure()

    def fit(self) -> None:
        """Show the whole image."""
        self.panel.fit()

    def actual_size(self) -> None:
        """One pixel on one screen pixel."""
        self.panel.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits."""
        self.contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        self.panel.use_colours()
        dress_axes(self.plot)
        self.curve.setPen(pg.mkPen(c.accent, width=1.5))
        # On an image, whatever its colours: one bright line with round ends.
        self.line.setPen(pg.mkPen("#ffd23f", width=2))
        for handle in self.line.getHandles():
            handle.pen = pg.mkPen("#ffd23f", width=2)
            handle.currentPen = handle.pen
            handle.update()

    def _image(self) -> NDArray[np.float32] | None:
        if self._report is None:
            return None
        key = self.quantity.currentData()
        if key == "phase":
            unwrapped = self._report.unwrapped_rad
            return self._report.phase_rad if unwrapped is None else unwrapped
        return np.square(self._report.amplitude) if key == "intensity" else self._report.amplitude

    def _choose(self) -> None:
        image = self._image()
        if image is None or self._report is None:
            return
        _, title, table = QUANTITIES[self.quantity.currentIndex()]
        self.panel.title = title
        self.contrast.luts.setCurrentText(table)
        self.panel.set_image(image, self._report.found.object_pixel_um)
        self.contrast.start_over()
        self.contrast.set_images([image])
        self.plot.getPlotItem().setLabel("left", title.lower())
        self._measure()

    def _measure(self) -> None:
        image = self._image()
        if image is None or self._report is None:
            return
        pixel = self._report.found.object_pixel_um
        ends = [self.line.mapToParent(handle.pos()) for handle in self.line.getHandles()]
        points = [(end.x() * pixel, end.y() * pixel) for end in ends]
        try:
            found = line_profile(image, pixel, points[0], points[1])
        except PtychouiError as error:
            self.text.setText(error.message)
            return
        self.profile = found
        self.curve.setData(found.distance_um, found.values)
        if self.quantity.currentData() == "phase":
            told = f"span {found.span:.3f} rad"
        else:
            told = f"Michelson contrast {found.contrast:.3f}, span {found.span:.3f}"
        self.text.setText(f"{found.distance_um[-1]:.2f} µm long: {told}. Drag the ends of the line.")

    def _hover(self, row: int, column: int) -> None:
        image = self.panel.image
        pixel = self.panel.pixel_um
        if image is None or pixel is None or row < 0:
            self.hover_text.emit("")
            return
        self.hover_text.emit(
            f"pixel ({row}, {column})   {(column + 0.5) * pixel:.2f}, {(row + 0.5) * pixel:.2f} µm   "
            f"{self.panel.title.lower()} {image[row, column]:.4g}"
        )
