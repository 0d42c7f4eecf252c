"""Pause and stop for a run, and what it is doing, from any thread. Standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ptychoui.errors import StopRequested


class RunControl:
    """Two flags that a run looks at between layers, and words for what it is doing."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._waiting = threading.Event()
        self._doing = "", 0.0

    def now(self, doing: str) -> None:
        """Say what the run is about to do, in a few words: whoever shows it asks for `doing`."""
        self._doing = doing, time.monotonic()

    @property
    def doing(self) -> tuple[str, float]:
        """What the run is doing, and for how many seconds; nothing before it said so."""
        text, since = self._doing
        return text, time.monotonic() - since if text else 0.0

    def pause(self) -> None:
        """Ask the run to wait at the next layer."""
        self._go.clear()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._go.set()

    def stop(self) -> None:
        """Ask the run to end at the next layer; wakes a paused run."""
        self._stop.set()
        self._go.set()

    @property
    def pausing(self) -> bool:
        """True from the request to pause until the request to go on."""
        return not self._go.is_set()

    @property
    def waiting(self) -> bool:
        """True while the run really stands still."""
        return self._waiting.is_set()

    @property
    def stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stop.is_set()

    def checkpoint(self, before_wait: Callable[[], None] | None = None) -> None:
        """Wait while paused, having called ``before_wait`` once; raise `StopRequested` once stopped."""
        if self._stop.is_set():
            raise StopRequested
        if self._go.is_set():
            return
        if before_wait is not None:
            before_wait()
        self._waiting.set()
        try:
            self._go.wait()
        finally:
            self._waiting.clear()
        if self._stop.is_set():
            raise StopRequested
