"""From single-LED intensities to what the camera records of a multiplexed exposure.

Levels b_ml in [0, 1], frame times t_m, brightness g_l: the weights C_ml = t_m g_l b_ml multiply single-LED
intensities; stray light adds t_m times the background. Photons arrive (shot noise), the frame is read once (read
noise), a pixel saturates at the full well and the converter rounds. Everything is divided by ``photons_per_led``,
so that one LED on axis without an object reads 1.

The published model makes single-LED images noisy and sums them; a real exposure of the same dose has the variance of
the sum of the lit LEDs, so that model is offered under the name ``published`` only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptychoui.settings import Measurement


class MeasurementModel:
    """The camera and the light of one experiment.

    Parameters
    ----------
    settings
        Photons, read noise, background, full well, bits, kind of noise.
    gain
        (L,) brightness of each LED relative to one on axis.
    """

    def __init__(self, settings: Measurement, gain: Tensor) -> None:
        self.settings, self.gain = settings, gain

    @property
    def variance_floor(self) -> float:
        """C of sqrt(y + c): Anscombe's 3/8 plus read and rounding variance, in units of one LED.

        Source: Anscombe, Biometrika 35, 246 (1948), with a Gaussian read noise added.
        """
        variance = 0.375 + self.settings.read_noise**2 + self._electrons_per_level**2 / 12
        return variance / self.settings.photons_per_led

    @property
    def _electrons_per_level(self) -> float:
        bits = self.settings.adc_bits
        return self.settings.full_well / (2**bits - 1) if bits else 0.0

    def weights(self, levels: Tensor, exposures: Tensor) -> Tensor:
        """C_ml: (M, L) from levels (M, L) and frame times (M,)."""
        return exposures[:, None] * levels * self.gain

    def offset(self, exposures: Tensor) -> Tensor:
        """(M,) stray light."""
        return exposures * self.settings.background

    def brightness(self, levels: Tensor, exposures: Tensor, bright_field: Tensor) -> Tensor:
        """(M,) value of each measurement where there is no object, from the bright-field LEDs (L,) bool."""
        weights = self.weights(levels, exposures) * bright_field
        return weights.sum(1) + self.offset(exposures)

    def record(
        self,
        intensities: Tensor,
        levels: Tensor,
        exposures: Tensor,
        generator: torch.Generator | None,
        poisson: bool = False,
    ) -> Tensor:
        """What the camera records: (B, M, row, column), in units of one LED; differentiable.

        Parameters
        ----------
        intensities
            (B, L, row, column) single-LED images at gain one.
        levels, exposures
            (M, L) and (M,).
        generator
            Source of the noise; None records without noise.
        poisson
            Draw true Poisson counts (for evaluation). Otherwise a Gaussian of the same variance is used,
            through which derivatives flow.
        """
        weights = self.weights(levels, exposures)
        offset = self.offset(exposures)[:, None, None]
        shape = intensities.shape
        if generator is None or self.settings.noise == "none":
            return self._mix(weights, intensities) + offset
        photons = self.settings.photons_per_led

        def normal(size: tuple[int, ...]) -> Tensor:
            return torch.randn(size, generator=generator, dtype=intensities.dtype, device=intensities.device)

        if self.settings.noise == "published":
            noisy = (intensities + torch.sqrt(intensities.clamp_min(0) / photons) * normal(shape)).clamp_min(0)
            return self._mix(weights, noisy) + offset
        electrons = photons * (self._mix(weights, intensities) + offset)
        size = tuple(electrons.shape)
        if poisson:
            counts = torch.poisson(electrons.clamp_min(0), generator=generator)
        else:
            # The half electron keeps the square root's slope finite where no light falls.
            counts = electrons + torch.sqrt(electrons.clamp_min(0) + 0.5) * normal(size)
        counts = counts + self.settings.read_noise * normal(size)
        return self._convert(counts) / photons

    def _convert(self, electrons: Tensor) -> Tensor:
        """Saturate and round; rounding passes derivatives through unchanged."""
        electrons = electrons.clamp_max(self.settings.full_well)
        level = self._electrons_per_level
        if not level:
            return electrons
        return electrons + (torch.round(electrons / level) * level - electrons).detach()

    @staticmethod
    def _mix(weights: Tensor, intensities: Tensor) -> Tensor:
        batch, leds, rows, columns = intensities.shape
        return torch.matmul(weights, intensities.reshape(batch, leds, -1)).view(batch, -1, rows, columns)

    def amplitude(self, recorded: Tensor) -> Tensor:
        """sqrt(max(recorded, 0) + c): what the data term compares."""
        return torch.sqrt(recorded.clamp_min(0) + self.variance_floor)
