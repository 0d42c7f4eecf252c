"""What would give a wrong gradient in silence is refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from engine.chains import STRATEGIES, optics_problem
from torch import Tensor, nn

from ptychoui.engine import (
    AutogradLayer,
    Chain,
    Checkpoint,
    Composite,
    HeavyBall,
    Inverse,
    LearnedMomentum,
    Plain,
    Reversible,
    Scratch,
    Segments,
    StoreAll,
    measure,
    memory,
    plan,
    predict,
    probe,
)
from ptychoui.engine.layer import Inputs, Layer
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import LayerCost
from ptychoui.engine.update import Update
from ptychoui.errors import CertificateError, EngineError
from ptychoui.network.proximal import TotalVariationProximal, WaveletProximal

EVERY = (*STRATEGIES, "inverse")


def update_for(name: str) -> Update:
    return Plain() if name == "inverse" else HeavyBall("7/8")


def wave(bias: float = 0.1) -> AutogradLayer:
    return AutogradLayer("wave", lambda x, given: 0.3 * torch.sin(x + bias * given["w"]))


X, W = torch.linspace(-1, 1, 6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)


@pytest.mark.parametrize("name", EVERY)
def test_inference_mode_has_no_derivatives(name: str) -> None:
    chain = Chain([wave()] * 3, update_for(name))
    with torch.inference_mode(), pytest.raises(EngineError, match=r"no derivatives in torch\.inference_mode"):
        strategy(name).forward(chain, X, {"w": W}, Scratch())
    trace = strategy(name).forward(chain, X, {"w": W}, Scratch())
    with torch.inference_mode(), pytest.raises(EngineError, match="no derivatives"):
        trace.backward(X, ["w"])
    assert float(trace.backward(X, ["w"]).inputs["w"].norm()) > 0
    with torch.inference_mode():
        made_there = W.clone()
    with pytest.raises(EngineError, match=r"input 'w' was made in torch\.inference_mode"):
        strategy(name).forward(chain, X, {"w": made_there}, Scratch())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("what", ["x", "input 'w'"])
def test_what_changed_between_the_passes_is_named(name: str, what: str) -> None:
    x, w = X.clone(), W.clone()
    trace = strategy(name).forward(Chain([wave()] * 3, update_for(name)), x, {"w": w}, Scratch())
    (x if what == "x" else w).mul_(2)
    with pytest.raises(EngineError, match=f"{what} was changed between"):
        trace.backward(X, ["w"])


def test_an_input_that_is_no_tensor_is_named() -> None:
    with pytest.raises(EngineError, match="input 'w' is a float, not a tensor"):
        Checkpoint().forward(Chain([wave()], Plain()), X, {"w": 0.5}, Scratch())  # type: ignore[dict-item]


@pytest.mark.parametrize("name", EVERY)
def test_layers_that_draw_are_run_once_only(name: str) -> None:
    def dropout(x: Tensor, given: Inputs) -> Tensor:
        return 0.1 * nn.functional.dropout(x * given["w"], 0.5)

    chain = Chain([AutogradLayer("dropout", dropout)] * 3, update_for(name))
    if name == "store_all":
        assert strategy(name).forward(chain, X, {"w": W}, Scratch()).backward(X, ["w"]).inputs["w"].isfinite().all()
        return
    with pytest.raises(EngineError, match=f"draws random numbers: the strategy '{name}'"):
        strategy(name).forward(chain, X, {"w": W}, Scratch())


def test_noise_of_a_generator_of_its_own_is_seen_where_layers_run_again() -> None:
    generator = torch.Generator().manual_seed(0)

    def noisy(x: Tensor, given: Inputs) -> Tensor:
        return 0.1 * x + 0.01 * torch.randn(x.shape, dtype=x.dtype, generator=generator)

    trace = Inverse(1e-4).forward(Chain([AutogradLayer("noisy", noisy)] * 6, Plain()), X, {}, Scratch())
    with pytest.raises(CertificateError, match="ended elsewhere than the first time") as error:
        trace.backward(X, [])
    assert "store_all" in error.value.hint


def test_types_must_be_cast_alike_on_both_ways() -> None:
    trace = Checkpoint().forward(Chain([wave()] * 2, Plain()), X, {"w": W}, Scratch())
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(EngineError, match=r"another torch\.autocast"):
        trace.backward(X, ["w"])
    trace.backward(X, ["w"])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("under", [Reversible(), Segments([(1, Checkpoint()), (2, Reversible())])])
def test_a_refused_way_back_can_be_taken_later(under: Reversible | Segments) -> None:
    trace = under.forward(Chain([wave()] * 3, HeavyBall("7/8")), X, {"w": W}, Scratch())
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    with pytest.raises(EngineError, match="threads"):
        trace.backward(X, ["w"])
    torch.set_num_threads(before)
    assert trace.backward(X, ["w"]).certificate is not None


def test_segments_do_not_share_kept_buffers() -> None:
    both = Segments([(2, StoreAll(reuse=True)), (2, StoreAll(reuse=True))])
    with pytest.raises(EngineError, match="the same buffers"):
        both.forward(Chain([wave()] * 4, Plain()), X, {"w": W}, Scratch())
    Segments([(2, StoreAll(reuse=True)), (2, Checkpoint())]).forward(
        Chain([wave()] * 4, Plain()), X, {"w": W}, Scratch()
    )


def test_parameters_of_a_closure_are_not_lost_in_silence() -> None:
    linear = nn.Linear(6, 6, dtype=torch.float64)
    hidden = AutogradLayer("hidden", lambda x, _given: 0.1 * torch.tanh(linear(x)))
    with pytest.raises(EngineError, match="'hidden' uses a tensor with a gradient that is not among its inputs"):
        Checkpoint().forward(Chain([hidden] * 2, Plain()), X, {}, Scratch())
    linear.requires_grad_(False)
    assert Checkpoint().forward(Chain([hidden] * 2, Plain()), X, {}, Scratch()).output.shape == X.shape
    given = AutogradLayer("given", lambda x, w: 0.1 * torch.tanh(torch.func.functional_call(linear, dict(w), (x,))))
    inputs = dict(linear.named_parameters())
    found = Checkpoint().forward(Chain([given] * 2, Plain()), X, inputs, Scratch()).backward(X, list(inputs))
    assert all(float(found.inputs[name].norm()) > 0 for name in inputs)


@pytest.mark.parametrize("beta", ["abc", "1/0", float("nan"), float("inf"), None])
def test_a_momentum_that_is_no_ratio_is_refused(beta: object) -> None:
    with pytest.raises(EngineError, match="is not a ratio"):
        HeavyBall(beta)  # type: ignore[arg-type]


def test_a_network_of_no_layers_is_refused() -> None:
    with pytest.raises(EngineError, match="at least one unroll"):
        Chain([], Plain())


def test_learned_momentum_needs_a_velocity_and_may_be_zero() -> None:
    inner = AutogradLayer("inner", lambda x, _given: -0.1 * x)
    chain = Chain([LearnedMomentum(inner, k) for k in range(2)], Plain())
    given = {"momentum": torch.tensor([0.0, 0.5], dtype=torch.float64)}
    with pytest.raises(EngineError, match="position and velocity"):
        Inverse().forward(chain, X, given, Scratch())
    both = torch.stack([X, torch.zeros_like(X)])
    found, expected = (
        under.forward(chain, both, given, Scratch()).backward(both, ["momentum"]) for under in (Inverse(), StoreAll())
    )
    assert torch.allclose(found.inputs["momentum"], expected.inputs["momentum"], rtol=1e-3)


@pytest.mark.parametrize("ratio", [1e3, 1e5, 1e7])
def test_faint_items_of_a_batch_are_held_to_the_tolerance(ratio: float) -> None:
    """An item whose increments hardly move it is soon solved for; the one beside it is not."""
    layer = AutogradLayer("half sine", lambda x, _given: 0.5 * torch.sin(x))
    x = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[0] *= ratio
    chain = Chain([layer] * 10, Plain())
    found, expected, whole = (
        under.forward(chain, x, {}, Scratch()).backward(torch.ones_like(x), []).x[1]
        for under in (Inverse(1e-4, batch_axis=0), StoreAll(), Inverse(1e-4))
    )
    assert float((found - expected).norm() / expected.norm()) < 1e-3
    if ratio > 1e4:  # with the state as a whole held to the tolerance the faint item is far off
        assert float((whole - expected).norm() / expected.norm()) > 1e-2


def test_states_whose_squares_vanish_are_solved_for_all_the_same() -> None:
    layer = AutogradLayer("linear", lambda x, _given: -0.3 * x + 0.2 * x.flip(0))
    x, chain = 1e-25 * X.float(), Chain([layer] * 10, Plain())
    found = Inverse(1e-3).forward(chain, x, {}, Scratch()).backward(torch.ones_like(x), [])
    expected = StoreAll().forward(chain, x, {}, Scratch()).backward(torch.ones_like(x), [])
    assert torch.allclose(found.x, expected.x, rtol=1e-3)
    assert found.drift is not None and found.drift > 0


def test_no_drift_is_told_where_every_state_was_kept() -> None:
    trace = Inverse(1e-4).forward(Chain([wave()], Plain()), X, {"w": W}, Scratch())
    found = trace.backward(X, ["w"])
    assert found.drift is None and found.certificate == "no drift: 1 states kept"


def test_layers_of_every_kind_are_probed() -> None:
    """One narrow layer and nine wide ones: the first does not stand for all."""

    def widened(width: int) -> AutogradLayer:
        def function(x: Tensor, given: Inputs) -> Tensor:
            return 0.1 * torch.tanh(x[:, None].expand(-1, width) * given["w"][:, None]).mean(1)

        return AutogradLayer(f"width {width}", function)

    x, inputs = torch.ones(64), {"w": torch.ones(64)}
    chain = Chain([widened(2), *[widened(2000)] * 9], HeavyBall("7/8"))
    cost = probe(chain, x, inputs, ["w"])
    for name in ("store_all", "checkpoint", "reversible"):
        assert predict(cost, chain, name) == pytest.approx(measure(chain, x, inputs, ["w"], name), rel=0.15), name
    assert measure(chain, x, inputs, ["w"], StoreAll()) == measure(chain, x, inputs, ["w"], "store_all")


def test_unrolls_that_differ_in_their_number_alone_are_probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names every unroll would be a kind of its own, and planning a deep network would take minutes."""
    probed: list[str] = []
    real = memory._probe_one

    def counted(chain: Chain, layer: Layer, *rest: Any) -> LayerCost:
        probed.append(layer.name)
        return real(chain, layer, *rest)

    monkeypatch.setattr(memory, "_probe_one", counted)
    problem = optics_problem(7, dtype=torch.float32)
    layers = problem.chain(7, HeavyBall("7/8")).layers
    for unrolls in (layers, [Composite([layer]) for layer in layers]):
        probed.clear()
        probe(Chain(unrolls, HeavyBall("7/8")), problem.x, problem.inputs, tuple(problem.inputs))
        assert probed == [unrolls[0].name]
    assert len({LearnedMomentum(layer, index).kind for index, layer in enumerate(layers)}) == 1
    for numbered in (TotalVariationProximal, partial(WaveletProximal, 16)):
        assert numbered(0).kind == numbered(1).kind and numbered(0).name != numbered(1).name


