"""What a profile of a microscope has found, as a person reads it."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.theme import colours
from ptychoui.gui.stack.led_page import show_gain
from ptychoui.gui.stack.pupil_page import largest_terms
from ptychoui.gui.widgets.colour_scale import ColourScale
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.parts import bullets, gap_of, ink, note, scrolled, sentence
from ptychoui.session.profile_run import ProfileMade


class ProfileOutcome(QWidget):
    """What changed, the aberrations, and the brightness of every LED."""

    def __init__(self) -> None:
        super().__init__()
        gap = gap_of(self)
        self.made: ProfileMade | None = None
        self.file, self.pupil, self.notes = QLabel(), QLabel(), note()
        self.file.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for label in (self.file, self.pupil):
            label.setWordWrap(True)
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(4 * gap)
        self.table.setVerticalSpacing(gap)
        self.table.setColumnStretch(3, 1)
        self.map, self.scale = LedPlot(self, aperture=False), ColourScale()
        self._heads: list[QLabel] = []
        left, right = scrolled(gap, self.table, self.pupil, self.notes), QVBoxLayout()
        right.setSpacing(gap)
        right.addWidget(self.map, 1)
        right.addWidget(self.scale)
        across = QHBoxLayout()
        across.setSpacing(3 * gap)
        across.addWidget(left, 3)
        across.addLayout(right, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * gap)
        layout.addWidget(self.file)
        layout.addLayout(across, 1)

    def show_profile(self, made: ProfileMade) -> None:
        """Show a profile."""
        self.made = made
        while (item := self.table.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self._heads = [QLabel(text) for text in ("Pose", "Before", "Now")]
        for column, label in enumerate(self._heads):
            self.table.addWidget(label, 0, column)
        for row, texts in enumerate(made.pose, start=1):
            for column, text in enumerate(texts):
                cell = QLabel(text)
                if column:
                    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                self.table.addWidget(cell, row, column)
        terms = largest_terms(made.zernike_waves)
        self.pupil.setText(f"Aberrations in waves RMS:  {terms or 'none'}.")
        self.file.setText(f"Written to {made.path}")
        bullets(self.notes, [sentence(text) for text in made.notes], colours().muted)
        self.map.set_leds(made.illumination_na, made.led_numbers, made.objective_na)
        show_gain(self.map, self.scale, made.gain)
        self.use_colours()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.map.use_colours()
        self.scale.update()
        for label in self._heads:
            ink(label, colours().muted)
        ink(self.notes, colours().muted)
