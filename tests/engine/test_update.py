"""The integer algebra of heavy ball: undone exactly, close to real arithmetic, refused where it would wrap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import FRACTION_BITS, LIMIT, HeavyBall, HeavyBallState
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError

UNIT = 2.0**FRACTION_BITS
RATIOS = ["7/8", "9/10", "1/2", "126/127", "1/127", "2/3", "64/127", "99/100"]


def copy(state: HeavyBallState) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor], int]:
    return state.x.clone(), state.v.clone(), state.remainder.clone(), [w.clone() for w in state.words], state.steps


def equal(a: tuple, b: tuple) -> bool:
    return (
        all(torch.equal(p, q) for p, q in zip(a[:3], b[:3], strict=True))
        and len(a[3]) == len(b[3])
        and all(torch.equal(p, q) for p, q in zip(a[3], b[3], strict=True))
        and a[4] == b[4]
    )


@pytest.mark.parametrize("beta", RATIOS)
def test_retreat_undoes_advance_exactly(beta: str) -> None:
    """Random increments of many sizes and both signs; every intermediate state comes back, words included."""
    update, rng = HeavyBall(beta), np.random.default_rng(0)
    steps = 2 * update.steps_per_word + 7 if update.steps_per_word < 700 else 300
    damping = float(1 - Fraction(beta))
    scale = 10.0 ** rng.uniform(-13, 0.5, 24) * damping

    def draw() -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=24) * scale)

    start = torch.from_numpy(rng.normal(size=24) * 3)
    state, increments, history = update.start(start), [], []
    for _ in range(steps):
        increments.append(draw() - 1e-3 * update.point(state) * damping)
        history.append(copy(state))
        update.advance(state, increments[-1])
    update.check(state)
    assert len(state.words) == (steps - 1) // update.steps_per_word
    assert not update.is_start(state, start)
    for increment, expected in zip(increments[::-1], history[::-1], strict=True):
        point = update.previous_point(state)
        assert torch.equal(point, (expected[0].double() / UNIT))
        update.retreat(state, increment)
        assert equal(copy(state), expected)
    assert update.is_start(state, start)


@pytest.mark.parametrize("beta", RATIOS)
def test_advance_is_heavy_ball_but_for_a_few_units(beta: str) -> None:
    """Exact rational arithmetic on the integers: v' differs from beta v + h by less than n units."""
    update, rng, ratio = HeavyBall(beta), np.random.default_rng(1), Fraction(beta)
    state = update.start(torch.from_numpy(rng.normal(size=8)))
    for _ in range(20):
        increment = torch.from_numpy(rng.normal(size=8))
        x, v = state.x.tolist(), state.v.tolist()
        h = [round(Fraction(value) * 2**FRACTION_BITS) for value in increment.tolist()]
        update.advance(state, increment)
        for place in range(8):
            exact = ratio * v[place] + h[place]
            assert abs(state.v[place].item() - exact) <= ratio.numerator
            assert state.x[place].item() == x[place] + state.v[place].item()
            assert 0 <= state.remainder[place].item() < 2**63


@pytest.mark.parametrize("beta", RATIOS)
def test_the_buffer_never_outgrows_its_word(beta: str) -> None:
    """The worst remainders, d - 1 at every step, in Python's unbounded integers."""
    update, ratio = HeavyBall(beta), Fraction(beta)
    n, d = ratio.numerator, ratio.denominator
    r = largest = 0
    for _ in range(update.steps_per_word):
        largest = max(largest, r * d + d - 1)
        r = (r * d + d - 1) // n
    assert largest < 2**62
    assert r * d + d - 1 >= 2**62, "a word is closed too early"


