"""What went over the line to a device, both ways: the last of it, readable."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

KEPT_BYTES = 65536
SHOWN = 160
"""Bytes of an entry that a line of text shows."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Bytes in one direction.

    Attributes
    ----------
    time_s
        Seconds since the log was made.
    sent
        True from the computer to the device.
    """

    time_s: float
    sent: bool
    data: bytes

    def line(self) -> str:
        """The entry as text, bytes that cannot be printed as escapes."""
        shown = repr(self.data[:SHOWN])[2:-1]
        more = f" ... {len(self.data)} bytes" if len(self.data) > SHOWN else ""
        return f"{self.time_s:9.3f} {'>' if self.sent else '<'} {shown}{more}"


class ByteLog:
    """A ring of the last bytes sent and received; safe to read from another thread."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept = kept_bytes
        self._entries: deque[LogEntry] = deque()
        self._bytes = 0
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def add(self, sent: bool, data: bytes) -> None:
        """Note bytes in one direction; the oldest fall out."""
        if not data:
            return
        with self._lock:
            self._entries.append(LogEntry(time.monotonic() - self._start, sent, bytes(data[-self._kept :])))
            self._bytes += len(self._entries[-1].data)
            while self._bytes > self._kept and len(self._entries) > 1:
                self._bytes -= len(self._entries.popleft().data)

    def entries(self) -> list[LogEntry]:
        """What is kept, oldest first."""
        with self._lock:
            return list(self._entries)

    def text(self) -> str:
        """What is kept as lines: seconds, ``>`` for sent or ``<`` for received, and the bytes."""
        return "\n".join(entry.line() for entry in self.entries())
