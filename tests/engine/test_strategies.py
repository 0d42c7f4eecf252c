"""Every strategy against store_all bit for bit, and against autograd and finite differences."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from engine.chains import STRATEGIES, Problem, TanhLayer, optics_problem, tanh_problem
from optics.setups import inner, relative

from ptychoui.engine.binomial import Binomial
from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Layer
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import Points
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain, infer
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError, StopRequested

EXACT_PLAIN = tuple(name for name in STRATEGIES if name != "reversible")
MOMENTA = ("7/8", "9/10", "1/2", "126/127", "1/127")


def same(problem: Problem, unrolls: int, update: Update, names: tuple[str, ...] = STRATEGIES) -> None:
    """Outputs and all gradients of the strategies are the same bits."""
    output, reference = problem.run(names[0], unrolls, update)
    for name in names[1:]:
        other, found = problem.run(name, unrolls, update)
        assert torch.equal(other, output), name
        assert torch.equal(found.x, reference.x), name
        for key in problem.inputs:
            assert torch.equal(found.inputs[key], reference.inputs[key]), (name, key)
        assert (found.certificate is not None) == (name == "reversible")
    assert bool(torch.isfinite(torch.view_as_real(reference.x) if reference.x.is_complex() else reference.x).all())
    assert all(bool(value.any()) for value in reference.inputs.values())


@pytest.mark.parametrize("beta", MOMENTA)
@pytest.mark.parametrize("unrolls", [1, 10, 100])
def test_strategies_agree_bit_for_bit_on_optics(unrolls: int, beta: str) -> None:
    step = 0.02 if beta == "126/127" else 0.1
    batch = 1 if unrolls == 100 else 2
    same(optics_problem(unrolls, batch, dtype=torch.float32, rows=1, step=step), unrolls, HeavyBall(beta))


@pytest.mark.parametrize("beta", MOMENTA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strategies_agree_bit_for_bit_at_1000_unrolls(beta: str, dtype: torch.dtype) -> None:
    """The remainder buffer is opened several times on the way: at 1/2 every 62 unrolls."""
    scale = -0.001 if beta == "126/127" else -0.02
    # Finding the schedule of so many unrolls takes longer than following it.
    scheduled = (beta, dtype) == ("7/8", torch.float32)
    names = ("checkpoint", "binomial", "reversible") if scheduled else ("checkpoint", "reversible")
    same(tanh_problem(dtype=dtype, scale=scale), 1000, HeavyBall(beta), names)


@pytest.mark.parametrize("beta", ["7/8", pytest.param("1/2", marks=pytest.mark.slow)])
def test_strategies_agree_bit_for_bit_at_10_000_unrolls(beta: str) -> None:
    same(tanh_problem(dtype=torch.float32, scale=-0.02), 10_000, HeavyBall(beta), ("checkpoint", "reversible"))


@pytest.mark.slow
def test_optics_agrees_bit_for_bit_at_10_000_unrolls() -> None:
    problem = optics_problem(10_000, batch=1, dtype=torch.float32, rows=1, columns=2)
    same(problem, 10_000, HeavyBall("7/8"), ("checkpoint", "reversible"))


def test_optics_agrees_bit_for_bit_at_1000_unrolls() -> None:
    problem = optics_problem(1000, batch=1, dtype=torch.float32, rows=1, columns=2)
    same(problem, 1000, HeavyBall("7/8"), ("checkpoint", "reversible"))


@pytest.mark.parametrize("shape", [(3, 6), (1,), (2, 5, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128])
def test_points_that_are_kept_begin_where_arrays_of_their_own_do(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Products of small matrices have other bits elsewhere on some processors."""
    points, given = Points(4), [torch.randn(shape, dtype=dtype) for _ in range(4)]
    for point in given:
        points.append(point)
    for point in reversed(given):
        found = points.pop()
        assert found.data_ptr() % 64 == 0 and torch.equal(found, point) and found.is_contiguous()


@pytest.mark.parametrize("update", [Plain(), Nesterov(0.5), HeavyBall("1/2")])
def test_a_start_that_is_part_of_a_batch_gives_the_bits_of_one_alone(update: Update) -> None:
    whole = torch.randn(1 + 3 * 6, dtype=torch.float64)
    part = whole[1:].view(3, 6)
    problem = tanh_problem()
    names = ("checkpoint", "binomial", "store_all")
    alone = replace(problem, x=part.clone())
    for name in names:
        one, two = (each.run(name, 20, update) for each in (alone, replace(problem, x=part)))
        assert torch.equal(one[0], two[0]) and torch.equal(one[1].x, two[1].x), name


