"""The run panel: train, pause, stop; the settings that matter; what can be said before and during a run."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.training.kinds import panels_of
from ptychoui.gui.widgets.fields import Form
from ptychoui.gui.widgets.parts import (
    CommandRow,
    Status,
    Yielding,
    bullets,
    command_button,
    duration,
    gap_of,
    ink,
    note,
    scrolled,
    sentence,
)
from ptychoui.session.document import Document
from ptychoui.session.edits import value_of
from ptychoui.session.history import RunHistory
from ptychoui.session.worker import RunState
from ptychoui.settings import Experiment, blank_experiment


class RunPanel(QWidget):
    """Buttons, settings, state.

    Attributes
    ----------
    edited
        (name of the setting, value).
    """

    edited = pyqtSignal(str, object)

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        gap = gap_of(self)
        self.buttons = {key: command_button(actions[key]) for key in ("train", "pause", "stop")}
        paint_primary(self.buttons["train"])
        self.status = Status("Training", "Paused, saved")
        self.state, self.time_left = self.status.state, self.status.time_left
        self._elsewhere = False
        self._forms: dict[type[Experiment], Form] = {}
        self._form_of = QVBoxLayout(holder := QWidget())
        self._form_of.setContentsMargins(0, 0, 0, 0)
        self.form = self._take_form(blank_experiment())
        self.feasibility, self.warnings, self.notes = note(), note(), note()
        area = scrolled(gap, self.warnings, holder, self.notes)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addWidget(CommandRow(self.buttons.values()))
        layout.addWidget(self.status)
        layout.addWidget(Yielding(self.feasibility))
        layout.addWidget(area, 1)
        self.show_state(RunState.IDLE)

    def show_document(self, document: Document) -> None:
        """Show the settings of a document."""
        experiment = document.experiment
        self.form = self._take_form(experiment)
        self.form.clear_errors()
        hidden = panels_of(experiment).hidden(experiment)
        self.form.show_fields([name for name in self.form.names if name not in hidden])
        self.form.set_values({name: value_of(experiment, name) for name in self.form.names})

    def _take_form(self, experiment: Experiment) -> Form:
        """The form of an experiment's kind, in the place of any other."""
        kind = type(experiment)
        if kind not in self._forms:
            form = self._forms[kind] = Form(panels_of(experiment).all_fields, root=kind)
            form.edited.connect(self.edited)
            self._form_of.addWidget(form)
        for other, form in self._forms.items():
            form.setVisible(other is kind)
        return self._forms[kind]

    def set_error(self, name: str, text: str) -> None:
        """Say below a field why it was refused."""
        self.form.set_error(name, text)

    def show_state(self, state: RunState) -> None:
        """Take texts from the state; the buttons follow their actions."""
        self.status.show_state(state)
        self.form.setEnabled(not state.active)

    def show_history(self, history: RunHistory, state: RunState) -> None:
        """Show how far the run is."""
        started, step, last = history.started, history.step, history.last_step
        total = f" of {started.steps}" if started is not None else ""
        text = f"step {step}{total}" if started is not None or step else ""
        if last is not None and state in (RunState.RUNNING, RunState.PAUSED):
            text += f", {duration(last.seconds_left)} left"
        elsewhere = history.elsewhere is not None and not state.active
        if self._elsewhere and not elsewhere:
            self.status.show_state(state)
        self._elsewhere = elsewhere
        if history.elsewhere is not None and elsewhere:
            self.status.show_elsewhere(step, history.elsewhere)
        elif state.active and history.preparing:
            self.status.show_busy(history.preparing)
        elif started is not None:
            self.status.show_progress(step, started.steps, text)
            self._show_feasibility(started.summary, started.warnings)
            bullets(self.notes, started.notes, colours().muted)
        elif not state.active:
            self.status.show_progress(0, 1, text)
        else:
            self.time_left.setText(text)
        if started is None and state.active:
            # What was said of the run before is not said of this one.
            self._show_feasibility("", ())
            self.notes.hide()

    def show_doing(self, state: RunState, doing: str) -> None:
        """Name what is being prepared now, beside the buttons as in the status bar."""
        if doing and state is RunState.STARTING:
            self.status.show_busy(doing)

    def headline(self, history: RunHistory, state: RunState, doing: str = "", seconds: int = 0) -> str:
        """What is going on, for the status bar; ``doing`` is named once it takes more than a moment."""
        text = self.state.text()
        if history.elsewhere is not None and not state.active:
            return f"{text}: {self.time_left.text()}"
        if seconds and doing and state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING):
            return f"{text.rstrip('…')}: {doing}, {duration(seconds)}"
        return f"{text.rstrip('…')}: {history.preparing}…" if history.preparing and state is RunState.STARTING else text

    def show_feasibility(self, line: str, warnings: tuple[str, ...]) -> None:
        """Show what can be said of the design before a run."""
        self._show_feasibility(line, warnings)
        self.notes.hide()

    def _show_feasibility(self, line: str, warnings: tuple[str, ...]) -> None:
        self.feasibility.setText(sentence(line) + ("." if line else ""))
        self.feasibility.setVisible(bool(line))
        ink(self.feasibility, colours().muted)
        bullets(self.warnings, warnings, colours().warning)

    def use_colours(self, state: RunState) -> None:
        """Take the colours of the theme."""
        paint_primary(self.buttons["train"])
        self.show_state(state)
        ink(self.feasibility, colours().muted)
        ink(self.warnings, colours().warning)
        ink(self.notes, colours().muted)
