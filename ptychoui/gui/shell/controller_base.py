"""What all parts of the controller share: the document, the worker, the job queue, and the signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from ptychoui.gui.shell.bridge import Bridge
from ptychoui.gui.shell.following import Following
from ptychoui.gui.shell.job_desk import JobDesk
from ptychoui.gui.shell.job_kinds import Task
from ptychoui.gui.shell.kept_work import KeptWork
from ptychoui.session.assessment import Brightness
from ptychoui.session.document import Document
from ptychoui.session.jobs import JobQueue
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.opening import (
    AxesWanted,
    GeometryWanted,
)
from ptychoui.session.worker import RunState, Worker
from ptychoui.settings import Geometry

RECOVERY_DELAY_MS = 2000


class History(Protocol):
    """What a run is told to."""

    def take(self, event: object) -> None:
        """Note an event."""


class ControllerBase(QObject):
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
    assessed
        A new `Assessment`.
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
    warned
        Sentences in which the brightness of the images contradicts the geometry.
    maps_found
        `MapsShown` of the k-space that is shown, or the sentence why there are none.
    half_taken
        (preset of a microscope or an array, geometry that it was put into), before the geometry changes.
    """

    document_changed = pyqtSignal(str)
    run_changed = pyqtSignal()
    reconstruction_changed = pyqtSignal()
    forecast = pyqtSignal(object)
    pictured = pyqtSignal(object)
    state_changed = pyqtSignal(object)
    assessed = pyqtSignal(object)
    said = pyqtSignal(str, str, str, str)
    opened = pyqtSignal(str)
    failed = pyqtSignal(object)
    geometry_wanted = pyqtSignal(object)
    axes_wanted = pyqtSignal(object)
    warned = pyqtSignal(object)
    doing_changed = pyqtSignal(str, int)
    maps_found = pyqtSignal(object)
    half_taken = pyqtSignal(object, object)

    kept: KeptWork

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = Document()
        self.mailbox = Mailbox()
        self.worker = Worker(self.mailbox)
        self.jobs = JobQueue(self.mailbox)
        self.bridge = Bridge(self.mailbox, self)
        self.desk = JobDesk(self.jobs, self.say, self)
        self.following = Following(self.desk, self)
        self.task: Task = "training"
        self._measured_from: Geometry | None = None
        self._brightness = Brightness()
        self._warned: tuple[object, tuple[str, ...]] = None, ()
        self._told: History = self.document.history
        self._state = RunState.IDLE
        self._ended_run = 0
        self._doing = "", 0
        self._question: GeometryWanted | None = None
        self._asked: tuple[GeometryWanted | AxesWanted, Callable[[], None] | None] | None = None
        self._recovery = QTimer(self)
        self._recovery.setSingleShot(True)
        self._recovery.setInterval(RECOVERY_DELAY_MS)
        self.bridge.job_done.connect(self.desk.take)

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

    def keep_settings_soon(self) -> None:
        """Write unsaved settings for the next start, a little later."""
        self._recovery.start()

    def _refuse_while_running(self) -> bool:
        if self.state.active:
            self.say("warning", "A run is active", "stop it first; nothing was changed")
            return True
        return False
