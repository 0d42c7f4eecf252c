"""Reconstructed phase and amplitude beside the truth: four linked images, one contrast bar per quantity."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import Yielding, bullets, gap_of, ink, note
from ptychoui.session.history import RunHistory
from ptychoui.tasks.fpm.events import PatternSnapshot, TruthShown
from ptychoui.training.events import Snapshot


class ReconstructionView(QWidget):
    """What the present patterns see of an object that was not trained on.

    Attributes
    ----------
    hover_text
        One line for the status bar; empty when the cursor is outside.
    """

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.phase = ImagePanel("Phase, reconstructed", self)
        self.true_phase = ImagePanel("Phase, truth", self)
        self.amplitude = ImagePanel("Amplitude, reconstructed", self)
        self.true_amplitude = ImagePanel("Amplitude, truth", self)
        self.panels = (self.phase, self.true_phase, self.amplitude, self.true_amplitude)
        self.phase_contrast = ContrastBar("phase in radians", "phase (cyclic)", (-np.pi, np.pi), self)
        self.amplitude_contrast = ContrastBar("amplitude", "gray", None, self)
        self._snapshot: PatternSnapshot | None = None
        self._truth: TruthShown | None = None
        self._stale = False
        self.warnings, self.learned_from = note(), note()
        gap = gap_of(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(gap, gap, gap, gap)
        outer.setSpacing(gap)
        outer.addWidget(Yielding(self.warnings))
        outer.addWidget(Yielding(self.learned_from))
        layout = QGridLayout()
        layout.setSpacing(gap)
        outer.addLayout(layout, 1)
        layout.addWidget(self.phase, 0, 0)
        layout.addWidget(self.true_phase, 0, 1)
        layout.addWidget(self.phase_contrast, 1, 0, 1, 2)
        layout.addWidget(self.amplitude, 2, 0)
        layout.addWidget(self.true_amplitude, 2, 1)
        layout.addWidget(self.amplitude_contrast, 3, 0, 1, 2)
        for row in (0, 2):
            layout.setRowStretch(row, 1)
        for column in (0, 1):
            layout.setColumnStretch(column, 1)
        for bar, panels in (
            (self.phase_contrast, self.panels[:2]),
            (self.amplitude_contrast, self.panels[2:]),
        ):
            for panel in panels:
                panel.set_lut(bar.table)
                panel.set_limits(bar.low, bar.high)
                bar.changed.connect(panel.set_limits)
                bar.lut_changed.connect(panel.set_lut)
        for panel in self.panels:
            panel.note = "no reconstruction yet"
            panel.moved.connect(self._link)
            panel.hovered.connect(self._hover)

    def show_run(self, history: RunHistory) -> None:
        """Show what a measured stack is learned from, and what should keep its owner from it, until there is more."""
        truth, started = history.shown_first, history.started
        truth = truth if isinstance(truth, TruthShown) else None
        if truth is not self._truth:
            self._truth, self._stale = truth, True
            if truth is not None:
                self._snapshot = None  # of another run, or of this one before it was stopped
                self.start_over()
        # The worst alone: the others are in the panel of the run.
        warnings = started.warnings[:1] if truth is not None and started is not None else ()
        bullets(self.warnings, warnings, colours().warning)
        self.learned_from.setVisible(truth is not None)
        self._say_learned_from()
        if self._stale and self.isVisible():
            self._draw()

    def show_snapshot(self, shown: Snapshot | None) -> None:
        """Show a snapshot; while hidden it is only kept."""
        snapshot = shown if isinstance(shown, PatternSnapshot) else None
        if snapshot is not None and self._snapshot is None and self._truth is not None:
            self.start_over()
        self._snapshot, self._stale = snapshot, True
        if self.isVisible():
            self._draw()

    def start_over(self) -> None:
        """A new run, or its first tiles after the whole field: contrast is chosen again with the next picture."""
        self.phase_contrast.start_over()
        self.amplitude_contrast.start_over()

    def fit(self) -> None:
        """Show the whole images."""
        self.phase.fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        self.phase.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits for both quantities."""
        self.phase_contrast.auto()
        self.amplitude_contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels:
            panel.use_colours()
        ink(self.warnings, colours().warning)
        ink(self.learned_from, colours().muted)
        self.update()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _say_learned_from(self) -> None:
        truth = self._truth
        if truth is None:
            return
        ink(self.learned_from, colours().muted)
        # The line is drawn in the whole field, not in one of its tiles.
        where = "left of the line, scored right of it" if self._snapshot is None else "beside the part that is scored"
        self.learned_from.setText(f"Learned from the full-stack reconstruction {where}: {truth.sentence}")

    def _draw(self) -> None:
        self._stale = False
        self._say_learned_from()
        s, whole = self._snapshot, self._truth
        parts = "truth" if s is not None or whole is None else "truth: the whole field"
        for panel, quantity in ((self.true_phase, "Phase"), (self.true_amplitude, "Amplitude")):
            panel.title = f"{quantity}, {parts}"
            panel.set_line(whole.held_out_from_px if s is None and whole is not None else None)
        if s is None:
            for panel in self.panels:
                panel.set_image(None, None)
            if whole is not None:
                self.true_phase.set_image(whole.phase_rad, whole.pixel_size_um)
                self.true_amplitude.set_image(whole.amplitude, whole.pixel_size_um)
                self.phase_contrast.set_images((whole.phase_rad,))
                self.amplitude_contrast.set_images((whole.amplitude,))
            return
        images = (s.phase_rad, s.true_phase_rad, s.amplitude, s.true_amplitude)
        for panel, image in zip(self.panels, images, strict=True):
            panel.set_image(image, s.pixel_size_um)
        self.phase_contrast.set_images(images[:2])
        # The first reconstruction of a run is mostly noise: the truth gives limits that last.
        self.amplitude_contrast.set_images(images[2:], images[3:])

    def _link(self, moved: ImagePanel) -> None:
        for panel in self.panels:
            panel.follow(moved)

    def _hover(self, row: int, column: int) -> None:
        s = self._snapshot
        if s is None or row < 0 or row >= s.phase_rad.shape[0] or column >= s.phase_rad.shape[1]:
            self.hover_text.emit("")
            return
        x, y = (column + 0.5) * s.pixel_size_um, (row + 0.5) * s.pixel_size_um
        self.hover_text.emit(
            f"pixel ({row}, {column})   {x:.2f}, {y:.2f} µm   reconstructed |a| {s.amplitude[row, column]:.4f}  "
            f"φ {s.phase_rad[row, column]:+.3f} rad   truth |a| {s.true_amplitude[row, column]:.4f}  "
            f"φ {s.true_phase_rad[row, column]:+.3f} rad"
        )
