"""An unroll of data consistency with a smooth prior, its steps scaled to the light at every frequency.

The objective of unroll k is D(x) + lambda_k sum_q w(q) |X(q)|^2 / N^2 with w = (q lambda / NA)^2: the logarithm of a
Gaussian prior whose power falls with the square of the frequency, as that of pictures does. Strong in the first
unrolls and weak in the last, it makes large structures settle before small ones; without it, descent from a flat phase
ends in the local minima of a strong phase. With the light c(q) of `spectral_coverage`, a small constant added,

    h_k(x) = -alpha_k F^-1 [ P_k . F (g(x) + lambda_k L x) ],   P_k = 1 / (c + lambda_k w),   L = F^-1 w F,

so that frequencies which only dim dark-field LEDs show converge as fast as those of the bright field, and steps
alpha_k of order one suit every design: the scaled curvature is at most one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptychoui.engine.layer import Effort, Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.network.gradient import GradientUnroll
from ptychoui.optics.forward.model import FourierPtychography

SMOOTHED_INPUTS = ("coverage", "smoothness")
"""Inputs beside those of the plain unroll: (N, N) light at every frequency, and lambda of every unroll, (unrolls,)."""


class SmoothedUnroll(Layer):
    """h_k(x) as above.

    Parameters
    ----------
    physics
        The forward model.
    index
        Place of this unroll's step size and smoothness in the inputs ``step`` and ``smoothness``.
    variance_floor
        The constant c of the variance-stabilising square root.
    roughness
        (N, N) w, from `FourierPtychography.roughness`.
    """

    def __init__(self, physics: FourierPtychography, index: int, variance_floor: float, roughness: Tensor) -> None:
        self.name, self.kind = f"smoothed gradient {index + 1}", "smoothed gradient"
        # The derivative in the coverage needs the gradient itself, which is kept or made again: L transforms more.
        self.effort = Effort(3, 6, both=6, stored=8) if physics.stream else Effort(2, 4, both=4, stored=4)
        self._index, self._roughness = index, roughness
        self._gradient = GradientUnroll(physics, index, variance_floor)

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedSmoothed:
        """As the plain unroll, and one transform of x; ``x`` is (B, N, N) complex."""
        one = torch.ones_like(inputs["step"])
        plain = self._gradient.linearise(x, {**inputs, "step": one}, keep, work)
        return _LinearisedSmoothed(plain, torch.fft.fft2(x), inputs, self._index, self._roughness)


class _LinearisedSmoothed(Linearisation):
    """The layer at x, whose transform is ``spectrum``; ``plain`` has h = -g."""

    def __init__(self, plain: Linearisation, spectrum: Tensor, inputs: Inputs, index: int, roughness: Tensor) -> None:
        self._plain, self._spectrum, self._roughness, self._index = plain, spectrum, roughness, index
        self._step, self._smoothness = inputs["step"][index], inputs["smoothness"][index]
        self._scale = 1 / (inputs["coverage"] + self._smoothness * roughness)
        self._slope: Tensor | None = None  # F (g + lambda L x)

    def _slope_of(self, increment: Tensor) -> Tensor:
        """F (g + lambda L x) of the plain increment -g."""
        slope: Tensor = torch.fft.fft2(increment).neg_()
        return slope.addcmul_(self._spectrum, self._smoothness * self._roughness)

    @property
    def increment(self) -> Tensor:
        if self._slope is None:
            self._slope = self._slope_of(self._plain.increment)
        return self._step_along(self._slope)

    def _step_along(self, slope: Tensor) -> Tensor:
        found: Tensor = torch.fft.ifft2(slope * self._scale)
        return found.mul_(-self._step)

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """With q = F^-1 P F p: -alpha (H q + lambda L q), and derivatives of Re<p, h> in every input."""
        spectrum, q = self._turned(cotangent)
        hessian = self._plain.pullback(q, self._plain_into(into))
        if self._slope is None and any(name in into for name in ("step", *SMOOTHED_INPUTS)):
            self._slope = self._slope_of(self._plain.increment)
        return self._pulled(spectrum, hessian, into)

    def increment_and_pullback(self, cotangent: Tensor, into: Gradients) -> tuple[Tensor, Tensor]:
        """Both, the data term's by its own short way."""
        spectrum, q = self._turned(cotangent)
        increment, hessian = self._plain.increment_and_pullback(q, self._plain_into(into))
        self._slope = self._slope_of(increment)
        return self._step_along(self._slope), self._pulled(spectrum, hessian, into)

    def _turned(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """F p, and alpha F^-1 P F p: all products of the data term are linear in it."""
        spectrum: Tensor = torch.fft.fft2(cotangent)
        q: Tensor = torch.fft.ifft2(spectrum * self._scale)
        return spectrum, q.mul_(self._step)

    @staticmethod
    def _plain_into(into: Gradients) -> Gradients:
        return {name: sums for name, sums in into.items() if name not in ("step", *SMOOTHED_INPUTS)}

    def _pulled(self, spectrum: Tensor, hessian: Tensor, into: Gradients) -> Tensor:
        """Products of the prior and of the scaling; ``spectrum`` is F p, ``hessian`` -alpha H q of the data term."""
        samples = spectrum.shape[-1] * spectrum.shape[-2]
        scaled = spectrum * self._scale
        rough = scaled * self._roughness  # F L q
        if self._slope is not None:
            # Re(conj(F p) F (g + lambda L x)), over the examples.
            along = (spectrum.real * self._slope.real + spectrum.imag * self._slope.imag).sum(0) / samples
            bend = self._step * along * self._scale.square()
            if "step" in into:
                into["step"][self._index].sub_((along * self._scale).sum())
            if "coverage" in into:
                into["coverage"].add_(bend)
            if "smoothness" in into:
                prior = (rough.real * self._spectrum.real + rough.imag * self._spectrum.imag).sum() / samples
                into["smoothness"][self._index].add_((bend * self._roughness).sum() - self._step * prior)
        of_prior: Tensor = torch.fft.ifft2(rough)
        return hessian.sub_(of_prior.mul_(self._step * self._smoothness))
