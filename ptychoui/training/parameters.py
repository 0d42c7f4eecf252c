"""What is learned, as named tensors with their learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from torch import Tensor


class ParameterSet:
    """Named tensors on a device.

    Parameters
    ----------
    tensors
        Everything that the task's inputs depend on, of any shape.
    rates
        Learning rate of each that is learned, relative to that of the settings; the others stay as they are.
    per_unroll
        Names of those that hold one element for each unroll along their first axis and are inputs of the network
        themselves: greedy modules may learn their own part of them.

    Attributes
    ----------
    progress
        Share of the run that is done, 0 to 1, where what is learned from depends on it; the trainer sets it.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], rates: Mapping[str, float], per_unroll: frozenset[str] = frozenset()
    ) -> None:
        self.tensors, self.rates, self.per_unroll = dict(tensors), dict(rates), per_unroll
        self.progress = 0.0

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def items(self) -> list[tuple[str, Tensor]]:
        """Names and tensors, each in its own shape."""
        return list(self.tensors.items())

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of those that are learned."""
        return tuple(name for name in self.tensors if name in self.rates)

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """The same set with other tensors in the place of its own; their shapes are not looked at."""
        made = type(self)(tensors, self.rates, self.per_unroll)
        made.progress = self.progress
        return made

    def leaves(self) -> Self:
        """Copies that derivatives are taken in, where they are learned."""
        return self.with_tensors(
            {name: tensor.detach().clone().requires_grad_(name in self.rates) for name, tensor in self.items()}
        )

    def double(self) -> Self:
        """Copies in double precision."""
        return self.with_tensors({name: tensor.detach().double() for name, tensor in self.items()})
