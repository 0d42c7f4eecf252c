"""Learned lines of k-space beside the best of many random ones, each with a network trained for it.

For every seed a network is trained with patterns that are drawn anew in every step. With it the best of ``draws``
variable-density patterns is found on the training phantoms; a network of its own is then trained for that pattern, and
another together with lines that are learned, both from the same weights, with the same phantoms, net acceleration,
calibration lines and number of steps. Errors are of held-out phantoms; intervals are paired by seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ptychoui.bench.intervals import interval
from ptychoui.bench.mri.prior import gain_db
from ptychoui.mri.sampling import draw_mask
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.examples import KSpaces
from ptychoui.tasks.mri.task import MriTask, build_task
from ptychoui.training.gradients import evaluate
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.trainer import Trainer

CHOOSING = 6
"""Training phantoms that choose the best pattern."""


def run(
    experiment: MriExperiment,
    seeds: Sequence[int],
    draws: int = 20,
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[dict[str, Any]], None] = lambda _result: None,
) -> dict[str, Any]:
    """Learn and compare once for every seed; ``keep`` gets the result after each.

    Raises
    ------
    SettingsError
        If the experiment's patterns are no lines.
    """
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for seed in seeds:
        of_seed = experiment.replace(seed=experiment.seed + seed)
        learned = build_task(of_seed.replace(sampling=of_seed.sampling.replace(learn=True)))
        redrawn = build_task(of_seed.replace(sampling=of_seed.sampling.replace(learn=False, redraw=True)))
        network = trained(redrawn)
        best = best_draw(redrawn, network, draws, np.random.default_rng([of_seed.seed, 1]))
        fixed = of_seed.sampling.replace(learn=False, redraw=False)
        even = of_seed.sampling.replace(learn=False, redraw=False, pattern="equispaced")
        own = replace(redrawn, experiment=of_seed.replace(sampling=fixed))
        evenly = build_task(of_seed.replace(sampling=even))
        errors = {
            "learned": errors_of(learned, trained(learned)),
            "best draw": errors_of(on_pattern(own, best), trained(on_pattern(own, best))),
            "equispaced": errors_of(evenly, trained(evenly)),
            "redrawn": errors_of(redrawn, network),
        }
        rows.append({"seed": of_seed.seed, "errors": errors})
        say(f"seed {of_seed.seed}: " + ", ".join(f"{name} {np.mean(each):.4f}" for name, each in errors.items()))
        gains = {
            name: interval(np.array([gain_db(row["errors"][name], row["errors"]["learned"]) for row in rows]))
            for name in errors
            if name != "learned"
        }
        result = {
            "experiment": experiment.model_dump(mode="json", exclude_none=True),
            "draws": draws,
            "threads": torch.get_num_threads(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
            "errors": {name: float(np.mean([np.mean(row["errors"][name]) for row in rows])) for name in errors},
            "gains_db": gains,
            "rows": rows,
        }
        keep(result)
    return result


def trained(task: MriTask) -> ParameterSet:
    """What a task's run has learned in the end."""
    trainer: Trainer[MriTask] = Trainer(task)
    for _event in trainer.steps_alone():
        pass
    trainer.parameters.progress = 1.0
    return trainer.parameters


def on_pattern(task: MriTask, pattern: torch.Tensor) -> MriTask:
    """The task with one pattern, (rows, 1), for all its examples."""

    def all_of(examples: KSpaces) -> KSpaces:
        return replace(examples, sampled=pattern.to(examples.sampled).expand_as(examples.sampled).clone())

    return replace(task, training=all_of(task.training), held_out=all_of(task.held_out))


def best_draw(task: MriTask, network: ParameterSet, draws: int, generator: np.random.Generator) -> torch.Tensor:
    """The variable-density pattern, (rows, 1), of so many with which a network does best on training phantoms."""
    settings = task.experiment.sampling
    found: list[tuple[float, torch.Tensor]] = []
    for _ in range(draws):
        mask = draw_mask("variable_density", "2d", task.space, settings.acceleration, settings.calibration, generator)
        pattern = torch.from_numpy(mask.astype(np.float32))
        tried = on_pattern(task, pattern)
        some = tried.training.pick(list(range(min(CHOOSING, len(tried.training)))))
        error = float(evaluate(tried, tried.network(), network, some)["nrmse"].mean())
        found.append((error, pattern))
    return min(found, key=lambda pair: pair[0])[1]


def errors_of(task: MriTask, parameters: ParameterSet) -> list[float]:
    """NRMSE of every held-out phantom."""
    return [float(e) for e in evaluate(task, task.network(), parameters, task.held_out)["nrmse"]]


def table(result: dict[str, Any]) -> str:
    """Errors and gains as text."""
    sampling = result["experiment"]["sampling"]
    lines = [
        f"lines at a net acceleration of {sampling['acceleration']:g}, {sampling['calibration']} of them central; "
        f"best of {result['draws']} draws; {len(result['rows'])} seed(s), load {result['load']:.1f}"
    ]
    for name, error in sorted(result["errors"].items(), key=lambda pair: -pair[1]):
        better = ""
        if name != "learned":
            mean, low, high = result["gains_db"][name]
            better = f"   learned is better by {mean:+.2f} dB [{low:+.2f}, {high:+.2f}]"
        lines.append(f"{name:<12}{error:>8.4f}{better}")
    return "\n".join(lines)
