"""How threads wait for each other: awake where the processor is theirs, asleep where others want it, too.

Threads of OpenMP meet some forty times in a layer, and one that waits spins for up to 15 ms. On two free cores that is
1.3 to 1.6 times as fast as to fall asleep and be woken. But where one more program runs, threads spin away the time of
the very thread that they wait for: with two threads the same pass was then 10 to 60 times slower (128 x 128 pixels, 89
LEDs, 8 measurements), asleep it is at most what sharing the cores must cost. OpenMP reads its settings once, so the
choice is made when a program starts, before torch is loaded.
"""

from __future__ import annotations

import os
import sys
import time

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a person has chosen; then nothing is chosen here."""

LOOKS = 8
LOOK_S = 0.004


def choose_waiting(threads: int | None = None, asleep: bool = False) -> None:
    """Let threads sleep while they wait if other programs leave too few cores; does nothing once torch is loaded.

    Parameters
    ----------
    threads
        How many are going to be used; by default one for each core.
    asleep
        Let them sleep in any case: for work beside a window, which wants the processor now and then.
    """
    if _read_already() or any(name in os.environ for name in SETTINGS):
        return
    cores = _cores()
    if (threads or cores) > 1 and (asleep or (threads or cores) + others_running() > cores + 0.25):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def waiting() -> str:
    """How threads wait, for people."""
    passive = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
    return "asleep" if passive or os.environ.get("GOMP_SPINCOUNT") == "0" else "awake"


def others_running() -> float:
    """Threads of others that run or want to, on average over 30 ms; 0 where nobody says (Linux does)."""
    total = 0
    for _ in range(LOOKS):
        time.sleep(LOOK_S)
        try:
            with open("/proc/loadavg") as file:
                running = int(file.read().split()[3].partition("/")[0])
        except (OSError, ValueError, IndexError):
            return 0.0
        total += max(0, running - 1)  # this one is awake to look
    return total / LOOKS


def _read_already() -> bool:
    return "torch" in sys.modules


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
