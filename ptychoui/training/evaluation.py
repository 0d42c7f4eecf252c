"""Runs on disk, opened to be scored or exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ptychoui.errors import RunError
from ptychoui.settings import Experiment, kind_of
from ptychoui.training.gradients import evaluate
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.task import AnyTask, build_task, on_other_data, to_score
from ptychoui.training.trainer import Trainer


def load_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> Trainer[AnyTask]:
    """Open a run for reading, with what it learned last; another data set may stand in for its own.

    Raises
    ------
    RunError
        If the folder is no run, nothing was saved yet, its network does not fit the other data, or its settings were
        edited: a score of another split would be one of examples that were learned from.
    """
    return _opened(path, data, geometry)[0]


def _opened(path: str | Path, data: str | None, geometry: str | None) -> tuple[Trainer[AnyTask], Any]:
    """A run, and the examples that it is scored on: those held out, or all of another data set."""
    run = RunFolder.open(path, lock=False)
    experiment = run.settled_experiment()
    if data is not None or geometry is not None:
        experiment = on_other_data(experiment, data, geometry)
    saved = run.load()
    if saved is None:
        raise RunError(f"{run.path} holds no saved state yet", "wait for its first save")
    if data is None:
        task = build_task(experiment)
        examples = task.held_out
    else:
        # Nothing of another data set was used for learning, so all of it may judge.
        task, examples = to_score(experiment)
    trainer = Trainer(task)
    try:
        trainer.restore(saved)
    except RunError as error:
        if data is None:
            raise
        raise RunError(
            f"the run does not fit {data}: {error.message}", "give data of the kind that it learned from"
        ) from None
    trainer.take_up_verdict(run.events())
    return trainer, examples


def evaluate_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> dict[str, Any]:
    """Score a run on its held-out examples, or on all of another data set, with noise as it falls."""
    trainer, examples = _opened(path, data, geometry)
    task = trainer.task
    found = evaluate(task, trainer.network, trainer.parameters, examples)
    return {
        "run_folder": str(path),
        "data": data or task.source,
        "reference": task.reference,
        "objects": len(examples),
        "steps": trainer.step,
        **mean_scores(task.experiment, found),
        "notes": [*task.notes, *(task.split if data is None else ())],
    }


def mean_scores(experiment: Experiment, found: dict[str, Tensor]) -> dict[str, float]:
    """Mean over the examples of each metric of a kind, the one that decides first; scores are (B,) each."""
    metrics = kind_of(experiment.kind).metrics
    return {metric.name: float(found[metric.name].mean()) for metric in metrics if metric.name in found}
