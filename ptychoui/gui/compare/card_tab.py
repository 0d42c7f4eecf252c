"""How a design holds when the microscope is not as stated: the robustness card."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptychoui.data.files import json_text, write_atomic
from ptychoui.gui.compare.export_button import Export, ExportButton, Write
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.work_dialog import button
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import bold, bullets, gap_of, ink, note, sentence
from ptychoui.session.design_comparison import Candidate
from ptychoui.session.design_robustness import CardHistory, CardPlan
from ptychoui.tasks.fpm.titles import TITLES

WHAT = (
    "Patterns that were learned, painted or added are tried with the array shifted and turned, defocus, dimmer LEDs, "
    "more noise and other tiles, beside a hand-made design with as many frames and as much light."
)
NONE_YET = "Nothing can be tried yet: learn patterns, change some in the LED panel, or add a file or a run to the list."


class CardTab(QWidget):
    """Asks for a design, and shows its card.

    Attributes
    ----------
    export_wanted
        `Export` that somebody chose.
    """

    export_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = CardHistory()
        self._candidates: dict[str, Candidate] = {}
        self.design, self.against, self.draws = QComboBox(), QComboBox(), CountBox(arrows=True)
        self.design.setAccessibleName("Design to try")
        self.design.setToolTip("Design that is tried on a microscope that is not as stated")
        self.against.setToolTip("Hand-made design that is tried under the same conditions")
        self.against.setAccessibleName("Hand-made design beside it")
        for name, title in TITLES.items():
            self.against.addItem(title, name)
        self.draws.setRange(1, 100)
        self.draws.setValue(2)
        self.draws.setAccessibleName("Draws of what is random")
        self.draws.setToolTip("How often what is random is drawn")
        for box in (self.design, self.against):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.begin = button("Try it", "Try the design under everything that may be otherwise than stated", primary=True)
        self.export = ExportButton((Export("Card as JSON…", "robustness.json", "Card (*.json)", self._card_file),))
        self.what, self.verdict, self.basis, self.notes = QLabel(WHAT), bold(QLabel()), QLabel(), note()
        for label in (self.what, self.verdict, self.basis):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.table = QTableWidget(0, 0)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("Robustness card")
        if (rows := self.table.verticalHeader()) is not None:
            rows.hide()
        gap = gap_of(self)
        top = QHBoxLayout()
        top.setSpacing(gap)
        for text, part in (("&Try", self.design), ("&beside", self.against), ("D&raws", self.draws)):
            label = QLabel(text)
            label.setBuddy(part)
            top.addWidget(label)
            top.addWidget(part)
        top.addWidget(self.begin)
        top.addStretch(1)
        top.addWidget(self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(2 * gap)
        layout.addLayout(top)
        for line in (self.what, self.verdict, self.notes):
            layout.addWidget(line)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.basis)
        self.use_colours()

    def show_candidates(self, some: tuple[Candidate, ...]) -> None:
        """Offer designs that are no hand-made ones."""
        before = self.design.currentData()
        self._candidates = {one.key: one for one in some if one.patterns is not None}
        if [self.design.itemData(place) for place in range(self.design.count())] != list(self._candidates):
            self.design.clear()
            for key, one in self._candidates.items():
                self.design.addItem(one.title, key)
            self.design.setCurrentIndex(max(0, self.design.findData(before)))
        self.design.setEnabled(bool(self._candidates))
        self.what.setText(WHAT if self._candidates else NONE_YET)

    def plan(self) -> CardPlan:
        """What is asked for.

        Raises
        ------
        SettingsError
            If there is nothing to try.
        """
        chosen = self._candidates.get(str(self.design.currentData()))
        folder = Path(chosen.source) if chosen is not None and Path(chosen.source).is_dir() and chosen.source else None
        return CardPlan(
            patterns=None if folder is not None or chosen is None else chosen.patterns,
            folder=folder,
            against=str(self.against.currentData()),
            draws=self.draws.value(),
        )

    @property
    def ready(self) -> bool:
        """Whether there is a design to try."""
        return bool(self._candidates)

    def show_history(self, history: CardHistory) -> None:
        """Show the card."""
        shown, self._history = self._history, history
        card = history.card
        self.export.setEnabled(card is not None)
        self.verdict.setText("" if card is None else sentence(card.sentence))
        self.basis.setText("" if card is None else sentence(card.basis))
        bullets(self.notes, () if card is None else card.notes, colours().warning)
        for label in (self.verdict, self.basis):
            label.setVisible(bool(label.text()))
        if card is shown.card and self.table.rowCount():
            return
        header, *lines = [["", ""]] if card is None else card.cells()
        self.table.setColumnCount(0 if card is None else len(header))
        self.table.setRowCount(len(lines))
        self.table.setHorizontalHeaderLabels(header)
        for row, line in enumerate(lines):
            for column, text in enumerate(line):
                item = QTableWidgetItem(text)
                if column > 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        if (columns := self.table.horizontalHeader()) is not None and card is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        paint_primary(self.begin)
        for label in (self.what, self.basis):
            ink(label, colours().muted)
        ink(self.verdict, colours().text)
        ink(self.notes, colours().warning)

    def _card_file(self) -> Write:
        card = self._history.card
        text = "" if card is None else json_text(card.record()) + "\n"
        return lambda path: write_atomic(path, text)
