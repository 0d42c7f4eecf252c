"""The calibration region: the middle of k-space that is sampled whole, from which maps and scales come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import TRANSFORMED, KSpaceSet
from ptychoui.errors import DataError
from ptychoui.words import joined

LEAST, LARGEST = 1e-15, 1e15
"""Between these the largest sample lies: their squares are numbers of single precision, with room for sums."""


def calibration_size(sampled: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Edges of the largest block around the zero frequency that is sampled whole.

    The block is the largest cube (a side ends where its axis does), which then grows along each axis by itself, the
    last axis first. A block of n samples holds the frequencies -(n // 2) to n - 1 - n // 2.

    Parameters
    ----------
    sampled
        (..., *shape) bool, zero frequency first; transformed axes may have length 1 where nothing depends on them. Of
        leading axes (readout, examples) all must be sampled.
    shape
        Lengths of the transformed axes.

    Returns
    -------
    tuple
        One length for each transformed axis; all 0 where the zero frequency is not sampled.

    Raises
    ------
    DataError
        If the mask has fewer axes than k-space, or others.
    """
    axes = len(shape)
    if sampled.ndim < axes or any(n not in (1, full) for n, full in zip(sampled.shape[-axes:], shape, strict=True)):
        raise DataError(
            f"a sampling mask of shape {sampled.shape} does not fit k-space of {shape}",
            "it has one axis for each that is transformed, of equal length or 1",
        )
    whole = np.broadcast_to(sampled.all(axis=tuple(range(sampled.ndim - axes))), shape)
    missing = np.argwhere(~whole)
    if not len(missing):
        return shape
    # Edge of the smallest centred block that holds a frequency, along each axis: (sample, axis).
    needed = np.stack([_needed(n)[missing[:, axis]] for axis, n in enumerate(shape)], axis=1)
    cube = int(needed.max(axis=1).min()) - 1
    size = [min(cube, n) for n in shape]
    if cube == 0:
        return (0,) * axes
    for axis in reversed(range(axes)):
        inside = np.ones(len(needed), dtype=bool)
        for other in set(range(axes)) - {axis}:
            inside &= needed[:, other] <= size[other]
        size[axis] = int(needed[inside, axis].min()) - 1 if inside.any() else shape[axis]
    return tuple(size)


def _needed(length: int) -> NDArray[np.int64]:
    """(frequency,) edge of the smallest centred block that holds each frequency, zero frequency first."""
    steps = np.rint(np.fft.fftfreq(length) * length).astype(np.int64)
    return np.asarray(np.where(steps < 0, -2 * steps, 2 * steps + 1), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The calibration data of one example.

    Attributes
    ----------
    k_space
        Of shape (coil, plane, *transformed), complex64, zero frequency first: the readout of a slab is the plane, of
        other acquisitions there is one. Cine is averaged over the frames that measured a sample. Samples outside the
        calibration region are still there.
    size
        Edges of the calibration region, see `calibration_size`.
    """

    k_space: NDArray[np.complex64]
    size: tuple[int, ...]

    @property
    def block(self) -> NDArray[np.complex64]:
        """Of shape (coil, plane, *transformed): the same with zeros outside the calibration region."""
        shape = self.k_space.shape[2:]
        inside = np.ones(shape, dtype=bool)
        for axis, (n, edge) in enumerate(zip(shape, self.size, strict=True)):
            inside &= (_needed(n) <= edge).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return np.asarray(self.k_space * inside, dtype=np.complex64)

    def images(self) -> NDArray[np.complex64]:
        """Of shape (coil, plane, *space): images of the region alone, under a Hann window so that edges do not ring."""
        block: NDArray[np.complexfloating] = self.block
        shape = block.shape[2:]
        for axis, (n, edge) in enumerate(zip(shape, self.size, strict=True)):
            window = 0.5 + 0.5 * np.cos(2 * np.pi * np.fft.fftfreq(n) * n / (edge + 1))
            block = block * window.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return np.asarray(np.fft.ifftn(block, axes=tuple(range(-len(shape), 0)), norm="ortho"), dtype=np.complex64)


def calibration_of(data: KSpaceSet, place: int, smallest: int = 1) -> Calibration:
    """Take the calibration data of an example, and refuse those from which nothing can follow.

    Parameters
    ----------
    data
        Examples of k-space, (example, coil, *space).
    place
        Number of the example.
    smallest
        Shortest edge of the region that will do, in samples.

    Raises
    ------
    DataError
        If the middle of k-space is not sampled whole, the region is too small or zero, or a coil measured only zeros.
    """
    axes = TRANSFORMED[data.acquisition]
    k_space, sampled = data.k_space[place], data.sampled[place]
    shape = k_space.shape[-axes:]
    if data.acquisition == "cine":
        whole = np.broadcast_to(sampled, k_space.shape[1:])
        count = whole.sum(axis=0)
        k_space = (k_space * whole).sum(axis=1) / np.maximum(count, 1)
        sampled = count > 0
    name = data.names[place] if data.names else f"example {place}"
    size = calibration_size(sampled, shape)
    if 0 in size:
        raise DataError(
            f"{name} has no calibration region: its mask leaves out the zero frequency",
            "measure the middle of k-space whole, or give coil maps and a scale with the data",
        )
    if min(size) < smallest:
        raise DataError(
            f"the calibration region of {name} has {' x '.join(map(str, size))} samples, at least {smallest} along "
            "each axis are needed",
            "measure more of the middle of k-space, or choose a smaller kernel",
        )
    planes = k_space.shape[1:-axes] if data.acquisition == "slab" else (1,)
    found = Calibration(k_space=k_space.reshape(len(k_space), *planes, *shape).astype(np.complex64), size=size)
    if not found.block.any():
        raise DataError(
            f"the middle of the k-space of {name} is zero although its mask says that it was measured",
            "check that mask and k-space have the zero frequency at the same place",
        )
    largest = float(np.abs(found.block).max())
    if not LEAST < largest < LARGEST:
        raise DataError(
            f"the k-space of {name} has values near {largest:.0e}, which single precision cannot work with",
            f"multiply the data by one number, so that they lie between {LEAST:g} and {LARGEST:g}",
        )
    if dead := [coil for coil, samples in enumerate(data.k_space[place]) if not samples.any()]:
        raise DataError(
            f"{name}: {'coil' if len(dead) == 1 else 'coils'} {joined([str(coil) for coil in dead])} measured only "
            "zeros (coils are counted from 0)",
            "leave it out of the file" if len(dead) == 1 else "leave them out of the file",
        )
    return found
