"""The check of products finds wrong ones and passes right ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import TanhLayer, optics_problem, tanh_problem
from optics.setups import figure
from torch import Tensor

from ptychoui.engine.check import (
    ALLOWED,
    START,
    _relative,
    deviations,
    directional_deviation,
    off_kinks,
    vjps_of,
)
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import Checkpoint
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.errors import EngineError
from ptychoui.network.residual_cnn import ResidualCnn


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


class Affine(Layer):
    """h(x) = -0.1 x + bias + 0.1 gain x, with derivatives in bias and gain that are off by factors."""

    name = "affine"

    def __init__(self, bias: float = 1.0, gain: float = 1.0) -> None:
        self.factors = {"bias": bias, "gain": gain}

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        return _Affine(self.factors, x, inputs)


class _Affine(Linearisation):
    def __init__(self, factors: dict[str, float], x: Tensor, inputs: Inputs) -> None:
        self.factors, self.x, self.inputs = factors, x, inputs

    @property
    def increment(self) -> Tensor:
        return -0.1 * self.x + self.inputs["bias"] + 0.1 * self.inputs["gain"] * self.x

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        into["bias"].add_(cotangent.sum(0), alpha=self.factors["bias"])
        into["gain"].add_((cotangent * self.x).sum(0), alpha=0.1 * self.factors["gain"])
        if "unused" in into:
            into["unused"].add_(self.factors.get("unused", 0.0))
        return -0.1 * cotangent + 0.1 * self.inputs["gain"] * cotangent


def relative(layer: Layer, bias: float = 1.0, size: float = 1.0, dtype: Any = torch.float64, **more: Tensor) -> Any:
    """Deviation by input for a bias of this value and a point of this size."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    x, inputs = size * noise(4, 5), {"bias": torch.full((5,), bias, dtype=dtype), "gain": noise(5), **more}
    chain, cotangent = Chain([layer] * 5, Plain()), noise(4, 5)
    vjps = vjps_of(chain, x, inputs, cotangent, tuple(inputs), Checkpoint())
    found = deviations(chain, x, inputs, cotangent, vjps, generator)
    return {name: deviation.relative for name, deviation in found.items()}


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.001, 100.0])
@pytest.mark.parametrize("bias", [0.0, 1e-12, 1e-6, 1.0])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_an_input_of_any_value_is_checked(bias: float, factor: float, size: float) -> None:
    """A bias is zero at the start of most networks: noise of the size of its values would move nothing."""
    assert max(relative(Affine(), bias, size).values()) < 1e-6
    found = relative(Affine(bias=factor), bias, size)
    assert found["bias"] > 5e-4 and max(found["gain"], found[START]) < 1e-6


def test_a_small_derivative_does_not_hide_behind_a_large_one() -> None:
    found = relative(Affine(gain=-1.0), bias=1e6, size=1e-9)
    assert found["gain"] > 0.1 and found["bias"] < 1e-6


def test_an_input_without_effect_has_no_derivative() -> None:
    unused = torch.zeros(3, dtype=torch.float64)
    assert relative(Affine(), unused=unused)["unused"] == 0
    layer = Affine()
    layer.factors["unused"] = 1e-3
    assert relative(layer, unused=unused)["unused"] > 1


def test_differences_in_single_precision_are_refused() -> None:
    with pytest.raises(EngineError, match="double precision") as error:
        relative(Affine(), dtype=torch.float32)
    assert error.value.hint


def test_right_products_of_kinked_layers_pass_at_a_point_that_is_zero() -> None:
    """A first estimate of nothing lies on the kink of every ReLU without biases: one-sided slopes are no derivative."""
    size, channels = 8, 4
    generator = torch.Generator().manual_seed(0)
    layer = ResidualCnn(size, channels=channels, convolutions=3)
    inputs = layer.initial_weights(generator, torch.float64, last=1.0)
    x = torch.zeros(2, size, size, dtype=torch.complex128)
    cotangent = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    chain = Chain([layer] * 3, Plain())
    found = directional_deviation(chain, x, inputs, cotangent, tuple(inputs), strategy("store_all"), generator)
    assert figure("check of products on a CNN at zero", found) < 1e-6


def test_a_point_away_from_zero_stays_where_it_is() -> None:
    x = torch.ones(4, dtype=torch.float64)
    assert off_kinks(x, torch.Generator()) is x


@pytest.mark.parametrize(("found", "right"), [(1.0, True), (1.01, False), (26.0, False)])
def test_a_bend_very_near_needs_short_steps(found: float, right: bool) -> None:
    """Amplitudes of images that are dark nearly everywhere bend so near that longer differences tell nothing."""

    def output(distance: float) -> Tensor:
        return torch.tensor([distance + 50 * max(0.0, distance - 3e-8)], dtype=torch.float64)

    one = torch.ones(1, dtype=torch.float64)
    assert (_relative(output, one, 1.0, found, 1e-3, ALLOWED, False) <= ALLOWED) is right
