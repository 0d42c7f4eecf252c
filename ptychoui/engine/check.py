"""Whether the vector-Jacobian products (VJPs) of a chain are right: held against differences in random directions.

The certificate of exact reversal proves states, not products. A closed form with a wrong sign would pass it, so every
now and then the products themselves are held against central differences in double precision, every input for itself: a
small derivative does not hide behind a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import torch
from torch import Tensor

from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Callback, Chain, Strategy, go_on, infer
from ptychoui.errors import EngineError

REACHES = (1e-4, 1e-5, 1e-6, 1e-7)
"""Steps of the differences, relative to the size of what is varied. Long ones meet the curvature of deep networks and
kinks, short ones rounding; right products agree at one of them, wrong ones at none."""

SHORT_REACHES = (1e-8, 3e-9)
"""Steps that are tried before anything is called wrong: images that are dark nearly everywhere bend amplitudes, the
roots of their intensities, so sharply that longer ones tell nothing."""

ENOUGH = 1e-6
"""Deviation at which no shorter step is tried."""


FIRST_REACH = 1e-5
"""Step of the difference that is tried first, relative to what would change the output by its own size."""

KINKED_REACHES = (1e-8, 3e-9, 3e-8, 1e-7)
"""Steps for layers with kinks, in the order in which they are tried. Among many kinks some lie within any step: the
difference is off by about the root of its length, so that only steps just above rounding tell much."""

PROBE = 1e-4
"""Relative change of the output by which the size of a direction is found."""

KINKED = 0.1
"""Share of a point that is exactly zero from which it is moved a little before derivatives are compared."""

START = "first estimate"
"""Name of the chain's input among the others."""

ALLOWED = 1e-4
"""Deviation from differences above which products are wrong: right ones stay below 1e-5 on tested problems."""

KINKED_ALLOWED = 1e-3
"""The same for layers with kinks, where differences themselves are off by up to 1e-4."""


def allowed_deviation(chain: Chain) -> float:
    """What differences may deviate by from right products of a chain."""
    return KINKED_ALLOWED if any(layer.kinked for layer in chain.layers) else ALLOWED


def directional_deviation(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    cotangent: Tensor,
    wanted: Sequence[str],
    strategy: Strategy,
    generator: torch.Generator,
) -> float:
    """Largest relative deviation between derivatives of Re<cotangent, output> and differences along random directions.

    One direction through x and one through each of the ``wanted`` inputs: see `deviations`, which tells them apart.

    ``x`` may have any shape, ``cotangent`` has the same.

    Raises
    ------
    EngineError
        If x is not in double precision: differences of rounded numbers would show nothing.
    """
    x = off_kinks(x, generator)
    vjps = vjps_of(chain, x, inputs, cotangent, wanted, strategy)
    return max(each.relative for each in deviations(chain, x, inputs, cotangent, vjps, generator).values())


@dataclass(frozen=True, slots=True)
class Vjps:
    """Derivatives of Re<cotangent, output> in the inputs of a chain, by name, and the norm of its output.

    Each derivative has the shape of its input.
    """

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


def off_kinks(x: Tensor, generator: torch.Generator) -> Tensor:
    """The point, of any shape, or one of that shape beside it where much of it is exactly zero.

    There layers with kinks, such as ReLU, have no derivative: products are right there and differences are not. A first
    estimate is often zero outside the sample, or altogether.
    """
    if float((x == 0).double().mean()) < KINKED:
        return x
    size = float(x.abs().square().mean().sqrt()) or 1.0
    noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    return x + 1e-2 * size * noise


def vjps_of(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    cotangent: Tensor,
    wanted: Sequence[str],
    strategy: Strategy,
    callback: Callback = go_on,
) -> Vjps:
    """Run a chain with a way back, and walk it; the derivative in x has the name `START`.

    ``x`` may have any shape, ``cotangent`` has the same; every derivative has the shape of what it is taken in.
    """
    trace = strategy.forward(chain, x, inputs, Scratch(), callback)
    output = float(trace.output.norm())
    back = trace.backward(cotangent, wanted, callback)
    return Vjps({START: back.x, **back.inputs}, output)


