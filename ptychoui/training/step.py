"""One step of learning: measure, reconstruct, differentiate, project; and the scoring of a design."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.engine.greedy import ModuleDone
from ptychoui.engine.inverse import Inverse
from ptychoui.engine.segments import Segments
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Between, Strategy
from ptychoui.experiment import Engine
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.training.examples import Examples
from ptychoui.training.objectives import LOSSES, Scores, scores
from ptychoui.training.problem import Problem, largest_step

GREEDY = "greedy"
"""The strategy that differentiates local losses, not end to end."""


@dataclass(slots=True)
class Parameters:
    """What is learned, on the device.

    Attributes
    ----------
    levels
        (M, LED) drive levels in [0, 1].
    exposures
        (M,) frame times.
    step
        (N,) step sizes.
    momentum
        (N,) momenta, where they are learned.
    """

    levels: Tensor
    exposures: Tensor
    step: Tensor
    momentum: Tensor | None = None

    def items(self) -> list[tuple[str, Tensor]]:
        """Names and tensors."""
        found = [("levels", self.levels), ("exposures", self.exposures), ("step", self.step)]
        return found if self.momentum is None else [*found, ("momentum", self.momentum)]


@dataclass(frozen=True, slots=True)
class StepResult:
    """Loss and derivatives of one batch."""

    loss: float
    gradients: dict[str, Tensor]
    certificate: str


def reconstruct_batch(
    problem: Problem,
    network: UnrolledNetwork,
    parameters: Parameters,
    examples: Examples,
    generator: torch.Generator | None,
    between: Between = lambda: None,
    watch: Callable[[Tensor], None] = lambda _point: None,
) -> Tensor:
    """Measure examples with a design and reconstruct them: (B, N, N) objects. True Poisson noise.

    ``watch`` is shown the objects before every unroll.
    """
    with torch.no_grad():
        inputs, x = network_inputs(problem, parameters, examples, generator, poisson=True)
        return network.infer(x, inputs, between, watch)


def network_inputs(
    problem: Problem,
    parameters: Parameters,
    examples: Examples,
    generator: torch.Generator | None,
    poisson: bool,
) -> tuple[dict[str, Tensor], Tensor]:
    """Measurements of examples as inputs of the network, and the first estimate made from them alone."""
    model = problem.measurement
    levels, exposures = parameters.levels * problem.mask, parameters.exposures
    recorded = model.record(examples.intensities, levels, exposures, generator, poisson)
    amplitude = model.amplitude(recorded)
    rows = problem.experiment.design.bright_field_rows
    bright = torch.from_numpy(problem.leds.bright_field(problem.objective_na)).to(levels.device)
    brightness = model.brightness(levels, exposures, bright)[:rows].clamp_min(1e-6)
    x = problem.physics.first_estimate(amplitude[:, :rows], brightness)
    inputs = {
        "weights": model.weights(levels, exposures),
        "offset": model.offset(exposures),
        "amplitude": amplitude,
        "step": parameters.step,
    }
    if parameters.momentum is not None:
        inputs["momentum"] = parameters.momentum
    return inputs, x


def gradient_strategy(engine: Engine, name: str) -> Strategy:
    """The strategy of a name with the experiment's settings."""
    if name == Segments.name:
        return Segments([(part.unrolls, gradient_strategy(engine, part.strategy)) for part in engine.segments])
    return Inverse(engine.drift_tolerance) if name == Inverse.name else strategy(name)


def loss_and_gradients(
    problem: Problem,
    network: UnrolledNetwork,
    strategy_name: str,
    parameters: Parameters,
    examples: Examples,
    generator: torch.Generator | None,
    wanted: tuple[str, ...] = ("levels",),
    between: Between = lambda: None,
    objects_at_once: int | None = None,
) -> StepResult:
    """Mean loss of a batch and its derivatives in levels, exposures, step sizes and momenta.

    The measurement model is differentiated by autograd once; the unrolled network by the strategy, which hands back
    derivatives in weights, offsets, measured amplitudes and the first estimate, for so many objects at a time.
    Under ``greedy`` they are those of the mean of the modules' losses, and the loss is that of the last module.
    """
    leaves = {name: tensor.detach().clone().requires_grad_(name in wanted) for name, tensor in parameters.items()}
    with torch.enable_grad():
        inputs, x = network_inputs(problem, Parameters(**leaves), examples, generator, poisson=False)
    constants = {name: tensor.detach() for name, tensor in inputs.items()}
    asked = [name for name, tensor in inputs.items() if tensor.requires_grad]
    sums = {name: torch.zeros_like(constants[name]) for name in asked}
    of_x = torch.zeros_like(x)
    count, loss, certificates = len(x), 0.0, []
    for first in range(0, count, objects_at_once or count):
        part = slice(first, min(first + (objects_at_once or count), count))
        some = constants | {"amplitude": constants["amplitude"][part]}
        differentiate = _greedy if strategy_name == GREEDY else _end_to_end
        found = differentiate(
            problem, network, strategy_name, x.detach()[part], some, examples.truth[part], asked, between
        )
        share = (part.stop - part.start) / count
        loss += share * found.loss
        of_x[part] = share * found.x
        for name in asked:
            if name == "amplitude":
                sums[name][part] = share * found.inputs[name]
            else:
                sums[name] += share * found.inputs[name]
        certificates.append(found.certificate)
    roots = [(inputs[name], sums[name]) for name in asked]
    if x.requires_grad:
        roots.append((x, of_x))
    torch.autograd.backward([root for root, _ in roots], [derivative for _, derivative in roots])
    gradients = {}
    for name in wanted:
        gradient = leaves[name].grad
        gradients[name] = torch.zeros_like(leaves[name]) if gradient is None else gradient
    return StepResult(loss, gradients, certificates[-1])


