"""Times the demonstration, and takes a picture of each chapter."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject

from ptychoui.errors import DataError
from ptychoui.gui.demo.window import DemoWindow
from ptychoui.session.demo.story import LIVE

PICTURED_AT = 0.9
"""Share of a chapter at which its picture is taken."""

STOOD_S = 2.0
"""How long the end is shown before it leaves by itself."""


class AutoPlay(QObject):
    """Looks at the window at every tick.

    Attributes
    ----------
    first_picture_s, first_live_step_s
        Seconds from the start of the process to the first picture, and to the first live step that was shown.
    written
        Pictures of chapters.
    longest_tick_ms, late_ms
        Longest painting, and how late a tick came at most.
    """

    def __init__(self, window: DemoWindow, leave: bool, pictures: str | None) -> None:
        super().__init__(window)
        self._window, self._leave = window, leave
        self._folder = None if pictures is None else Path(pictures)
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DataError(f"cannot make the folder {pictures}: {error.strerror}", "choose another") from None
        self.first_picture_s: float | None = None
        self.first_live_step_s: float | None = None
        self.paintings_ms: list[float] = []
        self.written: list[Path] = []
        self.gaps_ms: list[float] = []
        self._last_tick: float | None = None
        self._pictured: set[str] = set()
        window.stage.painted.connect(self._painted)
        window.stepped.connect(self._stepped)

    def _painted(self) -> None:
        if self.first_picture_s is None:
            self.first_picture_s = process_age()
        if self.first_live_step_s is None and self._window.shown.live:
            self.first_live_step_s = process_age()

    def _stepped(self) -> None:
        now = time.monotonic()
        if self._last_tick is not None:
            self.gaps_ms.append(1000 * (now - self._last_tick))
        story = self._window.story
        key = story.chapter.key
        due = story.share >= PICTURED_AT and (key != LIVE or self._window.shown.live or story.share >= 1)
        if due and self._folder is not None and key not in self._pictured:
            self._pictured.add(key)
            path = self._folder / f"{story.place + 1}-{key}.png"
            self._window.grab().save(str(path))
            self.written.append(path)
        if self._leave and story.ended and story.at >= story.chapter.seconds + STOOD_S:
            self._window.close()
        self._last_tick = time.monotonic()

    def timings(self) -> dict[str, Any]:
        """What was timed, as plain values."""
        story, shown = self._window.story, self._window.shown
        gaps = sorted(self.gaps_ms)
        return {
            "first_picture_s": _rounded(self.first_picture_s),
            "first_live_step_s": _rounded(self.first_live_step_s),
            "chapters_s": {key: _rounded(seconds) for key, seconds in story.lengths.items()},
            "live_steps": shown.step,
            "live_end": "" if shown.end is None else type(shown.end).__name__,
            "longest_gap_ms": _rounded(gaps[-1] if gaps else None),
            "gap_p99_ms": _rounded(gaps[int(0.99 * (len(gaps) - 1))] if gaps else None),
            "run_folder": str(self._window.folder or ""),
            "cores": os.cpu_count() or 1,
            "load": _rounded(os.getloadavg()[0]) if hasattr(os, "getloadavg") else None,
            "pictures": [str(path) for path in self.written],
        }

    def report(self) -> None:
        """Write the timings to stdout."""
        found = self.timings()
        chapters = ", ".join(f"{key} {seconds} s" for key, seconds in found["chapters_s"].items())
        print(f"first picture after {found['first_picture_s']} s")
        print(f"first live step shown after {found['first_live_step_s']} s, {found['live_steps']} steps in all")
        print(f"chapters: {chapters}")
        print(f"longest gap between two looks {found['longest_gap_ms']} ms, 99 % below {found['gap_p99_ms']} ms")
        if found["run_folder"]:
            print(f"run folder: {found['run_folder']}")
        for path in found["pictures"]:
            print(path)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def process_age() -> float:
    """Seconds since this process began; where the system does not say, since this module was loaded."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic() - _LOADED


_LOADED = time.monotonic()
