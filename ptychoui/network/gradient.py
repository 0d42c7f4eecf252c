"""One unroll of Fourier ptychography: the data-consistency gradient of its model.

One unroll is h_k(x) = -alpha_k g(x) with g = dD/dx* of `FourierPtychography`. With the plain update this is
gradient descent (Kellman et al. 2020, equation 5); with heavy ball the momentum makes it reversible.
"""

from __future__ import annotations

from torch import Tensor

from ptychoui.engine.layer import Effort, Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.data_term import DataTerm, ProductResult
from ptychoui.optics.forward.model import FourierPtychography, Linearised

INPUTS = ("weights", "offset", "amplitude", "step")
"""Inputs of every layer: see `DataTerm`; ``step`` holds one step size per unroll. A learned ``momentum`` is another."""


class GradientUnroll(Layer):
    """h(x) = -alpha_k g(x).

    Parameters
    ----------
    physics
        The forward model.
    index
        Place of this unroll's step size in the input ``step``.
    variance_floor
        The constant c of the variance-stabilising square root.
    """

    def __init__(self, physics: FourierPtychography, index: int, variance_floor: float) -> None:
        self.name, self.kind = f"gradient {index + 1}", "gradient"
        # Transforms per LED: see the table in `optics.forward.model`.
        self.effort = Effort(3, 5, both=6, stored=8) if physics.stream else Effort(2, 3, both=4, stored=4)
        self._physics, self._index, self._floor = physics, index, variance_floor

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedGradient:
        """One transform per LED; the increment and the pullback take the rest. A streamed model waits for them.

        ``x`` is (B, N, N) complex; increments and products have its shape.
        """
        data = DataTerm(inputs["weights"], inputs["offset"], inputs["amplitude"], self._floor)
        at = None if self._physics.stream else self._physics.linearise(x, data, keep, work)
        return _LinearisedGradient(self._physics, x, at, data, inputs["step"][self._index], self._index, work)


class _LinearisedGradient(Linearisation):
    """The layer at x; ``at`` is None for a streamed model until the increment is asked for."""

    def __init__(
        self,
        physics: FourierPtychography,
        x: Tensor,
        at: Linearised | None,
        data: DataTerm,
        step: Tensor,
        index: int,
        work: Scratch,
    ) -> None:
        self._physics, self._at, self._data, self._work = physics, at, data, work
        # A copy: the strategy may move on in place before the pullback. Nothing where the fields are kept.
        self._x = x.clone() if at is None else x.new_empty(0)
        self._step, self._index = step, index

    @property
    def increment(self) -> Tensor:
        if self._at is None:
            self._at = self._physics.linearise(self._x, self._data, self._work, self._work)
        return self._physics.gradient(self._at, self._work).mul_(-self._step)

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """J^T p = -alpha H p, and -alpha times the derivatives of Re<p, g>."""
        if self._at is None:
            return self._pulled(self._physics.product_at(self._x, cotangent, self._data, self._work), into)
        return self._pulled(self._physics.product(self._at, cotangent, self._data, self._work), into)

    def increment_and_pullback(self, cotangent: Tensor, into: Gradients) -> tuple[Tensor, Tensor]:
        """Both in 6 L transforms where one after the other would take a streamed model 8 L."""
        if self._at is not None:
            return self.increment, self.pullback(cotangent, into)
        gradient, result = self._physics.gradient_and_product(self._x, cotangent, self._data, self._work)
        return gradient.mul_(-self._step), self._pulled(result, into)

    def _pulled(self, result: ProductResult, into: Gradients) -> Tensor:
        for name, derivative in (
            ("weights", result.weights),
            ("offset", result.offset),
            ("amplitude", result.amplitude),
        ):
            if name in into:
                into[name].sub_(derivative.mul_(self._step))
        if "step" in into:
            into["step"][self._index].sub_(result.along)
        return result.hessian.mul_(-self._step)
