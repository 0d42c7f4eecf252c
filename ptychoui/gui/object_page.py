"""The reconstructed object: amplitude and phase beside each other, moved together."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QWidget

from ptychoui.gui.contrast_bar import ContrastBar
from ptychoui.gui.image_panel import ImagePanel
from ptychoui.gui.limits import auto_limits, finite_values
from ptychoui.session.stack_run import ObjectPicture, StackReport


class ObjectPage(QWidget):
    """Live while a reconstruction goes on, then its result."""

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.amplitude = ImagePanel("Amplitude", self)
        self.phase = ImagePanel("Phase", self)
        self.panels = (self.amplitude, self.phase)
        self.amplitude_contrast = ContrastBar("amplitude", "gray", None, self)
        self.phase_contrast = ContrastBar("phase in radians", "phase (cyclic)", (-np.pi, np.pi), self)
        self.unwrapped_contrast = ContrastBar("unwrapped phase in radians", "blue to red", None, self)
        self.kind = QComboBox()
        self.kind.addItem("Phase in one turn", "wrapped")
        self.kind.addItem("Unwrapped phase", "unwrapped")
        self.kind.setToolTip(
            "Ramp and piston are taken away: neither is measured. Unwrapped, the phase may exceed one turn; where the "
            "amplitude is near zero it may be off by whole turns"
        )
        self._report: StackReport | None = None
        self._shown: StackReport | ObjectPicture | None = None
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(self.amplitude, 0, 0)
        layout.addWidget(self.phase, 0, 1)
        layout.addWidget(self.amplitude_contrast, 1, 0)
        for bar in (self.phase_contrast, self.unwrapped_contrast):
            layout.addWidget(bar, 1, 1)
        choice = QHBoxLayout()
        choice.addStretch(1)
        choice.addWidget(QLabel("Show"))
        choice.addWidget(self.kind)
        layout.addLayout(choice, 2, 0, 1, 2)
        layout.setRowStretch(0, 1)
        for column in (0, 1):
            layout.setColumnStretch(column, 1)
        self.amplitude_contrast.changed.connect(self.amplitude.set_limits)
        self.amplitude_contrast.lut_changed.connect(self.amplitude.set_lut)
        self.amplitude.set_lut(self.amplitude_contrast.table)
        for bar in (self.phase_contrast, self.unwrapped_contrast):
            bar.changed.connect(lambda low, high, bar=bar: self._limit_phase(bar, low, high))
            bar.lut_changed.connect(lambda table, bar=bar: bar.isVisibleTo(self) and self.phase.set_lut(table))
        for panel in self.panels:
            panel.note = "no reconstruction yet"
            panel.moved.connect(self._link)
            panel.hovered.connect(self._hover)
        self.kind.currentIndexChanged.connect(self._draw)
        self._choose_bar(False)

    def show_picture(self, picture: ObjectPicture) -> None:
        """Show the object as it is on the way."""
        self._shown = picture
        self._draw()

    def show_report(self, report: StackReport | None) -> None:
        """Show a result."""
        self._report = self._shown = report
        self._draw()
        if report is not None:
            self.amplitude_contrast.auto()

    def start_over(self) -> None:
        """A new run: contrast is chosen again with its first picture."""
        for bar in (self.amplitude_contrast, self.phase_contrast, self.unwrapped_contrast):
            bar.start_over()

    def fit(self) -> None:
        """Show the whole object."""
        self.amplitude.fit()

    def actual_size(self) -> None:
        """One pixel on one screen pixel."""
        self.amplitude.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits."""
        self.amplitude_contrast.auto()
        if isinstance(self._shown, StackReport) and self._unwrapped:
            self._centre(self._shown)
        else:
            self.phase_contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels:
            panel.use_colours()

    @property
    def _unwrapped(self) -> bool:
        return bool(self.kind.currentData() == "unwrapped")

    def _draw(self) -> None:
        shown = self._shown
        self.kind.setEnabled(isinstance(shown, StackReport))
        if shown is None:
            for panel in self.panels:
                panel.set_image(None, None)
            return
        unwrapped = self._unwrapped and isinstance(shown, StackReport)
        self._choose_bar(unwrapped)
        pixel = shown.found.object_pixel_um if isinstance(shown, StackReport) else shown.pixel_um
        self.amplitude.set_image(shown.amplitude, pixel)
        self.amplitude_contrast.set_images([shown.amplitude])
        if unwrapped and isinstance(shown, StackReport):
            self.phase.title = "Phase, unwrapped, rad"
            self.phase.set_image(shown.unwrapped_rad, pixel)
            self.unwrapped_contrast.set_images([shown.unwrapped_rad])
            self._centre(shown)
        else:
            self.phase.title = "Phase, rad"
            self.phase.set_image(shown.phase_rad, pixel)
            self.phase_contrast.set_images([shown.phase_rad])
            self.phase.set_limits(self.phase_contrast.low, self.phase_contrast.high)

    def _centre(self, report: StackReport) -> None:
        """Limits about zero: diverging colours mean nothing otherwise."""
        low, high = auto_limits(finite_values([report.unwrapped_rad]))
        most = max(abs(low), abs(high))
        self.unwrapped_contrast.set_limits(-most, most)

    def _choose_bar(self, unwrapped: bool) -> None:
        self.phase_contrast.setVisible(not unwrapped)
        self.unwrapped_contrast.setVisible(unwrapped)
        self.phase.set_lut((self.unwrapped_contrast if unwrapped else self.phase_contrast).table)

    def _limit_phase(self, bar: ContrastBar, low: float, high: float) -> None:
        if bar.isVisibleTo(self):
            self.phase.set_limits(low, high)

    def _link(self, moved: ImagePanel) -> None:
        for panel in self.panels:
            panel.follow(moved)

    def _hover(self, row: int, column: int) -> None:
        shown, phase = self._shown, self.phase.image
        if shown is None or phase is None or not (0 <= row < phase.shape[0] and 0 <= column < phase.shape[1]):
            self.hover_text.emit("")
            return
        pixel = self.amplitude.pixel_um or 0.0
        self.hover_text.emit(
            f"pixel ({row}, {column})   {(column + 0.5) * pixel:.2f}, {(row + 0.5) * pixel:.2f} µm   "
            f"|a| {shown.amplitude[row, column]:.4f}   φ {phase[row, column]:+.3f} rad"
        )
