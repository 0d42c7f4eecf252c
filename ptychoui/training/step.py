"""One step of learning: measure, reconstruct, differentiate, project; and the scoring of a design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Between
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.training.examples import Examples
from ptychoui.training.objectives import LOSSES, Scores, scores
from ptychoui.training.problem import Problem, largest_step


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
    """

    levels: Tensor
    exposures: Tensor
    step: Tensor

    def items(self) -> list[tuple[str, Tensor]]:
        """Names and tensors."""
        return [("levels", self.levels), ("exposures", self.exposures), ("step", self.step)]


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
    return inputs, x


def loss_and_gradients(
    problem: Problem,
    network: UnrolledNetwork,
    strategy_name: str,
    parameters: Parameters,
    examples: Examples,
    generator: torch.Generator | None,
    wanted: tuple[str, ...] = ("levels",),
    between: Between = lambda: None,
) -> StepResult:
    """Mean loss of a batch and its derivatives in levels, exposures and step sizes.

    The measurement model is differentiated by autograd once; the unrolled network by the strategy, which hands back
    derivatives in weights, offsets, measured amplitudes and the first estimate.
    """
    leaves = {name: tensor.detach().clone().requires_grad_(name in wanted) for name, tensor in parameters.items()}
    with torch.enable_grad():
        inputs, x = network_inputs(problem, Parameters(**leaves), examples, generator, poisson=False)
    constants = {name: tensor.detach() for name, tensor in inputs.items()}
    trace = network.forward(strategy(strategy_name), x.detach(), constants, between)
    output = trace.output.detach().requires_grad_()
    with torch.enable_grad():
        loss = LOSSES[problem.experiment.training.loss](problem.object_of(output), examples.truth).mean()
    (cotangent,) = torch.autograd.grad(loss, output)
    asked = [name for name, tensor in inputs.items() if tensor.requires_grad]
    back = trace.backward(cotangent, asked, between)
    roots = [(inputs[name], back.inputs[name]) for name in asked]
    if x.requires_grad:
        roots.append((x, back.x))
    torch.autograd.backward([root for root, _ in roots], [derivative for _, derivative in roots])
    gradients = {}
    for name in wanted:
        gradient = leaves[name].grad
        gradients[name] = torch.zeros_like(leaves[name]) if gradient is None else gradient
    return StepResult(float(loss.detach()), gradients, back.certificate or "")


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


def start_parameters(problem: Problem, levels: NDArray[np.float64] | None = None) -> Parameters:
    """Levels of the experiment's start (or given ones), equal exposures, equal step sizes."""
    experiment = problem.experiment
    start, exposures = starts.start_design(
        experiment.design, experiment.measurement, problem.leds, problem.objective_na, experiment.seed
    )
    if levels is None:
        levels = start
    physics = problem.physics
    return Parameters(
        levels=torch.from_numpy(levels.copy()).to(physics.device, physics.dtype),
        exposures=torch.from_numpy(exposures).to(physics.device, physics.dtype),
        step=problem.network().initial_step(),
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
