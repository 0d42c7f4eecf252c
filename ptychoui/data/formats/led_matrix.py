"""LEDs of a rectangular matrix that a file lists by their places in it (EPFL): positions need pitch and height."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.led_table import Leds
from ptychoui.errors import DataError

Place = tuple[int, int]


def state_matrix(draft: Draft, places: list[Place], center: Place | None, source: str) -> None:
    """Record the LEDs of the images, as steps from the LED on the axis."""
    if center is None:
        draft.notes.append("the file does not say which LED is on the axis: no LED positions")
        return
    draft.tell("LED on the axis", f"({center[0]}, {center[1]})", "", source)
    steps = np.array(places, dtype=np.float64) - center
    draft.tell_leds(Leds(steps=steps), f"{source}, less the LED on the axis", "x = X, y = Y")
    draft.notes.append("the rotation of the LED matrix comes from a calibration: state array.pose.rotation_deg")


def state_info(draft: Draft, info: Any) -> bool:
    """Record the LEDs of ImageJ's Info text, if that is JSON with ``led_indexes``; returns whether it is."""
    if not isinstance(info, str) or "led_indexes" not in info:
        return False
    try:
        values = json.loads(info)
    except (ValueError, RecursionError):
        draft.notes.append("ImageJ's Info names led_indexes but is not valid JSON: not used")
        return False
    if not isinstance(values, dict) or not isinstance(values.get("led_indexes"), list) or not values["led_indexes"]:
        return False
    places = [_place(value, draft.path) for value in values["led_indexes"]]
    center = _place(values["led_center"], draft.path) if "led_center" in values else None
    draft.layout = "TIFF with LED indices in ImageJ's Info (EPFL)"
    state_matrix(draft, places, center, "`led_indexes`, `led_center` of ImageJ's Info")
    return True


def _place(value: Any, path: Path) -> Place:
    whole = isinstance(value, list) and len(value) == 2 and all(type(v) is int and abs(v) < 10**6 for v in value)
    if not whole:
        raise DataError(f"{path.name}: an LED index in ImageJ's Info is not a pair of whole numbers", "correct it")
    return value[0], value[1]
