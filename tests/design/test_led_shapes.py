"""Shapes on a lattice of 0.1 NA, whose members can be counted by hand, and brushes, mirrors and neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.design import led_shapes
from ptychoui.design.led_shapes import SHAPES, shape_mask
from ptychoui.errors import SettingsError

GRID = np.array([(x / 10, y / 10) for y in range(-2, 3) for x in range(-2, 3)])
"""25 LEDs, row by row from below; place 12 is on the axis."""


def places(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(round(10 * x), round(10 * y)) for x, y in GRID[mask]}


def of(key: str, *values: float, levels: np.ndarray | None = None, allowed: np.ndarray | None = None) -> np.ndarray:
    names = [number.name for number in SHAPES[key].numbers]
    levels = np.zeros(25) if levels is None else levels
    allowed = np.ones(25, bool) if allowed is None else allowed
    numbers = dict(zip(names, values, strict=True))
    return shape_mask(key, numbers, GRID, 0.15, levels, allowed, np.random.default_rng(3))


def test_a_ring_has_both_its_edges() -> None:
    assert places(of("ring", 0.1, 0.1)) == {(1, 0), (-1, 0), (0, 1), (0, -1)}
    assert places(of("ring", 0.1, 0.2)) == {
        (x, y) for x in range(-2, 3) for y in range(-2, 3) if 1 <= x * x + y * y <= 4
    }


def test_halves_leave_the_line_between_them_out() -> None:
    assert places(of("half", 0)) == {(x, y) for x in (1, 2) for y in range(-2, 3)}
    assert places(of("half", 90)) == {(x, y) for y in (1, 2) for x in range(-2, 3)}
    assert places(of("half", 180)) == {(x, y) for x in (-1, -2) for y in range(-2, 3)}


def test_quadrants_share_no_led_and_leave_only_the_axis_out() -> None:
    four = np.array([of("quadrant", turn) for turn in (0, 90, 180, 270)])
    assert (four.sum(0) == np.where(np.arange(25) == 12, 0, 1)).all()
    assert places(four[0]) == {(x, y) for x in (1, 2) for y in (0, 1, 2)}
    assert places(of("quadrant", -45)) == {(1, -1), (1, 0), (2, -2), (2, -1), (2, 0), (2, 1)}


def test_a_disc_lies_about_its_middle() -> None:
    assert places(of("disc", 0.1, 0.2, 0.1)) == {(1, 2), (0, 2), (2, 2), (1, 1)}


def test_fields_divide_at_the_objective() -> None:
    bright = {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}
    assert places(of("bright")) == bright
    assert places(of("dark")) == {(round(10 * x), round(10 * y)) for x, y in GRID} - bright
    assert of("all").all()


def test_random_leds_are_as_many_as_asked_for_and_allowed() -> None:
    allowed = np.arange(25) % 2 == 0
    chosen = of("random", 5, allowed=allowed)
    assert chosen.sum() == 5 and not (chosen & ~allowed).any()
    assert of("random", 13, allowed=allowed).sum() == 13
    with pytest.raises(SettingsError, match="14 LEDs at random: this pattern may light 13"):
        of("random", 14, allowed=allowed)


def test_levels_choose_with_both_limits() -> None:
    levels = np.linspace(0, 1, 25)
    assert np.flatnonzero(of("above", 0.5, 1, levels=levels)).tolist() == list(range(12, 25))
    assert np.flatnonzero(of("above", 0.25, 0.5, levels=levels)).tolist() == list(range(6, 13))


@pytest.mark.parametrize("key", ["ring", "above"])
def test_what_ends_before_it_begins_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="lies above"):
        of(key, 0.4, 0.3)


def test_a_brush_touches_what_its_way_passes() -> None:
    # From (-2, 0) to (2, 0), wide enough for its own row alone; then for three.
    assert places(led_shapes.touched(GRID, (-0.2, 0), (0.2, 0), 0.05)) == {(x, 0) for x in range(-2, 3)}
    assert places(led_shapes.touched(GRID, (-0.2, 0), (0.2, 0), 0.1001)) == {
        (x, y) for x in range(-2, 3) for y in (-1, 0, 1)
    }
    assert places(led_shapes.touched(GRID, (0.1, 0.1), (0.1, 0.1), 0.05)) == {(1, 1)}
    assert places(led_shapes.touched(GRID, (-0.2, -0.2), (0.2, 0.2), 0.05)) == {(i, i) for i in range(-2, 3)}
    # Not beyond its ends.
    assert places(led_shapes.touched(GRID, (0, 0), (0.1, 0), 0.05)) == {(0, 0), (1, 0)}


def test_the_pitch_is_the_distance_of_neighbours() -> None:
    assert led_shapes.pitch_of(GRID) == pytest.approx(0.1)
    assert led_shapes.pitch_of(GRID[:1]) == 0.0


@pytest.mark.parametrize(("mirror", "signs"), [("left-right", (-1, 1)), ("up-down", (1, -1)), ("half turn", (-1, -1))])
def test_opposite_leds_are_mirror_images(mirror: str, signs: tuple[int, int]) -> None:
    images = led_shapes.opposite(GRID, mirror)
    assert np.allclose(GRID[images], GRID * signs)
    assert (images[images] == np.arange(25)).all()


def test_an_array_that_stands_aside_finds_the_nearest_or_none() -> None:
    shifted = GRID + np.array([0.03, 0])
    images = led_shapes.opposite(shifted, "left-right")
    found = images >= 0
    assert found.all() or (np.abs(shifted[images[found]] - shifted[found] * (-1, 1)).max() <= 0.06)
    corner = np.array([(0.1, 0.1), (0.2, 0.1), (0.3, 0.1)])
    assert (led_shapes.opposite(corner, "half turn") == -1).all()


def test_two_mirrors_give_four_leds() -> None:
    chosen = np.zeros(25, bool)
    chosen[np.flatnonzero((GRID == (0.2, 0.1)).all(1))] = True
    images = tuple(led_shapes.opposite(GRID, mirror) for mirror in ("left-right", "up-down"))
    assert places(led_shapes.with_opposites(chosen, images)) == {(2, 1), (-2, 1), (2, -1), (-2, -1)}
    assert places(chosen) == {(2, 1)}


def test_an_led_without_an_opposite_lights_no_other() -> None:
    images = (np.array([-1, 2, 1, -1]),)
    chosen = np.array([True, True, False, False])
    assert led_shapes.with_opposites(chosen, images).tolist() == [True, True, True, False]


def test_keys_walk_straight_and_stop_at_the_edge() -> None:
    at = 12
    for direction, expected in (((1, 0), (1, 0)), ((0, 1), (1, 1)), ((-1, 0), (0, 1)), ((0, -1), (0, 0))):
        at = led_shapes.neighbour(GRID, at, direction)
        assert tuple(np.round(10 * GRID[at])) == expected
    edge = int(np.flatnonzero((GRID == (0.2, 0.0)).all(1))[0])
    assert led_shapes.neighbour(GRID, edge, (1, 0)) == edge
