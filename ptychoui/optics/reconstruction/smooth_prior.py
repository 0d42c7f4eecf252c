"""A converged reconstruction of any images with a smooth prior whose strength the images choose.

Images of several LEDs each hold fewer numbers than the object: without a prior, noise grows in what they do not show
until the result is worse than an empty picture. Minimised is

    D(x) + lambda sum_q w(q) |X(q)|^2 / N^2,    w = (q lambda_0 / NA)^2,

the data term of `FourierPtychography` with a Gaussian prior whose power falls with the square of the frequency, for one
lambda after the other, the strongest first: coarse structures of a strong phase settle before fine ones. A tenth of the
camera's pixels is left out of the fit. The lambda that predicts those best is taken (cross-validation: Stone, J. R.
Stat. Soc. B 36, 111 (1974)), and all pixels are fitted with it. No truth is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.reconstruction.lbfgs import limited_memory_bfgs

STRENGTHS = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Values of lambda, in units of the light of one LED at full level and unit exposure."""

EVALUATIONS = 40
"""Evaluations of the objective for every strength; each begins where the one before ended."""

LEFT_OUT = 0.1
"""Share of the camera's pixels that choose the strength."""

DAMPING = 0.01
"""Share of the largest light over a frequency below which unknowns are scaled no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothReconstruction:
    """A converged object and how its prior was chosen.

    Attributes
    ----------
    x
        (1, N, N) complex object, padding included.
    strength
        The lambda that was chosen.
    tried
        Strengths that were fitted, the strongest first.
    misfits
        Mean square misfit of the amplitudes left out, for each of them.
    """

    x: Tensor
    strength: float
    tried: tuple[float, ...]
    misfits: tuple[float, ...]


def reconstruct_smooth(
    physics: FourierPtychography,
    data: DataTerm,
    start: Tensor,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
    callback: Callable[[], None] = lambda: None,
) -> SmoothReconstruction:
    """Reconstruct one object.

    Parameters
    ----------
    data
        Of one object: amplitudes (1, M, T, T).
    start
        (1, N, N) complex first estimate.
    seed
        Of the pixels that are left out.
    evaluations
        For every strength.
    callback
        Called at every evaluation: where the work can be given up by an exception.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(tuple(data.amplitude.shape), generator=generator)
    fitted = (drawn >= LEFT_OUT).to(data.amplitude)
    work = _Objective(physics, data, callback)
    x, tried, misfits, best, found = start, [], [], 0, start
    for strength in STRENGTHS:
        x = work.minimised(x, strength, fitted, evaluations)
        tried.append(strength)
        misfits.append(work.misfit(x, 1 - fitted))
        if misfits[-1] < misfits[best] or len(tried) == 1:
            best, found = len(tried) - 1, x
        elif len(tried) > best + 2:
            break  # weaker priors only fit the noise
    return SmoothReconstruction(
        x=work.minimised(found, tried[best], torch.ones_like(fitted), evaluations),
        strength=tried[best],
        tried=tuple(tried),
        misfits=tuple(misfits),
    )


class _Objective:
    """The objective in unknowns scaled to a curvature of about one: x = F^-1 [z (c + lambda w)^-1/2]."""

    def __init__(self, physics: FourierPtychography, data: DataTerm, callback: Callable[[], None]) -> None:
        self._physics, self._data, self._callback = physics, data, callback
        self._work = Scratch()
        coverage = physics.coverage(data.weights.detach())
        self._light = coverage + DAMPING * coverage.amax()
        self._roughness = physics.roughness()

    def minimised(self, x: Tensor, strength: float, fitted: Tensor, evaluations: int) -> Tensor:
        """The object after so many evaluations from x, fitted to some of the pixels (1, M, T, T)."""
        scale = (self._light + strength * self._roughness).rsqrt()
        shape = (*x.shape, 2)

        def spectrum_of(unknowns: Tensor) -> Tensor:
            return torch.view_as_complex(unknowns.view(shape)) * scale

        def evaluate(unknowns: Tensor) -> tuple[float, Tensor]:
            self._callback()
            spectrum = spectrum_of(unknowns)
            at = self._physics.linearise(torch.fft.ifft2(spectrum, norm="ortho"), self._data, self._work, self._work)
            at.residual.mul_(fitted)
            misfit = (at.predicted - self._data.amplitude).square_().mul_(fitted).sum(dtype=torch.float64)
            prior = (self._roughness * spectrum.abs().square()).sum(dtype=torch.float64)
            slope = torch.fft.fft2(self._physics.gradient(at, self._work), norm="ortho")
            slope.addcmul_(spectrum, (strength * self._roughness).to(spectrum)).mul_(2 * scale)
            value = self._physics.area * float(misfit) + strength * float(prior)
            return value, torch.view_as_real(slope).reshape(-1)

        with torch.no_grad():
            begin = torch.view_as_real(torch.fft.fft2(x, norm="ortho") / scale).reshape(-1).clone()
            best = begin
            for unknowns, _value in limited_memory_bfgs(begin, evaluate, evaluations, first_step=0.25):
                best = unknowns
            found: Tensor = torch.fft.ifft2(spectrum_of(best), norm="ortho")
            return found

    def misfit(self, x: Tensor, pixels: Tensor) -> float:
        """Mean square misfit of the amplitudes of some pixels (1, M, T, T)."""
        with torch.no_grad():
            at = self._physics.linearise(x, self._data, self._work, self._work)
            square = (at.predicted - self._data.amplitude).square().mul_(pixels)
            return float(square.sum(dtype=torch.float64) / pixels.sum())
