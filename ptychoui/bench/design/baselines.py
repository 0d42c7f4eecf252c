"""``ptychoui bench design``: a learned design against every baseline, at equal frames and equal total exposure.

For each seed (split of the sources, random start, noise):

1. a grid of (step, momentum, unrolls) finds what suits dense random designs best on the training objects (where
   none beats an empty picture, what suits a random partition, and after that the best baseline);
2. a dense random design is learned with those settings;
3. every design, learned or not, gets the best of the same grid on the training objects; random designs are the best
   of 20 draws, judged on the training objects too;
4. all are scored on the held-out objects with the same noise seed: by their own network, and by an independent,
   converged solver with a smooth prior whose strength the images choose (`optics.reconstruction.smooth_prior`).

Differences are paired by seed; intervals are Student's t at 95 %. Rules: frames and total exposure are equal, a row
that would saturate is dimmed, each design has its own best solver settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.files import json_text, write_atomic
from ptychoui.design import starts
from ptychoui.errors import EngineError, SettingsError
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.contenders import Contender, contender, learned_design
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import solver_errors
from ptychoui.tasks.fpm.objectives import scores
from ptychoui.tasks.fpm.parameters import DesignParameters, design_parameters
from ptychoui.tasks.fpm.task import FpmTask, build_task, find_dataset
from ptychoui.training.events import StepDone, Validated
from ptychoui.training.gradients import evaluate, reconstruct_batch
from ptychoui.training.trainer import Trainer

STEPS = (0.1, 0.2, 0.4, 0.8)
"""Step sizes as fractions of the largest stable one of the design, 2 (1 + momentum) / curvature."""

LEARNING_STEPS = STEPS[:-1]
"""The same for learning: levels grow while they are learned, and the stable step shrinks with them."""

MOMENTA = ("3/4", "7/8", "15/16")
UNROLLS = (15, 30, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard a comparison tries: depths of the grid, objects that tune, draws of each random design."""

    unrolls: tuple[int, ...] = UNROLLS
    tuning_objects: int = 6
    draws: int = 20


RANDOM = ("dense_random", "random_partition", "hybrid", "singles")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The best solver settings for a design, and the error they gave on the training objects."""

    step: float
    momentum: str
    unrolls: int
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A design and the problem that measures it (its mask and number of rows).

    ``trained`` is the run whose network learned its step sizes together with the design.
    """

    problem: FpmTask
    levels: Tensor
    exposures: Tensor
    trained: Trainer[FpmTask] | None = None


def tune(
    candidate: Candidate,
    examples: Objects,
    steps: Sequence[float] = STEPS,
    momenta: Sequence[str] = MOMENTA,
    unrolls: Sequence[int] = UNROLLS,
    show: Say | None = None,
) -> Tuned:
    """The best settings and depth of a grid, on examples."""
    return min(tuned_depths(candidate, examples, steps, momenta, unrolls, show).values(), key=lambda t: t.error)


def tuned_depths(
    candidate: Candidate,
    examples: Objects,
    steps: Sequence[float] = STEPS,
    momenta: Sequence[str] = MOMENTA,
    unrolls: Sequence[int] = UNROLLS,
    show: Say | None = None,
) -> dict[int, Tuned]:
    """The best of a grid of solver settings for every depth; one run to the largest depth serves all smaller ones."""
    best: dict[int, Tuned] = {}
    problem = candidate.problem
    weights = problem.measurement.weights(candidate.levels, candidate.exposures)
    curvature = problem.physics.curvature_bound(weights)
    for momentum in momenta:
        for share in steps:
            step = float(f"{share * 2 * (1 + Fraction(momentum)) / curvature:.2g}")
            errors = _errors_at(candidate, examples, step, momentum, unrolls)
            if show is not None:
                cells = "  ".join("diverged" if e is None else f"{e:8.3f}" for e in errors)
                show(f"    momentum {momentum:>5}  step {step:<5g} {cells}")
            for depth, error in zip(unrolls, errors, strict=True):
                if error is not None and (depth not in best or error < best[depth].error):
                    best[depth] = Tuned(step=step, momentum=momentum, unrolls=depth, error=error)
    if not best:
        raise EngineError("every step size of the grid diverges", "the measurements may be far too noisy")
    return best


def _errors_at(
    candidate: Candidate, examples: Objects, step: float, momentum: str, unrolls: Sequence[int]
) -> list[float | None]:
    """Mean complex error after each depth; None where the run diverged."""
    problem = candidate.problem
    network = problem.network(step=step, momentum=momentum, unrolls=max(unrolls))
    parameters = design_parameters(problem, candidate.levels, candidate.exposures, network.initial_step())
    errors: list[float | None] = [None] * len(unrolls)
    depth = 0

    def watch(point: Tensor) -> None:
        nonlocal depth
        note(point)
        depth += 1

    def note(point: Tensor) -> None:
        if depth in unrolls:
            error = float(scores(problem.object_of(point), examples.truth).complex_error.mean())
            errors[list(unrolls).index(depth)] = error if np.isfinite(error) else None

    generator = torch.Generator(device=problem.physics.device).manual_seed(7)
    try:
        note(reconstruct_batch(problem, network, parameters, examples, generator, watch=watch))
    except EngineError:
        # Depths reached before the run diverged would count as good luck: the settings are unstable.
        return [None] * len(unrolls)
    return errors


