"""Misfit and brightness of every LED on the array, the worst by number, a measured image beside its prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.luts import lut
from ptychoui.gui.widgets.colour_scale import ColourScale
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.parts import Yielding, by_font
from ptychoui.session.stack_run import StackReport

MAPS = (
    ("misfit", "Misfit of the image"),
    ("score", "Misfit against neighbours"),
    ("gain", "Fitted brightness"),
    ("background", "Fitted stray light"),
)
HEADS = ("LED", "NA", "Misfit", "Dev.", "Light", "Why")
MOST_ROWS = 12


class LedPage(QWidget):
    """Which LEDs the reconstruction does not explain."""

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: StackReport | None = None
        self.led = -1
        self.map = LedPlot(self, aperture=False)
        self.scale = ColourScale()
        self.quantity = QComboBox()
        self.quantity.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.quantity.setMinimumContentsLength(8)
        for key, text in MAPS:
            self.quantity.addItem(text, key)
        self.quantity.setAccessibleName("Colour of the LEDs")
        self.quantity.setToolTip("Colour of the LEDs; those that stand out are ringed, whatever is shown")
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.worst = QTableWidget(0, len(HEADS))
        self.worst.setHorizontalHeaderLabels(HEADS)
        self.worst.setToolTip(
            "LEDs that stand out come first, then by misfit: RMS in % of the open field's amplitude. Dev.: by how many "
            "robust standard deviations it exceeds that of LEDs at similar NA. Light: fitted brightness"
        )
        self.worst.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.worst.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.worst.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.worst.setShowGrid(False)
        self.worst.setAlternatingRowColors(True)
        if (side := self.worst.verticalHeader()) is not None:
            side.hide()
            by_font(self, lambda _: side.setDefaultSectionSize(round(1.5 * self.fontMetrics().height())))
        if (top := self.worst.horizontalHeader()) is not None:
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setStretchLastSection(True)
            top.setHighlightSections(False)
        self.measured, self.predicted = ImagePanel("Measured", self), ImagePanel("Predicted", self)
        self.panels = (self.measured, self.predicted)
        self.contrast = ContrastBar("intensity", "gray", None, self)
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self._arrange()
        for panel in self.panels:
            panel.note = "no reconstruction yet"
            panel.set_lut(self.contrast.table)
            self.contrast.changed.connect(panel.set_limits)
            self.contrast.lut_changed.connect(panel.set_lut)
            panel.moved.connect(self._link)
            panel.hovered.connect(self._hover_image)
        self.quantity.currentIndexChanged.connect(self._colour)
        self.map.clicked.connect(self.choose)
        self.map.hovered.connect(self._hover_led)
        self.worst.cellClicked.connect(self._row_clicked)

    def _arrange(self) -> None:
        gap = max(4, self.fontMetrics().height() // 3)
        left, right = QWidget(), QWidget()
        column = QVBoxLayout(left)
        head = QHBoxLayout()
        head.addWidget(QLabel("Show"))
        head.addWidget(self.quantity, 1)
        column.addLayout(head)
        column.addWidget(self.map, 3)
        column.addWidget(self.scale)
        column.addWidget(Yielding(self.verdict, 2))
        grid = self._grid = QGridLayout(right)
        grid.addWidget(Yielding(self.caption, 2), 0, 0, 1, 2)
        grid.addWidget(self.measured, 1, 0)
        grid.addWidget(self.predicted, 1, 1)
        grid.addWidget(self.worst, 2, 0, 1, 2)
        grid.setRowStretch(1, 3)
        grid.setRowStretch(2, 2)
        for layout in (column, grid):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(gap)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(right)
        split.setSizes([420, 520])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(gap)
        outer.addWidget(split, 1)
        outer.addWidget(self.contrast)

    def show_report(self, report: StackReport | None) -> None:
        """Show a result, with the worst LED chosen."""
        self._report = report
        if report is None:
            self.map.set_leds(None, None, 0.0)
            self.worst.setRowCount(0)
            self.verdict.setText("No reconstruction yet.")
            self.caption.setText("")
            for panel in self.panels:
                panel.set_image(None, None)
                panel.show()
            self.contrast.show()
            self._grid.setRowStretch(1, 3)
            return
        found, quality = report.found, report.quality
        self.map.set_leds(found.illumination_na, found.led_numbers, report.geometry.microscope.objective_na)
        self._colour()
        self._list()
        count = int(quality.outlier.sum())
        names = ", ".join(str(found.led_numbers[led]) for led in quality.worst_first[: min(count, 6)])
        if not count:
            text = "No LED stands out."
        else:
            more = f" and {count - 6} more" if count > 6 else ""
            text = f"{count} {'LED stands' if count == 1 else 'LEDs stand'} out (ringed): {names}{more}."
        self.verdict.setText(f"{text} Circle: objective NA {report.geometry.microscope.objective_na:g}.")
        self.choose(int(quality.worst_first[0]))

    def choose(self, led: int) -> None:
        """Show an LED's images, by its place in the list."""
        report = self._report
        if report is None:
            return
        self.led = led
        self.map.mark(led)
        self._show_images(report, led)
        self.caption.setText(self._led_text(led))
        rows = [row for row in range(self.worst.rowCount()) if self._led_of(row) == led]
        if rows:
            self.worst.selectRow(rows[0])
        else:
            self.worst.clearSelection()

    def _show_images(self, report: StackReport, led: int) -> None:
        kept = len(report.measured) > 0
        for widget in (self.contrast, *self.panels):
            widget.setVisible(kept)
        self._grid.setRowStretch(1, 3 if kept else 0)
        if not kept:
            return
        images = report.measured[led], report.predicted[led]
        for panel, image in zip(self.panels, images, strict=True):
            panel.set_image(image, report.geometry.microscope.pixel_size_um)
        self.contrast.start_over()
        self.contrast.set_images(images, images[:1])

    def fit(self) -> None:
        """Show everything."""
        self.map.fit()
        self.measured.fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        self.measured.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits."""
        self.contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.map.use_colours()
        self.scale.update()
        for panel in self.panels:
            panel.use_colours()

    def _colour(self) -> None:
        """Colour the LEDs by the quantity chosen, and say what the colours mean."""
        report = self._report
        if report is None:
            return
        quality, found = report.quality, report.found
        key = self.quantity.currentData()
        if key == "misfit":
            values, table = np.log10(np.maximum(quality.misfit, 1e-3 * quality.misfit.max() + 1e-9)), lut("viridis")
            low, high = _spread(values, 0.5)
            texts = f"{10**low:.2g}", f"{10**high:.2g}", "amplitude misfit, RMS (open field = 1)"
        elif key == "score":
            values, table = quality.misfit_score, lut("viridis")
            low, high = 0.0, max(5.0, float(values.max()))
            texts = "0", f"{high:.2g}", "robust deviations above LEDs of similar NA"
        elif key == "gain":
            show_gain(self.map, self.scale, np.where(quality.lit, found.gain, 1.0), quality.outlier)
            return
        else:
            values, table = found.background, lut("blue to red")
            high = max(1e-6, float(np.abs(values).max()))
            low = -high
            texts = f"{low:.2g}", f"{high:.2g}", "stray light (open field = 1)"
        self.map.set_values((values - low) / max(high - low, 1e-12), table, quality.outlier)
        self.scale.set_scale(table, *texts)

    def _list(self) -> None:
        report = self._report
        assert report is not None
        found, quality = report.found, report.quality
        shown = quality.worst_first[:MOST_ROWS]
        self.worst.setRowCount(len(shown))
        for row, led in enumerate(shown):
            texts = (
                str(found.led_numbers[led]),
                f"{np.hypot(*found.illumination_na[led]):.3f}",
                f"{100 * quality.misfit[led]:.2f} %",
                f"{quality.misfit_score[led]:+.1f} σ",
                f"{found.gain[led]:.2f}" if quality.lit[led] else "dark",
                quality.reasons[led] or "–",
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, int(led))
                if column < len(texts) - 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.worst.setItem(row, column, item)

    def _led_of(self, row: int) -> int:
        item = self.worst.item(row, 0)
        return int(item.data(Qt.ItemDataRole.UserRole)) if item is not None else -1

    def _row_clicked(self, row: int, _column: int) -> None:
        if (led := self._led_of(row)) >= 0:
            self.choose(led)

    def _led_text(self, led: int) -> str:
        report = self._report
        if report is None:
            return ""
        found, na = report.found, float(np.hypot(*report.found.illumination_na[led]))
        band = "bright" if na < report.geometry.microscope.objective_na else "dark"
        return (
            f"LED {found.led_numbers[led]}   NA {na:.3f}, {band} field   misfit "
            f"{100 * report.quality.misfit[led]:.2f} %   "
            + (f"brightness {found.gain[led]:.2f}" if report.quality.lit[led] else "too dark for a brightness")
            + ("" if len(report.measured) else "\nThe file keeps no images: reconstruct its stack to compare them.")
        )

    def _link(self, moved: ImagePanel) -> None:
        for panel in self.panels:
            panel.follow(moved)

    def _hover_led(self, led: int) -> None:
        self.hover_text.emit(self._led_text(led).splitlines()[0] if led >= 0 and self._report is not None else "")

    def _hover_image(self, row: int, column: int) -> None:
        measured, predicted = self.measured.image, self.predicted.image
        if measured is None or predicted is None or row < 0:
            self.hover_text.emit("")
            return
        self.hover_text.emit(
            f"pixel ({row}, {column})   measured {measured[row, column]:.4g}   predicted {predicted[row, column]:.4g}"
        )


def show_gain(
    plot: LedPlot, scale: ColourScale, gain: NDArray[np.float64], ringed: NDArray[np.bool_] | None = None
) -> None:
    """Colour the LEDs by their brightness relative to the usual, as many times above as below."""
    table, values = lut("blue to red"), np.log2(np.clip(gain, 0.01, 100))
    high = max(0.1, float(np.abs(values).max()))
    plot.set_values((values + high) / (2 * high), table, np.zeros(len(gain), bool) if ringed is None else ringed)
    scale.set_scale(table, f"{2**-high:.2f}", f"{2**high:.2f}", "times the usual light")


def _spread(values: NDArray[np.float64], least: float) -> tuple[float, float]:
    """Smallest and largest value, at least so far apart."""
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + least)
