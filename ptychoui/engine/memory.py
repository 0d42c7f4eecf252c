"""How much memory a pass takes: measured by a meter of live storages, predicted from a one-layer probe.

Saved-tensor hooks see autograd graphs only and read zero for closed-form products, so the meter follows every
tensor storage that an operation makes: integer states, remainder words and workspaces included. What a library
allocates inside one operation (transform plans, matrix-product panels) is not seen; `bench` cross-checks with the
peak resident set of a fresh process.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ptychoui.engine.greedy import equal_modules
from ptychoui.engine.inverse import Inverse
from ptychoui.engine.layer import Inputs, Layer
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy, usable
from ptychoui.engine.strategy import Chain, LayerCost, Run, Strategy


class _Ledger:
    """What `MemoryMeter` keeps of storages.

    A class of its own: torch wraps what a dispatch mode itself defines in a guard against its compiler, which takes
    longer than most operations of a probe.
    """

    def __init__(self, resized: bool = False) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._resized = resized
        self._seen: dict[int, _Seen] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._resized:
            self._look_again()
        self._note_all(args, made_before=True)
        if kwargs:
            self._note_all(kwargs.values(), made_before=True)
        result = func(*args, **kwargs)
        self._note_all((result,), made_before=False)
        return result

    def _note_all(self, values: Iterable[Any], made_before: bool) -> None:
        """Register the tensors among values, and those in lists, tuples and dictionaries of them."""
        for value in values:
            if isinstance(value, Tensor):
                self._note(value, made_before)
            elif isinstance(value, (list, tuple)):
                self._note_all(value, made_before)
            elif isinstance(value, dict):
                self._note_all(value.values(), made_before)

    def _note(self, tensor: Tensor, made_before: bool) -> None:
        """Register a storage once; storages first seen as arguments were made before the meter: they do not count."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._seen.get(key)
        if known is not None and known.storage() is not None:
            return
        size = 0 if made_before else storage.nbytes()
        self._grow(size)

        def forget(_reference: Any, key: int = key) -> None:
            self.live -= entry.size
            if self._seen.get(key) is entry:
                del self._seen[key]

        entry = self._seen[key] = _Seen(weakref.ref(storage, forget), size, not made_before)

    def _look_again(self) -> None:
        for entry in list(self._seen.values()):
            if entry.counts and (storage := entry.storage()) is not None:
                size = storage.nbytes()
                self._grow(size - entry.size)
                entry.size = size

    def _grow(self, by: int) -> None:
        self.live += by
        self.peak = max(self.peak, self.live)


class MemoryMeter(_Ledger, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count bytes of tensor storages made while the meter is on.

    Parameters
    ----------
    resized
        Look at all storages again before every operation: some libraries empty a storage behind the tensors that
        share it. It takes time with every storage alive.

    Attributes
    ----------
    live
        Bytes alive now.
    peak
        Largest value of ``live`` so far.
    """


@dataclass(slots=True, eq=False)
class _Seen:
    """A storage and the bytes it was counted with."""

    storage: weakref.ReferenceType[Any]
    size: int
    counts: bool


def probe(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str]) -> LayerCost:
    """Run a layer of every kind under every strategy, and up to three under ``store_all``, with the meter on.

    Layers say of which kind they are. Of several kinds the largest stands for the peak, the mean for what every further
    unroll adds.

    ``x``, of any shape, stands for the chain's input.
    """
    kinds: dict[tuple[type, str], list[Layer]] = {}
    for layer in chain.layers:
        kinds.setdefault((type(layer), layer.kind or layer.name), []).append(layer)
    names = usable(chain)
    costs = [(len(alike), _probe_one(chain, alike[0], names, x, inputs, wanted)) for alike in kinds.values()]
    return replace(
        costs[0][1],
        first={name: max(cost.first[name] for _, cost in costs) for name in names},
        linearised=-(-sum(count * cost.linearised for count, cost in costs) // len(chain)),
        amplification=max(cost.amplification for _, cost in costs),
    )


def _probe_one(
    chain: Chain, layer: Layer, names: Sequence[str], x: Tensor, inputs: Inputs, wanted: Sequence[str]
) -> LayerCost:
    def peak(name: str, depth: int) -> int:
        return measure(Chain([layer] * depth, chain.update), x, inputs, wanted, name)

    first = {name: peak(name, 1) for name in names if name != "store_all"}
    # One linearised layer may peak elsewhere than many do: the step from two to three is that of all further ones.
    two, three = peak("store_all", 2), peak("store_all", 3)
    kept = three - two
    first["store_all"] = two - kept
    amplification = inf
    if (inverse := strategy(Inverse.name)).name in first:
        assert isinstance(inverse, Inverse)
        run = Run(inputs, Scratch())
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


PROBED_OBJECTS = 3
"""Up to so many objects a probe takes all of them: with one, or from one to two, another moment may be the peak."""


def for_objects(probed: Callable[[int], LayerCost], objects: int) -> LayerCost:
    """Cost of a number of objects: that of its own probe, or for many from the probes with two and with three.

    Every buffer is constant or grows with the number of objects, and the moment of the peak stays what it is.

    Parameters
    ----------
    probed
        The cost of a few objects, from `probe`.
    """
    if objects <= PROBED_OBJECTS:
        return probed(objects)
    one, two = probed(PROBED_OBJECTS - 1), probed(PROBED_OBJECTS)

    def grown(few: int, more: int) -> int:
        return more + (objects - PROBED_OBJECTS) * (more - few)

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


def measure(chain: Chain, x: Tensor, inputs: Inputs, wanted: Sequence[str], under: str | Strategy) -> int:
    """Peak bytes of a forward and a backward pass under a strategy or one of that name, workspaces included.

    Counted is what comes on top of what was there before. ``x`` may have any shape.

    Raises
    ------
    EngineError
        If there is no such strategy, or it cannot run the chain.
    """
    chosen, meter = strategy(under) if isinstance(under, str) else under, MemoryMeter()
    with meter:
        trace = chosen.forward(chain, x, inputs, Scratch())
        trace.backward(torch.zeros_like(trace.output), wanted)
    return meter.peak


def predict(cost: LayerCost, chain: Chain, under: str | Strategy) -> int:
    """Peak bytes of a pass of a chain under a strategy or one of that name, workspaces included.

    Raises
    ------
    EngineError
        If the strategy cannot run the chain.
    """
    chosen = strategy(under) if isinstance(under, str) else under
    chosen.check(chain)
    return chosen.peak_bytes(chain, cost)


def predict_greedy(cost: LayerCost, chain: Chain, modules: int) -> int:
    """Peak bytes of a greedy pass: the linearised layers of the longest module, and the state the next starts from.

    Raises
    ------
    EngineError
        If the chain cannot be cut into so many modules.
    """
    further = max(equal_modules(len(chain), modules)) - 1
    # Back-propagation drops the state at the end before it walks back; here the next module goes on from it.
    return cost.first["store_all"] + further * cost.linearised + cost.state
