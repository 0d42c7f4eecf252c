"""Starting designs: what each row may light, and light."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.design import starts
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.settings import Array, Design, Measurement

NA = 0.2


def leds(**changes: Any) -> LedArray:
    """49 LEDs, 21 of them in the bright field."""
    return led_array(
        Array(**({"kind": "lattice", "rows": 7, "columns": 7, "pitch_mm": 4.0, "height_mm": 46.0} | changes))
    )


def design(bright: int = 2, dark: int = 3, **changes: Any) -> Design:
    return Design(bright_field_rows=bright, dark_field_rows=dark, **changes)


def make(name: str, d: Design, seed: int = 0, array: LedArray | None = None) -> np.ndarray:
    return starts.STARTS[name](d, array or leds(), NA, np.random.default_rng(seed))


@pytest.mark.parametrize("name", ["dense_random", "random_partition", "hybrid", "singles"])
@pytest.mark.parametrize("seed", range(5))
def test_rows_stay_in_their_band_at_full_level(name: str, seed: int) -> None:
    array = leds()
    levels = make(name, design(), seed)
    radius = np.hypot(*array.illumination_na.T)
    assert levels.shape == (5, 49)
    assert not levels[:2, radius >= NA].any() and not levels[2:, radius < NA].any()
    assert np.array_equal(levels.max(1), np.ones(5)) and levels.min() >= 0
    assert np.array_equal(levels, make(name, design(), seed))


def test_a_guard_band_stays_dark() -> None:
    array = leds()
    near = np.abs(np.hypot(*array.illumination_na.T) - NA) < 0.03
    assert near.any()
    for name in ("dense_random", "random_partition", "hybrid", "singles"):
        assert not make(name, design(guard_na=0.03))[:, near].any()


def test_a_partition_deals_every_led_once() -> None:
    levels = make("random_partition", design(3, 4))
    bright = leds().bright_field(NA)
    assert np.array_equal(levels[:3].sum(0), bright) and np.array_equal(levels[3:].sum(0), ~bright)
    counts = np.count_nonzero(levels, axis=1)
    assert max(counts[:3]) - min(counts[:3]) <= 1 and max(counts[3:]) - min(counts[3:]) <= 1


def test_a_partition_with_more_rows_than_leds_deals_again() -> None:
    few = leds(rows=3, columns=3, pitch_mm=8.0)
    levels = make("random_partition", design(7, 6), array=few)
    assert np.all(np.count_nonzero(levels, axis=1) >= 1)


def test_the_first_hybrid_row_is_the_top_half_and_four_rows_cover_all_sides() -> None:
    array = leds()
    x, y = array.illumination_na.T
    bright = array.bright_field(NA)
    levels = make("hybrid", design(4, 2))
    for row, side in enumerate((y, -x, -y, x)):
        assert np.array_equal(levels[row] > 0, bright & (side > 1e-9))
    assert np.array_equal(levels[4:].sum(0), ~bright)


def test_half_circles_measure_no_dark_field() -> None:
    levels = make("half_circles", design(1, 5))
    assert levels.shape == (6, 49) and not levels[:, ~leds().bright_field(NA)].any()
    assert np.all(np.count_nonzero(levels, axis=1) > 5)
    assert len({tuple(row) for row in levels}) == 6


def test_singles_light_one_led_each_and_all_different() -> None:
    levels = make("singles", design(3, 6))
    assert np.array_equal(np.count_nonzero(levels, axis=1), np.ones(9))
    assert np.count_nonzero(levels.any(0)) == 9


def test_the_sequential_stack_is_every_led_in_turn() -> None:
    assert np.array_equal(starts.sequential(leds()), np.eye(49))


def test_bands_without_leds_are_refused() -> None:
    with pytest.raises(SettingsError, match="3 dark-field rows are asked for, but no LED lies in the dark field"):
        make("dense_random", design(), array=leds(rows=3, columns=3))
    with pytest.raises(SettingsError, match="no LED lies in the bright field") as error:
        make("dense_random", design(), array=leds(pose={"shift_x_mm": 60.0}))
    assert "height, pitch and shift" in error.value.hint


def test_normalised_rows_and_empty_rows() -> None:
    found = starts.normalised(np.array([[0.2, 0.1], [0.0, 0.0], [3.0, 1.5]]))
    assert found.tolist() == [[1, 0.5], [0, 0], [1, 0.5]]


def test_dimmed_rows_keep_their_ratios_and_end_at_four_fifths_of_the_well() -> None:
    array, rng = leds(falloff="cos4"), np.random.default_rng(0)
    settings = Measurement(photons_per_led=1e4, full_well=3e4)
    levels, exposures = rng.random((4, 49)), np.array([0.5, 1.0, 2.0, 0.01])
    found = starts.dimmed(levels, exposures, array, NA, settings)
    r = np.hypot(*array.positions_mm[:, :2].T)
    gain, bright = (46 / np.hypot(r, 46)) ** 4, r / np.hypot(r, 46) < NA
    electrons = 1e4 * exposures * (found * gain * bright).sum(1)
    assert electrons[:3] == pytest.approx([2.4e4] * 3, rel=1e-12)
    assert np.array_equal(found[3], levels[3])
    factor = found[:3] / levels[:3]
    assert np.abs(factor - factor[:, :1]).max() < 1e-12 and factor.max() < 1
    dark = levels * ~bright
    assert np.array_equal(starts.dimmed(dark, exposures, array, NA, settings), dark)


def test_start_exposures_share_the_total() -> None:
    assert starts.start_exposures(design()).tolist() == [1] * 5
    assert starts.start_exposures(design(total_exposure=2.0)).tolist() == [0.4] * 5
    with pytest.raises(SettingsError, match=r"a total exposure of 0\.1 frames leaves 0\.02 for each of 5 rows"):
        starts.start_exposures(design(total_exposure=0.1))


def test_row_names() -> None:
    assert starts.row_names(design(1, 2)) == ("bright field 1", "dark field 1", "dark field 2")
