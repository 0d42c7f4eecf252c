"""The LED array as an editor: mouse and keys as a person uses them, and one step of undo for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QColor
from PyQt6.QtTest import QTest

from ptychoui.gui.look.theme import DARK, LIGHT
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.led_editor import CLOSED
from ptychoui.gui.widgets.led_plot import filled
from ptychoui.session.worker import RunState

LONG = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def opened(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.panels.leds.plot.fit()
    return window


def levels(window: MainWindow) -> np.ndarray:
    found = window.document.design()
    assert found is not None
    return found[0]


def spot(window: MainWindow, x: float, y: float) -> QPoint:
    """Where on the plot's viewport a place in the unit of the axes is."""
    box = window.panels.leds.plot.plot.getViewBox()
    at = box.mapViewToScene(QPointF(x, y))
    return QPoint(round(at.x()), round(at.y()))


def drag(window: MainWindow, *points: tuple[float, float]) -> None:
    port = window.panels.leds.plot.plot.viewport()
    QTest.mousePress(port, LEFT, pos=spot(window, *points[0]))
    for point in points[1:]:
        QTest.mouseMove(port, spot(window, *point))
        QTest.qWait(1)
    QTest.mouseRelease(port, LEFT, pos=spot(window, *points[-1]))


def leds_at(window: MainWindow) -> np.ndarray:
    return window.panels.leds._na


