"""Times of a sequence."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.devices.device import Capabilities
from ptychoui.devices.timeline import Timing, timeline
from ptychoui.errors import SettingsError

LIMITS = Capabilities(n_leds=10, min_delay_ms=5, max_delay_ms=2000)


def test_exposures_are_whole_periods() -> None:
    found = timeline([10.3, 19.9, 0.2], Timing(pwm_period_ms=1, settle_ms=0), equal_steps=False)
    np.testing.assert_allclose(found.exposure_ms, [10, 20, 1])
    assert any("whole numbers of the 1 ms period" in note and "400.0%" in note for note in found.notes)
    assert any("1 periods" in note for note in found.notes)
    quiet = timeline([30.0, 20.0], Timing(pwm_period_ms=1, settle_ms=0))
    assert quiet.notes == ()
    np.testing.assert_allclose(timeline([0.3], Timing(pwm_period_ms=0, settle_ms=0)).exposure_ms, [0.3])


def test_the_camera_looks_at_steady_light_alone() -> None:
    timing = Timing(pwm_period_ms=0.5, settle_ms=4, readout_ms=8, trigger_ms=1, camera_gap_ms=3)
    for equal in (True, False):
        found = timeline([20.0, 40.0, 25.5], timing, equal_steps=equal)
        begin, end = found.exposure_from_ms, found.exposure_from_ms + found.exposure_ms
        assert (begin >= found.on_ms + 5).all()
        assert (end + 8 <= found.off_ms + 1e-9).all(), "the last row of a rolling shutter"
        np.testing.assert_allclose(found.on_ms[1:], found.off_ms[:-1])
        assert (begin[1:] - end[:-1] >= 3).all()
        assert found.total_ms == pytest.approx(found.off_ms[-1])
    np.testing.assert_allclose(timeline([20.0, 40.0], timing, equal_steps=False).off_ms, [33, 86])
    assert timeline([20.0, 40.0], timing).step_ms == 53 and timeline([20.0, 40.2], timing).step_ms == 53
    assert timeline([20.0, 40.3], timing).step_ms == 54


def test_a_slow_camera_sets_the_pace() -> None:
    timing = Timing(pwm_period_ms=0, settle_ms=1, camera_gap_ms=50)
    found = timeline([10.0, 10.0], timing)
    assert found.step_ms == 60 and found.exposure_from_ms[1] - found.exposure_from_ms[0] == 60


def test_limits_of_the_device() -> None:
    short = timeline([1.0], Timing(pwm_period_ms=0, settle_ms=0), LIMITS)
    assert short.step_ms == 5
    with pytest.raises(SettingsError, match=r"takes 2006 ms, and the device shows one for at most 2000 ms"):
        timeline([2000.5], Timing(pwm_period_ms=0, settle_ms=5), LIMITS)


@pytest.mark.parametrize("exposures", [[], [0.0], [-1.0], [np.nan], [[1.0]]])
def test_exposures_that_are_none(exposures: list[float]) -> None:
    with pytest.raises(SettingsError, match="times above 0 ms"):
        timeline(exposures, Timing())


def test_times_have_ranges() -> None:
    with pytest.raises(SettingsError, match="settle_ms = -1"):
        Timing(settle_ms=-1)
