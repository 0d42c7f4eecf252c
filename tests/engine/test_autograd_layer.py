"""A layer made of a function: gradients in pairs of reals, the same bits both ways, and a graph of one layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import Problem
from network.layer_checks import check_accumulates, check_derivatives, check_increments, check_single_precision, pulled
from network.layer_problems import draw
from torch import Tensor

from ptychoui.engine.autograd_layer import AutogradLayer
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Inputs
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError


def twisted(x: Tensor, inputs: Inputs) -> Tensor:
    """Neither complex-linear nor holomorphic, with a real, a complex and an integer input."""
    mixed = inputs["matrix"] @ x + 0.3 * x.conj()
    return inputs["scale"] * torch.tanh(mixed.abs()) * mixed[..., inputs["order"]] + x.real * x.imag


def problem(dtype: torch.dtype = torch.complex128) -> Problem:
    order = torch.arange(5).flip(0)

    def independent(x: Tensor, given: dict[str, Tensor], _index: int) -> Tensor:
        return twisted(x, given | {"order": order})

    function = lambda x, inputs: twisted(x, {"order": order, **{n: inputs[n] for n in ("matrix", "scale")}})  # noqa: E731
    return Problem(
        layer=lambda _index: AutogradLayer("twisted", function),
        x=draw(1, 2, 5, 5, dtype=dtype),
        inputs={"matrix": draw(2, 5, 5), "scale": draw(3, 5, dtype=torch.float64) - 2},
        cotangent=draw(4, 2, 5, 5, dtype=dtype),
        independent=independent,
    )


def test_functions_keep_the_layer_contract() -> None:
    some = problem()
    check_increments(some, "autograd layer")
    check_derivatives(some, "autograd layer")
    check_accumulates(some)
    check_single_precision(some, "autograd layer")


def test_gradients_do_not_depend_on_the_mode_of_the_caller() -> None:
    product, into = pulled(problem())
    with torch.no_grad():
        again, same = pulled(problem())
    assert torch.equal(product, again) and all(torch.equal(into[name], same[name]) for name in into)
    with torch.enable_grad():
        some = problem()
        x = some.x.clone().requires_grad_()
        h = some.layer(0).increment(x, some.inputs, Scratch())
        assert not h.requires_grad and x.grad is None


def test_the_function_runs_in_the_same_mode_for_an_increment_and_a_linearisation() -> None:
    seen: list[tuple[Any, ...]] = []

    def watch(x: Tensor, inputs: Inputs) -> Tensor:
        seen.append(
            (torch.is_grad_enabled(), x.requires_grad, inputs["a"].requires_grad, torch.backends.cudnn.deterministic)
        )
        return inputs["a"] * x

    layer, x, inputs = AutogradLayer("watch", watch), draw(0, 3), {"a": torch.tensor(2.0, requires_grad=True)}
    with torch.no_grad():
        layer.increment(x, inputs, Scratch())
        layer.linearise(x, inputs, Scratch(), Scratch())
    layer.increment(x, inputs, Scratch())
    # At first the layer looks for gradients that come from elsewhere.
    assert seen == [(True, False, False, True)] + [(True, True, True, True)] * 3 and inputs["a"].grad is None


def test_only_inputs_looked_up_are_differentiated_and_integers_are_left_alone() -> None:
    inputs = {"used": draw(1, 4, dtype=torch.float64), "unused": draw(2, 4), "place": torch.tensor([1, 0, 3, 2])}
    layer = AutogradLayer("some", lambda x, given: given["used"][given["place"]] * x)
    at = layer.linearise(draw(3, 2, 4), inputs, Scratch(), Scratch())
    into = {name: torch.zeros_like(value) for name, value in inputs.items()}
    at.pullback(draw(4, 2, 4), into)
    assert into["used"].all() and not into["unused"].any() and not into["place"].any()


def test_functions_of_nothing_have_no_derivative() -> None:
    x, p = draw(0, 2, 3), draw(1, 2, 3)
    for function in (lambda x, _: torch.ones_like(x), lambda x, given: given["a"].expand(x.shape)):
        into = {"a": torch.zeros(3, dtype=torch.complex128)}
        at = AutogradLayer("constant", function).linearise(x, {"a": draw(2, 3)}, Scratch(), Scratch())
        product = at.pullback(p, into)
        assert product.shape == x.shape and not product.any()
    assert torch.allclose(into["a"], p.sum(0))


def test_an_increment_keeps_no_graph_and_the_next_linearisation_frees_the_last() -> None:
    def deep(x: Tensor, _inputs: Inputs) -> Tensor:
        for _ in range(10):
            x = torch.sin(x)
        return x

    layer, x, work = AutogradLayer("deep", deep), torch.rand(1000, dtype=torch.float64), Scratch()
    with MemoryMeter() as meter:
        h = layer.increment(x, {}, work)
        assert meter.live == h.nbytes
        at = layer.linearise(x, {}, work, work)
        assert meter.live >= 10 * h.nbytes
        first = meter.live
        other = layer.linearise(x, {}, work, work)
        assert meter.live <= first and meter.peak <= first + 2 * h.nbytes
    other.pullback(x, {})
    for use in (lambda: at.increment, lambda: at.pullback(x, {})):
        with pytest.raises(EngineError, match="no longer valid") as caught:
            use()
        assert caught.value.hint
    kept = [layer.linearise(x, {}, Scratch(), work) for _ in range(2)]
    assert torch.equal(kept[0].pullback(x, {}), kept[1].pullback(x, {}))


def test_bounds_are_numbers_or_functions_of_the_inputs() -> None:
    inputs = {"a": torch.tensor(0.5)}
    assert AutogradLayer("a", twisted).contraction_bound(inputs) is None
    assert AutogradLayer("a", twisted, 0.0).contraction_bound(inputs) == 0.0
    assert AutogradLayer("a", twisted, lambda given: float(given["a"])).contraction_bound(inputs) == 0.5


def test_functions_that_return_something_else_or_miss_an_input_are_refused() -> None:
    x = draw(0, 2, 3)
    for function in (lambda x, _: x[0], lambda x, _: x.real, lambda x, given: x * given["absent"]):
        with pytest.raises(EngineError) as caught:
            AutogradLayer("wrong", function).increment(x, {"a": x}, Scratch())
        assert "'wrong'" in caught.value.message and caught.value.hint


def test_functions_may_look_which_inputs_there_are() -> None:
    x, seen = draw(0, 2, 3), list[Any]()
    layer = AutogradLayer(
        "look", lambda x, given: seen.append((list(given), len(given), "a" in given, "b" in given)) or x
    )
    layer.increment(x, {"a": x}, Scratch())
    assert seen == [(["a"], 1, True, False)] * 2


def test_reversible_chains_of_functions_are_exact() -> None:
    some = problem()
    some.inputs = {name: 0.1 * value for name, value in some.inputs.items()}
    some.x = 0.1 * some.x
    output, reference = some.run("store_all", 5, HeavyBall("7/8"))
    for name in ("checkpoint", "reversible"):
        other, found = some.run(name, 5, HeavyBall("7/8"))
        assert torch.equal(other, output) and torch.equal(found.x, reference.x)
        assert all(torch.equal(found.inputs[key], reference.inputs[key]) for key in some.inputs)
