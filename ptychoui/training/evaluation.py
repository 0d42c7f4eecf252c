"""Runs on disk, opened to be scored or exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ptychoui.errors import RunError
from ptychoui.settings import Experiment, kind_of
from ptychoui.training.gradients import evaluate
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.task import AnyTask, build_task, on_other_data
from ptychoui.training.trainer import Trainer


def load_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> Trainer[AnyTask]:
    """Open a run for reading, with what it learned last; another data set may stand in for its own.

    Raises
    ------
    RunError
        If the folder is no run, nothing was saved yet, or its settings were edited: a score of another split would be
        one of examples that were learned from.
    """
    run = RunFolder.open(path, lock=False)
    experiment = run.settled_experiment()
    if data is not None or geometry is not None:
        experiment = on_other_data(experiment, data, geometry)
    saved = run.load()
    if saved is None:
        raise RunError(f"{run.path} holds no saved state yet", "wait for its first save")
    trainer = Trainer(build_task(experiment))
    trainer.restore(saved)
    trainer.take_up_verdict(run.events())
    return trainer


def evaluate_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> dict[str, Any]:
    """Score a run on its held-out examples, or on all of another data set, with noise as it falls."""
    trainer = load_run(path, data, geometry)
    task = trainer.task
    examples = task.held_out
    if data is not None:
        # Nothing of another data set was used for learning, so all of it may judge.
        examples = task.held_out.joined(task.training)
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
