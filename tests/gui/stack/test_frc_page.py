from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QPointF

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.worker import RunState

LONG = 120_000


@pytest.fixture
def small(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    for name, value in (("size_px", 48), ("settings.passes", 3)):
        assert window.controller.edit_plan(name, value) == ""
    return window


def test_two_halves_are_compared_on_a_page_of_their_own(small: MainWindow, qtbot: Any) -> None:
    window, page = small, small.panels.result.frc
    window.panels.tabs.setCurrentWidget(window.panels.result)
    window.panels.result.show_page("Resolution")
    window.grab()
    assert page.compare.isEnabled() and "different halves" in page.text.text()
    page.compare.click()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    found = window.document.frc.found
    assert found is not None and not page.status.isVisible()
    assert np.array_equal(page.curve.getData()[1], found.frc.correlation)
    assert np.array_equal(page.threshold.getData()[1], found.frc.half_bit)
    assert page.text.text() == found.sentence
    assert page.marks["objective"].value() == pytest.approx(0.1 / 0.53)
    for command in (window.fit_images, window.actual_size, window.auto_contrast, window.switch_theme):
        command()
        window.grab()
    heard: list[str] = []
    page.hover_text.connect(heard.append)
    view = page.plot.getViewBox()
    page._mouse_moved((view.mapViewToScene(QPointF(0.1, 0.5)),))
    page._mouse_moved((view.mapViewToScene(QPointF(9.0, 0.5)),))
    assert "period" in heard[0] and heard[1] == ""
    # A new reconstruction is another matter.
    window.reconstruct()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert window.document.frc.found is None and page.curve.getData()[0] is None
    window.switch_theme()


def test_a_comparison_is_stopped(small: MainWindow, qtbot: Any) -> None:
    window = small
    page = window.panels.result.frc
    window.controller.edit_plan("settings.passes", 5000)
    window.actions_by_key["frc"].trigger()
    assert window.panels.tabs.currentWidget() is window.panels.result
    window.panels.result.show_page("Resolution")
    qtbot.waitUntil(lambda: re.match(r"pass \d+ of 10000", page.status.time_left.text()) is not None, timeout=LONG)
    assert page.status.isVisible() and not page.compare.isEnabled()
    assert window.panels.stack_run.state.text() == "Comparing halves"
    window.stop()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert window.controller.state is RunState.STOPPED and window.document.frc.found is None


def test_too_few_leds_are_said_in_a_sentence(small: MainWindow, qtbot: Any) -> None:
    window = small
    geometry = window.document.geometry
    assert geometry is not None
    few = geometry.replace(array=geometry.array.replace(max_illumination_na=0.06))
    window.controller.edit_geometry(few, "few", "")
    window.compare_halves()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    assert "too few for two halves" in window.panels.result.frc.text.text()
