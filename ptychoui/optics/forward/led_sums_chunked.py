"""Sums over LEDs in chunks of tensor operations: memory that does not grow with the LEDs, on any device.

Nothing is kept but sums over LEDs: fields, pupils and places of a chunk are made again in each pass. Chunks go in LED
order and nothing is added atomically, so a pass gives the same bits each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.led_sums import LedSums, Light, PupilWindows
from ptychoui.optics.forward.led_sums_tensor import cross, scaled
from ptychoui.optics.geometry.pupil_series import PupilSeries

CHUNK_BYTES = 2**26
"""Fields of one chunk where nothing else is asked for: enough to fill a graphics processor."""


class Part:
    """Some LEDs: a slice of all of them, their pupils (l, w, w) and the first row and column (l,) of their windows."""

    def __init__(self, leds: slice, pupil: Tensor, row: Tensor, column: Tensor) -> None:
        self.leds, self.pupil, self.row, self.column = leds, pupil, row, column


class ChunkedLedSums(LedSums):
    """As in the base class.

    Parameters
    ----------
    chunk_bytes
        Fields of the LEDs of one chunk for the whole batch; a pass takes some ten times as much at its peak.
    """

    def __init__(self, windows: PupilWindows, device: torch.device, chunk_bytes: int | None = None) -> None:
        self._windows, self._device = windows, device
        self._bytes = chunk_bytes or CHUNK_BYTES
        self._series = PupilSeries.of(windows.microscope, windows.step_per_um)
        self._complex = torch.complex64 if windows.dtype == np.complex64 else torch.complex128
        self._row, self._column = torch.from_numpy(windows.row).to(device), torch.from_numpy(windows.column).to(device)
        self._fraction = torch.from_numpy(windows.fraction).to(device)
        self._order = torch.arange(windows.width, device=device)
        self._places = torch.arange(windows.object_px, device=device)

    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """As in the base class: (B, N, N) -> (B, L, n, n)."""
        n = self._windows.field_px
        out = spectrum.new_empty((len(spectrum), len(self._windows), n, n))
        for part in self._parts(len(spectrum)):
            out[:, part.leds] = self._field(spectrum, part, work)
        return out

    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """As in the base class: (B, L, n, n) -> (B, N, N)."""
        total = self._spectrum_of(len(fields))
        for part in self._parts(len(fields)):
            self._send_back(fields[:, part.leds], part, total)
        return total

    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """As in the base class: spectrum (B, N, N) -> images (B, M, n, n)."""
        total = self._images_of(len(spectrum), weights)
        for part in self._parts(len(spectrum)):
            u = self._field(spectrum, part, work)
            if keep is not None:
                keep[:, part.leds] = u
            self._mix(weights, _square(u), part, total)
        return total

    def weighted_adjoint(self, light: Light, weights: Tensor, images: Tensor, work: Scratch) -> Tensor:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N)."""
        batch = len(light.spectrum)
        total, fetch = self._spectrum_of(batch), self._fetch(light, work)
        for part in self._parts(batch):
            self._send_back(scaled(fetch(part), self._unmix(weights, images, part)), part, total)
        return total

    def mixed_cross(
        self, light: Light, direction: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch
    ) -> Tensor:
        """As in the base class: direction (B, N, N) -> images (B, M, n, n)."""
        total, fetch = self._images_of(len(direction), weights), self._fetch(light, work)
        for part in self._parts(len(direction)):
            b = self._field(direction, part, work)
            if keep is not None:
                keep[:, part.leds] = b
            self._mix(weights, cross(fetch(part), b), part, total)
        return total

    def mixed_both(self, spectrum: Tensor, direction: Tensor, weights: Tensor, work: Scratch) -> tuple[Tensor, Tensor]:
        """As in the base class, (B, N, N) twice -> (B, M, n, n) twice; fields of both are made once."""
        mixed, crossed = self._images_of(len(spectrum), weights), self._images_of(len(spectrum), weights)
        for part in self._parts(len(spectrum)):
            u = self._field(spectrum, part, work)
            self._mix(weights, _square(u), part, mixed)
            self._mix(weights, cross(u, self._field(direction, part, work)), part, crossed)
        return mixed, crossed

    def product_adjoint(
        self, light: Light, along: Light, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor]:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N) and sums (M, L)."""
        return self._product(light, along, weights, images, changes, work, None)

    def adjoint_both(
        self, spectrum: Tensor, direction: Tensor, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As in the base class, (B, N, N) twice -> the same and (M, L); fields of both are made once."""
        gradient = self._spectrum_of(len(spectrum))
        found = self._product(Light(spectrum), Light(direction), weights, images, changes, work, gradient)
        return gradient, *found

    def _product(
        self,
        light: Light,
        along: Light,
        weights: Tensor,
        images: Tensor,
        changes: Tensor,
        work: Scratch,
        gradient: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        batch = len(light.spectrum)
        total, correlations = self._spectrum_of(batch), torch.empty_like(weights)
        fetch, fetch_other = self._fetch(light, work), self._fetch(along, work)
        for part in self._parts(batch):
            u, weight = fetch(part), self._unmix(weights, images, part)
            if gradient is not None:
                self._send_back(scaled(u, weight), part, gradient)
            b = fetch_other(part)
            found = torch.einsum("bmp,blp->ml", images.flatten(2), cross(u, b).flatten(2))
            found += torch.einsum("bmp,blp->ml", changes.flatten(2), _square(u).flatten(2))
            correlations[:, part.leds] = found
            weighted = scaled(b, weight)
            change = self._unmix(weights, changes, part)
            torch.view_as_real(weighted).addcmul_(torch.view_as_real(u), change.unsqueeze(-1))
            self._send_back(weighted, part, total)
        return total, correlations

    # Pieces -----------------------------------------------------------------------------------------------

    def _parts(self, batch: int) -> Iterator[Part]:
        """Chunks of equal size but for the last, so that the largest does not depend on the number of LEDs."""
        count = self._count(batch)
        for first in range(0, len(self._windows), count):
            leds = slice(first, min(first + count, len(self._windows)))
            if self._series is None:
                pupil = torch.from_numpy(self._windows.pupils(leds)).to(self._device)
            else:
                pupil = self._series.on(self._fraction[leds], self._windows.half).to(self._complex)
            yield Part(leds, pupil, self._row[leds], self._column[leds])

    def _count(self, batch: int) -> int:
        """LEDs of a chunk."""
        return max(1, self._bytes // (batch * self._windows.field_px**2 * self._complex.itemsize))

    def _field(self, spectrum: Tensor, part: Part, work: Scratch) -> Tensor:
        batch, n, w, size = len(spectrum), self._windows.field_px, self._windows.width, self._windows.object_px
        row, column = (part.row[:, None] + self._order) % size, (part.column[:, None] + self._order) % size
        windows = spectrum[:, row[:, :, None], column[:, None, :]]
        count = min(self._count(batch), len(self._windows))
        # Only the corners are ever written, so the rest stays zero; the key keeps other models away from it.
        padded = work.keep(("padded", self, batch), lambda: spectrum.new_zeros(batch, count, n, n))[:, : len(part.row)]
        torch.mul(windows, part.pupil, out=padded[..., :w, :w])
        field: Tensor = torch.fft.ifft2(padded)
        return field

    def _fetch(self, light: Light, work: Scratch) -> Callable[[Part], Tensor]:
        """A chunk's fields: kept ones, or made again."""
        if (fields := light.fields) is not None:
            return lambda part: fields[:, part.leds]
        return lambda part: self._field(light.spectrum, part, work)

    def _send_back(self, fields: Tensor, part: Part, total: Tensor) -> None:
        """Add a chunk's windows to the spectra: every sample gathers from the windows over it.

        From others it gathers the last row or column of the window, where pupils are closed: zero.
        """
        w, size = self._windows.width, self._windows.object_px
        windows = torch.fft.fft2(fields)[..., :w, :w] * part.pupil.conj()
        # On whole spectra, a few LEDs at a time: they are larger than fields.
        some = max(1, len(part.row) * self._windows.field_px**2 // size**2)
        for first in range(0, len(part.row), some):
            leds = slice(first, first + some)
            row = ((self._places - part.row[leds, None]) % size).clamp_(max=w - 1)
            column = ((self._places - part.column[leds, None]) % size).clamp_(max=w - 1)
            led = torch.arange(len(row), device=self._device)[:, None, None]
            total += windows[:, leds][:, led, row[:, :, None], column[:, None, :]].sum(1)

    def _spectrum_of(self, batch: int) -> Tensor:
        size = self._windows.object_px
        return torch.zeros(batch, size, size, dtype=self._complex, device=self._device)

    def _images_of(self, batch: int, weights: Tensor) -> Tensor:
        n = self._windows.field_px
        return weights.new_zeros(batch, len(weights), n, n)

    @staticmethod
    def _mix(weights: Tensor, images: Tensor, part: Part, total: Tensor) -> None:
        total += torch.matmul(weights[:, part.leds], images.flatten(2)).view_as(total)

    @staticmethod
    def _unmix(weights: Tensor, images: Tensor, part: Part) -> Tensor:
        mixed = torch.matmul(weights[:, part.leds].T, images.flatten(2))
        return mixed.view(len(images), -1, *images.shape[2:])


def _square(u: Tensor) -> Tensor:
    return u.real.square().addcmul_(u.imag, u.imag)
