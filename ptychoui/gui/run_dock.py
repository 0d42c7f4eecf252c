"""The run panel: train, pause, stop; the settings that matter; what can be said before and during a run."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QAction, QColor, QPalette
from PyQt6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.fields import Field, Form
from ptychoui.gui.theme import colours, paint_primary
from ptychoui.session.document import Document
from ptychoui.session.edits import value_of
from ptychoui.session.history import RunHistory
from ptychoui.session.worker import RunState

SETTINGS = (
    Field(name="design.bright_field_rows", label="Bright-field patterns", kind="int"),
    Field(name="design.dark_field_rows", label="Dark-field patterns", kind="int"),
    Field(
        name="design.start",
        label="Start from",
        kind="choice",
        choices=(
            ("dense_random", "Random levels"),
            ("random_partition", "Random partition"),
            ("hybrid", "Half circles"),
            ("singles", "Single LEDs"),
        ),
    ),
    Field(name="design.learn_exposure", label="Learn exposures", kind="bool"),
    Field(name="measurement.photons_per_led", label="Photons per LED", unit="e⁻"),
    Field(
        name="network.update",
        label="Update",
        kind="choice",
        choices=(
            ("heavy_ball", "Heavy ball"),
            ("nesterov", "Nesterov"),
            ("gradient", "Plain gradient"),
            ("learned_momentum", "Learned momentum"),
        ),
    ),
    Field(name="network.unrolls", label="Unrolls", kind="int"),
    Field(name="network.step", label="Step of an unroll", automatic=True),
    Field(name="training.steps", label="Training steps", kind="int"),
    Field(name="training.batch", label="Objects per step", kind="int"),
    Field(name="training.learning_rate", label="Learning rate"),
    Field(
        name="engine.strategy",
        label="Gradient",
        kind="choice",
        choices=(
            ("reversible", "Reversible"),
            ("auto", "Automatic"),
            ("checkpoint", "Checkpoints"),
            ("offload", "Checkpoints on the host"),
            ("binomial", "Binomial checkpoints"),
            ("inverse", "Inverse, to a tolerance"),
            ("store_all", "Store all"),
            ("greedy", "Greedy modules"),
        ),
    ),
    Field(name="engine.memory_mb", label="Memory budget", unit="MB", automatic=True),
    Field(
        name="engine.device",
        label="Device",
        kind="choice",
        choices=(("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "CUDA GPU")),
    ),
)

STATE_TEXTS = {
    RunState.IDLE: "Ready",
    RunState.STARTING: "Preparing…",
    RunState.RUNNING: "Training",
    RunState.PAUSING: "Pausing…",
    RunState.PAUSED: "Paused, saved",
    RunState.STOPPING: "Stopping…",
    RunState.FINISHED: "Finished",
    RunState.STOPPED: "Stopped",
    RunState.FAILED: "Failed",
}


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
        gap = max(4, self.fontMetrics().height() // 3)
        self.buttons = {key: command_button(actions[key]) for key in ("train", "pause", "stop")}
        buttons = QHBoxLayout()
        buttons.setSpacing(gap)
        for button in self.buttons.values():
            buttons.addWidget(button, 1)
        paint_primary(self.buttons["train"])
        self.state = QLabel()
        font = self.state.font()
        font.setBold(True)
        self.state.setFont(font)
        self.time_left = QLabel()
        self.time_left.setAlignment(Qt.AlignmentFlag.AlignRight)
        status = QHBoxLayout()
        status.addWidget(self.state)
        status.addWidget(self.time_left, 1)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(max(5, self.fontMetrics().height() // 3))
        self.form = Form(SETTINGS)
        self.form.edited.connect(self.edited)
        self.feasibility, self.warnings, self.notes = note(), note(), note()
        area = scrolled(gap, self.warnings, self.form, self.notes)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        layout.addLayout(buttons)
        layout.addLayout(status)
        layout.addWidget(self.progress)
        layout.addWidget(self.feasibility)
        layout.addWidget(area, 1)
        self.show_state(RunState.IDLE)

    def show_document(self, document: Document) -> None:
        """Show the settings of a document."""
        experiment = document.experiment
        self.form.clear_errors()
        self.form.set_values({field.name: value_of(experiment, field.name) for field in SETTINGS})

    def set_error(self, name: str, text: str) -> None:
        """Say below a field why it was refused."""
        self.form.set_error(name, text)

    def show_state(self, state: RunState) -> None:
        """Take texts from the state; the buttons follow their actions."""
        self.state.setText(STATE_TEXTS[state])
        c = colours()
        tone = {
            RunState.RUNNING: c.accent,
            RunState.FINISHED: c.good,
            RunState.FAILED: c.error,
            RunState.PAUSED: c.warning,
        }.get(state, c.text)
        ink(self.state, tone)
        self.form.setEnabled(not state.active)
        if state is RunState.STARTING:
            self.progress.setRange(0, 0)

    def show_history(self, history: RunHistory, state: RunState) -> None:
        """Show how far the run is."""
        started, step = history.started, history.step
        if started is not None:
            self.progress.setRange(0, max(1, started.steps))
            self.progress.setValue(step)
            self._show_feasibility(started.feasibility, started.warnings)
            self._bullets(self.notes, started.notes, colours().muted)
        elif not state.active:
            self.progress.setRange(0, 1)
            self.progress.setValue(0)
        total = f" of {started.steps}" if started is not None else ""
        text = f"step {step}{total}" if started is not None or step else ""
        last = history.last_step
        if last is not None and state in (RunState.RUNNING, RunState.PAUSED):
            text += f", {duration(last.seconds_left)} left"
        self.time_left.setText(text)

    def show_feasibility(self, line: str, warnings: tuple[str, ...]) -> None:
        """Show what can be said of the design before a run."""
        self._show_feasibility(line, warnings)
        self.notes.hide()

    def _show_feasibility(self, line: str, warnings: tuple[str, ...]) -> None:
        self.feasibility.setText(line[:1].upper() + line[1:] + ("." if line else ""))
        self.feasibility.setVisible(bool(line))
        ink(self.feasibility, colours().muted)
        self._bullets(self.warnings, warnings, colours().warning)

    @staticmethod
    def _bullets(label: QLabel, texts: tuple[str, ...], colour: str) -> None:
        label.setText("\n".join(f"• {text[:1].upper()}{text[1:]}" for text in texts))
        label.setVisible(bool(texts))
        ink(label, colour)

    def use_colours(self, state: RunState) -> None:
        """Take the colours of the theme."""
        paint_primary(self.buttons["train"])
        self.show_state(state)
        ink(self.feasibility, colours().muted)
        ink(self.warnings, colours().warning)
        ink(self.notes, colours().muted)


def duration(seconds: float) -> str:
    """A time as a person would say it."""
    if seconds < 59.5:
        return f"{max(0, round(seconds))} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def scrolled(gap: int, *parts: QWidget | QLayout) -> QScrollArea:
    """Parts of a dock one below the other, scrolled where there is too little room."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(0, gap, gap, 0)
    column.setSpacing(2 * gap)
    for part in parts:
        if isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def command_button(action: QAction) -> QToolButton:
    """A wide button for a command."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    button.setMinimumHeight(2 * button.fontMetrics().height())
    return button


def note() -> QLabel:
    """A label for sentences, hidden while there are none."""
    label = QLabel()
    label.setWordWrap(True)
    label.hide()
    return label


def ink(label: QLabel, colour: str) -> None:
    """Colour a label's text."""
    palette: Any = label.palette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor(colour))
    label.setPalette(palette)
