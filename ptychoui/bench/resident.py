"""Peak resident memory of one pass in a fresh process: the cross-check of the memory meter.

The meter counts tensor storages; this counts what the operating system gave, library workspaces included. Linux only:
the high-water mark is reset through /proc before the pass.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ptychoui.errors import PtychouiError

_CHILD = """
import sys
import torch
from ptychoui.bench.engine import closed_form_gradient
from ptychoui.bench.problem import make_bench
from ptychoui.bench.resident import reset_peak, resident_kb
from ptychoui.engine.scratch import Scratch
name, unrolls, leds, measurements, size, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
# One tiny pass first, so that the libraries have loaded what they load once.
small = make_bench(2, 5, 2, 64, torch.device("cpu"))
closed_form_gradient(small, name, Scratch())
bench = make_bench(unrolls, leds, measurements, size, torch.device("cpu"))
reset_peak()
before = resident_kb("VmRSS")
closed_form_gradient(bench, name, Scratch())
print((resident_kb("VmHWM") - before) * 1024)
"""


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


def peak_of_pass(strategy: str, unrolls: int, leds: int, measurements: int, size: int, threads: int) -> int:
    """Bytes that one forward and backward pass adds to a fresh process at its peak."""
    if not available():
        raise PtychouiError("the resident memory can be measured on Linux only", "leave --resident out")
    words = [strategy, *(str(n) for n in (unrolls, leds, measurements, size, threads))]
    done = subprocess.run([sys.executable, "-c", _CHILD, *words], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PtychouiError(f"the measuring process failed: {last}", "try a smaller --size")
    return int(done.stdout)
