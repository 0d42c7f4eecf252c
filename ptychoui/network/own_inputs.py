"""A layer that uses one element of stacked inputs: weights of its own among those of all unrolls."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError


class OwnInputs(Layer):
    """A layer whose inputs of some names are those of one unroll, stacked with the others' along a first axis.

    Derivatives are added to that unroll's part: the others are not touched.

    Parameters
    ----------
    layer
        The layer itself, which knows nothing of the others.
    names
        Names of the stacked inputs, each (unrolls, ...).
    index
        Place of this unroll.
    """

    def __init__(self, layer: Layer, names: Iterable[str], index: int) -> None:
        self.layer, self.names, self.index = layer, frozenset(names), index
        self.name = f"{layer.name} {index + 1}"
        self.kind = f"{type(layer).__name__} {layer.kind or layer.name} of its own"
        self.effort, self.invertible, self.kinked = layer.effort, layer.invertible, layer.kinked

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Linearisation:
        """The layer's own linearisation at x, of any shape, with this unroll's inputs.

        Raises
        ------
        EngineError
            If an input has no element for this unroll.
        """
        return _Own(self, self.layer.linearise(x, self._own(inputs), keep, work))

    def increment(self, x: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """The layer's own increment, of x's shape."""
        return self.layer.increment(x, self._own(inputs), work)

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """The layer's own bound."""
        return self.layer.contraction_bound(self._own(inputs))

    def _own(self, inputs: Inputs) -> dict[str, Tensor]:
        for name in self.names & inputs.keys():
            if not self.index < len(inputs[name]):
                raise EngineError(
                    f"the input {name!r} of shape {tuple(inputs[name].shape)} has nothing for unroll {self.index + 1}",
                    f"stack {name} of all unrolls along the first axis",
                )
        return {name: tensor[self.index] if name in self.names else tensor for name, tensor in inputs.items()}


class _Own(Linearisation):
    def __init__(self, layer: OwnInputs, at: Linearisation) -> None:
        self._layer, self._at = layer, at

    @property
    def increment(self) -> Tensor:
        return self._at.increment

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        layer = self._layer
        own = {name: sums[layer.index] if name in layer.names else sums for name, sums in into.items()}
        return self._at.pullback(cotangent, own)
