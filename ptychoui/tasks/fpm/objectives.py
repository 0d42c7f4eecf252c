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
