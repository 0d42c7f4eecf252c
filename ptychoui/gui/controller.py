"""Joins the document, the worker and the job queue; the window and its panels listen to its signals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import GivenGeometry, PartialGeometry
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import PtychouiError
from ptychoui.gui.bridge import Bridge
from ptychoui.gui.job_desk import JobDesk, Refused
from ptychoui.gui.kept_work import KeptWork
from ptychoui.gui.parts import sentence
from ptychoui.optics.presets import ArrayPreset, MicroscopePreset
from ptychoui.paths import resources
from ptychoui.session import (
    field_run,
    opening,
    profile_run,
    runs,
    stack_calibration,
    stack_orientation,
    stack_plan,
    stack_rings,
    stack_run,
    stored_report,
)
from ptychoui.session.document import Document, experiment_on
from ptychoui.session.edits import with_value
from ptychoui.session.field_run import FieldHistory
from ptychoui.session.filled_in import FilledIn, half_filled_in
from ptychoui.session.jobs import JobQueue
from ptychoui.session.judgement import Brightness, Judgement, judge
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.opening import (
    AxesWanted,
    GeometryWanted,
    Opened,
    OpenedData,
    OpenedExperiment,
    OpenedGeometry,
    OpenedReconstruction,
    OpenedRun,
)
from ptychoui.session.profile_run import ProfileHistory, ProfilePlan
from ptychoui.session.stack_calibration import CalibrationHistory
from ptychoui.session.stack_orientation import OrientationHistory
from ptychoui.session.stack_rings import RingsHistory
from ptychoui.session.stack_run import StackReport
from ptychoui.session.worker import MakeEvents, RunState, Worker
from ptychoui.settings import Experiment, Geometry
from ptychoui.training.events import TERMINAL, Failed, Picture, Stopped
from ptychoui.words import counted

RECOVERY_DELAY_MS = 2000


Task = Literal["training", "reconstruction", "calibration", "orientation", "profile", "rings", "field"]


IN_DIALOGS = ("orientation", "profile")
"""Tasks whose failure is shown in a dialog."""


class History(Protocol):
    """What a run is told to."""

    def take(self, event: object) -> None:
        """Note an event."""


class Controller(QObject):
    """What the window does, without the window.

    Attributes
    ----------
    document_changed
        Settings, data or design are new: (what,) with what in "all", "settings", "design".
    run_changed
        Events of the present run were taken into ``document.history``.
    pictured
        A new picture: `Snapshot` or `ObjectPicture`.
    reconstruction_changed
        Events of the present work on a stack were taken into the part of the document that it belongs to.
    forecast
        A new `StackForecast`, or a sentence why there is none.
    state_changed
        The worker's state.
    judged
        A new `Judgement`.
    said
        (level, message, hint, details) for the message list; level is "info", "warning" or "error", or "quiet" for an
        error that a dialog shows already.
    opened
        (path,) something was opened and may go to the recent files.
    failed
        `Failed` of a run, after it was said.
    geometry_wanted
        `GeometryWanted` for data that say too little about the microscope.
    axes_wanted
        `AxesWanted` for images that lie along several axes.
    doing_changed
        (text, seconds) what the run is doing, and for how long; every second.
    doubted
        Sentences in which the brightness of the images contradicts the geometry.
    half_taken
        (preset of a microscope or an array, geometry that it was put into), before the geometry changes.
    """

    document_changed = pyqtSignal(str)
    run_changed = pyqtSignal()
    reconstruction_changed = pyqtSignal()
    forecast = pyqtSignal(object)
    pictured = pyqtSignal(object)
    state_changed = pyqtSignal(object)
    judged = pyqtSignal(object)
    said = pyqtSignal(str, str, str, str)
    opened = pyqtSignal(str)
    failed = pyqtSignal(object)
    geometry_wanted = pyqtSignal(object)
    axes_wanted = pyqtSignal(object)
    doubted = pyqtSignal(object)
    doing_changed = pyqtSignal(str, int)
    half_taken = pyqtSignal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = Document()
        self.mailbox = Mailbox()
        self.worker = Worker(self.mailbox)
        self.jobs = JobQueue(self.mailbox)
        self.bridge = Bridge(self.mailbox, self)
        self.desk = JobDesk(self.jobs, self.say, self)
        self.kept = KeptWork(self)
        self.task: Task = "training"
        self._measured_from: Geometry | None = None
        self._brightness = Brightness()
        self._doubted: tuple[object, tuple[str, ...]] = None, ()
        self._told: History = self.document.history
        self._state = RunState.IDLE
        self._ended_run = 0
        self._doing = "", 0
        self._asked: tuple[GeometryWanted | AxesWanted, Callable[[], None] | None] | None = None
        self._recovery = QTimer(self)
        self._recovery.setSingleShot(True)
        self._recovery.setInterval(RECOVERY_DELAY_MS)
        self._recovery.timeout.connect(self._write_recovery)
        self.bridge.run_events.connect(self._take_events)
        self.bridge.picture.connect(self._take_picture)
        self.bridge.job_done.connect(self.desk.take)
        self.bridge.tick.connect(self._look_at_state)

    @property
    def state(self) -> RunState:
        """State of the run as `state_changed` told it last: all that asks in one pass sees the same."""
        return self._state

    @property
    def doing(self) -> tuple[str, int]:
        """What the run is doing, and for how many whole seconds."""
        return self._doing

    def say(self, level: str, message: str, hint: str = "", details: str = "") -> None:
        """Put a line into the message list."""
        self.said.emit(level, message, hint, details)

    # Opening ---------------------------------------------------------------------------------------------

    def open(self, path: str, given: GivenGeometry = None, may_replace: Callable[[], bool] = lambda: True) -> None:
        """Open whatever the path holds, in the background.

        ``given`` is what a person said of the microscope of these data. ``may_replace`` is asked before what is open
        is given up for what was read.
        """
        if self._refuse_while_running():
            return
        self._asked = None

        def done(opened: Opened | GeometryWanted | AxesWanted) -> None:
            if self._refuse_while_running():  # one may have begun while the file was read
                return
            if isinstance(opened, (GeometryWanted, AxesWanted)):
                self._ask(opened)
                return
            if not isinstance(opened, (OpenedGeometry, OpenedReconstruction)) and not may_replace():
                return
            self._take_opened(opened)
            if not Path(path).is_relative_to(resources()):
                self.opened.emit(str(path))

        data = self.document.data_source if isinstance(self.document.dataset, ImageStack) else None
        present = self.document.geometry
        self.desk.submit(
            "open", lambda: opening.open_or_ask(path, given, data, present), done, f"Opening {Path(path).name}…"
        )

    def _ask(self, wanted: GeometryWanted | AxesWanted) -> None:
        if isinstance(wanted, GeometryWanted):
            hint = "enter it in the geometry form, then press the button"
            self.say("warning", wanted.message, hint, wanted.details)
            self.geometry_wanted.emit(wanted)
        else:
            self.say("quiet", wanted.message, wanted.hint)
            self.axes_wanted.emit(wanted)

    def answer(self, path: str, said: PartialGeometry, may_replace: Callable[[], bool] = lambda: True) -> None:
        """Open what was asked about with what a person said of it; of an experiment's data it becomes a setting."""
        if self._asked is None or self._asked[0].path != path or self.document.data_source.path != path:
            self.open(path, said, may_replace)
        elif not self._refuse_while_running():
            self.load_data(self._asked[1], said=said)

    def open_experiment(
        self, experiment: Experiment, path: Path | None = None, then: Callable[[], None] | None = None
    ) -> None:
        """Take an experiment and load its data in the background; ``then`` runs once they are there."""
        if self._refuse_while_running():
            return
        self.kept.give_up()
        self.document.replace_experiment(experiment, path)
        run = ""
        try:
            run = self.document.take_kept_design()
        except PtychouiError as error:
            self.say("warning", error.message, error.hint)
        self.document_changed.emit("all")
        if run:
            self.run_changed.emit()
            self.say("info", f"The patterns and the run {run} of this experiment are shown", "Resume takes it up")
        self.load_data(then)

    def load_data(
        self,
        then: Callable[[], None] | None = None,
        refused: Refused | None = None,
        said: PartialGeometry | None = None,
    ) -> None:
        """Load the experiment's data in the background, with what was ``said`` when they were asked about.

        What the data leave open is asked for, unless somebody wants to know why they are ``refused``.
        """
        experiment, asked = self.document.fpm, self._asked
        if experiment is None:  # other kinds read their data when a run begins
            if then is not None:
                then()
            return
        source, geometry = experiment.data, experiment.geometry

        def load() -> OpenedData | GeometryWanted | AxesWanted:
            return (
                opening.load_or_ask(source, geometry, said) if refused is None else opening.load_data(source, geometry)
            )

        def done(opened: OpenedData | GeometryWanted | AxesWanted) -> None:
            if self.document.fpm is None or self.document.fpm.data.path != opened.path:
                return
            if isinstance(opened, (GeometryWanted, AxesWanted)):
                self._asked = opened, then
                self._ask(opened)
                return
            self._asked = None
            if said is not None and asked is not None:
                self._keep_answer(asked[0], opened)
            self.document.dataset = opened.dataset
            self.document_changed.emit("all")
            self.ask_judgement()
            if then is not None:
                then()

        self.desk.submit("data", load, done, "Loading data…", refused)

    def _keep_answer(self, asked: GeometryWanted | AxesWanted, opened: OpenedData) -> None:
        """Make what was said of an experiment's data a setting, with undo."""
        experiment = self.document.fpm
        if experiment is None:
            return
        changed = experiment.replace(data=experiment.data.replace(images=opened.images))
        if isinstance(asked, GeometryWanted):
            changed = changed.replace(geometry=opened.dataset.geometry)
        self.edit_experiment("Answer", changed)

    def open_sample(self, name: str) -> None:
        """Open ``sample:stack`` or ``sample:objects``."""
        if not self._refuse_while_running():
            self.open_experiment(experiment_on(name))

    def start_demo(self) -> None:
        """Load the sample experiment and train it."""
        try:
            self.open_experiment(opening.demo_experiment(), None, self.train)
        except PtychouiError as error:
            self.say("error", error.message, error.hint)

    def _take_opened(self, opened: Opened) -> None:
        document = self.document
        if isinstance(opened, OpenedExperiment):
            self.open_experiment(opened.experiment, opened.path)
        elif isinstance(opened, OpenedGeometry) and opened.is_profile and isinstance(document.dataset, ImageStack):
            self.use_profile(opened.path)
        elif isinstance(opened, OpenedGeometry) and opened.unused:
            self._say_unused(opened.notes)
        elif isinstance(opened, OpenedGeometry):
            if not self.edit_geometry(opened.geometry, "Geometry", ""):
                return
            wins = "what the data state stays" if opened.filled_in else "it wins over a geometry in the data"
            self.say("info", f"Geometry of {opened.path.name} taken", f"{wins}; undo takes it back")
            for note in opened.notes:
                self.say("info", note)
        elif isinstance(opened, OpenedReconstruction):
            document.show_result(opened.report)
            self.reconstruction_changed.emit()
        elif isinstance(opened, OpenedRun):
            self.kept.give_up()
            document.take_run(opened)
            self.document_changed.emit("all")
            self.run_changed.emit()
            self.load_data()
            self.say("info", f"Run with {counted(opened.step, 'step')} opened", "Resume takes it up where it was left")
        elif isinstance(opened, OpenedData):
            self.kept.give_up()
            document.take_data(opened)
            self.document_changed.emit("all")
            self.ask_judgement()
            for note in opened.dataset.provenance.notes:
                self.say("info", note)

    # Editing ---------------------------------------------------------------------------------------------

    def edit(self, name: str, value: Any, label: str = "") -> str:
        """Change one setting; returns the sentence why it was refused, or nothing."""
        try:
            changed = with_value(self.document.experiment, name, value)
        except PtychouiError as error:
            return error.message
        self.edit_experiment(label or name.rpartition(".")[2].replace("_", " "), changed, name)
        return ""

    def edit_geometry(self, geometry: Geometry, label: str, key: str) -> bool:
        """Change the geometry; False where the experiment has none."""
        experiment = self.document.fpm
        if experiment is None:
            self.say("warning", "This experiment has no microscope", "open a stack or an experiment of patterns first")
            return False
        self.edit_experiment(label, experiment.replace(geometry=geometry), key)
        return True

    def use_half(self, preset: MicroscopePreset | ArrayPreset, draft: Geometry) -> None:
        """Take the microscope or the array of a preset into ``draft``; what the files of open data state stays."""
        if self._refuse_while_running():
            return
        document = self.document
        source, stack = document.data_source, document.dataset
        data = source if isinstance(stack, ImageStack) and not source.path.startswith("sample:") else None

        def done(found: FilledIn) -> None:
            if self._refuse_while_running() or document.dataset is not stack:
                return
            if not found.used:
                self._say_unused(found.notes)
                return
            self.half_taken.emit(preset, found.geometry)
            self.edit_geometry(found.geometry, preset.name, "")
            for note in found.notes:
                self.say("info", note)

        if data is None:
            done(half_filled_in(preset, draft, None))
        else:
            self.desk.submit("open", lambda: half_filled_in(preset, draft, data), done, f"Taking {preset.name}…")

    def _say_unused(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            self.say("warning", sentence(note), "to have other values, enter them in the geometry form")

    def edit_experiment(self, label: str, experiment: Experiment, key: str = "") -> None:
        """Change settings, with undo."""
        if self.document.edit(label, experiment, key):
            self._after_edit("settings")

    def edit_level(self, row: int, led: int, level: float) -> None:
        """Change the level of one LED, with undo; not while a run is active."""
        if not self.state.active:
            try:
                self.document.edit_level(row, led, level)
            except PtychouiError as error:
                self.say("warning", error.message, error.hint)
            self._after_edit("design")

    def undo(self) -> None:
        """Take back the last edit."""
        self._go(self.document.undo)

    def redo(self) -> None:
        """Do it again."""
        self._go(self.document.redo)

    def _go(self, step: Callable[[], str]) -> None:
        data = self.document.data_source
        if not self._refuse_while_running() and step():
            self._after_edit("settings")
            if self.document.data_source != data:
                self.load_data()

    def reset_design(self) -> None:
        """Go back to the start of the settings."""
        if not self._refuse_while_running():
            self.document.reset_design()
            self._after_edit("design")

    def ask_judgement(self) -> None:
        """Work out derived numbers and feasibility in the background."""
        geometry, experiment = self.document.geometry, self.document.fpm
        if geometry is None or experiment is None:
            return
        levels, exposures = self.document.design() or (None, None)
        measurement, data, guard_na = experiment.measurement, experiment.data, experiment.design.guard_na
        self.desk.submit(
            "judge", lambda: judge(geometry, levels, exposures, measurement, data, guard_na), self._take_judgement
        )
        self.ask_forecast()
        self._ask_brightness()

    def _ask_brightness(self) -> None:
        """Hold the geometry against the brightness of the stack's images, in the background; say what is new."""
        stack, geometry = self.document.dataset, self.document.geometry
        if not isinstance(stack, ImageStack) or geometry is None:
            return

        def done(doubts: tuple[str, ...]) -> None:
            if self.document.dataset is not stack or self.document.geometry != geometry:
                return
            known = self._doubted[1] if self._doubted[0] is stack else ()
            self._doubted = stack, doubts
            self.doubted.emit(doubts)
            for doubt in doubts:
                if doubt not in known:
                    self.say("warning", sentence(doubt))

        self.desk.submit("brightness", lambda: self._brightness.doubts(stack, geometry), done)

    def ask_forecast(self) -> None:
        """Work out what a reconstruction of the stack would take, in the background."""
        stack, geometry, plan = self.document.dataset, self.document.geometry, self.document.plan
        if not isinstance(stack, ImageStack) or geometry is None:
            return

        def refused(failure: Failed) -> None:
            self.forecast.emit(failure.message if failure.kind.endswith("Error") else "")

        self.desk.submit(
            "forecast", lambda: stack_plan.forecast(stack, geometry, plan), self.forecast.emit, refused=refused
        )

    def _take_judgement(self, judgement: Judgement) -> None:
        if judgement.geometry == self.document.geometry:
            self.judged.emit(judgement)

    def _after_edit(self, what: str) -> None:
        if self._measured_from is not None and self.document.geometry != self._measured_from:
            # Taking it would put the old wavelength, NA and pose back over what was changed since.
            self._measured_from = None
            self.forget_measured()
        self.document_changed.emit(what)
        self.ask_judgement()
        self._recovery.start()

    def _write_recovery(self) -> None:
        try:
            self.document.write_recovery()
        except (PtychouiError, OSError) as error:
            self.say("warning", f"Unsaved settings could not be kept: {error}", "save the experiment yourself")

    # Running ---------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Start a run from the design that is shown."""
        document = self.document
        if self.state.active:
            return
        if document.path is not None and not document.path.parent.is_dir():
            self.say("error", f"There is no folder {document.path.parent}", "save the experiment to another place")
            return
        folder = runs.run_folder_for(document.experiment, document.path)
        document.begin_run(folder)
        self.kept.begin("training", folder)
        self.kept.write_design(running=True)
        given = zip(("levels", "exposures"), document.changed_design, strict=True)
        start = {name: values for name, values in given if values is not None}
        measured = isinstance(document.dataset, ImageStack)
        self._start(runs.new_run(document.experiment, folder, start, measured), "training", document.history)

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
        document.rings = RingsHistory()
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
        document.rings = RingsHistory()
        work = stack_rings.rings_run(stack, document.geometry, document.plan, self._device)
        self._start(work, "rings", document.rings)

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

    def close_result(self) -> None:
        """Go back from a saved result to what was made here; not while a run is active."""
        if not self._refuse_while_running():
            self.document.close_result()
            self.reconstruction_changed.emit()

    def show_tile(self, tile: int) -> None:
        """Show pupil and LEDs of another tile of a reconstruction that was opened."""
        shown = self.document.reconstruction

        def done(report: StackReport) -> None:
            if shown.report is not None and shown.report.stored is report.stored:
                shown.report = report
                self.reconstruction_changed.emit()

        report = shown.report
        if report is not None and report.tile != tile:
            self.desk.submit("tile", lambda: stored_report.with_tile(report, tile), done)

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
        """Try the layouts of the array's axes on the stack that is open; False if that cannot be."""
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

    def use_profile(self, path: Path) -> bool:
        """Read the open data anew through a profile, with undo; one that does not fit them is left.

        False, after a message, while a run is active.
        """
        document = self.document
        if self._refuse_while_running():
            return False
        label = "Microscope profile"

        def refused(failure: Failed) -> None:
            if document.undo_label == label:
                document.undo()
                self._after_edit("settings")
            self.say("error", failure.message, failure.hint, failure.traceback_text)

        assert document.fpm is not None
        self.edit_experiment(label, profile_run.with_profile(document.fpm, path))
        self.forget_measured()
        self.load_data(
            lambda: self.say("info", f"The data are read through {path.name}", "undo takes it back"), refused
        )
        return True

    @property
    def _device(self) -> str:
        return self.document.experiment.engine.device

    def take_calibration(self) -> None:
        """Put the geometry that was found in place of the present one, with undo."""
        found = self.document.calibration.found
        if found is not None:
            self.take_geometry(found.geometry, "Calibration")

    def take_layout(self) -> None:
        """Put the layout that the images suggest into the geometry, with undo."""
        suggested = self.document.suggested_layout
        if suggested is not None and self.take_geometry(suggested.geometry, "Layout"):
            self.say("info", f"Layout of the array: {suggested.settings}", "reconstruct again; undo takes it back")

    def take_geometry(self, geometry: Geometry, label: str) -> bool:
        """Put a geometry that was measured in place of the present one, with undo; False while a run is active."""
        if self._refuse_while_running():
            return False
        self.edit_geometry(geometry, label, "")
        self.forget_measured()
        return True

    @property
    def untaken(self) -> tuple[str, Geometry, str] | None:
        """A geometry that was measured and not taken: what it is, in words, itself, and what taking it is called."""
        document = self.document
        if (found := document.calibration.found) is not None and found.geometry != document.geometry:
            return "A calibration is finished", found.geometry, "Calibration"
        layouts = document.orientation.found
        if layouts is not None and layouts.sure and not any(layout.present for layout in layouts.layouts[:2]):
            return "Another layout of the array was found", layouts.layouts[0].geometry, "Orientation"
        return None

    def forget_measured(self) -> None:
        """A calibration and a test of layouts belong to the geometry that they started from."""
        self.document.calibration, self.document.orientation = CalibrationHistory(), OrientationHistory()
        self.reconstruction_changed.emit()

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

    def edit_plan(self, name: str, value: Any) -> str:
        """Change one setting of the reconstruction; returns the sentence why it was refused, or nothing."""
        try:
            self.document.plan = with_value(self.document.plan, name, value)
        except PtychouiError as error:
            return error.message
        self.ask_forecast()
        return ""

    def _start(self, events: MakeEvents, task: Task, told: History) -> None:
        self.task, self._told = task, told
        if task == "training":
            self.run_changed.emit()
            self.worker.start(events, self.document.experiment.engine.strategy)
        else:
            self.reconstruction_changed.emit()
            self.worker.start(events, remedy=stack_run.REMEDY)
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
            level = "quiet" if self.task in IN_DIALOGS else "error"
            self.say(level, event.message, event.hint, event.traceback_text)
            self.failed.emit(event)

    def _take_picture(self, run: int, kind: str, value: object) -> None:
        if run == self.worker.run and isinstance(value, Picture):
            self._told.take(value)
            self.pictured.emit(value)

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

    def keep_settings_soon(self) -> None:
        """Write unsaved settings for the next start, a little later."""
        self._recovery.start()

    # Helpers ------------------------------------------------------------------------------------------

    def _refuse_while_running(self) -> bool:
        if self.state.active:
            self.say("warning", "A run is active", "stop it first; nothing was changed")
            return True
        return False
