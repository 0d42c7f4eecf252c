"""The compiled integer steps against plain Python integers, and against the tensor operations that GPUs use."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ptychoui.engine import heavy_ball as module
from ptychoui.engine.heavy_ball import HeavyBall, HeavyBallState
from ptychoui.engine.integer_steps import integer_steps

UNIT = 2.0**44
MOMENTA = ["7/8", "9/10", "1/2", "126/127", "1/127"]


def draw(size: int, seed: int, dtype: Any = np.float64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=size) * 10.0 ** rng.integers(-14, 1, size)).astype(dtype)


@pytest.mark.parametrize("beta", MOMENTA)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_those_of_whole_numbers(beta: str, dtype: Any) -> None:
    """v' = floor-division form of n/d v + h with the remainder kept, in integers of any size."""
    n, d = Fraction(beta).numerator, Fraction(beta).denominator
    steps, size = integer_steps(n, d, UNIT), 50
    x, v, r = (np.zeros(size, np.int64) for _ in range(3))
    xs, vs, rs = [0] * size, [0] * size, [0] * size
    history = []
    for k in range(min(20, HeavyBall(beta).steps_per_word)):
        h = draw(size, k, dtype)
        history.append(h)
        largest, furthest = steps.advance(x, v, r, h)
        for i in range(size):
            quotient, low = divmod(vs[i], d)
            rs[i], back = divmod(rs[i] * d + low, n)
            vs[i] = quotient * n + back + round(Fraction(float(h[i])) * 2**44)
            xs[i] += vs[i]
        assert (x.tolist(), v.tolist(), r.tolist()) == (xs, vs, rs)
        assert largest == np.abs(h).max() and furthest == np.abs(x).max()
    for h in reversed(history):
        x -= v
        steps.retreat(v, r, h)
    assert not x.any() and not v.any() and not r.any()


def test_halves_are_rounded_to_even_like_torch() -> None:
    steps = integer_steps(7, 8, UNIT)
    h = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1.25, 4503599627370497.5, -9e15]) / UNIT
    x, v, r = (np.zeros(len(h), np.int64) for _ in range(3))
    steps.advance(x, v, r, h)
    assert np.array_equal(v, (torch.from_numpy(h) * UNIT).round().to(torch.int64).numpy())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 3, 9])
def test_strange_increments_are_noted_wherever_they_are(bad: float, place: int) -> None:
    x, v, r = (np.zeros(10, np.int64) for _ in range(3))
    h = draw(10, 0)
    h[place] = bad
    largest, _ = integer_steps(7, 8, UNIT).advance(x, v, r, h)
    assert not largest < 256


@pytest.mark.parametrize("beta", MOMENTA)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64])
def test_tensor_operations_give_the_same_bits(beta: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of other devices, taken on the CPU."""
    update = HeavyBall(beta)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 5, dtype=dtype, generator=generator)
    increments = [1e-2 * torch.randn(4, 5, dtype=dtype, generator=generator) for _ in range(150)]

    def run() -> HeavyBallState:
        state = update.start(start)
        for h in increments:
            update.advance(state, h)
        return state

    compiled = run()
    monkeypatch.setattr(module, "_compiled_on", lambda _tensor: False)
    plain = run()
    assert update.same(compiled, plain)
    assert float(compiled.largest) == float(plain.largest)  # type: ignore[arg-type]
    for state, path in ((compiled, True), (plain, False)):
        monkeypatch.setattr(module, "_compiled_on", lambda _tensor, path=path: not path)  # undone by the other one
        for h in reversed(increments):
            update.previous_point(state)
            update.retreat(state, h)
        assert update.is_start(state, start)
