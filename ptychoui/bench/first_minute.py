"""How long a person waits for a sign of life: from the start of the demonstration to its first step, and in between.

The program is started as a person starts it, in a process of its own, without a window or with one. Signs of life are
what it writes, or what its window shows. With an empty cache the loops over LEDs are compiled on the way, as they are
after an installation that did not compile them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ptychoui.errors import PtychouiError

LONGEST_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstMinute:
    """What was seen.

    Attributes
    ----------
    first_sign_s, first_step_s
        From the start of the process to the first sign of life, and to the first step that is shown.
    longest_silence_s, then
        Longest time between two signs of life, and the one that ended it.
    steps
        Optimiser steps that were watched.
    """

    window: bool
    empty_cache: bool
    first_sign_s: float
    first_step_s: float
    longest_silence_s: float
    then: str
    steps: int
    load: float


def watch(steps: int = 55, window: bool = False, empty_cache: bool = False) -> FirstMinute:
    """Start the demonstration and watch it for some steps.

    Raises
    ------
    PtychouiError
        If it ends before.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PTYCHOUI_STATE": folder, "PTYCHOUI_CONFIG": folder, "PYTHONUNBUFFERED": "1"}
        if empty_cache:
            environment["NUMBA_CACHE_DIR"] = str(Path(folder) / "cache")
        if window:
            environment.setdefault("QT_QPA_PLATFORM", "" if os.environ.get("DISPLAY") else "offscreen")
            words = [sys.executable, "-m", "ptychoui.gui.first_minute", str(steps)]
        else:
            words = [sys.executable, "-m", "ptychoui.cli", "train", "first_light", "-o", str(Path(folder) / "run")]
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        try:
            return _seen(_signs(process, began), steps, window, empty_cache)
        finally:
            process.kill()
            process.wait()


def _signs(process: subprocess.Popen[bytes], began: float) -> Iterator[tuple[float, str]]:
    """(seconds, text) of everything that a process says, as it comes."""
    assert process.stderr is not None
    while time.monotonic() - began < LONGEST_S:
        read = os.read(process.stderr.fileno(), 65536)
        if not read:
            return
        yield time.monotonic() - began, read.decode(errors="replace").replace("\r", "\n").strip()


def _seen(signs: Iterator[tuple[float, str]], steps: int, window: bool, empty_cache: bool) -> FirstMinute:
    last, longest, then, first_sign, first_step, step = 0.0, 0.0, "", 0.0, 0.0, 0
    said = ""
    for at, text in signs:
        said = text.splitlines()[-1] if text else said
        first_sign = first_sign or at
        if at - last > longest:
            longest, then = at - last, said
        last = at
        found = [int(number) for number in re.findall(r"(?:\| |step )(\d+)(?:/| of )\d+", text)]
        step = max([step, *found])
        if step and not first_step:
            first_step = at
        if step >= steps:
            return FirstMinute(
                window=window,
                empty_cache=empty_cache,
                first_sign_s=round(first_sign, 2),
                first_step_s=round(first_step, 2),
                longest_silence_s=round(longest, 2),
                then=then[:120],
                steps=step,
                load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
            )
    raise PtychouiError(f"the demonstration ended at step {step} of {steps}: {said}", "run it by hand to see why")


def run(steps: int = 55) -> dict[str, Any]:
    """Watch it without and with a window, with a filled cache and an empty one."""
    rows = [watch(steps, window, empty) for empty in (False, True) for window in (False, True)]
    return {"rows": [asdict(row) for row in rows]}


def table(result: dict[str, Any]) -> str:
    """The rows as text."""
    lines = [f"{'':<14}{'cache':<8}{'first sign':>11}{'first step':>11}{'longest silence':>17}   ended by"]
    for row in result["rows"]:
        where = "window" if row["window"] else "command line"
        lines.append(
            f"{where:<14}{'empty' if row['empty_cache'] else 'filled':<8}{row['first_sign_s']:>9.1f} s"
            f"{row['first_step_s']:>9.1f} s{row['longest_silence_s']:>15.1f} s   {row['then'][:60]}"
        )
    loads = ", ".join(f"{row['load']:.1f}" for row in result["rows"])
    return "\n".join([*lines, f"load of the machine at the end of each: {loads}"])
