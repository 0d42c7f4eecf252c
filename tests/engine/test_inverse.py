"""The strategy inverse: its drift is measured, its checkpoints go where they must, and it never returns wrong states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import TanhLayer, optics_problem, tanh_problem
from optics.setups import figure
from torch import Tensor

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.inverse import Inverse, NotConverged, fixed_point
from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Backward, Chain
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError


def walk(problem: Any, unrolls: int, update: Update, tolerance: float) -> tuple[Tensor, Backward]:
    trace = Inverse(tolerance).forward(problem.chain(unrolls, update), problem.x, problem.inputs, Scratch())
    return trace.output, trace.backward(problem.cotangent, tuple(problem.inputs))


def error(found: Backward, expected: Backward) -> float:
    """Largest relative error of any derivative."""
    pairs = [(found.x, expected.x), *((found.inputs[name], expected.inputs[name]) for name in found.inputs)]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("update", [Plain(), Nesterov(0.8)], ids=["plain", "nesterov"])
@pytest.mark.parametrize("scale", [-0.05, -0.3])
def test_gradients_are_as_good_as_the_tolerance(update: Update, tolerance: float, scale: float) -> None:
    problem = tanh_problem(scale=scale)
    output, expected = problem.run("store_all", 60, update)
    other, found = walk(problem, 60, update, tolerance)
    assert torch.equal(other, output)
    assert found.drift is not None and found.drift <= tolerance
    assert error(found, expected) <= 10 * tolerance
    assert found.checkpoints < 60
    assert found.certificate is not None and found.certificate.startswith("drift ")


def test_a_smaller_tolerance_keeps_more_states_and_drifts_less() -> None:
    problem = tanh_problem(scale=-0.3, dtype=torch.float32)
    loose, tight = (walk(problem, 100, Plain(), tolerance)[1] for tolerance in (1e-2, 1e-5))
    assert loose.checkpoints < tight.checkpoints
    assert loose.drift is not None and tight.drift is not None and loose.drift > tight.drift


@pytest.mark.parametrize("step", [0.2, 0.4, 0.5])
def test_optics_at_steps_where_four_fixed_point_steps_go_astray(step: float) -> None:
    tolerance = 1e-4
    problem = optics_problem(100, step=step, dtype=torch.float32, rows=2)
    _, expected = problem.run("store_all", 100, Plain())
    _, found = walk(problem, 100, Plain(), tolerance)
    assert found.drift is not None and found.drift <= tolerance
    assert figure(f"inverse: gradient error at a = {step}, tolerance 1e-4", error(found, expected)) <= 10 * tolerance


class Unruly(TanhLayer):
    """Grows too fast to be inverted by a fixed point, but says that it would not."""

    lies = 1.01

    def inverse_bound(self, inputs: Inputs) -> float:
        return self.lies


@pytest.mark.parametrize("scale", [-3.0, -1.2])
def test_a_segment_that_does_not_converge_is_run_again(scale: float) -> None:
    problem = tanh_problem(scale=scale)
    chain = Chain([Unruly(scale) for _ in range(20)], Plain())
    trace = Inverse(1e-4).forward(chain, problem.x, problem.inputs, Scratch())
    found = trace.backward(problem.cotangent, tuple(problem.inputs))
    _, expected = problem.run("checkpoint", 20, Plain())
    assert found.certificate is not None and "run again from kept states" in found.certificate
    assert error(found, expected) < 1e-3
    assert found.checkpoints < 10


class Wrong(TanhLayer):
    """A closed-form inverse that is not one."""

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        return z + 0.01

    def inverse_bound(self, inputs: Inputs) -> float:
        return 1.0


def test_a_wrong_inverse_is_caught_by_the_drift_and_its_gradient_is_not_used() -> None:
    problem = tanh_problem()
    chain = Chain([Wrong() for _ in range(30)], Plain())
    found = (
        Inverse(1e-6)
        .forward(chain, problem.x, problem.inputs, Scratch())
        .backward(problem.cotangent, tuple(problem.inputs))
    )
    _, expected = problem.run("checkpoint", 30, Plain())
    assert found.certificate is not None and "of them run again" in found.certificate
    assert torch.equal(found.x, expected.x)
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in found.inputs)


@pytest.mark.parametrize("scale", [-1.2, -3.0])
def test_layers_that_amplify_without_bound_give_the_bits_of_kept_states(scale: float) -> None:
    problem = tanh_problem(scale=scale)
    problem.x *= 1e-3  # far from where tanh saturates
    _, found = walk(problem, 12, Plain(), 1e-4)
    _, expected = problem.run("checkpoint", 12, Plain())
    assert torch.equal(found.x, expected.x)
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in found.inputs)


def test_the_fixed_point_solves_the_layer() -> None:
    problem, layer = tanh_problem(), TanhLayer(-0.2)
    z = problem.x + layer.increment(problem.x, problem.inputs, Scratch())
    solved = fixed_point(layer, z, problem.inputs, Scratch(), 1e-10)
    assert float((solved.x - problem.x).norm() / problem.x.norm()) < 3e-10
    assert 0 < solved.rate < 0.6
    with pytest.raises(NotConverged):
        fixed_point(TanhLayer(-4.0), z, problem.inputs, Scratch(), 1e-10)
    with pytest.raises(NotConverged):
        fixed_point(layer, z * float("nan"), problem.inputs, Scratch(), 1e-10)


def test_a_layer_that_does_nothing_is_its_own_inverse() -> None:
    problem = tanh_problem(scale=0.0)
    solved = fixed_point(TanhLayer(0.0), problem.x, problem.inputs, Scratch(), 1e-10)
    assert torch.equal(solved.x, problem.x)


def test_what_inverse_refuses() -> None:
    problem = tanh_problem()
    with pytest.raises(EngineError, match="does not go with the update rule 'heavy_ball' of the layer 'tanh'") as e:
        problem.run("inverse", 3, HeavyBall("7/8"))
    assert "reversible" in e.value.hint

    class Folding(TanhLayer):
        invertible = False

    with pytest.raises(EngineError, match="the layer 'tanh' has no inverse") as e:
        Inverse().check(Chain([TanhLayer(), Folding()], Plain()))
    assert all(name in e.value.hint for name in ("checkpoint", "binomial", "offload", "store_all", "reversible"))
    for tolerance in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(EngineError, match="drift tolerance"):
            Inverse(tolerance)


def test_nan_is_refused_before_anything_is_solved() -> None:
    problem = tanh_problem()
    problem.inputs["bias"][0] = float("nan")
    with pytest.raises(EngineError, match="is not finite"):
        problem.run("inverse", 5, Plain())
