from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QComboBox, QDoubleSpinBox
from stepwise_run import snapshot

from ptychoui.engine.sizes import size_text
from ptychoui.gui.look import theme
from ptychoui.gui.look.limits import auto_limits, decimals_for, finite_values, full_limits
from ptychoui.gui.look.luts import NAMES, lut
from ptychoui.gui.look.scale_bar import bar_length_um, length_text
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.geometry_fields import A, M
from ptychoui.gui.training.training_view import ReconstructionView
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.parts import duration

LONG = 60_000


@pytest.fixture
def with_stack(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    return window


IMAGES = {
    "tiny": np.random.default_rng(0).normal(size=(20, 30)) * 1e-6,
    "huge": np.random.default_rng(0).normal(size=(20, 30)) * 1e6,
    "constant": np.full((20, 30), 0.3),
    "zero": np.zeros((20, 30)),
    "hot pixel": np.where(np.arange(600).reshape(20, 30) == 7, 1e9, 1.0),
    "nan": np.where(np.arange(600).reshape(20, 30) % 3 == 0, np.nan, 2.0),
    "all nan": np.full((20, 30), np.nan),
    "infinite": np.where(np.arange(600).reshape(20, 30) == 7, np.inf, np.arange(600).reshape(20, 30)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_contrast_works_for_every_range(qtbot: Any, qapp: Any, name: str) -> None:
    bar = ContrastBar("test", "gray")
    qtbot.addWidget(bar)
    bar.show()
    image = IMAGES[name].astype(np.float32)
    bar.set_images([image])
    for act in (bar.auto, bar.reset):
        act()
        assert np.isfinite([bar.low, bar.high]).all() and bar.high > bar.low
        shown = bar.low_box.value(), bar.high_box.value()
        assert shown[1] > shown[0]
        bar.grab()


def test_limits() -> None:
    values = finite_values([np.arange(1001, dtype=np.float32)])
    assert auto_limits(values) == pytest.approx((1, 999))
    assert full_limits(values) == (0, 1000)
    assert decimals_for(0, 1e-6) >= 9 and decimals_for(0, 1e6) == 0


def test_limits_survive_the_next_picture_and_a_new_run_chooses_again(qtbot: Any, qapp: Any) -> None:
    view = ReconstructionView()
    qtbot.addWidget(view)
    view.show()
    view.show_snapshot(snapshot(1))
    view.amplitude_contrast.set_limits(0.25, 0.75)
    view.show_snapshot(snapshot(2))
    assert (view.amplitude_contrast.low, view.amplitude_contrast.high) == (0.25, 0.75)
    assert (view.phase_contrast.low, view.phase_contrast.high) == (-np.pi, np.pi)
    view.start_over()
    view.show_snapshot(snapshot(3))
    assert view.amplitude_contrast.low > 2


def test_images_of_one_run_move_together(qtbot: Any, qapp: Any) -> None:
    view = ReconstructionView()
    qtbot.addWidget(view)
    view.resize(800, 800)
    view.show()
    view.show_snapshot(snapshot(1))
    view.phase.view.scaleBy((0.5, 0.5))
    rects = [panel.view.viewRect() for panel in view.panels]
    for rect in rects[1:]:
        assert rect.width() == pytest.approx(rects[0].width(), rel=0.02)
        assert rect.center().x() == pytest.approx(rects[0].center().x(), abs=0.1)


@pytest.mark.parametrize("width", [1e-3, 0.7, 1.0, 33.0, 1e5])
def test_scale_bars_are_one_two_or_five(width: float) -> None:
    length = bar_length_um(width)
    assert 0.1 * width < length <= 0.3 * width * (1 + 1e-9)
    digits = f"{length:e}".split("e")[0].rstrip("0").rstrip(".")
    assert digits in ("1", "2", "5")


def test_texts_for_people() -> None:
    assert [length_text(v) for v in (0.5, 20, 2000)] == ["500 nm", "20 µm", "2 mm"]
    assert [size_text(v) for v in (12, 3.85e7, 2.62e8, 1e10)] == ["12 B", "38.5 MB", "262 MB", "10 GB"]
    assert [duration(v) for v in (12, 120, 7260)] == ["12 s", "2 min", "2 h 01 min"]


@pytest.mark.parametrize("name", NAMES)
def test_look_up_tables(name: str) -> None:
    table = lut(name)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    if "cyclic" in name:
        assert np.array_equal(table[0], table[255])


def test_stack_tells_led_and_na(with_stack: MainWindow) -> None:
    stack = with_stack.panels.stack
    assert "LED 40" in stack.caption.text() and "NA 0.000" in stack.caption.text()
    stack.slider.setValue(0)
    assert "dark field" in stack.caption.text()
    with_stack.panels.leds.plot.pointed.emit(12, False)
    assert "LED 12" in stack.caption.text()
    stack._hover(3, 4)
    assert "intensity" in with_stack.panels.hover.text() and "µm" in with_stack.panels.hover.text()


def test_levels_are_edited_by_clicks_with_undo(with_stack: MainWindow) -> None:
    leds, document = with_stack.panels.leds, with_stack.document
    before = document.design()
    assert before is not None
    led = int(np.argmax(before[0][0]))
    leds.plot.pointed.emit(led, False)
    leds.plot.pointed.emit(led, False)
    after = document.design()
    assert after is not None and after[0][0, led] == 0.0
    leds.level_row.level.setValue(30)
    after = document.design()
    assert after is not None and after[0][0, led] == pytest.approx(0.3)
    assert document.undo_label == "Set 1 LED in bright field 1"
    with_stack.undo()
    assert document.undo_label == "Switch off 1 LED in bright field 1"
    with_stack.undo()
    back = document.design()
    assert back is not None and np.array_equal(back[0], before[0])


def test_rows_are_chosen_by_keys(with_stack: MainWindow, qtbot: Any) -> None:
    strip = with_stack.panels.leds.strip
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        qtbot.keyClick(strip, key)
    assert strip.row == 1
    assert "dark field 1" in with_stack.panels.leds.caption.text()


def test_a_refused_value_is_explained_in_place_and_changes_nothing(with_stack: MainWindow) -> None:
    panel, document = with_stack.panels.geometry, with_stack.document
    box = panel.forms["Microscope"].editor(M + "objective_na")
    assert isinstance(box, QDoubleSpinBox)
    before = document.experiment
    box.setValue(2.0)
    assert "objective_na" in panel.forms["Microscope"].error(M + "objective_na")
    assert document.experiment == before
    box.setValue(0.12)
    assert not panel.forms["Microscope"].error(M + "objective_na")
    assert document.geometry is not None and document.geometry.microscope.objective_na == 0.12


def test_fields_follow_the_kind_of_array_and_numbers_follow_the_fields(with_stack: MainWindow, qtbot: Any) -> None:
    panel, document = with_stack.panels.geometry, with_stack.document
    panel._edited(A + "kind", "rings")
    form = panel.forms["Array"]
    assert form.editor(A + "pitch_mm").isHidden() and not form.editor(A + "ring_counts").isHidden()
    assert document.geometry is not None and document.geometry.array.kind == "rings"
    qtbot.waitUntil(lambda: "49" in panel.numbers._values[0].text(), timeout=LONG)
    panel._edited(A + "height_mm", 10.0)
    qtbot.waitUntil(lambda: "pupil" in panel.warnings.text(), timeout=LONG)
    dark = panel.warnings.palette().windowText().color()
    with_stack.theme_light()
    assert panel.warnings.palette().windowText().color() != dark
    form._numbers_typed(A + "ring_counts", _line("1, two"), True)
    assert "whole numbers" in form.error(A + "ring_counts")


def _line(text: str) -> Any:
    from PyQt6.QtWidgets import QLineEdit

    return QLineEdit(text)


def test_run_settings_are_refused_in_place(with_stack: MainWindow) -> None:
    with_stack._edited("network.unrolls", 0)
    assert "unrolls" in with_stack.panels.run.form.error("network.unrolls")
    with_stack._edited("network.unrolls", 12)
    assert not with_stack.panels.run.form.error("network.unrolls")
    assert with_stack.document.experiment.network.unrolls == 12


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\x80\x04K\x01.", b"[microscope\n"])
def test_a_wrong_file_is_one_message_and_the_window_lives(
    with_stack: MainWindow, qtbot: Any, tmp_path: Path, content: bytes
) -> None:
    wrong = tmp_path / ("wrong.toml" if content.startswith(b"[") else "wrong.h5")
    wrong.write_bytes(content)
    before = with_stack.document.dataset
    with_stack.controller.open(str(wrong))
    qtbot.waitUntil(lambda: bool(with_stack.panels.messages.messages), timeout=LONG)
    qtbot.wait(100)
    messages = [m for m in with_stack.panels.messages.messages if m.level == "error"]
    assert len(messages) == 1 and "wrong" in messages[0].text
    assert with_stack.document.dataset is before and not with_stack.panels.busy.isVisible()


def test_a_dropped_file_is_opened(window: MainWindow, qtbot: Any) -> None:
    from ptychoui.paths import sample_data

    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(sample_data() / "stack.ome.tif"))])
    event = QDropEvent(
        QPointF(QPoint(5, 5)),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    assert window.preferences.recent[0].endswith("stack.ome.tif")
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


@pytest.mark.parametrize("name", ["light", "dark", "system"])
def test_themes_reach_plots_and_palette(with_stack: MainWindow, qtbot: Any, name: str) -> None:
    with_stack.set_theme(name)
    wanted = theme.resolve(name)
    assert theme.colours() is wanted
    qtbot.waitUntil(lambda: with_stack.palette().window().color().name() == wanted.window, timeout=LONG)
    assert with_stack.panels.leds.plot.plot.backgroundBrush().color().name() == wanted.plot
    assert with_stack.panels.progress.loss.plot.backgroundBrush().color().name() == wanted.plot
    with_stack.grab()
    with_stack.set_theme("dark")


@pytest.mark.parametrize("size", [(1440, 900), (1180, 720)])
def test_nothing_asks_for_more_room_than_there_is(with_stack: MainWindow, qtbot: Any, size: tuple[int, int]) -> None:
    with_stack.resize(*size)
    qtbot.wait(50)
    assert (with_stack.width(), with_stack.height()) == size
    hint = with_stack.minimumSizeHint()
    assert hint.width() <= size[0] and hint.height() <= size[1]


def test_a_preset_is_taken_and_undone(with_stack: MainWindow, qtbot: Any) -> None:
    before = with_stack.document.geometry
    menu = with_stack.panels.geometry.presets.menu()
    assert menu is not None and len(menu.actions()) >= 5
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: with_stack.document.experiment.geometry is not None, timeout=LONG)
    with_stack.undo()
    assert with_stack.document.geometry == before
    qtbot.waitUntil(lambda: not with_stack.controller.jobs.busy, timeout=LONG)


def test_a_microscope_or_an_array_alone_is_taken_from_a_preset(with_stack: MainWindow, qtbot: Any) -> None:
    panel, document = with_stack.panels.geometry, with_stack.document
    before = document.geometry
    assert before is not None
    menus = [action.menu() for action in panel.presets.menu().actions() if action.menu() is not None]
    for menu in menus:
        menu.aboutToShow.emit()
        menu.aboutToShow.emit()  # once more: the list is not doubled
    microscopes, arrays = ({action.text(): action for action in menu.actions()} for menu in menus)
    assert len(microscopes) >= 14 and len(arrays) >= 18
    assert "To be measured" in arrays["SCI Round, 257 LEDs"].toolTip()
    arrays["SCI Round, 257 LEDs"].trigger()
    assert document.geometry.microscope == before.microscope and document.geometry.array.ring_clockwise
    assert panel.source.text() == "Set in this experiment.\nSCI Round, 257 LEDs: measure height."
    assert "clockwise from the bottom" in panel.source.toolTip()
    microscopes["NTNU pyFPM, 3x / 0.09"].trigger()
    assert document.geometry.microscope.objective_na == 0.09 and document.geometry.array.ring_clockwise
    qtbot.waitUntil(lambda: panel.numbers._values[0].text().startswith("257"), timeout=LONG)
    arrays["RGB panel 32 x 32, P6"].trigger()
    assert document.geometry.array.colour == "green"
    die = panel.forms["Array"].editor(A + "colour")
    assert isinstance(die, QComboBox) and not die.isHidden() and die.currentData() == "green"
    die.setCurrentIndex(die.findData("red"))
    die.activated.emit(die.currentIndex())
    assert document.geometry.array.colour == "red"
    die.setCurrentIndex(0)
    die.activated.emit(0)
    assert document.geometry.array.colour == "" and die.currentText() == "middle of the LED"
    panel._edited(A + "height_mm", 150.0)
    assert "P6" not in panel.source.text() and "NTNU" in panel.source.text()
    for _ in range(6):
        with_stack.undo()
    assert document.geometry == before
    qtbot.waitUntil(lambda: not with_stack.controller.jobs.busy, timeout=LONG)


def test_tiles_of_a_lattice_are_quadrants_until_they_are_edited(with_stack: MainWindow, qtbot: Any) -> None:
    panel, document = with_stack.panels.geometry, with_stack.document
    form = panel.forms["Array"]
    assert form.editor(A + "tile_rows").isHidden()
    panel._edited(A + "rows", 8)
    panel._edited(A + "order", "tiles")
    assert document.geometry is not None
    assert (document.geometry.array.tile_rows, document.geometry.array.tile_columns) == (4, 9)
    assert not form.editor(A + "tile_rows").isHidden()
    panel._edited(A + "tile_rows", 3)
    assert "whole tiles" in form.error(A + "tile_rows")
    panel._edited(A + "order", "radial")
    assert form.editor(A + "serpentine").isHidden() and not form.editor(A + "ring_clockwise").isHidden()
    qtbot.waitUntil(lambda: not with_stack.controller.jobs.busy, timeout=LONG)


def test_what_is_not_known_may_stay_so(with_stack: MainWindow, qtbot: Any) -> None:
    """The size of the LEDs and the bandwidth count where they are given, and can be taken back."""
    panel, document = with_stack.panels.geometry, with_stack.document
    box = panel.forms["Array"].editor(A + "led_size_um")
    assert isinstance(box, QDoubleSpinBox) and box.text() == "not known"
    box.setValue(300.0)
    assert document.geometry is not None and document.geometry.array.led_size_um == 300.0
    qtbot.waitUntil(lambda: "LED size" in panel.numbers._values[-1].text(), timeout=LONG)
    box.setValue(0.0)
    assert document.geometry.array.led_size_um is None
    qtbot.waitUntil(lambda: "angle" in panel.numbers._values[-1].text(), timeout=LONG)


def test_data_that_say_nothing_take_the_geometry_of_the_form(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    import numpy as np
    import tifffile

    images = np.random.default_rng(0).integers(0, 4000, (9, 24, 24), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "bare.tif", images, photometric="minisblack")
    window.controller.open(str(tmp_path / "bare.tif"))
    qtbot.waitUntil(lambda: window.panels.toast.remedy.isVisible(), timeout=LONG)
    form = window.panels.geometry
    form._edited(A + "rows", 3)
    form._edited(A + "columns", 3)
    window.panels.toast.remedy.click()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    assert window.document.geometry == form.draft
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
