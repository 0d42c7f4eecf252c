"""Windows that are killed while they work: the next start offers the work back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.files import Files
from ptychoui.session.preferences import Preferences, load_preferences
from ptychoui.session.unfinished import left_behind, unfinished_folder

LONG = 120_000
WORKS = """
import sys
from PyQt6.QtCore import QTimer
from ptychoui.gui.shell import app as a, dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.opening import demo_experiment
dialogs.UnfinishedQuestion.ask = classmethod(lambda cls, parent, sentence: "later")
dialogs.RecoveryQuestion.ask = classmethod(lambda cls, parent: False)
app = a.make_application()
w = MainWindow()
w.show()
def began():
    print("WORKING", flush=True)
def told():
    d = w.document
    h = d.history if sys.argv[1] == "training" else d.reconstruction
    last = h.last_step if sys.argv[1] == "training" else h.last_pass
    if last is not None:
        print("STEP", last.step, flush=True)
if sys.argv[1] == "training":
    demo = demo_experiment()
    demo = demo.replace(
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=100000, batch=1, margin_px=2, save_every_s=0.5),
    )
    w.controller.run_changed.connect(told)
    w.controller.open_experiment(demo, None, lambda: (w.train(), began()))
else:
    w.controller.reconstruction_changed.connect(told)
    w.open_sample_stack()
    w.controller.edit_plan("settings.passes", int(sys.argv[2]))
    def go():
        if w.document.dataset is None:
            QTimer.singleShot(20, go)
        else:
            w.reconstruct()
            began()
    go()
app.exec()
"""


def killed(kind: str, after: str, delay_s: float = 0.0, passes: int = 2000) -> int:
    """Start a window that works, kill it once it has said something; returns the last step that it told."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS, kind, str(passes)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    step = 0
    for line in process.stdout:
        if line.startswith(after):
            break
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    for line in process.stdout:
        if line.startswith("STEP"):
            step = int(line.split()[1])
    process.wait()
    process.stdout.close()
    return step


def next_start(qtbot: Any, monkeypatch: pytest.MonkeyPatch, answer: str = "take") -> tuple[MainWindow, list[str]]:
    said: list[str] = []
    ask = classmethod(lambda cls, parent, sentence: said.append(sentence) or answer)
    monkeypatch.setattr(dialogs.UnfinishedQuestion, "ask", ask)
    window = MainWindow(load_preferences())
    window.show()
    window.offer_recovery()
    idle = lambda: not window.controller.jobs.busy and not window.controller.desk._open  # noqa: E731
    qtbot.waitUntil(idle, timeout=LONG)
    return window, said


def close(window: MainWindow) -> None:
    window.close()
    window.deleteLater()


def check_training(window: MainWindow, said: list[str]) -> None:
    assert len(said) == 1 and "training of 'first light'" in said[0].lower()
    assert window.document.experiment.training.steps == 100000 and window.document.dataset is not None
    assert window.actions_by_key["train"].isEnabled()


def test_a_training_that_was_killed_is_offered_and_goes_on(
    qapp: object, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed("training", "STEP", 1.0)
    window, said = next_start(qtbot, monkeypatch)
    check_training(window, said)
    folder = window.document.run_folder
    assert folder is not None and window.document.history.step > 0 and window.document.changed_design[0] is not None
    assert window.actions_by_key["resume"].isEnabled() and window.preferences.recent[0] == str(folder)
    close(window)
    assert not left_behind() and load_preferences().recent[0] == str(folder)


def test_a_reconstruction_that_was_killed_is_offered_and_can_be_saved(
    qapp: object, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed("reconstruction", "STEP 3")
    target = tmp_path / "kept.h5"
    # Nothing is lost by putting it off, nor by looking at it and closing the window.
    for answer in ("later", "take"):
        window, said = next_start(qtbot, monkeypatch, answer)
        assert len(said) == 1 and "stack" in said[0] and "not saved" in said[0]
        if answer == "take":
            check_reconstruction(window)
            monkeypatch.setattr(dialogs.ResultQuestion, "ask", classmethod(lambda cls, parent: "cancel"))
            assert not window.close()
            monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *arguments: str(target)))
            monkeypatch.setattr(dialogs.ResultQuestion, "ask", classmethod(lambda cls, parent: "save"))
        close(window)
    assert target.exists() and not left_behind() and load_preferences().recent[0] == str(target)


def check_reconstruction(window: MainWindow) -> None:
    report = window.document.reconstruction.report
    assert report is not None and not report.complete and report.found.history[-1] < 0.5
    assert window.document.dataset is not None and window.document.origin is not None and window.document.origin.same
    assert window.actions_by_key["save_result"].isEnabled()


def test_two_windows_do_not_offer_each_others_work(window: MainWindow, qtbot: Any) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit_plan("settings.passes", 1)
    window.reconstruct()
    assert len(list(unfinished_folder().iterdir())) == 1
    code = "from ptychoui.session.unfinished import left_behind; print(len(left_behind()))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "0"
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["training", "reconstruction"])
def test_kills_at_random_moments(kind: str, qapp: object, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(f"kills {kind}")
    for _ in range(10):
        delay = chance.uniform(0, 5)
        killed(kind, "WORKING", delay)
        window, said = next_start(qtbot, monkeypatch)
        assert len(said) == 1, delay
        if kind == "training":
            check_training(window, said)
        else:
            assert window.document.dataset is not None
            if window.controller.kept.recovered_result is not None:
                check_reconstruction(window)
        close(window)
        for work in left_behind():
            work.drop()


def test_preferences_survive_a_kill(window: MainWindow) -> None:
    window.remember("/data/cells.tif")
    assert load_preferences().recent == ("/data/cells.tif",) and Preferences().recent == ()


def test_closing_in_mid_reconstruction_keeps_what_was_found(window: MainWindow, qtbot: Any) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit_plan("settings.passes", 5000)
    window.reconstruct()
    qtbot.waitUntil(lambda: window.document.reconstruction.last_pass is not None, timeout=LONG)
    assert window.close()
    (work,) = left_behind()
    assert work.kind == "reconstruction" and work.result.exists() and "kept" in dialogs.CloseKeptQuestion.lost
    work.drop()
