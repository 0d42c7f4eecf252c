"""When which pattern shines and the camera looks: the times of a sequence, and its limits. NumPy only.

LEDs are dimmed by pulse width: light that is collected over a part of a period is not the level that was set, so an
exposure is a whole number of periods. Each step is

    latch -> settle -> [exposure of the camera] -> (rolling shutter: its last row ends later) -> next

and the camera is triggered when the LEDs have settled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities
from ptychoui.errors import SettingsError

FEW_PERIODS = 20
"""Below so many periods a beat of exposure and pulse width is seen where they are not in step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of LEDs and camera in ms.

    Attributes
    ----------
    pwm_period_ms
        Period of the pulse width; 0 where LEDs are not dimmed so.
    settle_ms
        From the command to steady light: latching all LEDs, and their drivers.
    readout_ms
        Rolling shutter: time between the start of its first row and of its last. Global shutter: 0.
    camera_gap_ms
        Time that the camera needs between two exposures, such as its read-out.
    trigger_ms
        From the trigger to the start of the exposure.
    """

    pwm_period_ms: float = 1.0
    settle_ms: float = 5.0
    readout_ms: float = 0.0
    camera_gap_ms: float = 0.0
    trigger_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pwm_period_ms", "settle_ms", "readout_ms", "camera_gap_ms", "trigger_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 3_600_000):
                raise SettingsError(f"{name} = {value:g}: it must be 0 to 3600000 ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Times of a sequence in ms from its start.

    Attributes
    ----------
    on_ms
        (row,) the pattern is latched.
    exposure_from_ms, exposure_ms
        (row,) the camera's first row begins, and how long each row collects.
    off_ms
        (row,) the pattern ends: the camera's last row has ended before.
    step_ms
        Time per pattern of a device that has one for all: the longest.
    total_ms
        End of the last.
    notes
        Exposures that were changed, and what to watch.
    """

    on_ms: NDArray[np.float64]
    exposure_from_ms: NDArray[np.float64]
    exposure_ms: NDArray[np.float64]
    off_ms: NDArray[np.float64]
    step_ms: float
    total_ms: float
    notes: tuple[str, ...] = ()


def timeline(
    exposures_ms: Sequence[float] | NDArray[np.float64],
    timing: Timing,
    capabilities: Capabilities | None = None,
    equal_steps: bool = True,
) -> Timeline:
    """Times of a sequence of patterns.

    Parameters
    ----------
    exposures_ms
        (row,) wanted exposures; each becomes the nearest whole number of pulse-width periods, at least one.
    timing
        Of LEDs and camera.
    capabilities
        Limits of the device that plays it; None: none.
    equal_steps
        All patterns take as long as the longest: devices that time a sequence have one delay.

    Raises
    ------
    SettingsError
        If an exposure is not above 0, or a step is longer than the device can show a pattern.
    """
    wanted = np.asarray(exposures_ms, dtype=np.float64)
    if wanted.ndim != 1 or not len(wanted) or not (np.isfinite(wanted) & (wanted > 0)).all():
        raise SettingsError("exposures must be times above 0 ms, one per pattern")
    period, notes = timing.pwm_period_ms, []
    exposures = np.maximum(np.rint(wanted / period), 1) * period if period else wanted.copy()
    if period:
        change = np.abs(exposures / wanted - 1)
        if change.max() > 1e-3:
            notes.append(
                f"exposures are whole numbers of the {period:g} ms period of the LEDs: they change by up to "
                f"{change.max():.1%}"
            )
        fewest = int(np.rint(exposures.min() / period))
        if fewest < FEW_PERIODS:
            notes.append(
                f"the shortest exposure has {fewest} periods of the LEDs: its light depends on when it begins, unless "
                "both are in step"
            )
    lead = timing.settle_ms + timing.trigger_ms
    steps = np.maximum(lead + exposures + timing.readout_ms, exposures + timing.camera_gap_ms)
    if capabilities is not None:
        steps = np.maximum(steps, capabilities.min_delay_ms)
    if equal_steps:
        # Devices take whole milliseconds.
        steps = np.full(len(steps), math.ceil(steps.max() - 1e-9), dtype=np.float64)
    if capabilities is not None and steps.max() > capabilities.max_delay_ms:
        raise SettingsError(
            f"a pattern takes {steps.max():.5g} ms, and the device shows one for at most "
            f"{capabilities.max_delay_ms:.5g} ms",
            "shorten the exposures, or let the computer step the patterns",
        )
    if timing.readout_ms:
        notes.append(
            f"rolling shutter: each pattern stays {timing.readout_ms:g} ms longer, until the camera's last row ends"
        )
    on = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    return Timeline(
        on_ms=on,
        exposure_from_ms=on + lead,
        exposure_ms=exposures,
        off_ms=on + steps,
        step_ms=float(steps.max()),
        total_ms=float(steps.sum()),
        notes=tuple(notes),
    )
