"""The strategy contract: what is stored between the forward and the backward pass, and walked back with.

A strategy *records* a chain: it runs the layers on a state and returns a `Record`, which pulls an adjoint of the state
back over these layers once. Records of consecutive segments compose, so every segment may have a strategy of its own
(`Segments`). `strategies` lists the strategies there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.held import Held
from ptychoui.engine.layer import Effort, Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError

Callback = Callable[[], None]
"""Called between layers; may wait (pause) or raise (stop)."""


OTHER_BITS = (
    "a layer gave other bits when it was run again: is it deterministic on this device, and is all that it uses among "
    "its inputs? Only store_all runs no layer again"
)
"""Hint where a pass could not be repeated."""


def go_on() -> None:
    """What is called between layers where nobody wants to pause or stop."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers and the update rule that joins them.

    Raises
    ------
    EngineError
        If there is no layer.
    """

    layers: Sequence[Layer]
    update: Update

    def __post_init__(self) -> None:
        if not len(self.layers):
            raise EngineError("a network needs at least one unroll", "set network.unrolls to 1 or more")

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def effort(self) -> Effort:
        """Mean of the layers' work."""
        efforts = [layer.effort for layer in self.layers]
        return Effort(*(sum(getattr(one, kind.name) for one in efforts) / len(efforts) for kind in fields(Effort)))


@dataclass(frozen=True, slots=True)
class Run:
    """What the layers of a pass share: inputs, workspaces, and a way to pause or stop between layers."""

    inputs: Inputs
    work: Scratch
    callback: Callback = go_on


@dataclass(frozen=True, slots=True)
class Backward:
    """What a backward pass returns.

    Attributes
    ----------
    x
        Derivative of the loss in the input of the chain, of its shape.
    inputs
        Derivative in every input asked for, of its shape.
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
        As in `Backward`; the first two are set by `backward`.
    """

    certificate: str | None = None
    drift: float | None = None
    checkpoints: int = 0

    def check(self) -> None:
        """Raise `EngineError` where the way back would not be that of the way there; the record stays usable."""
        return

    @abstractmethod
    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        """Pull the adjoint of the state at the segment's end back to its start, without a graph."""


class Trace:
    """A forward pass that can be walked back once.

    Attributes
    ----------
    output
        The chain's output, of the shape of its input.
    """

    def __init__(self, chain: Chain, given: Given, record: Record, output: Tensor) -> None:
        self._update, self._given, self.output = chain.update, given, output
        self._record: Record | None = record

    def backward(self, cotangent: Tensor, wanted: Sequence[str], callback: Callback = go_on) -> Backward:
        """Walk back from the derivative of the loss in ``output``; ``wanted`` names the inputs to differentiate.

        The cotangent has the output's shape.

        Raises
        ------
        EngineError
            If the pass was walked back before, or what it ran on was changed since.
        """
        if self._record is None:
            raise EngineError("a forward pass can be walked back once only", "run the forward pass again")
        refuse_inference_mode()
        self._given.check()
        self._record.check()
        record, self._record = self._record, None
        with torch.no_grad():
            into = zeros(self._given.inputs, wanted)
            adjoint = record.backward(self._update.start_adjoint(cotangent), into, callback)
        return Backward(
            self._update.finish_adjoint(adjoint), into, record.certificate, record.drift, record.checkpoints
        )


class Given:
    """What a forward pass ran on, to see on the way back that it still is the same.

    ``x`` and the inputs may have any shape.

    Raises
    ------
    EngineError
        If an input is no tensor, or one made in `torch.inference_mode`.
    """

    def __init__(self, x: Tensor, inputs: Inputs, layers: Sequence[Layer] = ()) -> None:
        self.inputs = inputs
        self._held = Held(layers)
        self._tensors = {"x": x, **{f"input {name!r}": tensor for name, tensor in inputs.items()}}
        for name, tensor in self._tensors.items():
            if not isinstance(tensor, Tensor):
                raise EngineError(f"{name} is a {type(tensor).__name__}, not a tensor", "wrap it in torch.tensor")
            if tensor.is_inference():
                raise EngineError(f"{name} was made in torch.inference_mode", "clone it outside, or use torch.no_grad")
        self._versions = {name: tensor._version for name, tensor in self._tensors.items()}
        self._autocast = _autocast()

    def settle(self) -> None:
        """The forward pass is over: what it changed of its layers was their own."""
        self._held.settle()

    def check(self) -> None:
        """See that no tensor was written into since, and that types are cast in the same way.

        Raises
        ------
        EngineError
            If a tensor of the layers, x or an input was changed, or `torch.autocast` is another.
        """
        if (name := self._held.changed()) is not None:
            raise EngineError(
                f"{name} was changed between the forward and the backward pass",
                "change operators after the backward pass, or give the tensor as an input",
            )
        for name, tensor in self._tensors.items():
            if tensor._version != self._versions[name]:
                raise EngineError(
                    f"{name} was changed between the forward and the backward pass",
                    "update inputs after the backward pass, or give the pass a copy",
                )
        if _autocast() != self._autocast:
            raise EngineError(
                "the forward pass ran with another torch.autocast than the backward pass would",
                "leave both inside it, or both outside",
            )


