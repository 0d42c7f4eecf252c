"""The products of a run held against differences in double precision, now and then.

What is checked is what the run does: its layers in its variant (LEDs kept or streamed), walked back by its strategy.
Every input has a comparison of its own, so that a small derivative does not hide behind a large one. A pass in the
precision of the run is then held against the one in double precision.

A check takes two passes with a way back and, for each of the five or six inputs, three to seven without one where
products are right (twenty where they are wrong), all for one object: about the time of ten steps with two objects
each, or of two steps with eight. By default it comes every 50 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import torch
from torch import Tensor

from ptychoui.engine.check import ENOUGH, REACHES
from ptychoui.engine.layer import Inputs
from ptychoui.engine.planner import Option
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Chain, Strategy, infer
from ptychoui.errors import CertificateError, EngineError
from ptychoui.experiment import Engine
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.optics.forward import FourierPtychography
from ptychoui.optics.measurement import MeasurementModel
from ptychoui.training.examples import Examples
from ptychoui.training.planning import STREAMED
from ptychoui.training.problem import Problem
from ptychoui.training.step import GREEDY, Parameters, gradient_strategy, network_inputs

TOLERANCE = 1e-4
"""Deviation from differences above which products are wrong: right ones stay below 1e-5 on tested problems."""

FIRST_REACH = 1e-5
"""Step of the difference that is tried first, relative to what would change the output by its own size."""

SINGLE_TOLERANCE = 0.05
"""Deviation of single from double precision above which products are wrong: rounding gives 2e-4 over 500 unrolls."""

DRIFT = 1e-9
"""Drift that the strategy inverse is held to in double precision: what a run allows it would be taken for an error."""

START = "first estimate"
"""Name of the chain's input among the others."""

PROBE = 1e-4
"""Relative change of the output by which the size of a direction is found."""


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


def check_products(
    problem: Problem,
    double: Problem,
    way: Option,
    parameters: Parameters,
    examples: Examples,
    generator: torch.Generator,
) -> float:
    """Largest relative deviation of the network's products from differences, over its inputs.

    Parameters
    ----------
    problem
        The run's.
    double
        The same from `in_double_precision`.
    way
        Strategy and variant, from `planning.ways_to_check`.
    examples
        What is measured with the present design.

    Raises
    ------
    CertificateError
        If an input's derivative deviates from differences by more than `TOLERANCE`, or in the precision of the run by
        more than `SINGLE_TOLERANCE` from that in double precision.
    """
    of_double = Parameters(**{name: tensor.detach().double() for name, tensor in parameters.items()})
    widened = Examples(
        intensities=examples.intensities.double(),
        truth=examples.truth.to(torch.complex128),
        sources=examples.sources,
    )
    engine = problem.experiment.engine
    network, inputs, x = _measured(double, way, of_double, widened)
    cotangent = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    products = products_of(network.chain, x, inputs, cotangent, _strategy(way, engine, DRIFT))
    found = deviations(network.chain, x, inputs, cotangent, products, generator)
    _refuse({name: each.relative for name, each in found.items()}, "differences", TOLERANCE)
    if problem.physics.dtype != torch.float64:
        network, inputs, x = _measured(problem, way, parameters, examples)
        single = products_of(network.chain, x, inputs, cotangent.to(x), _strategy(way, engine, TOLERANCE))
        apart = {
            name: float((value - products.of[name]).norm()) / found[name].size for name, value in single.of.items()
        }
        _refuse(apart, "those in double precision", SINGLE_TOLERANCE)
    return max(each.relative for each in found.values())


