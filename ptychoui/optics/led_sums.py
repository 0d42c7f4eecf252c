"""Sums over LEDs: the four passes that take nearly all the time of an unroll.

A window of w x w frequencies is placed in the corner of the field's n x n grid, not around its zero frequency: the
field then carries a phase ramp that is the same for every field of an LED and drops out of |u|^2, of conj(u) b, and
of the way back.

Spectra are those of the object's grid, scaled to the field's: (n / N)^2 times the transform. The adjoint is then the
plain inverse transform.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.engine.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Windows:
    """Where each LED's pupil lies on the object's spectrum, frequencies in ascending order.

    Attributes
    ----------
    row, column
        (L, w) places on the object's spectrum, consecutive but for the step from its end to its start.
    pupil
        (L, w, w) complex transmission, in the precision of the fields.
    object_px, field_px
        N and n.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    pupil: NDArray[np.complexfloating]
    object_px: int
    field_px: int

    def places(self) -> NDArray[np.int64]:
        """(L, w, w) places on the flat spectrum."""
        return self.row[:, :, None] * self.object_px + self.column[:, None, :]


class LedSums(ABC):
    """Fields of all LEDs, mixed into measurements, and the way back.

    Shapes: spectra (B, N, N) complex, fields (B, L, n, n) complex, images (B, M, n, n) real, weights (M, L). Fields
    that were not kept (None) are made again from their spectrum.
    """

    @abstractmethod
    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """Every field u_l, in a new tensor."""

    @abstractmethod
    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """Spectrum of the adjoint of `fields`: overlaps add in LED order."""

    @abstractmethod
    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """Images sum_l C_ml |u_l|^2; the fields are left in ``keep`` where given."""

    @abstractmethod
    def weighted_adjoint(
        self, spectrum: Tensor, fields: Tensor | None, weights: Tensor, images: Tensor, work: Scratch
    ) -> Tensor:
        """Spectrum of sum_l B_l^H [w_l u_l] with w_l = sum_m C_ml image_m."""

    @abstractmethod
    def mixed_cross(
        self,
        spectrum: Tensor,
        fields: Tensor | None,
        direction: Tensor,
        weights: Tensor,
        keep: Tensor | None,
        work: Scratch,
    ) -> Tensor:
        """Images sum_l C_ml 2 Re(conj(u_l) b_l); b_l are the fields of the spectrum ``direction``."""

    @abstractmethod
    def product_adjoint(
        self,
        spectrum: Tensor,
        fields: Tensor | None,
        direction: Tensor,
        others: Tensor | None,
        weights: Tensor,
        images: Tensor,
        changes: Tensor,
        work: Scratch,
    ) -> tuple[Tensor, Tensor]:
        """Spectrum of sum_l B_l^H [w_l b_l + dw_l u_l], where images and changes give w_l and dw_l.

        Beside it <image_m, 2 Re(conj(u_l) b_l)> + <change_m, |u_l|^2>, summed over the batch: (M, L).
        """


def led_sums(windows: Windows, device: torch.device) -> LedSums:
    """The sums that suit a device: compiled loops on a CPU, tensor operations elsewhere."""
    if device.type == "cpu":
        from ptychoui.optics.led_sums_cpu import CompiledLedSums

        return CompiledLedSums(windows)
    return TensorLedSums(windows, device)


class TensorLedSums(LedSums):
    """All LEDs at once in tensor operations, on any device; deterministic, because nothing is added atomically."""

    def __init__(self, windows: Windows, device: torch.device) -> None:
        self._windows = windows
        self._place = torch.from_numpy(windows.places().reshape(-1)).to(device)
        self._pupil = torch.from_numpy(windows.pupil).to(device)
        self._pupil_adjoint = self._pupil.conj().resolve_conj()
        target, source = gather_of_scatter(windows.places(), windows.pupil)
        self._target, self._source = torch.from_numpy(target).to(device), torch.from_numpy(source).to(device)

    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """Windows times pupils, padded and transformed."""
        leds, w = self._windows.row.shape
        batch, n = len(spectrum), self._windows.field_px
        windows = spectrum.reshape(batch, -1).index_select(1, self._place).view(batch, leds, w, w)
        # Only the corners are ever written, so the rest stays zero; the key keeps other models away from it.
        padded = work.keep(("padded", self, batch), lambda: spectrum.new_zeros(batch, leds, n, n))
        torch.mul(windows, self._pupil, out=padded[..., :w, :w])
        fields: Tensor = torch.fft.ifft2(padded)
        return fields

    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """Every spectral sample gathers its contributions in LED order: the same bits each time."""
        w = self._windows.row.shape[1]
        batch, size = len(fields), self._windows.object_px
        windows = torch.fft.fft2(fields)[..., :w, :w] * self._pupil_adjoint
        overlaps, samples = self._source.shape
        parts = windows.view(batch, -1).index_select(1, self._source.view(-1)).view(batch, overlaps, samples)
        spectrum = fields.new_zeros(batch, size * size)
        spectrum[:, self._target] = parts.sum(1)
        return spectrum.view(batch, size, size)

    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """As in the base class."""
        u = self.fields(spectrum, work)
        if keep is not None:
            keep.copy_(u)
        return self._mix(weights, u.real.square().addcmul_(u.imag, u.imag))

    def weighted_adjoint(
        self, spectrum: Tensor, fields: Tensor | None, weights: Tensor, images: Tensor, work: Scratch
    ) -> Tensor:
        """As in the base class."""
        u = self.fields(spectrum, work) if fields is None else fields
        return self.adjoint(_scaled(u, self._unmix(weights, images)), work)

    def mixed_cross(
        self,
        spectrum: Tensor,
        fields: Tensor | None,
        direction: Tensor,
        weights: Tensor,
        keep: Tensor | None,
        work: Scratch,
    ) -> Tensor:
        """As in the base class."""
        b = self.fields(direction, work)
        if keep is not None:
            keep.copy_(b)
        u = self.fields(spectrum, work) if fields is None else fields
        return self._mix(weights, _cross(u, b))

    def product_adjoint(
        self,
        spectrum: Tensor,
        fields: Tensor | None,
        direction: Tensor,
        others: Tensor | None,
        weights: Tensor,
        images: Tensor,
        changes: Tensor,
        work: Scratch,
    ) -> tuple[Tensor, Tensor]:
        """As in the base class."""
        u = self.fields(spectrum, work) if fields is None else fields
        b = self.fields(direction, work) if others is None else others
        correlations = torch.einsum("bmp,blp->ml", images.flatten(2), _cross(u, b).flatten(2))
        squared = u.real.square().addcmul_(u.imag, u.imag)
        correlations += torch.einsum("bmp,blp->ml", changes.flatten(2), squared.flatten(2))
        total = _scaled(b, self._unmix(weights, images))
        torch.view_as_real(total).addcmul_(torch.view_as_real(u), self._unmix(weights, changes).unsqueeze(-1))
        return self.adjoint(total, work), correlations

    @staticmethod
    def _mix(weights: Tensor, images: Tensor) -> Tensor:
        return torch.matmul(weights, images.flatten(2)).view(len(images), -1, *images.shape[2:])

    @staticmethod
    def _unmix(weights: Tensor, images: Tensor) -> Tensor:
        return torch.matmul(weights.T, images.flatten(2)).view(len(images), -1, *images.shape[2:])


def _cross(u: Tensor, b: Tensor) -> Tensor:
    return (u.real * b.real).addcmul_(u.imag, b.imag).mul_(2)


def _scaled(fields: Tensor, weights: Tensor) -> Tensor:
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
