"""How long the camera looks, and how brightly a pattern shines: 80 % of the full well without anybody turning knobs.

Levels are drive values of 8 bits, so an array is kept as bright as it may be, and light is taken back by a shorter
exposure; only where the camera cannot look so briefly is the pattern dimmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from ptychoui.devices.camera import Camera, Counts
from ptychoui.devices.timeline import Timing
from ptychoui.errors import SettingsError

GOAL = 0.8
"""Share of the full well that the brightest pixels are given."""
CLOSE = (0.9, 1.1)
"""How near to the goal is near enough: shares of it."""
TRIES = 8
STEP_BACK = 8.0
"""By how much light is taken back where the camera is full, and nobody knows how much too much that is."""
STEP_UP = 32.0
"""Most light that is added in one step: a frame that is nearly dark says little."""
BRIGHT_QUANTILE = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposing:
    """The exposure of a pattern.

    Attributes
    ----------
    exposure_ms
        How long the camera looks.
    dimming
        Factor on the levels, 1 for none.
    """

    exposure_ms: float
    dimming: float = 1.0


def whole_periods(exposure_ms: float, timing: Timing, camera: Camera, longest_ms: float) -> float:
    """The exposure in ms that is nearest to one wanted: whole periods of the pulse width, and what the camera can do.

    Raises
    ------
    SettingsError
        If no whole period lies between the camera's shortest exposure and the longest that is allowed.
    """
    period = timing.pwm_period_ms
    low, high = camera.shortest_ms, min(camera.longest_ms, longest_ms)
    if period:
        low, high = period * ceil(low / period - 1e-9), period * floor(high / period + 1e-9)
        exposure_ms = period * max(1, round(exposure_ms / period))
    low = max(low, period)
    if not low <= high:
        raise SettingsError(
            f"no exposure fits: the shortest is {low:g} ms, the longest that is allowed {min(longest_ms, high):g} ms",
            "allow longer exposures with --longest-ms, or correct --pwm-ms",
        )
    return float(min(max(exposure_ms, low), high))


def filled(frame: Counts, camera: Camera, dark: float) -> float:
    """Share of the full well above the dark counts that the brightest pixels of a frame (row, column) have."""
    return float((np.quantile(frame, BRIGHT_QUANTILE) - dark) / (camera.full_well - dark))


def better(now: Exposing, frame: Counts, camera: Camera, dark: float, timing: Timing, longest_ms: float) -> Exposing:
    """The exposure that a frame (row, column) which was taken with ``now`` suggests; ``now`` itself where it is good.

    Parameters
    ----------
    dark
        Counts of a pixel without light.
    longest_ms
        Longest exposure that is allowed.
    """
    if camera.saturated(frame) > 0:
        factor = 1 / STEP_BACK if filled(frame, camera, dark) >= 1 else 0.7
    else:
        share = filled(frame, camera, dark)
        if CLOSE[0] * GOAL <= share <= CLOSE[1] * GOAL:
            return now
        factor = min(GOAL / max(share, 1e-6), STEP_UP)
    wanted = now.exposure_ms * now.dimming * factor
    exposure = whole_periods(wanted, timing, camera, longest_ms)
    dimming = wanted / exposure if wanted < CLOSE[0] * exposure else 1.0
    return Exposing(exposure_ms=exposure, dimming=dimming)
