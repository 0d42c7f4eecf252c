"""Levels of one pattern, by hand: against numbers that can be added up on paper."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.design import level_edits
from ptychoui.errors import SettingsError

LEVELS = np.array([0.0, 0.25, 0.5, 1.0])
CHOSEN = np.array([True, True, False, False])


def test_levels_are_set_within_what_an_led_can_give() -> None:
    assert level_edits.with_level(LEVELS, CHOSEN, 0.75).tolist() == [0.75, 0.75, 0.5, 1.0]
    assert level_edits.with_level(LEVELS, CHOSEN, 7).tolist() == [1.0, 1.0, 0.5, 1.0]
    assert level_edits.with_level(LEVELS, CHOSEN, -1).tolist() == [0.0, 0.0, 0.5, 1.0]
    assert LEVELS.tolist() == [0.0, 0.25, 0.5, 1.0]


def test_inverting_twice_is_nothing() -> None:
    once = level_edits.inverted(LEVELS, CHOSEN)
    assert once.tolist() == [1.0, 0.75, 0.5, 1.0]
    assert level_edits.inverted(once, CHOSEN).tolist() == LEVELS.tolist()


def test_scaling_reaches_the_total_exposure_of_the_whole_pattern() -> None:
    chosen = np.array([False, True, True, False])
    scaled = level_edits.scaled_to_light(LEVELS, chosen, 2.0, 4.7)  # 2 x 1.0 stay, 1.5 become 2.7
    assert scaled * 2.0 == pytest.approx([0.0, 0.9, 1.8, 2.0])
    assert (scaled * 2.0).sum() == pytest.approx(4.7)
    with pytest.raises(SettingsError) as caught:
        level_edits.scaled_to_light(LEVELS, chosen, 2.0, 5.5)
    assert "level 1.17" in caught.value.message and "can give 5;" in caught.value.hint
    level_edits.scaled_to_light(LEVELS, chosen, 2.0, 5.0)


def test_scaling_says_what_cannot_be_done() -> None:
    with pytest.raises(SettingsError, match="dark"):
        level_edits.scaled_to_light(LEVELS, np.array([True, False, False, False]), 1.0, 1.0)
    with pytest.raises(SettingsError, match=r"give 1\.25 already"):
        level_edits.scaled_to_light(LEVELS, np.array([False, False, True, False]), 1.0, 1.0)


def test_mirrors_move_levels_or_add_what_lies_opposite() -> None:
    images = np.array([1, 0, 3, -1])
    assert level_edits.mirrored(LEVELS, images).tolist() == [0.25, 0.0, 1.0, 0.0]
    assert level_edits.symmetric(LEVELS, images).tolist() == [0.25, 0.25, 1.0, 1.0]
