"""The heavy-ball update in integers: undone bit for bit.

`HeavyBall`: v' = beta v + h(x), x' = x + v' with beta = n/d, carried out in integers so that it can be undone
bit for bit: x = x' - v', v = (v' - h(x)) / beta. What integer division by d loses is kept in a buffer, log2(d/n)
bits per number and unroll (Maclaurin, Duvenaud, Adams, "Gradient-based hyperparameter optimization through
reversible learning", ICML 2015, section 3).

The adjoint treats the rounding as the identity: with p = q_x' + q_v',
q_x = q_x' + J_h^T p and q_v = beta p.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptychoui.engine.update import Update, diverged, type_name, unlike
from ptychoui.errors import EngineError

if TYPE_CHECKING:
    from ptychoui.engine.integer_steps import IntegerSteps

FRACTION_BITS = 44
"""States are integers in units of 2^-44: 6e-14, below the rounding of double-precision increments of order one."""

LIMIT = 256.0
"""Largest magnitude of a state or increment: 2^8 leaves room for a factor below 128 in 63 bits."""

FAINTEST = 2.0**-28
"""Largest magnitude of a pass below which its numbers have lost digits: units of 2^-44 leave them 16 bits."""

_UNIT = 2.0**FRACTION_BITS
_WORD = 2**62


@dataclass(slots=True)
class HeavyBallState:
    """Integers in units of 2^-44, and what division lost.

    All of the point's shape, complex numbers as pairs along a last axis of 2; ``largest`` is 0-d.
    """

    x: Tensor
    v: Tensor
    remainder: Tensor
    words: list[Tensor] = field(default_factory=list)
    steps: int = 0
    largest: Tensor | None = None
    complex: bool = False
    dtype: torch.dtype = torch.float32

    def note(self, magnitude: Tensor) -> None:
        """Keep the largest of the magnitudes seen, given in any shape; NaN stays."""
        self.largest = magnitude.amax() if self.largest is None else torch.maximum(self.largest, magnitude.amax())


class HeavyBall(Update):
    """Heavy-ball momentum, exactly reversible.

    Numbers are held in units of 2^-44 (6e-14) and must stay below 256 in magnitude: scale a problem so that its states
    are of order one. A pass that leaves this range, or never comes near it, is refused.

    Parameters
    ----------
    beta
        Momentum as a ratio n/d with 0 < n < d < 128.

    Raises
    ------
    EngineError
        If beta is not such a ratio. It is fixed: learning it would need a gradient through integers.
    """

    name = "heavy_ball"
    reversible = True

    def __init__(self, beta: Fraction | str) -> None:
        try:
            self.beta = Fraction(beta)
            fits = 0 < self.beta < 1 and self.beta.denominator <= 127
        except (ValueError, ArithmeticError, TypeError):
            fits = False
        if not fits:
            raise EngineError(f"momentum {beta} is not a ratio n/d with 0 < n < d < 128", "use for example 7/8 or 9/10")
        self._n, self._d = self.beta.numerator, self.beta.denominator
        self.steps_per_word = self._count_steps_per_word()

    def _count_steps_per_word(self) -> int:
        """Steps until a remainder buffer that starts at zero might not fit a word any more."""
        bound = steps = 0
        while bound * self._d + self._d - 1 < _WORD:
            bound = (bound * self._d + self._d - 1) // self._n
            steps += 1
        return steps

    def stored_bits(self, unrolls: int) -> float:
        """64 bits for each begun word of the remainder buffer."""
        return 64.0 * max(1, -(-unrolls // self.steps_per_word))

    def copied_bytes(self, x: Tensor) -> int:
        """Three integers of 8 bytes for each real number of x, whatever its shape."""
        return 24 * x.numel() * (2 if x.is_complex() else 1)

    def start(self, x: Tensor) -> HeavyBallState:
        """X, of any shape, in integers, no velocity, an empty buffer.

        Complex numbers become pairs along a new last axis.

        Raises
        ------
        EngineError
            If x is not of real or complex numbers, not finite, or reaches `LIMIT`.
        """
        if not (x.is_floating_point() or x.is_complex()):
            raise EngineError(f"a state of {type_name(x)} cannot be reconstructed", "give it as float32 or complex64")
        largest = _magnitude(x)
        if not bool(torch.isfinite(largest)):
            raise EngineError("the start of a pass is not finite", "look for NaN in what it is made from")
        if not float(largest) < LIMIT:
            raise EngineError(
                f"the start of a heavy-ball pass reaches {float(largest):.3g}, it must stay below {LIMIT:g}",
                "scale the problem so that its states are of order one",
            )
        integers = self._to_integers(x)
        return HeavyBallState(
            x=integers,
            v=torch.zeros_like(integers),
            remainder=torch.zeros_like(integers),
            complex=x.is_complex(),
            dtype=x.real.dtype if x.is_complex() else x.dtype,
            largest=largest,
        )

    def point(self, state: HeavyBallState) -> Tensor:
        """X rounded to the working precision, of the shape and type that `start` was given."""
        x = (state.x.to(torch.float64) / _UNIT).to(state.dtype)
        return torch.view_as_complex(x) if state.complex else x

    def advance(self, state: HeavyBallState, increment: Tensor) -> None:
        """V <- n/d v + h, x <- x + v, keeping what the division loses; h has the point's shape.

        Raises
        ------
        EngineError
            If h has another shape, type or device than the point.
        """
        increment = self._like(state, increment)
        if state.steps and state.steps % self.steps_per_word == 0:
            state.words.append(state.remainder)
            state.remainder = torch.zeros_like(state.v)
        state.steps += 1
        if _compiled_on(state.v):
            largest, furthest = self._on_cpu().advance(
                state.x.view(-1).numpy(), state.v.view(-1).numpy(), state.remainder.view(-1).numpy(), _flat(increment)
            )
            state.note(torch.tensor([largest, furthest / _UNIT], dtype=torch.float64))
            return
        state.note(_magnitude(increment))
        v, r = state.v, state.remainder
        low = _divide(v, self._d)
        v.mul_(self._n)
        r.mul_(self._d).add_(low)
        v.add_(_divide(r, self._n))
        v.add_(self._to_integers(increment))
        state.x.add_(v)
        state.note(state.x.abs().amax().to(torch.float64) / _UNIT)

    def _on_cpu(self) -> IntegerSteps:
        """The same steps, compiled."""
        from ptychoui.engine.integer_steps import integer_steps

        return integer_steps(self._n, self._d, _UNIT)

    def copy(self, state: HeavyBallState) -> HeavyBallState:
        """Integers and remainder; full words are never written into again."""
        return replace(
            state,
            x=state.x.clone(),
            v=state.v.clone(),
            remainder=state.remainder.clone(),
            words=list(state.words),
        )

    def pack(self, state: HeavyBallState) -> tuple[int, list[Tensor]]:
        """Steps taken; the largest magnitude, (1,), then integers of the state's shape: x, v, remainder, full words."""
        largest = torch.zeros(1, dtype=torch.float64) if state.largest is None else state.largest.reshape(1)
        return state.steps, [largest, state.x, state.v, state.remainder, *state.words]

    def buffers(self, x: Tensor, count: int) -> list[Tensor]:
        """For the largest magnitude, (1,), and integers for the real numbers of x, whatever its shape."""
        shape = (*x.shape, 2) if x.is_complex() else x.shape
        integers = [torch.empty(shape, dtype=torch.int64, device=x.device) for _ in range(count - 1)]
        return [torch.empty(1, dtype=torch.float64, device=x.device), *integers]

    def unpack(self, x: Tensor, number: int, tensors: list[Tensor]) -> HeavyBallState:
        """The state bit for bit, its integers of the shape of x's real numbers."""
        largest, moved, v, remainder, *words = tensors
        return HeavyBallState(
            x=moved,
            v=v,
            remainder=remainder,
            words=words,
            steps=number,
            largest=largest[0],
            complex=x.is_complex(),
            dtype=x.real.dtype if x.is_complex() else x.dtype,
        )

    def check(self, state: HeavyBallState) -> None:
        """Refuse NaN, infinity and anything above `LIMIT`, beyond which integers could wrap, and what is too faint.

        Raises
        ------
        EngineError
            If a state or increment was not finite or reached `LIMIT`, or the largest of them all is below `FAINTEST`
            and not zero.
        """
        largest = float(state.largest) if state.largest is not None else 0.0
        if not largest < LIMIT:
            raise diverged(largest, LIMIT)
        if 0 < largest < FAINTEST:
            raise EngineError(
                f"no number of a heavy-ball pass was larger than {largest:.2g}: in units of 2^-44 they lose digits",
                "scale the problem so that its states are of order one",
            )

    def previous_point(self, state: HeavyBallState) -> Tensor:
        """X <- x' - v'; returned as `point` gives it, in its shape."""
        state.x.sub_(state.v)
        return self.point(state)

    def retreat(self, state: HeavyBallState, increment: Tensor) -> None:
        """V <- d/n (v' - h), taking back what the division lost; h has the point's shape.

        Raises
        ------
        EngineError
            If h has another shape, type or device than the point.
        """
        increment = self._like(state, increment)
        v, r = state.v, state.remainder
        if _compiled_on(v):
            self._on_cpu().retreat(v.view(-1).numpy(), r.view(-1).numpy(), _flat(increment))
        else:
            v.sub_(self._to_integers(increment))
            low = _divide(v, self._n)
            v.mul_(self._d)
            r.mul_(self._n).add_(low)
            v.add_(_divide(r, self._d))
        state.steps -= 1
        if state.steps and state.steps % self.steps_per_word == 0:
            if bool(r.any()):
                # A word must be empty again when the one below it is opened; `is_start` will report it.
                return
            state.remainder = state.words.pop()

    def is_start(self, state: HeavyBallState, x: Tensor) -> bool:
        """True if x, v and the buffer are back where `start` put them, bit for bit, given its x in its shape."""
        return (
            state.steps == 0
            and not state.words
            and bool(torch.equal(state.x, self._to_integers(x)))
            and not bool(state.v.any())
            and not bool(state.remainder.any())
        )

    def same(self, state: HeavyBallState, other: HeavyBallState) -> bool:
        """True if x, v and the buffer are equal; full words are shared by copies."""
        return (
            state.steps == other.steps
            and len(state.words) == len(other.words)
            and all(bool(torch.equal(a, b)) for a, b in zip(state.words, other.words, strict=True))
            and all(
                bool(torch.equal(a, b))
                for a, b in ((state.x, other.x), (state.v, other.v), (state.remainder, other.remainder))
            )
        )

    def start_adjoint(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """(q_x, q_v) = (q, 0), both of the output's shape."""
        return cotangent, torch.zeros_like(cotangent)

    def increment_cotangent(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """P = q_x' + q_v', of the point's shape."""
        return adjoint[0] + adjoint[1]

    def advance_adjoint(
        self, adjoint: tuple[Tensor, Tensor], cotangent: Tensor, product: Tensor
    ) -> tuple[Tensor, Tensor]:
        """q_x = q_x' + J^T p, q_v = beta p, all of the point's shape."""
        return adjoint[0] + product, cotangent * float(self.beta)

    def finish_adjoint(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """q_x, of the input's shape: the initial velocity is a constant."""
        return adjoint[0]

    @staticmethod
    def _to_integers(x: Tensor) -> Tensor:
        return (_reals(x).to(torch.float64) * _UNIT).round_().to(torch.int64)

    @staticmethod
    def _like(state: HeavyBallState, increment: Tensor) -> Tensor:
        """An increment of the state's shape and type: compiled loops would read beyond the end of a smaller one."""
        shape = state.x.shape[:-1] if state.complex else state.x.shape
        dtype = state.dtype.to_complex() if state.complex else state.dtype
        if increment.shape != shape or increment.dtype != dtype or increment.device != state.x.device:
            raise unlike(increment, shape, dtype, state.x.device)
        return increment


def _divide(a: Tensor, by: int) -> Tensor:
    """Replace integers by their quotient, rounded down, and return the remainder in [0, by)."""
    quotient = torch.div(a, by, rounding_mode="floor")
    low = a.sub(quotient, alpha=by)
    a.copy_(quotient)
    return low


def _compiled_on(state: Tensor) -> bool:
    """True where compiled loops do what tensor operations do elsewhere."""
    return state.device.type == "cpu"


def _flat(x: Tensor) -> Any:
    """Real numbers of a CPU tensor in a row, as an array; those of half precision as single ones."""
    flat = _reals(x).reshape(-1)
    return (flat if flat.dtype in (torch.float32, torch.float64) else flat.to(torch.float32)).numpy()


def _magnitude(x: Tensor) -> Tensor:
    """Largest real or imaginary part, as float64 on the device; NaN stays NaN."""
    return _reals(x).abs().amax().to(torch.float64)


def _reals(x: Tensor) -> Tensor:
    """The real numbers of a tensor, one after the other, complex ones as pairs along a new last axis."""
    x = x.detach().resolve_neg()
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).contiguous()
