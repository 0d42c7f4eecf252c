"""Patterns as a script of serial commands for LED arrays with the ``illuminate`` firmware.

The firmware has dialects that do not understand each other's sequences:

* ``2`` (firmware 2.x): sequences are binary, ``ssv`` lists LEDs;
* ``1`` (firmware 1.x): sequences have 8 bits, ``ssv`` lists a count and LED, value pairs;
* unknown: only what both understand, single patterns of full brightness.

A command longer than 63 bytes is cut by the boards' USB buffer. ``l`` can be sent in pieces and ``ssv``
cannot, so a set with a pattern that is too long is stepped by the computer, pattern by pattern.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.options import (
    Exported,
    Options,
    check_led_numbers,
    design_hash,
    dwell_ms,
    quantisation_notes,
    quantised,
)

Dialect = Literal["1", "2", "unknown"]

COMMAND_BYTES = 63
"""Longest command that all boards receive whole, with its newline."""
FULL = 255
SHORTEST_DELAY_MS = 5
LONGEST_DELAY_MS = {"1": 65535, "2": 2000}
SETTLE_MS = 5
"""Time between the end of the longest exposure and the next pattern."""


def write_illuminate(patterns: PatternSet, path: Path, options: Options, dialect: Dialect) -> Exported:
    """Write the script; lines that begin with ``#`` are for the reader and must not be sent."""
    check_led_numbers(patterns)
    if FULL % (2**options.bits - 1):
        raise SettingsError(
            f"{options.bits} bits do not divide the firmware's 8-bit scale evenly", "choose 1, 2, 4 or 8 bits"
        )
    coded = quantised(patterns, options)
    values = coded.codes * (FULL // (2**options.bits - 1))
    dwell = dwell_ms(patterns, coded, options)
    numbers = patterns.led_numbers
    delay = max(SHORTEST_DELAY_MS, math.ceil(dwell.max()) + SETTLE_MS)
    steps = [] if dialect == "unknown" else [_sequence_value(dialect, numbers, row, options.bits) for row in values]
    in_hardware = (
        bool(steps)
        and all(steps)
        and delay <= LONGEST_DELAY_MS[dialect]
        and max(len(step) for step in steps) < COMMAND_BYTES
    )
    notes = quantisation_notes(patterns, coded)
    if in_hardware:
        body = _sequence(dialect, steps, patterns.row_names, dwell, delay)
    else:
        body = _stepped(dialect, numbers, values, patterns.row_names, dwell)
        notes.append("the patterns are stepped by the computer, because they do not fit a sequence of the firmware")
    header = [
        f"# LED patterns written by ptychoui for the illuminate firmware, dialect {dialect}",
        f"# sha256 of levels, exposures and LED numbers: {design_hash(patterns)}",
        f"# {len(values)} patterns, {options.bits} bit(s) per level, exposures for frames of {options.frame_ms:g} ms",
        "# Send each line that does not begin with # and a newline, and wait for the reply -==- (firmware 2.x",
        "# answers an error with ERROR and no -==-). On arrays with colours choose one first, such as sc.green.",
    ]
    lines = [*header, *body, "x"]
    return Exported(paths=(write_atomic(path, "\n".join(lines) + "\n"),), notes=tuple(notes))


def _sequence_value(dialect: Dialect, numbers: NDArray[np.int64], row: NDArray[np.int64], bits: int) -> str:
    """The ``ssv`` command of one pattern; empty where the dialect's sequences cannot show it."""
    lit = np.flatnonzero(row)
    if dialect == "2":
        if bits > 1:
            return ""  # sequences of 2.x are on or off
        return ".".join(["ssv", *(str(int(n)) for n in numbers[lit])]) if len(lit) else "ssv.none"
    if not len(lit):
        return "ssz.1"
    return ".".join(["ssv", str(len(lit)), *(f"{int(numbers[i])}.{int(row[i])}" for i in lit)])


def _sequence(
    dialect: Dialect, steps: list[str], names: tuple[str, ...], dwell: NDArray[np.float64], delay: int
) -> list[str]:
    """A run timed by the firmware, with one trigger pulse per pattern."""
    lines = ["machine", "x", f"sb.{FULL}"]
    if dialect == "2":
        lines += ["# some boards start with the shutter closed", "gs.1", f"ssl.{len(steps)}"]
    else:
        lines += ["ssbd.8", f"ssl.{len(steps)}"]
    for name, step, exposure in zip(names, steps, dwell, strict=True):
        lines += [f"# {_plain(name)}: camera exposure {exposure:.3f} ms", step]
        if dialect == "2":
            echo = step.removeprefix("ssv.").replace(".", ",")
            lines.append(f"# expect [{'' if echo == 'none' else echo}]; if not, send ssl and all ssv again")
    lines.append(f"# {delay} ms per pattern; the camera is triggered at the start of each; send nothing meanwhile")
    if dialect == "2":
        return [*lines, "troutputmode.0.1", "trinputmode.0.0", f"rseq.{delay}.1"]
    return [*lines, f"rseq.{delay}.1.1.0"]


def _stepped(
    dialect: Dialect,
    numbers: NDArray[np.int64],
    values: NDArray[np.int64],
    names: tuple[str, ...],
    dwell: NDArray[np.float64],
) -> list[str]:
    """Pattern after pattern, each built up in pieces (behind the shutter where there is one) and triggered."""
    shutter = dialect == "2"
    lines = ["machine", "ac.0", "x"]
    if dialect == "unknown":
        lines.append("# an array with firmware 2.x that stays dark has its shutter closed: send gs.1 once")
    for name, row, exposure in zip(names, values, dwell, strict=True):
        lines += [f"# {_plain(name)}: camera exposure {exposure:.3f} ms", *(["gs.0"] if shutter else []), "x"]
        for value in np.unique(row[row > 0]):
            lines += [f"sb.{int(value)}", *led_lists(numbers[row == value])]
        lines += [*(["gs.1"] if shutter else []), "tr.0", f"# wait {exposure + SETTLE_MS:.0f} ms"]
    return [*lines, "ac.1"]


def led_lists(numbers: NDArray[np.int64]) -> list[str]:
    """``l`` commands of at most 63 bytes that light these LEDs (LED,) together, with automatic clearing off."""
    commands: list[str] = []
    for number in numbers:
        piece = f".{int(number)}"
        if not commands or len(commands[-1]) + len(piece) >= COMMAND_BYTES:
            commands.append("l")
        commands[-1] += piece
    return commands


def _plain(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "_" for c in text)[:80]


write_illuminate_1 = partial(write_illuminate, dialect="1")
write_illuminate_2 = partial(write_illuminate, dialect="2")
write_illuminate_unknown = partial(write_illuminate, dialect="unknown")
