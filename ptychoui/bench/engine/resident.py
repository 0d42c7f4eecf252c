"""Peak resident memory of one pass in a fresh process: the cross-check of the memory meter.

The meter counts tensor storages; this counts what the operating system gave, library workspaces included. Linux only:
the high-water mark is reset through /proc before the pass.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ptychoui.bench.engine.passes import Pass
from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import MemoryMeter
from ptychoui.errors import PtychouiError

_CHILD = "from ptychoui.bench.engine.resident import measure_here; measure_here()"

OWN_PAGES = 2**16
"""Bytes from which an array gets pages of its own, where that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a pass took in a fresh process.

    Attributes
    ----------
    resident_bytes
        Peak resident set over what was resident before.
    metered_bytes
        Peak of the memory meter, in a second pass with fresh workspaces; None where arrays had pages of their own,
        which makes no difference to it.
    seconds
        Time of the first pass.
    """

    resident_bytes: int
    metered_bytes: int | None
    seconds: float


def available() -> bool:
    """Whether this system can reset and read the high-water mark."""
    return Path("/proc/self/clear_refs").exists()


def reset_peak() -> None:
    """Set the high-water mark to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_kb(field: str) -> int:
    """VmRSS or VmHWM of this process, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise PtychouiError(f"this system does not report {field}", "measure on Linux")


def give_back_free_memory() -> None:
    """Let the C library hand freed pages back, so that a pass cannot hide in what building its problem left behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def measure_pass(one: Pass, threads: int, own_pages: bool = False) -> Measured:
    """Run a pass in a fresh process.

    Parameters
    ----------
    own_pages
        Give every array of `OWN_PAGES` bytes pages of its own, which go back when it is freed: what holes in the C
        library's heap take belongs to the allocator rather than to the pass. A run of ptychoui has pages apart for
        large arrays only (`large_arrays_apart`), because fresh pages are slow.

    Raises
    ------
    PtychouiError
        If the system has no /proc, or the process fails.
    """
    if not available():
        raise PtychouiError("the resident memory can be measured on Linux only", "leave --resident out")
    words = [sys.executable, "-c", _CHILD, json.dumps(asdict(one)), str(threads)]
    environment = dict(os.environ)
    if own_pages:
        environment["MALLOC_MMAP_THRESHOLD_"] = str(OWN_PAGES)
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PtychouiError(f"the measuring process failed: {last}", "try a smaller --size")
    return Measured(**json.loads(done.stdout))


def measure_here() -> None:
    """What the fresh process does: its words are a pass and a number of threads, its output `Measured` as JSON."""
    one = Pass(**json.loads(sys.argv[1]))
    torch.set_num_threads(int(sys.argv[2]))
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        large_arrays_apart()
    # One tiny pass first, so that the libraries have loaded what they load once.
    small = replace(one, unrolls=2, leds=5, measurements=2, size=64, batch=1, dense=False)
    small.run(small.bench())
    bench = one.bench()
    give_back_free_memory()
    reset_peak()
    before, began = resident_kb("VmRSS"), time.perf_counter()
    one.run(bench)
    seconds = time.perf_counter() - began
    peak = (resident_kb("VmHWM") - before) * 1024
    metered = None
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        with MemoryMeter() as meter:
            one.run(bench)
        metered = meter.peak
    print(json.dumps(asdict(Measured(resident_bytes=peak, metered_bytes=metered, seconds=seconds))))


def peak_of_pass(strategy: str, unrolls: int, leds: int, measurements: int, size: int, threads: int) -> int:
    """Bytes that one forward and backward pass adds to a fresh process at its peak."""
    one = Pass(strategy=strategy, unrolls=unrolls, leds=leds, measurements=measurements, size=size)
    return measure_pass(one, threads).resident_bytes
