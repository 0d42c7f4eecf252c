"""LED numbers of boards, tiles, rings and spirals, dies of colours and brightness, against lists written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.errors import GeometryError, SettingsError
from ptychoui.optics.geometry.led_array import layout, led_array
from ptychoui.settings import Array, Pose

MEASURED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "led_positions"


def board(rows: int, columns: int, **changes: Any) -> Array:
    return Array(**({"rows": rows, "columns": columns, "pitch_mm": 1.0, "height_mm": 60.0} | changes))


def picture(array: Array) -> list[list[int]]:
    """Numbers as they are seen from the sample's side with +y up."""
    numbers, positions = layout(array)
    xs, ys = np.unique(positions[:, 0].round(6)), np.unique(positions[:, 1].round(6))[::-1]
    found = np.full((len(ys), len(xs)), -1)
    for number, (x, y, _) in zip(numbers, positions, strict=True):
        found[np.argmin(abs(ys - y)), np.argmin(abs(xs - x))] = number
    return found.tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ({"serpentine": True}, [[0, 1, 2, 3], [7, 6, 5, 4]]),
        ({"order": "columns"}, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        ({"order": "columns", "serpentine": True}, [[0, 3, 4, 7], [1, 2, 5, 6]]),
        ({"order": "tiles", "tile_rows": 2, "tile_columns": 2}, [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ({"order": "tiles", "tile_rows": 2, "tile_columns": 2, "serpentine": True}, [[0, 1, 4, 5], [3, 2, 7, 6]]),
        ({"order": "tiles", "tile_rows": 1, "tile_columns": 2}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (
            {"order": "tiles", "tile_rows": 1, "tile_columns": 2, "serpentine_tiles": True},
            [[0, 1, 2, 3], [6, 7, 4, 5]],
        ),
    ],
)
def test_orders_of_a_board(settings: dict[str, Any], expected: list[list[int]]) -> None:
    assert picture(board(2, 4, **settings)) == expected


def test_a_radial_order_runs_outwards_and_round() -> None:
    assert picture(board(3, 3, order="radial")) == [[6, 2, 5], [3, 0, 1], [7, 4, 8]]
    clockwise = board(3, 3, order="radial", ring_clockwise=True, ring_start_deg=90.0)
    assert picture(clockwise) == [[8, 1, 5], [4, 0, 2], [7, 3, 6]]


def test_four_tiles_of_a_quadrant_board() -> None:
    array = board(16, 16, order="tiles", tile_rows=8, tile_columns=8, serpentine_tiles=True)
    found = np.array(picture(array))
    assert found[:8, :8].tolist() == np.arange(64).reshape(8, 8).tolist()
    assert [found[0, 8], found[8, 8], found[8, 0]] == [64, 128, 192]  # clockwise from the top left
    with pytest.raises(GeometryError, match="not made of whole tiles of 8 x 8"):
        board(12, 16, order="tiles", tile_rows=8, tile_columns=8)
    with pytest.raises(SettingsError, match="also needs tile_rows, tile_columns"):
        board(16, 16, order="tiles")


@pytest.mark.parametrize("order", ["columns", "tiles", "radial"])
def test_a_disc_keeps_numbers_and_places_of_the_whole_board(order: str) -> None:
    settings: dict[str, Any] = {"order": order, "tile_rows": 3, "tile_columns": 3}
    whole, disc = layout(board(9, 9, **settings)), layout(board(9, 9, disc=True, **settings))
    assert len(disc[0]) == sum(i * i + j * j <= 4.5**2 for i in range(-4, 5) for j in range(-4, 5))
    assert sorted(whole[0]) == list(range(81))
    assert np.array_equal(disc[1], whole[1][disc[0]])


def test_a_spiral_on_a_larger_board_has_the_boards_numbers() -> None:
    """LED (18, 20) of a 32 x 32 board counted from 1, as the UConn array is lit; then +x, +y, -x, -x, ..."""
    array = Array(kind="spiral", count=225, rows=32, columns=32, spiral_start=(17, 19), pitch_mm=4.0, height_mm=90.0)
    numbers, positions = layout(array)
    first = 17 * 32 + 19
    assert numbers[:6].tolist() == [first, first + 1, first + 1 - 32, first - 32, first - 33, first - 1]
    free = layout(array.replace(spiral_start=None))
    assert free[0].tolist() == list(range(225)) and np.array_equal(free[1], positions)
    assert len(set(numbers.tolist())) == 225
    with pytest.raises(SettingsError, match="the spiral leaves its board of 32 x 32 LEDs at row"):
        array.replace(count=900)
    with pytest.raises(SettingsError, match="also needs rows, columns"):
        array.replace(rows=None, columns=None)


def test_a_board_can_be_centred_elsewhere_than_on_the_spirals_start() -> None:
    """8 x 8 LEDs from LED (4, 5) of 1 to 8 and the middle of the board on the axis: the start is half a pitch off."""
    array = Array(
        kind="spiral",
        count=64,
        rows=8,
        columns=8,
        spiral_start=(3, 3),
        spiral_steps="+x-y-x+y",
        center_row=3.5,
        center_column=3.5,
        pitch_mm=8.0,
        height_mm=180.0,
    )
    numbers, positions = layout(array)
    assert sorted(numbers) == list(range(64))
    assert positions[0].tolist() == [-4.0, 4.0, 0.0] and positions[1].tolist() == [4.0, 4.0, 0.0]
    assert abs(positions.mean(axis=0)).max() < 1e-12


def test_rings_with_start_turn_and_offsets() -> None:
    array = Array(
        kind="rings",
        ring_radii_mm=(0.0, 10.0, 20.0),
        ring_counts=(1, 4, 4),
        ring_start_deg=-90.0,
        ring_clockwise=True,
        ring_offsets_deg=(0.0, 0.0, 45.0),
        height_mm=50.0,
    )
    half = 20 * np.sqrt(0.5)
    expected = [[0, 0], [0, -10], [-10, 0], [0, 10], [10, 0], [half, -half], [-half, -half], [-half, half]]
    assert np.abs(layout(array)[1][:8, :2] - expected).max() < 1e-13
    with pytest.raises(SettingsError, match="ring_offsets_deg and ring_counts must have the same length"):
        array.replace(ring_offsets_deg=(0.0,))


def test_rings_of_the_round_board_are_those_of_its_firmware() -> None:
    path = MEASURED / "sci_round257_led_position_list_cartesian.json"
    if not path.exists():
        pytest.skip("the firmware's table of the round board is not here")
    table = json.loads(path.read_text())["led_position_list_cartesian"]
    array = Array(
        kind="rings",
        ring_radii_mm=tuple(6.2 * ring for ring in range(8)),
        ring_counts=(1, 8, 16, 24, 36, 48, 56, 68),
        ring_start_deg=-90.0,
        ring_clockwise=True,
        height_mm=50.0,
    )
    numbers, positions = layout(array)
    firmware = np.array([table[str(number)] for number in numbers])
    assert np.abs(positions[:, :2] - firmware[:, :2]).max() < 0.0101  # the table is rounded to 0.01 mm


def test_the_die_of_a_colour_moves_before_the_pose() -> None:
    offsets = {"red": (-0.7, 0.0), "green": (0.0, 0.0), "blue": (0.05, 0.1)}
    array = board(3, 3, die_offsets_mm=offsets, pose=Pose(rotation_deg=90.0, shift_x_mm=2.0))
    plain, green, red = (led_array(array.replace(colour=colour)).positions_mm for colour in ("", "green", "red"))
    assert np.array_equal(plain, green)
    assert np.abs(red - plain - [0.0, -0.7, 0.0]).max() < 1e-12
    with pytest.raises(SettingsError, match=r"no colour 'white' \(it has: red, green, blue\)"):
        array.replace(colour="white")
    with pytest.raises(SettingsError, match="the red die lies 700 mm off, more than 5 mm"):
        array.replace(die_offsets_mm={"red": (-700.0, 0.0)}, colour="red")


def test_a_flat_lambertian_board_falls_as_the_fourth_power_of_the_cosine() -> None:
    flat = board(7, 7, pitch_mm=9.0)
    lambertian, cos4 = led_array(flat.replace(falloff="lambertian")), led_array(flat.replace(falloff="cos4"))
    assert np.abs(lambertian.gain - cos4.gain).max() < 1e-14 and lambertian.gain.min() < 0.51


def test_a_lambertian_dome_about_the_sample_loses_the_incidence_only() -> None:
    """Every LED points at the sample from one radius away: only the cosine at the sample remains."""
    dome = Array(
        kind="dome",
        ring_radii_mm=(0.0, 30.0, 50.0),
        ring_counts=(1, 6, 9),
        dome_radius_mm=60.0,
        height_mm=60.0,
        falloff="lambertian",
    )
    expected = np.repeat([1.0, np.sqrt(3) / 2, np.sqrt(11) / 6], (1, 6, 9))
    assert np.abs(led_array(dome).gain - expected).max() < 1e-14


def test_tilt_turns_the_normals_of_lambertian_leds() -> None:
    """One LED on the axis of a board tilted by 30 degrees: the ray leaves it at 30 degrees."""
    one = board(1, 1, falloff="lambertian", pose=Pose(tilt_x_deg=30.0))
    assert led_array(one).gain[0] == pytest.approx(np.cos(np.pi / 6), rel=1e-14)
    side = board(1, 1, falloff="lambertian", pose=Pose(tilt_y_deg=45.0, shift_x_mm=-60.0))
    assert led_array(side).gain[0] == pytest.approx(1.0 * np.sqrt(0.5) / 2, rel=1e-14)
    away = board(1, 1, falloff="lambertian", pose=Pose(tilt_y_deg=-45.0, shift_x_mm=-60.0))
    with pytest.raises(GeometryError, match="LED 0 faces away from the sample"):
        led_array(away)


def test_a_measured_brightness_table_is_interpolated_and_never_extended() -> None:
    places = tuple((60 * np.tan(np.deg2rad(angle)), 0.0, 0.0) for angle in (0.0, 10.0, 25.0, 40.0))
    array = Array(
        kind="table",
        positions_mm=places,
        led_numbers=(5, 6, 7, 8),
        height_mm=60.0,
        falloff="table",
        falloff_table=((0.0, 1.0), (20.0, 0.9), (40.5, 0.49)),
    )
    assert led_array(array).gain.tolist() == pytest.approx([1.0, 0.95, 0.8, 0.5], rel=1e-12)
    short = array.replace(falloff_table=((0.0, 1.0), (30.0, 0.7)))
    with pytest.raises(GeometryError, match=r"ends at 30 degrees, LED 8 is seen at 40 degrees"):
        led_array(short)
    assert len(led_array(short.replace(max_illumination_na=0.5))) == 3
    for table in (((0.0, 1.0),), ((1.0, 1.0), (2.0, 1.0)), ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (95.0, 0.5))):
        with pytest.raises(SettingsError, match="start at 0 and rise"):
            array.replace(falloff_table=table)
    with pytest.raises(SettingsError, match="above 0 and at most 10"):
        array.replace(falloff_table=((0.0, 1.0), (40.5, 0.0)))
    with pytest.raises(SettingsError, match="also needs falloff_table"):
        array.replace(falloff_table=None)