def test_stored_bits_are_whole_words() -> None:
    update = HeavyBall("9/10")
    per_word = update.steps_per_word
    assert 360 < per_word < 408  # 62 bits over log2(10/9) = 0.152 bits per step, less what rounding up costs
    assert [update.stored_bits(n) for n in (1, per_word, per_word + 1, 10 * per_word)] == [64, 64, 128, 640]
    assert Plain().stored_bits(1000) == 0
    state = update.start(torch.ones(3, dtype=torch.float64))
    for n in range(1, 2 * per_word + 2):
        update.advance(state, torch.full((3,), 1e-3, dtype=torch.float64))
        assert 64 * (len(state.words) + 1) == update.stored_bits(n)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_start_rounds_to_the_unit_and_point_goes_back(dtype: torch.dtype) -> None:
    x = torch.randn(50, dtype=dtype)
    state = HeavyBall("7/8").start(x)
    point = HeavyBall("7/8").point(state)
    assert point.dtype == dtype and point.shape == x.shape
    deviation = float((point - x).abs().max())
    assert deviation <= (1.0 if not dtype.is_complex else 1.5) / UNIT
    assert state.x.dtype == torch.int64


def test_points_are_safe_to_keep() -> None:
    for update in (HeavyBall("7/8"), Plain()):
        state = update.start(torch.ones(4, dtype=torch.float64))
        kept = update.point(state)
        update.advance(state, torch.ones(4, dtype=torch.float64))
        assert torch.equal(kept, torch.ones(4, dtype=torch.float64))
        assert torch.equal(update.point(state), 2 * torch.ones(4, dtype=torch.float64))


def test_the_adjoint_is_that_of_real_heavy_ball() -> None:
    """Transpose of (x, v) -> (x + v', v') with v' = beta v + J x, written as a matrix."""
    rng, update = np.random.default_rng(0), HeavyBall("7/8")
    jacobian = rng.normal(size=(3, 3))
    eye = np.eye(3)
    step = np.block([[eye + jacobian, 0.875 * eye], [jacobian, 0.875 * eye]])
    qx, qv = rng.normal(size=3), rng.normal(size=3)
    expected = step.T @ np.concatenate([qx, qv])
    adjoint = (torch.from_numpy(qx), torch.from_numpy(qv))
    p = update.increment_cotangent(adjoint)
    found = update.advance_adjoint(adjoint, p, torch.from_numpy(jacobian).T @ p)
    assert np.abs(np.concatenate([f.numpy() for f in found]) - expected).max() < 1e-14
    first = update.start_adjoint(torch.from_numpy(qx))
    assert torch.equal(first[0], torch.from_numpy(qx)) and not first[1].any()
    assert torch.equal(update.finish_adjoint(adjoint), torch.from_numpy(qx))


@pytest.mark.parametrize("part", ["x", "v", "remainder", "words", "steps"])
def test_one_wrong_unit_anywhere_is_not_the_start(part: str) -> None:
    update, x = HeavyBall("7/8"), torch.linspace(-1, 1, 6, dtype=torch.float64)
    state = update.start(x)
    assert update.is_start(state, x)
    if part == "words":
        state.words.append(torch.zeros_like(state.v))
    elif part == "steps":
        state.steps = 1
    else:
        getattr(state, part)[4] += 1
    assert not update.is_start(state, x)


@pytest.mark.parametrize("beta", ["0", "1", "9/8", "-1/2", "1/128", "127/128"])
def test_momenta_outside_the_range_are_refused(beta: str) -> None:
    with pytest.raises(EngineError, match="is not a ratio n/d with 0 < n < d < 128"):
        HeavyBall(beta)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), LIMIT, -2 * LIMIT])
@pytest.mark.parametrize("when", ["start", "increment"])
def test_values_that_would_wrap_are_refused(bad: float, when: str) -> None:
    update, good = HeavyBall("7/8"), torch.zeros(5, dtype=torch.float64)
    spoiled = good.clone()
    spoiled[3] = bad
    if when == "start":
        finite = np.isfinite(bad)
        with pytest.raises(
            EngineError, match="it must stay below 256" if finite else "start .* is not finite"
        ) as error:
            update.start(spoiled)
        assert ("order one" if finite else "NaN") in error.value.hint
        return
    state = update.start(good)
    update.advance(state, spoiled)
    update.advance(state, good)
    with pytest.raises(EngineError, match="diverged") as error:
        update.check(state)
    assert "step size" in error.value.hint


