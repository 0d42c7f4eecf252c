"""Unrolled Fourier ptychography as a network: unrolls of `gradient` or `smoothed`, joined by an update rule."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Layer
from ptychoui.engine.momentum import LearnedMomentum
from ptychoui.engine.strategy import Chain
from ptychoui.engine.update import Update
from ptychoui.errors import SettingsError
from ptychoui.network.gradient import GradientUnroll
from ptychoui.network.smoothed import SmoothedUnroll
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.settings import Network


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
        places = range(settings.unrolls)
        layers: Sequence[Layer] = [GradientUnroll(physics, index, variance_floor) for index in places]
        if settings.prior == "smooth":
            rough = physics.roughness()
            layers = [SmoothedUnroll(physics, index, variance_floor, rough) for index in places]
        if settings.learns_momentum:
            layers = [LearnedMomentum(layer, index) for index, layer in enumerate(layers)]
        super().__init__(Chain(layers, _update(settings)), with_velocity=settings.learns_momentum)

    def initial_momentum(self) -> Tensor:
        """(N,) momenta at the start."""
        beta = float(Fraction(self.settings.momentum))
        return torch.full((self.settings.unrolls,), beta, dtype=self.physics.dtype, device=self.physics.device)

    def initial_smoothness(self) -> Tensor:
        """(N,) strengths of the prior at the start: they fall by equal factors over seven tenths of the unrolls."""
        settings = self.settings
        last = max(round(0.7 * settings.unrolls), 1)
        share = torch.arange(settings.unrolls, dtype=torch.float64).div(last).clamp_max(1)
        ratio = settings.smoothness / settings.first_smoothness
        return (settings.first_smoothness * ratio**share).to(self.physics.device, self.physics.dtype)

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
