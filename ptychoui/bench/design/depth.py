"""``ptychoui bench depth``: does depth pay? Designs learned by shallow and deep networks in the same time.

For each seed (split of the sources, random start, noise) and each number of unrolls:

1. step size and momentum are those that suit the random start best at this depth, from a grid, on training
   objects; where none beats an empty picture, so that nothing says what suits learning, those that suit
   a random partition or, after that, the best single LEDs. This is not part of the time, and an experiment that
   learns step sizes goes on learning them;
2. the design is learned for the time given, the same for all depths: as many optimiser steps as fit. Scoring does not
   count. A cosine schedule runs over the time instead of the steps. The time is that on the wall or, with
   ``--clock cpu``, that of the processor per thread, which is the same on an idle machine and fair on a busy one;
3. the final design is scored on the held-out objects by the network it was learned with, and by an independent,
   converged solver with a smooth prior, which compares the designs and not the networks.

A run that diverges, or runs out of memory, has a line that says so and no score. Means are over seeds, with standard
errors.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ptychoui.bench.clocks import CLOCKS, Clock, pick_clock, timed
from ptychoui.bench.design.grid import LEARNING_STEPS, MOMENTA, Say, Tuned, tuned_depths
from ptychoui.data.files import check_target, json_text, write_atomic
from ptychoui.design import starts
from ptychoui.errors import EngineError, SettingsError, is_out_of_memory
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.contenders import Contender, contender, learned_design
from ptychoui.tasks.fpm.judges import solver_errors
from ptychoui.tasks.fpm.parameters import DesignParameters, start_design
from ptychoui.tasks.fpm.sources import find_dataset
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.events import Validated
from ptychoui.training.gradients import evaluate
from ptychoui.training.trainer import Trainer

FALLBACKS = ("random_partition", "singles")
"""Designs that tune a depth at which the random start shows nothing."""

FOREVER = 1_000_000
"""Optimiser steps that no run of this benchmark reaches."""


class TimedTrainer(Trainer[FpmTask]):
    """A run whose schedule is over time.

    Parameters
    ----------
    seconds
        Time of all optimiser steps together.

    Attributes
    ----------
    spent
        Time of those done, on the clock that counts.
    """

    def __init__(self, problem: FpmTask, seconds: float) -> None:
        super().__init__(problem)
        self.seconds, self.spent = seconds, 0.0

    def progress(self) -> float:
        """Share of the time that is over."""
        return self.spent / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One design, learned with one seed at one depth.

    Attributes
    ----------
    step, momentum
        Of the network when learning began.
    steps, seconds
        Optimiser steps done, and the time they took on the clock that counts; ``wall_seconds``: on the wall.
    memory_bytes
        Measured peak of a step.
    own, converged
        Mean complex errors of the final design on the held-out objects, by its own network and by the independent
        solver; None where the run failed.
    own_start, converged_start
        The same before learning.
    failure
        Why there is no score, or None.
    load
        Of the machine at the end.
    """

    unrolls: int
    seed: int
    step: float
    momentum: str
    steps: int
    seconds: float
    wall_seconds: float
    memory_bytes: int
    own: float | None
    converged: float | None
    own_start: float | None
    converged_start: float
    failure: str | None
    load: float | None


