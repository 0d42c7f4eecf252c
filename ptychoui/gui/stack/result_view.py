"""The reconstruction of a stack: a page each for object, pupil, coverage, LEDs, a line and resolution."""

from __future__ import annotations

from PyQt6.QtCore import QSignalBlocker, Qt, pyqtSignal
from PyQt6.QtGui import QAction, QShowEvent
from PyQt6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.theme import colours, paint_band, paint_choice
from ptychoui.gui.stack.coverage_page import CoveragePage
from ptychoui.gui.stack.frc_page import FrcPage
from ptychoui.gui.stack.led_page import LedPage
from ptychoui.gui.stack.line_page import ProfilePage
from ptychoui.gui.stack.object_page import ObjectPage
from ptychoui.gui.stack.pupil_page import PupilPage
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import Elided, Yielding, bullets, ink, note, tall
from ptychoui.session.origin import Origin
from ptychoui.session.stack_run import ObjectPicture, StackReport, SuggestedLayout

Page = ObjectPage | PupilPage | CoveragePage | LedPage | ProfilePage | FrcPage

TIPS = {
    "Object": "Amplitude and phase of the sample",
    "Pupil": "Amplitude and phase of the objective's pupil, with its aberrations",
    "Coverage": "How many LEDs see each frequency of the sample",
    "LEDs": "How well each LED's image is explained: a bad LED is ringed",
    "Line": "Values along a line across the sample, with their contrast",
    "Resolution": "Up to which resolution two halves of the LEDs agree (Fourier ring correlation)",
}


