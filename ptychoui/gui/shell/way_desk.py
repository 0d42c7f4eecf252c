"""Keeps the way up to date, and goes where a step of it is done."""

from __future__ import annotations

from PyQt6.QtCore import QObject, Qt, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QMainWindow, QToolBar, QWidget

from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.job_kinds import Task
from ptychoui.gui.shell.panels import Panels
from ptychoui.gui.shell.way_bar import WayBar
from ptychoui.session.opening import GeometryWanted
from ptychoui.session.way import Done, WayStep, way_of
from ptychoui.session.worker import RunState

PANEL_OF = {
    "geometry": "geometry",
    "reconstruct": "reconstruct",
    "calibrate": "reconstruct",
    "design": "leds",
    "train": "run",
    "array": "device",
}
"""Panels in which steps are done; the others are commands."""

NOW: dict[Task, str] = {
    "training": "Preparing to learn",
    "reconstruction": "Reconstructing the stack",
    "calibration": "Finding the pose of the LED array",
    "orientation": "Trying orientations of the LED array",
    "profile": "Measuring the microscope",
    "frc": "Comparing two halves of the LEDs",
    "field": "Reconstructing the full field",
    "strategies": "Comparing strategies",
    "designs": "Comparing designs",
    "frames": "Comparing numbers of images",
    "robustness": "Trying how a design holds",
    "daily": "Reconstructing images as they arrive",
}
"""What is said beside the steps while work of a kind goes on."""

COMMAND_OF = {"open": "open", "compare": "designs", "export": "export"}


class WayDesk(QObject):
    """Joins the bar of steps with the window.

    Attributes
    ----------
    bar
        The steps, in a toolbar of their own.
    steps
        Where one is now.
    changed
        (steps) one is somewhere else.
    """

    changed = pyqtSignal(tuple)

    def __init__(
        self, window: QMainWindow, controller: Controller, panels: Panels, actions: dict[str, QAction]
    ) -> None:
        super().__init__(window)
        self._controller, self._panels, self._actions = controller, panels, actions
        self._compared = self._exported = self._sent = False
        self._doubt = self._question = ""
        self.steps: tuple[WayStep, ...] = ()
        self.bar = WayBar()
        row = QToolBar("Way", window)
        row.setObjectName("way")
        row.setMovable(False)
        row.addWidget(self.bar)
        window.addToolBarBreak(Qt.ToolBarArea.TopToolBarArea)
        window.addToolBar(row)
        self.bar.chosen.connect(self.go)
        controller.document_changed.connect(self._document_changed)
        controller.run_changed.connect(self.look)
        controller.reconstruction_changed.connect(self.look)
        controller.state_changed.connect(self._state_changed)
        controller.warned.connect(self._warned)
        controller.geometry_wanted.connect(self._asked)
        panels.geometry.cancel.clicked.connect(self._answered)
        self.look()

    def look(self, *_: object) -> None:
        """Show where one is now."""
        done = Done(
            compared=self._compared,
            exported=self._exported,
            sent=self._sent,
            geometry_doubt=self._doubt,
            question=self._question,
        )
        steps = way_of(self._controller.document, done)
        self.bar.show_steps(steps, self._now())
        if steps != self.steps:
            self.steps = steps
            self.changed.emit(steps)

    def _now(self) -> str:
        """What a run is at; empty while none is active."""
        controller, history = self._controller, self._controller.document.history
        if not controller.state.active:
            return ""
        waits = controller.state in (RunState.PAUSED, RunState.PAUSING)
        if controller.task == "training" and history.started is not None:
            return f"{'Paused' if waits else 'Learning'}: step {history.step} of {history.started.steps}"
        return f"{NOW[controller.task]}{', paused' if waits else '…'}"

    def mark_exported(self) -> None:
        """Patterns were written."""
        self._exported = True
        self.look()

    def mark_sent(self) -> None:
        """Patterns shone on an array."""
        if not self._sent:
            self._sent = True
            self.look()

    def go(self, key: str) -> None:
        """Bring what a step needs to the front, or say why it has to wait."""
        step = {step.key: step for step in self.steps}.get(key)
        if step is not None and step.state == "waits":
            self._controller.say("info", step.sentence)
            return
        if key in PANEL_OF:
            self.show_panel(key)
        elif (action := self._actions.get(COMMAND_OF[key])) is not None and action.isEnabled():
            action.trigger()
        elif self._controller.state.active:
            self._controller.say("info", "A run is active", "stop it first")

    def show_panel(self, key: str) -> None:
        """Bring the panel of a step to the front, with the focus on what is pressed first."""
        panels = self._panels
        dock = panels.docks[PANEL_OF[key]]
        dock.show()
        dock.raise_()
        if key in ("reconstruct", "calibrate"):
            panels.bring_up(True)
            stack_run = panels.stack_run
            at_hand: QWidget = stack_run.buttons["reconstruct"] if key == "reconstruct" else stack_run.calibrate
        elif key == "train":
            panels.bring_up(False)
            at_hand = panels.run.buttons["train"]
        elif key == "array":
            at_hand = panels.device.at_hand
        else:
            widget = dock.widget()
            if widget is not None:
                widget.setFocus(Qt.FocusReason.ShortcutFocusReason)
            return
        at_hand.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _document_changed(self, what: str) -> None:
        if what == "all":
            self._compared = self._exported = self._sent = False
            self._question = ""
        elif what == "settings":
            self._doubt = ""
        self.look()

    def _asked(self, wanted: GeometryWanted) -> None:
        self._question = wanted.message
        self.look()

    def _answered(self) -> None:
        self._question = ""
        self.look()

    def _warned(self, sentences: tuple[str, ...]) -> None:
        self._doubt = sentences[0] if sentences else ""
        self.look()

    def _state_changed(self, state: RunState) -> None:
        controller = self._controller
        if controller.task == "designs" and state is RunState.FINISHED:
            self._compared = True
        self.look()
