"""The check of products finds wrong ones and passes right ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import TanhLayer, optics_problem, tanh_problem
from optics.setups import figure
from torch import Tensor

from ptychoui.engine.check import directional_deviation
from ptychoui.engine.layer import Gradients, Inputs, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.engine.update import HeavyBall, Plain
from ptychoui.errors import EngineError


def deviation(problem: Any, chain: Chain, name: str = "reversible", seed: int = 0) -> float:
    generator = torch.Generator().manual_seed(seed)
    wanted = tuple(problem.inputs)
    return directional_deviation(chain, problem.x, problem.inputs, problem.cotangent, wanted, strategy(name), generator)


@pytest.mark.parametrize("seed", range(3))
def test_right_products_pass(seed: int) -> None:
    problem = optics_problem(12)
    assert (
        figure("check of products on optics", deviation(problem, problem.chain(12, HeavyBall("7/8")), seed=seed)) < 1e-6
    )
    problem = tanh_problem()
    assert deviation(problem, problem.chain(30, Plain()), "checkpoint", seed) < 1e-7


class Off(TanhLayer):
    """One product is a part in ten thousand too large."""

    spoiled = "x"

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        return _Off(super().linearise(x, inputs, keep, work), self.spoiled)


class _Off(Linearisation):
    def __init__(self, honest: Any, spoiled: str) -> None:
        self.honest, self.spoiled = honest, spoiled

    @property
    def increment(self) -> Tensor:
        found: Tensor = self.honest.increment
        return found

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        before = {name: value.clone() for name, value in into.items()}
        product: Tensor = self.honest.pullback(cotangent, into)
        if self.spoiled == "x":
            return 1.001 * product
        into[self.spoiled] += 1e-3 * (into[self.spoiled] - before[self.spoiled])
        return product


@pytest.mark.parametrize("spoiled", ["x", "matrix", "bias"])
def test_wrong_products_are_found_though_the_states_are_certified(spoiled: str) -> None:
    problem = tanh_problem()
    layer = Off()
    layer.spoiled = spoiled
    assert deviation(problem, Chain([layer] * 20, HeavyBall("7/8"))) > 1e-5


def test_single_precision_is_refused() -> None:
    problem = tanh_problem(dtype=torch.float32)
    with pytest.raises(EngineError, match="double precision"):
        deviation(problem, problem.chain(3, Plain()), "checkpoint")
