"""LED layouts, pose and directions against closed forms and a forward ray trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.errors import GeometryError, SettingsError
from ptychoui.optics.geometry.led_array import apply_pose, led_array
from ptychoui.paths import resources
from ptychoui.settings import Array, Pose, load_geometry


def lattice(**changes: Any) -> Array:
    return Array(**({"kind": "lattice", "rows": 5, "columns": 7, "pitch_mm": 3.0, "height_mm": 60.0} | changes))


def test_flat_lattice_directions_are_direction_cosines() -> None:
    leds = led_array(lattice())
    expected = []
    for row in range(5):
        for column in range(7):
            x, y = 3.0 * (column - 3), 3.0 * (2 - row)
            expected.append((x / np.sqrt(x * x + y * y + 3600), y / np.sqrt(x * x + y * y + 3600)))
    assert np.abs(leds.illumination_na - expected).max() < 1e-15
    assert leds.numbers.tolist() == list(range(35))
    assert np.array_equal(leds.gain, np.ones(35))


def test_center_row_and_column_put_that_led_on_the_axis() -> None:
    leds = led_array(lattice(center_row=1, center_column=5))
    assert leds.radius_na[1 * 7 + 5] == 0
    assert np.count_nonzero(leds.radius_na == 0) == 1


def test_serpentine_turns_every_second_row() -> None:
    straight, winding = led_array(lattice()).positions_mm, led_array(lattice(serpentine=True)).positions_mm
    grid, turned = straight.reshape(5, 7, 3), winding.reshape(5, 7, 3)
    assert np.array_equal(turned[::2], grid[::2])
    assert np.array_equal(turned[1::2], grid[1::2, ::-1])


def test_disc_keeps_numbers_of_the_whole_lattice() -> None:
    leds = led_array(lattice(rows=7, disc=True))
    assert len(leds) == sum((i - 3) ** 2 + (j - 3) ** 2 <= 3.5**2 for i in range(7) for j in range(7))
    whole = led_array(lattice(rows=7))
    assert np.array_equal(leds.positions_mm, whole.positions_mm[leds.numbers])


def test_spiral_order_is_that_of_the_uconn_array() -> None:
    expected = [(0, 0), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (2, -1)]
    expected += [(2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (-1, 2), (-2, 2), (-2, 1), (-2, 0), (-2, -1), (-2, -2)]
    leds = led_array(Array(kind="spiral", count=len(expected), pitch_mm=4.0, height_mm=80.0))
    assert np.array_equal(leds.positions_mm[:, :2] / 4.0, expected)


def test_spiral_of_225_fills_a_square_once() -> None:
    positions = led_array(Array(kind="spiral", count=225, pitch_mm=1.0, height_mm=80.0)).positions_mm
    assert {tuple(p) for p in positions[:, :2].astype(int)} == {(i, j) for i in range(-7, 8) for j in range(-7, 8)}


def test_spiral_directions_are_as_asked() -> None:
    leds = led_array(Array(kind="spiral", count=4, pitch_mm=1.0, height_mm=80.0, spiral_steps="-y-x+y+x"))
    assert leds.positions_mm[:, :2].tolist() == [[0, 0], [0, -1], [-1, -1], [-1, 0]]
    with pytest.raises(GeometryError, match="is not four of"):
        led_array(Array(kind="spiral", count=4, pitch_mm=1.0, height_mm=80.0, spiral_steps="+x+y"))


def test_rings_start_on_x_and_run_towards_y() -> None:
    leds = led_array(Array(kind="rings", ring_radii_mm=(0.0, 10.0), ring_counts=(1, 4), height_mm=30.0))
    expected = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [-10, 0, 0], [0, -10, 0]]
    assert np.abs(leds.positions_mm - expected).max() < 1e-14
    assert leds.radius_na[1:] == pytest.approx(10 / np.sqrt(1000), rel=1e-15)


def test_dome_about_the_sample_has_sine_lateral_over_radius() -> None:
    """With height = radius the sample is the dome's centre, so every LED is one radius away."""
    radii = (0.0, 20.0, 40.0)
    leds = led_array(
        Array(kind="dome", ring_radii_mm=radii, ring_counts=(1, 3, 8), dome_radius_mm=60.0, height_mm=60.0)
    )
    expected = np.repeat(np.array(radii) / 60.0, (1, 3, 8))
    assert np.abs(leds.radius_na - expected).max() < 1e-15
    with pytest.raises(GeometryError, match="does not fit a dome"):
        led_array(Array(kind="dome", ring_radii_mm=(70.0,), ring_counts=(3,), dome_radius_mm=60.0, height_mm=60.0))


