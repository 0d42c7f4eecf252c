"""Greedy learning of a multi-coil network beside end-to-end learning: equal memory, equal depth, equal parameters.

Every row learns from the same phantoms for the same time of the processor, so that rows of equal time are the whole
table, with the best of a few learning rates of its own:

    shallow      as many unrolls as one module has, end to end: the memory of greedy learning
    wide         the same with about as many weights as all modules together
    deep         all unrolls end to end, by checkpoints: the depth of greedy learning, and its weights
    greedy       all unrolls in modules with losses and optimisers of their own

Scores are errors on held-out phantoms; greedy networks are also scored after every module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ptychoui.bench.intervals import interval
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.sizes import size_text
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.task import MriTask, build_task
from ptychoui.training.events import StepDone
from ptychoui.training.gradients import evaluate, loss_and_gradients, reconstruct_batch
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.trainer import Trainer

ROWS = ("shallow", "wide", "deep", "greedy")


def experiment_of(
    row: str, seed: int, rate: float, size: tuple[int, ...], unrolls: int, modules: int, channels: int
) -> MriExperiment:
    """A run of one row; ``unrolls`` is what one module has."""
    greedy = row == "greedy"
    values: dict[str, Any] = {
        "name": row,
        "seed": seed,
        "data": {"size": size, "coils": 4, "examples": 24, "held_out": 6, "snr_db": 28.0},
        "sampling": {"pattern": "poisson_disc", "acceleration": 6.0, "calibration": 12},
        "network": {
            "unrolls": unrolls if row in ("shallow", "wide") else unrolls * modules,
            "channels": round(channels * modules**0.5) if row == "wide" else channels,
            "shared": False,
            "mu": 0.1,
        },
        "engine": {
            "device": "cpu", "check_every": 0,
            "strategy": "greedy" if greedy else "checkpoint" if row == "deep" else "store_all",
            "modules": modules if greedy else 1, "module_optimisers": "each" if greedy else "one",
        },
        "training": {"steps": 100_000, "batch": 1, "learning_rate": rate, "validate_every": 1_000_000},
    }  # fmt: skip
    return MriExperiment(**values)


def learn(experiment: MriExperiment, budget_s: float) -> dict[str, Any]:
    """Learn for so many seconds of the processor; scores before and after count for nothing."""
    trainer: Trainer[MriTask] = Trainer(build_task(experiment))
    spent, before = 0.0, time.process_time()
    for event in trainer.steps_alone():
        if isinstance(event, StepDone):
            spent += time.process_time() - before
            before = time.process_time()
        if spent > budget_s:
            break
    task, parameters = trainer.task, trainer.parameters
    found = evaluate(task, trainer.network, parameters, task.held_out)
    engine = experiment.engine
    values = {
        "error": float(found["nrmse"].mean()),
        "psnr_db": float(found["psnr_db"].mean()),
        "steps": trainer.step,
        "weights": sum(parameters[name].numel() for name in parameters.learned),
        "memory_bytes": memory_of(task, parameters, engine.strategy),
        "rate": experiment.training.learning_rate,
    }
    if engine.strategy == "greedy":
        values["after_modules"] = after_modules(task, parameters, engine.modules)
    return values


def memory_of(task: MriTask, parameters: ParameterSet, strategy: str) -> int:
    """Bytes that one step holds on top of everything, metered."""
    network, batch = task.network(), task.training.pick([0])
    with MemoryMeter() as meter:
        loss_and_gradients(task, network, strategy, parameters, batch, torch.Generator().manual_seed(1))
    return int(meter.peak)


def after_modules(task: MriTask, parameters: ParameterSet, modules: int) -> list[float]:
    """Mean held-out error of what leaves every module."""
    network = task.network()
    seen: list[torch.Tensor] = []
    output = reconstruct_batch(task, network, parameters, task.held_out, None, watch=lambda x: seen.append(x.clone()))
    each = len(network.chain) // modules
    leaving = [*seen[each::each], output]
    return [float(task.scores(image, task.held_out)["nrmse"].mean()) for image in leaving]


def speed(size: tuple[int, ...], unrolls: int, modules: int, channels: int, repeats: int = 5) -> dict[str, float]:
    """Times of a greedy and a checkpointed step of equal depth, interleaved, in s of the processor, least of each.

    By counting a checkpointed step is a greedy one with one forward pass more.
    """
    tasks = {
        row: build_task(experiment_of(row, 0, 1e-3, size, unrolls, modules, channels)) for row in ("greedy", "deep")
    }
    networks = {row: task.network() for row, task in tasks.items()}
    parameters = {row: task.parameters() for row, task in tasks.items()}
    batch = tasks["deep"].training.pick([0])
    times: dict[str, list[float]] = {"greedy": [], "checkpoint": [], "forward": []}
    for _ in range(repeats + 1):
        for name, row in (("greedy", "greedy"), ("checkpoint", "deep")):
            began = time.process_time()
            loss_and_gradients(tasks[row], networks[row], name, parameters[row], batch, None)
            times[name].append(time.process_time() - began)
        began = time.process_time()
        reconstruct_batch(tasks["deep"], networks["deep"], parameters["deep"], batch, None)
        times["forward"].append(time.process_time() - began)
    least = {name: min(each[1:]) for name, each in times.items()}
    allowed = 1 + least["forward"] / least["greedy"]
    gained = least["checkpoint"] / least["greedy"]
    return {**least, "gained": gained, "allowed": allowed}


def run(
    seeds: Sequence[int],
    budget_s: float = 60.0,
    rates: Sequence[float] = (1e-3, 3e-3),
    size: tuple[int, ...] = (64, 56),
    unrolls: int = 2,
    modules: int = 4,
    channels: int = 16,
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[dict[str, Any]], None] = lambda _result: None,
) -> dict[str, Any]:
    """Learn every row for every seed; learning rates are chosen by a quarter of the time on another seed."""
    chosen = {}
    for row in ROWS:
        tried = {
            rate: learn(experiment_of(row, 1000, rate, size, unrolls, modules, channels), budget_s / 4)["error"]
            for rate in rates
        }
        chosen[row] = min(tried, key=lambda rate: tried[rate])
        say(f"{row}: learning rate {chosen[row]:g} of " + ", ".join(f"{r:g} ({e:.4f})" for r, e in tried.items()))
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {
        "size": size, "unrolls": unrolls, "modules": modules, "channels": channels, "budget_s": budget_s,
        "threads": torch.get_num_threads(), "speed": speed(size, unrolls, modules, channels), "rows": rows,
    }  # fmt: skip
    for seed in seeds:
        for row in ROWS:
            found = learn(experiment_of(row, seed, chosen[row], size, unrolls, modules, channels), budget_s)
            rows.append({"row": row, "seed": seed, **found})
            say(f"seed {seed} {row}: error {found['error']:.4f} after {found['steps']} steps")
            result["load"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
            keep(result)
    return result


def table(result: dict[str, Any]) -> str:
    """Rows and gains as text."""
    rows, seeds = result["rows"], sorted({row["seed"] for row in result["rows"]})
    of = {(row["row"], row["seed"]): row for row in rows}
    lines = [
        f"{' x '.join(map(str, result['size']))}, modules of {result['unrolls']} unrolls, {result['modules']} of them; "
        f"{result['budget_s']:.0f} s of the processor each, {len(seeds)} seed(s), load {result['load']:.1f}",
        f"{'':<9}{'error':>8}{'weights':>9}{'memory':>10}{'steps':>7}{'rate':>8}   greedy is better by",
    ]
    for row in ROWS:
        found = [of[row, seed] for seed in seeds]
        error = float(np.mean([each["error"] for each in found]))
        gains = [20 * np.log10(of[row, seed]["error"] / of["greedy", seed]["error"]) for seed in seeds]
        mean, low, high = interval(np.array(gains))
        better = "" if row == "greedy" else f"   {mean:+.2f} dB [{low:+.2f}, {high:+.2f}]"
        steps = round(float(np.mean([each["steps"] for each in found])))
        lines.append(
            f"{row:<9}{error:>8.4f}{found[0]['weights']:>9}{size_text(found[0]['memory_bytes']):>10}{steps:>7}"
            f"{found[0]['rate']:>8.0e}{better}"
        )
    modules = np.mean([of["greedy", seed]["after_modules"] for seed in seeds], axis=0)
    lines.append("greedy, error after every module: " + ", ".join(f"{error:.4f}" for error in modules))
    one = result["speed"]
    lines.append(
        f"a greedy step takes {one['greedy']:.2f} s, a checkpointed one {one['gained']:.2f} times that; "
        f"its parts allow {one['allowed']:.2f} (a share of {one['gained'] / one['allowed']:.2f})"
    )
    return "\n".join(lines)