def press(window: MainWindow, key: Qt.Key, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(window.panels.leds.plot.plot, key, held)


def test_a_stroke_of_the_brush_is_one_step(opened: MainWindow) -> None:
    panel = opened.panels.leds
    panel.strip.choose(1)
    panel.tools.unit.click()  # in mm its columns are straight
    na, before = panel.plot.places, levels(opened).copy()
    column = float(na[:, 0].min())
    ends = na[np.isclose(na[:, 0], column)][:, 1]
    press(opened, Qt.Key.Key_B)
    assert panel.plot.tool == "paint" and panel.tools.buttons["paint"].isChecked()
    panel.level_row.level.setValue(40)
    assert (levels(opened) == before).all()
    drag(opened, (column, float(ends.min())), (column, 0.0), (column, float(ends.max())))
    painted = np.isclose(na[:, 0], column)
    assert levels(opened)[1, painted] == pytest.approx(0.4)
    assert (levels(opened)[1, ~painted] == before[1, ~painted]).all()
    assert opened.actions_by_key["undo"].text() == f"&Undo Paint {painted.sum()} LEDs in dark field 1"
    opened.undo()
    assert (levels(opened) == before).all() and not opened.document.undo_label
    press(opened, Qt.Key.Key_E)
    drag(opened, (column, float(ends.min())), (column, float(ends.max())))
    assert (levels(opened)[1, painted] == 0).all()


def test_mirrors_paint_on_both_sides(opened: MainWindow) -> None:
    panel = opened.panels.leds
    panel.strip.choose(1)
    panel.tools._mirrors["left-right"].setChecked(True)
    panel.editor.ask("all")
    panel.editor.ask("clear")
    panel.use_tool("paint")
    na = leds_at(opened)
    led = int(np.argmax(na[:, 0] + 2 * na[:, 1]))
    drag(opened, tuple(na[led]))
    lit = np.flatnonzero(levels(opened)[1])
    assert sorted(map(tuple, np.abs(np.round(na[lit], 6)))) == [tuple(np.abs(np.round(na[led], 6)))] * 2


def test_escape_gives_a_stroke_up(opened: MainWindow) -> None:
    panel = opened.panels.leds
    panel.strip.choose(1)
    panel.use_tool("erase")
    before, port = levels(opened).copy(), panel.plot.plot.viewport()
    lit = leds_at(opened)[int(np.argmax(before[1]))]
    QTest.mousePress(port, LEFT, pos=spot(opened, *lit))
    assert panel.plot._spots.levels[int(np.argmax(before[1]))] == 0
    press(opened, Qt.Key.Key_Escape)
    for x in (-0.1, 0.0, 0.1):  # it stays given up, though the button is down yet
        QTest.mouseMove(port, spot(opened, x, 0.18))
        QTest.qWait(1)
    QTest.mouseRelease(port, LEFT, pos=spot(opened, *lit))
    assert (levels(opened) == before).all() and not opened.document.undo_label
    assert (panel.plot._spots.levels == before[1]).all()


def test_painting_the_other_field_says_why_not(opened: MainWindow) -> None:
    panel = opened.panels.leds
    panel.strip.choose(1)
    panel.use_tool("paint")
    port = panel.plot.plot.viewport()
    QTest.mousePress(port, LEFT, pos=spot(opened, 0.0, 0.0))
    middle = int(np.hypot(*leds_at(opened).T).argmin())
    assert panel.plot._spots.levels[middle] == 0  # not even while it is drawn
    QTest.mouseRelease(port, LEFT, pos=spot(opened, 0.0, 0.0))
    assert "may light none" in opened.panels.messages.messages[-1].text
    assert not opened.document.undo_label


def test_a_box_chooses_and_shift_adds(opened: MainWindow) -> None:
    panel, na = opened.panels.leds, leds_at(opened)
    panel.use_tool("select")
    right = na[:, 0] > 0.01
    top = float(np.abs(na).max()) * 1.1
    drag(opened, (0.01, -top), (top, top))
    assert (panel.editor.chosen == right).all()
    assert f"{right.sum()} LEDs" in panel.level_row.label.whole
    port = panel.plot.plot.viewport()
    QTest.mouseClick(port, LEFT, Qt.KeyboardModifier.ShiftModifier, spot(opened, 0, 0))
    assert panel.editor.chosen.sum() == right.sum() + 1
    QTest.mouseClick(port, LEFT, Qt.KeyboardModifier.NoModifier, spot(opened, 0, 0))
    assert panel.editor.chosen.sum() == 1
    press(opened, Qt.Key.Key_Escape)
    assert not panel.editor.chosen.any()


def test_everything_by_keys(opened: MainWindow) -> None:
    panel, na = opened.panels.leds, leds_at(opened)
    press(opened, Qt.Key.Key_Left)  # the first arrow finds the LED on the axis
    middle = int(np.hypot(*na.T).argmin())
    assert panel.editor.led == middle
    press(opened, Qt.Key.Key_Right)
    led = panel.editor.led
    assert na[led, 0] > na[middle, 0] and na[led, 1] == pytest.approx(na[middle, 1])
    press(opened, Qt.Key.Key_5)
    assert levels(opened)[0, led] == pytest.approx(5 / 9)
    assert opened.document.undo_label == "Set 1 LED in bright field 1"
    press(opened, Qt.Key.Key_Space)
    assert levels(opened)[0, led] == 0 and opened.controller.state is RunState.IDLE
    press(opened, Qt.Key.Key_Space)
    assert levels(opened)[0, led] == 1
    press(opened, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert set(np.flatnonzero(panel.editor.chosen)) == {led, middle}
    press(opened, Qt.Key.Key_Delete)
    assert (levels(opened)[0, [led, middle]] == 0).all()
    press(opened, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    press(opened, Qt.Key.Key_I)
    assert (levels(opened)[0, [led, middle]] == 1).all()
    press(opened, Qt.Key.Key_BracketRight)
    assert panel.plot.brush_pitches == 1.0
    press(opened, Qt.Key.Key_PageDown)
    assert panel.strip.row == 1


def test_a_pattern_is_copied_to_another(opened: MainWindow) -> None:
    panel = opened.panels.leds
    press(opened, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert "Nothing was copied" in opened.panels.messages.messages[-1].text
    panel.strip.choose(1)
    press(opened, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    panel.strip.choose(2)
    press(opened, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert (levels(opened)[2] == levels(opened)[1]).all()
    assert opened.document.undo_label.startswith("Paste ")


def test_patterns_move_are_added_and_removed_and_the_view_follows(opened: MainWindow) -> None:
    panel, before = opened.panels.leds, levels(opened).copy()
    panel.strip.choose(1)
    press(opened, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert panel.strip.row == 2 and (levels(opened) == before[[0, 2, 1, 3]]).all()
    press(opened, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert panel.strip.row == 1 and (levels(opened) == before).all()
    press(opened, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert panel.strip.row == 1 and "bright-field patterns come first" in (
        opened.panels.messages.messages[-1].text.lower()
    )
    panel.editor.add_row()
    assert panel.strip.row == 2 and (levels(opened) == before[[0, 1, 1, 2, 3]]).all()
    assert "dark field 2" in panel.caption.whole
    panel.editor.remove_row()
    assert (levels(opened) == before).all()


def test_shapes_are_chosen_filled_and_scaled(opened: MainWindow) -> None:
    panel, na = opened.panels.leds, leds_at(opened)
    panel.strip.choose(1)
    box = panel.tools.shapes
    box.open_at(panel.tools.shape)
    assert box.fields["ring"]["to NA"].value() == pytest.approx(panel._objective_na)
    box.shape.setCurrentIndex(box.shape.findData("half"))
    assert (panel.editor.chosen == (na[:, 0] > 1e-9)).all()
    panel.editor.brush_level = 0.5
    box.do("only")
    dark = np.hypot(*na.T) >= panel._objective_na
    assert (levels(opened)[1] == np.where(dark & (na[:, 0] > 1e-9), 0.5, 0.0)).all()
    box.light.setValue(4.0)
    box.buttons["scale"].click()
    exposure = float(panel._exposures[1])
    assert levels(opened)[1].sum() * exposure == pytest.approx(4.0)
    box.light.setValue(1e4)
    box.buttons["scale"].click()
    assert "needs an LED at level" in opened.panels.messages.messages[-1].text
    box.shape.setCurrentIndex(box.shape.findData("random"))
    box.fields["random"]["how many"].setValue(7)
    box.do("choose")
    assert panel.editor.chosen.sum() == 7 and not (panel.editor.chosen & ~dark).any()
    box.do("remove")
    assert panel.editor.chosen.sum() <= 7
    box.hide()


def test_axes_in_millimetres_show_the_array_itself(opened: MainWindow) -> None:
    panel, leds = opened.panels.leds, opened.document.leds()
    assert leds is not None
    panel.tools.unit.click()
    assert panel.tools.unit.text() == "mm" and np.allclose(panel.plot.places, leds.positions_mm[:, :2])
    inner, _ = panel.plot._circles[0].getData()
    order = np.argsort(leds.radius_na)
    radius = np.hypot(*leds.positions_mm[order, :2].T)
    expected = np.interp(panel._objective_na, leds.radius_na[order], radius)
    assert float(np.max(inner)) == pytest.approx(expected)
    panel.strip.choose(1)
    panel.use_tool("paint")
    corner = int(np.argmax(leds.positions_mm[:, :2].sum(1)))
    drag(opened, tuple(leds.positions_mm[corner, :2]))
    assert levels(opened)[1, corner] == 1
    panel.tools.unit.click()
    assert np.allclose(panel.plot.places, leds.illumination_na)


def test_while_a_run_is_active_nothing_is_edited_and_it_says_why(opened: MainWindow) -> None:
    panel, before = opened.panels.leds, levels(opened).copy()
    panel.set_editable(False)
    assert not panel.tools.buttons["paint"].isEnabled() and panel.level_row.label.whole == CLOSED
    assert CLOSED[2:] in panel.tools.buttons["paint"].toolTip()
    press(opened, Qt.Key.Key_Left)
    press(opened, Qt.Key.Key_9)
    assert (levels(opened) == before).all()
    assert "run is active" in opened.panels.messages.messages[-1].text
    panel.set_editable(True)
    assert panel.tools.buttons["paint"].isEnabled()


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_full_level_is_the_lightest_and_told_apart_without_colour(theme: Any) -> None:
    def luminance(colour: str) -> float:
        parts = np.array(QColor(colour).getRgbF()[:3])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    light = [luminance(stop) for stop in theme.levels]
    assert max(light) == light[-1]
    assert abs(luminance(theme.lit_ring) - luminance(theme.plot)) > 0.5
    assert filled(1.0) == 1.0 and filled(0.5) < 0.8 and filled(0.01) >= 0.3
