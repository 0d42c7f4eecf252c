"""The unroll's side of the layer contract, and the network that joins unrolls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import FLOOR, Problem, optics_problem
from optics.setups import inner, make, physics, relative

from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.network.gradient import INPUTS, GradientUnroll
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.settings import Network


@pytest.fixture
def problem() -> Problem:
    return optics_problem(3)


def pulled(problem: Problem, index: int, p: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    into = {name: torch.zeros_like(problem.inputs[name]) for name in INPUTS}
    at = problem.layer(index).linearise(problem.x, problem.inputs, Scratch(), Scratch())
    return at.pullback(p, into), into


def test_the_increment_is_the_linearisations_bit_for_bit(problem: Problem) -> None:
    layer, work = problem.layer(1), Scratch()
    alone = layer.increment(problem.x, problem.inputs, work)
    kept = layer.linearise(problem.x, problem.inputs, Scratch(), work)
    assert torch.equal(kept.increment, alone) and torch.equal(kept.increment, alone)


def test_the_increment_is_minus_step_times_the_gradient_of_the_simple_model(problem: Problem) -> None:
    for index in range(3):
        expected = problem.independent(problem.x, problem.inputs, index)
        found = problem.layer(index).increment(problem.x, problem.inputs, Scratch())
        assert relative(found, expected.detach()) < 1e-10


@pytest.mark.parametrize("index", [0, 2])
def test_the_pullback_is_the_transposed_derivative_of_the_independent_increment(problem: Problem, index: int) -> None:
    p = problem.cotangent
    found, into = pulled(problem, index, p)
    x = problem.x.clone().requires_grad_()
    leaves = {name: value.clone().requires_grad_() for name, value in problem.inputs.items()}
    along = (p.conj() * problem.independent(x, leaves, index)).sum().real
    expected = torch.autograd.grad(along, [x, *leaves.values()])
    assert relative(found, expected[0]) < 1e-10
    for name, derivative in zip(leaves, expected[1:], strict=True):
        assert relative(into[name], derivative) < 1e-10, name
    others = [n for n in range(3) if n != index]
    assert into["step"][index] != 0 and not into["step"][others].any()


def test_the_pullback_adds_to_what_is_there_and_only_where_asked(problem: Problem) -> None:
    at = problem.layer(0).linearise(problem.x, problem.inputs, Scratch(), Scratch())
    _, once = pulled(problem, 0, problem.cotangent)
    into = {"weights": torch.ones_like(problem.inputs["weights"])}
    at.pullback(problem.cotangent, into)
    assert set(into) == {"weights"}
    assert torch.allclose(into["weights"], 1 + once["weights"], rtol=1e-12)


def test_the_pullback_is_linear_and_matches_a_difference(problem: Problem) -> None:
    layer, h, direction = problem.layer(0), 1e-6, problem.cotangent.flip(0)
    difference = (
        layer.increment(problem.x + h * direction, problem.inputs, Scratch())
        - layer.increment(problem.x - h * direction, problem.inputs, Scratch())
    ) / (2 * h)
    found, _ = pulled(problem, 0, problem.cotangent)
    assert inner(found, direction) == pytest.approx(inner(problem.cotangent, difference), rel=1e-7)


def network(**settings: Any) -> PtychographicNetwork:
    model = physics(make(tile_px=8, pad_px=1, pitch_mm=6.0))
    return PtychographicNetwork(model, Network(**({"unrolls": 4, "step": 0.1} | settings)), FLOOR)


def test_settings_choose_the_update_and_the_steps() -> None:
    ball = network(momentum="9/10").chain.update
    assert isinstance(ball, HeavyBall) and str(ball.beta) == "9/10"
    assert isinstance(network(update="gradient").chain.update, Plain)
    some = network(step=0.3)
    assert len(some.chain) == 4 and some.initial_step().tolist() == [0.3] * 4
    assert some.initial_step().dtype == torch.float64
    assert [layer.name for layer in some.chain.layers] == [f"gradient {n}" for n in (1, 2, 3, 4)]
    assert all(isinstance(layer, GradientUnroll) for layer in some.chain.layers)


def test_a_network_runs_alike_forwards_with_and_without_a_way_back() -> None:
    problem, some = optics_problem(4), network()
    points: list[torch.Tensor] = []
    seen = some.infer(problem.x, problem.inputs, watch=points.append)
    trace = some.forward(strategy("reversible"), problem.x, problem.inputs, lambda: None)
    assert torch.equal(trace.output, seen) and len(points) == 4
    assert relative(points[0], problem.x) < 1e-12
    some.forget_workspaces()
    assert torch.equal(some.infer(problem.x, problem.inputs), seen)
