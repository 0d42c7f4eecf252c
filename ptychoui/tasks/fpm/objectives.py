"""Losses and scores of a reconstruction, blind to its global phase.

A microscope cannot see the phase that all of an object shares, so a reconstruction x is first turned by the unit
number c that brings it closest to the truth t: c = <x, t> / |<x, t>|. Errors are relative to what the truth has to
show, the energy about its mean, so that an empty picture scores 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def align(x: Tensor, truth: Tensor) -> Tensor:
    """Turn each reconstruction's global phase to the truth's: (B, N, N) complex.

    Derivatives flow through the turn: it is best for the complex loss, not for the others.
    """
    overlap = (x.conj() * truth).sum((1, 2), keepdim=True)
    turn = overlap / overlap.abs().clamp_min(1e-30)
    return x * turn


def without_ramp(x: Tensor, truth: Tensor) -> Tensor:
    """Each reconstruction (B, N, N) times the phase ramp that brings it closest to its truth: (B, N, N) complex.

    A shift of the whole LED array is a ramp of the object's phase, which no image can tell from the object. The best
    exp(2 pi i f . r) has the largest |sum_r conj(x) t exp(-2 pi i f . r)|: the peak of a discrete transform with zeros
    around it, refined by Newton's method. No derivative flows through the ramp.
    """
    product = x.detach().conj().to(torch.complex128) * truth.detach().to(torch.complex128)
    size = x.shape[-1]
    padded = torch.fft.fft2(product, s=(FINER * size, FINER * size)).abs().flatten(1)
    peak = padded.argmax(1)
    frequency = torch.fft.fftfreq(FINER * size, dtype=torch.float64, device=x.device)
    places = torch.arange(size, dtype=torch.float64, device=x.device)
    turns = []
    for each, place in zip(product, peak.tolist(), strict=True):
        f = torch.stack([frequency[place // (FINER * size)], frequency[place % (FINER * size)]])
        for _ in range(NEWTON_STEPS):
            f = f + _towards_the_peak(each, f, places)
        turns.append(torch.outer(*(torch.exp(2j * torch.pi * along * places) for along in f)))
    ramp: Tensor = torch.stack(turns).to(x.dtype)
    return x * ramp


FINER = 4
"""How much finer than the discrete transform ramps are searched before they are refined."""

NEWTON_STEPS = 4


def _towards_the_peak(product: Tensor, f: Tensor, places: Tensor) -> Tensor:
    """Newton's step (2,) of a frequency (2,) towards the maximum of |sum_r p exp(-2 pi i f . r)|^2."""
    rows, columns = (torch.exp(-2j * torch.pi * along * places) for along in f)
    factor = -2j * torch.pi * places

    def moment(row_order: int, column_order: int) -> Tensor:
        return (rows * factor**row_order) @ product @ (columns * factor**column_order)

    s = moment(0, 0).conj()
    first = moment(1, 0), moment(0, 1)
    second = (moment(2, 0), moment(1, 1)), (moment(1, 1), moment(0, 2))
    slope = torch.stack([2 * (s * each).real for each in first])
    curvature = torch.stack(
        [torch.stack([2 * (s * second[i][j] + first[i].conj() * first[j]).real for j in (0, 1)]) for i in (0, 1)]
    )
    if not bool((torch.linalg.eigvalsh(curvature) < 0).all()):
        return torch.zeros_like(f)  # beside the peak the function is no hill: what was found is good enough
    step: Tensor = -torch.linalg.solve(curvature, slope)
    return step


def _contrast(truth: Tensor) -> Tensor:
    mean = truth.mean((1, 2), keepdim=True)
    deviation = truth - mean
    return (deviation.abs().square() if truth.is_complex() else deviation.square()).mean((1, 2)).clamp_min(1e-12)


def complex_loss(x: Tensor, truth: Tensor) -> Tensor:
    """Mean |c x - t|^2 / mean |t - mean t|^2 per object: (B,)."""
    return (align(x, truth) - truth).abs().square().mean((1, 2)) / _contrast(truth)


def amplitude_loss(x: Tensor, truth: Tensor) -> Tensor:
    """The same of |x| and |t|: (B,)."""
    magnitude = torch.sqrt(x.real.square() + x.imag.square() + 1e-12)
    return (magnitude - truth.abs()).square().mean((1, 2)) / _contrast(truth.abs())


def phase_loss(x: Tensor, truth: Tensor) -> Tensor:
    """Mean square of the angle between c x and t, relative to the energy of the truth's phase: (B,).

    The angle is taken of the product with the conjugate truth, so wraps of either do not matter.
    """
    angle = torch.angle(align(x, truth) * truth.conj())
    reference = torch.angle(truth * truth.mean((1, 2), keepdim=True).conj())
    return angle.square().mean((1, 2)) / reference.square().mean((1, 2)).clamp_min(1e-12)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "complex": complex_loss,
    "amplitude": amplitude_loss,
    "phase": phase_loss,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Errors per object, (B,) each: relative root mean squares, and the phase also in radians."""

    complex_error: Tensor
    amplitude_error: Tensor
    phase_error: Tensor
    phase_error_rad: Tensor


def scores(x: Tensor, truth: Tensor) -> Scores:
    """Score reconstructions (B, N, N): roots of the losses, and the RMS angle to the truth in radians."""
    angle = torch.angle(align(x, truth) * truth.conj())
    return Scores(
        complex_error=complex_loss(x, truth).sqrt(),
        amplitude_error=amplitude_loss(x, truth).sqrt(),
        phase_error=phase_loss(x, truth).sqrt(),
        phase_error_rad=angle.square().mean((1, 2)).sqrt(),
    )