def test_table_keeps_firmware_numbers_and_heights() -> None:
    table = ((0.0, 0.0, 0.0), (6.0, 0.0, 52.0))
    leds = led_array(Array(kind="table", positions_mm=table, led_numbers=(17, 4), height_mm=60.0))
    assert leds.numbers.tolist() == [17, 4]
    assert leds.illumination_na[1].tolist() == pytest.approx([0.6, 0.0], rel=1e-15)


def matrix(pose: Pose) -> np.ndarray:
    """Tilt about y times tilt about x times rotation times swap times flips, right-handed turns."""
    a, tx, ty = np.deg2rad([pose.rotation_deg, pose.tilt_x_deg, pose.tilt_y_deg])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tx), -np.sin(tx)], [0, np.sin(tx), np.cos(tx)]])
    about_y = np.array([[np.cos(ty), 0, np.sin(ty)], [0, 1, 0], [-np.sin(ty), 0, np.cos(ty)]])
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]) if pose.swap_xy else np.eye(3)
    flip = np.diag([-1 if pose.flip_x else 1, -1 if pose.flip_y else 1, 1])
    return about_y @ about_x @ turn @ swap @ flip


@pytest.mark.parametrize("flags", [{}, {"flip_x": True}, {"flip_y": True, "swap_xy": True}, {"swap_xy": True}])
def test_pose_is_flip_swap_rotate_tilt_shift_in_that_order(flags: dict[str, bool]) -> None:
    pose = Pose(rotation_deg=33.0, tilt_x_deg=12.0, tilt_y_deg=-21.0, shift_x_mm=1.5, shift_y_mm=-2.5, **flags)
    positions = np.random.default_rng(0).normal(size=(9, 3))
    expected = positions @ matrix(pose).T + [1.5, -2.5, 0]
    assert np.abs(apply_pose(positions, pose) - expected).max() < 1e-14


def test_a_shift_of_the_array_is_a_shift_of_the_field_point() -> None:
    shifted = led_array(lattice(pose={"shift_x_mm": 0.8, "shift_y_mm": -0.3}))
    moved = led_array(lattice(), field_point_um=(-800.0, 300.0))
    assert np.abs(shifted.illumination_na - moved.illumination_na).max() < 1e-15


@pytest.mark.parametrize("thickness_mm", [0.17, 1.0, 5.0])
def test_refraction_agrees_with_a_forward_ray_trace(thickness_mm: float) -> None:
    """Send a ray from the sample with a known angle in air, through the slide, to the LED plane; find the angle again."""
    sine, index, height = np.array([0.01, 0.3, 0.6, 0.9]), 1.52, 50.0
    in_glass = np.arcsin(sine / index)
    reach = thickness_mm * np.tan(in_glass) + height * np.tan(np.arcsin(sine))
    turn = np.array([0.3, 1.0, 4.0, 2.0])
    table = [(r * np.cos(t), r * np.sin(t), 0.0) for r, t in zip(reach, turn, strict=True)]
    array = Array(
        kind="table", positions_mm=table, height_mm=height, slide_thickness_mm=thickness_mm, slide_index=index
    )
    expected = np.column_stack([sine * np.cos(turn), sine * np.sin(turn)])
    assert np.abs(led_array(array).illumination_na - expected).max() < 1e-12


def test_a_slide_of_air_is_only_a_longer_path() -> None:
    glassless = led_array(lattice(slide_thickness_mm=10.0, slide_index=1.0))
    assert np.abs(glassless.illumination_na - led_array(lattice(height_mm=70.0)).illumination_na).max() < 1e-14


def test_cos4_falloff() -> None:
    leds = led_array(lattice(falloff="cos4"))
    r = np.hypot(*leds.positions_mm[:, :2].T)
    assert np.abs(leds.gain - (60 / np.sqrt(r**2 + 3600)) ** 4).max() < 1e-14


