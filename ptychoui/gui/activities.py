"""``ptychoui bench window --everything``: how late the window's events are while it does what takes long."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PyQt6.QtCore import QTimer

from ptychoui.gui.measure import BEAT_MS, summary

if TYPE_CHECKING:
    from ptychoui.gui.shell.main_window import MainWindow

LARGE_EDGE_PX, LARGE_SIDE_LEDS = 2048, 11
"""A stack of 121 images of 16 bits: 1.01 GB."""

_GEOMETRY = f"""[microscope]
wavelength_um = 0.53
objective_na = 0.1
magnification = 4.0
camera_pixel_um = 4.8
[array]
kind = "lattice"
height_mm = 72.0
pitch_mm = 4.0
rows = {LARGE_SIDE_LEDS}
columns = {LARGE_SIDE_LEDS}
"""


def run(seconds: float) -> dict[str, object]:
    """Delays in ms of a 5 ms heart-beat by activity, each watched for ``seconds`` at most; plain values."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PTYCHOUI_CONFIG"] = os.environ["PTYCHOUI_STATE"] = scratch
        return _Watch(Path(scratch)).run(seconds)


class _Watch:
    """One window and its heart-beat."""

    def __init__(self, scratch: Path) -> None:
        import sys

        from ptychoui.gui.look import theme
        from ptychoui.gui.shell import app as application
        from ptychoui.gui.shell.main_window import MainWindow
        from ptychoui.session.preferences import Preferences

        sys.setswitchinterval(application.SWITCH_INTERVAL_S)
        self._scratch = scratch
        self._app: Any = application.make_application()
        theme.apply(self._app, "dark")
        self.window: MainWindow = MainWindow(Preferences())
        self.window.apply_theme()
        self.window.resize(1440, 900)
        self.window.show()
        self._late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)

    def _beat(self) -> None:
        now = time.perf_counter()
        self._late.append(max(0.0, (now - self._last) * 1e3 - BEAT_MS))
        self._last = now

    def _spin(self, until: float, over: Callable[[], bool] = lambda: False) -> None:
        while time.perf_counter() < until and not over():
            self._app.processEvents()
            time.sleep(0.0005)

    def run(self, seconds: float) -> dict[str, object]:
        """Do one thing after the other."""
        stack = self._large_stack()
        self._timer.start()
        self._spin(time.perf_counter() + 2)
        found: dict[str, object] = {"seconds": seconds, "load_before": os.getloadavg()[0]}
        every: list[float] = []
        activities: tuple[tuple[str, Callable[[], object], Callable[[], bool]], ...] = (
            ("idle", lambda: None, lambda: False),
            ("loading a stack of 1 GB", lambda: self.window.open_path(str(stack)), self._quiet),
            ("reconstructing", self._reconstruct, self._idle),
            ("calibrating", lambda: self.window.calibrate(), self._idle),
            ("training", lambda: self.window.controller.start_demo(), self._idle),
            ("exporting", self._export, self._quiet),
            ("comparing", self._compare, self._idle),
        )
        for name, begin, over in activities:
            self._late.clear()
            self._last = time.perf_counter()
            begin()
            longest = 5.0 if name == "idle" else seconds
            self._spin(time.perf_counter() + 0.5)
            self._spin(time.perf_counter() + longest, over)
            self._spin(time.perf_counter() + 0.5)  # what was read is shown
            found[name] = summary(self._late[1:])
            every += self._late[1:]
            self.window.controller.stop()
            self._spin(time.perf_counter() + 60, self._idle)
            self._spin(time.perf_counter() + 30, self._quiet)
        found["all together"] = summary(every)
        found |= {"load_after": os.getloadavg()[0], "processors": os.cpu_count()}
        self._timer.stop()
        self.window.controller.shut_down()
        self.window.deleteLater()
        self._app.processEvents()
        return found

    def _idle(self) -> bool:
        return not self.window.controller.state.active

    def _quiet(self) -> bool:
        return not self.window.controller.jobs.busy

    def _reconstruct(self) -> None:
        self.window.controller.edit_plan("size_px", 256)
        self.window.controller.reconstruct()

    def _export(self) -> None:
        """Everything the dialog offers, one after the other."""
        from ptychoui.export.formats import FORMATS, export_patterns

        patterns = self.window.document.patterns()
        for name in FORMATS:
            target = self._scratch / f"patterns-{name}"

            def write(name: str = name, target: Path = target) -> Any:
                return export_patterns(patterns, name, target)

            self.window.controller.desk.submit(f"export {name}", write, lambda _: None, refused=lambda _: None)

    def _compare(self) -> None:
        from ptychoui.session.design_comparison import DesignPlan, candidates

        known = [one for one in candidates(self.window.document) if one.key in ("half_circles", "hybrid")]
        self.window.controller.compare_designs(DesignPlan.of(known))

    def _large_stack(self) -> Path:
        """A stack of noise on disks of light, written page by page."""
        import tifffile

        path = self._scratch / "large.tif"
        page = np.random.default_rng(0).integers(200, 2000, (LARGE_EDGE_PX, LARGE_EDGE_PX), dtype=np.uint16)
        with tifffile.TiffWriter(path) as file:
            for led in range(LARGE_SIDE_LEDS**2):
                file.write(np.roll(page, led, 0), photometric="minisblack", contiguous=False)
        (self._scratch / "large.geometry.toml").write_text(_GEOMETRY)
        return path