def test_plain_updates_agree_bit_for_bit() -> None:
    same(optics_problem(12), 12, Plain(), EXACT_PLAIN)
    same(tanh_problem(), 50, Plain(), EXACT_PLAIN)


@pytest.mark.parametrize(
    ("name", "beta"),
    [(name, beta) for name in STRATEGIES for beta in ("7/8", "1/2", None) if (name, beta) != ("reversible", None)],
)
def test_gradients_agree_with_autograd_through_an_independent_reconstruction(name: str, beta: str | None) -> None:
    unrolls = 15
    problem = optics_problem(unrolls)
    fraction = None if beta is None else Fraction(beta)
    output, gx, inputs = problem.autograd(unrolls, fraction)
    found, back = problem.run(name, unrolls, Plain() if beta is None else HeavyBall(beta))
    assert relative(found, output) < 1e-11
    assert relative(back.x, gx) < 1e-9
    for key, expected in inputs.items():
        assert relative(back.inputs[key], expected) < 1e-9, key


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_chain_without_optics_agrees_with_autograd(name: str) -> None:
    problem = tanh_problem()
    output, gx, inputs = problem.autograd(60, Fraction("9/10"))
    found, back = problem.run(name, 60, HeavyBall("9/10"))
    assert relative(found, output) < 1e-10
    assert relative(back.x, gx) < 1e-9
    assert set(inputs) == set(back.inputs)
    for key, expected in inputs.items():
        assert relative(back.inputs[key], expected) < 1e-9


@pytest.mark.parametrize("name", ["x", "weights", "offset", "amplitude", "step"])
@pytest.mark.parametrize("update", [Plain(), HeavyBall("7/8")], ids=["plain", "heavy_ball"])
def test_gradients_are_finite_differences(update: Update, name: str) -> None:
    unrolls = 8
    problem = optics_problem(unrolls)
    _, back = problem.run("checkpoint", unrolls, update)
    gradient = back.x if name == "x" else back.inputs[name]
    value = problem.x if name == "x" else problem.inputs[name]
    direction = torch.randn(value.shape, dtype=value.dtype, generator=torch.Generator().manual_seed(1))
    h = 1e-4  # states are rounded to 2^-44 = 6e-14, so differences to about 1e-9

    def outcome(shift: float) -> float:
        x = value + shift * direction if name == "x" else problem.x
        inputs = problem.inputs if name == "x" else problem.inputs | {name: value + shift * direction}
        return inner(problem.cotangent, infer(problem.chain(unrolls, update), x, inputs, Scratch()))

    slope = (8 * (outcome(h) - outcome(-h)) - (outcome(2 * h) - outcome(-2 * h))) / (12 * h)
    assert inner(gradient, direction) == pytest.approx(slope, rel=1e-6)


def test_objects_of_a_batch_do_not_see_each_other() -> None:
    problem = optics_problem(10, batch=3)
    _, together = problem.run("reversible", 10, HeavyBall("7/8"))
    for b in range(3):
        alone = optics_problem(10, batch=3)
        alone.x, alone.cotangent = problem.x[b : b + 1], problem.cotangent[b : b + 1]
        alone.inputs = problem.inputs | {"amplitude": problem.inputs["amplitude"][b : b + 1]}
        _, one = alone.run("reversible", 10, HeavyBall("7/8"))
        assert relative(together.x[b], one.x[0]) < 1e-11
        assert relative(together.inputs["amplitude"][b], one.inputs["amplitude"][0]) < 1e-11


