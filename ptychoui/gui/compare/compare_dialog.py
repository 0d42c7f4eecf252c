"""Designs side by side, as large as the window: which take part, what was found, for how many images, how one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from ptychoui.bench.design.entrants import ALL_WHOLE, Effort
from ptychoui.errors import PtychouiError
from ptychoui.gui.compare.candidate_list import CandidateList
from ptychoui.gui.compare.card_tab import NONE_YET, CardTab
from ptychoui.gui.compare.export_button import Export
from ptychoui.gui.compare.frames_tab import FramesTab
from ptychoui.gui.compare.side_by_side import SideBySide
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.job_kinds import Task
from ptychoui.gui.shell.work_dialog import WorkDialog, button
from ptychoui.gui.widgets.browser import Browser
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import bold, by_font, duration, gap_of, ink, note, sentence, tall
from ptychoui.session.design_comparison import (
    CEILINGS,
    QUICK,
    Candidate,
    DesignPlan,
    candidate_from,
    candidates,
    refusal,
)
from ptychoui.session.design_robustness import CardHistory, CardPlan
from ptychoui.session.kept_comparison import keeper, kept, place_of
from ptychoui.session.worker import RunState
from ptychoui.tasks.fpm.titles import TITLES
from ptychoui.training.events import Failed, Stopped

TASKS: tuple[Task, ...] = ("designs", "frames", "robustness")
TRY = "Try the design under everything that may be otherwise than stated"
EMPTY = "Open data with a geometry, an experiment or a run first, or start the demo: then its designs are listed here."
PRESS = "Hold what is ticked against each other, at equal frames and light"
OTHER_KIND = "Designs of LED patterns are compared: open an experiment of a microscope."


def _numbered(title: str) -> Iterator[str]:
    """A title, and then with a number behind it."""
    yield title
    yield from (f"{title} ({number})" for number in count(2))


class CompareDialog(WorkDialog):
    """Asks which designs take part, and shows what comes of it."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "designs", "Compare designs", "Comparing", parent)
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._task = controller.task if controller.task in TASKS else "designs"
        self.list = CandidateList(self)
        self.add = button("Add patterns…", "Patterns that were exported as JSON; they can be dropped on the list, too")
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
        self.estimate.setAlignment(Qt.AlignmentFlag.AlignTop)
        tall(self.estimate, 3.2)  # so that nothing moves when there is something to say
        self.pages = QTabWidget()
        self.pages.setDocumentMode(True)
        self.side_by_side = SideBySide(self)
        self.frames, self.card = FramesTab(self), CardTab(self)
        for page, title in (
            (self.side_by_side, "Side by side"),
            (self.frames, "How many images"),
            (self.card, "Robustness"),
        ):
            self.pages.addTab(page, title)
            page.export_wanted.connect(self._export)
        self._lay_out()
        self.list.changed.connect(self.show_work)
        self.list.dropped.connect(self.add_paths)
        self.add.clicked.connect(self._ask_files)
        self.add_run.clicked.connect(self._ask_folder)
        self.remove.clicked.connect(self._remove)
        self.begin.clicked.connect(self.start)
        self.begin.setAutoDefault(True)  # Return begins
        self.begin.setFocus()
        self.frames.begin.clicked.connect(self.start_frames)
        self.card.begin.clicked.connect(self.start_card)
        self.halt.clicked.connect(controller.stop)
        controller.doing_changed.connect(self._say_doing)
        self.resize((parent.size() * 0.96).expandedTo(self.minimumSizeHint()))
        self._list_candidates()
        self.use_colours()
        self.show_work()
        self._look_for_kept()

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
        added = self.controller.document.designs.added
        names = {one.title for one in (*candidates(self.controller.document), *added.values()) if one.key != found.key}
        added[found.key] = found.called(next(each for each in _numbered(found.title) if each not in names))
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
            self.controller.document.designs.added.pop(current.key, None)
            self._list_candidates()

    def _list_candidates(self) -> None:
        document = self.controller.document
        some = (*candidates(document), *document.designs.added.values())
        self.list.show_candidates(document, some)
        self.card.show_candidates(tuple(one for one in some if not refusal(one, document)))

    # What was kept ---------------------------------------------------------------------------------------

    def _look_for_kept(self) -> None:
        """Show what was found of the same experiment and patterns at an earlier time."""
        work = self.controller.document.designs
        if self.controller.document.fpm is None or work.looked_for or self.controller.state.active:
            return
        work.looked_for = True
        places = place_of(self.controller.document), place_of(self.controller.document, sweep=True)

        def read() -> list[Any]:
            return [kept(place) for place in places]

        def show(found: list[Any]) -> None:
            for sweep, one in enumerate(found):
                history = work.sweep if sweep else work.comparison
                if one is None or history.begun is not None:
                    continue
                if sweep:
                    work.sweep = one[0]
                else:
                    work.comparison = one[0]
                work.added |= {each.key: each for each in one[1]}
            self._list_candidates()
            names = {name for _, _, name in work.comparison.judged}
            for name in TITLES if names else ():
                self.list.tick(name, name in names)
            if names:
                self.list.tick(CEILINGS.key, ALL_WHOLE in names)
            self.show_work()

        self.controller.desk.submit("kept comparison", read, show, refused=self._refuse)

    def _export(self, export: Export) -> None:
        """Write what is shown to a file that somebody names."""
        name = Files.to_save(self, export.text.rstrip("…"), export.start, export.kinds)
        if name:
            write = export.collect()
            self.controller.desk.submit(
                "export comparison", lambda: write(Path(name)), self._written, "Writing…", self._refuse
            )

    def _written(self, path: Path) -> None:
        self.say_trouble("")
        self.controller.say("info", f"Written to {path}")
        if path.suffix.lower() == ".html":
            Browser.show(path)

    # Work ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compare what is ticked."""
        self.pages.setCurrentWidget(self.side_by_side)
        self._start(lambda: self._plan(self.list.chosen))

    def start_frames(self) -> None:
        """Compare what is ticked for several numbers of frames."""

        def plan() -> DesignPlan:
            counts = self.frames.numbers()
            fit = (one for one in self.list.chosen if one.patterns is None or len(one.patterns.levels) in counts)
            some = [one for one in fit if one.kind != "ceilings"]
            return self._plan((*some, CEILINGS), counts)

        self._start(plan)

    def start_card(self) -> None:
        """Try how a design holds."""
        self._start(self.card.plan)

    def _plan(self, chosen: Iterable[Candidate], frames: tuple[int, ...] = ()) -> DesignPlan:
        effort = Effort(draws=self.draws.value(), judged=self.objects.value())
        return DesignPlan.of(chosen, self.learn.isChecked(), frames=frames, seeds=self.seeds.value(), effort=effort)

    def _start(self, make_plan: Callable[[], DesignPlan | CardPlan]) -> None:
        self.say_trouble("")
        try:
            plan = make_plan()
        except PtychouiError as error:
            self.say_trouble(error.message, error.hint)
            return
        document, controller = self.controller.document, self.controller
        if isinstance(plan, CardPlan):
            self._task = "robustness"
            controller.try_design(plan)
        else:
            sweep = len(plan.frames) > 1
            self._task = "frames" if sweep else "designs"
            controller.compare_designs(plan, keeper(document, document.designs.added.values(), sweep))
        self.show_work()

    def done(self, result: int) -> None:
        """Close; what goes on goes on, and is shown when this is opened again."""
        super(WorkDialog, self).done(result)

    def show_work(self) -> None:
        """Show what the work of all three pages has told."""
        document = self.controller.document
        self.side_by_side.show_history(document.designs.comparison)
        self.frames.show_history(document.designs.sweep)
        self.card.show_history(document.designs.card)
        self._show_progress()
        self._enable()

    def _show_progress(self) -> None:
        work = self.controller.document.designs
        if self._task == "robustness":
            self._show_card_progress(work.card)
        else:
            history = work.sweep if self._task == "frames" else work.comparison
            if self.working and history.begun is None:
                self.status.show_busy(history.preparing)
            elif history.begun is not None:
                text = history.progress if self.working else ""
                if isinstance(history.end, Stopped):
                    text = f"stopped after {history.step} of {history.begun.designs}"
                self.status.show_progress(history.step, history.begun.designs, text)
            else:
                self.status.show_progress(0, 1)
            if history.not_kept:
                self.say_trouble(history.not_kept)
            if self.controller.task == self._task:
                self.say_end(history.end)
        self._say_doing()

    def _show_card_progress(self, history: CardHistory) -> None:
        if self.working:
            self.status.show_busy(history.preparing)
        else:
            self.status.show_progress(int(history.card is not None), 1)
        if self.controller.task == self._task:
            self.say_end(history.end)

    def _enable(self) -> None:
        """Derive what can be done, and say why something cannot."""
        document, state = self.controller.document, self.controller.state
        idle, microscope = not state.active, document.fpm is not None
        listed = bool(self.list.topLevelItemCount())
        self.empty.setText(EMPTY if microscope else OTHER_KIND)
        self.empty.setVisible(not listed)
        for part in (self.list, self.objects, self.seeds, self.draws, self.learn, self.add, self.add_run):
            part.setEnabled(idle and listed)
        self.frames.frames.setEnabled(idle and listed)
        current = self.list.current
        self.remove.setEnabled(idle and current is not None and current.ours)
        ticked = sum(2 if one.kind == "ceilings" else 1 for one in self.list.chosen) + self.learn.isChecked()
        why_not = "" if document.trainable and listed else EMPTY if microscope else OTHER_KIND
        why_not = why_not or ("" if idle or self.working else "Something else is going on: stop it first")
        for press, tip, needs in (
            (self.begin, PRESS, "" if ticked > 1 else "Tick two designs or more"),
            (self.frames.begin, PRESS, "" if ticked else "Tick a design"),
            (self.card.begin, TRY, "" if self.card.ready else NONE_YET),
        ):
            press.setEnabled(idle and not why_not and not needs)
            press.setToolTip(why_not or needs or tip)
        self.halt.setEnabled(self.working and state is not RunState.STOPPING)

    def _say_doing(self, *_: object) -> None:
        """What is done at this moment, for how long, and how long the rest takes."""
        work = self.controller.document.designs
        histories = {"designs": work.comparison, "frames": work.sweep}
        left = histories[self._task].seconds_left if self._task in histories else None
        text, seconds = self.controller.doing
        parts = [f"{text}, {duration(seconds)}." if text else ""]
        if left is not None:
            parts.append(f"About {duration(left)} left, by the designs that are judged.")
        self.estimate.setText(sentence(" ".join(part for part in parts if part)) if self.working else "")

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        for page in (self.side_by_side, self.frames, self.card):
            page.use_colours()
        paint_primary(self.begin)
        for label in (self.empty, self.estimate):
            ink(label, colours().muted)

    def _document_changed(self, what: str) -> None:
        if what != "all":
            self._list_candidates()
        super()._document_changed(what)
