"""The application without a window: one experiment, its data, its design, its run, and undo."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.files import write_atomic
from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.session import recovery
from ptychoui.session.daily_run import DailyHistory
from ptychoui.session.design_work import DesignWork
from ptychoui.session.field_run import FieldHistory
from ptychoui.session.followed_run import RunNews
from ptychoui.session.history import RunHistory
from ptychoui.session.kept_design import KeptDesign, bring_beside, read_design, write_design
from ptychoui.session.kspace_shown import KSpaceShown, OpenedKSpace
from ptychoui.session.opening import OpenedData, OpenedRun, open_run
from ptychoui.session.origin import Origin, origin
from ptychoui.session.pattern_edits import PatternEdits
from ptychoui.session.profile_run import ProfileHistory
from ptychoui.session.stack_calibration import CalibrationHistory
from ptychoui.session.stack_frc import FrcHistory
from ptychoui.session.stack_orientation import OrientationHistory
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.stack_run import StackHistory, StackReport, SuggestedLayout
from ptychoui.session.strategy_race import RaceHistory
from ptychoui.session.undo import FloatArray, State
from ptychoui.settings import (
    DataSource,
    Experiment,
    FpmExperiment,
    Geometry,
    blank_experiment,
    kind_of,
    load_experiment,
    to_toml,
)
from ptychoui.tasks.fpm.defaults import suited


def experiment_on(path: str) -> FpmExperiment:
    """A new experiment on data."""
    blank = blank_experiment()
    return blank.replace(data=blank.data.replace(path=path))


class Document(PatternEdits):
    """Experiment, dataset, design and run."""

    def __init__(self, experiment: Experiment | None = None) -> None:
        super().__init__(State(experiment=experiment or blank_experiment()))
        self._saved = self._state.experiment
        self.path: Path | None = None
        self.geometry_before: Geometry | None = None
        self.dataset: ImageStack | TrainingSet | None = None
        self.k_space: KSpaceShown | None = None
        self.history = RunHistory(kind_of(self.experiment.kind).metrics)
        self.plan = StackPlan()
        self.reconstruction = StackHistory()
        self._own_reconstruction: StackHistory | None = None
        self.calibration = CalibrationHistory()
        self.orientation = OrientationHistory()
        self.profile = ProfileHistory()
        self.race = RaceHistory()
        self.designs = DesignWork()
        self.frc = FrcHistory()
        self.daily = DailyHistory()
        self.field = FieldHistory()
        self.run_folder: Path | None = None
        self.begins_from: Path | None = None  # the run whose parameters the next one starts with
        self._saved_design = self.changed_design
        self._run_levels: FloatArray | None = None
        self._saved_report: StackReport | None = None

    # What it holds ---------------------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """The settings."""
        return self._state.experiment

    @property
    def fpm(self) -> FpmExperiment | None:
        """The settings, where they are those of a Fourier ptychographic microscope."""
        experiment = self.experiment
        return experiment if isinstance(experiment, FpmExperiment) else None

    @property
    def data_source(self) -> DataSource:
        """Where the data are; of an experiment of another kind the settings of none."""
        return DataSource() if self.fpm is None else self.fpm.data

    @property
    def trainable(self) -> bool:
        """Whether all is there that a run needs."""
        return self.fpm is None or (self.dataset is not None and self.geometry is not None)

    @property
    def saved_experiment(self) -> Experiment:
        """The settings as the file has them, or as they were when the document was new."""
        return self._saved

    @property
    def geometry(self) -> Geometry | None:
        """The experiment's geometry, else the one that came with the data."""
        if self.fpm is not None and self.fpm.geometry is not None:
            return self.fpm.geometry
        return self.dataset.geometry if self.dataset is not None else None

    @property
    def dirty(self) -> bool:
        """True while settings differ from the file, or patterns were changed by hand and not saved."""
        return self.experiment != self._saved or self._design_is_edited

    @property
    def _design_is_edited(self) -> bool:
        levels = self._state.levels
        return levels is not None and not any(levels is kept for kept in (self._saved_design[0], self._run_levels))

    @property
    def unsaved_result(self) -> StackReport | None:
        """The reconstruction that was made here and is in no file yet."""
        report = self.own_report
        return None if report is None or report.stored is not None or report is self._saved_report else report

    @property
    def own_report(self) -> StackReport | None:
        """The reconstruction that was made here, though one from a file may be shown."""
        return (self._own_reconstruction or self.reconstruction).report

    @property
    def of_another_geometry(self) -> bool:
        """True if the reconstruction that is shown was made here, and the geometry has changed since."""
        report = self.reconstruction.report
        return report is not None and report.stored is None and report.geometry != self.geometry

    @property
    def suggested_layout(self) -> SuggestedLayout | None:
        """What the images say of the layout, as long as the geometry is the one that they contradict."""
        report = self.reconstruction.report
        return None if report is None or report.geometry != self.geometry else report.suggested

    def mark_result_saved(self, report: StackReport) -> None:
        """A reconstruction is in a file, or given up."""
        self._saved_report = report

    def leds(self) -> LedArray | None:
        """LEDs of the geometry; None without one, or where it is impossible."""
        if self.geometry is None:
            return None
        try:
            return led_array(self.geometry.array)
        except PtychouiError:
            return None

    def design(self) -> tuple[FloatArray, FloatArray] | None:
        """Levels (row, LED) and exposures (row,) that are shown and would be trained; None without a geometry."""
        leds, geometry, experiment = self.leds(), self.geometry, self.fpm
        if leds is None or geometry is None or experiment is None:
            return None
        settings = experiment.design
        shape = (settings.rows, len(leds))
        try:
            start, equal = starts.start_design(
                settings, experiment.measurement, leds, geometry.microscope.objective_na, experiment.seed
            )
        except PtychouiError:
            return None
        levels, exposures = self._state.levels, self._state.exposures
        if levels is None or levels.shape != shape:
            levels = start
        if exposures is None or exposures.shape != shape[:1]:
            exposures = equal
        na = geometry.microscope.objective_na
        return starts.shown_design(levels, exposures, settings, experiment.measurement, leds, na)

    @property
    def changed_design(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Levels and exposures that differ from the experiment's own start, or None."""
        return self._state.levels, self._state.exposures

    def patterns(self) -> PatternSet:
        """The design as a set that can be exported.

        Raises
        ------
        DataError
            If there is no geometry yet.
        """
        leds, design, geometry, experiment = self.leds(), self.design(), self.geometry, self.fpm
        if leds is None or design is None or geometry is None or experiment is None:
            raise DataError("there are no patterns yet", "open data with a geometry, or start the demo")
        levels, exposures = design
        final = self.history.result
        if isinstance(final, PatternSet) and np.array_equal(final.levels, levels):
            return final
        snapshot = self.history.snapshot
        step = snapshot.step if snapshot is not None and self._state.levels is not None else 0
        return PatternSet(
            levels=np.clip(levels, 0, 1),
            exposures=exposures,
            led_numbers=leds.numbers,
            positions_mm=leds.positions_mm,
            illumination_na=leds.illumination_na,
            row_names=starts.row_names(experiment.design),
            geometry=geometry,
            name=experiment.name,
            record={
                "experiment": experiment.model_dump(mode="json", exclude_none=True),
                "seed": experiment.seed,
                "steps": step,
            },
        )

    @property
    def shows_run(self) -> bool:
        """Whether the patterns that are shown are those of a run, and not changed since."""
        return self._state.levels is not None and self._state.levels is self._run_levels

    # Editing ---------------------------------------------------------------------------------------------

    def edit(self, label: str, experiment: Experiment, key: str = "") -> bool:
        """Change settings; consecutive edits with the same key are one undo step. False if nothing changed."""
        before = self._state
        if experiment == before.experiment:
            return False
        after = (
            replace(before, experiment=experiment) if self._keeps_design(experiment) else State(experiment=experiment)
        )
        self._change(label, after, key)
        return True

    def _keeps_design(self, experiment: Experiment) -> bool:
        before = self.fpm
        if before is None or not isinstance(experiment, FpmExperiment):
            return False
        return experiment.design == before.design and experiment.geometry == before.geometry

    def take_design(self, label: str, levels: FloatArray, exposures: FloatArray) -> None:
        """Put a learned or opened design in place of the present one."""
        self._change(label, replace(self._state, levels=levels, exposures=exposures), "")
        self._run_levels = levels  # they are in the run's folder

    def to_train(self) -> Experiment:
        """The experiment of a run: of a measured stack it learns from the square that reconstructions are asked for."""
        experiment, plan = self.experiment, self.plan
        asked = (plan.size_px, plan.center_row_px, plan.center_column_px) != (None, None, None)
        if not isinstance(experiment, FpmExperiment) or not isinstance(self.dataset, ImageStack) or not asked:
            return experiment
        return experiment.replace(data=experiment.data.replace(region=plan.square(self.dataset.images.shape)))

    def reset_design(self) -> None:
        """Go back to the experiment's own start."""
        if self._state.levels is not None or self._state.exposures is not None:
            self._change("Reset design", State(experiment=self.experiment), "")

    # Files -----------------------------------------------------------------------------------------------

    def replace_experiment(self, experiment: Experiment, path: Path | None) -> None:
        """Take another experiment: data, run and undo list start anew.

        Of what was open only its geometry is remembered, in ``geometry_before``, to be offered where one is asked for.
        """
        before = self.geometry or self.geometry_before
        self.__init__(experiment)  # type: ignore[misc]
        self.path, self.geometry_before = path, before

    def take_data(self, opened: OpenedData) -> None:
        """Take other data, with settings of their own: nothing of what was open before acts on them."""
        own = experiment_on(opened.path)
        own = own.replace(geometry=opened.geometry, data=own.data.replace(images=opened.images))
        own = suited(own, opened.dataset, opened.geometry or opened.dataset.geometry)
        self.replace_experiment(own, None)
        self.dataset = opened.dataset

    def take_k_space(self, opened: OpenedKSpace) -> None:
        """Take k-space with the experiment that is proposed for it."""
        self.replace_experiment(opened.experiment, None)
        self.k_space = opened.shown

    def take_run(self, opened: OpenedRun) -> None:
        """Show a run folder: settings, history, newest design."""
        self.replace_experiment(opened.experiment, None)
        self.run_folder = opened.path
        self.history.take_lines(opened.lines)
        self.history.snapshot = opened.picture
        self._state = replace(self._state, levels=opened.levels, exposures=opened.exposures)
        self._run_levels = opened.levels

    def fork(self, opened: OpenedRun) -> None:
        """Take a run's settings and what it learned as the start of a new one, which has no file and no folder yet."""
        self.replace_experiment(opened.experiment, None)
        self.begins_from = opened.path
        self._state = replace(self._state, levels=opened.levels, exposures=opened.exposures)

    def take_news(self, news: RunNews) -> None:
        """Show what another process added to the run that is open; patterns that a person edited stay."""
        history = self.history
        if news.again:
            history.forget_curves()
        history.take_lines(news.lines)
        history.elsewhere = self.experiment.training.steps if news.working else None
        if news.picture is not None:
            history.snapshot = news.picture
        if news.levels is not None and not self._design_is_edited:
            self._state = replace(self._state, levels=news.levels, exposures=news.exposures)
            self._run_levels = news.levels

    def begin_run(self, folder: Path | None, keep_history: bool = False) -> None:
        """Forget the last run's history, unless this run goes on from it."""
        if not keep_history:
            self.history = RunHistory(kind_of(self.experiment.kind).metrics)
        self.run_folder, self.begins_from = folder, None

    def load(self, path: Path) -> None:
        """Read an experiment file."""
        self.replace_experiment(load_experiment(path), path)

    def save(self, path: Path | None = None, running: bool = False) -> Path:
        """Write the experiment's TOML file, and its patterns and run beside it; not moved while it is ``running``."""
        target = path or self.path
        if target is None:
            raise DataError("the experiment has no file name yet", "use Save as")
        write_atomic(target, to_toml(self.experiment))
        self.path, self._saved = target, self.experiment
        self.keep_design(running)
        recovery.drop_recovery()
        return target

    def keep_design(self, running: bool = False) -> None:
        """Write patterns and run beside the experiment's file; a run in the hidden state folder moves beside it.

        It does not move while it is ``running``.

        Raises
        ------
        DataError
            If that is not possible.
        """
        if self.path is None:
            return
        folder = self.run_folder
        if folder is not None and not running:
            self.run_folder = folder = bring_beside(folder, self.path)
        levels, exposures = self.changed_design
        write_design(
            self.path,
            KeptDesign(levels=levels, exposures=exposures, run_folder=folder, going_on=running and folder is not None),
        )
        self._saved_design = self.changed_design

    def take_kept_design(self) -> str:
        """Show what lies beside the experiment's file; returns the name of its run, or nothing.

        Raises
        ------
        PtychouiError
            If it cannot be read; the experiment is as its settings say then.
        """
        if self.path is None:
            return ""
        kept = read_design(self.path)
        self._state = replace(self._state, levels=kept.levels, exposures=kept.exposures)
        self._saved_design = self.changed_design
        if kept.run_folder is None or not (kept.run_folder / "run.json").exists():
            return ""
        run = open_run(kept.run_folder)
        self.run_folder = kept.run_folder
        self.history.take_lines(run.lines)
        if kept.going_on and run.levels is not None:  # it was killed
            self._state = replace(self._state, levels=run.levels, exposures=run.exposures)
            self._saved_design = self.changed_design
        return kept.run_folder.name

    # Results that were saved -----------------------------------------------------------------------------

    @property
    def origin(self) -> Origin | None:
        """Where the result that is shown comes from; None if it was made here."""
        return origin(self.reconstruction.report, self.dataset, self.geometry)

    def show_result(self, report: StackReport) -> None:
        """Show a result that was saved; the reconstruction made here waits behind it."""
        if self._own_reconstruction is None:
            self._own_reconstruction = self.reconstruction
        self.reconstruction, self.frc = StackHistory(), FrcHistory()
        self.reconstruction.show(report)

    def close_result(self) -> None:
        """Go back from a saved result to what was made here, or to nothing."""
        if self._own_reconstruction is not None:
            self.reconstruction, self._own_reconstruction = self._own_reconstruction, None
            self.frc = FrcHistory()

    # Recovery --------------------------------------------------------------------------------------------

    def write_recovery(self) -> None:
        """Keep unsaved settings; without any, remove the file."""
        path = recovery.recovery_path()
        if not self.dirty:
            recovery.drop_recovery()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, to_toml(self.experiment))
        levels, exposures = self.changed_design
        write_design(path, KeptDesign(levels=levels, exposures=exposures))

    def mark_recovered(self, experiment: Experiment) -> None:
        """Take recovered settings; they count as unsaved."""
        self.replace_experiment(blank_experiment(), None)
        self._state = State(experiment=experiment)
        with contextlib.suppress(PtychouiError):
            kept = read_design(recovery.recovery_path())
            self._state = State(experiment=experiment, levels=kept.levels, exposures=kept.exposures)
