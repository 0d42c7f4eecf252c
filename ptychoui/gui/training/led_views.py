"""What stands beside the LED array when it is asked for: a predicted image, the learning, what the design sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from ptychoui.design.sight import sight
from ptychoui.gui.look.icons import icon
from ptychoui.gui.look.limits import auto_limits, finite_values
from ptychoui.gui.look.luts import lut
from ptychoui.gui.training.led_sight import SightDialog
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import by_font, sentence
from ptychoui.session.level_history import LevelHistory
from ptychoui.session.predicted_image import PredictedImage, object_of, predict
from ptychoui.training.events import Failed

if TYPE_CHECKING:
    from ptychoui.gui.shell.controller import Controller
    from ptychoui.gui.training.led_dock import LedPanel

PLAY_MS = 80
NOTHING_OPEN = "open a training set, or reconstruct a stack: an image is predicted of an object"


class LearningRow(QWidget):
    """A slider over the patterns of the last run, and a button that plays them.

    Attributes
    ----------
    chosen
        `KeptLevels` to be shown, or None at the end: the present patterns.
    """

    chosen = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = LevelHistory()
        self.play = QToolButton()
        self.play.setAutoRaise(True)
        self.play.setAccessibleName("Play the learning")
        self.play.setToolTip("Play how the patterns were learned")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the last run")
        self.slider.setToolTip("Step of the last run whose patterns are shown")
        self.text = QLabel()
        by_font(self.text, lambda label: label.setMinimumWidth(12 * label.fontMetrics().averageCharWidth()))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.play)
        row.addWidget(self.slider, 1)
        row.addWidget(self.text)
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_MS)
        self._timer.timeout.connect(self._advance)
        self.play.clicked.connect(self.toggle)
        self.slider.valueChanged.connect(lambda _: self._show())
        self.use_colours()
        self.hide()

    @property
    def playing(self) -> bool:
        """Whether it moves by itself."""
        return self._timer.isActive()

    def use_colours(self) -> None:
        """Draw the icon in the colours of the theme."""
        self.play.setIcon(icon("pause" if self.playing else "train"))

    def show_history(self, history: LevelHistory) -> None:
        """Follow a run: the slider stays at the end if it is there, and else at its place."""
        other = history is not self._history
        at_end = self.slider.value() == self.slider.maximum() or other
        self._history = history
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(history) - 1))
        if at_end:
            self.slider.setValue(self.slider.maximum())
        self.slider.blockSignals(False)
        for part in (self.play, self.slider):
            part.setEnabled(len(history) > 1)
        self._say()
        if other:
            if self.playing:
                self.toggle()
            self.chosen.emit(None)

    def toggle(self) -> None:
        """Play from the start, or from where the slider stands; or stop."""
        if self.playing:
            self._timer.stop()
        elif len(self._history) > 1:
            if self.slider.value() == self.slider.maximum():
                self.slider.setValue(0)
            self._timer.start()
        self.use_colours()

    def close_row(self) -> None:
        """Stop, and go back to the present."""
        if self.playing:
            self.toggle()
        self.slider.setValue(self.slider.maximum())

    def _advance(self) -> None:
        self.slider.setValue(self.slider.value() + 1)
        if self.slider.value() >= self.slider.maximum():
            self.toggle()

    def _show(self) -> None:
        self._say()
        place = self.slider.value()
        past = len(self._history) > 1 and place < self.slider.maximum()
        self.chosen.emit(self._history[place] if past else None)

    def _say(self) -> None:
        place = self.slider.value()
        known = place < len(self._history)
        self.text.setText(f"step {self._history[place].step}" if known else "no run yet")


class LedViews(QObject):
    """Joins the views of the panel to the document; all work is done in the background, the newest alone counts."""

    def __init__(self, panel: LedPanel, controller: Controller) -> None:
        super().__init__(panel)
        self._panel, self._controller = panel, controller
        self.image = ImagePanel("Predicted")
        self.image.note = "predicted image"
        self.image.set_lut(lut("gray"))
        self.image.setAccessibleName("Predicted image of the chosen pattern")
        self.image.hide()
        self.learning = LearningRow()
        self.dialog: SightDialog | None = None
        panel.tools.asked.connect(self._asked)
        panel.row_shown.connect(self.refresh)
        self.learning.chosen.connect(panel.show_past)
        controller.document_changed.connect(lambda _: self._follow())
        controller.run_changed.connect(self._follow)
        controller.pictured.connect(lambda _: self._follow())
        controller.reconstruction_changed.connect(self.refresh)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.image.use_colours()
        self.learning.use_colours()
        if self.dialog is not None:
            self.dialog.use_colours()

    def refresh(self) -> None:
        """Work out anew what is shown."""
        if not self.image.isHidden():
            self._predict()
        if self.dialog is not None:
            self._look(self.dialog.all.isChecked())

    def _follow(self) -> None:
        self.learning.show_history(self._controller.document.history.learned)

    def _asked(self, what: str, wanted: bool) -> None:
        if what == "prediction":
            self.image.setVisible(wanted)
            self.refresh()
        elif what == "learning":
            self._follow()
            self.learning.setVisible(wanted)
            if not wanted:
                self.learning.close_row()
        elif what == "sees":
            self._open_dialog()

    def _open_dialog(self) -> None:
        if self.dialog is None:
            self.dialog = SightDialog(self._panel.window() or self._panel)
            self.dialog.wanted.connect(self._look)
            self.dialog.destroyed.connect(self._forget_dialog)
            self.dialog.show()
        self.dialog.raise_()
        self.refresh()

    def _forget_dialog(self) -> None:
        self.dialog = None

    def _look(self, everything: bool) -> None:
        document, shown = self._controller.document, self._panel.pattern_shown()
        leds, geometry = document.leds(), document.geometry
        if leds is None or geometry is None or shown is None:
            return
        levels, exposures, row = shown
        if not everything:
            levels, exposures = levels[row : row + 1], exposures[row : row + 1]
        microscope = geometry.microscope

        def done(seen: object) -> None:
            if self.dialog is not None:
                self.dialog.show_sight(seen)  # type: ignore[arg-type]

        self._controller.desk.submit("sight", lambda: sight(levels, exposures, leds, microscope), done)

    def _predict(self) -> None:
        document, shown = self._controller.document, self._panel.pattern_shown()
        leds, geometry, what = document.leds(), document.geometry, object_of(document)
        if leds is None or geometry is None or shown is None or what is None:
            self._say_none(NOTHING_OPEN)
            return
        levels, exposures, row = shown
        level, exposure = levels[row].copy(), float(exposures[row])
        self._controller.desk.submit(
            "predicted image",
            lambda: predict(geometry, leds, level, exposure, what),
            self._show_image,
            refused=lambda failed: self._refused(failed),
        )

    def _refused(self, failed: Failed) -> None:
        self._say_none(failed.message)

    def _say_none(self, why: str) -> None:
        self.image.set_image(None, None)
        self.image.note = ""
        self.image.setToolTip(sentence(why))
        self.image.title = "No prediction"

    def _show_image(self, found: PredictedImage) -> None:
        self.image.title = "Predicted"
        brightest = float(np.max(found.image, initial=0.0))
        self.image.setToolTip(
            f"Predicted with the program's model of the microscope, without noise, of {found.name}; brightest pixel "
            f"{brightest:.3g} (1: one LED on the axis for one frame)"
        )
        self.image.set_limits(*auto_limits(finite_values([found.image])))
        self.image.set_image(found.image, found.pixel_um)
