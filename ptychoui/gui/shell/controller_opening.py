"""Opening: whatever a path holds, the questions that it leaves open, and the experiment's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import GivenGeometry, PartialGeometry
from ptychoui.errors import PtychouiError
from ptychoui.gui.shell.controller_editing import Editing
from ptychoui.gui.shell.job_desk import Refused
from ptychoui.gui.widgets.parts import sentence
from ptychoui.paths import resources
from ptychoui.session import (
    kspace_shown,
    opening,
    profile_run,
    stored_report,
)
from ptychoui.session.document import experiment_on
from ptychoui.session.kspace_shown import KSpaceShown, MapsShown, OpenedKSpace
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
from ptychoui.session.stack_run import StackReport
from ptychoui.settings import Experiment, MriExperiment
from ptychoui.training.events import Failed
from ptychoui.words import counted


class Opening(Editing):
    """The part of the controller that reads files."""

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

    def open(self, path: str, given: GivenGeometry = None, may_replace: Callable[[], bool] = lambda: True) -> None:
        """Open whatever the path holds, in the background.

        ``given`` is what a person said of the microscope of these data. ``may_replace`` is asked before what is open
        is given up for what was read.
        """
        if self._refuse_while_running():
            return
        self._asked = None
        asked = self._question

        def done(opened: Opened | GeometryWanted | AxesWanted) -> None:
            if self._refuse_while_running():  # one may have begun while the file was read
                return
            if isinstance(opened, (GeometryWanted, AxesWanted)):
                self._ask(opened)
                return
            if not isinstance(opened, (OpenedGeometry, OpenedReconstruction)):
                if not may_replace():
                    return
                self._question = None
            self._take_opened(opened)
            name = opened.path if isinstance(opened, OpenedData) else str(path)
            if not Path(name).is_relative_to(resources()):
                self.opened.emit(name)

        data = self.document.data_source if isinstance(self.document.dataset, ImageStack) else None
        present = self.document.geometry

        def read() -> Opened | GeometryWanted | AxesWanted:
            return opening.open_or_ask(path, given, data, present, asked)

        self.desk.submit("open", read, done, f"Opening {Path(path).name}…")

    def forget_question(self) -> None:
        """Nobody wants to answer what was asked about data."""
        self._question = None

    def _ask(self, wanted: GeometryWanted | AxesWanted) -> None:
        if isinstance(wanted, GeometryWanted):
            self._question = wanted
            hint = "enter it in the geometry form and press its button, or open a geometry file"
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
            self.show_k_space()
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
            self.ask_assessment()
            if then is not None:
                then()

        self.desk.submit("data", load, done, "Loading data…", refused)

    def show_k_space(self, place: int = 0) -> None:
        """Read an example of the experiment's k-space in the background, to be looked at, and estimate its maps."""
        experiment = self.document.experiment
        if not isinstance(experiment, MriExperiment) or not experiment.data.path:
            return
        path = experiment.data.path

        def done(shown: KSpaceShown) -> None:
            now = self.document.experiment
            if isinstance(now, MriExperiment) and now.data.path == path:
                first = self.document.k_space is None
                self.document.k_space = shown
                self.document_changed.emit("all" if first else "settings")
                self._ask_maps()

        self.desk.submit("k-space", lambda: kspace_shown.read_shown(path, place), done, "Reading k-space…")

    def _ask_maps(self) -> None:
        """Estimate the coil maps of the example that is shown, in the background."""
        shown = self.document.k_space
        if shown is None:
            return

        def done(maps: MapsShown) -> None:
            if self.document.k_space is shown:
                self.maps_found.emit(maps)

        def refused(failure: Failed) -> None:
            if self.document.k_space is shown:
                self.maps_found.emit(failure.message)

        self.desk.submit("maps", lambda: kspace_shown.maps_of(shown), done, "Estimating coil maps…", refused)

    def _keep_answer(self, asked: GeometryWanted | AxesWanted, opened: OpenedData) -> None:
        """Make what was said of an experiment's data a setting, with undo."""
        experiment = self.document.fpm
        if experiment is None:
            return
        changed = experiment.replace(data=experiment.data.replace(images=opened.images))
        if isinstance(asked, GeometryWanted):
            changed = changed.replace(geometry=opened.dataset.geometry)
        self.edit_experiment("Answer", changed)

    def fork_run(self, folder: Path, may_replace: Callable[[], bool] = lambda: True) -> None:
        """Make a run's settings, and what it learned, the start of a new one."""
        if self._refuse_while_running():
            return

        def done(opened: OpenedRun) -> None:
            if self._refuse_while_running() or not may_replace():
                return
            self.kept.give_up()
            self.document.fork(opened)
            self.document_changed.emit("all")
            self.load_data()
            self.say(
                "info", f"A new run from step {opened.step} of {folder.name}", "Train begins it, in its own folder"
            )

        self.desk.submit("open", lambda: opening.open_run(folder), done, f"Opening {folder.name}…")

    def open_sample(self, name: str) -> None:
        """Open ``sample:stack`` or ``sample:objects``."""
        if not self._refuse_while_running():
            self.open_experiment(experiment_on(name))

    def open_example(self, made: Callable[[], Experiment]) -> None:
        """Open an experiment that comes with the program; it has no file of its own yet."""
        try:
            self.open_experiment(made())
        except PtychouiError as error:
            self.say("error", error.message, error.hint)

    def _take_opened(self, opened: Opened) -> None:
        document = self.document
        if isinstance(opened, OpenedExperiment):
            # What comes with the program is a start, not a place: saving asks for another.
            own = None if opened.path.resolve().is_relative_to(resources().resolve()) else opened.path
            self.open_experiment(opened.experiment, own)
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
        elif isinstance(opened, OpenedKSpace):
            self.kept.give_up()
            document.take_k_space(opened)
            self.document_changed.emit("all")
            self._ask_maps()
            for note in (*opened.why, *opened.shown.notes):
                self.say("info", sentence(note))
        elif isinstance(opened, OpenedData):
            self.kept.give_up()
            document.take_data(opened)
            self.document_changed.emit("all")
            self.ask_assessment()
            for note in opened.dataset.provenance.notes:
                self.say("info", note)

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
