"""The images of an LED stack, one at a time; or the objects of a training set."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QCheckBox, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import Elided, by_font
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.settings import Geometry


class StackView(QWidget):
    """A slider over the images of the data."""

    hover_text = pyqtSignal(str)
    led_shown = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data: ImageStack | TrainingSet | None = None
        self._places: dict[int, int] = {}
        self._leds: LedArray | None = None
        self._objective_na = 0.0
        self._pixel_um: float | None = None
        self.panel = ImagePanel("Intensity", self)
        self.panel.note = "no data open"
        self.second = ImagePanel("Phase", self)
        self.contrast = ContrastBar("intensity", "gray", None, self)
        self.second_contrast = ContrastBar("phase in radians", "phase (cyclic)", (-np.pi, np.pi), self)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Image")
        self.slider.setToolTip("Image to show: arrow keys step through the LEDs")
        by_font(self.slider, lambda slider: slider.setMinimumWidth(16 * slider.fontMetrics().averageCharWidth()))
        self.number = CountBox(arrows=True)
        self.number.setAccessibleName("Number of the image")
        self.number.setToolTip("Place of the image in the stack, from 0")
        self.each = QCheckBox("auto each image")
        self.each.setChecked(True)
        self.each.setToolTip("Choose the contrast for every image: dark-field images are some 50 times dimmer")
        self.caption = Elided(least=12, usual=30)
        gap = max(4, self.fontMetrics().height() // 3)
        images = QHBoxLayout()
        images.setSpacing(gap)
        images.addWidget(self.panel, 1)
        images.addWidget(self.second, 1)
        steps = QHBoxLayout()
        steps.setSpacing(gap)
        steps.addWidget(self.number)
        steps.addWidget(self.slider, 1)
        steps.addWidget(self.caption)
        steps.addSpacing(gap)
        steps.addWidget(self.each)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addLayout(images, 1)
        layout.addWidget(self.contrast)
        layout.addWidget(self.second_contrast)
        layout.addLayout(steps)
        for panel, bar in ((self.panel, self.contrast), (self.second, self.second_contrast)):
            panel.set_lut(bar.table)
            bar.changed.connect(panel.set_limits)
            bar.lut_changed.connect(panel.set_lut)
            panel.hovered.connect(self._hover)
            panel.moved.connect(self._link)
        self.slider.valueChanged.connect(self._step_to)
        self.number.valueChanged.connect(self.slider.setValue)
        self.contrast.touched.connect(lambda: self.each.setChecked(False))
        self._show_second(False)

    def set_data(self, data: ImageStack | TrainingSet | None, geometry: Geometry | None, leds: LedArray | None) -> None:
        """Show data; the LED's NA is read from the geometry where there is one."""
        new = data is not self._data
        self._data, self._leds = data, leds
        self._places = {} if leds is None else {int(n): i for i, n in enumerate(leds.numbers)}
        if isinstance(data, ImageStack):
            self._pixel_um = geometry.microscope.pixel_size_um if geometry else None
            self._objective_na = geometry.microscope.objective_na if geometry else 0.0
            count = len(data.images)
        else:
            self._pixel_um = data.pixel_size_um if data is not None else None
            count = len(data.objects) if data is not None else 0
        is_objects = isinstance(data, TrainingSet)
        self._show_second(is_objects)
        self.panel.title = "Amplitude" if is_objects else "Intensity"
        for control in (self.slider, self.number):
            control.setEnabled(count > 0)
            control.setRange(0, max(0, count - 1))
        if new:
            self.contrast.start_over()
            self.second_contrast.start_over()
            self.slider.setValue(self._first())
        self._step_to(self.slider.value())

    def show_led(self, led_number: int) -> None:
        """Show the image of an LED by its firmware number."""
        if isinstance(self._data, ImageStack):
            found = np.flatnonzero(self._data.led_numbers == led_number)
            if len(found):
                self.slider.setValue(int(found[0]))

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.panel.use_colours()
        self.second.use_colours()
        self.update()

    def fit(self) -> None:
        """Show the whole image."""
        self.panel.fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        self.panel.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits of the image shown."""
        self.contrast.auto()
        self.second_contrast.auto()

    def _first(self) -> int:
        """The LED nearest to the axis: the brightest image."""
        if isinstance(self._data, ImageStack) and self._leds is not None:
            nearest = int(self._leds.numbers[int(np.argmin(self._leds.radius_na))])
            found = np.flatnonzero(self._data.led_numbers == nearest)
            return int(found[0]) if len(found) else 0
        return 0

    def _show_second(self, shown: bool) -> None:
        self.second.setVisible(shown)
        self.second_contrast.setVisible(shown)
        self.each.setVisible(not shown)

    def _step_to(self, place: int) -> None:
        self.number.blockSignals(True)
        self.number.setValue(place)
        self.number.blockSignals(False)
        data = self._data
        if data is None:
            self.panel.set_image(None, None)
            self.caption.say("")
        elif isinstance(data, TrainingSet):
            amplitude, phase = np.abs(data.objects[place]), np.angle(data.objects[place])
            self.panel.set_image(amplitude, self._pixel_um)
            self.second.set_image(phase, self._pixel_um)
            self.contrast.set_images([amplitude])
            self.second_contrast.set_images([phase])
            source = data.source_names[int(data.sources[place])] if data.source_names else ""
            self.caption.say(f"object {place + 1} of {len(data.objects)}   {source}")
        else:
            image = data.images[place]
            self.panel.set_image(image, self._pixel_um)
            self.contrast.set_images([image])
            if self.each.isChecked():
                self.contrast.auto()
            self.caption.say(self._led_text(int(data.led_numbers[place]), place, len(data.images)))
            self.led_shown.emit(int(data.led_numbers[place]))

    def _led_text(self, number: int, place: int, count: int) -> str:
        text = f"LED {number}   ({place + 1} of {count})"
        at = self._places.get(number)
        if self._leds is None or at is None:
            return text + "   not in the geometry" if self._leds is not None else text
        na = float(self._leds.radius_na[at])
        return f"{text}   NA {na:.3f}   {'bright' if na < self._objective_na else 'dark'} field"

    def _link(self, moved: ImagePanel) -> None:
        for panel in (self.panel, self.second):
            panel.follow(moved)

    def _hover(self, row: int, column: int) -> None:
        image = self.panel.image
        if image is None or row < 0:
            self.hover_text.emit("")
            return
        text = f"pixel ({row}, {column})"
        if self._pixel_um:
            text += f"   {(column + 0.5) * self._pixel_um:.2f}, {(row + 0.5) * self._pixel_um:.2f} µm"
        name = "|a|" if self.second.isVisible() else "intensity"
        text += f"   {name} {image[row, column]:.4g}"
        if self.second.isVisible() and self.second.image is not None:
            text += f"   φ {self.second.image[row, column]:+.3f} rad"
        self.hover_text.emit(text)
