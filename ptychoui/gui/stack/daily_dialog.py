"""Daily use: a design and images of it give phase, set after set, as they arrive."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QRadioButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptychoui.data.dataset import ImageStack
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import PtychouiError
from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.theme import colours
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.work_dialog import WorkDialog, button, button_row
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import gap_of, sentence
from ptychoui.session.daily_run import DailyLine, DailyOrder, phase_of
from ptychoui.words import clock, counted

COLUMNS = ("Set", "Time", "Took", "Residual")
WIDE, HIGH = 120, 38
"""Size of the dialog in characters and lines."""

EXPLAINED = (
    "A set is one image for each pattern, in their order: a file or a folder of that many images, several sets in one "
    "file, or files of one image each, numbered at the end of their names."
)


class DailyDialog(WorkDialog):
    """Asks for a design, images and a folder for results; lists the sets, and shows the phase of one."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "daily", "Daily use: from images to phase", "Working", parent)
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._history = controller.document.daily
        self._open_design: PatternSet | None = None
        self._rows = 0
        self._dropped = 0
        self._follow = True
        self._own_results = False
        self.design, self.source, self.results = QLineEdit(), QLineEdit(), QLineEdit()
        for line, name, tip in (
            (
                self.design,
                "Design",
                "Patterns the images were taken with: an exported file, or the folder of a run",
            ),
            (self.source, "Images", "Where the images are: one recording, or a folder that is watched"),
            (self.results, "Results", "Folder that results are written to; it is made if it is missing"),
        ):
            line.setAccessibleName(name)
            line.setToolTip(tip)
        self.watch, self.single = QRadioButton("&Watch a folder"), QRadioButton("&One recording")
        self.watch.setToolTip("Sets that are in the folder, and all that arrive, until you stop")
        self.single.setToolTip("One file or folder, and no more")
        self.watch.setChecked(True)
        self._kinds = QButtonGroup(self)
        for kind in (self.watch, self.single):
            self._kinds.addButton(kind)
        self.passes = CountBox(arrows=True)
        self.passes.setRange(1, 10_000)
        self.passes.setValue(600)
        self.passes.setSingleStep(100)
        self.passes.setAccessibleName("Passes")
        self.passes.setToolTip("Most passes for each set: fewer are faster, and fit noisy images less well")
        self.passes.refused.connect(self.say_trouble)
        self.begin = button("Start", "Reconstruct what is there, and what arrives", primary=True)
        self.halt = button("Stop", "End within a second; what is done is kept in its files")
        self.table = QTableWidget(0, len(COLUMNS))
        self.panel = ImagePanel("Phase (rad)")
        self.panel.note = "The phase of the newest set appears here."
        self.contrast = ContrastBar("phase in radians", "blue to red")
        self._lay_out()
        self._join()
        self._prefill()
        self.use_colours()
        self.show_work()

    @classmethod
    def open_for(cls, controller: Controller, parent: QWidget) -> DailyDialog:
        """Show the dialog; there is one at most."""
        for found in parent.findChildren(cls):
            found.raise_()
            return found
        dialog = cls(controller, parent)
        dialog.show()
        return dialog

    def _lay_out(self) -> None:
        gap = gap_of(self)
        form = QGridLayout()
        form.setSpacing(gap)
        kinds = QHBoxLayout()
        kinds.addWidget(self.watch)
        kinds.addWidget(self.single)
        kinds.addStretch(1)
        passes = QLabel("&Passes")
        passes.setBuddy(self.passes)
        kinds.addWidget(passes)
        kinds.addWidget(self.passes)
        form.addLayout(kinds, 1, 1)
        for row, text, line, hint, choices in (
            (0, "&Design", self.design, "patterns as exported (.json), or the folder of a run", self._design_buttons()),
            (2, "&Images", self.source, "where images arrive", self._source_buttons()),
            (3, "&Results", self.results, "HDF5 and TIFF files are written here", self._result_buttons()),
        ):
            label = QLabel(text)
            label.setBuddy(line)
            line.setPlaceholderText(hint)
            form.addWidget(label, row, 0)
            form.addWidget(line, row, 1)
            for column, made in enumerate(choices):
                form.addWidget(made, row, 2 + column)
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName("Sets")
        self.table.setWordWrap(False)
        across, down = self.table.horizontalHeader(), self.table.verticalHeader()
        if across is not None and down is not None:
            across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            across.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            down.hide()
        picture = QWidget()
        beside = QVBoxLayout(picture)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(gap)
        beside.addWidget(self.panel, 1)
        beside.addWidget(self.contrast)
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.setChildrenCollapsible(False)
        halves.addWidget(self.table)
        halves.addWidget(picture)
        for place, share in enumerate((2, 3)):
            halves.setStretchFactor(place, share)
        halves.setSizes([40 * WIDE, 60 * WIDE])
        self.explained = QLabel(EXPLAINED)
        self.explained.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * gap, 2 * gap, 2 * gap, 2 * gap)
        layout.setSpacing(gap)
        layout.addLayout(form)
        layout.addWidget(self.explained)
        layout.addLayout(button_row(self.halt, self.begin, left=self.status))
        layout.addWidget(self.trouble)
        layout.addWidget(halves, 1)
        self.resize(WIDE * self.fontMetrics().averageCharWidth(), HIGH * self.fontMetrics().height())

    def _design_buttons(self) -> tuple[QWidget, ...]:
        file, run = button("File…", "Patterns as exported"), button("Run…", "The folder of a run")
        self.use_open = button("The open one", "The patterns that are open in the window")
        file.clicked.connect(lambda: self._choose(self.design, Files.to_open(self)))
        run.clicked.connect(lambda: self._choose(self.design, Files.folder_to_open(self)))
        self.use_open.clicked.connect(self.take_open_design)
        return file, run, self.use_open

    def _source_buttons(self) -> tuple[QWidget, ...]:
        self.file, folder = button("File…", "One recording"), button("Folder…", "A folder of images, or to be watched")
        self.file.clicked.connect(lambda: self._choose(self.source, Files.to_open(self)))
        folder.clicked.connect(lambda: self._choose(self.source, Files.folder_to_open(self)))
        return self.file, folder

    def _result_buttons(self) -> tuple[QWidget, ...]:
        folder = button("Folder…", "A folder for results; it is made if it is missing")
        folder.clicked.connect(
            lambda: self._choose(self.results, Files.folder_to_save(self, "Folder for results", self.results.text()))
        )
        return (folder,)

    def _join(self) -> None:
        self.begin.clicked.connect(self.start)
        self.halt.clicked.connect(self.controller.stop)
        self.design.textEdited.connect(self._forget_open_design)
        self.source.textChanged.connect(self._propose_results)
        self.results.textEdited.connect(lambda text: setattr(self, "_own_results", bool(text)))
        self.table.itemSelectionChanged.connect(self._row_chosen)
        self.contrast.changed.connect(self.panel.set_limits)
        self.contrast.lut_changed.connect(self.panel.set_lut)
        self.panel.set_lut(lut("blue to red"))

    def _prefill(self) -> None:
        """What is open stands there already: the run's patterns, and the folder of images beside it."""
        document = self.controller.document
        if document.fpm is not None and document.changed_design[0] is not None:
            self.take_open_design()
        data = document.data_source.path
        if isinstance(document.dataset, ImageStack) and data and not data.startswith("sample:"):
            self.single.setChecked(True)
            self.source.setText(data)

    def take_open_design(self) -> None:
        """Work with the patterns that are open in the window."""
        try:
            self._open_design = self.controller.document.patterns()
        except PtychouiError as error:
            self.say_trouble(error.message, error.hint)
            return
        self.say_trouble("")
        self.design.setText(
            f"{self._open_design.name}, {counted(len(self._open_design.levels), 'pattern')} (open in the window)"
        )

    def _forget_open_design(self) -> None:
        self._open_design = None

    def _choose(self, line: QLineEdit, name: str) -> None:
        if not name:
            return
        line.setText(name)
        if line is self.design:
            self._open_design = None
        elif line is self.results:
            self._own_results = True
        elif line is self.source and Path(name).is_file():
            self.single.setChecked(True)

    def _propose_results(self, source: str) -> None:
        if self._own_results or not source.strip():
            return
        path = Path(source.strip())
        self.results.setText(str(path.parent / f"{path.stem}-phase"))

    def start(self) -> None:
        """Begin with what is asked for."""
        self.say_trouble("")
        order = DailyOrder(
            design=self._open_design or self.design.text().strip(),
            source=self.source.text().strip(),
            results=self.results.text().strip(),
            watch=self.watch.isChecked(),
            passes=self.passes.value(),
            device=self.controller.document.experiment.engine.device,
        )
        try:
            order.check()
        except PtychouiError as error:
            self.say_trouble(error.message, error.hint)
            return
        if self.controller.work_daily(order):
            self._history = self.controller.document.daily
            self.table.setRowCount(0)
            self._rows = self._dropped = 0
            self._follow = True
            self.show_work()

    def show_work(self) -> None:
        """Show what the work has told."""
        history, working, active = self._history, self.working, self.controller.state.active
        self.begin.setEnabled(not active)
        self.halt.setEnabled(working)
        for part in (self.design, self.source, self.results, self.watch, self.single, self.passes):
            part.setEnabled(not working)
        if working and history.share > 0:
            self.status.show_progress(round(100 * history.share), 100, history.now)
        elif working:
            self.status.show_busy(history.now)
        else:
            self.status.show_progress(0, 1, f"{counted(history.sets, 'set')} done" if history.begun else "")
        self._fill()
        self.say_end(history.end)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        self.panel.use_colours()
        self.contrast.update()

    def _fill(self) -> None:
        lines = self._history.lines
        for _ in range(self._history.dropped - self._dropped):
            self.table.removeRow(0)
            self._rows -= 1
        self._dropped = self._history.dropped
        new = len(lines) > self._rows
        for line in lines[self._rows :]:
            self._add(line)
        self._rows = len(lines)
        done = [place for place, line in enumerate(lines) if line.done is not None]
        if new and done and self._follow:
            self.table.blockSignals(True)
            self.table.selectRow(done[-1])
            self.table.blockSignals(False)
            self._show(done[-1])
        if new:
            self.table.scrollToBottom()

    def _add(self, line: DailyLine) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        if line.done is None:
            text = f"{line.name}: {line.why_not}" if not line.why_not.startswith(line.name) else line.why_not
            item = QTableWidgetItem(sentence(text))
            item.setToolTip(text)
            item.setForeground(QColor(colours().warning))
            self.table.setItem(row, 0, item)
            self.table.setSpan(row, 0, 1, len(COLUMNS))
            return
        done = line.done
        took = f"{done.seconds:.1f} s" if done.seconds else "was there"
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for column, text in enumerate((line.name, clock(done.at), took, f"{done.residual:.3g}")):
            item = QTableWidgetItem(text)
            item.setToolTip("\n".join([*(str(file) for file in done.files), *done.notes]))
            if column:
                item.setTextAlignment(right)
            self.table.setItem(row, column, item)

    def _row_chosen(self) -> None:
        """A person looks at one set: newer ones do not take its place unless the newest is chosen."""
        row, lines = self.table.currentRow(), self._history.lines
        if not 0 <= row < len(lines):
            return
        done = [place for place, line in enumerate(lines) if line.done is not None]
        self._follow = not done or row == done[-1]
        self._show(row)

    def _show(self, row: int) -> None:
        line = self._history.lines[row]
        if line.done is None:
            return
        name = line.name

        def shown(found: Any) -> None:
            phase, pixel_um = found
            self.panel.title = f"{name}: phase (rad)"
            image = np.asarray(phase, np.float32)
            self.contrast.set_images([image])
            self.panel.set_limits(self.contrast.low, self.contrast.high)
            self.panel.set_image(image, pixel_um)

        if line.done.phase_rad is not None:
            shown((line.done.phase_rad, line.done.pixel_um))
            return
        self.controller.desk.submit("daily phase", partial(phase_of, line.done), shown)
