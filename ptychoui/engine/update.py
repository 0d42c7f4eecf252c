"""Update rules: how increments move the state, forwards, backwards and in the adjoint.

* `Plain`: x' = x + h(x). No exact inverse.
* `Nesterov`: y = x + beta (x - x_before), x' = y + h(y). No exact inverse.
* `HeavyBall`: v' = beta v + h(x), x' = x + v' with beta = n/d, carried out in integers so that it can be undone
  bit for bit: x = x' - v', v = (v' - h(x)) / beta. What integer division by d loses is kept in a buffer, log2(d/n)
  bits per number and unroll (Maclaurin, Duvenaud, Adams, "Gradient-based hyperparameter optimization through
  reversible learning", ICML 2015, section 3).

The adjoint treats the rounding as the identity: with p = q_x' + q_v',
q_x = q_x' + J_h^T p and q_v = beta p.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

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


class Update(ABC):
    """How increments move a state. States are mutable and belong to one pass."""

    name: str
    reversible: bool = False
    invertible: bool = False
    amplification: float = 1.0
    """Factor by which `invert` amplifies errors beyond what its solver does."""

    @abstractmethod
    def start(self, x: Tensor) -> Any:
        """State at the input of the chain."""

    @abstractmethod
    def point(self, state: Any) -> Tensor:
        """Where the next layer is evaluated; safe to keep."""

    def output(self, state: Any) -> Tensor:
        """What a chain that ends here gives; safe to keep."""
        return self.point(state)

    @abstractmethod
    def advance(self, state: Any, increment: Tensor) -> None:
        """Take one step, in place."""

    @abstractmethod
    def copy(self, state: Any) -> Any:
        """A state of its own to go on from later."""

    @abstractmethod
    def check(self, state: Any) -> None:
        """Raise `EngineError` if a state or an increment was not finite, or overflowed."""

    @abstractmethod
    def start_adjoint(self, cotangent: Tensor) -> Any:
        """Cotangent of the state at the output of the chain."""

    @abstractmethod
    def increment_cotangent(self, adjoint: Any) -> Tensor:
        """Cotangent p of the increment of the last step not yet undone."""

    @abstractmethod
    def advance_adjoint(self, adjoint: Any, cotangent: Tensor, product: Tensor) -> Any:
        """Cotangent of the state before that step, given p and J_h^T p."""

    @abstractmethod
    def finish_adjoint(self, adjoint: Any) -> Tensor:
        """Cotangent of the input of the chain."""

    def previous_point(self, state: Any) -> Tensor:
        """Undo the position of the last step, in place, and return where its layer was evaluated."""
        raise EngineError(
            f"the update rule {self.name!r} has no exact inverse", "use heavy_ball, or the strategy checkpoint"
        )

    def retreat(self, state: Any, increment: Tensor) -> None:
        """Undo the rest of the last step, in place, given its increment."""
        raise NotImplementedError

    def is_start(self, state: Any, x: Tensor) -> bool:
        """True if the state is, bit for bit, ``start(x)``."""
        raise NotImplementedError

    def same(self, state: Any, other: Any) -> bool:
        """True if two states are equal bit for bit."""
        raise NotImplementedError

    def invert(self, state: Any, solve: Callable[[Tensor], Tensor]) -> Tensor:
        """Undo the last step, in place, and return where its layer was evaluated.

        ``solve(z)`` finds the y with y + h(y) = z. Unlike `previous_point` this is as exact as the solver.
        """
        raise EngineError(
            f"the update rule {self.name!r} is not undone by solving for its points",
            "use the strategy reversible, which undoes it exactly",
        )

    def deviation(self, state: Any, other: Any, batch_axis: int | None = None) -> float:
        """Relative distance of a state from a true one, of the worst item where the batch's axis is given."""
        raise NotImplementedError

    def stored_bits(self, unrolls: int) -> float:
        """Bits kept per real number to undo so many unrolls, in whole words."""
        return 0.0

    @abstractmethod
    def copied_bytes(self, x: Tensor) -> int:
        """Bytes of a `copy` of the state at a point like x, full words apart."""


