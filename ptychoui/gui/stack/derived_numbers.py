"""The numbers that follow from a geometry, beside its form."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QGridLayout,
    QLabel,
    QWidget,
)

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import Elided, ink
from ptychoui.words import counted

M, A = "geometry.microscope.", "geometry.array."


class DerivedNumbers(QWidget):
    """What follows from the geometry, in two columns."""

    ROWS = (
        ("LEDs", "bright field and dark field; edge: so close to the objective NA that they may be either"),
        ("NA", "objective NA and largest illumination NA; their sum is the synthetic NA"),
        ("Resolution", "wavelength over synthetic NA, and the finest element of a USAF 1951 target below that cut-off"),
        ("Pixel", "camera pixel at the sample; wavelength over 4 NA is needed for unaliased intensities"),
        ("Object pixel", "pixel of the reconstruction; wavelength over twice the synthetic NA is needed"),
        ("Overlap", "share of the pupil that neighbouring LEDs have in common"),
        (
            "Largest tile",
            "width over which the light of one LED has one direction: the smallest that the change of angle, the size "
            "of the LEDs and the bandwidth allow",
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        gap = max(3, self.fontMetrics().height() // 5)
        grid.setVerticalSpacing(gap)
        grid.setHorizontalSpacing(3 * gap)
        self._names, self._values = [], []
        for line, (name, tip) in enumerate(self.ROWS):
            label, value = QLabel(name), Elided(least=12)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            label.setToolTip(tip)
            value.say("–", tip)
            grid.addWidget(label, line, 0)
            grid.addWidget(value, line, 1)
            self._names.append(label)
            self._values.append(value)
        grid.setColumnStretch(1, 1)
        self.use_colours()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for label in self._names:
            ink(label, colours().muted)

    def clear(self) -> None:
        """Without a geometry there are none."""
        for value, (_, tip) in zip(self._values, self.ROWS, strict=True):
            value.say("–", tip)

    def show_derived(self, derived: Any) -> None:
        """Show what follows from a geometry."""
        edge = f", {derived.edge_leds} edge" if derived.edge_leds else ""
        objective_na = derived.synthetic_na - derived.illumination_na
        limited_by = "angle"
        if derived.tile_limit_um == derived.tile_led_size_um:
            limited_by = "LED size"
        elif derived.tile_limit_um == derived.tile_bandwidth_um:
            limited_by = "bandwidth"
        texts = (
            f"{derived.led_count}  ({derived.bright_field_leds} bright, {derived.dark_field_leds} dark{edge})",
            f"{derived.synthetic_na:.3g}  ({objective_na:.3g} + {derived.illumination_na:.3g})",
            f"{derived.resolution_um:.3g} µm  ({derived.cutoff_lp_per_mm:.0f} lp/mm, USAF {derived.usaf_group}-"
            f"{derived.usaf_element})",
            f"{derived.pixel_size_um:.3g} µm  (λ/4NA {derived.intensity_nyquist_um:.3g} µm)",
            f"{derived.object_pixel_um:.3g} µm  (needs {derived.object_nyquist_um:.3g} µm)",
            f"{derived.neighbour_overlap:.0%}",
            f"{derived.tile_limit_um:.3g} µm  ({counted(derived.tile_limit_px, 'pixel')}, by {limited_by})",
        )
        for value, text, (_, tip) in zip(self._values, texts, self.ROWS, strict=True):
            value.say(text, f"{text}\n{tip}")
