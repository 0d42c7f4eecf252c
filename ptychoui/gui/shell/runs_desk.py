"""What the panel of runs does: lists, opens, forks, lays curves over each other, and works through the queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PyQt6.QtCore import QObject, QTimer

from ptychoui.errors import PtychouiError
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.training.progress_dock import ProgressPanel
from ptychoui.gui.training.runs_panel import RunsPanel
from ptychoui.session.run_list import ListedRun, RunCurves, curves_of, find_runs, places_of_runs
from ptychoui.session.run_queue import QueuedRun, queued_runs
from ptychoui.session.worker import RunState
from ptychoui.training.events import Failed

LOOK_EVERY_MS = 2000


class RunsDesk(QObject):
    """Joins the panel of runs with the controller.

    Parameters
    ----------
    recent
        Asks for the recent files.
    may_replace
        Asks whether what is open may go.
    """

    def __init__(
        self,
        controller: Controller,
        panel: RunsPanel,
        progress: ProgressPanel,
        recent: Callable[[], tuple[str, ...]],
        may_replace: Callable[[], bool],
    ) -> None:
        super().__init__(controller)
        self._controller, self._panel, self._progress = controller, panel, progress
        self._recent, self._may_replace = recent, may_replace
        self._curves: dict[Path, RunCurves] = {}
        self._over: list[Path] = []
        self._going = self._looking = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look_while_seen)
        self._timer.start()
        panel.opened.connect(self._open)
        panel.forked.connect(self._fork)
        panel.overlaid.connect(self._overlay)
        panel.queue_wanted.connect(self.train_later)
        panel.queue_begun.connect(self._set_going)
        panel.dropped.connect(self._drop)
        panel.shown.connect(self.look)
        controller.state_changed.connect(self._state_changed)
        controller.document_changed.connect(self._tell)
        controller.run_changed.connect(self._tell)
        self._tell()

    @property
    def going(self) -> bool:
        """Whether what waits begins as soon as there is nothing else to do."""
        return self._going

    def look(self) -> None:
        """List the runs anew, in the background."""
        if self._looking or self._panel.isHidden():
            return
        self._looking = True
        places = places_of_runs(self._controller.document.path, self._recent())
        over = tuple(self._over)

        def read() -> tuple[tuple[ListedRun, ...], tuple[QueuedRun, ...], tuple[RunCurves, ...]]:
            listed = find_runs(places)
            growing = {run.path for run in listed if run.working}
            curves = [curves_of(path) for path in over if path in growing or path not in self._curves]
            return listed, queued_runs(), tuple(curves)

        def done(found: tuple[tuple[ListedRun, ...], tuple[QueuedRun, ...], tuple[RunCurves, ...]]) -> None:
            self._looking = False
            listed, queued, curves = found
            self._panel.show_runs(listed, queued)
            if curves:
                self._curves |= {own.path: own for own in curves}
                self._draw()

        def refused(failure: Failed) -> None:
            self._looking = False
            self._over.clear()
            self._controller.say("warning", failure.message, failure.hint)

        self._controller.desk.submit("runs", read, done, refused=refused)

    def train_later(self) -> None:
        """Put the open experiment at the end of the queue."""
        controller, document = self._controller, self._controller.document
        if not document.trainable:
            controller.say("warning", "There is nothing to train yet", "open data or an experiment first")
            return
        levels, exposures = document.changed_design
        try:
            QueuedRun.put(document.to_train(), document.path, levels, exposures)
        except (PtychouiError, OSError) as error:
            controller.say("error", f"The queue cannot be written: {error}")
            return
        hint = "it begins in its turn" if self._going else "Start queue, in the panel of runs, trains what waits"
        controller.say("info", f"{document.experiment.name} waits for its turn", hint)
        self.look()

    def _look_while_seen(self) -> None:
        if self._panel.isVisible():
            self.look()

    def _open(self, path: Path) -> None:
        self._controller.open(str(path), may_replace=self._may_replace)

    def _fork(self, path: Path) -> None:
        self._controller.fork_run(path, self._may_replace)

    def _overlay(self, paths: list[Path]) -> None:
        self._over = paths
        self._draw()
        self.look()

    def _draw(self) -> None:
        own = self._controller.document.run_folder
        shown = [self._curves[path] for path in self._over if path in self._curves and path != own]
        self._progress.loss.show_beside(shown)

    def _drop(self, queued: QueuedRun) -> None:
        queued.drop()
        self.look()

    def _set_going(self, going: bool) -> None:
        if going and not self._controller.state.active and not self._may_replace():
            return
        self._going = going
        self._tell()
        if going:
            self._next()

    def _state_changed(self, state: RunState) -> None:
        if self._going and self._controller.task == "training":
            if state is RunState.STOPPED:
                self._going = False
                self._controller.say("info", "The queue waits", "Start queue, in the panel of runs, goes on with it")
            elif state in (RunState.FINISHED, RunState.FAILED):
                # Not from inside the signal: who else hears of the end sees the run that ended.
                QTimer.singleShot(0, self._next)
        self._tell()

    def _next(self) -> None:
        controller = self._controller
        if not self._going or controller.state.active:
            return
        waiting = queued_runs()
        if not waiting:
            self._going = False
            controller.say("info", "The queue is empty")
            self._tell()
            return
        queued = waiting[0]
        controller.say("info", f"{queued.experiment.name} begins", f"{len(waiting) - 1} more wait")
        controller.train_queued(queued, partial(self._begun, queued))

    def _begun(self, queued: QueuedRun) -> None:
        queued.drop()
        self.look()

    def _tell(self, *_: object) -> None:
        controller = self._controller
        document, idle = controller.document, not controller.state.active
        self._panel.show_state(document.run_folder, idle, document.trainable, self._going)
        self._draw()