class FloatUpdate(Update):
    """States are lists of tensors that are replaced, never written into."""

    invertible = True

    def copy(self, state: list[Tensor]) -> list[Tensor]:
        """Tensors are never written into, so they can be shared."""
        return list(state)

    def check(self, state: list[Tensor]) -> None:
        """Refuse NaN and infinity."""
        x = state[0]
        if not bool(torch.isfinite(torch.view_as_real(x) if x.is_complex() else x).all()):
            raise _diverged()

    def deviation(self, state: list[Tensor], other: list[Tensor], batch_axis: int | None = None) -> float:
        """|a - b| / |b| over all tensors, that of the worst item where the batch's axis is given."""
        apart = torch.stack([norms(a - b, batch_axis) for a, b in zip(state, other, strict=True)])
        size = torch.stack([norms(b, batch_axis) for b in other])
        return float((apart.norm(dim=0) / size.norm(dim=0).clamp_min(1e-150)).amax())


class Plain(FloatUpdate):
    """x' = x + h(x), in floating point."""

    name = "plain"

    def start(self, x: Tensor) -> list[Tensor]:
        """X alone."""
        return [x]

    def point(self, state: list[Tensor]) -> Tensor:
        """X itself."""
        return state[0]

    def advance(self, state: list[Tensor], increment: Tensor) -> None:
        """X <- x + h."""
        state[0] = state[0] + like(state[0], increment)

    def invert(self, state: list[Tensor], solve: Callable[[Tensor], Tensor]) -> Tensor:
        """X = solve(x')."""
        state[0] = solve(state[0])
        return state[0]

    def copied_bytes(self, x: Tensor) -> int:
        """X itself."""
        return x.numel() * x.element_size()

    def start_adjoint(self, cotangent: Tensor) -> Tensor:
        """Q."""
        return cotangent

    def increment_cotangent(self, adjoint: Tensor) -> Tensor:
        """P = q'."""
        return adjoint

    def advance_adjoint(self, adjoint: Tensor, cotangent: Tensor, product: Tensor) -> Tensor:
        """Q = q' + J^T p."""
        return adjoint + product

    def finish_adjoint(self, adjoint: Tensor) -> Tensor:
        """Q."""
        return adjoint


