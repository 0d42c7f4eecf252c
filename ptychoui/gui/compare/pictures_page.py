"""Reconstructions of one object with every design beside the truth: linked views, one contrast for all."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QResizeEvent, QShowEvent
from PyQt6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.bench.design.entrants import Judged
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import gap_of, ink

QUANTITIES = ("Phase", "Amplitude", "Error map")

Image = NDArray[np.float32]


class PicturesPage(QWidget):
    """A picture for every design.

    Attributes
    ----------
    hover_text
        Values under the cursor in all pictures; empty when it is outside.
    """

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._designs: list[Judged] = []
        self._stale = False
        self._images: dict[str, Image] = {}
        self.panels: dict[str, ImagePanel] = {}
        self.quantity, self.object = QComboBox(), CountBox(arrows=True)
        self.quantity.addItems(QUANTITIES)
        self.quantity.setToolTip("What is shown; an error map is the distance of the complex values from the truth")
        self.quantity.setAccessibleName("Quantity that is shown")
        self.object.setRange(1, 1)
        self.object.setAccessibleName("Held-out object that is shown")
        self.object.setToolTip("Which of the held-out objects is shown")
        self.bars = {
            "Phase": ContrastBar("phase in radians", "gray", None, self),
            "Amplitude": ContrastBar("amplitude", "gray", None, self),
            "Error map": ContrastBar("error", "gray", None, self),
        }
        self.note = QLabel()
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note.setWordWrap(True)
        self.values = QLabel()
        gap = gap_of(self)
        top = QHBoxLayout()
        top.setSpacing(gap)
        for text, part in (("&Show", self.quantity), ("O&bject", self.object)):
            label = QLabel(text)
            label.setBuddy(part)
            top.addWidget(label)
            top.addWidget(part)
            top.addSpacing(gap)
        self._of = QLabel()
        top.addWidget(self._of)
        top.addWidget(self.values, 1)
        self._grid = QGridLayout()
        self._grid.setSpacing(gap)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addLayout(top)
        layout.addWidget(self.note, 1)
        layout.addLayout(self._grid, 1)
        for bar in self.bars.values():
            layout.addWidget(bar)
            bar.changed.connect(self._set_limits)
            bar.lut_changed.connect(self._set_limits)
        self.quantity.currentTextChanged.connect(lambda _: self._draw())
        self.object.valueChanged.connect(lambda _: self._draw())
        self.use_colours()
        self._show_bar()

    def show_designs(self, designs: list[Judged]) -> None:
        """Show designs; while hidden they are only kept."""
        designs = [one for one in designs if one.objects.size]
        if [id(one) for one in designs] == [id(one) for one in self._designs]:
            return
        if not self._designs or (designs and designs[0] is not self._designs[0]):
            for bar in self.bars.values():
                bar.start_over()
        self._designs, self._stale = designs, True
        count = len(designs[0].objects) if designs else 1
        self.object.setRange(1, count)
        self._of.setText(f"of {count}" if designs else "")
        if self.isVisible():
            self._draw()

    def pictures(self) -> dict[str, Image]:
        """(row, column) images as they are shown, by their titles."""
        return dict(self._images)

    @property
    def bar(self) -> ContrastBar:
        """The contrast of what is shown."""
        return self.bars[self.quantity.currentText()]

    def fit(self) -> None:
        """Show the whole images."""
        for panel in self.panels.values():
            panel.fit()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels.values():
            panel.use_colours()
        ink(self.note, colours().muted)
        ink(self.values, colours().muted)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Other columns may make the pictures larger."""
        super().resizeEvent(event)
        self._arrange()

    def _draw(self) -> None:
        self._stale = False
        self._show_bar()
        self._images = self._made()
        # A panel for each title; those that are there stay as they are zoomed.
        for title in [title for title in self.panels if title not in self._images]:
            panel = self.panels.pop(title)
            self._grid.removeWidget(panel)
            panel.deleteLater()
        for title in self._images:
            if title not in self.panels:
                panel = self.panels[title] = ImagePanel(title, self)
                panel.moved.connect(self._link)
                panel.hovered.connect(self._hover)
        self._arrange()
        pixel = self._designs[0].pixel_um if self._designs else None
        for title, image in self._images.items():
            self.panels[title].set_image(image, pixel)
        self.bar.set_images(tuple(self._images.values()))
        self._set_limits()
        self.note.setVisible(not self._images)

    def _made(self) -> dict[str, Image]:
        if not self._designs:
            return {}
        place = min(self.object.value(), len(self._designs[0].objects)) - 1
        truth, what = self._designs[0].truth[place], self.quantity.currentText()
        images: dict[str, Image] = {}
        if what != "Error map":
            images["truth"] = _quantity(truth, what)
        for one in self._designs:
            found = one.objects[place]
            title = one.title
            while title in images:
                title += " "
            images[title] = np.abs(found - truth).astype(np.float32) if what == "Error map" else _quantity(found, what)
        return images

    def _arrange(self) -> None:
        """As many columns as make the pictures largest."""
        count = len(self.panels)
        if not count:
            return
        width, height = max(self.width(), 1), max(self.height() - 6 * self.fontMetrics().height(), 1)
        columns = max(range(1, count + 1), key=lambda n: min(width / n, height / math.ceil(count / n)))
        for place, title in enumerate(self._images):
            if title in self.panels:
                self._grid.addWidget(self.panels[title], place // columns, place % columns)
        metrics, room = self.fontMetrics(), width // columns - 2 * self.fontMetrics().height()
        for title, panel in self.panels.items():
            panel.title = metrics.elidedText(title.strip(), Qt.TextElideMode.ElideMiddle, max(room, 1))
            panel.setToolTip(title.strip())
        for row in range(self._grid.rowCount()):
            self._grid.setRowStretch(row, int(row < math.ceil(count / columns)))
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, int(column < columns))

    def _show_bar(self) -> None:
        for name, bar in self.bars.items():
            bar.setVisible(name == self.quantity.currentText() and bool(self._designs))

    def _set_limits(self, *_: object) -> None:
        for panel in self.panels.values():
            panel.set_lut(self.bar.table)
            panel.set_limits(self.bar.low, self.bar.high)

    def _link(self, moved: ImagePanel) -> None:
        for panel in self.panels.values():
            panel.follow(moved)

    def _hover(self, row: int, column: int) -> None:
        texts = []
        for title, image in self._images.items():
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                texts.append(f"{title.strip()} {image[row, column]:.3f}")
        self.values.setToolTip("\n".join(texts))
        metrics = self.values.fontMetrics()
        text = f"pixel ({row}, {column})   " + "   ".join(texts) if texts else ""
        self.values.setText(metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(1, self.values.width())))


def _quantity(values: NDArray[np.complex64], what: str) -> Image:
    """Phase in radians or amplitude of complex values, of equal shape."""
    return (np.angle(values) if what == "Phase" else np.abs(values)).astype(np.float32)
