"""The unroll with a smooth prior: what every layer owes the engine, with fields kept and streamed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from engine.chains import FLOOR, STRATEGIES, Problem, optics_problem
from network.layer_checks import (
    check_accumulates,
    check_derivatives,
    check_increments,
    check_single_precision,
)
from network.layer_problems import smoothed
from optics.setups import figure, make, relative

from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.memory import measure, predict, probe
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Chain
from ptychoui.network.gradient import GradientUnroll
from ptychoui.network.smoothed import SmoothedUnroll
from ptychoui.optics.forward.model import FourierPtychography

UNROLLS = 3


@cache
def model(dtype: torch.dtype = torch.float64, stream: bool = False) -> FourierPtychography:
    """The problem's model, made again."""
    setup = make(tile_px=8, pad_px=1, pitch_mm=6.0)
    return FourierPtychography(*setup, dtype=dtype, stream=stream, chunk_bytes=10_000)


def layer(index: int, dtype: torch.dtype = torch.float64, stream: bool = False) -> SmoothedUnroll:
    physics = model(dtype, stream)
    return SmoothedUnroll(physics, index, FLOOR, physics.roughness())


def problem(stream: bool = False) -> Problem:
    plain = smoothed(UNROLLS)
    return replace(plain, layer=lambda index: layer(index, stream=True)) if stream else plain


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("index", [0, 2])
def test_increments_and_derivatives(index: int, stream: bool) -> None:
    some = problem(stream)
    name = f"smoothed unroll{', streamed' * stream}"
    check_increments(some, name, index)
    check_derivatives(some, name, index)
    check_accumulates(some, index)
    check_single_precision(some, name, index, single=layer(index, torch.float32, stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wanted", [(), ("step",), ("coverage",), ("smoothness", "weights"), None])
def test_both_at_once_are_the_increment_and_the_pullback(wanted: tuple[str, ...] | None, stream: bool) -> None:
    """The short way to both, as reversible strategies take it, whatever is asked for."""
    some = problem(stream)
    names = tuple(some.inputs) if wanted is None else wanted
    one, two = ({name: torch.zeros_like(some.inputs[name]) for name in names} for _ in range(2))
    at = some.layer(1).linearise(some.x, some.inputs, Scratch(), Scratch())
    increment, pulled_back = at.increment_and_pullback(some.cotangent, one)
    increment, pulled_back = increment.clone(), pulled_back.clone()
    apart = some.layer(1).linearise(some.x, some.inputs, Scratch(), Scratch())
    assert torch.equal(some.layer(1).increment(some.x, some.inputs, Scratch()), increment)
    assert relative(apart.pullback(some.cotangent, two), pulled_back) < 1e-13
    for name in names:
        assert relative(one[name], two[name]) < 1e-12 and one[name].abs().max() > 0, name


def test_without_a_prior_and_with_even_light_it_is_the_plain_unroll() -> None:
    some = problem()
    given = some.inputs | {
        "coverage": torch.ones_like(some.inputs["coverage"]),
        "smoothness": torch.zeros(UNROLLS, dtype=torch.float64),
    }
    plain = GradientUnroll(model(), 1, FLOOR)
    found = layer(1).increment(some.x, given, Scratch())
    assert relative(found, plain.increment(some.x, some.inputs, Scratch())) < 1e-12


def test_a_step_of_one_scales_every_frequency_to_a_curvature_of_at_most_one() -> None:
    """With the design's own light the steepest direction of x + h(x) does not grow, so that steps up to 2 are stable."""
    plain, some = optics_problem(UNROLLS), problem()
    given = some.inputs | {
        "coverage": model().coverage(plain.inputs["weights"]) + 1e-3,
        "step": torch.ones(UNROLLS, dtype=torch.float64),
    }
    # At an object that explains its images: what the bound is of.
    x = some.x[:1]
    predicted = model().predict(x, given["weights"], given["offset"])
    given = given | {"amplitude": torch.sqrt(predicted + FLOOR)}
    at = layer(0).linearise(x, given, Scratch(), Scratch())
    scale = (given["coverage"] + given["smoothness"][0] * model().roughness()).sqrt()
    v = some.cotangent[:1]
    for _ in range(80):
        # P^1/2 H P^1/2 by the layer's own transposed P H, turned to its symmetric form.
        v = v / v.norm()
        turned = torch.fft.ifft2(torch.fft.fft2(v) * scale)
        pulled_back = at.pullback(turned, {})
        v, before = torch.fft.ifft2(torch.fft.fft2(pulled_back) / scale), v
    curvature = float(v.norm() / before.norm())
    assert figure("smoothed unroll: largest scaled curvature", curvature) <= 1 + 1e-9
    assert curvature > 0.5, "the bound is needlessly cautious"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", STRATEGIES)
def test_memory_is_predicted_within_15_percent(name: str, stream: bool) -> None:
    unrolls = 20
    some = smoothed(unrolls)
    x = some.x.to(torch.complex64)
    inputs = {key: value.float() for key, value in some.inputs.items()}
    layers = [layer(index, torch.float32, stream) for index in range(unrolls)]
    ball = HeavyBall("1/2")
    cost = probe(Chain(layers[:1], ball), x, inputs, tuple(inputs))
    for depth in (3, unrolls):
        chain = Chain(layers[:depth], ball)
        found = predict(cost, chain, name) / measure(chain, x, inputs, tuple(inputs), name)
        assert found == pytest.approx(1, abs=0.15), depth
