"""The products of a run held against differences in double precision, now and then."""

from __future__ import annotations

from dataclasses import replace

import torch

from ptychoui.engine.check import directional_deviation
from ptychoui.engine.strategies import strategy
from ptychoui.errors import CertificateError
from ptychoui.optics.forward import FourierPtychography
from ptychoui.optics.measurement import MeasurementModel
from ptychoui.training.examples import Examples
from ptychoui.training.problem import Problem
from ptychoui.training.step import Parameters, network_inputs

TOLERANCE = 1e-4
"""Deviation from differences above which products are wrong: right ones stay below 1e-6 on tested problems."""


def in_double_precision(problem: Problem) -> Problem:
    """The same problem with operators in double precision; its examples stay as they are."""
    physics = problem.physics
    return replace(
        problem,
        physics=FourierPtychography(
            problem.geometry.microscope, problem.leds, problem.grids, torch.float64, physics.device
        ),
        measurement=MeasurementModel(
            problem.experiment.measurement, torch.from_numpy(problem.leds.gain.copy()).to(physics.device)
        ),
        mask=problem.mask.double(),
    )


def check_products(double: Problem, parameters: Parameters, examples: Examples, generator: torch.Generator) -> float:
    """Relative deviation of the network's products from differences, on examples measured with the present design.

    Parameters
    ----------
    double
        From `in_double_precision`.

    Raises
    ------
    CertificateError
        If they deviate by more than `TOLERANCE`.
    """
    of_double = Parameters(**{name: tensor.detach().double() for name, tensor in parameters.items()})
    widened = Examples(
        intensities=examples.intensities.double(),
        truth=examples.truth.to(torch.complex128),
        sources=examples.sources,
    )
    network = double.network(streamed=True)  # in double precision every buffer is twice as large
    with torch.no_grad():
        inputs, x = network_inputs(double, of_double, widened, None, poisson=False)
        entered = network.enter(x)
        cotangent = torch.randn(entered.shape, dtype=entered.dtype, device=entered.device, generator=generator)
        deviation = directional_deviation(
            network.chain, entered, inputs, cotangent, tuple(inputs), strategy("checkpoint"), generator
        )
    if not deviation <= TOLERANCE:
        raise CertificateError(
            f"derivatives deviate from differences by {deviation:.1e} of their size (allowed {TOLERANCE:.0e})",
            "the products of a layer are wrong on this device: run on another device and report this one",
        )
    return deviation
