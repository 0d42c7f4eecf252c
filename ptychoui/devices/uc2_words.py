"""What may be sent to an openUC2 board, and how its answers are framed. No device, no files.

A message is a JSON object; the board finds its end by counting braces. It answers with frames ``++ JSON --``, each
followed by a NUL, between lines of its log that nobody asked for.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ptychoui.errors import DeviceError

BUFFER_BYTES = 8191
RESYNC = b"}}}}}}}}\n"
"""Closes a message whose end was lost; outside a message it means nothing."""

_TASKS = frozenset({"/state_get", "/ledarr_get", "/ledarr_act"})
_ACTIONS = frozenset({"off", "fill", "single", "array"})
_KEYS = frozenset({"action", "LEDArrMode", "led_array", "ledIndex", "r", "g", "b"})
_MODES = frozenset({0, 3, 8})
_FRAME = re.compile(rb"\+\+\r?\n(.*?)\r?\n--\r?\n", re.S)


def message(task: str, qid: int, led: dict[str, Any] | None = None) -> bytes:
    """One compact JSON message; the answer carries the same number ``qid``, from 1."""
    words: dict[str, Any] = {"task": task, "qid": qid}
    if led is not None:
        words["led"] = led
    return json.dumps(words, separators=(",", ":")).encode("ascii")


def guard(data: bytes) -> None:
    """Let pass messages that ask for facts or light LEDs, and the bytes that close a message cut on the way.

    Raises
    ------
    DeviceError
        If it is anything else, or longer than the board's buffer.
    """
    if data == RESYNC:
        return
    if len(data) > BUFFER_BYTES:
        raise DeviceError(f"a message of {len(data)} bytes does not fit the board's {BUFFER_BYTES}", "send fewer LEDs")
    try:
        words = json.loads(data)
    except ValueError:
        words = None
    led = words.get("led", {}) if isinstance(words, dict) else None
    known = (
        isinstance(words, dict)
        and isinstance(led, dict)
        and set(words) <= {"task", "qid", "led"}
        and words.get("task") in _TASKS
        and set(led) <= _KEYS
        and led.get("action", "off") in _ACTIONS
        and led.get("LEDArrMode", 0) in _MODES
    )
    if not known:
        raise DeviceError(
            f"the message {data[:60].decode('ascii', 'replace')!r} is not one that may be sent to an LED array",
            "only messages that light LEDs and read facts are",
        )


def frames_in(data: bytes) -> list[dict[str, Any]]:
    """JSON objects of all complete frames in what came; those that are damaged are left out."""
    found = []
    for match in _FRAME.finditer(data.replace(b"\0", b"")):
        # Lines of the log come between those of a frame, too.
        for line in match[1].splitlines():
            try:
                words = json.loads(line)
            except ValueError:
                continue
            if isinstance(words, dict):
                found.append(words)
    return found
