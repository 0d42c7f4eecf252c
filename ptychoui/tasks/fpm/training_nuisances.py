"""Nuisances while learning: every step measures with other light than the model has, so that designs learn to bear it.

Brightness, light and stray light cost no time. The array's pose and the focus are not drawn: every step would need the
tables of all LEDs anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptychoui.optics.forward.measurement import MeasurementModel

UNEVEN = 0.1
"""RMS error of the brightness of single LEDs."""

LIGHT = 0.5
"""Smallest share of the light that is left."""

STRAY = 0.01
"""Largest stray light of every lit LED, in units of its open field."""

DIMMEST = 0.05
"""Smallest factor of an LED's brightness."""


def perturbed(
    model: MeasurementModel, intensities: Tensor, generator: torch.Generator
) -> tuple[MeasurementModel, Tensor]:
    """What measures a batch, and single-LED images with stray light, for one step.

    Parameters
    ----------
    model
        As stated.
    intensities
        (B, LED, row, column) single-LED images at gain one.

    Returns
    -------
    A model with the brightness of every LED off by 10 % RMS and half to all of the photons, and images of the shape of
    ``intensities`` with up to 1 % of stray light.
    """

    def drawn(kind: str, *size: int) -> Tensor:
        # In double precision, so that runs in another precision meet the same.
        made: Tensor = getattr(torch, kind)(size, generator=generator, dtype=torch.float64, device=generator.device)
        return made

    factors = (1 + UNEVEN * drawn("randn", len(model.gain))).clamp_min(DIMMEST)
    share, stray = drawn("rand", 2).tolist()
    light = LIGHT + (1 - LIGHT) * share
    settings = model.settings.replace(photons_per_led=max(light * model.settings.photons_per_led, 1e-3))
    return MeasurementModel(settings, model.gain * factors.to(model.gain)), intensities + STRAY * stray
