"""How much memory a pass takes: measured by a meter of live storages, predicted from a one-layer probe.

Saved-tensor hooks see autograd graphs only and read zero for closed-form products, so the meter follows every
tensor storage that an operation makes: integer states, remainder words and workspaces included. What a library
allocates inside one operation (transform plans, matrix-product panels) is not seen; `bench` cross-checks with the
peak resident set of a fresh process.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from ptychoui.engine.inverse import Inverse
from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy, usable
from ptychoui.engine.strategy import Chain, LayerCost, Run


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


def probe(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str]) -> LayerCost:
    """Run one layer under every strategy, and up to three under ``store_all``, with the meter on."""

    def peak(name: str, depth: int) -> int:
        return measure(Chain([chain.layers[0]] * depth, chain.update), x, inputs, wanted, name)

    first = {name: peak(name, 1) for name in usable(chain)}
    # One linearised layer may peak elsewhere than many do: the step from two to three is that of all further ones.
    two, three = peak("store_all", 2), peak("store_all", 3)
    kept = three - two
    first["store_all"] = two - kept
    amplification = inf
    if (inverse := strategy(Inverse.name)).name in first:
        assert isinstance(inverse, Inverse)
        layer, run = chain.layers[0], Run(inputs, Scratch())
        bound = layer.inverse_bound(inputs)
        with torch.no_grad():
            z = x + layer.increment(x, inputs, run.work)
            amplification = inverse.amplification(layer, z, run) if bound is None else bound
    return LayerCost(
        first=first,
        linearised=kept,
        point=x.numel() * x.element_size(),
        state=chain.update.copied_bytes(x),
        reals=x.numel() * (2 if x.is_complex() else 1),
        dtype=x.dtype,
        device=x.device,
        amplification=amplification,
    )


def for_objects(one: LayerCost, two: LayerCost, objects: int) -> LayerCost:
    """Cost of more objects from probes with one and with two: every buffer is constant or grows with their number."""

    def grown(few: int, more: int) -> int:
        return few + (objects - 1) * (more - few)

    return LayerCost(
        first={name: grown(one.first[name], two.first[name]) for name in one.first},
        linearised=grown(one.linearised, two.linearised),
        point=grown(one.point, two.point),
        state=grown(one.state, two.state),
        reals=grown(one.reals, two.reals),
        dtype=one.dtype,
        device=one.device,
        amplification=max(one.amplification, two.amplification),
    )


def measure(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str], strategy_name: str) -> int:
    """Peak bytes above what was there before of one forward and backward pass, workspaces included."""
    meter = MemoryMeter()
    with meter:
        trace = strategy(strategy_name).forward(chain, x, inputs, Scratch())
        trace.backward(torch.zeros_like(trace.output), wanted)
    return meter.peak


def predict(cost: LayerCost, chain: Chain, strategy_name: str) -> int:
    """Peak bytes of a pass of a chain under a strategy, workspaces included.

    Raises
    ------
    EngineError
        If the strategy cannot run the chain.
    """
    chosen = strategy(strategy_name)
    chosen.check(chain)
    return cost.first[strategy_name] + chosen.further_bytes(chain, cost)
