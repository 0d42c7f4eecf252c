"""Messages go with what they were about, and none is lost behind another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ptychoui.gui.look.theme import DARK, LIGHT, READABLE, Colours, contrast, faded_text
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.shell.messages import Message
from ptychoui.session.opening import demo_experiment
from ptychoui.session.stack_run import StackHistory
from ptychoui.session.worker import RunState

LONG = 60_000


def test_a_success_is_said_below_an_error_that_stays(window: MainWindow) -> None:
    toast = window.panels.toast
    window.show_message(Message("error", "It cannot be read", "ask for it again"))
    assert toast.also.isHidden()
    window.show_message(Message("info", "Patterns written to a.json"))
    assert toast.title.text() == "It cannot be read" and toast.also.text() == "Patterns written to a.json"
    assert toast.also.isVisible() and toast.hint.isVisible()
    toast._timed_out()
    assert toast.isVisible() and toast.also.isHidden()
    window.show_message(Message("error", "Another"))
    assert toast.also.isHidden() and toast.title.text() == "Another"
    assert [message.text for message in window.panels.messages.messages][-3:] == [
        "It cannot be read",
        "Patterns written to a.json",
        "Another",
    ]


def test_a_note_goes_by_itself(window: MainWindow) -> None:
    window.show_message(Message("info", "Saved"))
    window.panels.toast._timed_out()
    assert window.panels.toast.isHidden()


def test_an_error_goes_with_what_was_open_and_a_warning_with_the_run(window: MainWindow) -> None:
    toast = window.panels.toast
    window.show_message(Message("warning", "This is odd"))
    window._show_document("all")
    assert toast.isVisible(), "it may be about what is open now"
    window._show_state(RunState.STARTING)
    assert toast.isHidden()
    window._show_state(RunState.IDLE)
    window.show_message(Message("error", "It failed"))
    window._show_document("settings")
    assert toast.isVisible()
    window._show_document("all")
    assert toast.isHidden()


def test_a_failure_says_why_beside_the_word_until_something_else_is_open(window: MainWindow, qtbot: Any) -> None:
    window.controller.open_experiment(demo_experiment())
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit("engine.device", "cuda:9")
    window.train()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    status = window.panels.run.status
    qtbot.waitUntil(status.why.isVisible, timeout=LONG)
    assert status.state.text() == "Failed" and status.why.text().startswith("cuda:9 was asked for")
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.experiment.name != "first light", timeout=LONG)
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    qtbot.waitUntil(lambda: window.controller.state is RunState.IDLE, timeout=LONG)
    assert status.state.text() == "Ready" and status.why.isHidden() and window.panels.toast.isHidden()
    assert window.panels.state.text() == "Ready"


def test_a_reconstruction_that_ends_before_its_last_pass_says_why(window: MainWindow) -> None:
    panel, history = window.panels.stack_run, StackHistory()
    history.begun = SimpleNamespace(passes=20)  # type: ignore[assignment]
    history.last_pass = SimpleNamespace(step=18, seconds_left=0.0)  # type: ignore[assignment]
    panel.show_history(history, RunState.FINISHED)
    assert panel.time_left.text() == "settled at pass 18 of 20" and "lowered the residual" in panel.time_left.toolTip()
    panel.show_history(history, RunState.STOPPED)
    assert panel.time_left.text() == "pass 18 of 20" and not panel.time_left.toolTip()
    history.last_pass = SimpleNamespace(step=20, seconds_left=0.0)  # type: ignore[assignment]
    panel.show_history(history, RunState.FINISHED)
    assert panel.time_left.text() == "pass 20 of 20"


@pytest.mark.parametrize("c", [DARK, LIGHT], ids=["dark", "light"])
def test_every_colour_of_text_can_be_read_on_every_ground(c: Colours) -> None:
    for name in ("text", "muted", "accent", "second", "good", "warning", "error"):
        for ground in (c.window, c.raised, c.base, c.plot):
            assert contrast(getattr(c, name), ground) >= READABLE, (name, ground)
    for ground in (c.window, c.raised, c.base):
        assert READABLE <= contrast(faded_text(c), ground) < contrast(c.text, ground) / 1.5
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(
        4.478, abs=0.001
    )


def test_beside_the_steps_stands_what_goes_on(window: MainWindow, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    assert window.way.bar.next.whole.startswith("Next: Open")
    window.controller.task = "frc"
    window.controller._state = RunState.RUNNING
    window.way.look()
    assert window.way.bar.next.whole == "Comparing two halves of the LEDs…"
    window.controller._state = RunState.PAUSED
    window.way.look()
    assert window.way.bar.next.whole == "Comparing two halves of the LEDs, paused"
    window.controller._state, window.controller.task = RunState.IDLE, "training"
    window.way.look()
    assert window.way.bar.next.whole.startswith("Next: ")