def held_out_errors(candidate: Candidate, tuned: Tuned, examples: Objects) -> NDArray[np.float64]:
    """Complex error of every held-out object, with the tuned settings.

    A design that learned its own step sizes may use them where they are better on the examples that tuned it.
    """
    problem = candidate.problem
    trained = candidate.trained
    if trained is not None:
        own = evaluate(trained.task, trained.network, trained.parameters, examples, seed=7)
        if float(own["complex_error"].mean()) < tuned.error:
            found = evaluate(trained.task, trained.network, trained.parameters, problem.held_out)
            return found["complex_error"].double().cpu().numpy()
    network = problem.network(step=tuned.step, momentum=tuned.momentum, unrolls=tuned.unrolls)
    parameters = design_parameters(problem, candidate.levels, candidate.exposures, network.initial_step())
    return evaluate(problem, network, parameters, problem.held_out)["complex_error"].double().cpu().numpy()


def converged_errors(candidate: Candidate) -> NDArray[np.float64]:
    """Complex error of every held-out object, (E,), by a solver that shares no network: see `judges.solver_errors`."""
    design = Contender(name="candidate", task=candidate.problem, levels=candidate.levels, exposures=candidate.exposures)
    return solver_errors(design, candidate.problem.held_out)


def with_rows(problem: FpmTask, levels: NDArray[np.float64]) -> Candidate:
    """A candidate of levels (M, LED) whose rows need not follow the experiment's bands: see `contender`."""
    made = contender(problem, levels)
    return Candidate(problem=made.task, levels=made.levels, exposures=made.exposures)


def best_draw(problem: FpmTask, name: str, examples: Objects, rng: np.random.Generator, effort: Effort) -> Candidate:
    """The best of some draws of a random design, judged on examples with the settings that suit the first."""
    design, leds, na = problem.experiment.design, problem.leds, problem.objective_na
    candidates = [with_rows(problem, starts.STARTS[name](design, leds, na, rng)) for _ in range(effort.draws)]
    if effort.draws == 1:
        return candidates[0]
    tuned = tune(candidates[0], examples, unrolls=effort.unrolls[:2])
    errors = [_errors_at(c, examples, tuned.step, tuned.momentum, [tuned.unrolls])[0] for c in candidates]
    return candidates[int(np.argmin([np.inf if e is None else e for e in errors]))]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """All designs of one seed: name -> (own network, converged solver), mean complex errors on held-out objects."""

    seed: int
    errors: dict[str, float]
    converged: dict[str, float]
    tuned: dict[str, Tuned]
    start_loss: float
    end_loss: float
    seconds: float


def one_seed(
    experiment: FpmExperiment, dataset: Any, seed: int, say: Say, effort: Effort = Effort(), full_stack: bool = True
) -> SeedResult:
    """Learn and compare with one seed."""
    experiment = experiment.replace(seed=seed)
    problem = build_task(experiment, dataset=dataset)
    rng = np.random.default_rng([seed, 1])
    some = problem.training.pick(rng.permutation(len(problem.training))[: effort.tuning_objects])
    design, leds, na = experiment.design, problem.leds, problem.objective_na
    candidates: dict[str, Candidate] = {}
    for name in RANDOM:
        candidates[name] = best_draw(problem, name, some, rng, effort)
    candidates["half_circles"] = with_rows(problem, starts.half_circles(design, leds, na, rng))
    if full_stack:
        candidates["full_stack"] = with_rows(problem, starts.sequential(leds))

    first = with_rows(problem, starts.dense_random(design, leds, na, np.random.default_rng(seed)))
    say(f"  seed {seed}: complex error of a dense random design on training objects, unrolls {effort.unrolls}")
    grid = tune(first, some, LEARNING_STEPS, unrolls=effort.unrolls, show=say)
    if grid.error >= 1:
        # Worse than an empty picture at any setting: nothing is reconstructed, so nothing says what suits learning.
        say("    no setting beats an empty picture; the same grid for a random partition:")
        grid = tune(candidates["random_partition"], some, LEARNING_STEPS, unrolls=effort.unrolls, show=say)
    if grid.error >= 1:
        compressed = {name: c for name, c in candidates.items() if name != "full_stack"}
        found = {name: tune(c, some, LEARNING_STEPS, unrolls=effort.unrolls) for name, c in compressed.items()}
        name = min(found, key=lambda key: found[key].error)
        grid = found[name]
        say(f"    nor does it; learning takes the settings of the best baseline, {name}")
    say(f"    best: step {grid.step:g}, momentum {grid.momentum}, {grid.unrolls} unrolls")
    learning = experiment.replace(
        network=experiment.network.replace(step=grid.step, momentum=grid.momentum, unrolls=grid.unrolls)
    )
    trainer = Trainer(replace(problem, experiment=learning))
    losses, seconds = [], 0.0
    for event in trainer.run():
        if isinstance(event, Validated):
            losses.append(event.loss)
        elif isinstance(event, StepDone):
            seconds += event.seconds
    say(f"    held-out loss {losses[0]:.4f} -> {losses[-1]:.4f} (x{losses[0] / losses[-1]:.1f}) in {seconds:.0f} s")
    learned = trainer.parameters
    assert isinstance(learned, DesignParameters)
    shown = learned_design(problem, learned)
    candidates["learned"] = replace(
        first,
        levels=shown.levels.clone(),
        exposures=shown.exposures.clone(),
        trained=trainer if learning.network.learn_step else None,
    )
    tuned = {name: tune(candidate, some, unrolls=effort.unrolls) for name, candidate in candidates.items()}
    errors = {name: float(held_out_errors(c, tuned[name], some).mean()) for name, c in candidates.items()}
    converged = {name: float(converged_errors(c).mean()) for name, c in candidates.items() if name != "full_stack"}
    for name in candidates:
        t = tuned[name]
        say(
            f"    {name:<18} own network {errors[name]:.3f}   converged {converged.get(name, float('nan')):.3f}   "
            f"step {t.step:g}, momentum {t.momentum}, {t.unrolls} unrolls"
        )
    return SeedResult(
        seed=seed,
        errors=errors,
        converged=converged,
        tuned=tuned,
        start_loss=losses[0],
        end_loss=losses[-1],
        seconds=seconds,
    )


