"""Greedy modules: local gradients by autograd, order of updates, memory of one module."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from engine.chains import optics_problem, tanh_problem
from torch import Tensor

from ptychoui.engine.float_updates import Plain
from ptychoui.engine.greedy import GreedyModule, ModuleDone, equal_modules, greedy_pass
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain, Run, infer
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError


def squared(target: Tensor) -> Any:
    """|output - target|^2 and its derivative."""
    return lambda _module, output: (float((output - target).abs().square().sum()), 2 * (output - target))


def passed(
    problem: Any, modules: list[int], update: Update, inside: str | None = None
) -> tuple[Tensor, list[ModuleDone]]:
    found: list[ModuleDone] = []
    chain = problem.chain(sum(modules), update)
    output = greedy_pass(
        chain,
        modules,
        problem.x,
        problem.inputs,
        tuple(problem.inputs),
        squared(problem.cotangent),
        found.append,
        Scratch(),
        inside=None if inside is None else strategy(inside),
    )
    return output, found


def test_gradients_are_those_of_local_losses_by_autograd() -> None:
    problem = optics_problem(7)
    output, found = passed(problem, [2, 3, 2], Plain())
    x, index = problem.x, 0
    for module, count in enumerate([2, 3, 2]):
        leaves = {name: value.clone().requires_grad_() for name, value in problem.inputs.items()}
        start = x = x.detach().clone().requires_grad_()
        for _ in range(count):
            x = x + problem.independent(x, leaves, index)
            index += 1
        loss = (x - problem.cotangent).abs().square().sum()
        loss.backward()
        assert found[module].loss == pytest.approx(float(loss.detach()), rel=1e-10)
        for name, leaf in leaves.items():
            assert torch.allclose(found[module].inputs[name], leaf.grad, rtol=1e-8, atol=1e-10)
        if module == 0:
            assert found[0].x is not None and torch.allclose(found[0].x, start.grad, rtol=1e-8)
        else:
            assert found[module].x is None
    assert torch.allclose(output, x.detach(), rtol=1e-11)


@pytest.mark.parametrize("inside", ["store_all", "checkpoint", "reversible", "binomial"])
def test_the_strategy_inside_a_module_changes_no_bit(inside: str) -> None:
    problem = optics_problem(9, dtype=torch.float32)
    output, expected = passed(problem, [4, 3, 2], HeavyBall("7/8"))
    other, found = passed(problem, [4, 3, 2], HeavyBall("7/8"), inside)
    assert torch.equal(other, output)
    for a, b in zip(found, expected, strict=True):
        assert a.loss == b.loss and all(torch.equal(a.inputs[name], b.inputs[name]) for name in a.inputs)


def test_one_module_is_the_whole_chain() -> None:
    problem, update = tanh_problem(), HeavyBall("7/8")
    output, (done,) = passed(problem, [12], update)
    trace = strategy("checkpoint").forward(problem.chain(12, update), problem.x, problem.inputs, Scratch())
    back = trace.backward(2 * (trace.output - problem.cotangent), tuple(problem.inputs))
    assert torch.equal(output, trace.output) and done.x is not None and torch.equal(done.x, back.x)
    assert all(torch.equal(done.inputs[name], back.inputs[name]) for name in back.inputs)


def test_the_next_module_gets_the_output_from_before_the_update() -> None:
    problem = tanh_problem()
    expected = infer(problem.chain(3, Plain()), problem.x, dict(problem.inputs), Scratch())
    outputs: list[Tensor] = []

    def look(_module: int, output: Tensor) -> tuple[float, Tensor]:
        outputs.append(output.clone())
        return 0.0, torch.zeros_like(output)

    def spoil(done: ModuleDone) -> None:
        problem.inputs["bias"] += 1.0  # read by the next module's layers, not by what is already computed

    greedy_pass(problem.chain(6, Plain()), [3, 3], problem.x, problem.inputs, ("bias",), look, spoil, Scratch())
    assert torch.equal(outputs[0], expected)
    again = infer(
        problem.chain(3, Plain()), expected, problem.inputs | {"bias": problem.inputs["bias"] - 1.0}, Scratch()
    )
    assert torch.allclose(outputs[1], again, rtol=1e-12)


def test_memory_is_that_of_one_module() -> None:
    problem = optics_problem(40, batch=1, dtype=torch.float32)

    def peak(modules: list[int]) -> int:
        with MemoryMeter() as meter:
            passed(problem, modules, Plain())
        return meter.peak

    short, long = peak([1] * 10), peak([1] * 40)
    assert long <= 1.15 * short
    assert peak([40]) > 5 * long


def test_every_module_may_have_inputs_of_its_own() -> None:
    """Accumulators are made for what a module asks for, not for what all others do."""
    problem = tanh_problem()
    chain, asked = problem.chain(2, Plain()), (("bias",), ("matrix",))
    every: list[ModuleDone] = []
    some: list[ModuleDone] = []
    common = chain, [1, 1], problem.x, problem.inputs
    loss = squared(problem.cotangent)
    greedy_pass(*common, ("bias", "matrix"), loss, every.append, Scratch())
    greedy_pass(*common, asked.__getitem__, loss, some.append, Scratch())
    assert [tuple(done.inputs) for done in some] == list(asked)
    for module, (name,) in enumerate(asked):
        assert torch.equal(some[module].inputs[name], every[module].inputs[name])


def test_modules_use_the_same_buffers_one_after_the_other() -> None:
    problem, work = optics_problem(6), Scratch()

    def once() -> list[ModuleDone]:
        found: list[ModuleDone] = []
        arguments = problem.x, problem.inputs, tuple(problem.inputs), squared(problem.cotangent), found.append
        greedy_pass(problem.chain(6, Plain()), [2, 3, 1], *arguments, work)
        return found

    first = once()
    with MemoryMeter() as fresh:
        passed(problem, [2, 3, 1], Plain())
    with MemoryMeter() as again:
        second = once()
    assert again.peak < fresh.peak / 2
    for a, b in zip(first, second, strict=True):
        assert a.loss == b.loss and all(torch.equal(a.inputs[name], b.inputs[name]) for name in a.inputs)


def test_modules_of_nearly_equal_length() -> None:
    assert equal_modules(10, 3) == [3, 3, 4] and equal_modules(4, 4) == [1, 1, 1, 1] and equal_modules(5, 1) == [5]
    for modules in (0, 6):
        with pytest.raises(EngineError, match=f"into {modules} greedy modules"):
            equal_modules(5, modules)


def test_modules_that_do_not_fit() -> None:
    with pytest.raises(EngineError, match="cannot make a network of 5"):
        greedy_pass(
            tanh_problem().chain(5, Plain()),
            [2, 2],
            tanh_problem().x,
            {},
            (),
            squared(torch.zeros(())),
            print,
            Scratch(),
        )


def test_a_module_that_diverges_is_refused() -> None:
    problem = tanh_problem()
    problem.inputs["bias"][0] = float("nan")
    with pytest.raises(EngineError, match="is not finite"):
        passed(problem, [1, 1], Plain())


@pytest.mark.parametrize("update", [Plain(), HeavyBall("7/8")], ids=["plain", "heavy ball"])
@pytest.mark.parametrize("inside", [None, "checkpoint", "reversible"])
def test_the_state_leaves_a_module_before_its_way_back(update: Update, inside: str | None) -> None:
    """The next module runs on another thread while the first one is still held up in its loss; nothing changes."""
    if inside == "reversible" and isinstance(update, Plain):
        pytest.skip("a plain step has no exact inverse")
    problem = tanh_problem()
    expected: list[ModuleDone] = []
    chain = problem.chain(4, update)
    wanted, squares = tuple(problem.inputs), squared(problem.cotangent)
    chosen = [None if inside is None else strategy(inside) for _ in range(3)]
    greedy_pass(chain, [2, 2], problem.x, problem.inputs, wanted, squares, expected.append, Scratch(), inside=chosen[0])
    modules = [GreedyModule(Chain(chain.layers[2 * k : 2 * k + 2], update), k, chosen[k + 1]) for k in range(2)]
    runs = [Run(problem.inputs, Scratch()) for _ in modules]
    second_is_through = threading.Event()
    found: dict[int, ModuleDone] = {}

    def held_up(module: int, output: Tensor) -> tuple[float, Tensor]:
        assert second_is_through.wait(60), "the second module waits for the way back of the first"
        loss, cotangent = squares(module, output)
        return loss, cotangent

    with torch.no_grad():
        state = modules[0].forward(update.start(problem.x), runs[0], problem.x)

    def second() -> None:
        modules[1].forward(state, runs[1])
        second_is_through.set()
        found[1] = modules[1].backward(problem.inputs, wanted, squares, lambda: None)

    thread = threading.Thread(target=second)
    thread.start()
    found[0] = modules[0].backward(problem.inputs, wanted, held_up, lambda: None)
    thread.join()
    for before in expected:
        after = found[before.module]
        assert after.loss == before.loss
        assert all(torch.equal(after.inputs[name], before.inputs[name]) for name in wanted)
    with pytest.raises(EngineError, match="once only"):
        modules[0].backward(problem.inputs, wanted, squares, lambda: None)
