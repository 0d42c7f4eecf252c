"""A run that another process works on, shown as it goes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.opening import demo_experiment
from ptychoui.settings import to_toml
from ptychoui.training.run_folder import RunFolder

LONG = 120_000


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts ``ptychoui train`` in a process of its own."""
    demo = demo_experiment()
    demo = demo.replace(
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=100_000, batch=1, margin_px=2, validate_every=25),
        engine=demo.engine.replace(check_every=0),
    )
    toml = tmp_path / "tiny.toml"
    toml.write_text(to_toml(demo))
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ptychoui.cli", "train", str(toml), *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def steps_written(folder: Path) -> int:
    if not (folder / "run.json").exists():
        return 0
    return max((int(line["step"]) for line in RunFolder(folder).events()), default=0)


def test_each_step_is_shown_and_the_writer_may_be_killed_and_go_on(
    window: MainWindow, qtbot: Any, tmp_path: Path, writer: Callable[..., subprocess.Popen[bytes]]
) -> None:
    folder, history = tmp_path / "run", lambda: window.document.history
    first = writer("-o", str(folder))
    qtbot.waitUntil(lambda: (folder / "state.npz").exists() and steps_written(folder) > 3, timeout=LONG)
    window.open_path(str(folder))
    qtbot.waitUntil(lambda: history().elsewhere is not None, timeout=LONG)
    assert window.panels.run.state.text() == "Another process learns"
    assert not window.actions_by_key["resume"].isEnabled()
    seen = history().step
    qtbot.waitUntil(lambda: history().step > seen + 3, timeout=LONG)
    assert f"of {window.document.experiment.training.steps}" in window.panels.run.time_left.text()
    # What is shown is what is written, step by step.
    qtbot.waitUntil(lambda: history().snapshot is not None and history().last_score is not None, timeout=LONG)
    first.send_signal(signal.SIGKILL)
    first.wait()
    qtbot.waitUntil(lambda: history().elsewhere is None, timeout=LONG)
    assert window.panels.run.state.text() != "Another process learns"
    assert window.actions_by_key["resume"].isEnabled()
    written = [line for line in RunFolder(folder).events() if line["kind"] == "step"]
    qtbot.waitUntil(lambda: len(history().training) == len(written), timeout=LONG)
    np.testing.assert_array_equal(history().training.y, [line["loss"] for line in written])
    # Taken up where it was saved: the steps beyond are done again, and told once.
    writer("-o", str(folder), "--resume")
    qtbot.waitUntil(lambda: history().elsewhere is not None and history().step > len(written) + 3, timeout=LONG)
    x = np.array(history().training.x)
    np.testing.assert_array_equal(x, np.arange(1, len(x) + 1))


def test_a_run_that_goes_away_is_asked_after_no_more(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "run", demo_experiment(), "0" * 64)
    made.close()
    window.open_path(str(made.path))
    qtbot.waitUntil(lambda: window.document.run_folder == made.path, timeout=LONG)
    following = window.controller.following
    qtbot.waitUntil(lambda: following._run is not None and not following._asked, timeout=LONG)
    (made.path / "run.json").unlink()
    qtbot.waitUntil(lambda: following._run is None, timeout=LONG)
    end = time.monotonic() + 0.2
    qtbot.waitUntil(lambda: time.monotonic() > end, timeout=LONG)
    assert following._run is None
    assert window.document.run_folder == made.path  # nothing of what is shown was lost
