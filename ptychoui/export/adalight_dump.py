"""Patterns as the bytes that an Adalight sketch or WLED takes: one frame per pattern, one behind the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.drive_codes import drive_codes
from ptychoui.export.options import Exported, Options, dwell_ms, quantisation_notes


def write_adalight(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write frames of white LEDs: header with the number of LEDs less one, then red, green and blue of each."""
    values, coded = drive_codes(patterns, options)
    count = values.shape[1] - 1
    high, low = count >> 8, count & 255
    head = b"Ada" + bytes([high, low, high ^ low ^ 0x55])
    content = b"".join(head + np.repeat(row, 3).tobytes() for row in values)
    dwell = dwell_ms(patterns, coded, options)
    notes = [
        *quantisation_notes(patterns, coded),
        f"{len(values)} frames of {len(head) + 3 * (count + 1)} bytes; exposures in ms: "
        + ", ".join(f"{time:.4g}" for time in dwell),
    ]
    return Exported(paths=(write_atomic(path, content),), notes=tuple(notes))
