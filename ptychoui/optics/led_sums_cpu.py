"""Sums over LEDs on a CPU: compiled loops over chunks of LEDs that stay in the processor's cache.

What leaves a chunk is a sum over its LEDs. Transforms and matrix products are torch's, with its threads; the loops
between them use as many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics import compiled
from ptychoui.optics.led_sums import LedSums, Windows

CHUNK_BYTES = 2**20
"""Fields of one chunk: with the images beside them they fill a second-level cache."""

Reals = NDArray[np.floating]
Complexes = NDArray[np.complexfloating]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some LEDs of one object, and workspaces for them."""

    batch: int
    leds: slice
    rows: slice  # of the fields of all objects, (B L, 2 n n)
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    pupil: Complexes
    on_rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    space: Space


class Space:
    """Workspaces for a chunk, as tensors and as the flat arrays that compiled loops take."""

    def __init__(self, leds: int, n: int, dtype: torch.dtype) -> None:
        self.padded = torch.zeros(leds, n, n, dtype=dtype)
        self.product = torch.empty(leds, n, n, dtype=dtype)
        self.image, self.weight, self.change = (torch.empty(leds, n * n, dtype=dtype.to_real()) for _ in range(3))
        self.padded_array = self.padded.numpy()
        self.product_pairs = pairs(self.product)
        self.image_array, self.weight_array = self.image.numpy(), self.weight.numpy()
        self.change_array = self.change.numpy()


