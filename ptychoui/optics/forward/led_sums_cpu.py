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

from ptychoui.engine.allocator import APART_FROM
from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward import compiled
from ptychoui.optics.forward.led_sums import LedSums, Light, PupilWindows
from ptychoui.optics.geometry.pupil_series import PupilSeries

CHUNK_BYTES = 2**21
"""Fields of one chunk for every thread: with the images beside them they fill its second-level cache.

All threads together have `LARGEST_CHUNK_BYTES` at most.
"""

LARGEST_CHUNK_BYTES = APART_FROM - 2**16
"""However many threads there are: transforms make fresh arrays, and those with pages of their own are slow."""

Reals = NDArray[np.floating]
Complexes = NDArray[np.complexfloating]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some LEDs of one object, and workspaces for them.

    Rows and columns of the windows are (l, w), pupils (l, w, w).
    """

    batch: int
    leds: slice
    rows: slice  # of the fields of all objects, (B L, 2 n n)
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    pupil: Complexes
    space: Space


class Space:
    """Workspaces for a chunk, as tensors and as the flat arrays that compiled loops take.

    ``padded`` and ``product`` are (l, n, n) complex, the others (l, n n) real.
    """

    def __init__(self, padded: Tensor, product: Tensor, image: Tensor, weight: Tensor, change: Tensor) -> None:
        self.padded, self.product = padded, product
        self.image, self.weight, self.change = image, weight, change
        self.padded_array = self.padded.numpy()
        self.product_pairs = pairs(self.product)
        self.image_array, self.weight_array = self.image.numpy(), self.weight.numpy()
        self.change_array = self.change.numpy()

    @staticmethod
    def of(leds: int, n: int, dtype: torch.dtype) -> Space:
        """Workspaces for chunks of up to so many LEDs."""
        real = [torch.empty(leds, n * n, dtype=dtype.to_real()) for _ in range(3)]
        return Space(torch.zeros(leds, n, n, dtype=dtype), torch.empty(leds, n, n, dtype=dtype), *real)

    def part(self, leds: int) -> Space:
        """The same for a smaller chunk."""
        return Space(self.padded[:leds], self.product[:leds], self.image[:leds], self.weight[:leds], self.change[:leds])


class CompiledLedSums(LedSums):
    """As in the base class; images and spectra that are returned are valid until the next pass.

    Parameters
    ----------
    stream
        Make the pupils of a chunk when it is passed, instead of keeping those of all LEDs.
    chunk_bytes
        Fields of one chunk, by default `CHUNK_BYTES` for every thread; a pass takes some six times as much beside its
        sums.
    """

    def __init__(self, windows: PupilWindows, stream: bool = False, chunk_bytes: int | None = None) -> None:
        compiled.prepare(windows.dtype.name)
        self._windows, self._asked_bytes = windows, chunk_bytes
        self._pupil = None if stream else windows.pupils()
        self._series = PupilSeries.of(windows.microscope, windows.step_per_um)
        self._leds = len(windows)
        self._n, self._size = windows.field_px, windows.object_px
        self._complex = torch.complex64 if windows.dtype == np.complex64 else torch.complex128
        self._real = self._complex.to_real()

    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """As in the base class: (B, N, N) -> (B, L, n, n)."""
        out = spectrum.new_empty((len(spectrum), self._leds, self._n, self._n))
        source = spectrum.numpy()

        def part(chunk: Chunk) -> None:
            out[chunk.batch, chunk.leds] = self._field(source, chunk)

        self._run(len(spectrum), work, part)
        return out

    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """As in the base class: (B, L, n, n) -> (B, N, N)."""
        totals, back = self._spectra(len(fields), work)

        def part(chunk: Chunk) -> None:
            self._send_back(fields[chunk.batch, chunk.leds], chunk, back)

        self._run(len(fields), work, part)
        return totals

    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """As in the base class: spectrum (B, N, N) -> images (B, M, n, n)."""
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

    def weighted_adjoint(self, light: Light, weights: Tensor, images: Tensor, work: Scratch) -> Tensor:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N)."""
        batch = len(light.spectrum)
        totals, back = self._spectra(batch, work)
        fetch = self._fetch(light)
        images, transposed = images.flatten(2), weights.T.contiguous()

        def part(chunk: Chunk) -> None:
            space = chunk.space
            torch.mm(transposed[chunk.leds], images[chunk.batch], out=space.weight)
            compiled.scale(fetch(chunk), space.weight_array, space.product_pairs)
            self._send_back(space.product, chunk, back)

        self._run(batch, work, part)
        return totals

    def mixed_cross(
        self, light: Light, direction: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch
    ) -> Tensor:
        """As in the base class: direction (B, N, N) -> images (B, M, n, n)."""
        totals = self._images(len(direction), len(weights), work)
        source, kept = direction.numpy(), None if keep is None else pairs(keep)
        fetch = self._fetch(light)

        def part(chunk: Chunk) -> None:
            b = pairs(self._field(source, chunk))
            if kept is None:
                compiled.cross(fetch(chunk), b, chunk.space.image_array)
            else:
                compiled.cross_and_keep(fetch(chunk), b, chunk.space.image_array, kept[chunk.rows])
            totals[chunk.batch].addmm_(weights[:, chunk.leds], chunk.space.image)

        self._run(len(direction), work, part)
        return totals.view(len(direction), -1, self._n, self._n)

    def mixed_both(self, spectrum: Tensor, direction: Tensor, weights: Tensor, work: Scratch) -> tuple[Tensor, Tensor]:
        """As in the base class, (B, N, N) twice -> (B, M, n, n) twice; fields of both are made once."""
        mixed = self._images(len(spectrum), len(weights), work)
        crossed = self._images(len(spectrum), len(weights), work, "crossed")
        source, other = spectrum.numpy(), direction.numpy()

        def part(chunk: Chunk) -> None:
            u, image = pairs(self._field(source, chunk)), chunk.space.image
            compiled.square(u, chunk.space.image_array)
            mixed[chunk.batch].addmm_(weights[:, chunk.leds], image)
            compiled.cross(u, pairs(self._field(other, chunk)), chunk.space.image_array)
            crossed[chunk.batch].addmm_(weights[:, chunk.leds], image)

        self._run(len(spectrum), work, part)
        shape = len(spectrum), -1, self._n, self._n
        return mixed.view(shape), crossed.view(shape)

    def product_adjoint(
        self, light: Light, along: Light, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor]:
        """As in the base class: images (B, M, n, n) -> spectrum (B, N, N) and sums (M, L)."""
        return self._product(light, along, weights, images, changes, work, None)

    def adjoint_both(
        self, spectrum: Tensor, direction: Tensor, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As in the base class, (B, N, N) twice -> the same and (M, L); fields of both are made once."""
        gradient, back = self._spectra(len(spectrum), work, "gradient")
        found = self._product(Light(spectrum), Light(direction), weights, images, changes, work, back)
        return gradient, *found

    def _product(
        self,
        light: Light,
        along: Light,
        weights: Tensor,
        images: Tensor,
        changes: Tensor,
        work: Scratch,
        gradient: Complexes | None,
    ) -> tuple[Tensor, Tensor]:
        batch = len(light.spectrum)
        totals, back = self._spectra(batch, work)
        fetch, fetch_other = self._fetch(light), self._fetch(along)
        images, changes, transposed = images.flatten(2), changes.flatten(2), weights.T.contiguous()
        correlations = weights.new_empty((batch, *transposed.shape))

        def part(chunk: Chunk) -> None:
            space, image, change = chunk.space, images[chunk.batch], changes[chunk.batch]
            torch.mm(transposed[chunk.leds], image, out=space.weight)
            u = fetch(chunk)
            if gradient is not None:
                compiled.scale(u, space.weight_array, space.product_pairs)
                self._send_back(space.product, chunk, gradient)
            b, found = fetch_other(chunk), correlations[chunk.batch, chunk.leds]
            compiled.cross(u, b, space.image_array)
            # Few rows times many: a third of the time of many times few.
            correlated = image @ space.image.T
            compiled.square(u, space.image_array)
            found.copy_(correlated.addmm_(change, space.image.T).T)
            torch.mm(transposed[chunk.leds], change, out=space.change)
            compiled.combine(u, space.change_array, b, space.weight_array, space.product_pairs)
            self._send_back(space.product, chunk, back)

        self._run(batch, work, part)
        return totals, correlations.sum(0).T

    # Pieces -----------------------------------------------------------------------------------------------

    def _field(self, source: Complexes, chunk: Chunk) -> Tensor:
        compiled.gather(source[chunk.batch], chunk.row, chunk.column, chunk.pupil, chunk.space.padded_array)
        field: Tensor = torch.fft.ifft2(chunk.space.padded)
        return field

    def _fetch(self, light: Light) -> Callable[[Chunk], Reals]:
        """Pairs of a chunk's fields: kept ones, or made again."""
        if light.fields is not None:
            kept = pairs(light.fields)
            return lambda chunk: kept[chunk.rows]
        source = light.spectrum.numpy()
        return lambda chunk: pairs(self._field(source, chunk))

    def _send_back(self, fields: Tensor, chunk: Chunk, back: Complexes) -> None:
        transformed = torch.fft.fft2(fields).numpy()
        compiled.scatter(transformed, chunk.row, chunk.column, chunk.pupil, back[chunk.batch])

    def _images(self, batch: int, rows: int, work: Scratch, name: str = "images") -> Tensor:
        """Sums of images, at zero."""
        shape = (batch, rows, self._n**2)
        return work.get(name, shape, self._real, torch.device("cpu")).zero_()

    def _spectra(self, batch: int, work: Scratch, name: str = "spectra") -> tuple[Tensor, Complexes]:
        """Sums of spectra, at zero, and the array behind them."""
        shape = (batch, self._size, self._size)
        totals = work.get(name, shape, self._complex, torch.device("cpu")).zero_()
        return totals, totals.numpy()

    # Chunks -----------------------------------------------------------------------------------------------

    def _threads(self) -> int:
        """Threads that share a chunk."""
        return compiled.threads_for(self._leds * self._n**2)

    def _edges(self) -> list[int]:
        """Where chunks begin and end.

        They are of nearly equal size, or, in a stream, full but for the last: then the largest does not depend on the
        number of LEDs.
        """
        size = self._asked_bytes or min(CHUNK_BYTES * self._threads(), LARGEST_CHUNK_BYTES)
        most = max(1, size // (self._n**2 * self._complex.itemsize))
        if self._pupil is None:
            return [*range(0, self._leds, most), self._leds]
        edges: list[int] = np.linspace(0, self._leds, -(-self._leds // most) + 1).round().astype(int).tolist()
        return edges

    def _chunks(self) -> list[tuple[slice, Space, Complexes]]:
        """LEDs, workspaces and pupils of every chunk; in a stream the pupils are room for those of the chunk."""
        sizes = [last - first for first, last in pairwise(self._edges())]
        whole = Space.of(max(sizes), self._n, self._complex)
        spaces = {count: whole.part(count) for count in set(sizes)}
        w = self._windows.width
        # A tensor, so that the memory meter sees it.
        room = torch.empty(max(sizes) if self._pupil is None else 0, w, w, dtype=self._complex).numpy()
        found = []
        for first, last in pairwise(self._edges()):
            pupil = room[: last - first] if self._pupil is None else self._pupil[first:last]
            found.append((slice(first, last), spaces[last - first], pupil))
        return found

    def _run(self, batch: int, work: Scratch, part: Callable[[Chunk], None]) -> None:
        compiled.choose_threads(self._leds * self._n**2)
        row, column = self._windows.row, self._windows.column
        for leds, space, pupil in work.keep(("chunks", self, self._threads()), self._chunks):
            if self._pupil is None:
                self._make_pupils(leds, pupil)
            for b in range(batch):
                rows = slice(b * self._leds + leds.start, b * self._leds + leds.stop)
                part(Chunk(b, leds, rows, row[leds], column[leds], pupil, space))

    def _make_pupils(self, leds: slice, out: Complexes) -> None:
        if (s := self._series) is None:
            out[...] = self._windows.pupils(leds)
        else:
            as_reals = out.view(out.real.dtype)
            compiled.pupils(self._windows.fraction[leds], s.cutoff, s.medium, s.defocus, s.waves, as_reals)


def pairs(fields: Tensor) -> Reals:
    """(..., n, n) complex -> (number of fields, 2 n n) reals, a view."""
    n = fields.shape[-1]
    found: Reals = torch.view_as_real(fields).view(-1, 2 * n * n).numpy()
    return found
