"""The panel for stacks: reconstruct, pause, stop; what is unknown, which square, and what it will take."""

from __future__ import annotations

from html import escape

from PyQt6.QtCore import QSignalBlocker, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ptychoui.data.dataset import ImageStack
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.widgets.fields import Field, Form
from ptychoui.gui.widgets.parts import (
    CommandRow,
    Elided,
    Status,
    bold,
    bullets,
    command_button,
    duration,
    gap_of,
    ink,
    note,
    scrolled,
    sentence,
    tall,
)
from ptychoui.session.document import Document
from ptychoui.session.edits import description_of, value_of
from ptychoui.session.field_run import FieldHistory
from ptychoui.session.origin import data_name
from ptychoui.session.stack_calibration import CalibrationHistory
from ptychoui.session.stack_plan import StackForecast, StackPlan
from ptychoui.session.stack_run import StackHistory
from ptychoui.session.worker import RunState
from ptychoui.words import counted

SETTINGS = (
    Field(name="settings.passes", label="Passes", kind="int"),
    Field(
        name="settings.pupil",
        label="Pupil",
        kind="choice",
        choices=(
            ("zernike", "Zernike terms"),
            ("free", "Any pupil"),
            ("fixed", "As in the geometry"),
        ),
    ),
    Field(name="settings.gain", label="Fit LED brightness", kind="bool"),
    Field(name="settings.background", label="Fit stray light", kind="bool"),
    Field(name="size_px", label="Square, edge", unit="px", automatic=True, integers=True),
    Field(name="center_column_px", label="Centre, column", unit="px", automatic=True, integers=True, empty="middle"),
    Field(name="center_row_px", label="Centre, row", unit="px", automatic=True, integers=True, empty="middle"),
)

CALIBRATED = {"tilt": "Tilt", "single_leds": "Single LEDs"}
"""What a calibration does on request."""

MARKS = {True: "✓", False: "✕", None: "○"}
"""Before a step of a calibration: taken, left out, not known yet."""

RUNNING = {
    "reconstruction": "Reconstructing",
    "calibration": "Calibrating",
    "orientation": "Testing orientation",
    "profile": "Measuring profile",
    "frc": "Comparing halves",
    "field": "Reconstructing tiles",
}
"""What is said while each kind of work runs."""

MORE = ("orientation", "profile", "field", "save_result")
"""Further commands for a stack, two in a row."""


SETTLED = "It ended before its last pass: no step lowered the residual any further"


