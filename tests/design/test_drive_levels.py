"""What an LED array can show of continuous levels: codes, number of LEDs, frames that do not saturate."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychoui.design.drive_levels import longest_frames, shown_levels
from ptychoui.settings import Design

LEDS = 20
DARK = np.zeros(LEDS)


def shown(
    levels: NDArray[np.float64], light: NDArray[np.float64] = DARK, brightest: float = 2.0, **limits: object
) -> NDArray[np.float64]:
    everywhere = np.ones(levels.shape, dtype=bool)
    return shown_levels(levels, everywhere, Design(**limits), light, brightest)


def some_levels(seed: int = 0, rows: int = 4) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((rows, LEDS))


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
def test_every_level_is_the_nearest_whole_code(bits: int) -> None:
    levels, top = some_levels(bits), 2**bits - 1
    found = shown(levels, drive_bits=bits)
    ladder = np.arange(top + 1) / top
    for level, code in zip(levels.ravel(), found.ravel(), strict=True):
        assert code in ladder and abs(code - level) == pytest.approx(np.abs(ladder - level).min(), abs=1e-12)
    assert np.array_equal(shown(found, drive_bits=bits), found), "what is shown stays as it is"


def test_half_a_code_shines() -> None:
    assert shown(np.array([[0.5, 0.4999, 0.0, 1.0]]), np.zeros(4), drive_bits=1).tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize(("bits", "lit"), [(None, 3), (1, 3), (3, 5), (1, 50)])
def test_the_brightest_shine_and_no_more_than_may(bits: int | None, lit: int) -> None:
    levels = some_levels()
    found = shown(levels, drive_bits=bits, maximum_lit=lit)
    assert (np.count_nonzero(found, axis=1) <= lit).all()
    free = shown(levels, drive_bits=bits)
    for row, level, all_lit in zip(found, levels, free, strict=True):
        on = row > 0
        assert np.count_nonzero(on) == min(lit, np.count_nonzero(all_lit))
        assert np.array_equal(row[on], all_lit[on])
        assert level[on].min() > level[~on & (all_lit > 0)].max(initial=-1)


def test_equal_levels_are_spread_over_the_array() -> None:
    found = shown(np.ones((1, LEDS)), drive_bits=1, maximum_lit=5)
    gaps = np.diff(np.flatnonzero(found[0]))
    assert len(gaps) == 4 and gaps.min() >= 2 and gaps.max() <= 7
    assert np.array_equal(shown(found, drive_bits=1, maximum_lit=5), found)


def test_no_row_goes_dark_and_no_row_lights_beyond_its_band() -> None:
    levels = np.full((2, LEDS), 0.01)
    levels[0, 7] = 0.02
    mask = np.ones(levels.shape, dtype=bool)
    mask[1] = False
    mask[1, 12:15] = True
    found = shown_levels(np.where(mask, levels, 0), mask, Design(drive_bits=3), DARK, 2.0)
    assert np.flatnonzero(found[0]).tolist() == [7] and found[0, 7] == 1 / 7
    assert np.count_nonzero(found[1]) == 1 and found[1, 12:15].any()
    for lit in (None, 1):
        nothing = shown_levels(np.zeros((1, LEDS)), mask[1:], Design(drive_bits=1, maximum_lit=lit), DARK, 2.0)
        assert np.count_nonzero(nothing) == 1 and nothing[0, 12:15].any()
    beyond = shown_levels(np.ones((1, LEDS)), mask[1:], Design(drive_bits=1), DARK, 2.0)
    assert np.flatnonzero(beyond).tolist() == [12, 13, 14]


def test_a_row_too_bright_for_the_shortest_frame_loses_its_faintest_leds() -> None:
    """Two LEDs saturate at 1 frame, so 4 at half a frame, the shortest: of ten the four brightest stay."""
    levels = np.zeros((1, LEDS))
    levels[0, :10] = np.linspace(0.6, 1, 10)
    levels[0, 15] = 0.55  # in the dark field: it sends no direct light
    light = np.where(np.arange(LEDS) < 10, 1.0, 0.0)
    found = shown(levels, light, drive_bits=1, minimum_exposure=0.5)
    assert np.flatnonzero(found[0]).tolist() == [6, 7, 8, 9, 15]
    alone = shown(np.eye(LEDS)[:1], 9 * light, drive_bits=1, minimum_exposure=0.5)
    assert np.flatnonzero(alone[0]).tolist() == [0], "the last one stays"
    with_dark = shown(levels, 9 * light, drive_bits=1, minimum_exposure=0.5)
    assert np.flatnonzero(with_dark[0]).tolist() == [15]


def test_a_row_at_its_longest_frame_just_does_not_saturate() -> None:
    light = np.linspace(0, 1, LEDS)
    levels = shown(some_levels(), light, drive_bits=3)
    longest = longest_frames(levels, light, 2.0, 0.05)
    assert longest * (levels @ light) == pytest.approx(np.full(4, 2.0))
    assert np.isinf(longest_frames(levels, DARK, 2.0, 0.05)).all()
    assert longest_frames(np.ones((1, LEDS)), 100 * light, 2.0, 0.05).tolist() == [0.05]
