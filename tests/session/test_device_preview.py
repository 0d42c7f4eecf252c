"""What an array makes of a design, against numbers written down by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.design.patterns import PatternSet
from ptychoui.devices.device import Capabilities
from ptychoui.devices.timeline import Timing
from ptychoui.session.device_preview import channels_of, colour_of, cost_of, foresee, most_current_ma, prepare, seen
from ptychoui.session.device_state import LinkState, Opened, Phase, answered
from ptychoui.settings import Geometry

TIMING = Timing(pwm_period_ms=0.0, settle_ms=5.0)


def design(levels: Any, numbers: Any = None, gains: Any = None) -> PatternSet:
    levels = np.asarray(levels, dtype=float)
    count = levels.shape[1]
    geometry = Geometry(
        microscope={"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 5.0},  # type: ignore[arg-type]
        array={"kind": "lattice", "rows": 1, "columns": count, "pitch_mm": 4.0, "height_mm": 80.0},  # type: ignore[arg-type]
    )
    record = {} if gains is None else {"experiment": {"data": {"images": {"gains": list(gains)}}}}
    place = np.column_stack([np.arange(count) * 1.0, np.zeros(count)])
    return PatternSet(
        levels=levels,
        exposures=np.ones(len(levels)),
        led_numbers=np.arange(count) if numbers is None else np.asarray(numbers),
        positions_mm=np.column_stack([place, np.zeros(count)]),
        illumination_na=place * 0.05,
        row_names=tuple(f"row {i + 1}" for i in range(len(levels))),
        geometry=geometry,
        name="design",
        record=record,
    )


def array(n_leds: int = 4, **changes: Any) -> Opened:
    can = {"n_leds": n_leds, "hardware_sequence": True, "min_delay_ms": 5.0, "max_delay_ms": 2000.0} | changes
    return Opened(
        url="port",
        name="board",
        kind="x",
        capabilities=Capabilities(**can),
        channels=1,
        usual_limit_ma=100.0,
        emulated=False,
    )


def test_levels_become_whole_steps_of_light() -> None:
    found = seen(prepare(design([[1.0, 0.5, 0.26, 0.01]]), None, 100.0), 0, array(), 0.1)
    # 10 % is 26 of 255: 26, 13, 6.76 -> 7, 0.26 -> 0.
    assert found.values.tolist() == [26, 13, 7, 0]
    np.testing.assert_allclose(found.on_array, np.array([26, 13, 7, 0]) / 26)
    assert found.current_ma == pytest.approx((26 + 13 + 7) / 255 * 20)
    change = np.hypot(7 / 26 - 0.26, 0.01) / np.sqrt(1 + 0.25 + 0.26**2 + 0.01**2)
    assert (
        found.cost
        == f"26 steps of light at this brightness: levels change by {change:.2g} of their norm, 1 faint LED stays dark"
    )


def test_what_needs_no_rounding_costs_nothing() -> None:
    found = seen(prepare(design([[1.0, 0.0, 1.0, 0.0]]), None, 100.0), 0, array(), 0.1)
    assert found.cost.endswith("exactly as designed") and not found.ringed.any() and found.problem == ""
    assert cost_of(np.zeros(3), np.zeros(3), 26) == "no LED is lit"


def test_bits_round_and_say_so() -> None:
    prepared = prepare(design([[1.0, 0.4, 0.6, 0.0]]), 1, 100.0)
    found = seen(prepared, 0, array(), 0.1)
    assert set(found.values.tolist()) <= {0, 26} and prepared.plan is not None
    assert any("1 bit" in note for note in prepared.plan.notes)


def test_brightness_of_leds_is_divided_and_dead_ones_are_ringed() -> None:
    gains = [1.0, 2.0, 1.0, 0.001]
    dimmed = design([[0.5, 0.5, 0.5, 0.0]], gains=gains)
    found = seen(prepare(dimmed, None, 100.0), 0, array(), 1.0)
    # Levels 0.5, 0.25, 0.5 of 255: 127.5 and 63.75.
    assert found.values.tolist() == [128, 64, 128, 0] and found.ringed.tolist() == [False, False, False, True]
    raw = seen(prepare(dimmed, None, 100.0, divide_gain=False), 0, array(), 1.0)
    assert raw.values.tolist() == [128, 128, 128, 0]
    dead = prepare(design([[0.5, 0.5, 0.5, 0.5]], gains=gains), None, 100.0)
    assert dead.plan is None and "dead" in dead.problem
    assert "dead" in seen(dead, 0, array(), 1.0).problem


def test_leds_that_the_array_does_not_have_are_ringed_and_refused_where_lit() -> None:
    prepared = prepare(design([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]), None, 100.0)
    lit, dark = seen(prepared, 0, array(2), 0.1), seen(prepared, 1, array(2), 0.1)
    assert lit.ringed.tolist() == [False, False, True, True] == dark.ringed.tolist()
    assert "lights LED 2" in lit.problem and dark.problem == "" and dark.values.tolist() == [26, 26]
    assert seen(prepared, 0, None, 0.1).problem == ""  # nothing is known of an array yet


def test_the_largest_current_of_all_patterns() -> None:
    prepared = prepare(design([[1.0, 0, 0, 0], [1, 1, 1, 0]]), None, 100.0)
    assert most_current_ma(prepared, array(), 1.0) == pytest.approx(60.0)


def test_who_times_a_sequence_is_said() -> None:
    on_off = prepare(design([[1.0, 0, 0, 1], [0, 1, 1, 0]]), None, 100.0)
    grey = prepare(design([[1.0, 0, 0, 0.5], [0, 1, 1, 0]]), None, 100.0)
    timed = foresee(on_off, array(bits_sequence=1), 0.1, TIMING, None)
    assert timed.in_hardware and timed.sentence == "2 patterns of 105 ms, 0.21 s, timed by the array"
    stepped = foresee(grey, array(bits_sequence=1), 0.1, TIMING, None)
    assert not stepped.in_hardware and "know LEDs on or off" in stepped.sentence
    assert foresee(grey, array(bits_sequence=8), 0.1, TIMING, None).in_hardware
    none = foresee(on_off, array(hardware_sequence=False), 0.1, TIMING, None)
    assert not none.in_hardware and "stepped by the computer" in none.sentence


def test_times_that_the_array_cannot_keep_are_a_problem_before_anything_is_sent() -> None:
    prepared = prepare(design([[1.0, 0, 0, 1]]), None, 100.0)
    assert "5 to 2000 ms" in foresee(prepared, array(), 0.1, TIMING, 2.0).problem
    assert foresee(prepare(design([[1.0, 0, 0, 1]]), None, 3000.0), array(), 0.1, TIMING, None).problem
    short = foresee(prepared, array(), 0.1, TIMING, 50.0)
    assert short.problem == "" and "collects less light" in short.sentence and short.delay_ms == 50
    assert foresee(prepared, array(), 0.1, TIMING, None, count=3).sentence.startswith("1 pattern of 105 ms, 0.315 s")


@pytest.mark.parametrize(("um", "name"), [(0.47, "blue"), (0.53, "green"), (0.632, "red")])
def test_a_wavelength_asks_for_a_colour(um: float, name: str) -> None:
    assert colour_of(um) == name


def test_channels_of_arrays() -> None:
    rgb, mono = Capabilities(n_leds=1, colours=("r", "g", "b")), Capabilities(n_leds=1)
    assert [channels_of("white", can) for can in (rgb, mono, None)] == [3, 1, 1] and channels_of("red", rgb) == 1


def test_states_in_words() -> None:
    opened = array(trigger_outputs=1, bits_sequence=1)
    assert LinkState(phase=Phase.SHOWING, shown="LED 3").headline() == "Showing LED 3"
    assert LinkState(phase=Phase.FAILED).headline() == "Failed"
    assert "dark" in LinkState(phase=Phase.FAILED, opened=opened).headline()
    assert all(LinkState(phase=phase).headline() for phase in Phase)
    facts = opened.facts()
    assert facts[0].startswith("4 LEDs") and "on or off" in facts[1] and facts[2].startswith("1 output")
    assert answered(()).startswith("no serial ports")
