"""The layer contract: all that the engine knows of a network.

A layer is a map h that says how the state should move at the point x. An *update rule* (`update.py`) turns
increments into the next state, and a *strategy* (`strategy.py`) decides what is kept for the backward pass.
The three choices are independent.

A layer owes the engine

* ``increment(x)``: h(x);
* ``linearise(x)``: the same h(x), bit for bit, and a pullback that maps a cotangent p to the vector-Jacobian
  product J_x^T p and adds the derivatives of Re<p, h> in every input to an accumulator;
* where it has one, ``inverse(z)``: the x with x + h(x) = z;
* where it is known, ``contraction_bound``: an upper bound of the Lipschitz constant of h.

Complex tensors are pairs of real numbers: the inner product is Re<a, b> = Re sum conj(a) b throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError

Inputs = Mapping[str, Tensor]
"""Named tensors that all layers share: weights, measurements, step sizes, kernels."""

Gradients = dict[str, Tensor]
"""Accumulated derivatives of the loss, one entry for each input that is asked for."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Work of a layer in a unit of its own, such as transforms per LED: strategies are compared by it.

    Attributes
    ----------
    increment
        h(x) alone.
    products
        A linearisation and its pullback.
    both
        A linearisation, its increment and its pullback in one go.
    stored
        The same with the pullback long after the increment.
    """

    increment: float = 1.0
    products: float = 3.0
    both: float = 3.0
    stored: float = 3.0


class Linearisation(Protocol):
    """A layer at one point."""

    @property
    def increment(self) -> Tensor:
        """h(x), of x's shape and type, computed on first use."""
        ...

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """Return J_x^T p, p and it of x's shape, and add the derivatives in those inputs that ``into`` names."""
        ...

    def increment_and_pullback(self, cotangent: Tensor, into: Gradients) -> tuple[Tensor, Tensor]:
        """Both, the increment as a tensor of its own; layers that do it in less time than one by one say how.

        Both have x's shape, as the cotangent has.
        """
        return self.increment, self.pullback(cotangent, into)


class Layer(ABC):
    """One unroll as a map x -> h(x)."""

    name: str = "layer"
    """For messages."""

    kind: str = ""
    """Layers of one class and kind take the same memory: one of them is measured for all. Empty: their name counts."""

    effort: Effort = Effort()
    """By default that of a layer with a graph: a backward pass takes twice the time of a forward pass."""

    kinked: bool = False
    """True if h has kinks all over, as ReLU gives it: differences then need short steps to show its derivative."""

    invertible: bool = True
    """False where x + h(x) = z may have no or many solutions: then nothing is tried."""

    @abstractmethod
    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Linearisation:
        """Evaluate the layer at x.

        What the pullback needs lies in buffers of ``keep``; the linearisation is valid until the next call with
        the same one. ``work`` is for everything else, shared by all layers.

        ``x`` may have any shape; its increment, cotangents and products have the same.
        """

    def increment(self, x: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """h(x), of x's shape and type. By default the linearisation's, so that both are the same bits."""
        return self.linearise(x, inputs, work, work).increment

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """Upper bound of the Lipschitz constant of h, or None where none is known."""
        return None

    def inverse_bound(self, inputs: Inputs) -> float | None:
        """Upper bound of the Lipschitz constant of z -> x, by which a step back amplifies errors, or None."""
        bound = self.contraction_bound(inputs)
        return None if bound is None or bound >= 1 else 1 / (1 - bound)

    @property
    def has_inverse(self) -> bool:
        """True if `inverse` gives a closed form."""
        return type(self).inverse is not Layer.inverse

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """The x with x + h(x) = z, of z's shape, in closed form.

        Raises
        ------
        EngineError
            Where the layer has none; use ``checkpoint``, or ``reversible`` with a heavy-ball update.
        """
        raise EngineError(
            f"the layer {self.name!r} has no closed-form inverse",
            "use the strategy checkpoint, or reversible with a heavy-ball update",
        )
