"""Every strategy on every layer, where it is defined: against autograd through increments written independently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from engine.chains import Problem, optics_problem, tanh_problem
from network.layer_problems import LAYER_PROBLEMS
from optics.setups import figure, inner
from torch import Tensor

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.momentum import LearnedMomentum
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import STRATEGIES, strategy
from ptychoui.engine.strategy import Backward, infer
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError

UNROLLS = 10
PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "gradient": lambda unrolls: optics_problem(unrolls),
    "tanh": lambda _unrolls: tanh_problem(),
    **LAYER_PROBLEMS,
}
UPDATES: dict[str, Update] = {"plain": Plain(), "heavy ball": HeavyBall("7/8"), "nesterov": Nesterov(0.8)}


def autograd(problem: Problem, update: str) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Output and derivatives of Re<cotangent, output> by torch."""
    if update != "nesterov":
        return problem.autograd(UNROLLS, Fraction("7/8") if update == "heavy ball" else None)
    before = x = start = problem.x.clone().requires_grad_()
    leaves = {name: value.clone().requires_grad_() for name, value in problem.inputs.items()}
    for index in range(UNROLLS):
        y = x + 0.8 * (x - before)
        before, x = x, y + problem.independent(y, leaves, index)
    (problem.cotangent.conj() * x).sum().real.backward()
    assert start.grad is not None
    return x.detach(), start.grad, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def error(back: Backward, gx: Tensor, inputs: dict[str, Tensor]) -> float:
    """Largest relative error, in the norm, of the derivatives in x and every input."""
    pairs = [(back.x, gx), *((back.inputs[name], inputs[name]) for name in inputs)]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def defined(name: str, update: str, layer: str) -> bool:
    """Reversible needs heavy ball; inverse goes with the others, and not with total variation."""
    if name == "reversible":
        return update == "heavy ball"
    return name != "inverse" or (update != "heavy ball" and layer != "total variation")


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("layer", PROBLEMS)
def test_gradients_agree_with_autograd(layer: str, update: str) -> None:
    problem = PROBLEMS[layer](UNROLLS)
    output, gx, inputs = autograd(problem, update)
    reference: Backward | None = None
    for name in STRATEGIES:
        if not defined(name, update, layer):
            with pytest.raises(EngineError) as refused:
                strategy(name).check(problem.chain(UNROLLS, UPDATES[update]))
            assert problem.layer(0).name in refused.value.message and "checkpoint" in refused.value.hint
            continue
        found, back = problem.run(name, UNROLLS, UPDATES[update])
        assert float((found - output).norm() / output.norm()) < 1e-9
        deviation = error(back, gx, inputs)
        if name == "inverse":
            assert back.drift is not None and back.drift <= 1e-4
            assert figure(f"{layer}, inverse to 1e-4, against autograd", deviation) <= 1e-3
            continue
        assert figure(f"{layer}, exact strategies, against autograd", deviation) < 1e-8
        reference = reference or back
        assert torch.equal(back.x, reference.x), name
        assert all(torch.equal(back.inputs[key], reference.inputs[key]) for key in inputs), name


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("layer", PROBLEMS)
def test_gradients_agree_with_differences(layer: str, update: str) -> None:
    """Along one random direction through x and every input at once.

    Of several reaches the best counts: long ones cross kinks, short ones drown in rounding.
    """
    problem = PROBLEMS[layer](UNROLLS)
    _, back = problem.run("checkpoint", UNROLLS, UPDATES[update])
    generator = torch.Generator().manual_seed(3)

    def direction(like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator) * like.abs().max()

    along_x = direction(problem.x)
    along = {name: direction(value) for name, value in problem.inputs.items()}

    def outcome(shift: float) -> float:
        inputs = {name: value + shift * along[name] for name, value in problem.inputs.items()}
        chain = problem.chain(UNROLLS, UPDATES[update])
        return inner(problem.cotangent, infer(chain, problem.x + shift * along_x, inputs, Scratch()))

    found = inner(back.x, along_x) + sum(inner(back.inputs[name], along[name]) for name in along)
    scale = max(abs(found), float(back.x.norm() * along_x.norm()) * 0.01)
    deviations = []
    for reach in (1e-5, 1e-6, 1e-7, 1e-8):
        slope = (outcome(reach) - outcome(-reach)) / (2 * reach)
        deviations.append(abs(found - slope) / scale)
    assert figure(f"{layer}, checkpoint, against differences", min(deviations)) < 1e-5


@pytest.mark.parametrize("layer", PROBLEMS)
def test_momentum_is_learned_under_all_but_reversible(layer: str) -> None:
    plain = PROBLEMS[layer](UNROLLS)
    beta = torch.linspace(0.5, 0.9, UNROLLS, dtype=torch.float64)
    zeros = torch.zeros_like(plain.x)
    problem = replace(
        plain,
        layer=lambda index: LearnedMomentum(plain.layer(index), index),
        x=torch.stack([plain.x, zeros]),
        inputs=plain.inputs | {"momentum": beta},
        cotangent=torch.stack([plain.cotangent, 0.3 * plain.cotangent]),
        independent=lambda x, given, index: _heavy_ball(plain, x, given, index),
    )
    output, gx, inputs = problem.autograd(UNROLLS, None)
    assert set(inputs) == set(problem.inputs)
    for name in STRATEGIES:
        if name == "reversible":
            with pytest.raises(EngineError, match="learned momentum"):
                problem.run(name, UNROLLS, Plain())
            continue
        found, back = problem.run(name, UNROLLS, Plain())
        assert float((found - output).norm() / output.norm()) < 1e-9
        bound = 1e-3 if name == "inverse" else 1e-8
        kind = "inverse to 1e-4" if name == "inverse" else "exact strategies"
        assert figure(f"{layer}, {kind}, against autograd", error(back, gx, inputs)) < bound


def _heavy_ball(plain: Problem, x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
    v = given["momentum"][index] * x[1] + plain.independent(x[0], given, index)
    return torch.stack([v, v - x[1]])
