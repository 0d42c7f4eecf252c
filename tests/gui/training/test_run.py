from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepwise_run import StepwiseRun, snapshot

from ptychoui.gui.look import theme
from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session import runs
from ptychoui.session.history import RunHistory
from ptychoui.session.worker import RunState
from ptychoui.settings import kind_of
from ptychoui.training.events import Finished, Preparing

LONG = 60_000


def states(window: MainWindow) -> dict[str, bool]:
    return {key: window.actions_by_key[key].isEnabled() for key in ("train", "pause", "stop", "open", "undo")}


@pytest.fixture
def stepwise(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> StepwiseRun:
    """A window with data, whose training is a `StepwiseRun`."""
    run = StepwiseRun(4)
    monkeypatch.setattr(runs, "new_run", lambda *arguments: run)
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    return run


def test_buttons_follow_the_state(window: MainWindow, qtbot: Any, stepwise: StepwiseRun) -> None:
    assert states(window) == {"train": True, "pause": False, "stop": False, "open": True, "undo": False}
    window.train()
    assert not states(window)["train"]
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    qtbot.waitUntil(lambda: states(window)["pause"], timeout=LONG)
    assert states(window) == {"train": False, "pause": True, "stop": True, "open": False, "undo": False}
    window.pause_or_continue()
    qtbot.waitUntil(lambda: window.panels.run.state.text().startswith("Paused"), timeout=LONG)
    assert window.actions_by_key["pause"].iconText() == "Continue"
    window.pause_or_continue()
    stepwise.allow(2)
    qtbot.waitUntil(lambda: window.document.history.step == 2, timeout=LONG)
    assert "step 2 of 4" in window.panels.run.time_left.text()
    window.stop()
    assert window.panels.run.state.text() in ("Stopping…", "Stopped")
    qtbot.waitUntil(lambda: window.panels.run.state.text() == "Stopped", timeout=LONG)
    assert states(window)["train"] and not states(window)["stop"]


def test_who_hears_of_the_end_sees_the_run_ended(
    window: MainWindow, qtbot: Any, stepwise: StepwiseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of a run may be read before its thread has said that it is over."""
    put = window.controller.mailbox.put_scalar

    def put_slowly(run: int, value: Any) -> None:
        put(run, value)
        if isinstance(value, Finished):
            time.sleep(0.3)

    monkeypatch.setattr(window.controller.mailbox, "put_scalar", put_slowly)
    seen: list[tuple[RunState, bool]] = []
    window.controller.run_changed.connect(
        lambda: seen.append((window.controller.state, window.document.history.end is not None))
    )
    window.train()
    stepwise.allow_all()
    qtbot.waitUntil(lambda: any(ended for _, ended in seen), timeout=LONG)
    assert [state for state, ended in seen if ended] == [RunState.FINISHED]
    assert states(window)["train"]


def test_settings_and_levels_are_fixed_while_a_run_is_active(
    window: MainWindow, qtbot: Any, stepwise: StepwiseRun
) -> None:
    window.train()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    qtbot.waitUntil(lambda: not window.panels.run.form.isEnabled(), timeout=LONG)
    before = window.document.design()
    window.controller.edit_level(0, 0, 0.5)
    after = window.document.design()
    assert before is not None and after is not None and np.array_equal(before[0], after[0])
    window.open_sample_stack()
    assert any("active" in m.text for m in window.panels.messages.messages)
    stepwise.allow_all()
    qtbot.waitUntil(lambda: window.panels.run.form.isEnabled(), timeout=LONG)


@pytest.mark.parametrize("answer", ["save", "keep", "cancel"])
def test_closing_in_mid_run(
    window: MainWindow, qtbot: Any, stepwise: StepwiseRun, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(dialogs.CloseQuestion, "ask", classmethod(lambda cls, parent: answer))
    window.train()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING, timeout=LONG)
    closed = window.close()
    assert closed == (answer == "save")
    assert window.controller.state.active == (answer != "save")
    stepwise.allow_all()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)


def test_pictures_of_an_older_run_are_not_shown(window: MainWindow, stepwise: StepwiseRun) -> None:
    window.controller.mailbox.put_image(99, "snapshot", snapshot(1))
    window.controller.bridge.pull()
    assert window.document.history.snapshot is None


def test_memory_that_runs_out_is_one_message(
    window: MainWindow, qtbot: Any, stepwise: StepwiseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(control: Any, want: Any) -> Any:
        yield from ()
        raise MemoryError

    monkeypatch.setattr(runs, "new_run", lambda *arguments: out_of_memory)
    window.train()
    qtbot.waitUntil(lambda: window.panels.run.state.text() == "Failed", timeout=LONG)
    qtbot.waitUntil(lambda: bool(window.panels.messages.messages), timeout=LONG)
    errors = [m for m in window.panels.messages.messages if m.level == "error"]
    assert len(errors) == 1 and "memory" in errors[0].text and "batch" in errors[0].hint
    assert window.panels.toast.isVisible()
    assert states(window)["train"]
    assert window.document.experiment.engine.strategy == "reversible"
    assert window.panels.toast.remedy.text() == "Halve the batch"
    batch = window.document.experiment.training.batch
    window.panels.toast.remedy.click()
    assert window.document.experiment.training.batch == batch // 2
    window.controller.edit("engine.strategy", "store_all")
    window.train()
    qtbot.waitUntil(lambda: window.panels.toast.remedy.text() == "Use reversible", timeout=LONG)
    window.panels.toast.remedy.click()
    assert window.document.experiment.engine.strategy == "reversible"


def test_demo_in_small_from_start_to_undo(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    """The whole journey with real torch: load, train, pictures, learned design, undo, theme, resume."""
    window.controller.open_experiment(_small_demo(), None, window.train)
    qtbot.waitUntil(lambda: window.panels.run.state.text() == "Finished", timeout=LONG)
    history = window.document.history
    assert history.step == 2 and history.snapshot is not None and history.result is not None
    assert window.panels.reconstruction.phase.image is not None
    design = window.document.design()
    assert design is not None and np.array_equal(design[0], history.result.levels)
    assert window.document.undo_label == "Training"
    window.undo()
    back = window.document.design()
    assert back is not None and not np.array_equal(back[0], design[0])
    window.theme_light()
    assert theme.colours() is theme.LIGHT
    window.theme_dark()
    folder = window.document.run_folder
    assert folder is not None and states(window)["train"]
    window.controller.open(str(folder))
    qtbot.waitUntil(lambda: window.document.history.step == 2 and not window.controller.jobs.busy, timeout=LONG)
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    assert len(window.document.history.training) == 2
    window.controller.edit("training.steps", 3)
    window.resume()
    qtbot.waitUntil(lambda: window.document.history.step == 3, timeout=LONG)
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert not [m for m in window.panels.messages.messages if m.level == "error"]


def _small_demo() -> Any:
    from ptychoui.session.opening import demo_experiment

    demo = demo_experiment()
    return demo.replace(
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=2, batch=1, margin_px=2),
    )


def test_what_the_array_can_show_is_entered_and_shown(window: MainWindow, qtbot: Any, stepwise: StepwiseRun) -> None:
    form = window.panels.run.form
    bits, lit = form.editor("design.drive_bits"), form.editor("design.maximum_lit")
    assert (bits.text(), lit.text()) == ("any level", "all")  # type: ignore[attr-defined]
    assert "on or off" in bits.toolTip() and "may shine in one pattern" in lit.toolTip()
    bits.setValue(1)  # type: ignore[attr-defined]
    lit.setValue(3)  # type: ignore[attr-defined]
    settings = window.document.fpm
    assert settings is not None and (settings.design.drive_bits, settings.design.maximum_lit) == (1, 3)
    shown = window.document.design()
    assert shown is not None and set(np.unique(shown[0])) == {0.0, 1.0} and (shown[0] > 0).sum(1).max() <= 3
    bits.setValue(17)  # type: ignore[attr-defined]
    assert "16" in form.error("design.drive_bits")
    bits.setValue(0)  # type: ignore[attr-defined]
    settings = window.document.fpm
    assert settings is not None and settings.design.drive_bits is None


def test_what_is_prepared_is_named_beside_the_buttons(window: MainWindow) -> None:
    """What the run says it is doing, not only the words with which preparing began."""
    dock, history = window.panels.run, RunHistory(kind_of("fpm").metrics)
    history.take(Preparing(step=0, text="reconstructing the stack"))
    dock.show_state(RunState.STARTING)
    dock.show_history(history, RunState.STARTING)
    assert dock.status.time_left.text() == "reconstructing the stack"
    dock.show_doing(RunState.STARTING, "choosing where to begin: half circles")
    assert dock.status.time_left.text() == "choosing where to begin: half circles"
    dock.show_doing(RunState.RUNNING, "step 3")
    dock.show_doing(RunState.STARTING, "")
    assert dock.status.time_left.text() == "choosing where to begin: half circles"
    dock.show_state(RunState.IDLE)


def test_the_title_says_how_far_a_run_is(window: MainWindow, qtbot: Any, stepwise: StepwiseRun) -> None:
    """It is all that one sees of a window that is minimised."""
    name = window.windowTitle()
    window.train()
    stepwise.allow(2)
    qtbot.waitUntil(lambda: window.document.history.step == 2, timeout=LONG)
    qtbot.waitUntil(lambda: window.windowTitle() == f"Training 2 – {name}", timeout=LONG)
    window.stop()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    assert window.windowTitle().split(" – ")[0].removesuffix("[*]") == name.split(" – ")[0].removesuffix("[*]")
