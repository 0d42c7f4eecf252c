"""Runs on disk, opened to be scored or exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.formats.geometry_file import with_geometry
from ptychoui.errors import RunError
from ptychoui.training.examples import Examples
from ptychoui.training.objectives import Scores
from ptychoui.training.problem import build_problem
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.step import Parameters, evaluate
from ptychoui.training.trainer import Trainer


def load_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> Trainer:
    """Open a run for reading, with its newest design; another data set may stand in for its own.

    Raises
    ------
    RunError
        If the folder is no run, nothing was saved yet, or its settings were edited: a score of another split would be
        one of objects that were learned from.
    """
    run = RunFolder.open(path, lock=False)
    experiment = run.settled_experiment()
    if data is not None:
        other = data if data.startswith("sample:") else str(Path(data).resolve())
        experiment = experiment.replace(data=experiment.data.replace(path=other, images=None))
    if geometry is not None:
        experiment = with_geometry(experiment, geometry)
    saved = run.load()
    if saved is None:
        raise RunError(f"{run.path} holds no saved state yet", "wait for its first save")
    trainer = Trainer(build_problem(experiment))
    trainer.restore(saved)
    return trainer


def evaluate_run(path: str | Path, data: str | None = None, geometry: str | None = None) -> dict[str, Any]:
    """Score a run on its held-out objects, or on all of another data set, with true Poisson noise."""
    trainer = load_run(path, data, geometry)
    problem = trainer.problem
    examples = problem.held_out
    if data is not None:
        # Nothing of another data set was used for learning, so all of it may judge.
        examples = Examples(
            intensities=torch.cat([problem.held_out.intensities, problem.training.intensities]),
            truth=torch.cat([problem.held_out.truth, problem.training.truth]),
            sources=np.concatenate([problem.held_out.sources, problem.training.sources]),
        )
    found = evaluate(problem, trainer.network, trainer.parameters, examples)
    return {
        "run_folder": str(path),
        "data": data or problem.experiment.data.path,
        "reference": problem.reference,
        "objects": len(examples),
        "steps": trainer.step,
        **_means(found),
        "notes": [*problem.notes, *(problem.split if data is None else ())],
    }


def rescore(trainer: Trainer, levels: NDArray[np.float64], exposures: NDArray[np.float64]) -> dict[str, float]:
    """Scores of another design, such as the quantised one, on a run's held-out objects."""
    problem = trainer.problem
    physics = problem.physics
    other = Parameters(
        levels=torch.from_numpy(levels.copy()).to(physics.device, physics.dtype),
        exposures=torch.from_numpy(exposures.copy()).to(physics.device, physics.dtype),
        step=trainer.parameters.step,
        momentum=trainer.parameters.momentum,
    )
    everywhere = replace(problem, mask=torch.ones_like(problem.mask))
    return _means(evaluate(everywhere, trainer.network, other, problem.held_out))


def _means(found: Scores) -> dict[str, float]:
    return {
        "complex_error": float(found.complex_error.mean()),
        "amplitude_error": float(found.amplitude_error.mean()),
        "phase_error_rad": float(found.phase_error_rad.mean()),
    }
