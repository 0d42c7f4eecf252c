"""A newcomer's journey by mouse and keyboard alone, from an empty window to exported patterns, with pictures.

    xvfb-run -s "-screen 0 1440x900x24" python tests/tools/journey.py STACK FOLDER [--geometry G.toml] [--train-s 150]

It starts the window with folders of its own, follows the step that is marked as the next one in the row below the
toolbar (by its colour on the screen), and presses what has the focus there. It knows nothing of the program's inside and
nothing of the stack: what it sees is pixels and the title of the window. Needs xdotool. Printed are the seconds of every
stage; pictures of each lie in FOLDER.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ACCENT = (0x58, 0xA6, 0xE8)
"""The colour of what is next, on the dark theme."""


class Journey:
    """One window, driven from outside."""

    def __init__(self, folder: Path, environment: dict[str, str], home: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        command = [sys.executable, "-m", "ptychoui.cli", "gui"]
        self.process = subprocess.Popen(command, env=environment, cwd=home)

    def say(self, text: str) -> None:
        """Print what was reached, and when."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def xdotool(self, *arguments: str) -> str:
        """Run xdotool; what it cannot find is nothing."""
        done = subprocess.run(["xdotool", *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def windows(self) -> list[str]:
        """Visible windows of the program, and their titles."""
        found = self.xdotool("search", "--onlyvisible", "--pid", str(self.process.pid)).split()
        return [window for window in found if self.title(window)]

    def title(self, window: str) -> str:
        """Title of a window."""
        return self.xdotool("getwindowname", window)

    @property
    def main(self) -> str:
        """The main window."""
        return next((w for w in self.windows() if self.title(w).endswith("ptychoui")), "")

    def dialog(self, *words: str) -> str:
        """A window other than the main one whose title has one of some words."""
        return next((w for w in self.windows() if any(word in self.title(w) for word in words)), "")

    def until(self, what: str, true: Callable[[], object], seconds: float = 120.0) -> None:
        """Wait for something to be seen."""
        end = time.monotonic() + seconds
        while not true():
            if self.process.poll() is not None:
                raise SystemExit(f"the window is gone while waiting for {what}")
            if time.monotonic() > end:
                self.picture("lost")
                raise SystemExit(f"waited {seconds:.0f} s for {what} in vain: see {self.folder}/lost.png")
            time.sleep(0.2)
        self.say(what)

    def idle(self) -> bool:
        """Whether the title says that nothing is going on."""
        title = self.title(self.main)
        return (
            bool(title)
            and title.count(" – ") <= 2
            and not title.startswith(
                (
                    "Reconstructing",
                    "Calibrating",
                    "Training",
                    "Preparing",
                    "Comparing",
                    "Stopping",
                    "Starting",
                    "Paused",
                )
            )
        )

    def keys(self, *names: str, window: str = "") -> None:
        """Press keys in a window."""
        self.xdotool("windowfocus", "--sync", window or self.main)
        for name in names:
            self.xdotool("key", "--clearmodifiers", name)
            time.sleep(0.15)

    def type(self, text: str, window: str) -> None:
        """Type into a window."""
        self.xdotool("windowfocus", "--sync", window)
        self.xdotool("type", "--delay", "8", text)
        time.sleep(0.3)

    def click(self, column: int, row: int) -> None:
        """Press the left button somewhere on the screen."""
        self.xdotool("mousemove", str(column), str(row), "click", "1")
        time.sleep(0.4)

    def screen(self) -> NDArray[np.uint8]:
        """(row, column, 3) what is on the screen."""
        dump = subprocess.run(["xwd", "-root", "-silent"], capture_output=True, check=True).stdout
        header = np.frombuffer(dump[:100], dtype=">u4")
        size, width, height, line, colours = (int(header[place]) for place in (0, 4, 5, 12, 19))
        pixels = np.frombuffer(dump, np.uint8, count=line * height, offset=size + 12 * colours)
        return pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[:, :, 2::-1]

    def picture(self, name: str) -> None:
        """Keep what is on the screen."""
        from PIL import Image

        Image.fromarray(self.screen()).save(self.folder / f"{name}.png")

    def stage(self, name: str) -> None:
        """Keep a picture of a stage."""
        self.count += 1
        time.sleep(0.7)
        self.picture(f"{self.count}-{name}")
        self.say(f"picture {self.count}-{name}")

    def follow(self, rows: tuple[int, int] = (52, 92)) -> None:
        """Click on the step that is marked as the next one."""
        screen = self.screen()[rows[0] : rows[1]].astype(int)
        near = np.abs(screen - np.array(ACCENT)).sum(-1) < 60
        columns = np.flatnonzero(near.any(0))
        if not len(columns):
            raise SystemExit("no step is marked as the next")
        ends = np.flatnonzero(np.diff(columns) > 14)
        last = columns[ends[0]] if len(ends) else columns[-1]
        middle = int(columns[0] + last) // 2
        row = rows[0] + int(np.flatnonzero(near[:, columns[0] : last + 1].any(1)).mean())
        self.click(middle, row)


def main() -> int:
    """Make the journey."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--geometry", type=Path)
    parser.add_argument("--train-s", type=float, default=150.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"PTYCHOUI_CONFIG": f"{scratch}/config", "PTYCHOUI_STATE": f"{scratch}/state"}
        journey = Journey(arguments.folder, os.environ | folders | {"QT_QPA_PLATFORM": "xcb"}, Path(scratch))
        try:
            travel(journey, arguments, Path(scratch))
        finally:
            journey.process.terminate()
            journey.process.wait(60)
    return 0


def opened(journey: Journey, path: Path) -> None:
    """Follow the step *Open*, or Ctrl+O, and type a name into the file dialog."""
    journey.until("the file dialog", lambda: journey.dialog("Open"))
    dialog = journey.dialog("Open")
    journey.type(str(path.resolve()), dialog)
    journey.keys("Return", window=dialog)


def travel(journey: Journey, arguments: argparse.Namespace, scratch: Path) -> None:
    """From an empty window to patterns in a file."""
    journey.until("the window is there", lambda: journey.main)
    time.sleep(2)
    journey.stage("welcome")
    journey.follow()
    opened(journey, arguments.stack)
    if arguments.geometry is not None:
        time.sleep(4)
        journey.stage("asked")
        journey.keys("ctrl+o")
        opened(journey, arguments.geometry)
    journey.until("the stack is open", lambda: arguments.stack.name in journey.title(journey.main))
    time.sleep(8)  # images and geometry are compared
    journey.stage("stack")
    journey.follow()
    journey.keys("space")
    journey.until("reconstructing", lambda: not journey.idle(), 30)
    journey.until("reconstructed", journey.idle, 240)
    journey.stage("reconstructed")
    journey.follow()
    journey.keys("space")
    time.sleep(20)
    journey.stage("preparing")
    journey.until("learning has begun", lambda: journey.title(journey.main).startswith("Training"), 400)
    end = time.monotonic() + arguments.train_s
    journey.until(
        "some steps of learning", lambda: time.monotonic() > end - arguments.train_s / 2 or journey.idle(), 600
    )
    journey.stage("learning")
    journey.until("enough of learning", lambda: time.monotonic() > end or journey.idle(), 600)
    if not journey.idle():
        journey.keys("Escape")
        journey.until("stopped, and kept", journey.idle, 30)
    journey.stage("learned")
    journey.follow()
    journey.until("the comparison of designs", lambda: journey.dialog("Compare"), 30)
    time.sleep(2)
    journey.keys("Return", window=journey.dialog("Compare"))
    journey.until("comparing", lambda: not journey.idle(), 30)
    journey.until("compared", journey.idle, 400)
    journey.stage("compared")
    journey.keys("Escape", window=journey.dialog("Compare"))
    time.sleep(1)
    journey.follow()
    journey.until("the export dialog", lambda: journey.dialog("Export"), 30)
    journey.stage("export")
    dialog = journey.dialog("Export")
    journey.keys("Return", window=dialog)  # what it proposes
    journey.until("the patterns are written", lambda: [path for path in scratch.iterdir() if path.is_file()], 30)
    for path in scratch.iterdir():
        if path.is_file():
            journey.say(f"{path.name}, {path.stat().st_size} bytes")
    journey.stage("exported")


if __name__ == "__main__":
    raise SystemExit(main())
