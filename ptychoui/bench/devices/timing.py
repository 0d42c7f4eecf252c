"""Time to show a pattern and to upload a sequence, beside what the line allows.

On emulated arrays: what is measured is what the program and its checks cost. The limit is that of the bytes at the
speed of the line, ten bits a byte, both ways; USB ports of microcontrollers are faster than the speed they are set to.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ptychoui.devices.byte_log import ByteLog
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device

KINDS = ("illuminate2", "illuminate1", "ptychoui", "uc2", "uc2-can", "adalight")
BAUD = 115200
USB_BYTES_PER_S = 1_000_000
"""What USB of full speed carries in practice, for arrays whose port is that of the microcontroller itself."""
ON_USB = ("illuminate2", "illuminate1")
KEPT_BYTES = 1 << 24


def run(
    leds: Sequence[int], patterns: int = 50, lit: float = 0.1, seed: int = 0, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure every kind of array for every number of LEDs.

    Parameters
    ----------
    leds
        Numbers of LEDs.
    patterns
        Length of the sequence.
    lit
        Share of LEDs that shine in a pattern, on or off.
    seed
        Of the patterns.

    Returns
    -------
    Plain values: one row per kind and number of LEDs, times in ms.
    """
    rows = []
    for count in leds:
        for kind in KINDS:
            if kind == "uc2-can" and count > 256:
                continue
            say(f"{kind}, {count} LEDs")
            rows.append(_measure(kind, count, patterns, lit, seed))
    return {"rows": rows, "patterns": patterns, "lit": lit, "baud": BAUD}


def _measure(kind: str, count: int, patterns: int, lit: float, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    frames = [
        Frame(numbers=np.arange(count), levels=(random.random(count) < lit).astype(np.float64)) for _ in range(patterns)
    ]
    log = ByteLog(kept_bytes=KEPT_BYTES)
    with open_device(f"simulate:{kind}?leds={count}", DeviceOptions(current_limit_ma=1e6), log) as device:
        before, times = _bytes(log), []
        for frame in frames[:10]:
            begun = time.perf_counter()
            device.show(frame)
            times.append(time.perf_counter() - begun)
        shown_bytes = (_bytes(log) - before) / len(times)
        before, begun = _bytes(log), time.perf_counter()
        loaded = device.upload(frames)
        upload_s, upload_bytes = time.perf_counter() - begun, _bytes(log) - before
        hardware = loaded.in_hardware
    rate = USB_BYTES_PER_S if kind in ON_USB else BAUD / 10
    return {
        "kind": kind,
        "leds": count,
        "show_ms": 1000 * statistics.median(times),
        "show_bytes": shown_bytes,
        "show_limit_ms": 1000 * shown_bytes / rate,
        "upload_ms": 1000 * upload_s if hardware else None,
        "upload_bytes": upload_bytes if hardware else None,
        "upload_limit_ms": 1000 * upload_bytes / rate if hardware else None,
    }


def _bytes(log: ByteLog) -> int:
    return sum(len(entry.data) for entry in log.entries())


def table(result: dict[str, Any]) -> str:
    """The result as a table for a terminal."""
    head = ["array", "LEDs", "show ms", "bytes", "limit ms", f"upload {result['patterns']} ms", "bytes", "limit ms"]
    names = ("show_ms", "show_bytes", "show_limit_ms", "upload_ms", "upload_bytes", "upload_limit_ms")
    lines = [head]
    for row in result["rows"]:
        cells = ["stepped" if row[name] is None else f"{row[name]:.0f}" for name in names]
        cells = [f"{row[name]:.1f}" if name == "show_ms" else cell for name, cell in zip(names, cells, strict=True)]
        lines.append([row["kind"], str(row["leds"]), *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