class ResultView(QWidget):
    """Pages under a row of buttons; what is hidden is drawn when it is looked at.

    Attributes
    ----------
    tile_chosen
        Pupil and LEDs of another tile are wanted.
    closed
        The person is done with a saved result.
    layout_taken
        The layout that the images suggest is wanted.
    """

    hover_text = pyqtSignal(str)
    tile_chosen = pyqtSignal(int)
    closed = pyqtSignal()
    layout_taken = pyqtSignal()

    def __init__(self, compare: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.object, self.pupil, self.coverage = ObjectPage(), PupilPage(), CoveragePage()
        self.leds, self.profile, self.frc = LedPage(), ProfilePage(), FrcPage(compare)
        self.pages: dict[str, Page] = {
            "Object": self.object,
            "Pupil": self.pupil,
            "Coverage": self.coverage,
            "LEDs": self.leds,
            "Line": self.profile,
            "Resolution": self.frc,
        }
        self.stack = QStackedWidget()
        self.buttons = QButtonGroup(self)
        self.summary = Elided(least=0)
        self.summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.tile = CountBox(arrows=True)
        self.tile.setPrefix("tile ")
        self.tile.setAccessibleName("Tile of the field")
        self.tile.setToolTip("Pupil, coverage and LEDs are those of this tile of the field")
        self.tile.valueChanged.connect(lambda number: self.tile_chosen.emit(number - 1))
        self._report: StackReport | None = None
        self.origin: Origin | None = None
        self._stale: set[Page] = set()
        gap = max(4, self.fontMetrics().height() // 3)
        row = QHBoxLayout()
        row.setSpacing(gap // 2)
        for place, (name, page) in enumerate(self.pages.items()):
            button = QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setToolTip(TIPS[name])
            tall(button, 1.7)
            self.buttons.addButton(button, place)
            row.addWidget(button)
            self.stack.addWidget(page)
            page.hover_text.connect(self.hover_text)
        row.addWidget(self.tile)
        row.addWidget(self.summary, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        self.warnings = note()
        self.source = note()
        self.source.show()
        self.close_source = QPushButton("Close")
        self.close_source.setToolTip("Close this file, and go back to what was made here")
        self.close_source.clicked.connect(self.closed)
        self.band = QFrame()
        self.band.setAutoFillBackground(True)
        band = QHBoxLayout(self.band)
        band.setContentsMargins(gap, gap // 2, gap // 2, gap // 2)
        band.setSpacing(2 * gap)
        band.addWidget(self.source, 1)
        band.addWidget(self.close_source, 0, Qt.AlignmentFlag.AlignTop)
        self.band.hide()
        layout.addLayout(row)
        layout.addWidget(Yielding(self.band))
        self.take_layout = QPushButton("Use this layout")
        self.take_layout.setToolTip("Put the layout that explains the images better in place of the present one")
        self.take_layout.clicked.connect(self.layout_taken)
        self.take_layout.hide()
        row = QHBoxLayout()
        row.setSpacing(2 * gap)
        row.addWidget(Yielding(self.warnings), 1)
        row.addWidget(self.take_layout, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(row)
        layout.addWidget(self.stack, 1)
        self.buttons.idClicked.connect(self._turn_to)
        self.show_page("Object")

    def show_page(self, name: str) -> None:
        """Bring a page to the front."""
        place = list(self.pages).index(name)
        button = self.buttons.button(place)
        if button is not None:
            button.setChecked(True)
        self._turn_to(place)

    def show_report(self, report: StackReport | None) -> None:
        """Show a result; None empties all pages."""
        self._report = report
        self._stale = set(self.pages.values())
        with QSignalBlocker(self.tile):
            self.tile.setRange(1, 1 if report is None else report.tiles)
            self.tile.setSuffix(f" of {self.tile.maximum()}")
            self.tile.setValue(1 if report is None else report.tile + 1)
        self._offer_tiles()
        self.summary.say(report.summary if report is not None else "")
        bullets(self.warnings, report.found.warnings if report is not None else (), colours().warning)
        self._draw()

    def show_warnings(self, shown: bool) -> None:
        """What was said of a result is not said of the one that is being made."""
        warnings = self._report.found.warnings if self._report is not None and shown else ()
        bullets(self.warnings, warnings, colours().warning)

    def offer_layout(self, suggested: SuggestedLayout | None) -> None:
        """Offer the layout that the images suggest beside what was said of it."""
        self.take_layout.setVisible(suggested is not None)
        if suggested is not None:
            self.take_layout.setToolTip(
                f"Put {suggested.settings} into the geometry, with the place of the array that goes with it; "
                "undo takes it back"
            )

    def show_origin(self, origin: Origin | None, other_geometry: bool = False) -> None:
        """Say which file and which stack a saved result is of; None for one that was made here.

        ``other_geometry``: it was made here, with a geometry that has been changed since.
        """
        self.origin = origin
        self.band.setVisible(origin is not None or other_geometry)
        self.close_source.setVisible(origin is not None)
        if origin is None and other_geometry:
            self.source.setText("This reconstruction was made with another geometry than the one shown.")
        if origin is not None:
            self.source.setText(origin.sentence)
            back = f"Go back to {origin.open_stack}" if origin.open_stack else "Show nothing"
            self.close_source.setToolTip(f"{back}; {origin.file} stays as it is")
        self.frc.show_origin(origin)
        self._paint_band()

    def _paint_band(self) -> None:
        other = self.origin is None or not self.origin.same
        paint_band(self.band, colours().second if other else colours().accent)

    def _offer_tiles(self) -> None:
        """Where there are several, on the pages that show one."""
        self.tile.setVisible(self.tile.maximum() > 1 and self._page() in (self.pupil, self.coverage, self.leds))

    def show_picture(self, picture: ObjectPicture) -> None:
        """Show the object on the way."""
        self.object.show_picture(picture)

    def show_progress(self, text: str) -> None:
        """Say how far a reconstruction is."""
        self.summary.say(text)

    def start_over(self) -> None:
        """A new run: contrast is chosen again."""
        self.object.start_over()

    def fit(self) -> None:
        """Show whole images."""
        self._page().fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel, where there are images."""
        page = self._page()
        if not isinstance(page, (CoveragePage, FrcPage)):
            page.actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits, where there are images."""
        page = self._page()
        if not isinstance(page, (CoveragePage, FrcPage)):
            page.auto_contrast()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        ink(self.warnings, colours().warning)
        for page in self.pages.values():
            page.use_colours()
        self._paint_buttons()
        self._paint_band()
        self.update()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        self._draw()

    def _page(self) -> Page:
        return list(self.pages.values())[self.stack.currentIndex()]

    def _turn_to(self, place: int) -> None:
        self.stack.setCurrentIndex(place)
        self._offer_tiles()
        self._paint_buttons()
        self._draw()

    def _paint_buttons(self) -> None:
        for button in self.buttons.buttons():
            paint_choice(button, button.isChecked())

    def _draw(self) -> None:
        page = self._page()
        if page in self._stale and self.isVisible():
            self._stale.discard(page)
            page.show_report(self._report)
