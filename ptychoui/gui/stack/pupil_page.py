"""The fitted pupil: amplitude, phase inside the aperture, and the aberrations by name."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

from ptychoui.gui.look.limits import auto_limits, finite_values
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import Yielding, by_font
from ptychoui.session.stack_run import StackReport

NAMES = {
    4: "defocus",
    5: "astigmatism, oblique",
    6: "astigmatism, vertical",
    7: "coma, vertical",
    8: "coma, horizontal",
    9: "trefoil, vertical",
    10: "trefoil, oblique",
    11: "spherical",
}
MOST = 5


class PupilPage(QWidget):
    """Amplitude and phase of the pupil on the optical axis."""

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.amplitude = ImagePanel("Pupil amplitude", self)
        self.phase = ImagePanel("Pupil phase, rad", self)
        self.panels = (self.amplitude, self.phase)
        self.amplitude_contrast = ContrastBar("amplitude of the pupil", "gray", None, self)
        self.phase_contrast = ContrastBar("phase of the pupil in radians", "blue to red", None, self)
        self.aberrations = QLabel()
        self.aberrations.setWordWrap(True)
        gap = max(4, self.fontMetrics().height() // 3)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        for column, (panel, bar) in enumerate(
            ((self.amplitude, self.amplitude_contrast), (self.phase, self.phase_contrast))
        ):
            layout.addWidget(panel, 0, column)
            line = QHBoxLayout()
            name = QLabel(("Amplitude", "Phase")[column])
            by_font(name, lambda n: n.setFixedWidth(n.fontMetrics().horizontalAdvance("Amplitude  ")))
            line.addWidget(name)
            line.addWidget(bar, 1)
            layout.addLayout(line, 1 + column, 0, 1, 2)
            layout.setColumnStretch(column, 1)
            bar.changed.connect(panel.set_limits)
            bar.lut_changed.connect(panel.set_lut)
            panel.set_lut(bar.table)
            panel.note = "no reconstruction yet"
            panel.length_text = lambda na: f"NA {na:g}"
            panel.moved.connect(self._link)
            panel.hovered.connect(self._hover)
        layout.addWidget(Yielding(self.aberrations, 2), 3, 0, 1, 2)
        layout.setRowStretch(0, 1)

    def show_report(self, report: StackReport | None) -> None:
        """Show a result."""
        if report is None:
            for panel in self.panels:
                panel.set_image(None, None)
            self.aberrations.setText("")
            return
        pupil = report.found.pupil
        amplitude = np.abs(pupil).astype(np.float32)
        inside = amplitude > 0.1 * float(amplitude.max())
        phase = np.where(inside, np.angle(pupil * np.conj(pupil.sum())), np.nan).astype(np.float32)
        step_na = 2 * report.pupil_na / len(pupil)
        self.amplitude.set_image(amplitude, step_na)
        self.phase.set_image(phase, step_na)
        self.amplitude_contrast.set_images([amplitude])
        self.amplitude_contrast.set_limits(0.0, max(1.0, float(amplitude.max())))
        self.phase_contrast.set_images([phase])
        self.auto_contrast()
        self.aberrations.setText(_aberrations(report.found.zernike_waves, phase))

    def fit(self) -> None:
        """Show the whole pupil."""
        self.amplitude.fit()

    def actual_size(self) -> None:
        """One sample on one screen pixel."""
        self.amplitude.actual_size()

    def auto_contrast(self) -> None:
        """Phase about zero."""
        if self.phase.image is not None:
            low, high = auto_limits(finite_values([self.phase.image]))
            most = max(abs(low), abs(high), 0.1)
            self.phase_contrast.set_limits(-most, most)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels:
            panel.use_colours()

    def _link(self, moved: ImagePanel) -> None:
        for panel in self.panels:
            panel.follow(moved)

    def _hover(self, row: int, column: int) -> None:
        amplitude, phase, step = self.amplitude.image, self.phase.image, self.amplitude.pixel_um
        if amplitude is None or phase is None or step is None or row < 0:
            self.hover_text.emit("")
            return
        middle = len(amplitude) // 2
        text = f"NA ({(column - middle) * step:+.3f}, {(row - middle) * step:+.3f})   |P| {amplitude[row, column]:.3f}"
        if np.isfinite(phase[row, column]):
            text += f"   φ {phase[row, column]:+.3f} rad"
        self.hover_text.emit(text)


def _aberrations(waves: dict[int, float], phase: np.ndarray) -> str:
    """The largest terms by name, and the whole."""
    spread = float(np.nanstd(phase)) / (2 * np.pi)
    strehl = float(np.exp(-((2 * np.pi * spread) ** 2)))
    whole = f"Wavefront {spread:.3f} waves RMS, Strehl ratio about {strehl:.2f}."
    terms = largest_terms(waves)
    return f"{whole}  Largest terms in waves RMS:  {terms}." if terms else whole


def largest_terms(waves: dict[int, float]) -> str:
    """The largest aberrations by name, in waves RMS; empty where there are none."""
    largest = sorted(((noll, w) for noll, w in waves.items() if noll > 3 and w), key=lambda term: -abs(term[1]))[:MOST]
    return ";  ".join(f"{NAMES.get(noll, f'Zernike {noll}')} {amount:+.3f}" for noll, amount in largest)
