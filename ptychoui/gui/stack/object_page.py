"""The reconstructed object: amplitude and phase beside each other, moved together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QWidget

from ptychoui.gui.look.limits import auto_limits, finite_values
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import by_font
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
        self.kind.addItem("Phase", "unwrapped")
        self.kind.addItem("Phase, wrapped", "wrapped")
        self.kind.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.kind.setMinimumContentsLength(6)
        self.kind.setAccessibleName("Kind of phase")
        self.kind.setToolTip(
            "Ramp and piston are taken away: neither is measured. Jumps by a turn are removed once all "
            "passes are done, unless wrapped; where the amplitude is near zero the phase may be off by whole turns"
        )
        self._shown: StackReport | ObjectPicture | None = None
        self._fresh = True
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(self.amplitude, 0, 0)
        layout.addWidget(self.phase, 0, 1)
        for row, (widget, bars) in enumerate(
            (
                (QLabel("Amplitude"), (self.amplitude_contrast,)),
                (self.kind, (self.phase_contrast, self.unwrapped_contrast)),
            ),
            start=1,
        ):
            line = QHBoxLayout()
            by_font(widget, lambda w: w.setFixedWidth(self._name_width()))
            line.addWidget(widget)
            for bar in bars:
                line.addWidget(bar, 1)
            layout.addLayout(line, row, 0, 1, 2)
        layout.setRowStretch(0, 1)
        for column in (0, 1):
            layout.setColumnStretch(column, 1)
        self.amplitude_contrast.changed.connect(self.amplitude.set_limits)
        self.amplitude_contrast.lut_changed.connect(self.amplitude.set_lut)
        self.amplitude.set_lut(self.amplitude_contrast.table)
        for bar in (self.phase_contrast, self.unwrapped_contrast):
            bar.changed.connect(lambda low, high, bar=bar: self._limit_phase(bar, low, high))
            bar.lut_changed.connect(lambda table, bar=bar: self._colour_phase(bar, table))
        for panel in self.panels:
            panel.note = "no reconstruction yet"
            panel.moved.connect(self._link)
            panel.hovered.connect(self._hover)
        self.kind.currentIndexChanged.connect(self._draw)
        for bar in (self.phase_contrast, self.unwrapped_contrast):
            bar.touched.connect(self._touched)
        self._choose_bar(True)

    def _name_width(self) -> int:
        return max(self.kind.sizeHint().width(), QLabel("Amplitude").sizeHint().width())

    def show_picture(self, picture: ObjectPicture) -> None:
        """Show the object as it is on the way."""
        self._shown = picture
        self._draw()

    def show_report(self, report: StackReport | None) -> None:
        """Show a result."""
        before, self._shown = self._shown, report
        if report is not None and isinstance(before, StackReport) and report.amplitude is before.amplitude:
            return  # another tile of the same field
        self._fresh = True
        self.amplitude_contrast.start_over()
        self._draw()

    def start_over(self) -> None:
        """A new run: contrast is chosen again with its pictures, until a person sets it."""
        self._fresh = True
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
        if self._about_zero and self.phase.image is not None:
            self._centre(self.phase.image)
        else:
            self.phase_contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels:
            panel.use_colours()

    @property
    def _about_zero(self) -> bool:
        return bool(self.kind.currentData() == "unwrapped")

    def _draw(self) -> None:
        shown = self._shown
        if shown is None:
            for panel in self.panels:
                panel.set_image(None, None)
            return
        unwrapped = shown.unwrapped_rad if isinstance(shown, StackReport) else None
        # On the way phase is wrapped, and goes by the same colours; of a large field it stays wrapped.
        about_zero = self._about_zero and not (isinstance(shown, StackReport) and unwrapped is None)
        self._choose_bar(about_zero)
        pixel = shown.found.object_pixel_um if isinstance(shown, StackReport) else shown.pixel_um
        self.amplitude.set_image(shown.amplitude, pixel)
        self.amplitude_contrast.set_images([shown.amplitude])
        self.phase.title = "Phase, unwrapped, rad" if about_zero and unwrapped is not None else "Phase, rad"
        phase = unwrapped if about_zero and unwrapped is not None else shown.phase_rad
        self.phase.set_image(phase, pixel)
        if about_zero:
            self.unwrapped_contrast.set_images([phase])
            if self._fresh:
                self._centre(phase)
        else:
            self.phase_contrast.set_images([phase])
        bar = self.unwrapped_contrast if about_zero else self.phase_contrast
        self.phase.set_limits(bar.low, bar.high)

    def _centre(self, phase: NDArray[np.float32]) -> None:
        """Limits about zero: diverging colours mean nothing otherwise."""
        low, high = auto_limits(finite_values([phase]))
        most = max(abs(low), abs(high))
        self.unwrapped_contrast.set_limits(-most, most)

    def _choose_bar(self, unwrapped: bool) -> None:
        self.phase_contrast.setVisible(not unwrapped)
        self.unwrapped_contrast.setVisible(unwrapped)
        self.phase.set_lut((self.unwrapped_contrast if unwrapped else self.phase_contrast).table)

    def _limit_phase(self, bar: ContrastBar, low: float, high: float) -> None:
        if bar.isVisibleTo(self):
            self.phase.set_limits(low, high)

    def _colour_phase(self, bar: ContrastBar, table: NDArray[np.uint8]) -> None:
        if bar.isVisibleTo(self):
            self.phase.set_lut(table)

    def _touched(self) -> None:
        self._fresh = False

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
