"""What a measured stack is learned from is looked at before learning begins."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PyQt6.QtWidgets import QWidget
from stepwise_run import snapshot, started, validated

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.shell.messages import Message
from ptychoui.gui.training.progress_dock import ProgressPanel
from ptychoui.session import runs
from ptychoui.session.history import RunHistory
from ptychoui.session.worker import RunState
from ptychoui.settings import kind_of
from ptychoui.tasks.fpm.events import TruthShown
from ptychoui.training.control import RunControl
from ptychoui.training.events import Preparing

LONG = 60_000
DOUBT = "all 9 LEDs one by one reach a complex error of 0.99"


def truth() -> TruthShown:
    ramp = np.arange(20, dtype=np.float32) * np.ones((10, 1), dtype=np.float32)
    return TruthShown(
        step=0,
        amplitude=ramp,
        phase_rad=ramp / 10,
        pixel_size_um=0.5,
        held_out_from_px=13.0,
        sentence="amplitude residual 0.0321, 0.0123 with brightness fitted",
    )


def test_the_whole_field_and_its_doubts_stand_until_the_first_tiles(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events(control: RunControl, _want: Any) -> Any:
        yield replace(started(), warnings=(DOUBT, "another"))
        yield truth()
        while True:
            control.checkpoint()

    monkeypatch.setattr(runs, "new_run", lambda *arguments: events)
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    view = window.panels.reconstruction
    view.show_snapshot(snapshot(3))  # of the run before
    window.train()
    qtbot.waitUntil(lambda: view.true_phase.image is not None and view.true_phase.image.shape == (10, 20), timeout=LONG)
    qtbot.waitUntil(lambda: view.warnings.isVisible(), timeout=LONG)
    assert np.array_equal(view.true_amplitude.image, truth().amplitude) and view.phase.image is None
    assert "whole field" in view.true_phase.title and "whole field" in view.true_amplitude.title
    assert view.true_phase.line.isVisible() and view.true_phase.line.value() == 13.0
    assert "0.0321" in view.learned_from.text() and "0.0123" in view.learned_from.text()
    assert "left of the line, scored right of it" in view.learned_from.text()
    assert "All 9 LEDs one by one" in view.warnings.text()
    assert all(text in window.panels.run.warnings.text() for text in ("All 9 LEDs one by one", "Another"))
    window.controller.pictured.emit(snapshot(1))
    assert np.array_equal(view.true_phase.image, snapshot(1).true_phase_rad) and not view.true_phase.line.isVisible()
    assert view.true_phase.title == "Phase, truth" and view.warnings.isVisible()
    assert "the line" not in view.learned_from.text() and "0.0321" in view.learned_from.text()
    window.stop()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)


def test_a_run_on_known_objects_says_nothing_of_a_field(window: MainWindow) -> None:
    view = window.panels.reconstruction
    history = RunHistory()
    history.take(truth())
    history.take(replace(started(), warnings=(DOUBT,)))
    view.show_run(history)
    assert not view.learned_from.isHidden()
    view.show_run(RunHistory())
    assert view.learned_from.isHidden() and view.warnings.isHidden()


@pytest.mark.parametrize(("error", "empty"), [(0.999, False), (1.0, True), (1.3, True), (float("nan"), True)])
def test_a_score_of_one_or_more_is_called_what_it_is(qtbot: Any, qapp: object, error: float, empty: bool) -> None:
    panel, history = ProgressPanel(), RunHistory(kind_of("fpm").metrics)
    qtbot.addWidget(panel)
    history.take(replace(validated(0), scores={"complex_error": error}))
    panel.show_history(history)
    assert ("no better than an empty picture" in panel.score.text()) is empty


def test_what_is_done_before_the_first_step_is_said(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def new_run(_experiment: Any, _folder: Any, *given: Any) -> Any:
        def events(control: RunControl, _want: Any) -> Any:
            yield Preparing(step=0, text="reconstructing the stack" if given[1] else "reading the objects")
            go.wait(60)
            yield started()
            while True:
                control.checkpoint()

        return events

    monkeypatch.setattr(runs, "new_run", new_run)
    panels = window.panels
    for sample, text in (("sample:stack", "reconstructing the stack"), ("sample:objects", "reading the objects")):
        go.clear()
        window.controller.open_sample(sample)
        qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
        window.train()
        qtbot.waitUntil(lambda text=text: text in panels.state.text(), timeout=LONG)
        assert panels.state.text() == f"Preparing: {text}…" and panels.run.time_left.text() == text
        go.set()
        qtbot.waitUntil(lambda: panels.run.time_left.text().startswith("step 0 of"), timeout=LONG)
        assert panels.state.text() == "Training"
        window.stop()
        qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
        assert panels.state.text() == "Stopped"


def test_a_message_stays_above_what_a_dock_brings_up(window: MainWindow, qtbot: Any) -> None:
    window.show_message(Message("error", "Something failed", "do something else"))
    toast, central = window.panels.toast, window.centralWidget()
    assert central is not None
    central.raise_()
    qtbot.waitUntil(lambda: window.childAt(toast.geometry().center()) in (toast, *toast.findChildren(QWidget)))


def test_what_takes_long_is_named_with_its_time(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events(control: RunControl, _want: Any) -> Any:
        yield started()
        control.now("checking derivatives against differences")
        while True:
            control.checkpoint()
            threading.Event().wait(0.01)

    monkeypatch.setattr(runs, "new_run", lambda *_arguments: events)
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.train()
    text = "Training: checking derivatives against differences, "
    qtbot.waitUntil(lambda: window.panels.state.text().startswith(text), timeout=LONG)
    window.stop()
    qtbot.waitUntil(lambda: window.panels.state.text() == "Stopped", timeout=LONG)
