"""What is said of a design before any run, and the values of a finished one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.design.feasibility import feasibility
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Array, Geometry, Measurement, Microscope

NA = 0.2
GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=NA, magnification=10, camera_pixel_um=5.0),
    array=Array(kind="lattice", rows=7, columns=7, pitch_mm=4.0, height_mm=46.0),
)
LEDS = led_array(GEOMETRY.array)
BRIGHT = LEDS.bright_field(NA)


def judge(levels: np.ndarray, exposures: list[float] | None = None, **measurement: Any) -> Any:
    exposures = exposures or [1.0] * len(levels)
    settings = Measurement(**({"photons_per_led": 1e4, "full_well": 1e6} | measurement))
    return feasibility(levels, np.array(exposures), LEDS, GEOMETRY, settings)


def half(axis: int, sign: int = 1) -> np.ndarray:
    return (BRIGHT & (sign * LEDS.illumination_na[:, axis] > 1e-9)).astype(float)


def test_lit_leds_and_photons() -> None:
    dark = (~BRIGHT).astype(float)
    found = judge(np.array([half(0), dark, 0.5 * dark]), [1.0, 2.0, 1.0])
    lit = np.count_nonzero(~BRIGHT)
    assert found.lit == (int(half(0).sum()), lit, lit)
    assert found.dark_field_photons == pytest.approx(0.01 * 1e4 * lit * (2.0 + 0.5) / 2)
    assert "LEDs lit per pattern" in found.line()


def test_saturation_names_rows() -> None:
    found = judge(np.array([half(0), BRIGHT * 1.0]), full_well=1.5e4 * half(0).sum())
    assert found.saturated_rows == (1,)
    assert any("rows 2 saturate" in w for w in found.warnings)


def test_symmetric_patterns_are_blind_to_the_sign_of_phase() -> None:
    symmetric = judge(np.array([BRIGHT * 1.0]))
    assert symmetric.phase_sensitivity == pytest.approx(0, abs=1e-12)
    assert any("every pattern is symmetric" in w for w in symmetric.warnings)
    lopsided = judge(np.array([half(0)]))
    assert lopsided.phase_sensitivity > 0.5
    assert not any("symmetric" in w for w in lopsided.warnings)


def test_phase_transfer_of_one_oblique_led_is_one() -> None:
    """Some frequency passes on one side only; an LED on the axis passes both or none."""
    single, axis = np.zeros(49), np.zeros(49)
    single[24 + 2] = 0.7
    axis[24] = 1
    assert judge(single[None]).phase_sensitivity == pytest.approx(1)
    assert judge(axis[None]).phase_sensitivity == pytest.approx(0, abs=1e-12)
    assert judge((~BRIGHT).astype(float)[None]).phase_sensitivity == 0


def test_coverage_of_one_pupil_is_the_ratio_of_areas() -> None:
    corner = np.zeros((1, 49))
    corner[0, 0] = 1
    lit = float(LEDS.radius_na[0])
    assert judge(corner).coverage == pytest.approx((NA / (NA + lit)) ** 2, rel=0.1)
    radius = NA + float(LEDS.radius_na.max())
    points = np.random.default_rng(0).uniform(-radius, radius, (20_000, 2))
    points = points[np.hypot(*points.T) <= radius]
    covered = (np.hypot(*(points[:, None] - LEDS.illumination_na[None]).transpose(2, 0, 1)) <= NA).any(1)
    assert judge(np.ones((1, 49))).coverage == pytest.approx(covered.mean(), abs=0.02)


def test_rows_without_light_and_faint_rows_are_named() -> None:
    faint = 0.02 * (np.arange(49) == 0)
    found = judge(np.array([half(0), faint, np.zeros(49)]))
    assert any("row" in w and "3 light no LED" in w for w in found.warnings)
    assert any("fewer than 10 photons" in w for w in found.warnings)
    assert np.isnan(judge(np.array([half(0)])).dark_field_photons)
    assert "no dark-field rows" in judge(np.array([half(0)])).line()


def patterns(**changes: Any) -> PatternSet:
    values: dict[str, Any] = {
        "levels": np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]]),
        "exposures": np.array([1.0, 2.0]),
        "led_numbers": np.array([3, 4, 9]),
        "positions_mm": np.zeros((3, 3)),
        "illumination_na": np.zeros((3, 2)),
        "row_names": ("a", "b"),
        "geometry": GEOMETRY,
    }
    return PatternSet(**values | changes)


def test_a_pattern_set_counts_lit_leds() -> None:
    assert patterns().lit.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": np.full((2, 3), 1.1)}, "drive levels run from 1.1 to 1.1; they must lie in 0 to 1"),
        ({"levels": np.full((2, 3), np.nan)}, "must lie in 0 to 1"),
        ({"levels": np.full((2, 3), -0.1)}, "must lie in 0 to 1"),
        ({"exposures": np.array([1.0, 0.0])}, "an exposure of 0 frames: it must be above 0"),
        ({"exposures": np.ones(3)}, r"exposures has the shape \(3,\), expected \(2,\)"),
        ({"row_names": ("a",)}, r"row_names has the shape \(1,\), expected \(2,\)"),
        ({"positions_mm": np.zeros((3, 2))}, "positions_mm has the shape"),
    ],
)
def test_pattern_sets_that_no_hardware_can_show_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        patterns(**changes)
