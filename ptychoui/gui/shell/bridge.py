"""Pulls the mailbox 30 times a second and hands what is new to the window. The worker never calls the window."""

from __future__ import annotations

import faulthandler
import time
from typing import IO, Any

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from ptychoui.session.jobs import JobDone
from ptychoui.session.mailbox import Mailbox

PERIOD_MS = 33
WATCHDOG_S = 5.0


class Bridge(QObject):
    """Signals for what arrived since the last tick.

    Attributes
    ----------
    run_events
        (run number, list of events in order): one signal per tick, so that a view draws once.
    picture
        (run number, kind, value): the newest of each kind.
    job_done
        (job number, `JobDone`).
    tick
        After every look, whether or not something came.
    """

    run_events = pyqtSignal(int, list)
    picture = pyqtSignal(int, str, object)
    job_done = pyqtSignal(int, object)
    tick = pyqtSignal()

    def __init__(self, mailbox: Mailbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mailbox = mailbox
        self._watchdog: IO[str] | None = None
        self._armed_at = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.pull)

    def start(self, watchdog: IO[str] | None = None) -> None:
        """Begin to look; with a file, the stacks of all threads go there when the window hangs for 5 s."""
        self._watchdog = watchdog
        self._timer.start()

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()
        if self._watchdog is not None:
            faulthandler.cancel_dump_traceback_later()
            self._watchdog = None

    def pull(self) -> None:
        """Take everything out of the mailbox and signal it, then ask for a picture."""
        self._feed_watchdog()
        mail = self._mailbox.drain()
        runs: dict[int, list[Any]] = {}
        for item in mail.scalars:
            if isinstance(item.value, JobDone):
                self.job_done.emit(item.run, item.value)
            else:
                runs.setdefault(item.run, []).append(item.value)
        # Pictures first: the last event of a run finds its last picture in place.
        for kind, item in mail.images:
            self.picture.emit(item.run, kind, item.value)
        for run, events in runs.items():
            self.run_events.emit(run, events)
        self._mailbox.want_images()
        self.tick.emit()

    def _feed_watchdog(self) -> None:
        now = time.monotonic()
        if self._watchdog is not None and now - self._armed_at > 1.0:
            faulthandler.dump_traceback_later(WATCHDOG_S, file=self._watchdog)
            self._armed_at = now
