"""Slices of a volume whose readout was transformed already, as slabs of neighbours, and slabs as slices again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Slabs:
    """Slabs, and which slices they are made of.

    Attributes
    ----------
    data
        Examples of k-space, of shape (slab, coil, readout, row, column).
    slices
        (slab, readout) number of the example that each plane was.
    """

    data: KSpaceSet
    slices: NDArray[np.int64]


def as_slabs(data: KSpaceSet, thickness: int, overlap: int = 0) -> Slabs:
    """Join neighbouring slices of one source to slabs; the last slab of a source begins early rather than be thin.

    Parameters
    ----------
    data
        Slices, k-space of shape (example, coil, row, column), those of one source in order.
    thickness
        Slices of a slab.
    overlap
        Slices that neighbouring slabs of a source share at least.

    Raises
    ------
    SettingsError
        If the thickness is below 1, or the overlap not from 0 to below it.
    DataError
        If the examples are no slices, or a source has fewer than a slab.
    """
    if thickness < 1 or not 0 <= overlap < thickness:
        raise SettingsError(
            f"slabs of {counted(thickness, 'slice')} that share {overlap}",
            "choose a thickness of 1 or more, and an overlap from 0 to below it",
        )
    if data.acquisition != "2d":
        raise DataError(f"examples of a {data.acquisition} acquisition are no slices", "slabs are made of 2d examples")
    sources = np.array(data.source_of or (0,) * len(data))
    found: list[list[int]] = []
    for source in dict.fromkeys(sources.tolist()):
        places = np.flatnonzero(sources == source)
        if len(places) < thickness:
            raise DataError(
                f"source {source} has {counted(len(places), 'slice')}, fewer than a slab of {thickness}",
                "choose thinner slabs, or leave this source out",
            )
        last = len(places) - thickness
        starts = [*range(0, last, thickness - overlap), last]
        found += [places[start : start + thickness].tolist() for start in starts]
    slices = np.array(found, dtype=np.int64)

    def joined(array: NDArray[Any], axis: int) -> NDArray[Any]:
        return np.ascontiguousarray(np.moveaxis(array[slices], 1, axis))

    sampled = joined(data.sampled, 1)
    sampled = sampled[:, :1] if (sampled == sampled[:, :1]).all() else sampled
    new = replace(
        data,
        acquisition="slab",
        k_space=joined(data.k_space, 2),
        sampled=sampled,
        maps=None if data.maps is None else joined(data.maps, 2),
        truth=None if data.truth is None else joined(data.truth, 1),
        support=None if data.support is None else joined(data.support, 1),
        names=tuple(f"{data.names[one[0]]} to {data.names[one[-1]]}" for one in found) if data.names else (),
        source_of=tuple(int(sources[one[0]]) for one in found),
    )
    return Slabs(data=new, slices=slices)


def as_slices(images: NDArray[np.complexfloating], slabs: Slabs) -> NDArray[np.complex64]:
    """Images of slabs, (slab, readout, row, column), as slices, (example, row, column); those in several are averaged.

    Raises
    ------
    DataError
        If the images are not those of these slabs.
    """
    if images.shape[:2] != slabs.slices.shape or images.ndim != 4:
        raise DataError(
            f"images of shape {images.shape} are not of {counted(len(slabs.slices), 'slab')} of "
            f"{slabs.slices.shape[1]}",
            "give one image of (readout, row, column) for each slab",
        )
    count = np.bincount(slabs.slices.ravel())
    total = np.zeros((len(count), *images.shape[2:]), dtype=np.complex128)
    np.add.at(total, slabs.slices, images)
    return (total / np.maximum(count, 1)[:, None, None]).astype(np.complex64)
