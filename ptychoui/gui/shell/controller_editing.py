"""Editing: settings, geometry, patterns and the plan of a reconstruction, with undo, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import PtychouiError
from ptychoui.gui.shell.controller_base import ControllerBase
from ptychoui.gui.widgets.parts import sentence
from ptychoui.optics.geometry.presets import ArrayPreset, MicroscopePreset
from ptychoui.session import (
    stack_plan,
)
from ptychoui.session.assessment import Assessment, assess
from ptychoui.session.edits import with_value
from ptychoui.session.filled_in import FilledIn, half_filled_in
from ptychoui.session.pattern_edits import PatternEdits
from ptychoui.session.stack_calibration import CalibrationHistory
from ptychoui.session.stack_orientation import OrientationHistory
from ptychoui.settings import Experiment, Geometry
from ptychoui.training.events import Failed


class Editing(ControllerBase):
    """The part of the controller that changes the document."""

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

    def change_patterns(self, change: Callable[[PatternEdits], str]) -> None:
        """Let a function change the patterns, with undo; not while a run is active. It answers with a note or none."""
        if self._refuse_while_running():
            return
        before = self.document.experiment
        try:
            note = change(self.document)
        except PtychouiError as error:
            self.say("warning", sentence(error.message), error.hint)
        else:
            if note:
                self.say("info", sentence(note))
        self._after_edit("design" if self.document.experiment is before else "settings")

    def reset_design(self) -> None:
        """Go back to the start of the settings."""
        if not self._refuse_while_running():
            self.document.reset_design()
            self._after_edit("design")

    def edit_plan(self, name: str, value: Any) -> str:
        """Change one setting of the reconstruction; returns the sentence why it was refused, or nothing."""
        try:
            self.document.plan = with_value(self.document.plan, name, value)
        except PtychouiError as error:
            return error.message
        self.ask_forecast()
        return ""

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
        test = document.orientation.found
        if test is not None and test.sure and not any(one.present for one in test.orientations[:2]):
            return "Another orientation of the array was found", test.orientations[0].geometry, "Orientation"
        return None

    def forget_measured(self) -> None:
        """A calibration and a test of orientations belong to the geometry that they started from."""
        self.document.calibration, self.document.orientation = CalibrationHistory(), OrientationHistory()
        self.reconstruction_changed.emit()

    def ask_assessment(self) -> None:
        """Work out derived numbers and feasibility in the background."""
        geometry, experiment = self.document.geometry, self.document.fpm
        if geometry is None or experiment is None:
            return
        levels, exposures = self.document.design() or (None, None)
        measurement, data, guard_na = experiment.measurement, experiment.data, experiment.design.guard_na
        self.desk.submit(
            "assess", lambda: assess(geometry, levels, exposures, measurement, data, guard_na), self._take_assessment
        )
        self.ask_forecast()
        self._ask_brightness()

    def _ask_brightness(self) -> None:
        """Hold the geometry against the brightness of the stack's images, in the background; say what is new."""
        stack, geometry = self.document.dataset, self.document.geometry
        if not isinstance(stack, ImageStack) or geometry is None:
            return

        def done(warnings: tuple[str, ...]) -> None:
            if self.document.dataset is not stack or self.document.geometry != geometry:
                return
            known = self._warned[1] if self._warned[0] is stack else ()
            self._warned = stack, warnings
            self.warned.emit(warnings)
            for warning in warnings:
                if warning not in known:
                    self.say("warning", sentence(warning))

        self.desk.submit("brightness", lambda: self._brightness.warnings(stack, geometry), done)

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

    def _take_assessment(self, assessment: Assessment) -> None:
        if assessment.geometry == self.document.geometry:
            self.assessed.emit(assessment)

    def _after_edit(self, what: str) -> None:
        if self._measured_from is not None and self.document.geometry != self._measured_from:
            # Taking it would put the old wavelength, NA and pose back over what was changed since.
            self._measured_from = None
            self.forget_measured()
        self.document_changed.emit(what)
        self.ask_assessment()
        self._recovery.start()

    def _write_recovery(self) -> None:
        try:
            self.document.write_recovery()
        except (PtychouiError, OSError) as error:
            self.say("warning", f"Unsaved settings could not be kept: {error}", "save the experiment yourself")