class Nesterov(FloatUpdate):
    """y = x + beta (x - x_before), x' = y + h(y): the layer is evaluated at the extrapolated point.

    The step back solves y + h(y) = x' for y; then x_before = x - (y - x) / beta, which amplifies errors by 1/beta.

    Parameters
    ----------
    beta
        Extrapolation in (0, 1).

    Raises
    ------
    EngineError
        If beta lies outside that range.
    """

    name = "nesterov"

    def __init__(self, beta: float) -> None:
        if not 0 < beta < 1:
            raise EngineError(f"extrapolation {beta} does not lie between 0 and 1", "use for example 0.9")
        self.beta = float(beta)
        self.amplification = 1 / self.beta

    def start(self, x: Tensor) -> list[Tensor]:
        """X twice: no extrapolation at first."""
        return [x, x]

    def point(self, state: list[Tensor]) -> Tensor:
        """Y."""
        x, before = state
        return x + self.beta * (x - before)

    def output(self, state: list[Tensor]) -> Tensor:
        """X, not extrapolated."""
        return state[0]

    def advance(self, state: list[Tensor], increment: Tensor) -> None:
        """X <- y + h(y)."""
        state[:] = [self.point(state) + like(state[0], increment), state[0]]

    def invert(self, state: list[Tensor], solve: Callable[[Tensor], Tensor]) -> Tensor:
        """Y = solve(x'), x_before = x - (y - x) / beta."""
        after, x = state
        y = solve(after)
        state[:] = [x, x - (y - x) / self.beta]
        return y

    def copied_bytes(self, x: Tensor) -> int:
        """X and the one before."""
        return 2 * x.numel() * x.element_size()

    def start_adjoint(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """(q_x, q_before) = (q, 0)."""
        return cotangent, torch.zeros_like(cotangent)

    def increment_cotangent(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """P = q_x'."""
        return adjoint[0]

    def advance_adjoint(
        self, adjoint: tuple[Tensor, Tensor], cotangent: Tensor, product: Tensor
    ) -> tuple[Tensor, Tensor]:
        """With q_y = q_x' + J^T p: q_x = (1 + beta) q_y + q_before', q_before = -beta q_y."""
        q = adjoint[0] + product
        return (1 + self.beta) * q + adjoint[1], -self.beta * q

    def finish_adjoint(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """Both hold the input at the start."""
        return adjoint[0] + adjoint[1]


@dataclass(slots=True)
class HeavyBallState:
    """Integers in units of 2^-44, and what division lost."""

    x: Tensor
    v: Tensor
    remainder: Tensor
    words: list[Tensor] = field(default_factory=list)
    steps: int = 0
    largest: Tensor | None = None
    complex: bool = False
    dtype: torch.dtype = torch.float32

    def note(self, magnitude: Tensor) -> None:
        """Keep the largest magnitude seen; NaN stays."""
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
        """Three integers of 8 bytes for each real number."""
        return 24 * x.numel() * (2 if x.is_complex() else 1)

    def start(self, x: Tensor) -> HeavyBallState:
        """X in integers, no velocity, an empty buffer.

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
        """X rounded to the working precision."""
        x = (state.x.to(torch.float64) / _UNIT).to(state.dtype)
        return torch.view_as_complex(x) if state.complex else x

    def advance(self, state: HeavyBallState, increment: Tensor) -> None:
        """V <- n/d v + h, x <- x + v, keeping what the division loses."""
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

    def check(self, state: HeavyBallState) -> None:
        """Refuse NaN, infinity and anything above `LIMIT`, beyond which integers could wrap, and what is too faint."""
        largest = float(state.largest) if state.largest is not None else 0.0
        if not largest < LIMIT:
            raise _diverged(largest)
        if 0 < largest < FAINTEST:
            raise EngineError(
                f"no number of a heavy-ball pass was larger than {largest:.2g}: in units of 2^-44 they lose digits",
                "scale the problem so that its states are of order one",
            )

    def previous_point(self, state: HeavyBallState) -> Tensor:
        """X <- x' - v'."""
        state.x.sub_(state.v)
        return self.point(state)

    def retreat(self, state: HeavyBallState, increment: Tensor) -> None:
        """V <- d/n (v' - h), taking back what the division lost."""
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
        """True if x, v and the buffer are back where `start` put them, bit for bit."""
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
        """(q_x, q_v) = (q, 0)."""
        return cotangent, torch.zeros_like(cotangent)

    def increment_cotangent(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """P = q_x' + q_v'."""
        return adjoint[0] + adjoint[1]

    def advance_adjoint(
        self, adjoint: tuple[Tensor, Tensor], cotangent: Tensor, product: Tensor
    ) -> tuple[Tensor, Tensor]:
        """q_x = q_x' + J^T p, q_v = beta p."""
        return adjoint[0] + product, cotangent * float(self.beta)

    def finish_adjoint(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """q_x: the initial velocity is a constant."""
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


def norms(x: Tensor, batch_axis: int | None = None) -> Tensor:
    """Euclidean norm, or that of every item along the batch's axis, as float64: squares of faint numbers count."""
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    axes = None if batch_axis is None else [axis for axis in range(x.ndim) if axis != batch_axis]
    found: Tensor = torch.linalg.vector_norm(x, dim=axes, dtype=torch.float64)
    return found


def like(x: Tensor, increment: Tensor) -> Tensor:
    """An increment of x's shape, type and device; another would be spread over x, or change its type, in silence."""
    if increment.shape != x.shape or increment.dtype != x.dtype or increment.device != x.device:
        raise unlike(increment, x.shape, x.dtype, x.device)
    return increment


def type_name(x: Tensor) -> str:
    """A tensor's type for people."""
    return str(x.dtype).removeprefix("torch.")


def unlike(increment: Tensor, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> EngineError:
    """What is wrong with an increment."""
    there = f"{tuple(increment.shape)} of {type_name(increment)} on {increment.device}"
    return EngineError(
        f"a layer's increment is {there}, its point {tuple(shape)} of {str(dtype).removeprefix('torch.')} on {device}",
        "let the layer return a tensor like its point",
    )


def _diverged(largest: float | None = None) -> EngineError:
    text = "is not finite" if largest is None or largest != largest else f"grew to {largest:.3g} (limit {LIMIT:g})"
    return EngineError(f"the reconstruction diverged: its state {text}", "use a smaller step size or less momentum")
