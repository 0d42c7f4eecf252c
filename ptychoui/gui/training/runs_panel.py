"""The panel of runs: those that were made, those that wait, and whose curves are laid over the open one's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QColor, QShowEvent
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.icons import icon
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import CommandRow, gap_of, ink, tall
from ptychoui.session.run_list import ListedRun
from ptychoui.session.run_queue import QueuedRun
from ptychoui.words import counted

PATH, QUEUED = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
HEADERS = ("Run", "Step", "Score", "Changed")
EMPTY = "No runs yet. Every training is kept here: its curves can be laid over others, and it can be opened again."


class RunsPanel(QWidget):
    """Lists runs and asks for what is to be done with the chosen one.

    Attributes
    ----------
    opened, forked
        (run folder) is to be shown, or to be the start of a new run.
    overlaid
        (run folders) whose curves are to be drawn beside those of the open run.
    queue_wanted
        The open experiment is to be trained in its turn.
    queue_begun
        Those that wait are to begin, or no further one is to.
    dropped
        (`QueuedRun`) is not wanted any more.
    shown
        The panel came into sight: its list may be old.
    """

    opened = pyqtSignal(object)
    forked = pyqtSignal(object)
    overlaid = pyqtSignal(list)
    queue_wanted = pyqtSignal()
    queue_begun = pyqtSignal(bool)
    dropped = pyqtSignal(object)
    shown = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: tuple[ListedRun, ...] = ()
        self._queued: tuple[QueuedRun, ...] = ()
        self._open: Path | None = None
        self._over: list[Path] = []
        self._idle, self._trainable, self._going = True, False, False
        self.list = QTreeWidget()
        self.list.setHeaderLabels(list(HEADERS))
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setAccessibleName("Runs")
        header = self.list.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            for column in range(1, len(HEADERS)):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.empty = QLabel(EMPTY)
        self.empty.setWordWrap(True)
        self.open = _button("Open", "Show this run: its settings, patterns, curves and last picture (double-click)")
        self.fork = _button("New from it", "Begin a new run with this one's settings, from what it has learned")
        self.queue = _button("Train later", "Put the open experiment at the end of the queue")
        self.begin = _button("Start queue", "Train what waits, one after the other")
        self.drop = _button("Take out", "Take this experiment out of the queue")
        gap = gap_of(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addWidget(self.empty)
        layout.addWidget(self.list, 1)
        layout.addWidget(CommandRow((self.open, self.fork)))
        layout.addWidget(CommandRow((self.queue, self.begin, self.drop)))
        self.list.itemSelectionChanged.connect(self._enable)
        self.list.itemDoubleClicked.connect(lambda *_: self._ask(self.opened))
        self.list.itemChanged.connect(self._ticked)
        self.open.clicked.connect(lambda: self._ask(self.opened))
        self.fork.clicked.connect(lambda: self._ask(self.forked))
        self.queue.clicked.connect(self.queue_wanted)
        self.begin.clicked.connect(lambda: self.queue_begun.emit(not self._going))
        self.drop.clicked.connect(self._drop)
        self._set_icons()
        self._fill()

    def show_runs(self, runs: Sequence[ListedRun], queued: Sequence[QueuedRun]) -> None:
        """List what was found; the chosen row stays chosen."""
        if (tuple(runs), tuple(queued)) != (self._runs, self._queued):
            self._runs, self._queued = tuple(runs), tuple(queued)
            self._fill()

    def show_state(self, folder: Path | None, idle: bool, trainable: bool, going: bool) -> None:
        """Which run is open, and what can be done now."""
        changed = folder != self._open
        self._open, self._idle, self._trainable, self._going = folder, idle, trainable, going
        if changed:
            self._fill()
        self._enable()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        ink(self.empty, colours().muted)
        self._set_icons()
        self._fill()

    def _set_icons(self) -> None:
        for button, name in (
            (self.open, "open"),
            (self.fork, "fork"),
            (self.queue, "later"),
            (self.begin, "pause" if self._going else "train"),
            (self.drop, "remove"),
        ):
            button.setIcon(icon(name))

    def sizeHint(self) -> QSize:
        """A dozen runs."""
        return QSize(30 * self.fontMetrics().averageCharWidth(), 16 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Some runs."""
        return QSize(24 * self.fontMetrics().averageCharWidth(), 9 * self.fontMetrics().height())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for a new list."""
        super().showEvent(event)
        self.shown.emit()

    def _fill(self) -> None:
        chosen = self._chosen()
        key = chosen.data(0, PATH) or chosen.data(0, QUEUED).folder if chosen is not None else None
        self.list.blockSignals(True)
        self.list.clear()
        for place, queued in enumerate(self._queued):
            name = queued.experiment.name
            row = QTreeWidgetItem([name, f"of {queued.experiment.training.steps}", "", "waits" if place else "next"])
            row.setData(0, QUEUED, queued)
            row.setToolTip(0, f"{name} waits for its turn")
            self._add(row, queued.folder == key)
        for run in self._runs:
            score = "" if run.score is None else f"{run.score:.3g}"
            row = QTreeWidgetItem([run.name, f"{run.step} of {run.steps}", score, _when(run.changed_s)])
            row.setData(0, PATH, run.path)
            row.setToolTip(0, f"{run.path}\n{run.state}; tick it to lay its curves over those of the open run")
            row.setToolTip(2, f"Held-out {run.score_name}, the last one")
            row.setFlags(row.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            row.setCheckState(0, Qt.CheckState.Checked if run.path in self._over else Qt.CheckState.Unchecked)
            if run.working:
                row.setText(3, "learning")
                row.setForeground(3, QBrush(QColor(colours().accent)))
            if run.path == self._open:
                font = row.font(0)
                font.setBold(True)
                row.setFont(0, font)
            for column in (1, 2):
                row.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._add(row, run.path == key)
        self.list.blockSignals(False)
        self.empty.setVisible(not self._runs and not self._queued)
        self._enable()

    def _add(self, row: QTreeWidgetItem, chosen: bool) -> None:
        self.list.addTopLevelItem(row)
        if chosen:
            self.list.setCurrentItem(row)

    def _chosen(self) -> QTreeWidgetItem | None:
        found = self.list.selectedItems()
        return found[0] if found else None

    def _ask(self, signal: object) -> None:
        row = self._chosen()
        path = row.data(0, PATH) if row is not None else None
        if path is not None and self._idle:
            signal.emit(path)  # type: ignore[attr-defined]

    def _drop(self) -> None:
        row = self._chosen()
        queued = row.data(0, QUEUED) if row is not None else None
        if queued is not None:
            self.dropped.emit(queued)

    def _ticked(self, row: QTreeWidgetItem) -> None:
        path = row.data(0, PATH)
        if path is None:
            return
        ticked = row.checkState(0) is Qt.CheckState.Checked
        if ticked is not (path in self._over):
            self._over = [*self._over, path] if ticked else [other for other in self._over if other != path]
            self.overlaid.emit(list(self._over))

    def _enable(self) -> None:
        row = self._chosen()
        is_run = row is not None and row.data(0, PATH) is not None
        waits = counted(len(self._queued), "experiment")
        for button, possible, why in (
            (self.open, is_run and self._idle, "choose a run" if self._idle else "a run is active"),
            (self.fork, is_run and self._idle, "choose a run" if self._idle else "a run is active"),
            (self.queue, self._trainable, "open data or an experiment first"),
            (self.begin, bool(self._queued) or self._going, "nothing waits"),
            (self.drop, row is not None and not is_run, "choose one that waits"),
        ):
            button.setEnabled(possible)
            tip = button.property("tip")
            button.setToolTip(tip if possible else f"{tip}: {why}")
        self.begin.setText("Hold queue" if self._going else "Start queue")
        self.begin.setIcon(icon("pause" if self._going else "train"))
        if self._queued:
            self.begin.setToolTip(f"{waits} wait" if len(self._queued) != 1 else f"{waits} waits")


def _button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setProperty("tip", tip)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return tall(button, 1.6)


def _when(seconds: float, now: float | None = None) -> str:
    """When something changed: the time of today, else the date."""
    then, today = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d", then)
