from __future__ import annotations

import numpy as np
import pytest

from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.quality.split_leds import two_halves
from ptychoui.settings import Array


def test_a_lattice_becomes_a_chessboard() -> None:
    row, column = np.mgrid[-4:5, -4:5]
    half = two_halves(0.05 * np.column_stack([column.ravel(), row.ravel()]))
    board = ((row + column) % 2 == 0).ravel()
    assert np.array_equal(half, board) or np.array_equal(half, ~board)


def test_rings_are_shared_out_evenly_all_around() -> None:
    turns = [np.arange(count) * 2 * np.pi / count for count in (1, 8, 16, 24)]
    na = np.concatenate(
        [radius * np.column_stack([np.cos(a), np.sin(a)]) for radius, a in zip((0, 0.1, 0.2, 0.3), turns, strict=True)]
    )
    half = two_halves(na)
    assert abs(int(half.sum()) - int((~half).sum())) <= 3
    for side in (half, ~half):
        for angle in np.arange(4) * np.pi / 2 + 0.4:
            wedge = (na @ np.array([np.cos(angle), np.sin(angle)])) > 0.18
            assert 0.3 < side[wedge].mean() < 0.7


def test_few_leds_have_no_halves() -> None:
    with pytest.raises(DataError, match="too few"):
        two_halves(np.zeros((4, 2)))


def test_leds_without_neighbours_are_shared_out() -> None:
    array = Array(kind="rings", height_mm=80.0, ring_radii_mm=(0.0, 4.0, 8.0, 20.0), ring_counts=(1, 6, 12, 12))
    na = led_array(array).illumination_na
    first = two_halves(na)
    outer = np.hypot(*na.T) > 0.2
    assert outer.sum() == 12 and first[outer].sum() == 6
    around = first[outer][np.argsort(np.arctan2(*na[outer].T))]
    assert (around != np.roll(around, 1)).sum() >= 10
