"""From a design to what an array shows: measured brightness of the LEDs divided out, levels rounded, exposures kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.geometry_file import PartialGeometry, load_whole_geometry, read_geometry
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.frames import Frame, frames_of
from ptychoui.errors import DataError, SettingsError
from ptychoui.export.options import Options, dwell_ms, quantisation_notes, quantised
from ptychoui.optics.geometry.led_array import layout
from ptychoui.words import counted

LARGEST_RATIO = 100.0
"""An LED that is so many times fainter than the brightest is taken for a dead one, not for a dim one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent, and how long the camera looks at it.

    Attributes
    ----------
    frames
        One per pattern.
    exposures_ms
        (row,) time in ms that the camera collects light of each.
    notes
        What dividing and rounding changed, as sentences.
    """

    frames: tuple[Frame, ...]
    exposures_ms: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def plan(
    patterns: PatternSet,
    bits: int | None = None,
    frame_ms: float = 100.0,
    divide_gain: bool = True,
    gain: NDArray[np.float64] | None = None,
) -> Plan:
    """What an array has to show for a design to be seen.

    Parameters
    ----------
    patterns
        Levels (row, LED), exposures (row,) in frames and LED numbers.
    bits
        Round levels to so many bits; None: leave them to the 8 bits of the device.
    frame_ms
        Time of one frame in ms.
    divide_gain
        Divide levels by the measured brightness of the LEDs, where it is given or the design states it.
    gain
        (LED,) measured brightness of the patterns' LEDs, instead of what the design states.

    Raises
    ------
    SettingsError
        If a lit LED is stated to be dead, or bits or times are outside their ranges.
    """
    notes: list[str] = []
    if gain is None:
        gain = measured_gain(patterns)
    if gain is not None and divide_gain:
        patterns = without_gain(patterns, gain)
        lit = (patterns.levels > 0).any(0)
        notes.append(
            f"levels are divided by the measured brightness of the LEDs, {gain[lit].min():.3g} to "
            f"{gain[lit].max():.3g}; exposures make up for it"
            if lit.any()
            else "no LED is lit"
        )
    options = Options(bits=bits or 8, frame_ms=frame_ms)
    coded = quantised(patterns, options)
    if bits is not None:
        notes += quantisation_notes(patterns, coded)
        shown = replace(patterns, levels=coded.levels)
        return Plan(frames=tuple(frames_of(shown)), exposures_ms=dwell_ms(patterns, coded, options), notes=tuple(notes))
    return Plan(frames=tuple(frames_of(patterns)), exposures_ms=patterns.exposures * frame_ms, notes=tuple(notes))


def measured_gain(patterns: PatternSet) -> NDArray[np.float64] | None:
    """(LED,) measured brightness of the patterns' LEDs, 1 for the median; None where the design states none.

    The design's own settings state it in the order of the images, that is of the geometry's LEDs.
    """
    experiment = patterns.record.get("experiment")
    data = experiment.get("data") if isinstance(experiment, dict) else None
    images = data.get("images") if isinstance(data, dict) else None
    stated = images.get("gains") if isinstance(images, dict) else None
    if not stated:
        return None
    gains = np.asarray(stated, dtype=np.float64)
    numbers, _ = layout(patterns.geometry.array)
    if len(numbers) != len(gains):
        if len(gains) != len(patterns.led_numbers):
            return None
        numbers = patterns.led_numbers
    known = {int(number): float(gain) for number, gain in zip(numbers, gains, strict=True)}
    if any(int(number) not in known for number in patterns.led_numbers):
        return None
    found = np.array([known[int(number)] for number in patterns.led_numbers])
    return np.asarray(found / np.median(found[found > 0])) if (found > 0).any() else None


def profile_gain(path: str | Path, patterns: PatternSet) -> NDArray[np.float64]:
    """(LED,) brightness of the patterns' LEDs as a profile states it, 1 for the median.

    Raises
    ------
    PtychouiError
        If the file is no profile, or does not know an LED of the patterns.
    """
    given = read_geometry(path)
    stated = given.images.gains if isinstance(given, PartialGeometry) and given.images is not None else None
    if stated is None:
        raise DataError(f"{Path(path).name} states no brightness of LEDs", "ptychoui profile writes one that does")
    numbers, _ = layout(load_whole_geometry(path).array)
    if len(numbers) != len(stated):
        raise DataError(f"{Path(path).name} states {len(stated)} brightnesses for {counted(len(numbers), 'LED')}")
    known = dict(zip(numbers.tolist(), stated, strict=True))
    absent = [int(number) for number in patterns.led_numbers if int(number) not in known]
    if absent:
        raise DataError(f"{Path(path).name} does not know LED {absent[0]} of {patterns.name}", "measure the same array")
    found = np.array([known[int(number)] for number in patterns.led_numbers])
    return np.asarray(found / np.median(found[found > 0]))


def without_gain(patterns: PatternSet, gain: NDArray[np.float64]) -> PatternSet:
    """Patterns whose light, through LEDs of brightness ``gain`` (LED,), is that of the levels.

    Each row is scaled so that its largest level stays what it was, and its exposure makes up for that.

    Raises
    ------
    SettingsError
        If a lit LED is stated to be dead.
    """
    lit = (patterns.levels > 0).any(0)
    dead = lit & (gain <= gain.max() / LARGEST_RATIO)
    if dead.any():
        number = int(patterns.led_numbers[np.flatnonzero(dead)[0]])
        raise SettingsError(
            f"{patterns.name} lights LED {number}, whose measured brightness is {gain[dead][0]:.2g}: it is dead",
            "learn a design without it, or leave the brightness out",
        )
    levels = np.where(patterns.levels > 0, patterns.levels / np.where(gain > 0, gain, 1.0), 0.0)
    scale = np.ones(len(levels))
    rows = levels.max(1) > 0
    scale[rows] = patterns.levels[rows].max(1) / levels[rows].max(1)
    return replace(
        patterns, levels=np.clip(levels * scale[:, None], 0, 1), exposures=np.asarray(patterns.exposures) / scale
    )


def bit_planes(frames: tuple[Frame, ...], bits: int) -> tuple[Frame, ...]:
    """Frames of LEDs that are on or off, whose sum over 2**bits - 1 frames is the levels: for sequences of one bit.

    A level of code c is on in c of the 2**bits - 1 frames: plane k of the code is shown 2**k times. Levels must be
    whole codes, as ``plan(bits=...)`` makes them.

    Raises
    ------
    SettingsError
        If bits are not 1 to 8 or a level is no whole code.
    """
    if not 1 <= bits <= 8:
        raise SettingsError(f"{bits} bit planes: it must be 1 to 8")
    top, found = 2**bits - 1, []
    for frame in frames:
        codes = np.asarray(frame.levels) * top
        if np.abs(codes - np.rint(codes)).max(initial=0) > 1e-6:
            raise SettingsError(f"{frame.name} has levels that are no whole codes of {bits} bits", "round them first")
        whole = np.rint(codes).astype(np.int64)
        for plane in range(bits):
            levels = ((whole >> plane) & 1).astype(np.float64)
            name = f"{frame.name}, bit {plane + 1}"
            found += [Frame(numbers=frame.numbers, levels=levels, name=name)] * 2**plane
    return tuple(found)
