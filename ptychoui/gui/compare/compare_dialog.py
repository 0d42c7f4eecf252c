"""Designs side by side, as large as the window: which take part, what was found, for how many images, how one holds."""

from __future__ import annotations

from functools import partial

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from ptychoui.errors import PtychouiError
from ptychoui.gui.compare.candidate_list import CandidateList
from ptychoui.gui.compare.side_by_side import SideBySide
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.work_dialog import WorkDialog, button
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import bold, by_font, duration, gap_of, ink, note, sentence
from ptychoui.session.design_comparison import QUICK, Candidate, DesignPlan, candidate_from, candidates, refusal
from ptychoui.session.worker import RunState
from ptychoui.training.events import Failed, Stopped

EMPTY = "Open data with a geometry, an experiment or a run first, or start the demo: then its designs are listed here."
PRESS = "Hold what is ticked against each other, at equal frames and light"
OTHER_KIND = "Designs of LED patterns are compared: open an experiment of a microscope."


class CompareDialog(WorkDialog):
    """Asks which designs take part, and shows what comes of it."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "designs", "Compare designs", "Comparing", parent)
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._added: dict[str, Candidate] = {}
        self.list = CandidateList(self)
        self.add = button(
            "Add patterns…", "Patterns that were exported as JSON; files and runs can be dropped on the list, too"
        )
        self.add_run = button("Add a run…", "The folder of a run: its patterns as they stand")
        self.remove = button("Remove", "Take the chosen line, which somebody added, out of the list")
        self.learn = QCheckBox("Learn patterns here, too")
        self.learn.setToolTip("Patterns are also learned anew for each split, as the experiment says: takes long")
        self.objects, self.seeds, self.draws = (CountBox(arrows=True) for _ in range(3))
        for box, most, value, name, tip in (
            (self.objects, 64, QUICK.judged, "Objects", "Held-out objects that are judged, at most"),
            (self.seeds, 100, 1, "Splits", "How often objects, noise and random designs are drawn anew"),
            (self.draws, 100, QUICK.draws, "Draws", "Random designs are the best of so many draws"),
        ):
            box.setRange(1, most)
            box.setValue(value)
            box.setAccessibleName(name)
            box.setToolTip(tip)
            box.refused.connect(self.say_trouble)
        self.begin = button("Compare", PRESS, primary=True)
        self.halt = button("Stop", "Give up at the next step; designs that are judged stay shown")
        self.empty, self.estimate = note(), QLabel()
        self.estimate.setWordWrap(True)
        self.pages = QTabWidget()
        self.pages.setDocumentMode(True)
        self.side_by_side = SideBySide(self)
        self.pages.addTab(self.side_by_side, "Side by side")
        self._lay_out()
        self.list.changed.connect(self.show_work)
        self.list.dropped.connect(self.add_paths)
        self.add.clicked.connect(self._ask_files)
        self.add_run.clicked.connect(self._ask_folder)
        self.remove.clicked.connect(self._remove)
        self.begin.clicked.connect(self.start)
        self.halt.clicked.connect(controller.stop)
        controller.doing_changed.connect(self._say_doing)
        self.resize((parent.size() * 0.96).expandedTo(self.minimumSizeHint()))
        self._list_candidates()
        self.use_colours()
        self.show_work()

    def _lay_out(self) -> None:
        gap = gap_of(self)
        left = QVBoxLayout(panel := QWidget())
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(gap)
        left.addWidget(bold(QLabel("Designs")))
        left.addWidget(self.list, 1)
        adding = QHBoxLayout()
        for part in (self.add, self.add_run, self.remove):
            adding.addWidget(part)
        left.addLayout(adding)
        form = QFormLayout()
        form.setSpacing(gap)
        for text, box in (("&Objects", self.objects), ("S&plits", self.seeds), ("&Draws", self.draws)):
            form.addRow(text, box)
        left.addLayout(form)
        left.addWidget(self.learn)
        left.addWidget(self.empty)
        pressed = QHBoxLayout()
        pressed.addWidget(self.begin, 1)
        pressed.addWidget(self.halt)
        left.addLayout(pressed)
        left.addWidget(self.status)
        left.addWidget(self.estimate)
        left.addWidget(self.trouble)
        by_font(panel, lambda part: part.setFixedWidth(52 * part.fontMetrics().averageCharWidth()))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * gap, 2 * gap, 2 * gap, 2 * gap)
        layout.setSpacing(2 * gap)
        layout.addWidget(panel)
        layout.addWidget(self.pages, 1)

    @classmethod
    def open_for(cls, controller: Controller, parent: QWidget) -> CompareDialog:
        """Show the dialog; there is one at most."""
        for found in parent.findChildren(cls):
            found.raise_()
            return found
        dialog = cls(controller, parent)
        dialog.show()
        return dialog

    # What takes part -------------------------------------------------------------------------------------

    def add_paths(self, paths: list[str]) -> None:
        """Read patterns of files or run folders, in the background, and list them; what does not fit is refused."""
        self.say_trouble("")
        for path in paths:
            self.controller.desk.submit(
                f"add design {path}",
                partial(candidate_from, path),
                self._take,
                "Reading patterns…",
                self._refuse,
            )

    def _take(self, found: Candidate) -> None:
        why = refusal(found, self.controller.document)
        if why:
            self.say_trouble(why)
            return
        self._added[found.key] = found
        self._list_candidates()

    def _refuse(self, failed: Failed) -> None:
        self.say_trouble(failed.message, failed.hint)

    def _ask_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add patterns", "", "Exported patterns (*.json);;All files (*)")
        self.add_paths(names)

    def _ask_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Add the folder of a run"):
            self.add_paths([name])

    def _remove(self) -> None:
        current = self.list.current
        if current is not None and current.ours:
            self._added.pop(current.key, None)
            self._list_candidates()

    def _list_candidates(self) -> None:
        document = self.controller.document
        self.list.show_candidates(document, (*candidates(document), *self._added.values()))

    # Work ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compare what is ticked."""
        self.say_trouble("")
        try:
            effort = type(QUICK)(draws=self.draws.value(), judged=self.objects.value())
            plan = DesignPlan.of(self.list.chosen, self.learn.isChecked(), seeds=self.seeds.value(), effort=effort)
        except PtychouiError as error:
            self.say_trouble(error.message, error.hint)
            return
        if self.controller.compare_designs(plan):
            self.show_work()

    def done(self, result: int) -> None:
        """Close; what goes on goes on, and is shown when this is opened again."""
        super(WorkDialog, self).done(result)

    def show_work(self) -> None:
        """Show what the comparison has told."""
        document = self.controller.document
        history = document.designs.comparison
        self.side_by_side.show_history(history)
        working = self.working
        if working and history.begun is None:
            self.status.show_busy(history.preparing)
        elif history.begun is not None:
            text = history.progress if working else ""
            if isinstance(history.end, Stopped):
                text = f"stopped after {history.step} of {history.begun.designs}"
            self.status.show_progress(history.step, history.begun.designs, text)
        else:
            self.status.show_progress(0, 1)
        self._say_doing()
        if self.controller.task == self._task and history.end is not None:
            self.say_end(history.end)
        idle = not self.controller.state.active
        why = EMPTY if document.fpm is not None else OTHER_KIND
        self.empty.setText("" if self.list.topLevelItemCount() else why)
        self.empty.setVisible(not self.list.topLevelItemCount())
        enough = sum(2 if one.kind == "ceilings" else 1 for one in self.list.chosen) + self.learn.isChecked() >= 2
        for part in (self.list, self.objects, self.seeds, self.draws, self.learn, self.add, self.add_run):
            part.setEnabled(idle and document.fpm is not None)
        self.remove.setEnabled(idle and self.list.current is not None and self.list.current.ours)
        self.begin.setEnabled(idle and enough and document.trainable)
        if not idle and not working:
            self.begin.setToolTip("Something else is going on: stop it first")
        else:
            self.begin.setToolTip(PRESS if enough else "Tick two designs or more")
        self.halt.setEnabled(working and self.controller.state is not RunState.STOPPING)

    def _say_doing(self, *_: object) -> None:
        """What is done at this moment, for how long, and how long the rest takes."""
        left = self.controller.document.designs.comparison.seconds_left
        text, seconds = self.controller.doing
        parts = [f"{text}, {duration(seconds)}." if text else ""]
        if left is not None:
            parts.append(f"About {duration(left)} left, by the designs that are judged.")
        self.estimate.setText(sentence(" ".join(part for part in parts if part)) if self.working else "")

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        self.side_by_side.use_colours()
        paint_primary(self.begin)
        for label in (self.empty, self.estimate):
            ink(label, colours().muted)

    def _document_changed(self, what: str) -> None:
        if what != "all":
            self._list_candidates()
        super()._document_changed(what)
