"""Geometries that are wrong on purpose are contradicted by the images; right ones are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.calibration.circles import Circles
from ptychoui.optics.calibration.geometry_check import (
    Finding,
    check_geometry,
    findings,
    laid_out_as,
    of_leds,
    try_other_layouts,
)
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import VARIANTS
from ptychoui.optics.quality.bright_field import bright_field_finding, stack_findings
from ptychoui.paths import resources
from ptychoui.settings import Geometry, Measurement
from ptychoui.workflows.crop import central_window, image_places, leds_seen_from

SCOPE: dict[str, Any] = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 6.5}
ARRAY: dict[str, Any] = {"kind": "lattice", "rows": 9, "columns": 9, "pitch_mm": 4.0, "height_mm": 90.0}
RIGHT = Geometry(microscope=SCOPE, array=ARRAY)  # type: ignore[arg-type]


@cache
def simulated(source: str, seed: int = 0, size: int = 96) -> ImageStack:
    """A stack of `RIGHT` with some astigmatism and coma, that the geometry does not know, and shot noise."""
    scope = SCOPE | {"zernike_waves": {5: 0.05, 8: 0.05}}
    true = Geometry(microscope=scope, array=ARRAY)  # type: ignore[arg-type]
    return simulate_stack(true, RIGHT, Measurement(), size, seed, source)[0]


def _pose(**changes: Any) -> Callable[[Geometry], Geometry]:
    def planted(right: Geometry) -> Geometry:
        pose = right.array.pose
        new = {
            name: getattr(pose, name) + amount if not isinstance(amount, bool) else amount ^ getattr(pose, name)
            for name, amount in changes.items()
        }
        return right.replace(array=right.array.replace(pose=pose.replace(**new)))

    return planted


def _array(**factors: float) -> Callable[[Geometry], Geometry]:
    return lambda right: right.replace(
        array=right.array.replace(**{name: getattr(right.array, name) * factor for name, factor in factors.items()})
    )


def _scope(**factors: float) -> Callable[[Geometry], Geometry]:
    return lambda right: right.replace(
        microscope=right.microscope.replace(
            **{name: getattr(right.microscope, name) * factor for name, factor in factors.items()}
        )
    )


def _serpentine(right: Geometry) -> Geometry:
    return right.replace(array=right.array.replace(serpentine=True))


WRONG: dict[str, Callable[[Geometry], Geometry]] = {
    "half a pitch": _pose(shift_x_mm=2.0),
    "half a pitch in both directions": _pose(shift_x_mm=2.0, shift_y_mm=-2.0),
    "another centre": _pose(shift_y_mm=4.0),
    "columns for rows": _pose(swap_xy=True),
    "mirrored": _pose(flip_x=True),
    "turned by 15 degrees": _pose(rotation_deg=15.0),
    "height 25 % too large": _array(height_mm=1.25),
    "height 20 % too small": _array(height_mm=0.8),
    "wavelength 20 % too large": _scope(wavelength_um=1.2),
    "wavelength 17 % too small": _scope(wavelength_um=1 / 1.2),
    "magnification 25 % too large": _scope(magnification=1.25),
    "NA 25 % too large": _scope(objective_na=1.25),
}


def found_in(stack: ImageStack, geometry: Geometry) -> tuple[Finding, ...]:
    """What the check finds in the middle of a stack."""
    shape = stack.images.shape[1:]
    window = central_window(shape, 128)
    point = window.field_point_um(shape, geometry.microscope.pixel_size_um)
    leds = leds_seen_from(geometry.array.replace(max_illumination_na=None), point)
    cut = stack.crop(window.row, window.column, window.size_px, window.size_px)
    images = cut.images[image_places(replace(stack, geometry=geometry), leds, "")]
    return check_geometry(geometry.replace(array=of_leds(geometry.array, leds.numbers)), images, point)


def test_a_right_geometry_is_not_contradicted() -> None:
    assert not found_in(simulated("brick"), RIGHT)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("half a pitch", {"bright field", "pose"}),
        ("mirrored", {"layout"}),
        ("wavelength 20 % too large", {"circles", "pose"}),
    ],
)
def test_a_wrong_geometry_is_contradicted(name: str, kinds: set[str]) -> None:
    found = found_in(simulated("brick"), WRONG[name](RIGHT))
    assert kinds <= {one.kind for one in found}, [one.sentence for one in found]
    if name == "mirrored":
        said = found[-1].sentence
        assert "not applied; to try it: " in said
        # Twins explain the images alike.
        assert "flip_x = false, flip_y = false" in said or "flip_x = true, flip_y = true" in said


@pytest.mark.slow
@pytest.mark.parametrize("source", ["brick", "coins", "camera"])
@pytest.mark.parametrize("name", [*WRONG, "serpentine"])
def test_every_wrong_geometry_is_contradicted(name: str, source: str) -> None:
    planted = WRONG.get(name, _serpentine)
    assert found_in(simulated(source), planted(RIGHT))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_right_geometries_are_not_contradicted(seed: int) -> None:
    source = ("brick", "coins", "camera", "cell")[seed % 4]
    found = found_in(simulated(source, seed), RIGHT)
    assert not found, [one.sentence for one in found]


MEASURED = {
    "red": ("uconn/bloodsmear_red.mat", "uconn_bloodsmear"),
    "green": ("uconn/bloodsmear_green.mat", "uconn_bloodsmear_green"),
    "USAF": ("elfpie/lowSeqData260.mat", "elfpie_usaf"),
}


@cache
def measured(folder: Path, which: str) -> ImageStack:
    path, name = MEASURED[which]
    stack = open_dataset(folder / path, read_geometry(resources() / "geometries" / f"{name}.toml"))
    assert isinstance(stack, ImageStack)
    return stack


@pytest.mark.slow
@pytest.mark.parametrize("which", MEASURED)
@pytest.mark.parametrize("name", ["right", *WRONG])
def test_measured_stacks(name: str, which: str, shared_data: Path) -> None:
    stack = measured(shared_data, which)
    right = stack.geometry
    assert right is not None
    if name == "right":
        assert not found_in(stack, right)
        return
    half = (right.array.pitch_mm or 4.0) / 2
    planted = WRONG | {
        "half a pitch": _pose(shift_x_mm=half),
        "half a pitch in both directions": _pose(shift_x_mm=half, shift_y_mm=-half),
        "another centre": _pose(shift_y_mm=2 * half),
    }
    assert found_in(stack, planted[name](right))


# The brightness of images ----------------------------------------------------------------------------


def brightness(geometry: Geometry = RIGHT) -> tuple[np.ndarray, Any]:
    leds = led_array(geometry.array)
    return np.where(leds.bright_field(0.1), 1.0, 0.05), leds


def test_images_in_their_order_are_as_bright_as_predicted() -> None:
    means, leds = brightness()
    rng = np.random.default_rng(0)
    for _ in range(20):  # LEDs differ
        assert bright_field_finding(means * np.exp(0.3 * rng.normal(size=81)), leds, 0.1) is None


def test_one_dead_led_is_no_wrong_geometry() -> None:
    means, leds = brightness()
    means[40] = 0.0
    assert bright_field_finding(means, leds, 0.1) is None


def test_images_in_another_order_name_the_brightest() -> None:
    means, leds = brightness()
    found = bright_field_finding(np.roll(means, 27), leds, 0.1)
    assert found is not None and found.kind == "bright field"
    bright = np.flatnonzero(np.roll(means, 27) > 0.5)
    assert set(found.led_numbers) & set(bright.tolist())
    assert "check the order of the LEDs" in found.sentence


def test_without_dark_field_nothing_can_be_said() -> None:
    means, leds = brightness(RIGHT.replace(array=RIGHT.array.replace(pitch_mm=0.5)))
    assert bright_field_finding(means, leds, 0.1) is None


def test_a_stack_whose_centre_lies_in_the_corner() -> None:
    """Frequencies counted from another corner: the brightest images are then taken for dark field."""
    stack = simulated("brick")
    wrong = RIGHT.replace(array=RIGHT.array.replace(center_row=0.0, center_column=0.0))
    (found,) = stack_findings(stack, wrong)
    assert "not the brightest" in found.sentence or "contradict the geometry" in found.sentence
    assert not stack_findings(stack, RIGHT)


def test_leds_without_images_are_left_aside() -> None:
    stack = simulated("brick")
    some = replace(stack, images=stack.images[20:60], led_numbers=stack.led_numbers[20:60])
    assert not stack_findings(some, RIGHT)
    none = replace(stack, led_numbers=stack.led_numbers + 1000)
    assert not stack_findings(none, RIGHT)


# Layouts ---------------------------------------------------------------------------------------------


def test_layouts_are_told_apart_with_brightness_and_stray_light_fitted() -> None:
    stack = simulated("coins")
    test = try_other_layouts(RIGHT, stack.images, posed=True)
    assert test.best == 0 and test.variants[0] == VARIANTS[0] and test.margin > 0.1 and test.finding() is None
    assert test.names[-1].endswith("(serpentine)") and test.variants[-1] is None


def test_a_table_keeps_to_the_leds_of_the_images() -> None:
    positions = tuple((4.0 * (i % 9 - 4), 4.0 * (i // 9 - 4), 0.0) for i in range(81))
    table = RIGHT.array.replace(kind="table", positions_mm=positions, rows=None, columns=None, pitch_mm=None)
    some = of_leds(table, np.array([40, 3, 77]))
    assert some.numbers() == (40, 3, 77) and some.positions_mm == tuple(positions[n] for n in (40, 3, 77))


def test_contradictions_of_some_leds_are_sentences() -> None:
    stack = simulated("brick")
    wrong = WRONG["half a pitch"](RIGHT)
    leds = led_array(wrong.array)
    chosen = np.flatnonzero(leds.radius_na < 0.2)[::-1]
    said = [one.sentence for one in findings(wrong, leds.select(chosen), stack.images[chosen])]
    assert said and all(isinstance(one, str) for one in said)


# Circles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1 / 1.2, 1.0, 1.2])
def test_the_size_of_circles_tells_the_wavelength(factor: float) -> None:
    """Their radius NA / lambda and their places s / lambda grow together: 1 / 1.2 of the wavelength is 1.2 too large."""
    scope = _scope(wavelength_um=factor)(RIGHT).microscope
    circles = Circles(scope, RIGHT.array, simulated("brick").images, coarse=True)
    assert circles.scale(np.zeros(6), whole=True) == pytest.approx(factor, rel=0.05)
    radius = circles.radius
    circles.scale(np.zeros(6), whole=False)
    assert circles.radius == radius


def test_the_radius_of_circles_alone_tells_the_na() -> None:
    scope = _scope(objective_na=1.25)(RIGHT).microscope
    circles = Circles(scope, RIGHT.array, simulated("brick").images, coarse=True)
    assert circles.scale(np.zeros(6), whole=False) == pytest.approx(0.8, rel=0.05)


def test_a_layout_found_with_some_leds_is_put_into_the_whole_array() -> None:
    stack = simulated("brick")
    wrong = WRONG["mirrored"](RIGHT.replace(array=RIGHT.array.replace(max_illumination_na=0.2)))
    leds = led_array(wrong.array)
    chosen = np.flatnonzero(leds.radius_na < 0.15)[::-1]
    (layout,) = [one for one in findings(wrong, leds.select(chosen), stack.images[leds.numbers[chosen]]) if one.array]
    assert layout.kind == "layout" and layout.array is not None
    mended = laid_out_as(wrong.array, layout.array)
    assert mended.numbers() == RIGHT.array.numbers() and mended.max_illumination_na == 0.2
    there, right = (led_array(one.replace(max_illumination_na=None)).illumination_na for one in (mended, RIGHT.array))
    # In focus half a turn explains the images as well.
    assert min(np.abs(there - right).max(), np.abs(there + right).max()) < 0.01


def test_rows_that_run_back_and_forth_are_a_layout_too_and_tables_keep_their_places() -> None:
    some = of_leds(RIGHT.array, np.array([3, 4])).replace(serpentine=True, height_mm=80.0)
    mended = laid_out_as(RIGHT.array, some)
    assert mended == RIGHT.array.replace(serpentine=True, height_mm=80.0)
    positions = tuple((4.0 * (i % 9 - 4), 4.0 * (i // 9 - 4), 0.0) for i in range(81))
    table = RIGHT.array.replace(kind="table", positions_mm=positions, rows=None, columns=None, pitch_mm=None)
    mirrored = table.replace(pose=table.pose.replace(flip_y=True))
    assert laid_out_as(table, of_leds(mirrored, np.array([3, 77]))) == mirrored