@dataclass(frozen=True, slots=True)
class Products:
    """Derivatives of Re<cotangent, output> in the inputs of a chain, by name, and the norm of its output."""

    of: Mapping[str, Tensor]
    output: float


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far the derivative in one input is from differences.

    Attributes
    ----------
    relative
        The deviation along a random direction, relative to the derivative there.
    size
        Norm of a derivative of a size to be expected, for comparisons with others: never zero.
    """

    relative: float
    size: float


def products_of(chain: Chain, x: Tensor, inputs: Inputs, cotangent: Tensor, strategy: Strategy) -> Products:
    """Run a chain with a way back, and walk it; the derivative in x has the name `START`."""
    trace = strategy.forward(chain, x, inputs, Scratch())
    output = float(trace.output.norm())
    back = trace.backward(cotangent, tuple(inputs))
    return Products({START: back.x, **back.inputs}, output)


def deviations(
    chain: Chain, x: Tensor, inputs: Inputs, cotangent: Tensor, products: Products, generator: torch.Generator
) -> dict[str, Deviation]:
    """Hold the derivative in each input against differences along a random direction through this input alone.

    Directions are as long as it takes to change the output by its own size, to first order. The size of an input's
    values would say nothing where they are zero, as stray light is by default.

    Raises
    ------
    EngineError
        If x is not in double precision: differences of rounded numbers would show nothing.
    """
    if x.dtype not in (torch.float64, torch.complex128):
        raise EngineError(f"products are checked in double precision, not in {x.dtype}", "convert x and inputs")
    work = Scratch()
    start = infer(chain, x, inputs, work)
    scale = products.output * float(cotangent.norm())
    found = {}
    for name, derivative in products.of.items():
        value = x if name == START else inputs[name]
        noise = torch.randn(value.shape, dtype=value.dtype, device=value.device, generator=generator)
        output = partial(_moved, chain, x, inputs, name, noise, work)
        unit = _unit(output, start, float(value.abs().square().mean().sqrt()) or 1.0)
        size = float(derivative.norm())
        # Noise and derivative may happen to be at right angles, and an input may have no effect at all.
        least = max(0.1 * size, 1e-6 * scale / unit, 1e-300)
        relative = _relative(output, cotangent, unit, _inner(derivative, noise), least)
        found[name] = Deviation(relative, max(size, 1e-4 * scale / unit, 1e-300))
    return found


def _moved(
    chain: Chain, x: Tensor, inputs: Inputs, name: str, direction: Tensor, work: Scratch, distance: float
) -> Tensor:
    """Output of the chain with one input moved along a direction."""
    if name == START:
        return infer(chain, x + distance * direction, inputs, work)
    return infer(chain, x, {**inputs, name: inputs[name] + distance * direction}, work)


def _relative(output: Callable[[float], Tensor], cotangent: Tensor, unit: float, found: float, least: float) -> float:
    """The derivative found along a direction against differences; the best counts.

    One of second order does on most problems; those of fourth order take twice the passes and longer steps, which rise
    above rounding.
    """

    def slope(step: float) -> float:
        return (_inner(cotangent, output(step)) - _inner(cotangent, output(-step))) / (2 * step)

    def deviation(slope: float) -> float:
        return abs(found - slope) / max(abs(slope), least)

    best, enough = min(inf, deviation(slope(FIRST_REACH * unit))), ENOUGH
    for reach in REACHES:
        if best <= enough:
            break
        enough = TOLERANCE / 10  # from now on only what looks wrong is worth more passes
        best = min(best, deviation((4 * slope(reach * unit) - slope(2 * reach * unit)) / 3))
    return best


def _unit(output: Callable[[float], Tensor], start: Tensor, guess: float) -> float:
    """The distance along a direction that would change the output by its own size, to first order.

    A guess is good enough to begin with; it stays where the output never changes.
    """
    size, unit = max(float(start.norm()), 1e-300), guess
    for _ in range(6):
        try:
            change = float((output(PROBE * unit) - start).norm()) / size
        except EngineError:  # so far off that the network diverges
            change = inf
        if 1e-9 < change < 10 * PROBE:
            return unit * PROBE / change
        unit *= 1e3 if change <= 1e-9 else 1e-3
    return guess


def _measured(
    problem: Problem, way: Option, parameters: Parameters, examples: Examples
) -> tuple[UnrolledNetwork, dict[str, Tensor], Tensor]:
    """The network in the variant of a way, and what it is given, without noise."""
    network = problem.network(streamed=way.variant == STREAMED)
    with torch.no_grad():
        inputs, x = network_inputs(problem, parameters, examples, None, poisson=False)
        return network, inputs, network.enter(x)


def _strategy(way: Option, engine: Engine, drift: float) -> Strategy:
    """The strategy of a way; greedy modules keep their linearised layers, as back-propagation does."""
    engine = engine.replace(drift_tolerance=min(engine.drift_tolerance, drift))
    return gradient_strategy(engine, "store_all" if way.strategy == GREEDY else way.strategy)


def _refuse(found: Mapping[str, float], others: str, allowed: float) -> None:
    """Raise where an input deviates by more than is allowed, or by what is not a number; the worst is named first."""
    wrong = [name for name, deviation in found.items() if not deviation <= allowed]
    if not wrong:
        return
    wrong.sort(key=lambda name: -found[name] if found[name] == found[name] else -inf)
    raise CertificateError(
        f"derivatives in {', '.join(wrong)} deviate from {others} by {found[wrong[0]]:.1e} of their size "
        f"(allowed {allowed:.0e})",
        "the products of a layer are wrong on this device: run on another device and report this one",
    )


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.conj() * b).sum().real)
