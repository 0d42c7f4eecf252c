"""What a design sees, against what is known of single LEDs, discs and half circles."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.design.sight import Sight, sight
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.session.edits import usual_geometry

GEOMETRY = usual_geometry()
LEDS = led_array(GEOMETRY.array)
NA = GEOMETRY.microscope.objective_na
BRIGHT = LEDS.radius_na < NA


def seen(*rows: np.ndarray, leds: LedArray = LEDS) -> Sight:
    levels = np.array(rows, float)
    return sight(levels, np.ones(len(levels)), leds, GEOMETRY.microscope)


def test_one_led_on_the_axis_sees_its_pupil_and_no_phase() -> None:
    middle = np.eye(len(LEDS))[int(np.argmin(LEDS.radius_na))]
    found = seen(middle)
    assert found.coverage is not None and found.lit == 1
    assert found.coverage.largest_na == pytest.approx(NA, rel=0.01)
    assert found.weak_share == 1.0 and found.weak_from_na == 0.0
    assert "no phase of a weak object" in found.sentence and "sign of phase" in found.warning
    assert f"smallest period is {GEOMETRY.microscope.wavelength_um / NA:.3g}" in found.sentence


def test_half_circles_see_phase_up_to_twice_the_objective() -> None:
    x, y = LEDS.illumination_na.T
    found = seen(BRIGHT & (x > 1e-9), BRIGHT & (y > 1e-9))
    assert found.weak_share < 0.3 and NA < found.weak_from_na <= 2 * NA + 1e-9
    assert found.warning == ""
    one, other = seen(BRIGHT & (x > 1e-9)), seen(BRIGHT & (y > 1e-9))
    assert np.allclose(found.transfer, np.maximum(one.transfer, other.transfer))
    # One half circle sees nothing along the line between the halves.
    middle = one.transfer.shape[0] // 2
    assert one.transfer[:, middle].max() < 1e-6 < one.transfer[middle].max()
    assert found.transfer[:, middle].max() > 0.2
    assert one.weak_share > found.weak_share


def test_frequencies_are_those_of_lit_leds_of_all_patterns() -> None:
    order = np.argsort(LEDS.radius_na)
    far, faint = np.zeros(len(LEDS)), np.zeros(len(LEDS))
    far[order[-1]] = 1.0
    faint[order[40]] = 0.005
    both = seen(np.where(BRIGHT, 1.0, 0.0), far + faint)
    assert both.coverage is not None
    assert both.lit == BRIGHT.sum() + 1
    assert both.coverage.largest_na == pytest.approx(LEDS.radius_na.max() + NA, rel=0.01)
    assert both.coverage.hole_share > 0 and "are holes" in both.sentence


def test_nothing_lit_is_said() -> None:
    found = seen(np.zeros(len(LEDS)))
    assert found.coverage is None and found.sentence == "No LED is lit: nothing is seen." and found.warning == ""
