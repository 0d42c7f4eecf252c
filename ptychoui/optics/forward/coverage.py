"""How much light falls on every frequency of an object's spectrum: c(k) = sum_l c_l |P(k - k_l)|^2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ptychoui.optics.forward.led_sums import PupilWindows


def spectral_coverage(light: Tensor, windows: PupilWindows) -> Tensor:
    """Light over every frequency, differentiable in the light of every LED.

    It bounds the curvature of the data term frequency by frequency, as its maximum does for all of them: see
    `FourierPtychography.curvature_bound`.

    Parameters
    ----------
    light
        (L,) summed over the measurements: sum_m C_ml.

    Returns
    -------
    (N, N) real, in the order of the discrete transform.
    """
    covered: Tensor = _Coverage.apply(light, windows)  # type: ignore[no-untyped-call]
    return covered


class _Coverage(torch.autograd.Function):
    """A few LEDs at a time on the CPU: a table of all pupils would be larger than everything else."""

    @staticmethod
    def forward(ctx: Any, light: Tensor, windows: PupilWindows) -> Tensor:
        ctx.windows = windows
        amount = light.detach().cpu()
        covered = torch.zeros(windows.object_px**2, dtype=light.dtype)
        for places, pupils, leds in windows.some():
            # One LED after the other: the places of one are all different, so that the sum has one order.
            for place, power, each in zip(places, _power(pupils, light.dtype), amount[leds], strict=True):
                covered[torch.from_numpy(place).view(-1)] += each * power.view(-1)
        return covered.view(windows.object_px, -1).to(light.device)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        flat = cotangent.detach().cpu().reshape(-1)
        found = []
        for places, pupils, _leds in ctx.windows.some():
            power = _power(pupils, flat.dtype)
            found.append((flat[torch.from_numpy(places)] * power).sum((1, 2)))
        return torch.cat(found).to(cotangent.device), None


def _power(pupils: Any, dtype: torch.dtype) -> Tensor:
    """|P|^2 of pupils (l, w, w)."""
    return torch.from_numpy(pupils).abs().square().to(dtype)
