"""Clocks of a benchmark that learns for some time, and the time that optimiser steps take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import torch

from ptychoui.errors import SettingsError
from ptychoui.training.events import Event, StepDone

Clock = Callable[[], float]

CLOCKS: dict[str, Clock] = {
    "wall": time.perf_counter,
    "cpu": lambda: time.process_time() / torch.get_num_threads(),
}
"""Seconds on the wall, or of the processor per thread: the same on an idle machine, and fair on a busy one."""


def pick_clock(name: str) -> Clock:
    """The clock of a name, or `SettingsError` that says which there are."""
    if name not in CLOCKS:
        raise SettingsError(f"there is no clock {name!r}", f"clocks are {', '.join(CLOCKS)}")
    return CLOCKS[name]


def timed(events: Iterable[Event], clock: Clock) -> Iterator[tuple[Event, float]]:
    """The events of a run, each with the seconds that its optimiser steps took so far; scoring does not count."""
    spent, before = 0.0, clock()
    for event in events:
        if isinstance(event, StepDone):
            spent += clock() - before
        yield event, spent
        before = clock()
