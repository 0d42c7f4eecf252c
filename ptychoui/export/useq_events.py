"""Patterns as acquisition events of useq-schema, which pymmcore-plus and Micro-Manager's Python tools run.

One event per pattern with an image for the LED array, an SLM device of one row whose pixels are LEDs by their numbers.
A sequence of the schema has no place for such images, so that a list of events is written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.drive_codes import drive_codes
from ptychoui.export.options import Exported, Options, design_hash, dwell_ms, quantisation_notes

DEVICE = "LEDArray"


def write_useq(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write a JSON list of events; images are lists of one row of 8-bit drive values, exposures in ms."""
    values, coded = drive_codes(patterns, options)
    dwell = dwell_ms(patterns, coded, options)
    digest = design_hash(patterns)
    events: list[dict[str, Any]] = [
        {
            "index": {"pattern": place},
            "exposure": float(time),
            "slm_image": {"data": [row.tolist()], "device": DEVICE},
            "metadata": {"pattern": name, "design": patterns.name, "hash_sha256": digest},
        }
        for place, (name, time, row) in enumerate(zip(patterns.row_names, dwell, values, strict=True))
    ]
    notes = quantisation_notes(patterns, coded)
    notes.append(
        f"the LED array is taken for an SLM device {DEVICE!r} of 1 x {values.shape[1]} pixels, one for each LED; "
        "an image of another shape is skipped with a warning in the log alone, so check the shape before a run"
    )
    return Exported(paths=(write_atomic(path, json.dumps(events, indent=1) + "\n"),), notes=tuple(notes))
