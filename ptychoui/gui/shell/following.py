"""Follows the run folder that is open, so that what another process writes is seen as it comes."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from ptychoui.gui.shell.job_desk import JobDesk
from ptychoui.session.followed_run import FollowedRun, RunNews
from ptychoui.training.events import Failed

LOOK_EVERY_MS = 400


class Following(QObject):
    """Looks into a run folder again and again, in the background.

    Attributes
    ----------
    told
        (run folder, `RunNews`) something is new, or the other process has begun or ended.
    """

    told = pyqtSignal(object, object)

    def __init__(self, desk: JobDesk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._wanted: Path | None = None
        self._run: FollowedRun | None = None
        self._asked = self._worked = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    def follow(self, folder: Path | None, known: bool = False) -> None:
        """Follow a run folder from now on; None follows nothing. Of one that is ``known`` only what is new is told."""
        if folder == self._wanted:
            return
        self._wanted = folder
        self._run = None if folder is None else FollowedRun(folder, known)
        self._asked = self._worked = False
        if folder is None:
            self._timer.stop()
        else:
            self._timer.start()
            self._look()

    def _give_up(self) -> None:
        self._run = None
        self._timer.stop()

    def _look(self) -> None:
        run = self._run
        if run is None or self._asked:
            return
        self._asked = True

        def done(news: RunNews) -> None:
            if run is not self._run:
                return
            self._asked = False
            changed, self._worked = news.working is not self._worked, news.working
            if news.gone:
                self._give_up()
            if news.anything or changed or news.gone:
                self.told.emit(run.path, news)

        def refused(_: Failed) -> None:
            if run is self._run:
                self._give_up()

        self._desk.submit(f"follow {run.path}", run.news, done, refused=refused)
