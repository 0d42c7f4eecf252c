"""``ptychoui bench window``: how late the window's events are while the demo trains, and how soon it is visible."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from PyQt6.QtCore import QTimer

BEAT_MS = 5

_START = """
import os, sys, time
began = time.perf_counter()
from ptychoui.gui.look import theme
from ptychoui.gui.shell import app as application
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.preferences import Preferences
app = application.make_application()
theme.apply(app, "dark")
window = MainWindow(Preferences())
window.apply_theme()
window.show()
app.processEvents()
assert window.isVisible()
print(time.perf_counter() - began, "torch" in sys.modules, flush=True)
os._exit(0)  # starting is measured, not taking down
"""


def run(seconds: float = 30.0) -> dict[str, object]:
    """Measure and return plain values.

    A 5 ms timer notes how late it is called, from the moment the demo trains; start-up is measured in fresh processes.
    """
    starts, torch_loaded = _start_up(3)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PTYCHOUI_CONFIG"] = os.environ["PTYCHOUI_STATE"] = scratch
        idle, late, steps = _delays(seconds)
    return {
        "visible_after_s": min(starts),
        "visible_after_s_all": starts,
        "torch_loaded_by_then": torch_loaded,
        "seconds": seconds,
        "steps_trained": steps,
        "idle_delay_ms": summary(idle),
        "training_delay_ms": summary(late),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "processors": os.cpu_count(),
        "platform": os.environ.get("QT_QPA_PLATFORM", "default"),
    }


def _start_up(repeats: int) -> tuple[list[float], bool]:
    times, loaded = [], False
    for _ in range(repeats):
        output = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=True).stdout
        seconds, torch_there = output.split()
        times.append(float(seconds))
        loaded |= torch_there == "True"
    return times, loaded


def _delays(seconds: float) -> tuple[list[float], list[float], int]:
    """Lateness of a heart-beat in ms, idle for 3 s and then while the demo trains; steps done meanwhile."""
    from ptychoui.gui.look import theme
    from ptychoui.gui.shell import app as application
    from ptychoui.gui.shell.main_window import MainWindow
    from ptychoui.session.preferences import Preferences
    from ptychoui.session.worker import RunState

    sys.setswitchinterval(application.SWITCH_INTERVAL_S)
    app = application.make_application()
    theme.apply(app, "dark")
    window = MainWindow(Preferences())
    window.apply_theme()
    window.resize(1440, 900)
    window.show()
    late: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(max(0.0, (now - last) * 1e3 - BEAT_MS))
        last = now

    timer = QTimer()
    timer.setInterval(BEAT_MS)
    timer.timeout.connect(beat)
    timer.start()

    def spin(until: float) -> None:
        while time.perf_counter() < until:
            app.processEvents()
            time.sleep(0.0005)

    spin(time.perf_counter() + 3.0)
    idle = late[1:]
    window.controller.start_demo()
    deadline = time.perf_counter() + 120
    while window.controller.state is not RunState.RUNNING and time.perf_counter() < deadline:
        spin(time.perf_counter() + 0.05)
    first = window.document.history.step
    late.clear()
    spin(time.perf_counter() + seconds)
    timer.stop()
    steps = window.document.history.step - first
    window.controller.shut_down()
    window.deleteLater()
    app.processEvents()
    return idle, late[1:], steps


def summary(values: list[float]) -> dict[str, float]:
    """Number, median, 99 % and largest of delays in ms."""
    ordered = sorted(values)

    def quantile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"beats": len(ordered), "median": quantile(0.5), "p99": quantile(0.99), "max": quantile(1.0)}
