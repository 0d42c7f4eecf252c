"""Every number that can be typed into the window, in locales that write numbers differently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import QEvent, QLocale, QPoint, QPointF, QSignalBlocker, Qt
from PyQt6.QtGui import QKeyEvent, QWheelEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDockWidget,
    QLineEdit,
    QStackedWidget,
    QTabWidget,
    QWidget,
)

from ptychoui.gui.devices.desk import DeviceDesk
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.geometry_fields import ARRAY, MICROSCOPE, POSE
from ptychoui.gui.stack.profile_guide import ProfileGuide
from ptychoui.gui.stack.reconstruct_dock import SETTINGS as RECONSTRUCTION
from ptychoui.gui.training.export_dialog import ExportDialog
from ptychoui.gui.training.kinds import KINDS
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.fields import Field, Form
from ptychoui.gui.widgets.number_boxes import CountBox, NumberBox, NumbersLine
from ptychoui.session.opening import demo_experiment
from ptychoui.session.preferences import Preferences

LOCALES = ("de_DE", "fr_FR", "en_US")
AWKWARD = 0.12345678901234567
"""More digits than any box shows."""
GROUPED = {"typed": ("1,234.5", "1 234"), "pasted": ("1.234,5", "1'234", "1\u00a0234", "1\u202f234")}
Box = NumberBox | CountBox


@pytest.fixture(params=LOCALES)
def locale(request: pytest.FixtureRequest) -> Iterator[str]:
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


@pytest.fixture
def boxes(locale: str, qapp: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Box]]:
    """All boxes of the window and of the export dialog; what they set goes nowhere."""
    for name in ("edit", "edit_plan"):
        monkeypatch.setattr(Controller, name, lambda *arguments: "")
    for name in ("edit_geometry", "show_tile"):
        monkeypatch.setattr(Controller, name, lambda *arguments: None)
    monkeypatch.setattr(ExportDialog, "_describe", lambda self: None)
    monkeypatch.setattr(DeviceDesk, "_foresee", lambda self: None)  # no sequence has negative times
    window = MainWindow(Preferences())
    window.document.replace_experiment(demo_experiment().replace(geometry=_geometry()), None)
    dialog = ExportDialog(window.document.patterns(), Path.cwd(), window)
    window.panels.central.setCurrentWidget(window.panels.tabs)
    for page in range(window.panels.tabs.count()):
        window.panels.tabs.setTabEnabled(page, True)
    window.show()
    dialog.show()
    found = [*window.findChildren(QAbstractSpinBox)]
    assert len(found) == len(set(found)) > 40
    assert all(isinstance(box, Box) for box in found), "every box reads numbers in the same way"
    for box in found:
        box.setEnabled(True)
        box.setRange(min(box.minimum(), 0 if box.specialValueText() else -2000), max(box.maximum(), 2000))
        bring_up(box)
    yield [box for box in found if isinstance(box, Box)]
    dialog.close()
    window.close()
    window.deleteLater()


def _geometry() -> Any:
    from ptychoui.session.edits import usual_geometry

    return usual_geometry()


def bring_up(widget: QWidget) -> None:
    """Bring the pages to the front that a widget lies on."""
    widget.show()
    inner, parent = widget, widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QTabWidget | QStackedWidget) and parent.indexOf(inner) >= 0:
            parent.setCurrentWidget(inner)
        if isinstance(parent, QDockWidget):
            parent.show()
            parent.raise_()
        inner, parent = parent, parent.parentWidget()


def line_of(box: QAbstractSpinBox) -> QLineEdit:
    line = box.lineEdit()
    assert line is not None
    return line


def type_into(box: QWidget, text: str, finish: Qt.Key = Qt.Key.Key_Return) -> None:
    line = box if isinstance(box, QLineEdit) else line_of(box)  # type: ignore[arg-type]
    line.selectAll()
    for sign in text:
        if sign.isascii():
            QTest.keyClick(box, sign)
        else:  # QTest knows no keys for it
            key = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_unknown, Qt.KeyboardModifier.NoModifier, sign)
            QApplication.sendEvent(box, key)
    QTest.keyClick(box, finish)


def paste_into(box: QWidget, text: str) -> None:
    line = box if isinstance(box, QLineEdit) else line_of(box)  # type: ignore[arg-type]
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.setText(text)
    line.selectAll()
    line.paste()
    QTest.keyClick(box, Qt.Key.Key_Return)


def start(box: Box, value: float) -> float:
    bar = box.parent()
    if isinstance(bar, ContrastBar):
        bar.set_limits(-1e6, 1e6)  # either limit may be any number of these tests
    with QSignalBlocker(box):
        if isinstance(box, CountBox) or box._whole:
            box.setValue(round(value))
        else:
            box.setValue(value)
    return box.value()


def name(box: QWidget) -> str:
    return box.accessibleName() or box.toolTip() or box.objectName()


def test_a_point_and_a_comma_mean_the_same_in_every_box(boxes: list[Box]) -> None:
    for box in boxes:
        whole = isinstance(box, CountBox) or box._whole
        unit = box._unit
        for text in ("12", f" 12 {unit}") if whole else ("4.8", "4,8", f"4,8{unit}", f" 4.8 {unit} ", "48e-1"):
            value = 12 if whole else 4.8
            start(box, 7.25)
            type_into(box, text)
            assert box.value() == value, (name(box), text)
            start(box, 7.25)
            paste_into(box, text)
            assert box.value() == value, (name(box), text, "pasted")
            assert not set(" \u00a0\u202f',") & set(box.text().removeprefix(box.prefix()).removesuffix(box.suffix()))
        if not box.specialValueText() and not whole:
            type_into(box, "\u22124,8")
            assert box.value() == -4.8, name(box)


def test_return_and_leaving_change_nothing(boxes: list[Box]) -> None:
    for box in boxes:
        for value in (AWKWARD, 72.5, 1234.5678901):
            told: list[float] = []
            box.valueChanged.connect(told.append)
            before = start(box, value)
            assert isinstance(box, CountBox) or box._whole or before == value
            QTest.keyClick(box, Qt.Key.Key_Return)
            line_of(box).selectAll()
            QTest.keyClick(box, Qt.Key.Key_Tab)
            box.interpretText()
            # A text that was touched and is as before means the value that is there.
            type_into(box, box.text().removeprefix(box.prefix()).removesuffix(box.suffix()))
            assert box.value() == before and not told, (name(box), box.text())
            box.valueChanged.disconnect(told.append)


def test_what_groups_digits_is_refused_with_a_sentence(boxes: list[Box]) -> None:
    for box in boxes:
        before = start(box, 72.5)
        for put, texts in zip((type_into, paste_into), GROUPED.values(), strict=True):
            for text in texts:
                told: list[str] = []
                box.refused.connect(told.append)
                put(box, text)
                said = [text for text in told if text]
                assert box.value() == before and len(said) == 1, (name(box), text, told)
                assert box.refusal == said[0] and "stays" in said[0]
                assert box.text().startswith(box.prefix()) and box.text().endswith(box.suffix())
                box.refused.disconnect(told.append)


def test_keys_and_the_wheel_step(boxes: list[Box]) -> None:
    window = boxes[0].window()
    assert window is not None
    window.activateWindow()
    for box in boxes:
        whole = isinstance(box, CountBox) or box._whole
        for key, value in ((Qt.Key.Key_Up, 5 if whole else 4.9), (Qt.Key.Key_Down, 3 if whole else 4.7)):
            start(box, 4 if whole else 4.8)
            QTest.keyClick(box, key)
            assert box.value() == value, name(box)
        # What was typed before counts, with its comma.
        line_of(box).selectAll()
        QTest.keyClicks(box, "6" if whole else "6,5")
        QTest.keyClick(box, Qt.Key.Key_Up)
        assert box.value() == (7 if whole else 6.6), name(box)
        bring_up(box)
        box.setFocus()
        for value, has_focus in ((box.value(), False), (8 if whole else 6.7, True)):
            box.clearFocus()
            if has_focus:
                box.setFocus()
                if not box.hasFocus():  # a box that lies on a page of its own
                    continue
            turn(box)
            assert box.value() == value, (name(box), has_focus)


def turn(box: QWidget) -> None:
    at = QPointF(box.rect().center())
    QApplication.sendEvent(
        box,
        QWheelEvent(
            at,
            QPointF(box.mapToGlobal(at)),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )


def test_steps_end_in_as_many_digits_as_they_began_with(qtbot: Any, qapp: object) -> None:
    box = NumberBox("mm")
    qtbot.addWidget(box)
    for value, down, up in (
        (0.0, -0.1, 0.1),
        (1.0, 0.99, 1.1),
        (72.5, 71.5, 73.5),
        (-1.0, -1.1, -0.99),
        (1e-9, 0.99e-9, 1.1e-9),
    ):
        for steps, wanted in ((-1, down), (1, up)):
            box.setValue(value)
            box.stepBy(steps)
            assert box.value() == wanted


def test_what_is_left_out_is_left_out_by_its_word_or_by_nothing(qtbot: Any, qapp: object, locale: str) -> None:
    box = NumberBox("px", "automatic", whole=True)
    qtbot.addWidget(box)
    for text in ("", "automatic", "Automatic", "0"):
        box.setValue(64)
        type_into(box, text or " ")
        assert box.value() == 0 and box.text() == "automatic"
    type_into(box, "64,5")
    assert box.value() == 0 and "whole number" in box.refusal
    type_into(box, "-3")
    assert box.value() == 0 and "out of range" in box.refusal


@pytest.fixture
def lists(locale: str, qtbot: Any, qapp: object) -> Form:
    form = Form(
        [
            field
            for field in (*MICROSCOPE, *ARRAY, *POSE, *RECONSTRUCTION, *KINDS["fpm"].all_fields)
            if field.kind == "numbers"
        ]
    )
    qtbot.addWidget(form)
    form.show()
    return form


def test_lists_of_numbers(lists: Form) -> None:
    lengths, counts = (lists.editor(f"geometry.array.ring_{what}") for what in ("radii_mm", "counts"))
    assert isinstance(lengths, NumbersLine) and isinstance(counts, NumbersLine)
    assert ";" in lengths.toolTip() and len(lists.findChildren(NumbersLine)) == 2
    told: list[tuple[str, Any]] = []
    lists.edited.connect(lambda *what: told.append(what))
    for put in (type_into, paste_into):
        for text, values in (("0; 4,5; 9", (0, 4.5, 9)), ("0, 4, 9", (0, 4, 9)), ("0 4.5 9", (0, 4.5, 9))):
            lists.set_values({"geometry.array.ring_radii_mm": (1.0,)})
            put(lengths, text)
            assert told.pop() == ("geometry.array.ring_radii_mm", values) and not told
    exact = (0.0, AWKWARD, 1234567.25)
    lists.set_values({"geometry.array.ring_radii_mm": exact, "geometry.array.ring_counts": (1, 8, 16)})
    shown = lengths.text()
    assert "," not in shown
    for line in (lengths, counts):
        QTest.keyClick(line, Qt.Key.Key_Return)
        line.interpretText()
    assert not told
    for text in ("0,4,5,9", "0; 1 234; 9", "0; 4; x"):
        type_into(lengths, text)
        assert not told and lengths.text() == shown and "typed" not in lists.error("geometry.array.ring_radii_mm")
        assert lists.error("geometry.array.ring_radii_mm")
    type_into(counts, "1,8,16,24")
    assert told.pop()[1] == (1, 8, 16, 24)
    type_into(counts, "1; 8,5")
    assert not told and "whole" in lists.error("geometry.array.ring_counts")


def test_a_refusal_stands_below_the_field_until_something_else_is_typed(qtbot: Any, qapp: object) -> None:
    name = "geometry.array.height_mm"
    form = Form([Field(name=name, label="Height", unit="mm")])
    qtbot.addWidget(form)
    form.show()
    form.set_values({name: 72.5})
    type_into(form.editor(name), "1,234.5")
    assert "thousands" in form.error(name)
    QTest.keyClicks(form.editor(name), "7")
    assert not form.error(name)


def test_limits_of_the_contrast(window: MainWindow, qtbot: Any) -> None:
    window.panels.central.setCurrentWidget(window.panels.tabs)
    bar = window.panels.stack.contrast
    bar.set_limits(AWKWARD, 1234.56789012)
    type_into(bar.low_box, "0,25")
    assert (bar.low, bar.high) == (0.25, 1234.56789012), "the other limit keeps all its digits"
    type_into(bar.low_box, "2000")
    assert (bar.low, bar.high) == (0.25, 1234.56789012) and bar.low_box.value() == 0.25
    assert "below the upper" in window.panels.messages.messages[-1].text
    type_into(bar.high_box, "1.234,5")
    assert bar.high == 1234.56789012 and "thousands" in window.panels.messages.messages[-1].text


def test_a_command_counts_what_is_still_being_typed(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A button of the toolbar and a shortcut do not take the focus out of the field."""
    window.activateWindow()
    window.panels.bring_up(True)
    box = window.panels.stack_run.form.editor("settings.passes")
    seen: list[int] = []
    monkeypatch.setattr(Controller, "open_example", lambda self, _make: seen.append(self.document.plan.settings.passes))
    monkeypatch.setattr(QApplication, "focusWidget", staticmethod(lambda: box))
    line_of(box).selectAll()  # type: ignore[arg-type]
    QTest.keyClicks(box, "37")
    window.actions_by_key["mri_example"].trigger()
    assert seen == [37]


def test_the_export_dialog_stays_where_a_number_was_refused(window: MainWindow, qtbot: Any) -> None:
    window.document.replace_experiment(demo_experiment().replace(geometry=_geometry()), None)
    dialog = ExportDialog(window.document.patterns(), Path.cwd(), window)
    dialog.show()
    type_into(dialog.frame, "1,234.5")
    assert dialog.isVisible() and dialog.choice().frame_ms == 100 and "thousands" in dialog.summary.text()
    dialog.accept()
    assert dialog.isVisible()
    type_into(dialog.frame, "12,5")
    assert not dialog.isVisible() and dialog.choice().frame_ms == 12.5 and dialog.result() == 1
    dialog.deleteLater()


def test_a_dark_level_may_have_a_comma(window: MainWindow, qtbot: Any, locale: str) -> None:
    guide = ProfileGuide.start(window.controller, window)
    guide.dark.line.setText("100,5")
    assert guide._problem() == "" and guide.plan().dark == "100.5"
    guide.dark.line.setText("1,234.5")
    assert guide._problem()
    guide.close()
