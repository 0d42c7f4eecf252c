"""Joins the document, the worker and the job queue; the window and its panels listen to its signals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject

from ptychoui.data.dataset import ImageStack
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import PtychouiError
from ptychoui.gui.shell.controller_base import History
from ptychoui.gui.shell.controller_opening import Opening
from ptychoui.gui.shell.job_kinds import JOB_KINDS, Task
from ptychoui.gui.shell.kept_work import KeptWork
from ptychoui.session import (
    design_comparison,
    design_robustness,
    field_run,
    opening,
    profile_run,
    runs,
    stack_calibration,
    stack_frc,
    stack_orientation,
    stack_run,
    strategy_race,
)
from ptychoui.session.comparison_told import ComparisonHistory
from ptychoui.session.daily_run import DailyHistory, DailyOrder, daily_run
from ptychoui.session.design_comparison import DesignPlan, Keep
from ptychoui.session.design_robustness import CardHistory, CardPlan
from ptychoui.session.field_run import FieldHistory
from ptychoui.session.followed_run import RunNews
from ptychoui.session.profile_run import ProfileHistory, ProfilePlan
from ptychoui.session.run_queue import QueuedRun
from ptychoui.session.stack_calibration import CalibrationHistory
from ptychoui.session.stack_frc import FrcHistory
from ptychoui.session.stack_orientation import OrientationHistory
from ptychoui.session.strategy_race import RaceHistory, RacePlan
from ptychoui.session.worker import MakeEvents, RunState
from ptychoui.settings import FpmExperiment
from ptychoui.training.events import TERMINAL, Failed, Picture, Stopped
from ptychoui.words import counted


class Controller(Opening):
    """What the window does, without the window: see `ControllerBase` for its signals."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.kept = KeptWork(self)
        self._recovery.timeout.connect(self._write_recovery)
        self.bridge.run_events.connect(self._take_events)
        self.bridge.picture.connect(self._take_picture)
        self.bridge.tick.connect(self._look_at_state)
        self.document_changed.connect(self._forget_end)
        self.bridge.tick.connect(self._follow_what_is_open)
        self.following.told.connect(self._take_news)

    def start_demo(self) -> None:
        """Load the sample experiment and train it."""
        try:
            self.open_experiment(opening.demo_experiment(), None, self.train)
        except PtychouiError as error:
            self.say("error", error.message, error.hint)

    def train(self) -> None:
        """Start a run from the design that is shown."""
        document = self.document
        if self.state.active:
            return
        if document.path is not None and not document.path.parent.is_dir():
            self.say("error", f"There is no folder {document.path.parent}", "save the experiment to another place")
            return
        folder = runs.run_folder_for(document.experiment, document.path)
        begins_from = document.begins_from
        document.begin_run(folder)
        self.kept.begin("training", folder)
        self.kept.write_design(running=True)
        given = zip(("levels", "exposures"), document.changed_design, strict=True)
        start = {name: values for name, values in given if values is not None}
        measured = isinstance(document.dataset, ImageStack)
        work = runs.new_run(document.to_train(), folder, start, measured, begins_from)
        self._start(work, "training", document.history)

    def train_queued(self, queued: QueuedRun, begun: Callable[[], None]) -> None:
        """Open an experiment that waited and train it; ``begun`` is called once its run has a folder."""

        def train() -> None:
            if queued.levels is not None and queued.exposures is not None:
                self.document.take_design("Queued patterns", queued.levels, queued.exposures)
            self.train()
            begun()

        self.open_experiment(queued.experiment, queued.path, train)

    def resume_run(self) -> None:
        """Take up the run of the present run folder."""
        document, folder = self.document, self.document.run_folder
        if folder is None or self.state.active:
            return
        document.begin_run(folder, keep_history=True)
        self.kept.begin("training", folder)
        self.kept.write_design(running=True)
        steps = document.experiment.training.steps
        self._start(runs.resumed_run(folder, steps), "training", document.history)

    def reconstruct(self) -> None:
        """Reconstruct the stack that is open."""
        document = self.document
        stack = self._stack_with_geometry()
        if stack is None:
            return
        document.close_result()
        document.reconstruction.begin()
        document.frc = FrcHistory()
        kept = self.kept.begin("reconstruction")
        work = stack_run.stack_run(
            stack, document.geometry, document.plan, self._device, None if kept is None else kept.result
        )
        self._start(work, "reconstruction", document.reconstruction)

    def compare_halves(self) -> None:
        """Reconstruct two halves of the LEDs apart, as the form says, and correlate them ring by ring."""
        document = self.document
        stack = self._stack_with_geometry()
        if stack is None:
            return
        if document.origin is not None and not document.origin.same:
            # What is compared are images of the open stack: they say nothing of another's result.
            self.close_result()
        document.frc = FrcHistory()
        work = stack_frc.frc_run(stack, document.geometry, document.plan, self._device)
        self._start(work, "frc", document.frc)

    def reconstruct_field(self, output: Path) -> None:
        """Reconstruct all of the images in tiles, or go on with those that an earlier run has left beside the file."""
        document = self.document
        stack = self._stack_with_geometry()
        if stack is None:
            return
        document.field = FieldHistory()
        self.kept.begin("field", output)
        work = field_run.field_run(stack, document.geometry, document.plan, output, self._device)
        self._start(work, "field", document.field)

    def _after_field(self, event: Any) -> None:
        field = self.document.field
        self.kept.drop("field")
        if field.ready is not None:
            self.document.show_result(field.ready.report)
            self.say("info", f"The field is written to {field.ready.path}")
        elif isinstance(event, Stopped) and field.begun is not None:
            tiles = counted(field.begun.tiles, "tile")
            kept = f"{event.step} of {tiles} {'is' if event.step == 1 else 'are'} kept in {field.begun.folder.name}"
            self.say("info", f"Stopped: {kept}", "reconstruct the field into the same file to go on")

    def calibrate(self) -> None:
        """Find the array's pose from the stack that is open."""
        document = self.document
        stack = self._stack_with_geometry()
        if stack is None:
            return
        document.calibration = CalibrationHistory()
        work = stack_calibration.calibration_run(stack, document.geometry, document.plan, self._device)
        self._measured_from = document.geometry
        self._start(work, "calibration", document.calibration)

    def test_orientation(self) -> bool:
        """Try the orientations of the array's axes on the stack that is open; False if that cannot be."""
        document = self.document
        stack = self._stack_with_geometry()
        if stack is None:
            return False
        document.orientation = OrientationHistory()
        work = stack_orientation.orientation_run(stack, document.geometry, document.plan, self._device)
        self._measured_from = document.geometry
        self._start(work, "orientation", document.orientation)
        return True

    def measure_profile(self, plan: ProfilePlan) -> bool:
        """Measure a microscope's profile; False if that cannot be."""
        document = self.document
        if self._refuse_while_running() or (not plan.sample and self._stack_with_geometry() is None):
            return False
        document.profile = ProfileHistory()
        work = profile_run.profile_run(plan, document.data_source, document.geometry, self._device)
        self._start(work, "profile", document.profile)
        return True

    def compare_strategies(self, plan: RacePlan) -> bool:
        """Run gradient strategies side by side on the open experiment; False if that cannot be."""
        document = self.document
        if self._refuse_while_running():
            return False
        if not document.trainable:
            self.say("warning", "There is nothing to learn from yet", "open data or an experiment, or start the demo")
            return False
        document.race = RaceHistory()
        self._start(strategy_race.race_run(document.to_train(), plan), "strategies", document.race)
        return True

    def compare_designs(self, plan: DesignPlan, keep: Keep | None = None) -> bool:
        """Hold designs against each other, for one number of frames or for several; False if that cannot be."""
        experiment = self._microscope_to_learn_with()
        if experiment is None:
            return False
        history, sweep = ComparisonHistory(), len(plan.frames) > 1
        work = design_comparison.comparison_run(experiment, plan, keep)
        if sweep:
            self.document.designs.sweep = history
        else:
            self.document.designs.comparison = history
        self._start(work, "frames" if sweep else "designs", history)
        return True

    def work_daily(self, order: DailyOrder) -> bool:
        """Reconstruct sets of coded images as they arrive; False while a run is active."""
        if self._refuse_while_running():
            return False
        self.document.daily = DailyHistory()
        self._start(daily_run(order), "daily", self.document.daily)
        return True

    def try_design(self, plan: CardPlan) -> bool:
        """Try a design on a microscope that is not as stated; False if that cannot be."""
        if self._microscope_to_learn_with() is None:
            return False
        self.document.designs.card = CardHistory()
        self._start(design_robustness.card_run(plan), "robustness", self.document.designs.card)
        return True

    def _microscope_to_learn_with(self) -> FpmExperiment | None:
        """The experiment whose designs can be compared; None after saying why there is none."""
        if self._refuse_while_running():
            return None
        experiment = self.document.to_train()
        if not isinstance(experiment, FpmExperiment) or not self.document.trainable:
            self.say("warning", "There are no designs to compare yet", "open data or an experiment of a microscope")
            return None
        return experiment

    @property
    def _device(self) -> str:
        return self.document.experiment.engine.device

    def _stack_with_geometry(self) -> ImageStack | None:
        """The stack that can be worked on; None after saying why there is none."""
        document = self.document
        if self._refuse_while_running():
            return None
        if not isinstance(document.dataset, ImageStack):
            self.say("warning", "There is no LED stack to work on", "open one, with one image per LED")
            return None
        if document.geometry is None:
            self.say("warning", "The stack has no geometry yet", "choose one in the geometry form")
            return None
        return document.dataset

    def _start(self, events: MakeEvents, task: Task, told: History) -> None:
        self.task, self._told = task, told
        if task == "training":
            self.run_changed.emit()
            self.worker.start(events, self.document.experiment.engine.strategy)
        else:
            self.reconstruction_changed.emit()
            self.worker.start(events, remedy=JOB_KINDS[task].remedy)
        self._look_at_state()

    def pause_or_continue(self) -> None:
        """Pause a running run, or let a paused one go on."""
        if self.state in (RunState.PAUSED, RunState.PAUSING):
            self.worker.resume()
        elif self.state is RunState.RUNNING:
            self.worker.pause()
        self._look_at_state()

    def stop(self) -> None:
        """Ask the run to end."""
        if self.state.active:
            self.worker.stop()
            self._look_at_state()

    def shut_down(self, timeout_s: float = 30.0) -> bool:
        """Stop everything before the window goes; False if a thread is still alive."""
        self.worker.stop()
        joined = self.worker.join(timeout_s)
        # What the run said last is still in the mailbox.
        self.bridge.pull()
        joined = self.jobs.close(timeout_s) and joined
        self._recovery.stop()
        self.bridge.stop()
        self.kept.leave()
        return joined

    def _take_events(self, run: int, events: list[Any]) -> None:
        if run != self.worker.run:
            return
        for event in events:
            self._told.take(event)
            if isinstance(event, TERMINAL):
                self.worker.join()  # the thread has nothing left but to say that it is over
                self._ended_run = run
                self._look_at_state()
                self._after_run(event)
        (self.run_changed if self.task == "training" else self.reconstruction_changed).emit()
        self._look_at_state()

    def _after_run(self, event: Any) -> None:
        result = self.document.history.result
        if self.task == "training" and isinstance(result, PatternSet):
            self.document.take_design("Training", result.levels, result.exposures)
            self._after_edit("design")
        if self.task == "training":
            self.kept.run_is_over()
        elif self.task == "reconstruction" and self.document.unsaved_result is None:
            self.kept.drop("reconstruction")  # it failed or was stopped before its first pass
        if self.task == "field":
            self._after_field(event)
        if isinstance(event, Failed):
            level = "quiet" if JOB_KINDS[self.task].in_dialog else "error"
            self.say(level, event.message, event.hint, event.traceback_text)
            self.failed.emit(event)

    def _follow_what_is_open(self) -> None:
        """The folder of the run that is shown, unless the run is this window's own."""
        own = self.state.active and self.task == "training"
        known = self.document.history.started is not None
        self.following.follow(None if own else self.document.run_folder, known)

    def _take_news(self, folder: Path, news: RunNews) -> None:
        document = self.document
        if document.run_folder != folder or (self.state.active and self.task == "training"):
            return
        before = document.history.elsewhere
        document.take_news(news)
        if news.levels is not None:
            self.document_changed.emit("design")
        self.run_changed.emit()
        if news.picture is not None:
            self.pictured.emit(news.picture)
        if before is None and news.working:
            self.say("info", f"Another process is working on {folder.name}", "what it writes is shown as it comes")
        elif before is not None and not news.working:
            self.say("info", f"The other process has left {folder.name}", "Resume takes the run up where it was saved")

    def _take_picture(self, run: int, kind: str, value: object) -> None:
        if run == self.worker.run and isinstance(value, Picture):
            self._told.take(value)
            self.pictured.emit(value)

    def _forget_end(self, what: str) -> None:
        if what == "all" and not self._state.active:
            self.worker.forget_end()

    def _look_at_state(self) -> None:
        """Tell the worker's state; a run is over only once its last event was taken, so that nothing is missing."""
        state = self.worker.state
        if not state.active and self._ended_run != self.worker.run:
            state = self._state if self._state.active else RunState.STOPPING
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)
        text, seconds = self.worker.doing
        if (text, int(seconds)) != self._doing:
            self._doing = text, int(seconds)
            self.doing_changed.emit(*self._doing)
