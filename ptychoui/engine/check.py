"""Whether the products of a chain are right: derivatives along random directions against differences.

The certificate of exact reversal proves states, not products. A closed form with a wrong sign would pass it, so every
now and then the products themselves are held against central differences in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Chain, Strategy, infer
from ptychoui.errors import EngineError

REACHES = (1e-4, 1e-5, 1e-6, 1e-7)
"""Steps of the differences, relative to the size of what is varied. Long ones meet the curvature of deep networks and
kinks, short ones rounding; right products agree at one of them, wrong ones at none."""

ENOUGH = 1e-6
"""Deviation at which no shorter step is tried."""


def directional_deviation(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    cotangent: Tensor,
    wanted: Sequence[str],
    strategy: Strategy,
    generator: torch.Generator,
) -> float:
    """Relative deviation between the derivative of Re<cotangent, output> along a random direction and a difference.

    One direction through x and all ``wanted`` inputs at once: a wrong product anywhere shows. Differences are of
    fourth order, from four passes without a way back; the best of `REACHES` counts.

    Raises
    ------
    EngineError
        If x is not in double precision: differences of rounded numbers would show nothing.
    """
    if x.dtype not in (torch.float64, torch.complex128):
        raise EngineError(f"products are checked in double precision, not in {x.dtype}", "convert x and inputs")
    trace = strategy.forward(chain, x, inputs, Scratch())
    scale = float(trace.output.norm() * cotangent.norm())
    back = trace.backward(cotangent, wanted)
    directions = {name: _direction(inputs[name], generator) for name in wanted}
    along_x = _direction(x, generator)

    def outcome(reach: float) -> float:
        shifted = {name: value + reach * directions[name] for name, value in inputs.items() if name in directions}
        output = infer(chain, x + reach * along_x, {**inputs, **shifted}, Scratch())
        return _inner(cotangent, output)

    found = _inner(back.x, along_x) + sum(_inner(back.inputs[name], directions[name]) for name in wanted)
    best = inf
    for reach in REACHES:
        slope = (8 * (outcome(reach) - outcome(-reach)) - (outcome(2 * reach) - outcome(-2 * reach))) / (12 * reach)
        best = min(best, abs(found - slope) / max(abs(slope), 1e-6 * scale, 1e-300))
        if best <= ENOUGH:
            break
    return best


def _direction(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of the size of a tensor's values."""
    noise = torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    return noise * (like.abs().square().mean().sqrt() + 1e-12)


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.conj() * b).sum().real)
