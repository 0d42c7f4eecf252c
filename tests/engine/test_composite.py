"""Several layers as one: increments, products, inverses and bounds of the whole; exactly reversible by heavy ball."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import Problem, TanhLayer, tanh_problem
from network.layer_checks import (
    check_accumulates,
    check_derivatives,
    check_increments,
    check_single_precision,
    observed_lipschitz,
)
from network.layer_problems import composite, draw, least_squares, wavelet
from optics.setups import figure, relative
from torch import Tensor

from ptychoui.engine.composite import Composite
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError


class Lodger(TanhLayer):
    """A tanh layer whose increment lies in a buffer of ``work``, which every layer writes into."""

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        at, work_buffer = (
            super().linearise(x, inputs, keep, work),
            work.get("lodger", tuple(x.shape), x.dtype, x.device),
        )

        class At:
            @property
            def increment(self) -> Tensor:
                return work_buffer.copy_(at.increment)

            def pullback(self, cotangent: Tensor, into: dict[str, Tensor]) -> Tensor:
                return work_buffer.copy_(at.pullback(cotangent, into))

        return At()


def three(layer: type[TanhLayer] = TanhLayer) -> Problem:
    """A tanh unroll of three different strengths."""
    some = tanh_problem()
    single = some.independent
    scales = (3.0, -2.0, 5.0)

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        z = x
        for scale in scales:
            z = z + scale * single(z, given, index)
        return z - x

    some.layer = lambda _index: Composite([layer(-0.1 * scale) for scale in scales])
    some.independent = independent
    return some


@pytest.mark.parametrize("part", [TanhLayer, Lodger])
def test_composites_keep_the_layer_contract(part: type[TanhLayer]) -> None:
    some = three(part)
    check_increments(some, "composite of tanh")
    check_derivatives(some, "composite of tanh")
    check_accumulates(some)
    check_single_precision(some, "composite of tanh")


def test_a_gradient_step_and_a_network_keep_the_layer_contract() -> None:
    some = composite(2)
    for index in (0, 1):
        check_increments(some, "gradient and CNN", index)
        check_derivatives(some, "gradient and CNN", index)
    check_accumulates(some)


def test_one_part_is_that_part() -> None:
    some = tanh_problem()
    alone, wrapped = TanhLayer(), Composite([TanhLayer()])
    h = alone.increment(some.x, some.inputs, Scratch())
    assert torch.equal(wrapped.increment(some.x, some.inputs, Scratch()), h)
    at = wrapped.linearise(some.x, some.inputs, Scratch(), Scratch())
    expected = alone.linearise(some.x, some.inputs, Scratch(), Scratch()).pullback(some.cotangent, {})
    assert torch.equal(at.increment, h) and torch.equal(at.pullback(some.cotangent, {}), expected)


def test_parts_and_nested_composites_keep_their_own_buffers() -> None:
    some, work = three(), Scratch()
    nested = Composite([Composite([TanhLayer(-0.3), TanhLayer(0.2)]), TanhLayer(-0.5)])
    at = nested.linearise(some.x, some.inputs, work, work)
    other = some.layer(0).linearise(some.x, some.inputs, Scratch(), work)
    into = [{name: torch.zeros_like(value) for name, value in some.inputs.items()} for _ in range(2)]
    assert relative(at.increment, other.increment) < 1e-14
    assert relative(at.pullback(some.cotangent, into[0]), other.pullback(some.cotangent, into[1])) < 1e-14
    assert relative(into[0]["matrix"], into[1]["matrix"]) < 1e-14


@pytest.mark.parametrize("unrolls", [1, 30])
def test_any_unroll_is_exactly_reversible(unrolls: int) -> None:
    for some in (three(), composite(unrolls)):
        output, reference = some.run("store_all", unrolls, HeavyBall("7/8"))
        for name in ("checkpoint", "binomial", "reversible"):
            other, found = some.run(name, unrolls, HeavyBall("7/8"))
            assert torch.equal(other, output) and torch.equal(found.x, reference.x), name
            assert all(torch.equal(found.inputs[key], reference.inputs[key]) for key in some.inputs), name
        assert found.certificate is not None


def test_plain_unrolls_of_composites_are_unrolls() -> None:
    some = composite(4)
    output, back = some.run("checkpoint", 4, Plain())
    expected, gx, inputs = some.autograd(4, None)
    assert relative(output, expected) < 1e-11
    assert figure("gradient and CNN: gradient of 4 unrolls from autograd", relative(back.x, gx)) < 1e-9
    assert all(relative(back.inputs[name], derivative) < 1e-9 for name, derivative in inputs.items())


def proximal_data_consistency() -> tuple[Composite, Tensor, dict[str, Tensor]]:
    data, prior = least_squares(1), wavelet(1)
    return Composite([data.layer(0), prior.layer(0)], "MRI"), data.x, data.inputs | prior.inputs


def test_composites_are_undone_part_by_part() -> None:
    layer, x, inputs = proximal_data_consistency()
    z = x + layer.increment(x, inputs, Scratch())
    assert figure("composite: x from its inverse", relative(layer.inverse(z, inputs, Scratch()), x)) < 1e-10
    assert layer.name == "MRI" and Composite(layer.layers).name == "least squares 1 + wavelet proximal 1"


def test_bounds_of_composites_hold() -> None:
    layer, x, inputs = proximal_data_consistency()
    first, second = (part.contraction_bound(inputs) for part in layer.layers)
    assert first is not None and second is not None
    bound = layer.contraction_bound(inputs)
    assert bound == pytest.approx((1 + first) * (1 + second) - 1)
    assert observed_lipschitz(layer, x, inputs) <= bound
    assert Composite([*layer.layers, TanhLayer()]).contraction_bound(inputs) is None


def test_composites_that_cannot_be_are_refused() -> None:
    with pytest.raises(EngineError, match="at least one part"):
        Composite([])
    some = three()
    with pytest.raises(EngineError, match="no closed-form inverse"):
        some.layer(0).inverse(draw(0, 3, 6, dtype=torch.float64), some.inputs, Scratch())
