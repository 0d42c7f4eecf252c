"""What every exporter is given and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import array_sha256
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.quantise import Quantised, quantise
from ptychoui.words import counted

LARGEST_LED_NUMBER = 32767


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How patterns are turned into what a device shows.

    Attributes
    ----------
    bits
        Bits of a drive level where the format holds whole codes.
    minimum_code
        Smallest code above zero that makes an LED shine.
    frame_ms
        Time of one frame in ms: exposures are given in frames.
    """

    bits: int
    minimum_code: int = 0
    frame_ms: float = 100.0

    def __post_init__(self) -> None:
        if not 0.001 <= self.frame_ms <= 3_600_000:
            raise SettingsError(f"a frame of {self.frame_ms:g} ms: it must last 0.001 to 3600000 ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Files that were written, and sentences a person should read before using them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def design_hash(patterns: PatternSet) -> str:
    """Hash of levels, exposures and LED numbers: equal for equal designs, whatever the format."""
    return array_sha256(
        np.asarray(patterns.levels, dtype=np.float64),
        np.asarray(patterns.exposures, dtype=np.float64),
        np.asarray(patterns.led_numbers, dtype=np.int64),
    )


def quantised(patterns: PatternSet, options: Options) -> Quantised:
    """Quantise the levels of a pattern set."""
    return quantise(patterns.levels, options.bits, options.minimum_code)


def dwell_ms(patterns: PatternSet, coded: Quantised, options: Options) -> NDArray[np.float64]:
    """(row,) exposure of each pattern in ms, corrected for the light that quantising changed."""
    return np.asarray(patterns.exposures * coded.exposure_scale * options.frame_ms)


def quantisation_notes(patterns: PatternSet, coded: Quantised) -> list[str]:
    """What quantising cost, as sentences."""
    worst = int(np.argmax(coded.relative_error))
    notes = []
    learned_for = _drive_bits(patterns)
    if learned_for is not None and learned_for != coded.bits:
        notes.append(
            f"the patterns were learned for levels of {counted(learned_for, 'bit')}, and are written with "
            f"{coded.bits}: {counted(learned_for, 'bit')} show exactly what was learned"
        )
    if coded.relative_error[worst] > 1e-12:
        notes.append(
            f"quantised to {coded.bits} {'bit' if coded.bits == 1 else 'bits'}: the levels change by up to "
            f"{coded.relative_error[worst]:.2g} of their norm ({patterns.row_names[worst]})"
        )
    scale = coded.exposure_scale
    if np.abs(scale - 1).max() > 1e-3:
        notes.append(
            f"exposures are multiplied by {scale.min():.3g} to {scale.max():.3g}, which keeps each pattern's light"
        )
    return notes


def _drive_bits(patterns: PatternSet) -> int | None:
    """Bits of a level that patterns were learned for; None where any level was, or the record does not say."""
    experiment = patterns.record.get("experiment")
    design = experiment.get("design") if isinstance(experiment, dict) else None
    bits = design.get("drive_bits") if isinstance(design, dict) else None
    return bits if isinstance(bits, int) else None


def check_led_numbers(patterns: PatternSet) -> None:
    """Refuse numbers that no controller has: it would write outside its table, for it does not check."""
    numbers = np.asarray(patterns.led_numbers)
    if len(numbers) and (numbers.min() < 0 or numbers.max() > LARGEST_LED_NUMBER):
        bad = int(numbers.min() if numbers.min() < 0 else numbers.max())
        raise SettingsError(
            f"LED number {bad} is outside 0 to {LARGEST_LED_NUMBER}", "correct array.led_numbers in the geometry"
        )
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) != len(numbers):
        raise SettingsError(
            f"LED number {int(values[counts > 1][0])} occurs twice", "correct array.led_numbers in the geometry"
        )
