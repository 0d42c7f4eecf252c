"""The run of the demonstration: the engine's own, in the worker's thread, with a picture after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ptychoui.session.demo.making import demo_experiment
from ptychoui.session.runs import LOADING, PLANNING, READING, leave_a_core, run_folder_for
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import FpmExperiment
from ptychoui.training.control import RunControl
from ptychoui.training.events import TERMINAL, Event, Preparing, Snapshot

NAMED = {
    LOADING: "loading the engine",
    READING: "simulating what the microscope sees",
    PLANNING: "planning the memory",
}
"""What is done before the first step, as people say it, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryByDepth(Event):
    """Predicted peak of back-propagation, (D,) bytes, at so many unrolls, (D,), by a probe of one unroll here."""

    depths: tuple[int, ...]
    predicted: tuple[int, ...]
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSnapshot(Event):
    """A picture that must not be lost: what was learned is shown from its beginning."""

    picture: Snapshot


def live_folder(now: datetime | None = None) -> Path:
    """Name of a new run folder in the user's own folder."""
    return run_folder_for(demo_experiment(), None, now)


def live_run(folder: Path | None, depths: tuple[int, ...], experiment: FpmExperiment | None = None) -> MakeEvents:
    """Return what a worker needs to train the demonstration's experiment.

    Parameters
    ----------
    folder
        Where the run is saved; None keeps nothing.
    depths
        Numbers of unrolls for which the memory of back-propagation is predicted.
    """

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        asked = demo_experiment() if experiment is None else experiment
        control.now(NAMED[LOADING])
        yield Preparing(step=0, text=NAMED[LOADING])
        leave_a_core()
        from ptychoui.engine.planner import free_memory
        from ptychoui.training.planning import predicted_peaks
        from ptychoui.training.runs import new_run

        control.checkpoint()
        yield Preparing(step=0, text=NAMED[READING])
        run: Any = new_run(asked, folder, control, lambda: True)
        control.now(NAMED[PLANNING])
        yield Preparing(step=0, text=NAMED[PLANNING])
        try:
            peaks = predicted_peaks(run.task, run.parameters, depths)["store_all"]
            yield MemoryByDepth(step=0, depths=depths, predicted=tuple(peaks), free=free_memory(run.task.device))
            for event in run.run():
                # The lock is given back before the end is told: whoever hears of it may open the run.
                if isinstance(event, TERMINAL) and run.folder is not None:
                    run.folder.close()
                yield LiveSnapshot(step=event.step, picture=event) if isinstance(event, Snapshot) else event
        finally:
            if run.folder is not None:
                run.folder.close()

    return events
