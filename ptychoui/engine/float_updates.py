"""Update rules in floating point.

* `Plain`: x' = x + h(x). No exact inverse.
* `Nesterov`: y = x + beta (x - x_before), x' = y + h(y). No exact inverse.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ptychoui.engine.update import Update, diverged, like, norms
from ptychoui.errors import EngineError

ALIGNED_BYTES = 64
"""Where torch lets arrays on a CPU begin."""


def aligned(x: Tensor) -> Tensor:
    """X, of any shape, or a copy where it begins elsewhere than an array of its own would, as parts of a batch may.

    Points that are kept are copies: products of small matrices could have other bits there than at x itself.
    """
    return x.clone() if x.device.type == "cpu" and x.data_ptr() % ALIGNED_BYTES else x


class FloatUpdate(Update):
    """States are lists of tensors that are replaced, never written into."""

    invertible = True

    def copy(self, state: list[Tensor]) -> list[Tensor]:
        """The same tensors, whatever their shapes: they are never written into, so they can be shared."""
        return list(state)

    def pack(self, state: list[Tensor]) -> tuple[int, list[Tensor]]:
        """The tensors of a state, of the shape of the chain's input."""
        return 0, list(state)

    def buffers(self, x: Tensor, count: int) -> list[Tensor]:
        """Tensors of x's shape and type."""
        return [torch.empty_like(x) for _ in range(count)]

    def unpack(self, x: Tensor, number: int, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors are the state, each of x's shape."""
        return tensors

    def check(self, state: list[Tensor]) -> None:
        """Refuse NaN and infinity in x, whatever its shape.

        Raises
        ------
        EngineError
            If a number of x is not finite.
        """
        x = state[0]
        if not bool(torch.isfinite(torch.view_as_real(x) if x.is_complex() else x).all()):
            raise diverged()

    def deviation(self, state: list[Tensor], other: list[Tensor], batch_axis: int | None = None) -> float:
        """|a - b| / |b| over all tensors, of equal shapes, that of the worst item where the batch's axis is given."""
        apart = torch.stack([norms(a - b, batch_axis) for a, b in zip(state, other, strict=True)])
        size = torch.stack([norms(b, batch_axis) for b in other])
        return float((apart.norm(dim=0) / size.norm(dim=0).clamp_min(1e-150)).amax())


class Plain(FloatUpdate):
    """x' = x + h(x), in floating point."""

    name = "plain"

    def start(self, x: Tensor) -> list[Tensor]:
        """X alone, of any shape."""
        return [aligned(x)]

    def point(self, state: list[Tensor]) -> Tensor:
        """X itself, of the shape that `start` was given."""
        return state[0]

    def advance(self, state: list[Tensor], increment: Tensor) -> None:
        """X <- x + h, with h of x's shape.

        Raises
        ------
        EngineError
            If h has another shape, type or device than x.
        """
        state[0] = state[0] + like(state[0], increment)

    def invert(self, state: list[Tensor], solve: Callable[[Tensor], Tensor]) -> Tensor:
        """X = solve(x'), of the shape of x'."""
        state[0] = solve(state[0])
        return state[0]

    def copied_bytes(self, x: Tensor) -> int:
        """Bytes of x itself, whatever its shape."""
        return x.numel() * x.element_size()

    def start_adjoint(self, cotangent: Tensor) -> Tensor:
        """Q, of the output's shape."""
        return cotangent

    def increment_cotangent(self, adjoint: Tensor) -> Tensor:
        """P = q', of x's shape."""
        return adjoint

    def advance_adjoint(self, adjoint: Tensor, cotangent: Tensor, product: Tensor) -> Tensor:
        """Q = q' + J^T p, all of x's shape."""
        return adjoint + product

    def finish_adjoint(self, adjoint: Tensor) -> Tensor:
        """Q, of the input's shape."""
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
        """X twice, of any shape: no extrapolation at first."""
        return [aligned(x)] * 2

    def point(self, state: list[Tensor]) -> Tensor:
        """Y, of x's shape."""
        x, before = state
        return x + self.beta * (x - before)

    def output(self, state: list[Tensor]) -> Tensor:
        """X, not extrapolated, of the shape that `start` was given."""
        return state[0]

    def advance(self, state: list[Tensor], increment: Tensor) -> None:
        """X <- y + h(y), with h of x's shape.

        Raises
        ------
        EngineError
            If h has another shape, type or device than x.
        """
        state[:] = [self.point(state) + like(state[0], increment), state[0]]

    def invert(self, state: list[Tensor], solve: Callable[[Tensor], Tensor]) -> Tensor:
        """Y = solve(x'), x_before = x - (y - x) / beta, all of one shape."""
        after, x = state
        y = solve(after)
        state[:] = [x, x - (y - x) / self.beta]
        return y

    def copied_bytes(self, x: Tensor) -> int:
        """Bytes of x, whatever its shape, and of the one before."""
        return 2 * x.numel() * x.element_size()

    def start_adjoint(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """(q_x, q_before) = (q, 0), both of the output's shape."""
        return cotangent, torch.zeros_like(cotangent)

    def increment_cotangent(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """P = q_x', of x's shape."""
        return adjoint[0]

    def advance_adjoint(
        self, adjoint: tuple[Tensor, Tensor], cotangent: Tensor, product: Tensor
    ) -> tuple[Tensor, Tensor]:
        """With q_y = q_x' + J^T p: q_x = (1 + beta) q_y + q_before', q_before = -beta q_y, all of x's shape."""
        q = adjoint[0] + product
        return (1 + self.beta) * q + adjoint[1], -self.beta * q

    def finish_adjoint(self, adjoint: tuple[Tensor, Tensor]) -> Tensor:
        """The sum of both, of the input's shape: at the start both hold the input."""
        return adjoint[0] + adjoint[1]