class ReconstructPanel(QWidget):
    """Buttons, forecast, settings.

    Attributes
    ----------
    edited
        (name of the setting, value).
    calibration_taken
        The person wants the geometry that was found.
    """

    edited = pyqtSignal(str, object)
    calibration_taken = pyqtSignal()

    def __init__(self, actions: dict[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        gap = gap_of(self)
        self.buttons = {key: command_button(actions[key]) for key in ("reconstruct", "pause", "stop")}
        self.status = Status(RUNNING["reconstruction"])
        self.state, self.time_left = self.status.state, self.status.time_left
        self.stack = bold(Elided(Qt.TextElideMode.ElideMiddle))
        self.forecast, self.warnings = note(), note()
        self.form = Form(SETTINGS, root=StackPlan)
        self.form.edited.connect(self.edited)
        more = QGridLayout()
        more.setSpacing(gap)
        self.more = {key: command_button(actions[key]) for key in MORE}
        for place, button in enumerate(self.more.values()):
            last_alone = place == len(MORE) - 1 and place % 2 == 0
            more.addWidget(button, place // 2, place % 2, 1, 2 if last_alone else 1)
        self.calibrate = command_button(actions["calibrate"])
        self.boxes: dict[str, QCheckBox] = {}
        calibrate = QHBoxLayout()
        calibrate.setSpacing(2 * gap)
        calibrate.addWidget(self.calibrate, 1)
        for name, text in CALIBRATED.items():
            box = self.boxes[name] = QCheckBox(text)
            box.setToolTip(description_of(name, StackPlan))
            box.setAccessibleName(f"Calibrate {text.lower().replace('led', 'LED')}")
            box.toggled.connect(lambda on, name=name: self.edited.emit(name, on))
            calibrate.addWidget(box)
        self.calibrated = bold(Elided(Qt.TextElideMode.ElideMiddle))
        self.calibration = note()
        self.calibration.setTextFormat(Qt.TextFormat.RichText)
        self.take = tall(QPushButton("Take the corrected geometry"))
        self.take.clicked.connect(self.calibration_taken)
        self.take.hide()
        known, found = QVBoxLayout(), QVBoxLayout()
        for column, parts in (
            (known, (self.stack, self.forecast, self.warnings)),
            (found, (self.calibrated, self.calibration, self.take)),
        ):
            column.setSpacing(gap // 2)
            for part in parts:
                column.addWidget(part)
        self.area = scrolled(gap, known, found, self.form, more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addWidget(CommandRow(self.buttons.values()))
        layout.addLayout(calibrate)
        layout.addWidget(self.status)
        layout.addWidget(self.area, 1)
        self.show_state(RunState.IDLE)

    def show_document(self, document: Document) -> None:
        """Show the settings of a document, and the name of the stack that all in this panel belongs to."""
        self.form.clear_errors()
        self.form.set_values({field.name: value_of(document.plan, field.name) for field in SETTINGS})
        for name, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(bool(value_of(document.plan, name)))
        stack = document.dataset if isinstance(document.dataset, ImageStack) else None
        name = data_name(stack)
        self.stack.say(name, "" if stack is None else f"The open stack: {stack.provenance.source}")
        self.stack.setVisible(bool(name))
        self.calibrated.say(f"Calibration of {name}")
        self.take.setToolTip(f"Put it in place of the present geometry of {name}; undo takes it back")

    def set_editable(self, editable: bool) -> None:
        """Nothing is set while a run is active."""
        for part in (self.form, *self.boxes.values()):
            part.setEnabled(editable)

    def set_error(self, name: str, text: str) -> None:
        """Say below a field why it was refused."""
        if name not in self.boxes:
            self.form.set_error(name, text)

    def show_state(self, state: RunState, task: str = "reconstruction") -> None:
        """Take texts from the state; the buttons follow their actions."""
        paint_primary(self.buttons["reconstruct"])
        paint_primary(self.take)
        self.status.show_state(state, RUNNING.get(task, ""))
        c = colours()
        ink(self.forecast, c.muted)
        ink(self.warnings, c.warning)
        self.set_editable(not state.active)

    def show_history(self, history: StackHistory, state: RunState) -> None:
        """Show how far the reconstruction is."""
        begun, last = history.begun, history.last_pass
        done = last.step if last is not None else 0
        text = f"pass {done} of {begun.passes}" if begun is not None else ""
        if last is not None and state in (RunState.RUNNING, RunState.PAUSED):
            text += f", {duration(last.seconds_left)} left"
        settled = begun is not None and state is RunState.FINISHED and 0 < done < begun.passes
        self.time_left.setToolTip(SETTLED if settled else "")
        if settled:
            text = f"settled at {text}"
        if begun is not None:
            self.status.show_progress(begun.passes if state is RunState.FINISHED else done, begun.passes, text)
        elif not state.active:
            self.status.show_progress(0, 1, text)
        else:
            self.time_left.setText(text)

    def show_field(self, history: FieldHistory) -> None:
        """Show how far the tiles are."""
        begun, last = history.begun, history.last
        if begun is None:
            self.status.show_busy()
            return
        text = f"{counted(begun.tiles, 'tile')} of {begun.tile_px} px"
        if last is not None:
            text = f"tile {min(last.step + 1, begun.tiles)} of {begun.tiles}, pass {last.number}"
            if last.seconds_left is not None:
                text += f", {duration(last.seconds_left)} left"
        self.status.show_progress(last.step if last is not None else 0, begun.tiles, text)

    def show_calibration(self, history: CalibrationHistory, active: bool) -> None:
        """Show what became of every step of a calibration, and the button that takes its geometry."""
        if active:
            begun, step = history.begun, len(history.steps) + 1
            self.status.show_busy(f"step {step} of {begun.steps}" if begun is not None else "")
        c, found = colours(), history.found
        tones = {True: c.good, False: c.warning, None: c.muted}
        lines = [
            f'<span style="color:{tones[o.taken]}">{MARKS[o.taken]}</span> {escape(sentence(o.name))}: {escape(o.text)}'
            for o in history.outcomes
        ]
        if found is not None:
            changed = any(step.accepted for step in history.steps)
            lines.append(escape(f"In all: {found.change}." if changed else "No step explained the images better."))
            lines += [
                f'<span style="color:{c.warning}">{escape(sentence(warning))}.</span>' for warning in found.warnings
            ]
        self.calibration.setText("<br>".join(lines))
        self.calibration.setToolTip("\n".join(f"{sentence(o.sentence)}." for o in history.outcomes if o.sentence))
        for part in (self.calibrated, self.calibration):
            part.setVisible(bool(lines))
        offered = found is not None and not active
        if offered and self.take.isHidden():
            # Once it has its place.
            QTimer.singleShot(0, self._bring_up_offer)
        self.take.setVisible(offered)

    def _bring_up_offer(self) -> None:
        self.area.ensureWidgetVisible(self.take, 0, 0)

    def show_forecast(self, found: StackForecast | str) -> None:
        """Show what a reconstruction would take, or why there can be none."""
        line = found.line if isinstance(found, StackForecast) else ""
        self.forecast.setText(f"{line}." if line else "")
        self.forecast.setVisible(bool(line))
        texts = found.warnings if isinstance(found, StackForecast) else (found,)
        bullets(self.warnings, texts, colours().warning)
