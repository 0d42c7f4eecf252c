"""Sums over LEDs in tensor operations: all LEDs at once, on any device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.led_sums import LedSums, Light, PupilWindows


class TensorLedSums(LedSums):
    """All LEDs at once in tensor operations, on any device; deterministic, because nothing is added atomically."""

    def __init__(self, windows: PupilWindows, device: torch.device) -> None:
        self._windows = windows
        places, pupils = windows.places(), windows.pupils()
        self._place = torch.from_numpy(places.reshape(-1)).to(device)
        self._pupil = torch.from_numpy(pupils).to(device)
        self._pupil_adjoint = self._pupil.conj().resolve_conj()
        target, source = gather_of_scatter(places, pupils)
        self._target, self._source = torch.from_numpy(target).to(device), torch.from_numpy(source).to(device)

    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """Windows times pupils, padded and transformed: (B, N, N) -> (B, L, n, n)."""
        leds, w = len(self._windows), self._windows.width
        batch, n = len(spectrum), self._windows.field_px
        windows = spectrum.reshape(batch, -1).index_select(1, self._place).view(batch, leds, w, w)
        # Only the corners are ever written, so the rest stays zero; the key keeps other models away from it.
        padded = work.keep(("padded", self, batch), lambda: spectrum.new_zeros(batch, leds, n, n))
        torch.mul(windows, self._pupil, out=padded[..., :w, :w])
        fields: Tensor = torch.fft.ifft2(padded)
        return fields

    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """(B, L, n, n) -> (B, N, N); every sample gathers its contributions in LED order: the same bits each time."""
        w = self._windows.width
        batch, size = len(fields), self._windows.object_px
        windows = torch.fft.fft2(fields)[..., :w, :w] * self._pupil_adjoint
        overlaps, samples = self._source.shape
        parts = windows.view(batch, -1).index_select(1, self._source.view(-1)).view(batch, overlaps, samples)
        spectrum = fields.new_zeros(batch, size * size)
        spectrum[:, self._target] = parts.sum(1)
        return spectrum.view(batch, size, size)

    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """As in the base class: spectrum (B, N, N) -> images (B, M, n, n)."""
        u = self.fields(spectrum, work)
        if keep is not None:
            keep.copy_(u)
        return self._mix(weights, u.real.square().addcmul_(u.imag, u.imag))

    def weighted_adjoint(self, light: Light, weights: Tensor, images: Tensor, work: Scratch) -> Tensor:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N)."""
        u = self._fields_of(light, work)
        return self.adjoint(scaled(u, self._unmix(weights, images)), work)

    def mixed_cross(
        self, light: Light, direction: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch
    ) -> Tensor:
        """As in the base class: direction (B, N, N) -> images (B, M, n, n)."""
        b = self.fields(direction, work)
        if keep is not None:
            keep.copy_(b)
        u = self._fields_of(light, work)
        return self._mix(weights, cross(u, b))

    def product_adjoint(
        self, light: Light, along: Light, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor]:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N) and sums (M, L)."""
        u, b = self._fields_of(light, work), self._fields_of(along, work)
        correlations = torch.einsum("bmp,blp->ml", images.flatten(2), cross(u, b).flatten(2))
        squared = u.real.square().addcmul_(u.imag, u.imag)
        correlations += torch.einsum("bmp,blp->ml", changes.flatten(2), squared.flatten(2))
        total = scaled(b, self._unmix(weights, images))
        torch.view_as_real(total).addcmul_(torch.view_as_real(u), self._unmix(weights, changes).unsqueeze(-1))
        return self.adjoint(total, work), correlations

    def _fields_of(self, light: Light, work: Scratch) -> Tensor:
        return self.fields(light.spectrum, work) if light.fields is None else light.fields

    @staticmethod
    def _mix(weights: Tensor, images: Tensor) -> Tensor:
        return torch.matmul(weights, images.flatten(2)).view(len(images), -1, *images.shape[2:])

    @staticmethod
    def _unmix(weights: Tensor, images: Tensor) -> Tensor:
        return torch.matmul(weights.T, images.flatten(2)).view(len(images), -1, *images.shape[2:])


def cross(u: Tensor, b: Tensor) -> Tensor:
    """2 Re(conj(u) b) of complex fields of one shape, real of that shape."""
    return (u.real * b.real).addcmul_(u.imag, b.imag).mul_(2)


def scaled(fields: Tensor, weights: Tensor) -> Tensor:
    """Complex fields times real weights of their shape."""
    return torch.view_as_complex(torch.view_as_real(fields) * weights.unsqueeze(-1))


def gather_of_scatter(
    place: NDArray[np.int64], pupil: NDArray[np.complexfloating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every spectral sample that some pupil covers, where its contributions lie, in LED order.

    Returns
    -------
    target
        (S,) places in the flat spectrum.
    source
        (K, S) places in the flat windows; short columns point at a place where the pupil is zero.
    """
    place = place.reshape(-1)
    covered = np.flatnonzero(pupil.reshape(-1) != 0)
    empty = int(np.flatnonzero(pupil.reshape(-1) == 0)[0])
    covered = covered[np.argsort(place[covered], kind="stable")]
    target, first, count = np.unique(place[covered], return_index=True, return_counts=True)
    rank = np.arange(len(covered)) - np.repeat(first, count)
    source = np.full((int(count.max()), len(target)), empty, dtype=np.int64)
    source[rank, np.repeat(np.arange(len(target)), count)] = covered
    return target.astype(np.int64), source