def _autocast() -> tuple[object, ...]:
    return tuple(
        (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        for kind in ("cpu", "cuda")
        if torch.is_autocast_enabled(kind)
    )


def refuse_inference_mode() -> None:
    """There no layer can be differentiated: every derivative would be zero.

    Raises
    ------
    EngineError
        Inside `torch.inference_mode`.
    """
    if torch.is_inference_mode_enabled():
        raise EngineError("there are no derivatives in torch.inference_mode", "use torch.no_grad, or nothing")


@contextmanager
def nothing_drawn(name: str, device: torch.device) -> Iterator[None]:
    """Refuse layers that draw random numbers: run again, they would draw others.

    Raises
    ------
    EngineError
        If torch's own generators moved on.
    """
    before = _drawn(device)
    yield
    if not all(torch.equal(was, now) for was, now in zip(before, _drawn(device), strict=True)):
        raise EngineError(
            f"a layer draws random numbers: the strategy {name!r} runs it again, with others",
            "draw them before the pass and give them as an input, or use store_all",
        )


def _drawn(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


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
    runs_again
        True if the way back runs layers again: they must give the same bits.
    """

    name: str
    holds_state: bool = False
    runs_again: bool = True

    def check(self, chain: Chain) -> None:
        """Raise `EngineError` where the strategy cannot run the chain."""
        return

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

        ``start`` is the x that the state was made from, of the point's shape, where no layer has run on it yet. Returns
        the record and the state at the end; where `holds_state`, the record goes on using that very state.
        """

    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, callback: Callback = go_on) -> Trace:
        """Run the chain on x, storing what the strategy needs for the way back.

        ``x`` may have any shape that the layers take; the output has the same.

        Raises
        ------
        EngineError
            If the strategy cannot run the chain, an input is no tensor, a layer draws random numbers where it must be
            run again, or the state grows beyond bounds.
        """
        self.check(chain)
        refuse_inference_mode()
        given = Given(x, inputs, chain.layers)
        with torch.no_grad(), nothing_drawn(self.name, x.device) if self.runs_again else nullcontext():
            record, state = self.record(chain, chain.update.start(x), Run(inputs, work, callback), x)
            chain.update.check(state)
            given.settle()
            return Trace(chain, given, record, chain.update.output(state))


def infer(
    chain: Chain,
    x: Tensor,
    inputs: Inputs,
    work: Scratch,
    callback: Callback = go_on,
    watch: Callable[[Tensor], None] = lambda _point: None,
) -> Tensor:
    """Run the chain without a way back: the state of one layer is all that is kept.

    ``watch`` is shown the point of every layer before it runs.

    The output has x's shape.
    """
    with torch.no_grad():
        state = chain.update.start(x)
        run_layers(chain, state, Run(inputs, work, callback), watch)
        chain.update.check(state)
        return chain.update.output(state)


def run_layers(chain: Chain, state: Any, run: Run, keep: Callable[[Tensor], None] = lambda _point: None) -> None:
    """Run all layers on a state, in place, showing every point to ``keep``, in the shape of the chain's input."""
    update = chain.update
    for layer in chain.layers:
        run.callback()
        point = update.point(state)
        keep(point)
        update.advance(state, layer.increment(point, run.inputs, run.work))


def zeros(inputs: Inputs, wanted: Sequence[str]) -> Gradients:
    """Accumulators of the shapes of the inputs asked for.

    Raises
    ------
    EngineError
        If there is no input of a name.
    """
    unknown = [name for name in wanted if name not in inputs]
    if unknown:
        raise EngineError(f"there is no input {unknown[0]!r}", f"inputs are {', '.join(inputs)}")
    return {name: torch.zeros_like(inputs[name]) for name in wanted}


def run_backward(
    chain: Chain,
    adjoint: Any,
    into: Gradients,
    linearised: Callable[[int], Linearisation],
    callback: Callback,
    retreat: Callable[[Tensor], None] | None = None,
) -> Any:
    """Pull an adjoint back over all layers, last first; ``retreat`` gets the increments, where they are needed.

    They have the point's shape.
    """
    for index in range(len(chain) - 1, -1, -1):
        callback()
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
