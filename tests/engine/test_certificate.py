"""Sabotage: whatever breaks exact reversal is caught by the certificate or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from engine.chains import STRATEGIES, Saboteur, optics_problem, tanh_problem
from torch import Tensor

from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.errors import CertificateError, EngineError

UNROLLS = 12


def walk(disturb: Callable[[Tensor, int], Tensor], unrolls: int = UNROLLS) -> str | None:
    """Certificate of a reversible pass of a tanh chain whose increments are disturbed."""
    problem = tanh_problem()
    chain = Chain([Saboteur(disturb=disturb)] * unrolls, HeavyBall("7/8"))
    trace = strategy("reversible").forward(chain, problem.x, problem.inputs, Scratch())
    return trace.backward(problem.cotangent, ("bias",)).certificate


def test_an_honest_chain_is_certified() -> None:
    assert walk(lambda increment, _call: increment) == "exact: 12 unrolls undone bit for bit"


def test_random_rounding_is_caught() -> None:
    generator = torch.Generator().manual_seed(0)  # of its own: torch's is watched

    def noisy(increment: Tensor, _call: int) -> Tensor:
        noise = torch.randn(increment.shape, dtype=increment.dtype, generator=generator)
        return increment * (1 + 1e-9 * noise)

    with pytest.raises(CertificateError, match="did not come back") as error:
        walk(noisy)
    assert "store_all" in error.value.hint


@pytest.mark.parametrize("unrolls", [1, 2, 12])
@pytest.mark.parametrize("place", range(12))
def test_a_single_increment_that_differs_on_the_way_back_is_caught(unrolls: int, place: int) -> None:
    """One number of one layer, off by two units of the integer state."""
    if place >= unrolls:
        place = unrolls - 1
    call_back = unrolls + place + 1

    def disturb(increment: Tensor, call: int) -> Tensor:
        increment = increment.clone()
        if call == call_back:
            increment[1, 2] += 2.0**-43
        return increment

    with pytest.raises(CertificateError):
        walk(disturb, unrolls)


def test_a_scatter_in_random_order_is_caught() -> None:
    """What atomics do: the same terms added in another order in single precision."""
    generator = torch.Generator().manual_seed(0)
    terms = torch.randn(400, generator=generator)

    def scatter(increment: Tensor, _call: int) -> Tensor:
        order = torch.randperm(len(terms), generator=generator)
        total = torch.zeros((), dtype=torch.float32)
        for term in terms[order]:
            total = total + term
        return increment + 1e-3 * total.double()

    with pytest.raises(CertificateError):
        walk(scatter, 3)


def test_a_certificate_is_not_given_for_a_changed_input() -> None:
    """Inputs that change between the passes are a lie to the backward pass, too."""
    problem = tanh_problem()
    trace = strategy("reversible").forward(
        problem.chain(UNROLLS, HeavyBall("7/8")), problem.x, problem.inputs, Scratch()
    )
    problem.inputs["bias"].data += 1e-9  # behind torch's back, which counts what is written
    with pytest.raises(CertificateError):
        trace.backward(problem.cotangent, ())


@pytest.mark.usefixtures("threads")
def test_a_changed_thread_count_is_refused() -> None:
    problem = tanh_problem()
    trace = strategy("reversible").forward(
        problem.chain(UNROLLS, HeavyBall("7/8")), problem.x, problem.inputs, Scratch()
    )
    torch.set_num_threads(torch.get_num_threads() + 1)
    with pytest.raises(EngineError, match="the forward pass ran on 1 threads, the way back would run on 2"):
        trace.backward(problem.cotangent, ())


@pytest.mark.usefixtures("threads")
def test_two_threads_reverse_as_exactly_as_one() -> None:
    torch.set_num_threads(2)
    problem = optics_problem(20, dtype=torch.float32)
    _, expected = problem.run("checkpoint", 20, HeavyBall("7/8"))
    _, found = problem.run("reversible", 20, HeavyBall("7/8"))
    assert found.certificate is not None
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in found.inputs)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_step_that_diverges_is_refused_with_a_hint(name: str) -> None:
    problem = optics_problem(40, step=60.0)
    with pytest.raises(EngineError, match="the reconstruction diverged") as error:
        problem.run(name, 40, HeavyBall("126/127"))
    assert "smaller step size" in error.value.hint


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("where", ["x", "amplitude", "weights", "step"])
def test_nan_in_any_input_is_refused(name: str, where: str) -> None:
    problem = optics_problem(3)
    value = problem.x if where == "x" else problem.inputs[where]
    value[(0,) * value.dim()] = float("nan")
    with pytest.raises(EngineError, match="is not finite"):
        problem.run(name, 3, HeavyBall("7/8"))


def test_a_stop_in_the_middle_of_the_way_back_spoils_that_pass_only() -> None:
    problem, calls = tanh_problem(), [0]
    trace = strategy("reversible").forward(
        problem.chain(UNROLLS, HeavyBall("7/8")), problem.x, problem.inputs, Scratch()
    )

    def callback() -> None:
        calls[0] += 1
        if calls[0] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace.backward(problem.cotangent, (), callback)
    with pytest.raises(EngineError):
        trace.backward(problem.cotangent, ())
