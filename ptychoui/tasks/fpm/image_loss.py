"""Learning without a truth: how well a reconstruction predicts the image of every single LED.

What the network was shown are sums over LEDs; the images of single LEDs are held out from it. A reconstruction that
predicts them all knows what they know, and nobody had to reconstruct a truth from them first:

    loss(x) = sum_l |sqrt(g_l I_l(x) + c) - sqrt(g_l J_l + c)|^2 / sum_l |sqrt(g_l J_l + c) - a_l|^2,

with the measured J_l and predicted I_l at brightness one, the LEDs' brightness g_l and the constant c of the
variance-stabilising root, so that every photon counts alike. What is measured is divided by what an empty field leaves:
a_l is the mean of the image in the bright field, sqrt(c) in the dark field. 1 is an empty picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.tasks.fpm.examples import Objects

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask


def image_loss(task: FpmTask, output: Tensor, batch: Objects) -> Tensor:
    """Misfit of all single-LED images over that of an empty field, (B,), of reconstructions (B, N, N) complex.

    Pixels of the margin do not count.
    """
    gain, floor = task.measurement.gain, task.measurement.variance_floor
    recorded = batch.intensities.to(output.real.dtype) * gain[:, None, None]
    amplitude = torch.sqrt(recorded.clamp_min(0) + floor)
    data = DataTerm(torch.diag(gain), torch.zeros_like(gain), amplitude, floor)
    counted = torch.zeros_like(amplitude[0, 0])
    margin = task.experiment.training.margin_px
    inner = slice(margin, len(counted) - margin)
    counted[inner, inner] = 1
    seen = amplitude[:, :, inner, inner]
    bright = torch.from_numpy(task.leds.bright_field(task.objective_na)).to(gain.device)
    empty = torch.where(bright[:, None, None], seen.mean((2, 3), keepdim=True), floor**0.5)
    misfit: Tensor = _Misfit.apply(output, task.physics, data, counted)  # type: ignore[no-untyped-call]
    return misfit / (seen - empty).square().sum((1, 2, 3)).clamp_min(1e-12)


class _Misfit(torch.autograd.Function):
    """sum_l |predicted - measured amplitude|^2 over some pixels, (B,), by the model's own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, physics: FourierPtychography, data: DataTerm, counted: Tensor) -> Tensor:
        work = Scratch()
        with torch.no_grad():
            at = physics.linearise(x.detach(), data, work, work)
            misfit = (at.predicted - data.amplitude).square().mul_(counted).sum((1, 2, 3))
            at.residual.mul_(counted)
            # Of D = area times the misfit this is dD/dx*; torch's derivative of a real number is twice that.
            ctx.slope = physics.gradient(at, work).clone().mul_(2 / physics.area)
        return misfit

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.slope * cotangent[:, None, None], None, None, None
