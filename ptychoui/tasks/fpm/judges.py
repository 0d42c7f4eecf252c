"""Two judges of a design: the network that it is learned with, and a converged solver that shares no network.

Both see the same noisy measurements of held-out objects. The network is the run's own for what was learned; that of
another design is tuned for it: see `tuning`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.errors import EngineError
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.reconstruction.smooth_prior import reconstruct_smooth
from ptychoui.tasks.fpm import titles
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.parameters import DesignParameters, design_parameters, largest_step
from ptychoui.training.gradients import evaluate

Errors = NDArray[np.float64]

NETWORK, SOLVER = titles.NETWORK, titles.SOLVER

SEED = 1
"""Of the measurements' noise."""


def network_errors(
    design: Contender, parameters: DesignParameters, examples: Objects, callback: Callable[[], None] = lambda: None
) -> Errors:
    """Complex error of every object, (E,), by the network with the step sizes and prior of ``parameters``.

    Objects on which the network diverges have an infinite error.
    """
    task = design.task
    try:
        found = evaluate(task, task.network(), adapted(design, parameters), examples, SEED, callback=callback)
    except EngineError:
        return np.full(len(examples), np.inf)
    errors = found["complex_error"].double().cpu().numpy()
    return np.where(np.isfinite(errors), errors, np.inf)


def adapted(design: Contender, parameters: DesignParameters) -> DesignParameters:
    """The network's parameters for another design: steps keep their share of what is stable."""
    task = design.task
    step = parameters.step
    if task.experiment.network.prior == "none":
        stable = largest_step(task, design.levels, design.exposures)
        step = step * (min(1.0, 0.8 * stable / float(step.max())))
    return design_parameters(
        task, design.levels, design.exposures, step, parameters.momentum, parameters.log_smoothness
    )


def solver_errors(design: Contender, examples: Objects, callback: Callable[[], None] = lambda: None) -> Errors:
    """Complex error of every object, (E,), by the converged solver: see `solver_outputs`."""
    found = design.task.scores(solver_outputs(design, examples, callback), examples)["complex_error"]
    return found.double().cpu().numpy()


def solver_outputs(design: Contender, examples: Objects, callback: Callable[[], None] = lambda: None) -> Tensor:
    """What the converged solver makes of every object, (E, N, N) complex: see `reconstruct_smooth`."""
    task, outputs = design.task, []
    parameters = design_parameters(task, design.levels, design.exposures, torch.zeros(1, device=task.device))
    generator = torch.Generator(device=task.device).manual_seed(SEED)
    for place in range(len(examples)):
        example = examples.pick([place])
        with torch.no_grad():
            given = task.inputs(parameters, example, generator, training=False)
        tensors = given.tensors
        data = DataTerm(tensors["weights"], tensors["offset"], tensors["amplitude"], task.measurement.variance_floor)
        found = reconstruct_smooth(task.physics, data, given.x, callback=callback)
        outputs.append(found.x)
    return torch.cat(outputs)
