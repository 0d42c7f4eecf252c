"""The strategy contract: what is stored between the forward and the backward pass, and walked back with.

The strategies themselves are in `strategies`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError

Between = Callable[[], None]
"""Called between layers; may wait (pause) or raise (stop)."""


def go_on() -> None:
    """What is called between layers where nobody wants to pause or stop."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers and the update rule that joins them."""

    layers: Sequence[Layer]
    update: Update

    def __len__(self) -> int:
        return len(self.layers)


@dataclass(frozen=True, slots=True)
class Backward:
    """What a backward pass returns.

    Attributes
    ----------
    x
        Derivative of the loss in the input of the chain.
    inputs
        Derivative in every input asked for.
    certificate
        Proof of exact reversal, or None for strategies that do not reverse.
    """

    x: Tensor
    inputs: Gradients
    certificate: str | None = None


class Trace(ABC):
    """A forward pass that can be walked back once.

    Attributes
    ----------
    output
        The chain's output.
    """

    output: Tensor
    _spent = False

    def backward(self, cotangent: Tensor, wanted: Sequence[str], between: Between = go_on) -> Backward:
        """Walk back from the derivative of the loss in ``output``; ``wanted`` names the inputs to differentiate.

        Raises
        ------
        EngineError
            If the pass was walked back before.
        """
        if self._spent:
            raise EngineError("a forward pass can be walked back once only", "run the forward pass again")
        self._spent = True
        with torch.no_grad():
            return self._walk(cotangent, wanted, between)

    @abstractmethod
    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        """Walk back, without a graph."""


class Strategy(ABC):
    """How the gradient of a chain is obtained."""

    name: str

    def check(self, chain: Chain) -> None:
        """Raise `EngineError` where the strategy cannot run the chain."""
        if not len(chain):
            raise EngineError("a network needs at least one unroll", "set network.unrolls to 1 or more")

    @abstractmethod
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """Run the chain on x, storing what the strategy needs for the way back."""


def infer(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    work: Scratch,
    between: Between = go_on,
    watch: Callable[[Tensor], None] = lambda _point: None,
) -> Tensor:
    """Run the chain without a way back: the state of one layer is all that is kept.

    ``watch`` is shown the point of every layer before it runs.
    """
    with torch.no_grad():
        return chain.update.point(run_layers(chain, x, inputs, work, between, watch))


def run_layers(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    work: Scratch,
    between: Between,
    keep: Callable[[Tensor], None] = lambda _point: None,
) -> Any:
    """Run all layers, showing every point to ``keep``; return the final state."""
    update = chain.update
    state = update.start(x)
    for layer in chain.layers:
        between()
        point = update.point(state)
        keep(point)
        update.advance(state, layer.increment(point, inputs, work))
    update.check(state)
    return state


def zeros(inputs: Inputs, wanted: Sequence[str]) -> Gradients:
    """Accumulators for the inputs asked for; raise `EngineError` for a name that is not there."""
    unknown = [name for name in wanted if name not in inputs]
    if unknown:
        raise EngineError(f"there is no input {unknown[0]!r}", f"inputs are {', '.join(inputs)}")
    return {name: torch.zeros_like(inputs[name]) for name in wanted}


def walk_back(
    chain: Chain,
    cotangent: Tensor,
    into: Gradients,
    linearised: Callable[[int], Linearisation],
    between: Between,
    after: Callable[[int, Linearisation], None] = lambda _index, _at: None,
) -> Tensor:
    """Pull a cotangent back through all layers, last first."""
    update = chain.update
    adjoint = update.start_adjoint(cotangent)
    for index in range(len(chain) - 1, -1, -1):
        between()
        at = linearised(index)
        after(index, at)
        p = update.increment_cotangent(adjoint)
        adjoint = update.advance_adjoint(adjoint, p, at.pullback(p, into))
    return update.finish_adjoint(adjoint)
