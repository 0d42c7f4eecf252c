"""What a comparison of designs found: a sentence, a table, reconstructions, curves over frequencies, patterns."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from ptychoui.bench.design.entrants import RESOLVED
from ptychoui.gui.compare.curves import CurvesPlot
from ptychoui.gui.compare.export_button import Export, ExportButton, Write
from ptychoui.gui.compare.patterns_page import PatternsPage
from ptychoui.gui.compare.pictures_page import PicturesPage
from ptychoui.gui.compare.result_table import ResultTable
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import bold, gap_of, ink, sentence, tall
from ptychoui.session.comparison_export import Curve, write_curves, write_pictures, write_result, write_table
from ptychoui.session.comparison_told import ComparisonHistory
from ptychoui.session.lab_report import write_comparison_page

NOT_JUDGED = "No design is judged yet: press Compare."
BEING_JUDGED = "The first design is being judged."
FREQUENCY, CORRELATION = "spatial frequency in 1/µm", "correlation with the truth"


class SideBySide(QWidget):
    """One number of frames.

    Attributes
    ----------
    export_wanted
        `Export` that somebody chose.
    """

    export_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = ComparisonHistory()
        self._picked = False
        self.verdict, self.problem = bold(QLabel()), QLabel()
        for label in (self.verdict, self.problem):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        tall(self.verdict, 2.2)
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.reference = QComboBox()
        self.reference.setToolTip("The design that all others are held against")
        self.reference.setAccessibleName("Reference design")
        self.table = ResultTable(self)
        self.pictures, self.patterns = PicturesPage(self), PatternsPage(self)
        self.rings = CurvesPlot(FREQUENCY, CORRELATION, RESOLVED)
        self.views = QTabWidget()
        self.views.setDocumentMode(True)
        for view, title in (
            (self.pictures, "Reconstructions"),
            (self.rings, "Spatial frequencies"),
            (self.patterns, "Patterns"),
        ):
            self.views.addTab(view, title)
        gap = gap_of(self)
        self.row = QHBoxLayout()
        self.row.setSpacing(gap)
        self._over = QLabel("&Gain over")
        self._over.setBuddy(self.reference)
        self.reference.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.row.addWidget(self._over)
        self.row.addWidget(self.reference)
        self.row.addStretch(1)
        self.export = ExportButton(self._files())
        self.export.wanted.connect(self.export_wanted)
        self.row.addWidget(self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, 0)
        layout.setSpacing(gap)
        for part in (self.verdict, self.problem):
            layout.addWidget(part)
        layout.addLayout(self.row)
        layout.addWidget(self.table)
        layout.addWidget(self.views, 1)
        self.reference.activated.connect(self._pick)
        self.use_colours()

    def show_history(self, history: ComparisonHistory) -> None:
        """Show what was found so far."""
        if history is not self._history:
            self.reference.clear()
            self._picked = False
        self._history = history
        shown = history.shown()
        titles = {one.name: one.title for one in shown}
        self._offer_references(titles)
        begun = history.begun
        self.table.expect(max(4, len(shown), 0 if begun is None else begun.designs // begun.seeds))
        self.export.setEnabled(bool(history.judged))
        self.problem.setText("" if history.begun is None else history.begun.problem)
        said = sentence(history.sentence) or ("Comparing…" if history.begun else "Nothing is compared yet")
        self.verdict.setText(said)
        self.problem.setVisible(bool(self.problem.text()))
        self._show_table()
        running = history.end is None and bool(history.begun or history.preparing)
        self.pictures.note.setText(BEING_JUDGED if running else NOT_JUDGED)
        self.pictures.show_designs(shown)
        self.patterns.show_designs(shown)
        self.rings.show_curves(
            [
                Curve(title=titles[name], x=tuple(frequency), y=tuple(correlation))
                for name, frequency, correlation in _rings(history)
            ]
        )

    def _files(self) -> tuple[Export, ...]:
        """What can be written of what is shown."""
        return (
            Export("Report for the notebook…", "comparison.html", "Page (*.html)", self._page_file),
            Export("Table as CSV…", "table.csv", "Table (*.csv)", self._table_file),
            Export("Result as JSON…", "comparison.json", "Result (*.json)", self._result_file),
            Export("Pictures as PNG…", "pictures.png", "Picture (*.png)", self._pictures_file),
            Export("Curves as CSV…", "frequencies.csv", "Table (*.csv)", self._curves_file),
            Export("Curves as a figure…", "frequencies.png", "Picture (*.png);;Drawing (*.svg)", self._curves_file),
        )

    def _page_file(self) -> Write:
        history = self._history
        return lambda path: write_comparison_page(path, history)

    def _table_file(self) -> Write:
        rows = self._history.table(str(self.reference.currentData() or ""))
        return lambda path: write_table(path, rows)

    def _result_file(self) -> Write:
        history = self._history
        return lambda path: write_result(path, history)

    def _pictures_file(self) -> Write:
        images, bar = self.pictures.pictures(), self.pictures.bar
        limits, table = (bar.low, bar.high), bar.table
        return lambda path: write_pictures(path, images, limits, table)

    def _curves_file(self) -> Write:
        curves = self.rings.curves
        return lambda path: write_curves(path, curves, FREQUENCY, CORRELATION)

    def _offer_references(self, titles: dict[str, str]) -> None:
        known = [self.reference.itemData(place) for place in range(self.reference.count())]
        before = self.reference.currentData()
        if known != list(titles):
            self.reference.clear()
            for name, title in titles.items():
                self.reference.addItem(title, name)
        # The best hand-made design, until somebody has chosen another.
        wanted = before if self._picked and before in titles else self._history.usual_reference()
        self.reference.setCurrentIndex(max(0, self.reference.findData(wanted)))
        for part in (self._over, self.reference):
            part.setVisible(len(titles) > 1)

    def _pick(self, _place: int) -> None:
        self._picked = True
        self._show_table()

    def _show_table(self) -> None:
        self.table.show_rows(self._history.table(str(self.reference.currentData() or "")))

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        ink(self.problem, colours().muted)
        ink(self.verdict, colours().text)
        for part in (self.table, self.pictures, self.rings, self.patterns):
            part.use_colours()


def _rings(history: ComparisonHistory) -> list[tuple[str, list[float], list[float]]]:
    """(design, frequency (ring,), correlation (ring,)) over all splits that are done."""
    runs = history.comparable
    if not runs:
        return []
    return [
        (name, runs[0].frequency_per_um, np.mean([run.correlation[name] for run in runs], axis=0).tolist())
        for name in runs[0].correlation
    ]