def learn(
    problem: FpmTask,
    tuned: Tuned,
    seconds: float,
    seed: int,
    converged_start: float,
    say: Say = lambda _text: None,
    clock: Clock = CLOCKS["wall"],
) -> Run:
    """Learn the experiment's start for some time at a depth, and score the final design."""
    experiment = problem.experiment
    learning = experiment.replace(
        network=experiment.network.replace(step=tuned.step, momentum=tuned.momentum, unrolls=tuned.unrolls),
        engine=experiment.engine.replace(check_every=0),
        training=experiment.training.replace(steps=FOREVER, validate_every=FOREVER),
    )
    trainer = TimedTrainer(replace(problem, experiment=learning), seconds)
    own: float | None = None
    own_start: float | None = None
    converged: float | None = None
    failure: str | None = None
    try:
        for event, spent in timed(trainer.run(), clock):
            trainer.spent = spent
            if isinstance(event, Validated):
                own_start = event.scores["complex_error"]
            elif spent >= seconds:
                break
        own = _own_error(trainer)
        learned = trainer.parameters
        assert isinstance(learned, DesignParameters)
        converged = float(solver_errors(learned_design(problem, learned), problem.held_out).mean())
    except EngineError as error:
        failure = f"after {trainer.step} steps: {error.message}"
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failure = f"after {trainer.step} steps: out of memory"
    if own is None or converged is None or not math.isfinite(own + converged):
        failure = failure or f"after {trainer.step} steps: its errors are not finite"
        own = converged = None
    say(
        f"    {tuned.unrolls} unrolls, step {tuned.step:g}, momentum {tuned.momentum}: {trainer.step} steps in "
        f"{trainer.spent:.3g} s ({trainer.elapsed_s:.3g} on the wall), "
        + (failure or f"own network {own:.3f}, converged {converged:.3f}")
    )
    return Run(
        unrolls=tuned.unrolls,
        seed=seed,
        step=tuned.step,
        momentum=tuned.momentum,
        steps=trainer.step,
        seconds=trainer.spent,
        wall_seconds=trainer.elapsed_s,
        memory_bytes=trainer.memory_bytes,
        own=own,
        converged=converged,
        own_start=own_start,
        converged_start=converged_start,
        failure=failure,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _own_error(trainer: Trainer[FpmTask]) -> float:
    """Mean complex error of the present design on the held-out objects, by the network it is learned with."""
    found = evaluate(trainer.task, trainer.network, trainer.parameters, trainer.task.held_out)
    return float(found["complex_error"].mean())


def settings_for(problem: FpmTask, unrolls: Sequence[int], objects: int, seed: int, say: Say) -> dict[int, Tuned]:
    """What suits learning at each depth: see the module."""
    rng = np.random.default_rng([seed, 1])
    some = problem.training.pick(rng.permutation(len(problem.training))[:objects])
    design, leds, na = problem.experiment.design, problem.leds, problem.objective_na
    depths = sorted(set(unrolls))
    say(f"  seed {seed}: complex error of the random start on training objects, unrolls {depths}")
    tuned = tuned_depths(_start(problem), some, LEARNING_STEPS, MOMENTA, depths, say)
    for name in FALLBACKS:
        if all(depth in tuned and tuned[depth].error < 1 for depth in depths):
            break
        say(f"    not every depth beats an empty picture; the same grid for {name}:")
        other = contender(problem, starts.STARTS[name](design, leds, na, np.random.default_rng(seed)))
        for depth, found in tuned_depths(other, some, LEARNING_STEPS, MOMENTA, depths, say).items():
            if depth not in tuned or (tuned[depth].error >= 1 and found.error < tuned[depth].error):
                tuned[depth] = found
    return tuned


def _start(problem: FpmTask) -> Contender:
    """The design that learning starts from."""
    levels, exposures = start_design(problem)
    return Contender(name="start", task=problem, levels=levels, exposures=exposures)


def run(
    experiment: FpmExperiment,
    unrolls: Sequence[int] = (10, 60, 100, 300),
    seconds: float = 90.0,
    seeds: Sequence[int] = (0, 1),
    tuning_objects: int = 4,
    say: Say = lambda _text: None,
    output: Path | None = None,
    clock: str = "wall",
) -> dict[str, object]:
    """Learn at every depth with every seed; the dictionary is what ``--json`` prints.

    With ``output`` the JSON is written after every seed: a long comparison loses nothing when it is stopped.

    Raises
    ------
    SettingsError
        If there is no time, no such clock, or the output's folder is not there.
    """
    on = pick_clock(clock)
    if not 0 < seconds < math.inf:
        raise SettingsError(f"--seconds {seconds:g}: designs cannot be learned in that time", "use for example 90")
    if output is not None:
        check_target(output, SettingsError)
    dataset, geometry = find_dataset(experiment)
    experiment = experiment.replace(geometry=experiment.geometry or geometry)
    runs: list[Run] = []
    result: dict[str, object] = {}
    for seed in seeds:
        problem = build_task(experiment.replace(seed=seed), dataset=dataset)
        tuned = settings_for(problem, unrolls, tuning_objects, seed, say)
        before = float(solver_errors(_start(problem), problem.held_out).mean())
        say(f"    the random start by the converged solver: {before:.3f}")
        runs += [learn(problem, tuned[depth], seconds, seed, before, say, on) for depth in sorted(set(unrolls))]
        result = summarise(runs, seconds, torch.get_num_threads(), clock)
        if output is not None:
            write_atomic(output, json_text(result) + "\n")
    return result


def summarise(runs: Sequence[Run], seconds: float, threads: int, clock: str = "wall") -> dict[str, object]:
    """Means over the seeds of every depth, and of the paired differences to the shallowest."""
    depths = sorted({run.unrolls for run in runs})
    rows = []
    for depth in depths:
        mine = [run for run in runs if run.unrolls == depth]
        scored = [run for run in mine if run.failure is None]
        shallow = {run.seed: run for run in runs if run.unrolls == depths[0] and run.failure is None}
        pairs = [(run, shallow[run.seed]) for run in scored if run.seed in shallow]
        rows.append(
            {
                "unrolls": depth,
                "seeds": len(mine),
                "scored": len(scored),
                "steps": [run.steps for run in mine],
                "seconds": [run.seconds for run in mine],
                "wall_seconds": [run.wall_seconds for run in mine],
                "memory_bytes": max(run.memory_bytes for run in mine),
                "own": _mean([run.own for run in scored]),
                "converged": _mean([run.converged for run in scored]),
                "converged_difference": _mean([a.converged - b.converged for a, b in pairs]),  # type: ignore[operator]
                "failures": [f"seed {run.seed} {run.failure}" for run in mine if run.failure is not None],
            }
        )
    starts_of = {run.seed: run.converged_start for run in runs}
    return {
        "rows": rows,
        "runs": [asdict(run) for run in runs],
        "converged_start": _mean(list(starts_of.values())),
        "seeds": list(starts_of),
        "seconds": seconds,
        "threads": threads,
        "clock": clock,
    }


def _mean(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and standard error; None where there are too few values."""
    found = np.array(values, dtype=float)
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return {"mean": float(found.mean()) if len(found) else None, "standard_error": error}


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"designs learned for {result['seconds']:g} s each ({result['clock']}), {result['threads']} threads, seeds "
        f"{result['seeds']}; mean complex error on held-out objects +- standard error",
        f"the random start by the converged solver: {_text(result['converged_start'])}",
        f"{'unrolls':>8}{'scored':>8}{'steps':>14}{'seconds':>14}{'MB':>8}{'own network':>18}{'converged':>18}"
        f"{'converged - shallowest':>25}",
    ]
    for row in result["rows"]:
        steps = ", ".join(str(count) for count in row["steps"])
        seconds = ", ".join(f"{spent:.3g}" for spent in row["seconds"])
        lines.append(
            f"{row['unrolls']:>8}{row['scored']:>4} of {row['seeds']}{steps:>14}{seconds:>14}"
            f"{row['memory_bytes'] / 1e6:>8.1f}{_text(row['own']):>18}{_text(row['converged']):>18}"
            f"{_text(row['converged_difference'], '+.3f'):>25}"
        )
        lines += [f"{'':>8}  {failure}" for failure in row["failures"]]
    return "\n".join(lines)


def _text(found: dict[str, float | None], form: str = ".3f") -> str:
    if found["mean"] is None:
        return "-"
    error = found["standard_error"]
    return f"{found['mean']:{form}}" + ("" if error is None else f" +- {error:.3f}")
