"""How much memory a pass takes: measured by a meter of live storages, predicted from a one-layer probe.

Saved-tensor hooks see autograd graphs only and read zero for closed-form products, so the meter follows every
tensor storage that an operation makes: integer states, remainder words and workspaces included. What a library
allocates inside one operation (transform plans, matrix-product panels) is not seen; `bench` cross-checks with the
peak resident set of a fresh process.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import STRATEGIES, Binomial, strategy
from ptychoui.engine.strategy import Chain


class MemoryMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count bytes of tensor storages made while the meter is on.

    Attributes
    ----------
    live
        Bytes alive now.
    peak
        Largest value of ``live`` so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._seen: dict[int, weakref.ReferenceType[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for tensor in tree_iter((args, kwargs)):
            if isinstance(tensor, Tensor):
                self._note(tensor, 0)
        result = func(*args, **kwargs)
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._note(tensor, None)
        return result

    def _note(self, tensor: Tensor, nbytes: int | None) -> None:
        """Register a storage once; storages first seen as arguments were made before the meter: zero bytes."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._seen.get(key)
        if known is not None and known() is not None:
            return
        size = storage.nbytes() if nbytes is None else nbytes
        self.live += size
        self.peak = max(self.peak, self.live)

        def forget(_reference: Any, key: int = key, size: int = size) -> None:
            self.live -= size
            if (entry := self._seen.get(key)) is not None and entry() is None:
                del self._seen[key]

        self._seen[key] = weakref.ref(storage, forget)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """Memory of a chain in bytes, from a probe.

    Attributes
    ----------
    first
        Peak of a chain of one unroll under each strategy that can run it.
    retained
        What back-propagation keeps per further unroll.
    point
        One point of linearisation.
    """

    first: Mapping[str, int]
    retained: int
    point: int


def probe(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str]) -> LayerCost:
    """Run one layer under every strategy, and two under ``store_all``, with the meter on."""

    def peak(name: str, depth: int) -> int:
        return measure(Chain([chain.layers[0]] * depth, chain.update), x, inputs, wanted, name)

    names = [name for name in STRATEGIES if name != "reversible" or chain.update.reversible]
    first = {name: peak(name, 1) for name in names}
    return LayerCost(
        first=first,
        retained=peak("store_all", 2) - first["store_all"],
        point=x.numel() * x.element_size(),
    )


def measure(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str], strategy_name: str) -> int:
    """Peak bytes above what was there before of one forward and backward pass, workspaces included."""
    meter = MemoryMeter()
    with meter:
        trace = strategy(strategy_name).forward(chain, x, inputs, Scratch())
        trace.backward(torch.zeros_like(trace.output), wanted)
    return meter.peak


def predict(cost: LayerCost, chain: Chain, x: Tensor, strategy_name: str) -> int:
    """Peak bytes of a pass of a chain under a strategy, workspaces included.

    Raises
    ------
    EngineError
        If the strategy cannot run the chain.
    """
    if strategy_name not in cost.first:
        strategy(strategy_name).check(chain)
    further = len(chain) - 1
    first = cost.first[strategy_name]
    if strategy_name == "store_all":
        return first + cost.retained * further
    if strategy_name == "checkpoint":
        return first + cost.point * further
    reals = x.numel() * (2 if x.is_complex() else 1)
    words = int(reals * (chain.update.stored_bits(len(chain)) - chain.update.stored_bits(1)) / 8)
    if strategy_name == "binomial":
        snapshots = Binomial().snapshots(len(chain)) if further else 0
        return first + words + snapshots * chain.update.copied_bytes(x)
    return first + words
