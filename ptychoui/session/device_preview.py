"""What an array would make of a design, before anything is sent: levels, the cost of rounding, current and times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.patterns import PatternSet
from ptychoui.devices.device import Capabilities
from ptychoui.devices.frames import COLOURS, FULL, USUAL_BRIGHTNESS, current_ma, distinct_levels, drive_values
from ptychoui.devices.playing import LARGEST_RATIO, Plan, measured_gain, plan
from ptychoui.devices.timeline import Timeline, Timing, timeline
from ptychoui.errors import PtychouiError
from ptychoui.session.device_state import Opened
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A design with what is sent of it.

    Attributes
    ----------
    patterns
        The design, levels (row, LED).
    plan
        Frames to send; None where ``problem`` says why there are none.
    dead
        (LED,) LEDs whose measured brightness says that they are dead.
    """

    patterns: PatternSet
    plan: Plan | None
    dead: NDArray[np.bool_]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One pattern as designed and as the array will show it.

    Attributes
    ----------
    designed, on_array
        (LED,) levels in 0 to 1; of the array the drive values as shares of the largest.
    values
        (n_leds,) drive values of the array.
    ringed
        (LED,) LEDs that are dead, or that the array does not have.
    cost
        What rounding costs, in words.
    current_ma
        Estimated current in mA.
    problem
        Why it cannot be shown; empty where it can.
    """

    name: str
    designed: NDArray[np.float64]
    on_array: NDArray[np.float64]
    values: NDArray[np.uint8]
    ringed: NDArray[np.bool_]
    cost: str
    current_ma: float
    problem: str = ""


def prepare(patterns: PatternSet, bits: int | None, frame_ms: float, divide_gain: bool = True) -> Prepared:
    """Work out what is sent of a design: bits a level (None: the 8 of the array), time of a frame in ms."""
    gain = measured_gain(patterns)
    dead = np.zeros(len(patterns.led_numbers), bool) if gain is None else gain <= gain.max() / LARGEST_RATIO
    try:
        return Prepared(patterns=patterns, plan=plan(patterns, bits, frame_ms, divide_gain), dead=dead)
    except PtychouiError as error:
        return Prepared(patterns=patterns, plan=None, dead=dead, problem=f"{error.message}: {error.hint}")


def colour_of(wavelength_um: float) -> str:
    """The colour of an array's LEDs that a wavelength in um asks for."""
    return "red" if wavelength_um > 0.585 else "blue" if wavelength_um < 0.495 else "green"


def channels_of(colour: str, capabilities: Capabilities | None) -> int:
    """Number of colours that shine at once; one where nothing is known of the array."""
    return sum(COLOURS[colour]) if capabilities is not None and len(capabilities.colours) > 1 else 1


def seen(prepared: Prepared, row: int, opened: Opened | None, brightness: float = USUAL_BRIGHTNESS) -> Seen:
    """One pattern beside what the array makes of it.

    Parameters
    ----------
    prepared
        The design.
    row
        Which pattern.
    opened
        The array; None: one that has all LEDs and 8 bits.
    brightness
        Share of full drive that level 1 means.
    """
    patterns = prepared.patterns
    numbers = np.asarray(patterns.led_numbers)
    designed = np.asarray(patterns.levels[row], dtype=np.float64)
    count = int(numbers.max(initial=0)) + 1 if opened is None else opened.capabilities.n_leds
    ringed = prepared.dead | (numbers >= count) | (numbers < 0)
    name = patterns.row_names[row]
    if prepared.plan is None:
        return Seen(
            name=name,
            designed=designed,
            on_array=np.zeros(len(designed)),
            values=np.zeros(count, dtype=np.uint8),
            ringed=ringed,
            cost="",
            current_ma=0.0,
            problem=prepared.problem,
        )
    frame = prepared.plan.frames[row]
    try:
        values = drive_values(frame, count, brightness)
        problem = ""
    except PtychouiError as error:
        values, problem = np.zeros(count, dtype=np.uint8), f"{error.message}: {error.hint}"
    top = float(np.rint(brightness * FULL))
    there = (numbers >= 0) & (numbers < count)
    on_array = np.zeros(len(designed))
    on_array[there] = values[numbers[there]] / top
    channels = 1 if opened is None else opened.channels
    return Seen(
        name=name,
        designed=designed,
        on_array=on_array,
        values=values,
        ringed=ringed,
        cost="" if problem else cost_of(np.asarray(frame.levels), on_array, int(top)),
        current_ma=current_ma(values, channels),
        problem=problem,
    )


