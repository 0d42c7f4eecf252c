"""Images in another order than their LEDs are known by their neighbours; right orders are not called wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optics.calibration.test_geometry_check import ARRAY, RIGHT, found_in, measured, simulated

from ptychoui.data.dataset import ImageStack
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.led_array import layout, led_array
from ptychoui.optics.quality.bright_field import Finding
from ptychoui.optics.quality.led_neighbours import LEAST_LEDS, above_chance, likeness, order_finding
from ptychoui.settings import Array, Geometry, Measurement
from ptychoui.workflows.crop import image_places


def exchanged(stack: ImageStack, line: int, along: int = 1) -> ImageStack:
    """The stack with the images of two neighbouring lines of LEDs, ``line`` and the next (y up), exchanged."""
    assert stack.geometry is not None
    numbers, positions = layout(stack.geometry.array)
    cells = np.round(positions[:, :2] / (stack.geometry.array.pitch_mm or 1)).astype(int)
    of_number = {int(number): place for place, number in enumerate(stack.led_numbers)}
    place = {(c[along], c[1 - along]): of_number[int(n)] for n, c in zip(numbers, cells.tolist(), strict=True)}
    order = np.arange(len(stack.images))
    for (at, across), image in place.items():
        if at == line and (line + 1, across) in place:
            other = place[line + 1, across]
            order[image], order[other] = other, image
    return replace(stack, images=stack.images[order])


def shuffled(stack: ImageStack, seed: int) -> ImageStack:
    return replace(stack, images=stack.images[np.random.default_rng(seed).permutation(len(stack.images))])


def found(stack: ImageStack, geometry: Geometry = RIGHT) -> Finding | None:
    leds = led_array(geometry.array)
    size = min(128, *stack.images.shape[1:])
    images = stack.images[image_places(stack, leds, "")][:, :size, :size]
    return order_finding(images, leds, geometry.array, geometry.microscope.objective_na)


def test_likeness_is_the_correlation_of_amplitudes() -> None:
    images = np.random.default_rng(0).random((5, 12, 12)).astype(np.float32)
    expected = np.corrcoef(np.sqrt(images).reshape(5, -1))
    assert np.allclose(likeness(images), expected, atol=1e-5)
    assert np.isfinite(likeness(np.zeros((3, 4, 4), np.float32))).all()


@pytest.mark.parametrize("source", ["brick", "coins", "camera", "cell"])
@pytest.mark.parametrize("seed", range(2))
def test_the_right_order_is_not_called_wrong(source: str, seed: int) -> None:
    assert found(simulated(source, seed)) is None


@pytest.mark.parametrize("seed", range(5))
def test_images_in_any_order_are_known(seed: int) -> None:
    said = found(shuffled(simulated("coins"), seed))
    assert said is not None and said.kind == "order" and "no more alike than those of any two" in said.sentence


@pytest.mark.parametrize(("line", "along"), [(0, 1), (1, 1), (-4, 1), (2, 0)])
def test_two_exchanged_rows_are_known(line: int, along: int) -> None:
    said = found(exchanged(simulated("coins"), line, along))
    assert said is not None and ("columns", "rows")[along] in said.sentence
    cells = np.round(layout(RIGHT.array)[1][:, along] / ARRAY["pitch_mm"])
    assert set(said.led_numbers) == set(np.flatnonzero((cells == line) | (cells == line + 1)).tolist())


def test_a_pose_changes_no_neighbours() -> None:
    pose = RIGHT.array.pose.replace(flip_x=True, swap_xy=True, rotation_deg=20.0, shift_x_mm=3.0)
    turned = RIGHT.replace(array=RIGHT.array.replace(pose=pose))
    assert found(simulated("coins"), turned) is None
    assert found(exchanged(simulated("coins"), 0), turned) is not None


def test_noise_has_no_order() -> None:
    images = np.random.default_rng(0).random(simulated("coins").images.shape).astype(np.float32)
    said = found(replace(simulated("coins"), images=images))
    assert said is not None and "little but noise" in said.sentence


def test_of_a_few_leds_nothing_is_said() -> None:
    stack, leds = shuffled(simulated("coins"), 0), led_array(RIGHT.array)
    some = np.arange(LEAST_LEDS - 1)
    assert order_finding(stack.images[some], leds.select(some), RIGHT.array, 0.1) is None


@pytest.mark.parametrize("source", ["coins", "brick"])
def test_rings_have_no_rows_and_an_order_all_the_same(source: str) -> None:
    rings = Array(kind="rings", ring_radii_mm=(4.0, 8.0, 12.0), ring_counts=(8, 16, 24), height_mm=90.0)
    geometry = RIGHT.replace(array=rings)
    stack, _ = simulate_stack(geometry, geometry, Measurement(), 64, 0, source)
    assert found(stack, geometry) is None
    wrong = found(shuffled(stack, 1), geometry)
    assert wrong is not None and "any two" in wrong.sentence


def test_by_chance_nothing_is_more_alike() -> None:
    stack = simulated("coins")
    everybody = np.ones((81, 81), bool)
    # In units of a spread that is zero but for rounding, which processors do differently.
    found = above_chance(likeness(stack.images), everybody, led_array(RIGHT.array).bright_field(0.1))
    assert found == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("which", ["red", "green"])
def test_measured_stacks(which: str, shared_data: Path) -> None:
    stack = measured(shared_data, which)
    assert stack.geometry is not None
    assert found(stack, stack.geometry) is None
    for line in (0, 3, -5):
        assert "exchanged" in (found(exchanged(stack, line), stack.geometry) or Finding(kind="", sentence="")).sentence
    assert "any two" in (found(shuffled(stack, 1), stack.geometry) or Finding(kind="", sentence="")).sentence


@pytest.mark.slow
@pytest.mark.parametrize("planted", ["right", "permuted", "rows", "mirrored", "turned"])
def test_the_whole_check_on_the_red_smear(planted: str, shared_data: Path) -> None:
    """Controls that must fail, and one that must not."""
    stack = measured(shared_data, "red")
    right = stack.geometry
    assert right is not None
    pose = right.array.pose
    wrong = {
        "mirrored": pose.replace(flip_x=not pose.flip_x),
        "turned": pose.replace(rotation_deg=pose.rotation_deg + 90),
    }.get(planted, pose)
    stack = shuffled(stack, 0) if planted == "permuted" else exchanged(stack, 3) if planted == "rows" else stack
    kinds = {one.kind for one in found_in(stack, right.replace(array=right.array.replace(pose=wrong)))}
    expected = {"permuted": "order", "rows": "order", "mirrored": "layout", "turned": "layout"}
    assert expected[planted] in kinds if planted != "right" else not kinds
