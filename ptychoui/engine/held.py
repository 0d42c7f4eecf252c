"""Tensors that layers hold themselves: operators, masks, weights of modules, what functions closed over.

Inputs are given to a pass by name and guarded; a kernel inside an operator is not. Where one is written into between
the forward and the backward pass, strategies that run layers again would give the derivative of another network.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from ptychoui.engine.layer import Layer
from ptychoui.engine.scratch import Scratch

PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), type, types.ModuleType, Scratch)
"""What holds no operator; workspaces are written into by every pass."""

Place = tuple[int, Any]
"""Who holds a tensor, and where."""


class Held:
    """The tensors that layers hold, as they are when a pass begins.

    Parameters
    ----------
    layers
        Whose attributes, closures and modules are looked through.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._kept = {place: (name, tensor, tensor._version) for place, name, tensor in _tensors(layers)}

    def settle(self) -> None:
        """Forget what the forward pass itself has changed: buffers of the layers' own, not operators."""
        now = {place: tensor for place, _name, tensor in _tensors(self._layers)}
        self._kept = {
            place: (name, tensor, version)
            for place, (name, tensor, version) in self._kept.items()
            if now.get(place) is tensor and tensor._version == version
        }

    def changed(self) -> str | None:
        """The name of a tensor that was written into or replaced since, or None."""
        now = {place: tensor for place, _name, tensor in _tensors(self._layers)}
        for place, (name, tensor, version) in self._kept.items():
            if now.get(place) is not tensor or tensor._version != version:
                return name
        return None


def _tensors(layers: Sequence[Layer]) -> Iterator[tuple[Place, str, Tensor]]:
    """(place, name, tensor) of all that can be reached from layers, each object once."""
    seen: set[int] = set()
    waiting: list[tuple[Any, str]] = [(layer, f"of layer {layer.name!r}") for layer in reversed(layers)]
    while waiting:
        holder, name = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        for key, value in _parts(holder):
            if isinstance(value, Tensor):
                if not value.is_inference():
                    yield (id(holder), key), f"the tensor {key!r} {name}", value
            elif not isinstance(value, PLAIN):
                waiting.append((value, name))


def _parts(holder: Any) -> Iterator[tuple[Any, Any]]:
    """What an object holds, by names or places."""
    if isinstance(holder, dict):
        yield from list(holder.items())
    elif isinstance(holder, (list, tuple, set, frozenset)):
        yield from enumerate(list(holder))
    elif isinstance(holder, types.FunctionType):
        names = holder.__code__.co_freevars
        for name, cell in zip(names, holder.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not filled yet
                continue
        yield from enumerate(holder.__defaults__ or ())
    elif isinstance(holder, types.MethodType):
        yield "self", holder.__self__
        yield "function", holder.__func__
    elif isinstance(holder, partial):
        yield "function", holder.func
        yield from enumerate(holder.args)
        yield from holder.keywords.items()
    else:
        yield from list(getattr(holder, "__dict__", {}).items())
        for kind in type(holder).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(holder, name):
                    yield name, getattr(holder, name)
