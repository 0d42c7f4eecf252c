"""Patterns, frame times, step sizes and momenta: what is learned for a Fourier ptychographic microscope."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptychoui.design import starts
from ptychoui.tasks.fpm.shown import shown_design
from ptychoui.training.parameters import ParameterSet

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask


class DesignParameters(ParameterSet):
    """What is learned, on the device; see `design_parameters`."""

    @property
    def levels(self) -> Tensor:
        """(M, LED) drive levels in [0, 1]; `shown.shown_design` says what shines of them."""
        return self["levels"]

    @property
    def exposures(self) -> Tensor:
        """(M,) frame times."""
        return self["exposures"]

    @property
    def step(self) -> Tensor:
        """(N,) step sizes."""
        return self["step"]

    @property
    def momentum(self) -> Tensor | None:
        """(N,) momenta, where they are learned."""
        return self.tensors.get("momentum")

    @property
    def log_smoothness(self) -> Tensor | None:
        """(N,) natural logarithm of the smooth prior's strength, where the network has one."""
        return self.tensors.get("log_smoothness")


def design_parameters(
    task: FpmTask,
    levels: Tensor,
    exposures: Tensor,
    step: Tensor,
    momentum: Tensor | None = None,
    log_smoothness: Tensor | None = None,
) -> DesignParameters:
    """Parameters of given values: levels (M, LED), exposures (M,), and per unroll (N,) steps, momenta, smoothness."""
    experiment = task.experiment
    tensors = {"levels": levels, "exposures": exposures, "step": step}
    rates = {"levels": 1.0}
    if experiment.design.learn_exposure:
        rates["exposures"] = 1.0
    if experiment.network.learn_step:
        rates["step"] = float(step.max())
    if momentum is not None:
        tensors["momentum"] = momentum
        rates["momentum"] = 0.1
    if log_smoothness is not None:
        tensors["log_smoothness"] = log_smoothness
        if experiment.network.learn_smoothness:
            rates["log_smoothness"] = 1.0
    return DesignParameters(tensors, rates, per_unroll=frozenset({"step", "momentum"}))


def start_parameters(task: FpmTask) -> DesignParameters:
    """Levels of the experiment's start, equal exposures, equal step sizes."""
    experiment, network = task.experiment, task.network()
    levels, exposures = start_design(task)
    momentum = network.initial_momentum() if experiment.network.learns_momentum else None
    smoothness = network.initial_smoothness().log() if experiment.network.prior == "smooth" else None
    return design_parameters(task, levels, exposures, network.initial_step(), momentum, smoothness)


def start_design(task: FpmTask) -> tuple[Tensor, Tensor]:
    """Levels (M, LED) of the experiment's start and equal exposures (M,), on the device."""
    experiment = task.experiment
    levels, exposures = starts.start_design(
        experiment.design, experiment.measurement, task.leds, task.objective_na, experiment.seed
    )
    device, dtype = task.device, task.dtype
    return torch.from_numpy(levels.copy()).to(device, dtype), torch.from_numpy(exposures).to(device, dtype)


def project_(parameters: DesignParameters, task: FpmTask) -> None:
    """Bring parameters back to what hardware can show, in place.

    Levels lie in [0, 1] on the row's band, and rows that would saturate the camera are dimmed; exposures are at least
    the minimum and add up to the total; steps stay within four fifths of what is stable for these levels. Where the
    array cannot show every level nothing is dimmed: frames are shortened when it is shown, see `drive_levels`.
    """
    design = task.experiment.design
    parameters.levels.clamp_(0, 1).mul_(task.mask)
    total = float(starts.start_exposures(design).sum())
    exposures = parameters.exposures.clamp_(min=design.minimum_exposure)
    spare = total - design.minimum_exposure * len(exposures)
    above = exposures - design.minimum_exposure
    share = above / above.sum() if float(above.sum()) > 0 else torch.full_like(above, 1 / len(above))
    exposures.copy_(design.minimum_exposure + share * spare)
    if not design.limits_levels:
        bright = torch.from_numpy(task.leds.bright_field(task.objective_na)).to(parameters.levels.device)
        open_field = (task.measurement.weights(parameters.levels, exposures) * bright).sum(1)
        limit = starts.brightest_open_field(task.experiment.measurement)
        parameters.levels.mul_((limit / open_field.clamp_min(1e-12)).clamp_max(1)[:, None])
    stable = largest_step(task, parameters.levels, parameters.exposures)
    parameters.step.clamp_(min=1e-6, max=0.8 * stable)
    if parameters.momentum is not None:
        parameters.momentum.clamp_(0.01, 0.99)


def largest_step(task: FpmTask, levels: Tensor, exposures: Tensor) -> float:
    """Largest stable step size of what shines of a design of levels (M, LED) and exposures (M,).

    Times the curvature it is 2 for plain steps, 2 (1 + beta) for heavy ball and 2 (1 + beta) / (1 + 2 beta) for
    Nesterov's.
    """
    network = task.experiment.network
    beta = float(Fraction(network.momentum))
    reach = {"gradient": 2.0, "heavy_ball": 2 * (1 + beta), "nesterov": 2 * (1 + beta) / (1 + 2 * beta)}
    reach["learned_momentum"] = 2.0  # whatever the momenta become
    if network.prior == "smooth":
        return reach[network.update]  # steps are scaled to a curvature of at most one
    weights = task.measurement.weights(*shown_design(task, levels, exposures))
    return reach[network.update] / max(task.physics.curvature_bound(weights), 1e-12)
