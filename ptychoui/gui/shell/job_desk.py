"""Who asked for which background job, and what the window says meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt6.QtCore import QObject, pyqtSignal

from ptychoui.session.jobs import JobDone, JobQueue
from ptychoui.training.events import Failed

Answer = Callable[[Any], None]
Refused = Callable[[Failed], None]


class JobDesk(QObject):
    """Submits jobs and hands their results back here, in the window's thread; a failure becomes a message.

    Of several jobs with one key only the newest is answered.

    Attributes
    ----------
    busy_changed
        What is being done; empty when nothing that a person waits for is.
    """

    busy_changed = pyqtSignal(str)

    def __init__(
        self, jobs: JobQueue, say: Callable[[str, str, str, str], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._jobs, self._say = jobs, say
        self._open: dict[str, tuple[int, Answer, str, Refused | None]] = {}

    def submit(
        self,
        key: str,
        work: Callable[[], Any],
        answer: Answer,
        busy_text: str = "",
        refused: Refused | None = None,
    ) -> None:
        """Do ``work`` in the background and call ``answer`` with its result, or ``refused`` with its failure."""
        self._open[key] = self._jobs.submit(key, work), answer, busy_text, refused
        self._tell()

    def take(self, number: int, done: JobDone) -> None:
        """Answer a job that is done; a failure becomes a message."""
        newest, answer, _, refused = self._open.get(done.key, (0, None, "", None))
        if number != newest or answer is None:
            return
        del self._open[done.key]
        if done.failure is not None and refused is not None:
            refused(done.failure)
        elif done.failure is not None:
            self._say("error", done.failure.message, done.failure.hint, done.failure.traceback_text)
        else:
            answer(done.value)
        self._tell()

    def _tell(self) -> None:
        texts = [text for _, _, text, _ in self._open.values() if text]
        self.busy_changed.emit(texts[-1] if texts else "")