def test_bright_field_counts_of_the_published_system() -> None:
    """Lattice sites i^2 + j^2 <= 26 at pitch / height = 4 / 46: 89 LEDs, 21 of them within NA 0.2."""
    geometry = load_geometry(resources() / "geometries" / "published_learned_design.toml")
    assert geometry.array.pitch_mm / geometry.array.height_mm == pytest.approx(0.086957, abs=5e-7)
    leds = led_array(geometry.array)
    assert (len(leds), int(leds.bright_field(0.2).sum())) == (89, 21)
    sites = np.rint(leds.positions_mm[:, :2] / geometry.array.pitch_mm).astype(int)
    assert {tuple(s) for s in sites} == {(i, j) for i in range(-9, 10) for j in range(-9, 10) if i * i + j * j <= 26}
    whole = led_array(geometry.array.replace(max_illumination_na=None))
    assert len(whole) == sum(i * i + j * j <= 90 for i in range(-9, 10) for j in range(-9, 10)) == 293


def test_max_illumination_na_keeps_numbers_and_refuses_to_keep_none() -> None:
    leds = led_array(lattice(max_illumination_na=0.06))
    assert leds.radius_na.max() <= 0.06 and 17 in leds.numbers and len(leds) == 5
    with pytest.raises(GeometryError, match=r"no LED lies below the illumination NA of 0\.01") as error:
        led_array(lattice(max_illumination_na=0.01, pose={"shift_x_mm": 20.0}))
    assert "the smallest is" in error.value.hint


def test_an_led_above_the_sample_is_named() -> None:
    with pytest.raises(GeometryError, match=r"LED 1 lies 3 mm above the sample"):
        led_array(Array(kind="table", positions_mm=((0, 0, 0), (1, 0, 13)), height_mm=10.0))


def test_selection_keeps_rows_together() -> None:
    leds = led_array(lattice(falloff="cos4"))
    some = leds.select(np.array([3, 30]))
    assert some.numbers.tolist() == [3, 30]
    for name in ("positions_mm", "illumination_na", "gain"):
        assert np.array_equal(getattr(some, name), getattr(leds, name)[[3, 30]])


@pytest.mark.parametrize("pitch", [0.0, -1.0, 250.0])
def test_a_pitch_outside_its_range_is_refused(pitch: float) -> None:
    with pytest.raises(GeometryError, match=r"LED pitch of .* mm is outside 0 to 200 mm"):
        lattice(pitch_mm=pitch)


def test_a_lattice_without_pitch_says_what_it_needs() -> None:
    with pytest.raises(SettingsError, match="also needs pitch_mm"):
        lattice(pitch_mm=None)


def test_the_bright_field_ends_at_the_objectives_na() -> None:
    """One LED just inside and one just outside: sin(angle) = x / sqrt(x^2 + h^2)."""
    inside, outside = (100.0 * na / np.sqrt(1 - na**2) for na in (0.0999, 0.1001))
    array = Array(kind="table", height_mm=100.0, positions_mm=((inside, 0.0, 0.0), (0.0, outside, 0.0)))
    assert led_array(array).bright_field(0.1).tolist() == [True, False]


@pytest.mark.parametrize(
    "array",
    [
        lattice(pitch_mm=199.0, height_mm=50.0),
        lattice(kind="table", positions_mm=((0, 0, 0), (597, 0, 0)), height_mm=50.0),
        lattice(pitch_mm=199.0, height_mm=50.0, max_illumination_na=0.5),  # the limit must not hide a wrong unit
    ],
)
def test_light_from_beside_the_sample_is_refused_with_a_hint_at_the_unit(array: Array) -> None:
    with pytest.raises(GeometryError, match=r"has an illumination NA of 0\.99\d+: it lies \d+.* mm beside") as error:
        led_array(array)
    assert "are they LED indices, or in another unit?" in error.value.hint


def test_light_from_nearly_beside_the_sample_is_possible() -> None:
    assert led_array(lattice(kind="table", positions_mm=((0, 0, 0), (490, 0, 0)), height_mm=50.0)).radius_na[1] > 0.99
