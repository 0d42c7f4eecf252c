"""Designs in a table: frames, exposure, errors by both judges, gain over a reference with its interval."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import by_font
from ptychoui.session.comparison_told import TABLE_HEADER, TableRow

GAIN = "By how much the error is smaller than the reference's, with the 95 % interval of paired differences"
TIPS = {
    "Frames": "How many images the design takes",
    "Exposure": "Time of all images, in frames: equal for all but the last ceiling",
    "By its network": "Mean complex error of held-out objects by the network, with settings of the design",
    "By the solver": "Mean complex error of the same measurements by a converged solver without a network",
    "Gain, network": GAIN,
    "Gain, solver": GAIN,
    "Resolves": "Period at which the solver's objects agree with the truth by one half, ring by ring",
}


LINES = 7
"""That are always seen."""


class ResultTable(QTableWidget):
    """One line for each design; the one to use is set in bold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(TABLE_HEADER), parent)
        self.setHorizontalHeaderLabels(TABLE_HEADER)
        for column, title in enumerate(TABLE_HEADER):
            item = self.horizontalHeaderItem(column)
            if item is not None:
                item.setToolTip(TIPS.get(title, ""))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setAccessibleName("Designs and their errors")
        self.setWordWrap(False)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        if rows is not None:
            rows.hide()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._rows: list[TableRow] = []
        self._expected = 4
        by_font(self, lambda _: self._measure())

    def sizeHint(self) -> QSize:
        """All lines."""
        return QSize(90 * self.fontMetrics().averageCharWidth(), self.maximumHeight())

    def minimumSizeHint(self) -> QSize:
        """Its first lines."""
        return QSize(60 * self.fontMetrics().averageCharWidth(), self.minimumHeight())

    def expect(self, lines: int) -> None:
        """Leave room for so many lines, so that nothing moves when they come."""
        if lines != self._expected:
            self._expected = lines
            self._measure()

    def _measure(self) -> None:
        """No higher than its lines: what is below has the room."""
        line = round(1.6 * self.fontMetrics().height())
        if (rows := self.verticalHeader()) is not None:
            rows.setMinimumSectionSize(line)
            rows.setDefaultSectionSize(line)
        header = self.horizontalHeader()
        above = (line if header is None else header.sizeHint().height()) + 2 * self.frameWidth()
        lines = max(len(self._rows), self._expected)
        self.setMaximumHeight(lines * line + above + 1)
        self.setMinimumHeight(min(lines, LINES) * line + above + 1)
        self.updateGeometry()

    def show_rows(self, rows: list[TableRow]) -> None:
        """Write the table anew where it has changed."""
        if rows == self._rows:
            return
        self._rows = rows
        self._measure()
        self.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, text in enumerate(row.cells):
                item = QTableWidgetItem(text)
                right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                item.setTextAlignment(right if column else Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
                item.setToolTip(text)
                font = item.font()
                font.setBold(row.recommended)
                item.setFont(font)
                self.setItem(place, column, item)
        self.use_colours()

    def use_colours(self) -> None:
        """Gains that are certain have the colour of what is good, losses that of a warning."""
        c = colours()
        for place, row in enumerate(self._rows):
            for column in range(len(TABLE_HEADER)):
                item = self.item(place, column)
                sign = row.signs.get(column, 0)
                if item is not None:
                    item.setForeground(QColor((c.warning, c.text, c.good)[int(np.sign(sign)) + 1]))
