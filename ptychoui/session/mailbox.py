"""One slot per picture, a list for everything else: what crosses from a worker to whoever looks.

A consumer that falls behind loses old pictures and nothing else; memory stays bounded by one picture per kind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHORTEST_GAP_S = 0.1
"""Pictures are made at most this often."""

SHARE = 0.2
"""Pictures take at most this share of a run's time, however slow one is."""


@dataclass(frozen=True, slots=True)
class Item:
    """A value with the number of the run or job it belongs to."""

    run: int
    value: Any


@dataclass(frozen=True, slots=True)
class Mail:
    """Everything that arrived since the last look: all scalars in order, the newest picture of each kind."""

    scalars: tuple[Item, ...] = ()
    images: tuple[tuple[str, Item], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scalars or self.images)


class Mailbox:
    """Values from any thread to one consumer.

    Parameters
    ----------
    clock
        Seconds, monotonic; tests pass their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._scalars: list[Item] = []
        self._images: dict[str, Item] = {}
        self._wanted = False
        self._granted_at = -float("inf")
        self._cost_s = 0.0
        self._making = False

    def put_scalar(self, run: int, value: Any) -> None:
        """Append an event; none is ever lost."""
        with self._lock:
            self._scalars.append(Item(run, value))

    def put_image(self, run: int, kind: str, value: Any) -> None:
        """Replace the waiting picture of a kind."""
        with self._lock:
            self._images[kind] = Item(run, value)
            if self._making:  # one that nobody asked for says nothing of what pictures cost
                self._cost_s, self._making = self._clock() - self._granted_at, False

    def want_images(self) -> None:
        """The consumer is ready for another picture."""
        with self._lock:
            self._wanted = True

    def images_wanted(self) -> bool:
        """Asked by the producer: make a picture now? A yes uses the wish up."""
        with self._lock:
            now = self._clock()
            gap = max(SHORTEST_GAP_S, self._cost_s / SHARE)
            if not self._wanted or now - self._granted_at < gap:
                return False
            self._wanted, self._granted_at, self._making = False, now, True
            return True

    def drain(self) -> Mail:
        """Take everything out."""
        with self._lock:
            mail = Mail(tuple(self._scalars), tuple(self._images.items()))
            self._scalars = []
            self._images = {}
        return mail