@dataclass(frozen=True, slots=True)
class _Found:
    """Mean loss of some objects, and its derivatives."""

    loss: float
    x: Tensor
    inputs: Mapping[str, Tensor]
    certificate: str = ""


def _loss_at(problem: Problem, network: UnrolledNetwork, truth: Tensor, point: Tensor) -> tuple[float, Tensor]:
    """Mean loss at a point of the chain and its derivative."""
    leaf = point.detach().requires_grad_()
    with torch.enable_grad():
        loss = LOSSES[problem.experiment.training.loss](problem.object_of(network.leave(leaf)), truth).mean()
    (cotangent,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), cotangent


def _end_to_end(
    problem: Problem,
    network: UnrolledNetwork,
    strategy_name: str,
    x: Tensor,
    constants: dict[str, Tensor],
    truth: Tensor,
    asked: list[str],
    between: Between,
) -> _Found:
    chosen = gradient_strategy(problem.experiment.engine, strategy_name)
    trace = network.forward(chosen, x, constants, between)
    loss, cotangent = _loss_at(problem, network, truth, trace.output)
    back = trace.backward(cotangent, asked, between)
    return _Found(loss, network.leave(back.x), back.inputs, back.certificate or "")


def _greedy(
    problem: Problem,
    network: UnrolledNetwork,
    _strategy_name: str,
    x: Tensor,
    constants: dict[str, Tensor],
    truth: Tensor,
    asked: list[str],
    between: Between,
) -> _Found:
    modules = problem.experiment.engine.modules
    sums = {name: torch.zeros_like(constants[name]) for name in asked}
    of_x = torch.zeros_like(x)
    losses: list[float] = []

    def add(done: ModuleDone) -> None:
        losses.append(done.loss)
        for name in asked:
            sums[name].add_(done.inputs[name], alpha=1 / modules)
        if done.x is not None:
            of_x.add_(network.leave(done.x), alpha=1 / modules)

    def local_loss(_module: int, point: Tensor) -> tuple[float, Tensor]:
        return _loss_at(problem, network, truth, point)

    network.greedy(modules, x, constants, asked, local_loss, add, between)
    return _Found(losses[-1], of_x, sums)


def project(parameters: Parameters, problem: Problem) -> None:
    """Bring parameters back to what hardware can show, in place.

    Levels lie in [0, 1] on the row's band, and rows that would saturate the camera are dimmed; exposures are at least
    the minimum and add up to the total; steps stay within four fifths of what is stable for these levels.
    """
    design = problem.experiment.design
    parameters.levels.clamp_(0, 1).mul_(problem.mask)
    total = float(starts.start_exposures(design).sum())
    exposures = parameters.exposures.clamp_(min=design.minimum_exposure)
    spare = total - design.minimum_exposure * len(exposures)
    above = exposures - design.minimum_exposure
    share = above / above.sum() if float(above.sum()) > 0 else torch.full_like(above, 1 / len(above))
    exposures.copy_(design.minimum_exposure + share * spare)
    bright = torch.from_numpy(problem.leds.bright_field(problem.objective_na)).to(parameters.levels.device)
    open_field = (problem.measurement.weights(parameters.levels, exposures) * bright).sum(1)
    limit = starts.brightest_open_field(problem.experiment.measurement)
    parameters.levels.mul_((limit / open_field.clamp_min(1e-12)).clamp_max(1)[:, None])
    stable = largest_step(problem, parameters.levels, parameters.exposures)
    parameters.step.clamp_(min=1e-6, max=0.8 * stable)
    if parameters.momentum is not None:
        parameters.momentum.clamp_(0.01, 0.99)


def start_parameters(problem: Problem, levels: NDArray[np.float64] | None = None) -> Parameters:
    """Levels of the experiment's start (or given ones), equal exposures, equal step sizes."""
    experiment = problem.experiment
    start, exposures = starts.start_design(
        experiment.design, experiment.measurement, problem.leds, problem.objective_na, experiment.seed
    )
    if levels is None:
        levels = start
    physics, network = problem.physics, problem.network()
    return Parameters(
        levels=torch.from_numpy(levels.copy()).to(physics.device, physics.dtype),
        exposures=torch.from_numpy(exposures).to(physics.device, physics.dtype),
        step=network.initial_step(),
        momentum=network.initial_momentum() if experiment.network.learns_momentum else None,
    )


def evaluate(
    problem: Problem,
    network: UnrolledNetwork,
    parameters: Parameters,
    examples: Examples,
    seed: int = 1,
    batch: int = 8,
    between: Between = lambda: None,
) -> Scores:
    """Score a design on examples with true Poisson noise from a seed of its own."""
    generator = torch.Generator(device=problem.physics.device).manual_seed(seed)
    parts = []
    for first in range(0, len(examples), batch):
        some = examples.pick(list(range(first, min(first + batch, len(examples)))))
        output = reconstruct_batch(problem, network, parameters, some, generator, between)
        parts.append(scores(problem.object_of(output), some.truth))
    return Scores(
        complex_error=torch.cat([p.complex_error for p in parts]),
        amplitude_error=torch.cat([p.amplitude_error for p in parts]),
        phase_error=torch.cat([p.phase_error for p in parts]),
        phase_error_rad=torch.cat([p.phase_error_rad for p in parts]),
    )
