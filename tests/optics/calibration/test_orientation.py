"""What is said of layouts: how sure it is, what it rests on, and what was not applied."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optics.calibration.test_geometry_check import RIGHT, simulated

from ptychoui.optics.calibration import orientation as module
from ptychoui.optics.calibration.geometry_check import check_geometry, known_sign
from ptychoui.optics.calibration.orientation import Orientation, orientation
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.derived import derived_numbers
from ptychoui.optics.geometry.pose import VARIANTS, Variant, laid_out
from ptychoui.settings import Geometry, Measurement

FLIPPED = Variant(True, False, True)


def verdict(**changes: Any) -> Orientation:
    others = [variant for variant in VARIANTS if variant not in (FLIPPED, FLIPPED.twin)]
    values: dict[str, Any] = {
        "variants": (FLIPPED, FLIPPED.twin, *others),
        "residuals": tuple(np.linspace(0.02, 0.03, 8)),
        "array": laid_out(RIGHT.array, FLIPPED),
        "pair_margin": 0.02,
        "twin_margin": 0.106,
    }
    return Orientation(**values | changes)


def test_what_is_not_applied_is_said_with_the_settings_that_try_it() -> None:
    pose = laid_out(RIGHT.array, FLIPPED).pose
    flags = f"flip_x = {pose.flip_x}, flip_y = {pose.flip_y}, swap_xy = {pose.swap_xy}".lower()
    assert f"not applied; to try it: {flags}" in verdict().sentence
    assert "not applied" not in verdict(pair_margin=0.5).sentence
    as_it_is = replace(verdict(), variants=VARIANTS, array=RIGHT.array)
    assert "not applied" not in as_it_is.sentence and "too little to be sure" in as_it_is.sentence


def test_a_half_turn_says_what_it_rests_on() -> None:
    assert "rests on nothing that the geometry states" in verdict().sentence
    assert "a sample out of focus" in verdict().sentence
    defocused = RIGHT.replace(microscope=RIGHT.microscope.replace(defocus_um=15.0))
    said = verdict(known=known_sign(defocused.microscope)).sentence
    assert "rests on the defocus of 15 um of the geometry: with another sign of it the twin is the right one" in said


@pytest.mark.parametrize(
    ("waves", "known"), [({}, ""), ({7: 0.3, 8: 0.2}, ""), ({4: 0.005}, ""), ({6: 0.1}, "the aberrations")]
)
def test_only_even_aberrations_tell_twins_apart(waves: dict[int, float], known: str) -> None:
    assert known_sign(RIGHT.microscope.replace(zernike_waves=waves)) == known


def test_short_fits_of_brightness_and_stray_light_decide_where_the_test_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Residuals without them that are about the same for all layouts, as some measured stacks have."""
    told = cycle(0.02 + 1e-5 * np.random.default_rng(0).permutation(8))
    monkeypatch.setattr(
        module, "reconstruct", lambda *_arguments: SimpleNamespace(amplitude_residual=float(next(told)))
    )
    wrong = RIGHT.replace(array=laid_out(RIGHT.array, FLIPPED))
    found = orientation(wrong, simulated("coins").images)
    assert found.fitted and found.sure and found.pair_margin > 0.1
    right = laid_out(wrong.array, found.variants[0]).pose
    assert (right.flip_x == right.flip_y) and not right.swap_xy
    assert "with brightness and stray light fitted" in found.sentence


def test_a_spiral_that_fills_an_even_square_has_no_middle_led() -> None:
    spiral = {"kind": "spiral", "count": 64, "pitch_mm": 4.0, "height_mm": 90.0}
    even = Geometry(microscope=RIGHT.microscope, array=spiral)  # type: ignore[arg-type]
    (warning,) = [one for one in derived_numbers(even).warnings if "spiral" in one]
    assert "2 mm off in both directions" in warning
    for changes in ({"count": 81}, {"pose": {"shift_x_mm": 2.0, "shift_y_mm": 2.0}}, {"center_row": 0.5}):
        other = Geometry(microscope=RIGHT.microscope, array=spiral | changes)  # type: ignore[arg-type]
        assert not [one for one in derived_numbers(other).warnings if "start of the spiral" in one]


def test_the_led_nearest_to_the_axis_is_named_with_its_distance() -> None:
    moved = RIGHT.replace(array=RIGHT.array.replace(pose={"shift_x_mm": 3.0, "shift_y_mm": -4.0}))
    found = derived_numbers(moved)
    assert derived_numbers(RIGHT).nearest_led == 40 and derived_numbers(RIGHT).nearest_led_mm == pytest.approx(0)
    # The column to the left and the row above come within a millimetre of the axis.
    assert found.nearest_led_mm == pytest.approx(1.0)


SMALL = Geometry(
    microscope={"wavelength_um": 0.63, "objective_na": 0.1, "magnification": 2.0, "camera_pixel_um": 3.69},  # type: ignore[arg-type]
    array={"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.0, "height_mm": 90.0},  # type: ignore[arg-type]
)


@pytest.mark.parametrize("source", ["cell", "brick"])
def test_clean_images_with_a_right_pose_have_the_right_layout(source: str) -> None:
    """Circles move a pose that is right by some percent of the height: then the right layout would explain least."""
    stack, _seen = simulate_stack(SMALL, SMALL, Measurement(noise="none"), 64, 0, source)
    found = orientation(SMALL, stack.images)
    assert found.sure and found.variants[0] == VARIANTS[0] and found.pair_margin > 1
    assert not check_geometry(SMALL, stack.images)
