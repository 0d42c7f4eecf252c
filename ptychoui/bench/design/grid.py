"""Step size, momentum and depth of a plain network that suit a design: the best of a grid, on examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ptychoui.errors import EngineError
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.objectives import scores
from ptychoui.tasks.fpm.parameters import design_parameters
from ptychoui.training.gradients import reconstruct_batch

STEPS = (0.1, 0.2, 0.4, 0.8)
"""Step sizes as fractions of the largest stable one of the design, 2 (1 + momentum) / curvature."""

LEARNING_STEPS = STEPS[:-1]
"""The same for learning: levels grow while they are learned, and the stable step shrinks with them."""

MOMENTA = ("3/4", "7/8", "15/16")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The best solver settings for a design, and the error they gave on the training objects."""

    step: float
    momentum: str
    unrolls: int
    error: float


def tune(
    design: Contender,
    examples: Objects,
    steps: Sequence[float] = STEPS,
    momenta: Sequence[str] = MOMENTA,
    unrolls: Sequence[int] = (),
    show: Say | None = None,
) -> Tuned:
    """The best settings and depth of a grid, on examples."""
    return min(tuned_depths(design, examples, steps, momenta, unrolls, show).values(), key=lambda t: t.error)


def tuned_depths(
    design: Contender,
    examples: Objects,
    steps: Sequence[float] = STEPS,
    momenta: Sequence[str] = MOMENTA,
    unrolls: Sequence[int] = (),
    show: Say | None = None,
) -> dict[int, Tuned]:
    """The best of a grid of solver settings for every depth; one run to the largest depth serves all smaller ones."""
    best: dict[int, Tuned] = {}
    problem = design.task
    weights = problem.measurement.weights(design.levels, design.exposures)
    curvature = problem.physics.curvature_bound(weights)
    for momentum in momenta:
        for share in steps:
            step = float(f"{share * 2 * (1 + Fraction(momentum)) / curvature:.2g}")
            errors = _errors_at(design, examples, step, momentum, unrolls)
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
    design: Contender, examples: Objects, step: float, momentum: str, unrolls: Sequence[int]
) -> list[float | None]:
    """Mean complex error after each depth; None where the run diverged."""
    problem = design.task
    network = problem.network(step=step, momentum=momentum, unrolls=max(unrolls))
    parameters = design_parameters(problem, design.levels, design.exposures, network.initial_step())
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
