"""Beside the LED array: a predicted image, the learning step by step, and what the design sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.led_dock import PAST
from ptychoui.gui.training.led_views import LedViews
from ptychoui.session.predicted_image import object_of, predict

LONG = 60_000


@pytest.fixture
def opened(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    return window


def views(window: MainWindow) -> LedViews:
    found = window.panels.leds.views
    assert found is not None
    return found


def test_a_prediction_follows_pattern_and_edits(opened: MainWindow, qtbot: Any) -> None:
    panel, seen = opened.panels.leds, views(opened)
    document = opened.document
    geometry, leds, shown = document.geometry, document.leds(), object_of(document)
    assert geometry is not None and leds is not None and shown is not None

    def expected() -> np.ndarray:
        design = document.design()
        assert design is not None
        row = panel.strip.row
        return predict(geometry, leds, design[0][row], float(design[1][row]), shown).image

    def is_shown() -> bool:
        return seen.image.image is not None and np.allclose(seen.image.image, expected(), atol=1e-6)

    assert seen.image.isHidden()
    panel.tools.toggles["prediction"].setChecked(True)
    qtbot.waitUntil(is_shown, timeout=LONG)
    assert seen.image.isVisible() and seen.image.title == "Predicted" and "without noise" in seen.image.toolTip()
    panel.strip.choose(1)
    qtbot.waitUntil(is_shown, timeout=LONG)
    panel.editor.ask("clear")
    qtbot.waitUntil(lambda: is_shown() and float(seen.image.image.max()) == 0, timeout=LONG)
    opened.undo()
    qtbot.waitUntil(lambda: is_shown() and float(seen.image.image.max()) > 0, timeout=LONG)
    panel.tools.toggles["prediction"].setChecked(False)
    assert seen.image.isHidden()


def test_without_an_object_it_says_what_to_open(window: MainWindow, qtbot: Any) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.panels.leds.tools.toggles["prediction"].setChecked(True)
    seen = views(window)
    assert seen.image.title == "No prediction" and "reconstruct a stack" in seen.image.toolTip()


def test_the_learning_is_played_and_not_edited(opened: MainWindow, qtbot: Any) -> None:
    panel, seen, document = opened.panels.leds, views(opened), opened.document
    design = document.design()
    assert design is not None
    for step in range(5):
        document.history.learned.add(10 * step, np.full(design[0].shape, 0.1 * step), design[1])
    opened.controller.run_changed.emit()
    panel.tools.toggles["learning"].setChecked(True)
    row = seen.learning
    assert row.isVisible() and row.slider.maximum() == 4 and row.slider.value() == 4
    assert (panel.plot._spots.levels == design[0][0]).all()
    row.slider.setValue(2)
    assert panel.plot._spots.levels == pytest.approx(0.2) and row.text.text() == "step 20"
    assert panel.level_row.label.whole == PAST and not panel.tools.buttons["paint"].isEnabled()
    panel.editor.ask("level 9")
    assert not document.undo_label
    row.play.click()
    qtbot.waitUntil(lambda: not row.playing, timeout=LONG)
    assert row.slider.value() == 4 and (panel.plot._spots.levels == design[0][0]).all()
    assert panel.tools.buttons["paint"].isEnabled()
    row.play.click()
    assert row.slider.value() == 0 and row.playing
    panel.tools.toggles["learning"].setChecked(False)
    assert row.isHidden() and not row.playing and (panel.plot._spots.levels == design[0][0]).all()


def test_another_run_leaves_the_past(opened: MainWindow) -> None:
    panel, seen, document = opened.panels.leds, views(opened), opened.document
    design = document.design()
    assert design is not None
    for step in range(3):
        document.history.learned.add(step, np.full(design[0].shape, 0.3), design[1])
    panel.tools.toggles["learning"].setChecked(True)
    seen.learning.slider.setValue(0)
    assert panel.plot._spots.levels == pytest.approx(0.3)
    document.begin_run(None)
    opened.controller.run_changed.emit()
    assert (panel.plot._spots.levels == design[0][0]).all() and not seen.learning.slider.isEnabled()


def test_what_the_design_sees_follows_edits(opened: MainWindow, qtbot: Any) -> None:
    panel, seen = opened.panels.leds, views(opened)
    seen._asked("sees", True)
    dialog = seen.dialog
    assert dialog is not None
    qtbot.waitUntil(lambda: "LEDs lit" in dialog.text.text(), timeout=LONG)
    everything = dialog.text.text()
    dialog.one.setChecked(True)
    qtbot.waitUntil(lambda: dialog.text.text() != everything, timeout=LONG)
    panel.editor.ask("clear")
    qtbot.waitUntil(lambda: dialog.text.text() == "No LED is lit: nothing is seen.", timeout=LONG)
    assert not dialog.covered.image.isVisible()
    opened.undo()
    qtbot.waitUntil(lambda: "reach the camera" in dialog.text.text(), timeout=LONG)
    opened.switch_theme()
    dialog.close()
    qtbot.waitUntil(lambda: seen.dialog is None, timeout=LONG)
    seen.refresh()