@pytest.mark.parametrize(("size", "fits"), [(1e-12, False), (3e-9, False), (1e-7, True), (0.0, True)])
def test_numbers_too_faint_for_the_units_are_refused(size: float, fits: bool) -> None:
    update = HeavyBall("7/8")
    state = update.start(torch.full((3,), size, dtype=torch.float64))
    update.advance(state, torch.full((3,), 0.1 * size, dtype=torch.float64))
    if fits:
        update.check(state)
        return
    with pytest.raises(EngineError, match="they lose digits"):
        update.check(state)


RULES = (Plain(), Nesterov(0.5), HeavyBall("7/8"))


@pytest.mark.parametrize("update", RULES, ids=lambda update: update.name)
@pytest.mark.parametrize(
    "increment",
    [
        torch.ones(15)[:3],
        torch.ones(3),
        torch.ones(5, 1),
        torch.ones(5, 3, dtype=torch.complex64),
        torch.ones(5, 3, dtype=torch.float64),
        torch.ones(5, 3, device="meta"),
    ],
    ids=["part of a view", "row", "column", "complex", "double", "elsewhere"],
)
def test_an_increment_unlike_its_point_is_refused(update: Update, increment: Tensor) -> None:
    state = update.start(torch.zeros(5, 3))
    with pytest.raises(EngineError, match="a layer's increment is"):
        update.advance(state, increment)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_views_in_any_order_and_precision_are_what_their_numbers_say(dtype: torch.dtype) -> None:
    """Transposed, conjugated and negated views hold their numbers elsewhere, or with another sign."""
    update = HeavyBall("7/8")
    drawn = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    view = drawn.t().conj()
    if dtype == torch.float32:
        view = torch.complex(view, view).conj().imag
    plain = view.resolve_conj().resolve_neg().contiguous()
    states = []
    for x in (view, plain):
        state = update.start(x)
        update.advance(state, x)
        assert torch.allclose(update.point(state), 2 * plain)
        states.append(state)
        update.advance(state, 0 * x)
    assert update.same(*states)
    for x, state in zip((view, plain), states, strict=True):
        for increment in (0 * x, x):
            update.previous_point(state)
            update.retreat(state, increment)
        assert update.is_start(state, view)


def test_a_single_negated_number_is_read_with_its_sign() -> None:
    """A view of one number is contiguous, whatever its sign bit says."""
    update, minus = HeavyBall("7/8"), torch.complex(torch.zeros(1), torch.ones(1)).conj().imag
    assert minus.is_neg() and minus.is_contiguous()
    state = update.start(torch.zeros(1))
    update.advance(state, minus)
    assert float(update.point(state)) == -1


def test_a_slow_climb_over_the_limit_is_refused_before_integers_wrap() -> None:
    update = HeavyBall("126/127")
    state = update.start(torch.zeros(2, dtype=torch.float64))
    for _ in range(40):
        update.advance(state, torch.full((2,), 100.0, dtype=torch.float64))
    with pytest.raises(EngineError, match="grew to"):
        update.check(state)


def test_plain_refuses_what_is_not_finite_and_has_no_inverse() -> None:
    update = Plain()
    state = update.start(torch.zeros(2, dtype=torch.complex128))
    update.advance(state, torch.tensor([0, complex(0, float("nan"))], dtype=torch.complex128))
    with pytest.raises(EngineError, match="is not finite"):
        update.check(state)
    with pytest.raises(EngineError, match="'plain' has no exact inverse"):
        update.previous_point(state)
    assert not update.reversible and HeavyBall("1/2").reversible
