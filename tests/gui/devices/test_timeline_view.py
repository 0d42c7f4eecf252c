"""Bars of the timeline are the times of the timeline, and the axis has round numbers."""

from __future__ import annotations

from typing import Any

import pytest
from PyQt6.QtGui import QImage

from ptychoui.devices.timeline import Timing, timeline
from ptychoui.gui.devices.timeline_view import MOST_STEPS, TimelineView, tick_ms


@pytest.mark.parametrize(
    ("total", "tick"), [(4.0, 1.0), (5.0, 1.0), (5.1, 2.0), (10.1, 5.0), (420.0, 100.0), (0.05, 0.01), (2600.0, 1000.0)]
)
def test_ticks_are_round(total: float, tick: float) -> None:
    assert tick_ms(total) == pytest.approx(tick)


def test_bars_are_when_things_happen(qtbot: Any, qapp: object) -> None:
    timing = Timing(pwm_period_ms=0.0, settle_ms=5.0, readout_ms=8.0, trigger_ms=2.0)
    times = timeline([20.0, 40.0, 20.0, 20.0, 20.0, 20.0], timing)
    view = TimelineView()
    qtbot.addWidget(view)
    view.show_times(times, timing, times.step_ms, True)
    step = 5 + 2 + 40 + 8
    assert view.bars()[:8] == [
        (0, 0, 0.0, step), (0, 1, 5.0, 5.0), (0, 2, 7.0, 27.0), (0, 3, 27.0, 35.0),
        (1, 0, step, 2 * step), (1, 1, step + 5, step + 5), (1, 2, step + 7, step + 47), (1, 3, step + 47, step + 55),
    ]  # fmt: skip
    assert len(view.bars()) == 4 * MOST_STEPS
    view.show_times(times, timing, 100.0, False)
    assert view.bars()[3:6] == [(1, 0, 100.0, 200.0), (1, 2, 107.0, 147.0), (1, 3, 147.0, 155.0)]
    assert view.bars()[0] == (0, 0, 0.0, 100.0) and all(lane != 1 for _, lane, _, _ in view.bars())
    assert "100 ms" in view.words() and view.accessibleDescription() == view.words()


def test_the_pattern_that_shines_is_seen(qtbot: Any, qapp: object) -> None:
    timing = Timing(pwm_period_ms=0.0)
    times = timeline([20.0, 20.0], timing)
    view = TimelineView()
    qtbot.addWidget(view)
    view.resize(400, view.sizeHint().height())
    view.show_times(times, timing, times.step_ms, False)
    view.show()

    def picture() -> QImage:
        return view.grab().toImage()

    plain = picture()
    view.mark(1)
    assert picture() != plain
    view.mark(-1)
    assert picture() == plain
    view.show_times(None, timing, 0.0, False)
    assert view.bars() == [] and view.words() == "no sequence" and picture() != plain
