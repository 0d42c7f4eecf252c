"""Patterns as JSON messages for the LED matrix of an openUC2 board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.drive_codes import drive_codes
from ptychoui.export.options import Exported, Options, design_hash, dwell_ms, quantisation_notes

BUFFER_BYTES = 8191
"""Longest message that the board takes."""
LEDS_PER_MESSAGE = 180


def write_uc2_json(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write the messages of each pattern, to be sent in their order, with its exposure; every LED white.

    Pixels are all and in order, as boards on a CAN bus need them; longer arrays are cleared and sent in parts.
    """
    values, coded = drive_codes(patterns, options)
    dwell = dwell_ms(patterns, coded, options)
    document = {
        "schema": "ptychoui openUC2 messages",
        "version": 1,
        "name": patterns.name,
        "hash_sha256": design_hash(patterns),
        "patterns": [
            {"name": name, "exposure_ms": float(time), "messages": messages(row)}
            for name, time, row in zip(patterns.row_names, dwell, values, strict=True)
        ],
    }
    notes = quantisation_notes(patterns, coded)
    notes.append(
        "openUC2 firmware since April 2025 acknowledges arrays of pixels and ignores them on a strip of its own: "
        "ptychoui show sets its LEDs one by one"
    )
    text = json.dumps(document, indent=1) + "\n"
    return Exported(paths=(write_atomic(path, text),), notes=tuple(notes))


def messages(values: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Messages after which drive values (LED,) shine: one with every pixel, or dark and then the lit ones in parts."""

    def pixels(leds: NDArray[np.int64]) -> list[dict[str, int]]:
        return [{"id": int(led), **dict.fromkeys("rgb", int(values[led]))} for led in leds]

    if len(values) <= LEDS_PER_MESSAGE:
        whole = {"action": "array", "LEDArrMode": 0, "led_array": pixels(np.arange(len(values)))}
        return [{"task": "/ledarr_act", "qid": 1, "led": whole}]
    lit = np.flatnonzero(values)
    off = {"action": "off", "LEDArrMode": 3, "led_array": []}
    parts = [lit[start : start + LEDS_PER_MESSAGE] for start in range(0, len(lit), LEDS_PER_MESSAGE)]
    return [
        {"task": "/ledarr_act", "qid": 1, "led": off},
        *(
            {"task": "/ledarr_act", "qid": place + 2, "led": {"LEDArrMode": 8, "led_array": pixels(part)}}
            for place, part in enumerate(parts)
        ),
    ]
