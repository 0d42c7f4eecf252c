"""Heavy-ball momentum as a layer, so that the momentum itself can be learned.

The exactly reversible update needs a fixed ratio of integers. Where beta is to be learned, position and velocity are
stacked into one state X = (x, v), and a layer carries out v' = beta_k v + h(x), x' = x + v' in floating point, under
the plain update and every strategy but ``reversible``. Stepping back, v = (v' - h(x)) / beta_k amplifies errors by
1 / beta_k (Maclaurin, Duvenaud, Adams, "Gradient-based hyperparameter optimization through reversible learning", 2015).
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError


class LearnedMomentum(Layer):
    """H(X) = (v', v' - v) with v' = beta_k v + h(x), on states X = (x, v) stacked along a new first axis.

    Parameters
    ----------
    layer
        Gives h.
    index
        Place of beta_k in the input ``momentum``.
    """

    def __init__(self, layer: Layer, index: int) -> None:
        self.name = f"{layer.name} with learned momentum"
        self.kind = f"{type(layer).__name__} {layer.kind or layer.name}"
        self.effort, self.kinked = layer.effort, layer.kinked
        self._layer, self._index = layer, index

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Linearisation:
        """The velocity is part of the point, (2, ...): position first.

        Raises
        ------
        EngineError
            If x is not position and velocity.
        """
        _check_stacked(x, self.name)
        at = self._layer.linearise(x[0], inputs, keep, work)
        return _LinearisedMomentum(at, x[1], inputs["momentum"][self._index], self._index)

    def increment(self, x: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """(v', v' - v), of shape (2, ...) as x is.

        Raises
        ------
        EngineError
            If x is not position and velocity.
        """
        _check_stacked(x, self.name)
        return _moved(x[1], inputs["momentum"][self._index], self._layer.increment(x[0], inputs, work))

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """X = x' - v', v = (v' - h(x)) / beta_k: (2, ...) -> (2, ...)."""
        x = z[0] - z[1]
        v = (z[1] - self._layer.increment(x, inputs, work)) / inputs["momentum"][self._index]
        return torch.stack([x, v])

    def inverse_bound(self, inputs: Inputs) -> float:
        """Errors of the velocity grow by 1 / beta_k; a bound of the whole map would need one of h."""
        beta = abs(float(inputs["momentum"][self._index]))
        return 1 / beta if beta else inf  # without momentum nothing is left of the velocity before


def _check_stacked(x: Tensor, name: str) -> None:
    if x.ndim < 2 or len(x) != 2:
        raise EngineError(
            f"the layer {name!r} needs position and velocity along a first axis of 2, its point is {tuple(x.shape)}",
            "start from torch.stack([x, torch.zeros_like(x)])",
        )


def _moved(velocity: Tensor, beta: Tensor, increment: Tensor) -> Tensor:
    following = beta * velocity + increment
    return torch.stack([following, following - velocity])


class _LinearisedMomentum(Linearisation):
    def __init__(self, at: Linearisation, velocity: Tensor, beta: Tensor, index: int) -> None:
        self._at, self._velocity, self._beta, self._index = at, velocity, beta, index

    @property
    def increment(self) -> Tensor:
        return _moved(self._velocity, self._beta, self._at.increment)

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """With s = p_x + p_v: (J^T s, beta s - p_v); the derivative in beta is Re<s, v>."""
        both = cotangent[0] + cotangent[1]
        if "momentum" in into:
            into["momentum"][self._index] += (both.conj() * self._velocity).sum().real
        return torch.stack([self._at.pullback(both, into), self._beta * both - cotangent[1]])
