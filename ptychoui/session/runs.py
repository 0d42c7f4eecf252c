"""Iterators of events for the worker: a new run, or one taken up from its folder. Torch is imported inside them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Experiment
from ptychoui.training.control import RunControl
from ptychoui.training.events import TERMINAL, Finished, Preparing, ResultReady, Snapshot

if TYPE_CHECKING:
    from ptychoui.training.task import AnyTask
    from ptychoui.training.trainer import Trainer

LOG = logging.getLogger(__name__)
MAKING_TRUTH, READING = "reconstructing the stack", "reading the data"
LOADING, TAKING_UP, PLANNING = "loading the program", "taking up the run", "planning the memory"
"""What is done before a run has begun; what is learned from is made first."""
Values = NDArray[np.float64]


def new_run(
    experiment: Experiment,
    folder: Path | None,
    start: Mapping[str, Values] = MappingProxyType({}),
    measured: bool = False,
    begins_from: Path | None = None,
) -> MakeEvents:
    """Return what a worker needs to train an experiment; parameters in ``start`` begin with those values, by name.

    All others begin as the run in ``begins_from`` left them, where that has them in the same shape. ``measured``: its
    data are a stack of images, which is reconstructed before anything is learned from it.
    """

    def events(control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        control.now(LOADING)
        leave_a_core()
        import torch

        from ptychoui.export.first_picture import draw_first
        from ptychoui.training.runs import new_run

        yield Preparing(step=0, text=MAKING_TRUTH if measured else READING)
        run = new_run(experiment, folder, control, want_images)
        for name, given in _beginnings(start, begins_from).items():
            parameter = run.parameters.tensors.get(name)
            if parameter is not None and tuple(given.shape) == tuple(parameter.shape):
                with torch.no_grad():
                    parameter.copy_(torch.from_numpy(np.array(given)))
        try:
            draw_first(run)
        except PtychouiError as error:  # learning goes on
            LOG.warning("the picture of what is learned from was not written: %s", error)
        yield Preparing(step=0, text=PLANNING)
        yield from _events_of(run, want_images)

    return events


def resumed_run(folder: Path, steps: int | None = None) -> MakeEvents:
    """Return what a worker needs to take up a run; ``steps`` replaces the number of steps it was planned for."""

    def changes(experiment: Experiment) -> Experiment:
        if steps is None:
            return experiment
        return experiment.replace(training=experiment.training.replace(steps=steps))

    def events(control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        control.now(LOADING)
        leave_a_core()
        from ptychoui.training.runs import resume_run

        yield Preparing(step=0, text=TAKING_UP)
        run = resume_run(folder, control, want_images, changes)
        yield Preparing(step=run.step, text=PLANNING)
        yield from _events_of(run, want_images)

    return events


def _beginnings(start: Mapping[str, Values], begins_from: Path | None) -> dict[str, Values]:
    """Values to begin with, by name: what a person set goes before what a run has learned."""
    return ({} if begins_from is None else _parameters_in(begins_from)) | dict(start)


def _parameters_in(folder: Path) -> dict[str, Values]:
    """What a run has learned so far, by name; nothing where nothing was saved."""
    from ptychoui.training.run_folder import RunFolder

    mark = "parameter_"
    state = RunFolder.open(folder, lock=False).load() or {}
    return {name.removeprefix(mark): array for name, array in state.items() if name.startswith(mark)}


def learned_in(folder: Path) -> Any:
    """What a run in a folder has learned so far, complete for export. The data are read again: this belongs in a job.

    Raises
    ------
    PtychouiError
        If nothing was saved yet, or the run cannot be read.
    """
    from ptychoui.training.evaluation import load_run

    return load_run(folder).result()


def write_report_of(folder: Path) -> Path:
    """Write the figures and the report of a run into its folder; returns the report's path. This belongs in a job.

    Raises
    ------
    PtychouiError
        If nothing was saved yet, or it cannot be written.
    """
    from ptychoui.export.report import write_report
    from ptychoui.training.evaluation import load_run
    from ptychoui.training.run_folder import RunFolder

    run = load_run(folder)
    run.folder = RunFolder.open(folder, lock=False)
    return write_report(run)


def run_folder_for(experiment: Experiment, beside: Path | None, now: datetime | None = None) -> Path:
    """Name a new run folder: beside the experiment's file, or in the user's state folder."""
    base = beside.parent if beside is not None else user_state()
    if beside is None:
        with suppress(OSError):  # where it cannot be made, making the run says so
            base.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", experiment.name).strip("-").lower() or "run"
    stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
    folder = base / "runs" / f"{name}-{stamp}"
    count = 1
    while folder.exists():
        count += 1
        folder = base / "runs" / f"{name}-{stamp}-{count}"
    return folder


def _events_of(run: Trainer[AnyTask], want_images: Callable[[], bool]) -> Iterator[Any]:
    """Events of a trainer; before the last one the result and its picture, after it the lock is free."""
    pictured = -1
    with closing(_Lock(run)):
        for event in run.run():
            if isinstance(event, TERMINAL):
                if isinstance(event, Finished) and pictured != run.step:
                    yield run.snapshot()
                yield ResultReady(step=event.step, result=run.result())
            elif isinstance(event, Snapshot):
                pictured = event.step
            yield event


class _Lock:
    def __init__(self, run: Trainer[AnyTask]) -> None:
        self._run = run

    def close(self) -> None:
        if self._run.folder is not None:
            self._run.folder.close()


def leave_a_core() -> None:
    """Leave one core to the window: with all of them busy its heart-beat was seen 0.1 s late."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