def paired_interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and half width of Student's 95 % interval; the width is NaN for a single seed."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return float(differences.mean()), float("nan")
    spread = float(differences.std(ddof=1) / np.sqrt(n))
    return float(differences.mean()), float(t.ppf(0.975, n - 1)) * spread


def run(
    experiment: FpmExperiment,
    seeds: Sequence[int],
    say: Say = print,
    effort: Effort = Effort(),
    output: Path | None = None,
) -> dict[str, object]:
    """Compare over seeds; the dictionary is what ``--json`` prints.

    With ``output`` the JSON is written after every seed: a long comparison loses nothing when it is stopped.
    """
    if output is not None and not output.parent.is_dir():
        raise SettingsError(f"there is no folder {output.parent}", "make it first, or choose another --output")
    dataset, geometry = find_dataset(experiment)
    experiment = experiment.replace(geometry=experiment.geometry or geometry)
    results: list[SeedResult] = []
    summary: dict[str, object] = {}
    for seed in seeds:
        results.append(one_seed(experiment, dataset, seed, say, effort))
        summary = summarise(results, torch.get_num_threads())
        if output is not None:
            write_atomic(output, json_text(summary) + "\n")
    return summary


def summarise(results: Sequence[SeedResult], threads: int) -> dict[str, object]:
    """Means over seeds and paired differences to the learned design."""
    names = [name for name in results[0].errors if name != "learned"]
    rows = []
    for solver in ("own network", "converged"):
        learned = np.array([(r.errors if solver == "own network" else r.converged)["learned"] for r in results])
        for name in names:
            table = [(r.errors if solver == "own network" else r.converged) for r in results]
            if name not in table[0]:
                continue
            other = np.array([t[name] for t in table])
            mean, half = paired_interval(other - learned)
            error = float((other - learned).std(ddof=1) / np.sqrt(len(other))) if len(other) > 1 else float("nan")
            rows.append(
                {
                    "solver": solver,
                    "design": name,
                    "complex_error": float(other.mean()),
                    "learned": float(learned.mean()),
                    "ratio": float((learned / other).mean()),
                    "difference": mean,
                    "interval_95": half,
                    "standard_errors": mean / error if error > 0 else None,
                }
            )
    return {
        "seeds": [r.seed for r in results],
        "threads": threads,
        "loss_ratio": [r.start_loss / r.end_loss for r in results],
        "learning_seconds": [r.seconds for r in results],
        "rows": rows,
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as text."""
    lines = [
        f"seeds {summary['seeds']}; held-out loss lowered by "
        + ", ".join(f"x{r:.1f}" for r in summary["loss_ratio"])
        + " in "
        + ", ".join(f"{s:.0f} s" for s in summary["learning_seconds"]),
        f"{'solver':<13}{'baseline':<18}{'error':>8}{'learned':>9}{'ratio':>8}{'difference (95 %)':>22}{'in SE':>8}",
    ]
    for row in summary["rows"]:
        se = "" if row["standard_errors"] is None else f"{row['standard_errors']:8.1f}"
        lines.append(
            f"{row['solver']:<13}{row['design']:<18}{row['complex_error']:>8.3f}{row['learned']:>9.3f}"
            f"{row['ratio']:>8.2f}{row['difference']:>+12.3f} +- {row['interval_95']:.3f}{se}"
        )
    return "\n".join(lines)
