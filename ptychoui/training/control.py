"""Pause and stop for a run, from any thread. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ptychoui.errors import StopRequested


class RunControl:
    """Two flags that a run looks at between layers."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._waiting = threading.Event()

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
