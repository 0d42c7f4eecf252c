"""The recommendation of a run in the window."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from ptychoui.gui.training.progress_dock import ProgressPanel
from ptychoui.session.history import RunHistory
from ptychoui.settings import kind_of
from ptychoui.training.events import Judged
from ptychoui.training.verdict import Terms, compared, verdict


@pytest.mark.parametrize(("factor", "said"), [(0.8, "Learned from half circles: better"), (1.2, "use single LEDs")])
def test_what_to_use_is_said_and_its_evidence_is_under_the_mouse(qtbot: QtBot, factor: float, said: str) -> None:
    panel, history = ProgressPanel(), RunHistory(kind_of("fpm").metrics)
    qtbot.addWidget(panel)
    panel.show_history(history)
    assert not panel.verdict.isVisibleTo(panel)
    usual = np.linspace(0.4, 0.5, 6)
    rows = [compared("singles", "single LEDs", judge, usual, factor * usual) for judge in ("one", "another")]
    terms = Terms(learned="the learned patterns", example="held-out tile", more="more light")
    history.take(Judged(step=8, verdict=verdict(rows, 6, terms, "half circles")))
    panel.show_history(history)
    assert panel.verdict.isVisibleTo(panel) and said in panel.verdict.text()
    assert "interval" not in panel.verdict.text() and "95 % interval" in panel.verdict.toolTip()
