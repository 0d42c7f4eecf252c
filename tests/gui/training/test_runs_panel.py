"""The panel of runs and what it does in the window."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QTreeWidgetItem

from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.runs_panel import PATH, _when
from ptychoui.paths import user_state
from ptychoui.session.opening import demo_experiment
from ptychoui.session.run_queue import QueuedRun, queued_runs
from ptychoui.session.worker import RunState
from ptychoui.settings import FpmExperiment, kind_of
from ptychoui.training.run_folder import RunFolder

LONG = 120_000
METRIC = kind_of("fpm").metrics[0].name


def tiny(name: str = "tiny", steps: int = 3) -> FpmExperiment:
    demo = demo_experiment()
    return demo.replace(
        name=name,
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=steps, batch=1, margin_px=2, validate_every=1),
    )


def run_of(name: str, loss: float = 1.0, steps: int = 4) -> Path:
    (user_state() / "runs").mkdir(parents=True, exist_ok=True)
    folder = RunFolder.create(user_state() / "runs" / name, tiny(name), "0" * 64)
    lines: list[dict[str, object]] = []
    for step in range(1, steps + 1):
        lines.append({"step": step, "kind": "step", "loss": loss / step})
        lines.append({"step": step, "kind": "validated", "loss": loss / step, METRIC: 0.5})
    folder.append_events(lines)
    folder.close()
    return folder.path


def rows(window: MainWindow) -> list[QTreeWidgetItem]:
    listed = window.panels.runs.list
    found = [listed.topLevelItem(place) for place in range(listed.topLevelItemCount())]
    return [row for row in found if row is not None]


def listed(window: MainWindow, qtbot: Any, count: int) -> list[QTreeWidgetItem]:
    window.panels.docks["runs"].raise_()
    window.runs_desk.look()
    qtbot.waitUntil(lambda: len(rows(window)) == count, timeout=LONG)
    return rows(window)


def chosen(window: MainWindow, row: QTreeWidgetItem) -> None:
    window.panels.runs.list.setCurrentItem(row)


def test_nothing_is_listed_at_first(window: MainWindow, qtbot: Any) -> None:
    panel = window.panels.runs
    window.panels.docks["runs"].raise_()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    assert panel.empty.isVisible() and not rows(window)
    assert not panel.open.isEnabled() and "choose a run" in panel.open.toolTip()
    assert not panel.begin.isEnabled() and "nothing waits" in panel.begin.toolTip()


def test_a_run_is_opened_from_the_list(window: MainWindow, qtbot: Any) -> None:
    run = run_of("one")
    (row,) = listed(window, qtbot, 1)
    assert [row.text(column) for column in range(3)] == ["one", "4 of 3", "0.5"]
    chosen(window, row)
    panel = window.panels.runs
    qtbot.mouseClick(panel.open, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.document.run_folder == run, timeout=LONG)
    qtbot.waitUntil(lambda: rows(window)[0].font(0).bold(), timeout=LONG)
    assert window.document.history.step == 4


def test_curves_of_other_runs_are_laid_over(window: MainWindow, qtbot: Any) -> None:
    run_of("one"), run_of("two", 3.0)
    found = {row.text(0): row for row in listed(window, qtbot, 2)}
    loss = window.panels.progress.loss
    found["two"].setCheckState(0, Qt.CheckState.Checked)
    qtbot.waitUntil(lambda: len(loss._beside) == 1, timeout=LONG)
    np.testing.assert_allclose(loss._beside[0].getOriginalDataset()[1], 3.0 / np.arange(1, 5))
    found = {row.text(0): row for row in rows(window)}
    found["one"].setCheckState(0, Qt.CheckState.Checked)
    qtbot.waitUntil(lambda: len(loss._beside) == 2, timeout=LONG)
    styles = [tuple(curve.opts["pen"].dashPattern()) for curve in loss._beside]
    assert styles[0] != styles[1]
    for row in rows(window):
        row.setCheckState(0, Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: not loss._beside, timeout=LONG)
    labels = [label.text for _, label in loss.legend.items]
    assert labels == ["training", "held-out"]


def test_a_new_run_from_an_old_one(window: MainWindow, qtbot: Any) -> None:
    run = run_of("one")
    levels = np.full((4, 9), 0.5)
    RunFolder(run).save({"step": np.array(4), "parameter_levels": levels, "parameter_exposures": np.ones(4)})
    (row,) = listed(window, qtbot, 1)
    chosen(window, row)
    qtbot.mouseClick(window.panels.runs.fork, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.document.begins_from == run, timeout=LONG)
    assert window.document.run_folder is None and window.document.path is None
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


def test_what_is_open_is_asked_for_before_another_run_takes_its_place(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of("one")
    window.controller.open_experiment(tiny())
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    window.controller.edit("training.steps", 7)
    asked: list[int] = []
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: (asked.append(1), "cancel")[1]))
    listed(window, qtbot, 1)
    for button in (window.panels.runs.open, window.panels.runs.fork):
        chosen(window, rows(window)[0])
        count = len(asked)
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda count=count: len(asked) == count + 1, timeout=LONG)
        assert window.document.experiment.training.steps == 7
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: "discard"))


def test_the_queue_trains_one_after_the_other(window: MainWindow, qtbot: Any) -> None:
    for name in ("first", "second"):
        window.controller.open_experiment(tiny(name))
        qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
        window.actions_by_key["train_later"].trigger()
    assert [queued.experiment.name for queued in queued_runs()] == ["first", "second"]
    found = listed(window, qtbot, 2)
    assert [row.text(3) for row in found] == ["next", "waits"]
    panel = window.panels.runs
    began: list[str] = []
    window.controller.state_changed.connect(
        lambda state: began.append(window.document.experiment.name) if state is RunState.FINISHED else None
    )
    qtbot.mouseClick(panel.begin, Qt.MouseButton.LeftButton)
    assert panel.begin.text() == "Hold queue"
    qtbot.waitUntil(lambda: began == ["first", "second"], timeout=LONG)
    qtbot.waitUntil(lambda: not window.runs_desk.going, timeout=LONG)
    assert queued_runs() == () and panel.begin.text() == "Start queue"
    made = sorted(path.name.split("-")[0] for path in (user_state() / "runs").iterdir())
    assert made == ["first", "second"]


def test_a_queue_with_painted_patterns_is_listed_again(window: MainWindow, qtbot: Any) -> None:
    """What waits begins from arrays: lists of it are compared all the same, each time the panel looks."""
    levels, exposures = np.full((2, 9), 0.5), np.ones(2)
    QueuedRun.put(tiny("painted"), None, levels, exposures)
    panel = window.panels.runs
    listed(window, qtbot, 1)
    first, again = queued_runs(), queued_runs()
    assert first[0].levels is not again[0].levels and first == again
    panel.show_runs((), first)
    item = panel.list.topLevelItem(0)
    panel.show_runs((), again)
    assert panel.list.topLevelItem(0) is item


def test_stopping_a_run_holds_the_queue(window: MainWindow, qtbot: Any) -> None:
    for name in ("first", "second"):
        window.controller.open_experiment(tiny(name, 100_000))
        qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
        window.train_later()
    listed(window, qtbot, 2)
    qtbot.mouseClick(window.panels.runs.begin, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.document.history.step > 1, timeout=LONG)
    window.stop()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    qtbot.waitUntil(lambda: not window.runs_desk.going, timeout=LONG)
    assert [queued.experiment.name for queued in queued_runs()] == ["second"]
    assert window.document.experiment.name == "first"


def test_what_waits_can_be_taken_out(window: MainWindow, qtbot: Any) -> None:
    window.controller.open_experiment(tiny("first"))
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.train_later()
    (row,) = listed(window, qtbot, 1)
    chosen(window, row)
    panel = window.panels.runs
    assert panel.drop.isEnabled() and not panel.open.isEnabled()
    qtbot.mouseClick(panel.drop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not rows(window), timeout=LONG)
    assert queued_runs() == ()


def test_times_are_said_as_people_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    noon = 1_700_000_000.0
    assert ":" in _when(noon, noon)
    assert _when(noon, noon + 3 * 86400) == "2023-11-14"


def test_a_listed_run_says_where_it_lies(window: MainWindow, qtbot: Any) -> None:
    run = run_of("one")
    (row,) = listed(window, qtbot, 1)
    assert row.data(0, PATH) == run and str(run) in row.toolTip(0)
