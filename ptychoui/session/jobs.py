"""Short work beside a run: reading a file, exporting, scoring. One thread, one job after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ptychoui.session.failures import describe, empty_device_cache
from ptychoui.session.mailbox import Mailbox
from ptychoui.training.events import Failed


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job ended: ``value`` is what it returned, or ``failure`` says why it did not."""

    key: str
    value: Any = None
    failure: Failed | None = None


Work = Callable[[], Any]


class JobQueue:
    """Does jobs in a thread of its own, started with the first job.

    A job has a key. Of several waiting jobs with the same key only the newest is done, so a form may ask on every
    keystroke.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[int, Work]] = {}
        self._count = 0
        self._busy = 0
        self._thread: threading.Thread | None = None

    def submit(self, key: str, work: Work) -> int:
        """Queue a job and return its number, which its `JobDone` will carry."""
        with self._lock:
            self._count += 1
            number = self._count
            if key not in self._newest:
                self._waiting.put(key)
                self._busy += 1
            self._newest[key] = (number, work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ptychoui jobs", daemon=True)
                self._thread.start()
        return number

    @property
    def busy(self) -> bool:
        """True while a job waits or is being done."""
        with self._lock:
            return self._busy > 0

    def close(self, timeout: float | None = None) -> bool:
        """Finish the jobs that wait and end the thread; False if it is still alive after ``timeout`` seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._waiting.put(None)
        thread.join(timeout)
        return not thread.is_alive()

    def _work(self) -> None:
        while (key := self._waiting.get()) is not None:
            with self._lock:
                number, work = self._newest.pop(key)
            done = self._do(key, work)
            if done.failure is not None and done.failure.kind == "OutOfMemoryError":
                empty_device_cache()
            # In this order: whoever sees that nothing is busy finds the last answer in the mailbox.
            self.mailbox.put_scalar(number, done)
            with self._lock:
                self._busy -= 1
            del work, done

    @staticmethod
    def _do(key: str, work: Work) -> JobDone:
        try:
            return JobDone(key, value=work())
        except BaseException as error:  # becomes a message; the queue goes on
            return JobDone(key, failure=describe(error, 0))
