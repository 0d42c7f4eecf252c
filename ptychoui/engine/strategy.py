"""The strategy contract: what is stored between the forward and the backward pass, and walked back with.

A strategy *records* a chain: it runs the layers on a state and returns a `Record`, which pulls an adjoint of the state
back over these layers once. Records of consecutive segments compose, so every segment may have a strategy of its own
(`Segments`). The strategies themselves are in `strategies`, `offload` and `inverse`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
class Run:
    """What the layers of a pass share: inputs, workspaces, and a way to pause or stop between layers."""

    inputs: Inputs
    work: Scratch
    between: Between = go_on


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
        Proof that the states walked back over were the true ones (or how far they were off), or None for strategies
        that keep them.
    drift
        Largest relative deviation of a reconstructed state from the true one: 0 where proved equal bit for bit, None
        where states are kept.
    checkpoints
        States that were kept for the way back.
    """

    x: Tensor
    inputs: Gradients
    certificate: str | None = None
    drift: float | None = None
    checkpoints: int = 0


class Record(ABC):
    """A segment that was run forward and can be walked back once.

    Attributes
    ----------
    certificate, drift, checkpoints
        As in `Backward`; the first two are set by `walk`.
    """

    certificate: str | None = None
    drift: float | None = None
    checkpoints: int = 0

    @abstractmethod
    def walk(self, adjoint: Any, into: Gradients, between: Between) -> Any:
        """Pull the adjoint of the state at the segment's end back to its start, without a graph."""


class Trace:
    """A forward pass that can be walked back once.

    Attributes
    ----------
    output
        The chain's output.
    """

    def __init__(self, chain: Chain, inputs: Inputs, record: Record, output: Tensor) -> None:
        self._update, self._inputs, self.output = chain.update, inputs, output
        self._record: Record | None = record

    def backward(self, cotangent: Tensor, wanted: Sequence[str], between: Between = go_on) -> Backward:
        """Walk back from the derivative of the loss in ``output``; ``wanted`` names the inputs to differentiate.

        Raises
        ------
        EngineError
            If the pass was walked back before.
        """
        record, self._record = self._record, None
        if record is None:
            raise EngineError("a forward pass can be walked back once only", "run the forward pass again")
        with torch.no_grad():
            into = zeros(self._inputs, wanted)
            adjoint = record.walk(self._update.start_adjoint(cotangent), into, between)
        return Backward(
            self._update.finish_adjoint(adjoint), into, record.certificate, record.drift, record.checkpoints
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one unroll of a chain takes, from a probe.

    Attributes
    ----------
    first
        Peak bytes of a chain of one unroll under each strategy that can run it.
    linearised
        Bytes that back-propagation keeps per further unroll.
    point, state
        Bytes of one point of linearisation, and of a copy of the update rule's state.
    reals
        Real numbers in a point.
    dtype, device
        Of a point.
    amplification
        By how much a step back amplifies errors; infinite where none converges, or none was tried.
    """

    first: Mapping[str, int]
    linearised: int
    point: int
    state: int
    reals: int
    dtype: torch.dtype
    device: torch.device
    amplification: float


class Strategy(ABC):
    """How the gradient of a chain is obtained.

    Attributes
    ----------
    holds_state
        True if records go on using the state at their end: who runs on from there needs a copy.
    """

    name: str
    holds_state: bool = False

    def check(self, chain: Chain) -> None:
        """Raise `EngineError` where the strategy cannot run the chain."""
        if not len(chain):
            raise EngineError("a network needs at least one unroll", "set network.unrolls to 1 or more")

    @abstractmethod
    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Peak bytes of a pass of a chain beyond those of its first unroll."""

    def first_bytes(self, cost: LayerCost) -> int:
        """Bytes that a record keeps for the first unroll, once it has run: a point, or the states at both ends."""
        return 2 * cost.state if self.holds_state else cost.point

    def peak_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Peak bytes of a pass of a chain, workspaces included."""
        return cost.first[self.name] + self.further_bytes(chain, cost)

    @abstractmethod
    def effort(self, chain: Chain) -> float:
        """Work per unroll, in the unit of the layers' `Effort`."""

    @abstractmethod
    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Run the chain's layers on a state, which is used up, storing what the way back needs.

        ``start`` is the x that the state was made from where no layer has run on it yet. Returns the record and the
        state at the end; where `holds_state`, the record goes on using that very state.
        """

    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """Run the chain on x, storing what the strategy needs for the way back."""
        self.check(chain)
        with torch.no_grad():
            record, state = self.record(chain, chain.update.start(x), Run(inputs, work, between), x)
            chain.update.check(state)
            return Trace(chain, inputs, record, chain.update.output(state))


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
        state = chain.update.start(x)
        run_layers(chain, state, Run(inputs, work, between), watch)
        chain.update.check(state)
        return chain.update.output(state)


def run_layers(chain: Chain, state: Any, run: Run, keep: Callable[[Tensor], None] = lambda _point: None) -> None:
    """Run all layers on a state, in place, showing every point to ``keep``."""
    update = chain.update
    for layer in chain.layers:
        run.between()
        point = update.point(state)
        keep(point)
        update.advance(state, layer.increment(point, run.inputs, run.work))


def zeros(inputs: Inputs, wanted: Sequence[str]) -> Gradients:
    """Accumulators for the inputs asked for; raise `EngineError` for a name that is not there."""
    unknown = [name for name in wanted if name not in inputs]
    if unknown:
        raise EngineError(f"there is no input {unknown[0]!r}", f"inputs are {', '.join(inputs)}")
    return {name: torch.zeros_like(inputs[name]) for name in wanted}


def walk_back(
    chain: Chain,
    adjoint: Any,
    into: Gradients,
    linearised: Callable[[int], Linearisation],
    between: Between,
    retreat: Callable[[Tensor], None] | None = None,
) -> Any:
    """Pull an adjoint back over all layers, last first; ``retreat`` gets the increments, where they are needed."""
    for index in range(len(chain) - 1, -1, -1):
        between()
        adjoint = _pull_back(chain.update, adjoint, into, linearised(index), retreat)
    return adjoint


def _pull_back(
    update: Update, adjoint: Any, into: Gradients, at: Linearisation, retreat: Callable[[Tensor], None] | None
) -> Any:
    """Over one layer: a function of its own, so that nothing of it lives on while the next is linearised."""
    p = update.increment_cotangent(adjoint)
    if retreat is None:
        product = at.pullback(p, into)
    else:
        increment, product = at.increment_and_pullback(p, into)
        retreat(increment)
    return update.advance_adjoint(adjoint, p, product)