def deviations(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    cotangent: Tensor,
    vjps: Vjps,
    generator: torch.Generator,
    allowed: float = ALLOWED,
    among: Sequence[str] | None = None,
    callback: Callback = go_on,
) -> dict[str, Deviation]:
    """Hold the derivative in each input against differences along a random direction through this input alone.

    Directions are as long as it takes to change the output by its own size, to first order. The size of an input's
    values would say nothing where they are zero, as those of biases and of stray light often are.

    ``x`` and ``cotangent`` have one shape, every derivative that of what it is taken in.

    Parameters
    ----------
    allowed
        What deviates by a tenth of this at most is right: no more passes are spent on it.
    among
        Names of the derivatives to look at; by default all.

    Raises
    ------
    EngineError
        If x is not in double precision: differences of rounded numbers would show nothing.
    """
    if x.dtype not in (torch.float64, torch.complex128):
        raise EngineError(f"products are checked in double precision, not in {x.dtype}", "convert x and inputs")
    work = Scratch()
    start = infer(chain, x, inputs, work, callback)
    scale = vjps.output * float(cotangent.norm())
    kinked = any(layer.kinked for layer in chain.layers)
    found = {}
    for name in vjps.of if among is None else among:
        derivative = vjps.of[name]
        value = x if name == START else inputs[name]
        noise = torch.randn(value.shape, dtype=value.dtype, device=value.device, generator=generator)
        output = partial(_moved, chain, x, inputs, name, noise, work, callback)
        unit = _unit(output, start, float(value.abs().square().mean().sqrt()) or 1.0)
        size = float(derivative.norm())
        # Noise and derivative may happen to be at right angles, and an input may have no effect at all.
        least = max(0.1 * size, 1e-6 * scale / unit, 1e-300)
        relative = _relative(output, cotangent, unit, _inner(derivative, noise), least, allowed, kinked)
        found[name] = Deviation(relative, max(size, 1e-4 * scale / unit, 1e-300))
    return found


def _moved(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    name: str,
    direction: Tensor,
    work: Scratch,
    callback: Callback,
    distance: float,
) -> Tensor:
    """Output of the chain with one input moved along a direction."""
    if name == START:
        return infer(chain, x + distance * direction, inputs, work, callback)
    return infer(chain, x, {**inputs, name: inputs[name] + distance * direction}, work, callback)


def _relative(
    output: Callable[[float], Tensor],
    cotangent: Tensor,
    unit: float,
    found: float,
    least: float,
    allowed: float,
    kinked: bool,
) -> float:
    """The derivative found along a direction against differences; the best counts.

    One of second order does on most problems; those of fourth order take twice the passes and longer steps, which rise
    above rounding. Where there are kinks only short steps of second order tell anything.
    """

    def slope(step: float) -> float:
        return (_inner(cotangent, output(step)) - _inner(cotangent, output(-step))) / (2 * step)

    def deviation(slope: float) -> float:
        return abs(found - slope) / max(abs(slope), least)

    if kinked:
        best = inf
        for reach in KINKED_REACHES:
            best = min(best, deviation(slope(reach * unit)))
            if best <= allowed / 3:
                break
        return best
    best, enough = min(inf, deviation(slope(FIRST_REACH * unit))), ENOUGH
    for reach in REACHES:
        if best <= enough:
            break
        enough = allowed / 10  # from now on only what looks wrong is worth more passes
        best = min(best, deviation((4 * slope(reach * unit) - slope(2 * reach * unit)) / 3))
    for reach in SHORT_REACHES:
        if best <= allowed:
            break
        best = min(best, deviation(slope(reach * unit)))
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


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.conj() * b).sum().real)