class CompiledLedSums(LedSums):
    """As in the base class; images and spectra that are returned are valid until the next pass."""

    def __init__(self, windows: Windows) -> None:
        compiled.prepare(windows.pupil.dtype.name)
        self._windows = windows
        self._leds = len(windows.row)
        self._n, self._size = windows.field_px, windows.object_px
        single = windows.pupil.dtype == np.complex64
        self._complex = torch.complex64 if single else torch.complex128
        self._real = self._complex.to_real()

    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """As in the base class."""
        out = spectrum.new_empty((len(spectrum), self._leds, self._n, self._n))
        source = spectrum.numpy()

        def part(chunk: Chunk) -> None:
            out[chunk.batch, chunk.leds] = self._field(source, chunk)

        self._run(len(spectrum), work, part)
        return out

    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """As in the base class."""
        totals, back = self._spectra(len(fields), work)

        def part(chunk: Chunk) -> None:
            self._send_back(fields[chunk.batch, chunk.leds], chunk, back)

        self._run(len(fields), work, part)
        return totals

    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """As in the base class."""
        totals = self._images(len(spectrum), len(weights), work)
        source, kept = spectrum.numpy(), None if keep is None else pairs(keep)

        def part(chunk: Chunk) -> None:
            u = pairs(self._field(source, chunk))
            if kept is None:
                compiled.square(u, chunk.space.image_array)
            else:
                compiled.square_and_keep(u, chunk.space.image_array, kept[chunk.rows])
            totals[chunk.batch].addmm_(weights[:, chunk.leds], chunk.space.image)

        self._run(len(spectrum), work, part)
        return totals.view(len(spectrum), -1, self._n, self._n)

    def weighted_adjoint(
        self, spectrum: Tensor, fields: Tensor | None, weights: Tensor, images: Tensor, work: Scratch
    ) -> Tensor:
        """As in the base class."""
        totals, back = self._spectra(len(spectrum), work)
        fetch = self._fetch(spectrum, fields)
        images, transposed = images.flatten(2), weights.T.contiguous()

        def part(chunk: Chunk) -> None:
            space = chunk.space
            torch.mm(transposed[chunk.leds], images[chunk.batch], out=space.weight)
            compiled.scale(fetch(chunk), space.weight_array, space.product_pairs)
            self._send_back(space.product, chunk, back)

        self._run(len(spectrum), work, part)
        return totals

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
        totals = self._images(len(spectrum), len(weights), work)
        source, kept = direction.numpy(), None if keep is None else pairs(keep)
        fetch = self._fetch(spectrum, fields)

        def part(chunk: Chunk) -> None:
            b = pairs(self._field(source, chunk))
            if kept is None:
                compiled.cross(fetch(chunk), b, chunk.space.image_array)
            else:
                compiled.cross_and_keep(fetch(chunk), b, chunk.space.image_array, kept[chunk.rows])
            totals[chunk.batch].addmm_(weights[:, chunk.leds], chunk.space.image)

        self._run(len(spectrum), work, part)
        return totals.view(len(spectrum), -1, self._n, self._n)

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
        totals, back = self._spectra(len(spectrum), work)
        fetch, fetch_other = self._fetch(spectrum, fields), self._fetch(direction, others)
        images, changes, transposed = images.flatten(2), changes.flatten(2), weights.T.contiguous()
        correlations = weights.new_empty((len(spectrum), *transposed.shape))

        def part(chunk: Chunk) -> None:
            space, image, change = chunk.space, images[chunk.batch], changes[chunk.batch]
            u, b, found = fetch(chunk), fetch_other(chunk), correlations[chunk.batch, chunk.leds]
            compiled.cross(u, b, space.image_array)
            torch.mm(space.image, image.T, out=found)
            compiled.square(u, space.image_array)
            found.addmm_(space.image, change.T)
            torch.mm(transposed[chunk.leds], image, out=space.weight)
            torch.mm(transposed[chunk.leds], change, out=space.change)
            compiled.combine(u, space.change_array, b, space.weight_array, space.product_pairs)
            self._send_back(space.product, chunk, back)

        self._run(len(spectrum), work, part)
        return totals, correlations.sum(0).T

    # Pieces -----------------------------------------------------------------------------------------------

    def _field(self, source: Complexes, chunk: Chunk) -> Tensor:
        compiled.gather(source[chunk.batch], chunk.row, chunk.column, chunk.pupil, chunk.space.padded_array)
        field: Tensor = torch.fft.ifft2(chunk.space.padded)
        return field

    def _fetch(self, spectrum: Tensor, fields: Tensor | None) -> Callable[[Chunk], Reals]:
        """Pairs of a chunk's fields: kept ones, or made again."""
        if fields is not None:
            kept = pairs(fields)
            return lambda chunk: kept[chunk.rows]
        source = spectrum.numpy()
        return lambda chunk: pairs(self._field(source, chunk))

    def _send_back(self, fields: Tensor, chunk: Chunk, back: Complexes) -> None:
        transformed = torch.fft.fft2(fields).numpy()
        compiled.scatter(transformed, *chunk.on_rows, chunk.column, chunk.pupil, back[chunk.batch])

    def _images(self, batch: int, rows: int, work: Scratch) -> Tensor:
        """Sums of images, at zero."""
        shape = (batch, rows, self._n**2)
        return work.get("images", shape, self._real, torch.device("cpu")).zero_()

    def _spectra(self, batch: int, work: Scratch) -> tuple[Tensor, Complexes]:
        """Sums of spectra, at zero, and the array behind them."""
        shape = (batch, self._size, self._size)
        totals = work.get("spectra", shape, self._complex, torch.device("cpu")).zero_()
        return totals, totals.numpy()

    # Chunks -----------------------------------------------------------------------------------------------

    def _chunks(self, batch: int) -> list[Chunk]:
        """All LEDs of all objects in chunks of nearly equal size."""
        most = max(1, CHUNK_BYTES // (self._n**2 * self._complex.itemsize))
        edges = np.linspace(0, self._leds, -(-self._leds // most) + 1).round().astype(int)
        spaces = {count: Space(count, self._n, self._complex) for count in np.diff(edges).tolist()}
        windows = self._windows
        return [
            Chunk(
                batch=b,
                leds=slice(first, last),
                rows=slice(b * self._leds + first, b * self._leds + last),
                row=windows.row[first:last],
                column=np.ascontiguousarray(windows.column[first:last, 0]),
                pupil=windows.pupil[first:last],
                on_rows=_on_rows(windows.row[first:last], self._size),
                space=spaces[last - first],
            )
            for b in range(batch)
            for first, last in pairwise(edges.tolist())
        ]

    def _run(self, batch: int, work: Scratch, part: Callable[[Chunk], None]) -> None:
        compiled.choose_threads(self._leds * self._n**2)
        for chunk in work.keep(("chunks", self, batch), lambda: self._chunks(batch)):
            part(chunk)


def pairs(fields: Tensor) -> Reals:
    """(..., n, n) complex -> (number of fields, 2 n n) reals, a view."""
    n = fields.shape[-1]
    found: Reals = torch.view_as_real(fields).view(-1, 2 * n * n).numpy()
    return found


def _on_rows(row: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which lines of which windows lie on each row of the spectrum, in LED order: starts, LEDs, lines."""
    order = np.argsort(row, axis=None, kind="stable")
    start = np.searchsorted(row.reshape(-1)[order], np.arange(size + 1))
    led, line = np.divmod(order, row.shape[1])
    return start, led, line
