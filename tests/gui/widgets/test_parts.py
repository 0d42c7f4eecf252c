from __future__ import annotations

from typing import Any

from PyQt6.QtWidgets import QApplication

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.parts import Status, bullets, note, sentence
from ptychoui.session.worker import RunState


def test_sentences_begin_with_a_capital_but_names_of_files_stay() -> None:
    assert sentence("the blank images are dark") == "The blank images are dark"
    assert sentence("notes.txt is no image") == "notes.txt is no image"
    assert sentence("") == ""


def test_bullets_hide_where_there_are_none(qapp: QApplication) -> None:
    label = note()
    bullets(label, ("one", "", "two"), colours().text)
    assert label.text() == "• One\n• Two" and not label.isHidden()
    bullets(label, (), colours().text)
    assert label.isHidden()


def test_a_status_says_what_runs_and_how_far_it_is(qapp: QApplication, qtbot: Any) -> None:
    status = Status("Measuring")
    qtbot.addWidget(status)
    status.show_state(RunState.STARTING)
    assert status.state.text() == "Preparing…" and status.bar.maximum() == 0
    status.show_state(RunState.RUNNING)
    status.show_progress(2, 5, "2 of 5")
    assert (status.state.text(), status.bar.value(), status.bar.maximum()) == ("Measuring", 2, 5)
    status.show_state(RunState.RUNNING, "Something else")
    assert status.state.text() == "Something else" and status.time_left.text() == "2 of 5"
