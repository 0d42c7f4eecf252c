"""Slices become slabs and slices again; nothing of a slice is left behind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mri.coils import made

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.slabs import as_slabs, as_slices


def slices() -> KSpaceSet:
    data = made(examples=7, names=tuple("abcdefg"), source_of=(4, 4, 4, 4, 4, 9, 9))
    maps = data.maps * np.arange(1, 8, dtype=np.float32).reshape(7, 1, 1, 1)  # type: ignore[operator]
    return dataclasses.replace(data, maps=maps)


@pytest.mark.parametrize(
    ("thickness", "overlap", "expected"),
    [
        (2, 0, [[0, 1], [2, 3], [3, 4], [5, 6]]),
        (2, 1, [[0, 1], [1, 2], [2, 3], [3, 4], [5, 6]]),
        (1, 0, [[0], [1], [2], [3], [4], [5], [6]]),
    ],
)
def test_neighbours_of_one_source_are_joined(thickness: int, overlap: int, expected: list[list[int]]) -> None:
    data = slices()
    found = as_slabs(data, thickness, overlap)
    assert found.slices.tolist() == expected and found.data.acquisition == "slab"
    for slab, places in enumerate(expected):
        for plane, place in enumerate(places):
            for name in ("k_space", "maps"):
                assert np.array_equal(getattr(found.data, name)[slab][:, plane], getattr(data, name)[place])
            for name in ("truth", "support"):
                assert np.array_equal(getattr(found.data, name)[slab, plane], getattr(data, name)[place])
            assert np.array_equal(found.data.sampled[slab, 0], data.sampled[place])
    assert found.data.source_of[-1] == 9 and found.data.names[0] == ("a to b" if thickness == 2 else "a to a")
    assert found.data.sampled.shape[1] == 1
    assert np.allclose(as_slices(found.data.truth, found), data.truth)


def test_masks_of_their_own_stay() -> None:
    data = made(examples=2)
    sampled = data.sampled.copy()
    sampled[1, 9] = ~sampled[1, 9]
    found = as_slabs(dataclasses.replace(data, sampled=sampled), 2)
    assert found.data.sampled.shape == (1, 2, 32, 28) and np.array_equal(found.data.sampled[0], sampled)


def test_slices_in_several_slabs_are_averaged() -> None:
    found = as_slabs(made(examples=3), 2, 1)
    images = np.array([[1, 2], [4, 6]], np.complex64)[:, :, None, None] * np.ones((2, 2, 5, 4), np.complex64)
    assert np.array_equal(as_slices(images, found)[:, 0, 0], [1, 3, 6])


def test_slabs_that_cannot_be() -> None:
    data = slices()
    for thickness, overlap in ((0, 0), (2, 2), (2, -1)):
        with pytest.raises(SettingsError, match="slabs of"):
            as_slabs(data, thickness, overlap)
    with pytest.raises(DataError, match="source 9 has 2 slices"):
        as_slabs(data, 3)
    with pytest.raises(DataError, match="are no slices"):
        as_slabs(made("cine"), 2)
    with pytest.raises(DataError, match="are not of 1 slab of 2"):
        as_slices(np.ones((1, 3, 4, 4), complex), as_slabs(made(examples=2), 2))