def test_an_approximate_gradient_is_planned_on_request_only() -> None:
    chain = Chain([wave()] * 40, Plain())
    cost = probe(chain, X, {"w": W}, ["w"])
    cost = replace(cost, amplification=1.0, first={**cost.first, "inverse": 1})
    exact = {name: predict(cost, chain, name) for name in ("checkpoint", "binomial")}
    least, approximate = min(exact.values()), predict(cost, chain, "inverse")
    assert approximate < least
    assert plan(cost, chain, approximate, approximate=True).strategy == "inverse"
    with pytest.raises(EngineError, match="a pass needs at least"):
        plan(cost, chain, approximate)


@pytest.mark.parametrize("budget", [0, -5, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused(budget: float) -> None:
    chain = Chain([wave()] * 2, Plain())
    with pytest.raises(EngineError, match="is not a positive number"):
        plan(probe(chain, X, {"w": W}, ["w"]), chain, budget)  # type: ignore[arg-type]


def test_a_budget_just_too_small_is_told_to_the_byte() -> None:
    chain = Chain([wave()] * 2, HeavyBall("7/8"))
    cost = probe(chain, X, {"w": W}, ["w"])
    least = min(predict(cost, chain, name) for name in STRATEGIES if name != "inverse")
    with pytest.raises(EngineError, match=rf"at least {least} B .*, the budget is {least - 1} B"):
        plan(cost, chain, least - 1)


def test_every_public_name_can_be_imported_at_once() -> None:
    import ptychoui.engine as engine

    assert {"Chain", "HeavyBall", "Reversible"} < set(engine.__all__)
    assert all(getattr(engine, name) is not None for name in engine.__all__)


class Kernel:
    """An operator with a tensor of its own, in slots."""

    __slots__ = ("taps",)

    def __init__(self) -> None:
        self.taps = torch.full((6,), 0.3, dtype=torch.float64)

    def __call__(self, x: Tensor) -> Tensor:
        return self.taps * torch.sin(x)


def held_in(way: str) -> tuple[Any, Tensor, Any]:
    """A function of a layer, the tensor that it holds, and how to put another in its place, or None."""
    taps = torch.full((6,), 0.3, dtype=torch.float64)
    if way == "closure":
        return (lambda x, _given: taps * torch.sin(x)), taps, None
    if way == "attribute":
        kernel = Kernel()
        return (lambda x, _given: kernel(x)), kernel.taps, lambda other: setattr(kernel, "taps", other)
    if way == "partial":
        return partial(lambda given, x, _inputs: given * torch.sin(x), taps), taps, None
    if way == "module":
        module = nn.Linear(6, 6, bias=False, dtype=torch.float64).requires_grad_(False)
        with torch.no_grad():
            module.weight.mul_(0.1)
        return (lambda x, _given: torch.sin(module(x))), module.weight, None
    nested = {"parts": [(taps,)]}
    return (lambda x, _given: nested["parts"][0][0] * torch.sin(x)), taps, None


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("way", ["closure", "attribute", "partial", "module", "nested"])
def test_a_tensor_inside_an_operator_must_not_change(name: str, way: str) -> None:
    function, tensor, replace_it = held_in(way)
    chain = Chain([AutogradLayer("held", function)] * 3, update_for(name))
    trace = strategy(name).forward(chain, X, {"w": W}, Scratch())
    with torch.no_grad():
        tensor.mul_(1.001)
    with pytest.raises(EngineError, match="of layer 'held' was changed between"):
        trace.backward(X, ())
    if replace_it is not None:
        trace = strategy(name).forward(chain, X, {"w": W}, Scratch())
        replace_it(tensor.clone())
        with pytest.raises(EngineError, match="'taps' of layer 'held' was changed"):
            trace.backward(X, ())
    trace = strategy(name).forward(chain, X, {"w": W}, Scratch())
    trace.backward(X, ())


def test_a_buffer_that_layers_write_into_themselves_is_none_of_it() -> None:
    buffer, calls = torch.zeros(6, dtype=torch.float64), {"newest": torch.zeros(1)}

    def function(x: Tensor, _given: Inputs) -> Tensor:
        buffer.add_(1)
        calls["newest"] = torch.ones(1)
        return 0.3 * torch.sin(x)

    chain = Chain([AutogradLayer("own", function)] * 3, HeavyBall("7/8"))
    trace = Reversible().forward(chain, X, {"w": W}, Scratch())
    buffer.add_(1)
    trace.backward(X, ())
