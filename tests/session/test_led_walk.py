"""A walk over LEDs finds how the numbers run, against places worked out here from rows and columns alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptychoui.optics.geometry.led_array import led_array
from ptychoui.session.led_walk import DEAD, LONGEST_SHORT, SHORT, Verdict, Walk, layouts_of
from ptychoui.settings import Geometry

MICROSCOPE = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 5.0}


def geometry(rows: int = 6, columns: int = 6, **array: Any) -> Geometry:
    values = {"kind": "lattice", "rows": rows, "columns": columns, "pitch_mm": 4.0, "height_mm": 80.0} | array
    return Geometry(microscope=MICROSCOPE, array=values)  # type: ignore[arg-type]


def site(number: int, rows: int, columns: int) -> tuple[int, int]:
    return divmod(number, columns)


WIRED: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    # number, rows, columns -> row, column where it really shines (row 0 at the top)
    "as it is": lambda n, r, c: divmod(n, c),
    "serpentine": lambda n, r, c: (n // c, n % c if n // c % 2 == 0 else c - 1 - n % c),
    "columns": lambda n, r, c: (n % r, n // r),
    "column serpentine": lambda n, r, c: (n % r if n // r % 2 == 0 else r - 1 - n % r, n // r),
    "other way": lambda n, r, c: divmod(r * c - 1 - n, c),
    "left to right": lambda n, r, c: (n // c, c - 1 - n % c),
    "top to bottom": lambda n, r, c: (r - 1 - n // c, n % c),
    "clockwise": lambda n, r, c: (n % c, c - 1 - n // c),
    "anticlockwise": lambda n, r, c: (c - 1 - n % c, n // c),
    "serpentine from below": lambda n, r, c: (r - 1 - n // c, n % c if n // c % 2 == 0 else c - 1 - n % c),
}
WORDS = {
    "as it is": "as the geometry says",
    "serpentine": "serpentine",
    "columns": "numbered by columns",
    "column serpentine": "numbered by columns, every second one backwards",
    "other way": "run the other way",
    "left to right": "mirrored left to right",
    "top to bottom": "mirrored top to bottom",
    "clockwise": "90 degrees clockwise",
    "anticlockwise": "90 degrees anticlockwise",
    "serpentine from below": "serpentine",
}


def walked(walk: Walk, wired: Callable[[int, int, int], tuple[int, int]], rows: int, columns: int) -> Verdict:
    """Answer as somebody does who sees an array that is wired so."""
    while (number := walk.current) is not None:
        row, column = wired(number, rows, columns)
        walk.answer(row * columns + column)
    return walk.verdict()


@pytest.mark.parametrize("name", WIRED)
def test_a_short_walk_finds_how_the_numbers_run(name: str) -> None:
    given = geometry()
    walk = Walk(given, layouts_of(given))
    verdict = walked(walk, WIRED[name], 6, 6)
    assert verdict.sure and WORDS[name] in verdict.sentence, verdict
    assert len(walk.answers) == SHORT
    if name == "as it is":
        assert verdict.geometry is None
        return
    assert verdict.geometry is not None
    leds = led_array(verdict.geometry.array)
    for number, place in zip(leds.numbers, leds.positions_mm, strict=True):
        row, column = WIRED[name](int(number), 6, 6)
        np.testing.assert_allclose(place[:2], [(column - 2.5) * 4, (2.5 - row) * 4], atol=1e-9)


POSES = (
    {"pose": {"shift_x_mm": 1.0, "shift_y_mm": -3.0, "rotation_deg": 3.0}},
    {"center_row": 1.3, "center_column": 4.0},
    {"center_row": 2.0, "pose": {"rotation_deg": 90.0}},
)


@pytest.mark.parametrize("where", POSES)
@pytest.mark.parametrize("name", ["serpentine", "other way", "clockwise", "left to right"])
def test_an_array_is_judged_where_it_stands(name: str, where: dict[str, Any]) -> None:
    """The places of the LEDs stay the same; only the numbers change."""
    given = geometry(**where)
    verdict = walked(Walk(given, layouts_of(given)), WIRED[name], 6, 6)
    words = WORDS[name] if where is not POSES[2] or name != "left to right" else "mirrored top to bottom"
    assert verdict.geometry is not None and words in verdict.sentence
    right = led_array(verdict.geometry.array).positions_mm[:, :2]
    was = led_array(given.array).positions_mm[:, :2]
    for number in range(36):
        row, column = WIRED[name](number, 6, 6)
        seen, now = was[row * 6 + column], right[number]
        np.testing.assert_allclose(now, seen, atol=1e-9)


@pytest.mark.parametrize("pose", [{"flip_x": True}, {"swap_xy": True}, {"flip_y": True, "swap_xy": True}])
@pytest.mark.parametrize("turn", ["mirrored left to right", "mirrored top to bottom", "90 degrees clockwise"])
def test_words_are_those_of_the_plot_whatever_the_pose(turn: str, pose: dict[str, Any]) -> None:
    given = geometry(pose=pose)
    walk = Walk(given, layouts_of(given))
    moved = {"mirrored left to right": (-1, 1), "mirrored top to bottom": (1, -1)}
    while (number := walk.current) is not None:
        x, y = walk.places_mm[number]
        seen = (y, -x) if turn not in moved else (x * moved[turn][0], y * moved[turn][1])
        walk.answer(int(np.argmin(np.hypot(*(walk.places_mm - seen).T))))
    verdict = walk.verdict()
    assert verdict.sure and turn in verdict.sentence


def test_tiles_are_known() -> None:
    given = geometry(16, 16)

    def tiled(number: int, rows: int, columns: int) -> tuple[int, int]:
        tile, inside = divmod(number, 64)
        return 8 * (tile // 2) + inside // 8, 8 * (tile % 2) + inside % 8

    verdict = walked(Walk(given, layouts_of(given)), tiled, 16, 16)
    assert verdict.sure and "tiles of 8 x 8" in verdict.sentence and verdict.geometry is not None


def test_rings_that_run_the_other_way() -> None:
    rings = {"kind": "rings", "ring_radii_mm": (0.0, 5.0, 10.0), "ring_counts": (1, 8, 16), "height_mm": 60.0}
    given = Geometry(microscope=MICROSCOPE, array=rings)  # type: ignore[arg-type]
    walk = Walk(given, layouts_of(given))
    while (number := walk.current) is not None:
        first, count = (0, 1) if number == 0 else (1, 8) if number < 9 else (9, 16)
        walk.answer(first + (first - number) % count)
    verdict = walk.verdict()
    assert verdict.sure and "mirrored top to bottom" in verdict.sentence


def test_one_wrong_answer_can_be_taken_back() -> None:
    given = geometry()
    walk = Walk(given, layouts_of(given))
    first = walk.current
    walk.answer(14)
    walk.back()
    assert walk.current == first and not walk.answers
    assert walked(walk, WIRED["serpentine"], 6, 6).sure


def test_no_known_order_asks_for_all_and_gives_a_table() -> None:
    given = geometry(4, 4)
    random = np.random.default_rng(0).permutation(16)
    walk = Walk(given, layouts_of(given))
    while (number := walk.current) is not None:
        walk.answer(int(random[number]))
    assert walk.verdict().wants_all and walk.verdict().geometry is None and len(walk.answers) <= LONGEST_SHORT
    whole = Walk(given, layouts_of(given), every=True)
    order = []
    while (number := whole.current) is not None:
        order.append(number)
        whole.answer(int(random[number]))
    assert order == list(range(16)) and whole.finished
    verdict = whole.verdict()
    assert verdict.geometry is not None and verdict.geometry.array.kind == "table"
    was, now = led_array(given.array), led_array(verdict.geometry.array)
    np.testing.assert_allclose(now.positions_mm, was.positions_mm[random], atol=1e-9)
    assert now.numbers.tolist() == list(range(16)) == list(given.array.numbers())
    twice = Walk(given, layouts_of(given), every=True)
    while (number := twice.current) is not None:
        twice.answer(max(int(random[number]), 1))
    assert "same place" in twice.verdict().sentence and twice.verdict().geometry is None


def test_dead_leds_are_named_and_tell_nothing_else() -> None:
    given = geometry()
    walk = Walk(given, layouts_of(given))
    dead = walk.current
    walk.answer(DEAD)
    verdict = walked(walk, WIRED["columns"], 6, 6)
    assert (
        verdict.sure and "numbered by columns" in verdict.sentence and f"1 LED stayed dark: {dead}" in verdict.sentence
    )
    assert walk.dead == [dead]
    dark = Walk(given, layouts_of(given))
    while dark.current is not None:
        dark.answer(DEAD)
    assert "Nothing was seen" in dark.verdict().sentence and len(dark.answers) <= LONGEST_SHORT


def test_only_leds_that_the_array_has_are_asked_for() -> None:
    given = geometry()
    walk = Walk(given, layouts_of(given), n_leds=10, every=True)
    numbers = []
    while (number := walk.current) is not None:
        numbers.append(number)
        walk.answer(number)
    assert numbers == list(range(10)) and walk.total == 10


def test_layouts_are_different_and_the_geometry_itself_is_first() -> None:
    given = geometry(serpentine=True)
    found = layouts_of(given)
    assert found[0].words == "" and found[0].array == given.array
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            assert not np.allclose(one.places_mm, other.places_mm)
    verdict = walked(Walk(given, found), WIRED["as it is"], 6, 6)
    # Answers are places of this geometry, whose numbers run in a serpentine: 7 is not in column 1.
    assert verdict.geometry is None and verdict.sure


def test_in_a_table_dead_leds_stay_where_they_are_if_nothing_else_is_there() -> None:
    given = geometry(4, 4)
    places = dict(enumerate(np.random.default_rng(0).permutation(16).tolist()))
    at_nine = next(number for number, where in places.items() if where == 9)
    places[at_nine], places[9] = places[9], 9
    dead = {9, next(number for number in (1, 2, 3, 4) if places[number] > 9)}
    walk = Walk(given, layouts_of(given), every=True)
    while (number := walk.current) is not None:
        walk.answer(DEAD if number in dead else places[number])
    found = walk.verdict().geometry
    assert found is not None and sorted(walk.dead) == sorted(dead)
    was, now = led_array(given.array).positions_mm, led_array(found.array).positions_mm
    np.testing.assert_allclose(now, was[[places[number] for number in range(16)]], atol=1e-9)
