"""Whether the memory of a process stays flat while a run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.errors import PtychouiError
from ptychoui.settings import Experiment
from ptychoui.training.events import StepDone
from ptychoui.training.task import build_task
from ptychoui.training.trainer import Trainer

WARM = 0.1
"""Share of the steps after which everything that stays has been made."""


def resident_bytes() -> int:
    """Pages of this process that are in memory.

    Raises
    ------
    PtychouiError
        If the system does not say.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        raise PtychouiError("this system does not say how much memory a process has", "measure on Linux") from None
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(experiment: Experiment, steps: int = 200, say: Callable[[str], None] = lambda _line: None) -> dict[str, Any]:
    """Take steps and read the resident memory after each.

    Raises
    ------
    PtychouiError
        If the system does not say how much a process has.
    """
    large_arrays_apart()
    settings = experiment.replace(training=experiment.training.replace(steps=steps))
    sizes = []
    for event in Trainer(build_task(settings)).steps_alone():
        if isinstance(event, StepDone):
            sizes.append(resident_bytes())
            if event.step % max(steps // 10, 1) == 0:
                say(f"step {event.step}: {sizes[-1] / 1e6:.1f} MB")
    warm = sizes[round(WARM * len(sizes)) :]
    return {
        "name": experiment.name,
        "strategy": experiment.engine.strategy,
        "steps": len(sizes),
        "first_bytes": warm[0],
        "last_bytes": warm[-1],
        "largest_bytes": max(warm),
        "growth": warm[-1] / warm[0] - 1,
        "spread": max(warm) / min(warm) - 1,
    }


def table(result: dict[str, Any]) -> str:
    """One line."""
    return (
        f"{result['name']}, {result['strategy']}: resident memory {result['first_bytes'] / 1e6:.1f} MB after a tenth "
        f"of {result['steps']} steps, "
        f"{result['last_bytes'] / 1e6:.1f} MB at the end ({100 * result['growth']:+.2f} %), "
        f"largest over least {100 * result['spread']:.2f} % more"
    )
