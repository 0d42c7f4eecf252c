"""What every update rule is asked for: how increments move the state, forwards, backwards and in the adjoint.

`float_updates` and `heavy_ball` hold the rules.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ptychoui.errors import EngineError


class Update(ABC):
    """How increments move a state. States are mutable and belong to one pass."""

    name: str
    reversible: bool = False
    invertible: bool = False
    amplification: float = 1.0
    """Factor by which `invert` amplifies errors beyond what its solver does."""

    @abstractmethod
    def start(self, x: Tensor) -> Any:
        """State at the input of the chain, a tensor of any shape."""

    @abstractmethod
    def point(self, state: Any) -> Tensor:
        """Where the next layer is evaluated, of the shape of the chain's input; safe to keep."""

    def output(self, state: Any) -> Tensor:
        """What a chain that ends here gives, of the shape of its input; safe to keep."""
        return self.point(state)

    @abstractmethod
    def advance(self, state: Any, increment: Tensor) -> None:
        """Take one step, in place, by an increment of the point's shape.

        Raises
        ------
        EngineError
            If the increment has another shape, type or device than the point.
        """

    @abstractmethod
    def copy(self, state: Any) -> Any:
        """A state of its own to go on from later."""

    @abstractmethod
    def pack(self, state: Any) -> tuple[int, list[Tensor]]:
        """A state as a number and tensors, of shapes that `buffers` knows, that can be sent elsewhere."""

    @abstractmethod
    def buffers(self, x: Tensor, count: int) -> list[Tensor]:
        """Tensors to receive ``count`` packed ones into, for states of a chain whose input has x's shape."""

    @abstractmethod
    def unpack(self, x: Tensor, number: int, tensors: list[Tensor]) -> Any:
        """The state that `pack` was given, for a chain whose input has x's shape; it takes the tensors over."""

    @abstractmethod
    def check(self, state: Any) -> None:
        """Raise `EngineError` if a state or an increment was not finite, or overflowed."""

    @abstractmethod
    def start_adjoint(self, cotangent: Tensor) -> Any:
        """Cotangent of the state at the output of the chain, from that of the output, of its shape."""

    @abstractmethod
    def increment_cotangent(self, adjoint: Any) -> Tensor:
        """Cotangent p of the increment of the last step not yet undone, of the increment's shape."""

    @abstractmethod
    def advance_adjoint(self, adjoint: Any, cotangent: Tensor, product: Tensor) -> Any:
        """Cotangent of the state before that step, given p and J_h^T p, both of the increment's shape."""

    @abstractmethod
    def finish_adjoint(self, adjoint: Any) -> Tensor:
        """Cotangent of the input of the chain, of its shape."""

    def previous_point(self, state: Any) -> Tensor:
        """Undo the position of the last step, in place, and return where its layer was evaluated.

        It has the shape of the chain's input.

        Raises
        ------
        EngineError
            If the update rule is not undone exactly.
        """
        raise EngineError(
            f"the update rule {self.name!r} has no exact inverse", "use heavy_ball, or the strategy checkpoint"
        )

    def retreat(self, state: Any, increment: Tensor) -> None:
        """Undo the rest of the last step, in place, given its increment, of the point's shape."""
        raise NotImplementedError

    def is_start(self, state: Any, x: Tensor) -> bool:
        """True if the state is, bit for bit, ``start(x)`` for an x of the shape of the chain's input."""
        raise NotImplementedError

    def same(self, state: Any, other: Any) -> bool:
        """True if two states are equal bit for bit."""
        raise NotImplementedError

    def invert(self, state: Any, solve: Callable[[Tensor], Tensor]) -> Tensor:
        """Undo the last step, in place, and return where its layer was evaluated.

        ``solve(z)`` finds the y with y + h(y) = z, of z's shape. Unlike `previous_point` this is as exact as that is.

        Raises
        ------
        EngineError
            If the update rule is not undone by solving for its points.
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
        """Bytes of a `copy` of the state at a point of x's shape and type, full words apart."""


def norms(x: Tensor, batch_axis: int | None = None) -> Tensor:
    """Euclidean norm, 0-d, or those of the items along the batch's axis, (B,).

    In float64: squares of faint numbers count.
    """
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    axes = None if batch_axis is None else [axis for axis in range(x.ndim) if axis != batch_axis]
    found: Tensor = torch.linalg.vector_norm(x, dim=axes, dtype=torch.float64)
    return found


def like(x: Tensor, increment: Tensor) -> Tensor:
    """An increment of x's shape, type and device; another would be spread over x, or change its type, in silence.

    Raises
    ------
    EngineError
        If its shape, type or device is another.
    """
    if increment.shape != x.shape or increment.dtype != x.dtype or increment.device != x.device:
        raise unlike(increment, x.shape, x.dtype, x.device)
    return increment


def type_name(x: Tensor) -> str:
    """Name of a tensor's type for people, whatever its shape: float32, complex64."""
    return str(x.dtype).removeprefix("torch.")


def unlike(increment: Tensor, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> EngineError:
    """The error of an increment that has another shape, type or device than its point."""
    there = f"{tuple(increment.shape)} of {type_name(increment)} on {increment.device}"
    return EngineError(
        f"a layer's increment is {there}, its point {tuple(shape)} of {str(dtype).removeprefix('torch.')} on {device}",
        "let the layer return a tensor like its point",
    )


def diverged(largest: float | None = None, limit: float = math.inf) -> EngineError:
    """What is wrong with a state: that it is not finite, or reached a limit."""
    text = "is not finite" if largest is None or largest != largest else f"grew to {largest:.3g} (limit {limit:g})"
    return EngineError(f"the reconstruction diverged: its state {text}", "use a smaller step size or less momentum")
