"""Gradient strategies: what is stored between the forward and the backward pass.

For N unrolls; transforms are those of the Fourier ptychographic layer with L LEDs, per unroll:

| strategy   | memory besides one layer                       | transforms | gradient         | limits             |
|------------|------------------------------------------------|------------|------------------|--------------------|
| store_all  | N linearised layers                            | 4 L        | exact            | grows with N       |
| checkpoint | N points                                       | 5 L        | exact            | grows, slowly      |
| reversible | log2(d/n) bits per number and unroll, in words | 6 L        | exact, certified | heavy-ball update  |

All three run the same layers on the same points with the same update rule, so their gradients are equal bit for
bit; `tests/engine` holds them to that.
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
from ptychoui.errors import CertificateError, EngineError

Between = Callable[[], None]
"""Called between layers; may wait (pause) or raise (stop)."""


def _go_on() -> None:
    pass


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

    def backward(self, cotangent: Tensor, wanted: Sequence[str], between: Between = _go_on) -> Backward:
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
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = _go_on) -> Trace:
        """Run the chain on x, storing what the strategy needs for the way back."""


def infer(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    work: Scratch,
    between: Between = _go_on,
    watch: Callable[[Tensor], None] = lambda _point: None,
) -> Tensor:
    """Run the chain without a way back: the state of one layer is all that is kept.

    ``watch`` is shown the point of every layer before it runs.
    """
    with torch.no_grad():
        return chain.update.point(_run(chain, x, inputs, work, between, watch))


def _run(
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


def _zeros(inputs: Inputs, wanted: Sequence[str]) -> Gradients:
    unknown = [name for name in wanted if name not in inputs]
    if unknown:
        raise EngineError(f"there is no input {unknown[0]!r}", f"inputs are {', '.join(inputs)}")
    return {name: torch.zeros_like(inputs[name]) for name in wanted}


def _walk_back(
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


class StoreAll(Strategy):
    """Keep every linearised layer: plain back-propagation, the reference."""

    name = "store_all"

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = _go_on) -> Trace:
        """Every layer gets buffers of its own."""
        self.check(chain)
        update = chain.update
        state = update.start(x)
        kept: list[Linearisation] = []
        for layer in chain.layers:
            between()
            at = layer.linearise(update.point(state), inputs, Scratch(), work)
            update.advance(state, at.increment)
            kept.append(at)
        update.check(state)
        return _StoreAllTrace(chain, inputs, kept, update.point(state))


class _StoreAllTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, kept: list[Linearisation], output: Tensor) -> None:
        self._chain, self._inputs, self._kept, self.output = chain, inputs, kept, output

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        into = _zeros(self._inputs, wanted)
        q = _walk_back(self._chain, cotangent, into, lambda _index: self._kept.pop(), between)
        return Backward(q, into)


class Checkpoint(Strategy):
    """Keep the point of every layer and linearise it again on the way back."""

    name = "checkpoint"

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = _go_on) -> Trace:
        """A point is tiny next to a linearised layer."""
        self.check(chain)
        points: list[Tensor] = []
        state = _run(chain, x, inputs, work, between, points.append)
        return _CheckpointTrace(chain, inputs, work, points, chain.update.point(state))


class _CheckpointTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, work: Scratch, points: list[Tensor], output: Tensor) -> None:
        self._chain, self._inputs, self._work = chain, inputs, work
        self._points, self.output = points, output

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        into = _zeros(self._inputs, wanted)

        def again(index: int) -> Linearisation:
            return self._chain.layers[index].linearise(self._points.pop(), self._inputs, self._work, self._work)

        return Backward(_walk_back(self._chain, cotangent, into, again, between), into)


class Reversible(Strategy):
    """Keep nothing but the final state: undo every step exactly, and prove it."""

    name = "reversible"

    def check(self, chain: Chain) -> None:
        """Refuse update rules that cannot be undone."""
        super().check(chain)
        if not chain.update.reversible:
            raise EngineError(
                f"the reversible strategy cannot undo the update rule {chain.update.name!r}",
                "use a heavy-ball update, or the strategy checkpoint",
            )

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = _go_on) -> Trace:
        """The state is updated in place; the remainders of its divisions are all that grows."""
        self.check(chain)
        state = _run(chain, x, inputs, work, between)
        return _ReversibleTrace(chain, inputs, work, x, state)


class _ReversibleTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, work: Scratch, x: Tensor, state: Any) -> None:
        self._chain, self._inputs, self._work = chain, inputs, work
        self._x, self._state = x, state
        self._threads = torch.get_num_threads()
        self.output = chain.update.point(state)

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        if torch.get_num_threads() != self._threads:
            raise EngineError(
                f"the forward pass ran on {self._threads} threads, the way back would run on {torch.get_num_threads()}",
                "sums may round differently: keep torch.set_num_threads as it was",
            )
        update, state = self._chain.update, self._state
        into = _zeros(self._inputs, wanted)

        def undo(index: int) -> Linearisation:
            point = update.previous_point(state)
            return self._chain.layers[index].linearise(point, self._inputs, self._work, self._work)

        q = _walk_back(
            self._chain, cotangent, into, undo, between, lambda _index, at: update.retreat(state, at.increment)
        )
        if not update.is_start(state, self._x):
            raise CertificateError(
                f"after {len(self._chain)} unrolls the reversible strategy did not come back to its start bit for bit",
                "a layer is not deterministic on this device; use the strategy checkpoint and report the device",
            )
        return Backward(q, into, f"exact: {len(self._chain)} unrolls undone bit for bit")


STRATEGIES: dict[str, type[Strategy]] = {cls.name: cls for cls in (StoreAll, Checkpoint, Reversible)}


def strategy(name: str) -> Strategy:
    """Return the strategy of that name, or say which there are."""
    if name not in STRATEGIES:
        raise EngineError(f"there is no strategy {name!r}", f"strategies are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]()
