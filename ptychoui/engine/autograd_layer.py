"""A layer made of any differentiable torch function, with a graph of that one layer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError

Function = Callable[[Tensor, Inputs], Tensor]
"""h(x, inputs): differentiable, without side effects, and the same bits at every call."""

Bound = float | Callable[[Inputs], float | None] | None
"""An upper bound of the Lipschitz constant of h: a number, or a function of the inputs."""


class AutogradLayer(Layer):
    """h(x) = function(x, inputs), differentiated by torch.

    A linearisation holds the graph of this layer alone; `increment` runs the same operations in the same gradient
    mode, so that both are the same bits, and lets the graph go at once.

    Parameters
    ----------
    name
        For messages.
    function
        Maps a point and the inputs to the increment, of the point's shape and type. It should look up the inputs
        that it uses only: each becomes a leaf of the graph. A module's parameters go in as inputs, by
        `torch.func.functional_call`.
    bound
        Upper bound of the Lipschitz constant of h, where one is known.
    """

    def __init__(self, name: str, function: Function, bound: Bound = None) -> None:
        self.name = name
        self._function, self._bound = function, bound
        self._looked_for_strangers = False

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedFunction:
        """Run the function and keep its graph. The graph of the last call with the same ``keep`` is freed first.

        Raises
        ------
        EngineError
            If the increment has another shape or type than the point, an input is missing, or the function uses a
            tensor with a gradient that is none of the inputs: it would get no derivative.
        """
        last: list[weakref.ref[_LinearisedFunction]] = keep.keep("graph of the last linearisation", list)
        if last and (before := last[0]()) is not None:
            before.free()
        if not self._looked_for_strangers:  # what it uses does not change from call to call
            self._refuse_strangers(x, inputs)
            self._looked_for_strangers = True
        at = _LinearisedFunction(self.name, self._function, x, inputs)
        last[:] = [weakref.ref(at)]
        return at

    def _refuse_strangers(self, x: Tensor, inputs: Inputs) -> None:
        """With neither point nor inputs to differentiate nothing may be left that is."""
        with torch.enable_grad(), _same_bits():
            left = self._function(x.detach(), _Leaves(self.name, inputs, differentiable=False))
        if left.requires_grad:
            raise EngineError(
                f"the layer {self.name!r} uses a tensor with a gradient that is not among its inputs",
                "pass it as an input (torch.func.functional_call does so for a module), or detach it",
            )

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """The bound given, evaluated for these inputs."""
        return self._bound(inputs) if callable(self._bound) else self._bound


class _LinearisedFunction(Linearisation):
    """The function's graph between leaves of its own: torch's gradient of Re<p, h> is J^T p in pairs of reals."""

    def __init__(self, name: str, function: Function, x: Tensor, inputs: Inputs) -> None:
        self._name = name
        with torch.enable_grad(), _same_bits():
            self._x = x.detach().requires_grad_()
            self._leaves = _Leaves(name, inputs)
            self._h: Tensor | None = function(self._x, self._leaves)
        if self._h.shape != x.shape or self._h.dtype != x.dtype:
            raise EngineError(
                f"the increment of the layer {name!r} is {_describe(self._h)}, its point {_describe(x)}",
                "let the function return a tensor like x",
            )

    @property
    def increment(self) -> Tensor:
        return self._graph().detach()

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """One backward pass through the layer; the graph stays for another."""
        h = self._graph()
        asked = {name: leaf for name, leaf in self._leaves.made.items() if name in into and leaf.requires_grad}
        if not h.requires_grad:
            return torch.zeros_like(self._x)
        with _same_bits():
            derivatives = torch.autograd.grad(
                h, [self._x, *asked.values()], cotangent, retain_graph=True, allow_unused=True
            )
        for name, derivative in zip(asked, derivatives[1:], strict=True):
            if derivative is not None:
                into[name].add_(derivative)
        product = derivatives[0]
        return torch.zeros_like(self._x) if product is None else product.detach()

    def free(self) -> None:
        """Let the graph go."""
        self._h = None
        self._leaves.made.clear()

    def _graph(self) -> Tensor:
        if self._h is None:
            raise EngineError(
                f"the linearisation of the layer {self._name!r} is no longer valid: its buffers were used again",
                "pull back before the next layer is linearised with the same buffers",
            )
        return self._h


class _Leaves(Mapping[str, Tensor]):
    """Inputs that become leaves of the graph when they are looked up."""

    def __init__(self, layer: str, inputs: Inputs, differentiable: bool = True) -> None:
        self._layer, self._inputs, self._differentiable = layer, inputs, differentiable
        self.made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.made:
            if name not in self._inputs:
                raise EngineError(
                    f"the layer {self._layer!r} needs an input {name!r}",
                    f"inputs are {', '.join(self._inputs) or 'none'}",
                )
            leaf = self._inputs[name].detach()
            real = leaf.is_floating_point() or leaf.is_complex()
            self.made[name] = leaf.requires_grad_(real and self._differentiable)
        return self.made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._inputs

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)


def _same_bits() -> AbstractContextManager[None]:
    """Let cuDNN take the same, deterministic kernel at every call, in full precision."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