def cost_of(wanted: NDArray[np.float64], shown: NDArray[np.float64], steps: int) -> str:
    """What rounding to so many steps of light changes, in words; wanted and shown are levels (LED,)."""
    norm = float(np.linalg.norm(wanted))
    if not norm:
        return "no LED is lit"
    change = float(np.linalg.norm(shown - wanted)) / norm
    lost = int(np.count_nonzero((wanted > 0) & (shown == 0)))
    said = f"{steps} steps of light at this brightness: "
    if change < 1e-9:
        return said + "exactly as designed"
    said += f"levels change by {change:.2g} of their norm"
    return f"{said}, {counted(lost, 'faint LED')} {'stays' if lost == 1 else 'stay'} dark" if lost else said


def most_current_ma(prepared: Prepared, opened: Opened, brightness: float) -> float:
    """The largest current in mA of any pattern of a design."""
    if prepared.plan is None:
        return 0.0
    draws = [
        current_ma(drive_values(frame, opened.capabilities.n_leds, brightness), opened.channels)
        for frame in prepared.plan.frames
    ]
    return max(draws, default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """How a sequence would be played.

    Attributes
    ----------
    in_hardware
        Whether the array times it, as far as can be known before it is sent.
    sentence
        Who times it and why, how long it takes.
    times
        When what happens; None where ``problem`` says why it cannot be.
    delay_ms
        Time per pattern in ms.
    """

    in_hardware: bool
    sentence: str
    times: Timeline | None
    delay_ms: float = 0.0
    problem: str = ""


def foresee(
    prepared: Prepared, opened: Opened | None, brightness: float, timing: Timing, delay_ms: float | None, count: int = 1
) -> Foreseen:
    """Who would time a sequence, and how long it would take.

    Parameters
    ----------
    brightness
        Share of full drive that level 1 means.
    timing
        Times of LEDs and camera.
    delay_ms
        Time per pattern in ms; None: as the exposures need it.
    """
    if prepared.plan is None:
        return Foreseen(in_hardware=False, sentence="", times=None, problem=prepared.problem)
    hardware, why = _who(prepared, opened, brightness)
    limits = opened.capabilities if opened is not None and hardware else None
    try:
        times = timeline(prepared.plan.exposures_ms, timing, limits)
    except PtychouiError as error:
        return Foreseen(in_hardware=hardware, sentence=why, times=None, problem=f"{error.message}: {error.hint}")
    delay = times.step_ms if delay_ms is None else delay_ms
    rows = len(prepared.plan.frames)
    problem = ""
    if limits is not None and not limits.min_delay_ms <= delay <= limits.max_delay_ms:
        problem = (
            f"the array shows a pattern for {limits.min_delay_ms:g} to {limits.max_delay_ms:g} ms, not {delay:g} ms: "
            "choose another time"
        )
    elif delay + 1e-9 < times.step_ms:
        why += f"; a pattern needs {times.step_ms:g} ms and gets {delay:g} ms: the camera collects less light"
    total = f"{counted(rows, 'pattern')} of {delay:g} ms, {rows * count * delay / 1000:.3g} s"
    return Foreseen(in_hardware=hardware, sentence=f"{total}, {why}", times=times, delay_ms=delay, problem=problem)


def _who(prepared: Prepared, opened: Opened | None, brightness: float) -> tuple[bool, str]:
    """Whether the array times a sequence, and a sentence on it."""
    if opened is None:
        return False, "timed by the array where it can"
    can = opened.capabilities
    if not can.hardware_sequence:
        return False, "stepped by the computer, for the array keeps no sequence: times vary by some ms"
    assert prepared.plan is not None
    try:
        rows = np.stack([drive_values(frame, can.n_leds, brightness) for frame in prepared.plan.frames])
    except PtychouiError:
        return True, "timed by the array"
    if can.bits_sequence == 1 and distinct_levels(rows) > 1:
        return False, (
            "stepped by the computer, for the array's own sequences know LEDs on or off: times vary by some ms, 1 bit "
            "per level lets the array time them"
        )
    return True, "timed by the array"
