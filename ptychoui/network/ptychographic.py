"""Unrolled Fourier ptychography: data-consistency gradients of its model, joined by an update rule.

One unroll is h_k(x) = -alpha_k g(x) with g = dD/dx* of `FourierPtychography`. With the plain update this is
gradient descent (Kellman et al. 2020, equation 5); with heavy ball the momentum makes it reversible.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Effort, Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.momentum import LearnedMomentum
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Chain
from ptychoui.engine.update import Update
from ptychoui.errors import SettingsError
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.optics.forward.data_term import DataTerm, ProductResult
from ptychoui.optics.forward.model import FourierPtychography, Linearised
from ptychoui.settings import Network

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


class PtychographicNetwork(UnrolledNetwork):
    """N unrolls on one tile.

    Parameters
    ----------
    physics
        The forward model.
    settings
        Update rule, number of unrolls, momentum.
    variance_floor
        The constant c of the variance-stabilising square root, from the measurement model.
    """

    def __init__(self, physics: FourierPtychography, settings: Network, variance_floor: float) -> None:
        self.physics, self.settings, self.variance_floor = physics, settings, variance_floor
        layers: Sequence[Layer] = [GradientUnroll(physics, index, variance_floor) for index in range(settings.unrolls)]
        if settings.learns_momentum:
            layers = [LearnedMomentum(layer, index) for index, layer in enumerate(layers)]
        super().__init__(Chain(layers, _update(settings)), with_velocity=settings.learns_momentum)

    def initial_momentum(self) -> Tensor:
        """(N,) momenta at the start."""
        beta = float(Fraction(self.settings.momentum))
        return torch.full((self.settings.unrolls,), beta, dtype=self.physics.dtype, device=self.physics.device)

    def initial_step(self) -> Tensor:
        """(N,) step sizes at the start.

        Raises
        ------
        SettingsError
            If the settings leave the step open; `build_problem` fills it in.
        """
        if self.settings.step is None:
            raise SettingsError("the network has no step size", "set network.step")
        return torch.full(
            (self.settings.unrolls,), self.settings.step, dtype=self.physics.dtype, device=self.physics.device
        )


def _update(settings: Network) -> Update:
    if settings.update == "nesterov":
        return Nesterov(float(Fraction(settings.momentum)))
    if settings.update == "heavy_ball":
        return HeavyBall(settings.momentum)
    return Plain()
