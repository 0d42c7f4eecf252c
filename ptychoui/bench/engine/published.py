"""The published memory-efficient learning, written from its equations, to be measured beside ours.

Kellman et al., "Memory-efficient learning for large-scale computational imaging" (2020), equations 5 to 11: gradient
descent on D(x) = sum_m || sqrt(sum_l C_ml |u_l|^2) - s^_m ||^2 with fields u_l = F^-1[P . F[x exp(i k_l r)]] on the
object's full grid; the adjoint is taken for every measurement, so a gradient costs (2 + 2 M) L transforms of the
object's size. Back-propagation runs through all unrolls. The memory-efficient form keeps every tenth object, undoes an
unroll by four fixed-point steps, and back-propagates through one unroll at a time.

Here fields are batched over LEDs and the loop runs over measurements alone, which is kinder than the published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FIXED_POINT_STEPS = 4
CHECKPOINT_EVERY = 10


@dataclass(frozen=True, slots=True)
class Published:
    """The problem on full grids.

    Attributes
    ----------
    tilt
        (L, N, N) complex plane waves.
    pupil
        (N, N) binary pupil.
    amplitude
        (M, N, N) measured amplitudes.
    """

    tilt: Tensor
    pupil: Tensor
    amplitude: Tensor
    step: float
    floor: float

    def gradient(self, x: Tensor, weights: Tensor) -> Tensor:
        """dD/dx* of one object (N, N), measurement after measurement."""
        fields = torch.fft.ifft2(self.pupil * torch.fft.fft2(x * self.tilt))
        intensity = fields.real.square() + fields.imag.square()
        total = torch.zeros_like(x)
        for row, measured in zip(weights, self.amplitude, strict=True):
            predicted = torch.sqrt((row[:, None, None] * intensity).sum(0) + self.floor)
            back = row[:, None, None] * (1 - measured / predicted) * fields
            total = total + (self.tilt.conj() * torch.fft.ifft2(self.pupil * torch.fft.fft2(back))).sum(0)
        return total

    def unroll(self, x: Tensor, weights: Tensor) -> Tensor:
        """One step of gradient descent."""
        return x - self.step * self.gradient(x, weights)

    def transforms_per_gradient(self) -> int:
        """Transforms of the object's size."""
        return (2 + 2 * len(self.amplitude)) * len(self.tilt)


def full_grid_problem(
    illumination: np.ndarray, pupil: np.ndarray, weights: Tensor, truth: Tensor, step: float, floor: float
) -> Published:
    """Make the problem whose measurements are those of ``truth``.

    Parameters
    ----------
    illumination
        (L, 2) (x, y) in frequency samples of the object's grid.
    pupil
        (N, N) of zeros and ones, in transform order.
    """
    size = truth.shape[-1]
    place = torch.arange(size, dtype=torch.float64) / size
    phase = torch.from_numpy(illumination)[:, 0, None, None] * place + (
        torch.from_numpy(illumination)[:, 1, None, None] * place[:, None]
    )
    # The object's spectrum is shifted against the LED's direction, so that the pupil stays in the middle.
    tilt = torch.polar(torch.ones_like(phase), -2 * torch.pi * phase).to(truth)
    window = torch.from_numpy(pupil.astype(np.float32)).to(truth.device)
    fields = torch.fft.ifft2(window * torch.fft.fft2(truth * tilt))
    intensity = fields.real.square() + fields.imag.square()
    amplitude = torch.sqrt(torch.einsum("ml,lij->mij", weights, intensity) + floor)
    return Published(tilt, window, amplitude, step, floor)


def back_propagation(problem: Published, x: Tensor, weights: Tensor, cotangent: Tensor, unrolls: int) -> Tensor:
    """Derivative of Re<cotangent, x_N> in the weights, through a graph of all unrolls."""
    leaf = weights.clone().requires_grad_()
    for _ in range(unrolls):
        x = problem.unroll(x, leaf)
    (found,) = torch.autograd.grad(x, leaf, cotangent)
    return found


def memory_efficient(problem: Published, x: Tensor, weights: Tensor, cotangent: Tensor, unrolls: int) -> Tensor:
    """The same by the published memory-efficient walk back."""
    kept: dict[int, Tensor] = {}
    with torch.no_grad():
        for index in range(unrolls):
            if index % CHECKPOINT_EVERY == 0:
                kept[index] = x
            x = problem.unroll(x, weights)
    total = torch.zeros_like(weights)
    q = cotangent
    for index in range(unrolls - 1, -1, -1):
        if index in kept:
            x = kept[index]
        else:
            with torch.no_grad():
                after = x
                for _ in range(FIXED_POINT_STEPS):
                    x = after + problem.step * problem.gradient(x, weights)
        here, leaf = x.clone().requires_grad_(), weights.clone().requires_grad_()
        q, part = torch.autograd.grad(problem.unroll(here, leaf), (here, leaf), q)
        total += part
    return total
