"""Designs that can be ticked, with their numbers of frames and exposures; files can be dropped on it."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from PyQt6.QtCore import QMimeData, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from ptychoui.session.design_comparison import CEILINGS_TITLE, Candidate, refusal
from ptychoui.session.document import Document

USUAL = ("learned", "painted", "half_circles", "hybrid", "singles")
"""Ticked where nobody has said otherwise, as is what somebody adds."""


LETTERS = 28
"""Of a title in one line."""


class CandidateList(QTreeWidget):
    """A line for every design.

    Attributes
    ----------
    dropped
        Paths of files or folders that were dropped.
    changed
        Something else is ticked or chosen.
    """

    dropped = pyqtSignal(list)
    changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._candidates: dict[str, Candidate] = {}
        self._ticked: dict[str, bool] = {}
        self._filling = False
        self.setColumnCount(3)
        self.setHeaderLabels(["Design", "Frames", "Exposure"])
        self.setRootIsDecorated(False)
        self.setAcceptDrops(True)
        self.setAccessibleName("Designs to compare")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            for column in (1, 2):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.itemChanged.connect(self._item_changed)
        self.currentItemChanged.connect(lambda *_: self.changed.emit())

    def sizeHint(self) -> QSize:
        """Ten lines."""
        return QSize(44 * self.fontMetrics().averageCharWidth(), 16 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Four lines."""
        return QSize(36 * self.fontMetrics().averageCharWidth(), 7 * self.fontMetrics().height())

    def show_candidates(self, document: Document, some: Iterable[Candidate]) -> None:
        """List designs; what was ticked before stays so, and what does not fit says why."""
        chosen = self.current
        self._filling = True
        self.clear()
        self._candidates = {one.key: one for one in some}
        for one in self._candidates.values():
            why = refusal(one, document)
            item = QTreeWidgetItem([fill(one.title, LETTERS), *_light(one, document)])
            item.setData(0, Qt.ItemDataRole.UserRole, one.key)
            item.setToolTip(0, why or one.source or one.title)
            for column in (1, 2):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            ticked = self._ticked.get(one.key, one.ours or one.key in USUAL) and not why
            item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            item.setDisabled(bool(why))
            self.addTopLevelItem(item)
            if chosen is not None and one.key == chosen.key:
                self.setCurrentItem(item)
        self._filling = False
        self.changed.emit()

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """What is ticked."""
        ticked = [item for item in self._items() if item.checkState(0) is Qt.CheckState.Checked]
        return tuple(self._candidates[self._key(item)] for item in ticked if not item.isDisabled())

    @property
    def current(self) -> Candidate | None:
        """The line that is chosen."""
        item = self.currentItem()
        return None if item is None else self._candidates.get(self._key(item))

    def tick(self, key: str, ticked: bool) -> None:
        """Tick a design, or no more."""
        for item in self._items():
            if self._key(item) == key:
                item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files and folders."""
        if event is not None and _paths(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Take files and folders anywhere on the list."""
        if event is not None and _paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell what was dropped."""
        if event is not None and (paths := _paths(event.mimeData())):
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def _items(self) -> list[QTreeWidgetItem]:
        items = (self.topLevelItem(place) for place in range(self.topLevelItemCount()))
        return [item for item in items if item is not None]

    def _key(self, item: QTreeWidgetItem) -> str:
        return str(item.data(0, Qt.ItemDataRole.UserRole))

    def _item_changed(self, item: QTreeWidgetItem) -> None:
        if not self._filling:
            self._ticked[self._key(item)] = item.checkState(0) is Qt.CheckState.Checked
            self.changed.emit()


def _paths(data: QMimeData | None) -> list[str]:
    """Local paths of what is dragged."""
    return [] if data is None else [url.toLocalFile() for url in data.urls() if url.isLocalFile()]


def _light(candidate: Candidate, document: Document) -> tuple[str, str]:
    """Frames and total exposure in frames, as texts: given patterns are shown with the experiment's exposure."""
    experiment, leds = document.fpm, document.leds()
    if experiment is None:
        return "", ""
    design = experiment.design
    total = design.rows if design.total_exposure is None else design.total_exposure
    if candidate.title == CEILINGS_TITLE:
        count = 0 if leds is None else len(leds)
        return str(count), f"{total:g} and {count}"
    rows = design.rows if candidate.patterns is None else len(candidate.patterns.levels)
    return str(rows), f"{total:g}"