def test_inference_gives_the_output_of_the_strategies() -> None:
    problem = optics_problem(9)
    seen = infer(problem.chain(9, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
    for name in STRATEGIES:
        assert torch.equal(problem.run(name, 9, HeavyBall("7/8"))[0], seen)


def test_only_the_inputs_asked_for_are_differentiated() -> None:
    _, back = tanh_problem().run("reversible", 5, HeavyBall("7/8"), wanted=("bias",))
    assert set(back.inputs) == {"bias"}
    with pytest.raises(EngineError, match="there is no input 'colour'"):
        tanh_problem().run("reversible", 5, HeavyBall("7/8"), wanted=("colour",))


@pytest.mark.parametrize("name", STRATEGIES)
def test_passes_leave_nothing_behind_in_shared_workspaces(name: str) -> None:
    problem, work = optics_problem(6), Scratch()
    chain = problem.chain(6, HeavyBall("7/8"))
    results = []
    for x in (problem.x, problem.x.flip(0), problem.x):
        trace = strategy(name).forward(chain, x, problem.inputs, work)
        results.append((trace.output.clone(), trace.backward(problem.cotangent, ("weights",)).inputs["weights"]))
    assert torch.equal(results[0][0], results[2][0]) and torch.equal(results[0][1], results[2][1])


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("at", [1, 4, 9, 14])
def test_a_stop_between_layers_comes_through_and_spoils_nothing(name: str, at: int) -> None:
    problem, work, calls = optics_problem(7), Scratch(), [0]
    chain = problem.chain(7, HeavyBall("7/8"))

    def callback() -> None:
        calls[0] += 1
        if calls[0] == at:
            raise StopRequested

    with pytest.raises(StopRequested):
        trace = strategy(name).forward(chain, problem.x, problem.inputs, work, callback)
        trace.backward(problem.cotangent, ("weights",), callback)
    assert calls[0] == at
    again = strategy(name).forward(chain, problem.x, problem.inputs, work)
    _, expected = problem.run(name, 7, HeavyBall("7/8"))
    assert torch.equal(again.backward(problem.cotangent, ("weights",)).inputs["weights"], expected.inputs["weights"])


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_pass_is_walked_back_once_only(name: str) -> None:
    problem = tanh_problem()
    trace = strategy(name).forward(problem.chain(4, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
    trace.backward(problem.cotangent, ())
    with pytest.raises(EngineError, match="walked back once"):
        trace.backward(problem.cotangent, ())


def test_what_strategies_refuse() -> None:
    problem = tanh_problem()
    with pytest.raises(EngineError, match="cannot undo the update rule 'plain'"):
        problem.run("reversible", 3, Plain())
    for name in STRATEGIES:
        with pytest.raises(EngineError, match="at least one unroll"):
            problem.run(name, 0, HeavyBall("7/8"))
    with pytest.raises(EngineError, match="there is no strategy 'magic'") as error:
        strategy("magic")
    assert "reversible" in error.value.hint


def test_layers_without_an_inverse_say_so() -> None:
    layer: Layer = TanhLayer()
    assert layer.contraction_bound({}) is None
    with pytest.raises(EngineError, match="'tanh' has no closed-form inverse"):
        layer.inverse(torch.zeros(1), {}, Scratch())


def test_a_chain_without_optics_trains() -> None:
    """Gradient descent on the bias through the reversible strategy reaches a target output."""
    problem = tanh_problem(batch=4, size=3, scale=-0.2)
    target = infer(problem.chain(20, HeavyBall("1/2")), problem.x, problem.inputs, Scratch())
    problem.inputs["bias"] = torch.zeros_like(problem.inputs["bias"])
    losses = []
    for _ in range(60):
        chain = Chain([problem.layer(0)] * 20, HeavyBall("1/2"))
        trace = strategy("reversible").forward(chain, problem.x, problem.inputs, Scratch())
        losses.append(float((trace.output - target).square().sum()))
        back = trace.backward(2 * (trace.output - target), ("bias",))
        problem.inputs["bias"] = problem.inputs["bias"] - 0.02 * back.inputs["bias"]
    assert losses[-1] < 1e-3 * losses[0]


@pytest.mark.parametrize(("unrolls", "snapshots"), [(1, 1), (2, 1), (7, 1), (7, 3), (30, 4), (30, 40)])
def test_binomial_with_few_snapshots_is_the_same_gradient(unrolls: int, snapshots: int) -> None:
    problem = tanh_problem()
    output, expected = problem.run("checkpoint", unrolls, HeavyBall("7/8"))
    trace = Binomial(snapshots).forward(problem.chain(unrolls, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
    assert torch.equal(trace.output, output)
    found = trace.backward(problem.cotangent, tuple(problem.inputs))
    assert torch.equal(found.x, expected.x)
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in problem.inputs)


def test_binomial_runs_no_layer_more_than_four_times_and_keeps_few_states() -> None:
    calls: dict[int, int] = {}
    problem = tanh_problem()

    def counted(index: int) -> Layer:
        class Counted(TanhLayer):
            def linearise(self, *arguments: Any) -> Any:
                calls[index] = calls.get(index, 0) + 1
                return super().linearise(*arguments)

        return Counted()

    chain = Chain([counted(index) for index in range(200)], HeavyBall("7/8"))
    trace = Binomial().forward(chain, problem.x, problem.inputs, Scratch())
    trace.backward(problem.cotangent, ())
    assert max(calls.values()) == 4 and Binomial().snapshots(200) == 9


def test_binomial_refuses_to_keep_nothing() -> None:
    with pytest.raises(EngineError, match="0 snapshots"):
        Binomial(0)
