from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication, QLabel, QToolButton, QVBoxLayout, QWidget

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.parts import Elided, Yielding
from ptychoui.optics.calibration import geometry_check

LONG = 120_000


@pytest.fixture
def with_stack(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    monkeypatch.setattr(geometry_check, "findings", lambda *_words: ())  # the check takes longer than the passes
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit_plan("settings.passes", 2)
    window.reconstruct()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    return window


@pytest.fixture
def large_text(window: MainWindow) -> Iterator[None]:
    yield
    window.prefer(font_scale=1.0)
    window.apply_theme()


def laid_out(window: MainWindow) -> None:
    for _ in range(5):
        QApplication.sendPostedEvents()
        QApplication.processEvents()


def overlaps(bar: ContrastBar) -> list[tuple[str, str]]:
    parts = [part for part in bar.children() if isinstance(part, QWidget) and part.isVisible()]
    parts = [part for part in parts if part.windowFlags() & Qt.WindowType.Popup != Qt.WindowType.Popup]
    return [
        (type(a).__name__, type(b).__name__)
        for i, a in enumerate(parts)
        for b in parts[i + 1 :]
        if a.geometry().intersects(b.geometry())
    ]


@pytest.mark.parametrize(("size", "scale"), [((900, 560), 1.0), ((1440, 900), 1.8)])
def test_every_page_fits_a_small_window_and_large_text(
    with_stack: MainWindow, large_text: None, size: tuple[int, int], scale: float
) -> None:
    """The window holds all it shows, and nothing in it lies over anything else."""
    window, panels = with_stack, with_stack.panels
    window.prefer(font_scale=scale)
    window.apply_theme()
    laid_out(window)
    window.resize(*size)
    for place in range(panels.tabs.count()):
        panels.tabs.setCurrentIndex(place)
        for page in panels.result.pages if panels.tabs.currentWidget() is panels.result else ("Object",):
            panels.result.show_page(page)
            laid_out(window)
            assert (window.width(), window.height()) == size
            least = window.minimumSizeHint()
            assert least.width() <= size[0] and least.height() <= size[1]
            for bar in window.findChildren(ContrastBar):
                if bar.isVisible():
                    assert not overlaps(bar) and bar.width() >= bar.minimumSizeHint().width()
    assert panels.stack.slider.width() > 4 * line_of(window)
    for dock in ("leds", "geometry", "reconstruct", "progress"):
        assert panels.docks[dock].geometry().right() <= size[0]
        assert not panels.docks[dock].geometry().intersects(panels.central.geometry())
    # The axes of a plot that is low are left out: their numbers would lie on one another.
    assert panels.leds.plot.plot.getAxis("left").isVisible() == (panels.leds.plot.height() >= 9 * line_of(window))


def line_of(window: MainWindow) -> int:
    return window.panels.leds.plot.fontMetrics().height()


def test_a_window_that_begins_with_large_text_fits(qtbot: Any, window: MainWindow, large_text: None) -> None:
    """What is made while the text is large has larger gaps than what was made before."""
    window.prefer(font_scale=1.8)
    window.apply_theme()
    second = MainWindow(window.preferences)
    second.apply_theme()
    second.resize(1440, 900)
    second.show()
    laid_out(second)
    assert (second.width(), second.height()) == (1440, 900)
    least = second.minimumSizeHint()
    assert least.width() <= 1440 and least.height() <= 900
    second.close()
    assert second.controller.worker.join(30)
    second.deleteLater()


def test_the_window_cannot_be_made_smaller_than_it_can_show(with_stack: MainWindow) -> None:
    laid_out(with_stack)
    with_stack.resize(200, 100)
    laid_out(with_stack)
    least = with_stack.minimumSizeHint()
    assert with_stack.width() >= least.width() and with_stack.height() >= least.height()
    assert not overlaps(with_stack.panels.result.object.amplitude_contrast)


def test_what_is_drawn_at_a_size_of_its_own_grows_with_the_text(window: MainWindow, large_text: None) -> None:
    laid_out(window)
    axis, box = window.panels.progress.residual.plot.getAxis("bottom"), window.panels.stack_run.boxes["tilt"]
    bar = window.panels.stack.contrast
    before = (
        axis.label.font().pointSizeF(),
        window.toolbar.iconSize().width(),
        box.sizeHint().height(),
        bar.low_box.width(),
        window.panels.stack_run.buttons["reconstruct"].minimumHeight(),
    )
    window.prefer(font_scale=1.8)
    window.apply_theme()
    laid_out(window)
    after = (
        axis.label.font().pointSizeF(),
        window.toolbar.iconSize().width(),
        box.sizeHint().height(),
        bar.low_box.width(),
        window.panels.stack_run.buttons["reconstruct"].minimumHeight(),
    )
    assert all(large > 1.4 * small for small, large in zip(before, after, strict=True))
    # And shrinks again, with the pages that nobody saw meanwhile.
    window.prefer(font_scale=1.0)
    window.apply_theme()
    laid_out(window)
    window.resize(900, 560)
    laid_out(window)
    assert (window.width(), window.height()) == (900, 560)


def test_a_contrast_bar_folds_into_a_menu_and_elides_numbers(qtbot: Any, qapp: object) -> None:
    bar = ContrastBar("amplitude", "gray")
    qtbot.addWidget(bar)
    bar.resize(bar.sizeHint())
    bar.show()
    assert not bar.folded and bar.auto_button.isVisible() and bar.luts.isVisible()
    bar.resize(bar.minimumSizeHint())
    assert bar.folded and not bar.auto_button.isVisible() and not bar.luts.isVisible() and not overlaps(bar)
    menu = bar.more.menu()
    assert menu is not None
    names = {action.text(): action for action in menu.actions()}
    names["viridis"].trigger()
    assert bar.luts.currentText() == "viridis"
    bar.set_images([np.linspace(0, 2, 64, dtype=np.float32).reshape(8, 8)])
    bar.set_limits(0.5, 0.75)
    names["Reset"].trigger()
    assert (bar.low, bar.high) == (0, 2)
    for low, high in ((1e-9, 2e-9), (123456.789, 123456.999), (-3.14159, 3.14159)):
        bar.set_limits(low, high)
        for shown, value in ((bar.low_box, low), (bar.high_box, high)):
            assert shown.fontMetrics().horizontalAdvance(shown.text()) < shown.width()
            assert float(shown.text()) == pytest.approx(value, rel=0.01) and f"{shown.value():.6g}" in shown.toolTip()
            exact = shown.value()
            shown.interpretText()
            assert shown.value() == exact == pytest.approx(value, rel=1e-3)


def test_a_long_note_scrolls_and_a_short_one_takes_no_more_than_it_needs(qtbot: Any, qapp: object) -> None:
    whole, text, rest = QWidget(), QLabel("word " * 200), QWidget()
    text.setWordWrap(True)
    note = Yielding(text)
    column = QVBoxLayout(whole)
    column.addWidget(note)
    column.addWidget(rest, 1)
    rest.setMinimumHeight(150)
    qtbot.addWidget(whole)
    whole.resize(300, 250)
    whole.show()
    QApplication.processEvents()
    bar = note.verticalScrollBar()
    assert rest.height() >= 150 and bar is not None and bar.maximum() > 0
    text.setText("word")
    qtbot.waitUntil(lambda: note.height() < 3 * note.fontMetrics().height() and bar.maximum() == 0)
    text.hide()
    assert note.isHidden()


def test_a_line_that_is_cut_keeps_its_text_in_the_tooltip(qtbot: Any, qapp: object) -> None:
    line = Elided(Qt.TextElideMode.ElideMiddle)
    qtbot.addWidget(line)
    line.resize(60, 20)
    line.show()
    line.say("a_long_name_of_a_stack.ome.tif")
    assert line.text() != line.whole == line.toolTip() and "…" in line.text()
    line.resize(600, 20)
    assert line.text() == line.whole


def test_tools_lie_side_by_side(window: MainWindow, qtbot: Any) -> None:
    """At the usual width and at the least: none over another."""
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    for size in ((1440, 900), (900, 560)):
        window.resize(*size)
        laid_out(window)
        tools = [button for button in window.panels.leds.findChildren(QToolButton) if button.isVisible()]
        assert len(tools) >= 8
        for place, one in enumerate(tools):
            for other in tools[place + 1 :]:
                if one.parent() is other.parent():
                    assert not one.geometry().intersects(other.geometry()), (one.accessibleName(), size)
