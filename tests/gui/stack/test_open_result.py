from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QApplication

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import load_reconstruction, save_reconstruction
from ptychoui.gui.shell import app as application
from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.stack_run import StackHistory, save_report, stack_run
from ptychoui.settings import Reconstruct
from ptychoui.training.control import RunControl

LONG = 120_000


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stack = opening.load_data(opening.DataSource(path="sample:stack"), None).dataset
    assert isinstance(stack, ImageStack)
    history, plan = StackHistory(), StackPlan(settings=Reconstruct(passes=3), size_px=48)
    for event in stack_run(stack, stack.geometry, plan, "cpu")(RunControl(), lambda: False):
        history.take(event)
    assert history.report is not None
    return save_report(tmp_path_factory.mktemp("kept") / "result.h5", history.report, stack)


def shown(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: window.document.reconstruction.report is not None, timeout=LONG)


def test_a_reconstruction_is_opened_and_every_page_shows_it(window: MainWindow, qtbot: Any, kept: Path) -> None:
    window.controller.edit("training.steps", 7)  # unsaved settings stay: nobody is asked
    window.open_path(str(kept))
    shown(window, qtbot)
    panels, result = window.panels, window.panels.result
    assert panels.central.currentWidget() is panels.tabs and panels.tabs.currentWidget() is result
    assert window.document.experiment.training.steps == 7
    for name in result.pages:
        result.show_page(name)
        window.grab()
    assert result.object.amplitude.image is not None and "result.h5" in result.summary.toolTip()
    assert "waves RMS" in result.pupil.aberrations.text() and "Synthetic NA" in result.coverage.text.text()
    assert result.leds.worst.rowCount() == 12 and "keeps no images" in result.leds.caption.text()
    assert result.leds.measured.isHidden() and result.leds.contrast.isHidden()
    result.leds.map.clicked.emit(40)
    assert result.leds.caption.text().startswith("LED 40")
    assert not result.tile.isVisible() and not window.actions_by_key["save_result"].isEnabled()
    assert "after pass 3" in panels.progress.residual.text.text()
    assert window.preferences.recent[0] == str(kept)


def test_a_dropped_reconstruction_is_shown_beside_the_open_stack(window: MainWindow, qtbot: Any, kept: Path) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(kept))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(QPoint(5, 5)), Qt.DropAction.CopyAction, data, buttons, keys))
    shown(window, qtbot)
    assert isinstance(window.document.dataset, ImageStack)
    assert window.panels.tabs.currentWidget() is window.panels.result
    assert window.panels.result.object.amplitude.image is not None
    # With the stack there, another reconstruction takes its place, and can be saved.
    window.controller.edit_plan("settings.passes", 2)
    window.reconstruct()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert window.actions_by_key["save_result"].isEnabled()
    window.panels.result.show_page("LEDs")
    assert window.panels.result.leds.measured.isVisible() and window.panels.result.leds.measured.image is not None


def test_a_result_of_another_stack_is_told_from_the_open_one(
    window: MainWindow, qtbot: Any, kept: Path, tmp_path: Path
) -> None:
    """The window says of which stack a saved result is, keeps it from the open stack's work, and goes back."""
    stored = load_reconstruction(kept)
    record = {**stored.record, "source": "/data/cells.mat", "data_sha256": "0" * 64}
    other = save_reconstruction(tmp_path / "other.h5", replace(stored, record=record))
    window.open_path(str(other))
    shown(window, qtbot)
    panels, result = window.panels, window.panels.result
    assert "a saved reconstruction of cells.mat. No stack is open." in result.source.text()
    assert panels.stack_run.stack.isHidden()
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    assert result.band.isHidden() and panels.stack_run.stack.whole == "stack.ome.tif"
    assert "stack.ome.tif" in panels.geometry.source.text() and "stack.ome.tif" in window.windowTitle()
    window.controller.edit_plan("settings.passes", 2)
    window.reconstruct()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    own = window.document.reconstruction.report
    window.open_path(str(other))
    qtbot.waitUntil(lambda: window.document.origin is not None, timeout=LONG)
    assert not result.band.isHidden()
    assert "other.h5: a saved reconstruction of cells.mat, not of the open stack" in result.source.text()
    assert "those of stack.ome.tif" in result.source.text()
    assert panels.progress.residual.text.text().startswith("other.h5: residual")
    result.show_page("Resolution")
    assert result.frc.compare.isHidden() and "open cells.mat" in result.frc.text.text()
    # Back to what was made here, which was not lost.
    result.close_source.click()
    assert result.band.isHidden() and window.document.reconstruction.report is own
    assert window.actions_by_key["save_result"].isEnabled() and not result.frc.compare.isHidden()
    assert panels.progress.residual.text.text().startswith("Residual")
    # Work on the open stack is never shown among the pages of the other.
    window.controller.open(str(other))
    qtbot.waitUntil(lambda: window.document.origin is not None, timeout=LONG)
    window.compare_halves()
    assert result.band.isHidden() and window.document.reconstruction.report is own
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    window.controller.open(str(kept))
    qtbot.waitUntil(lambda: window.document.origin is not None, timeout=LONG)
    assert "of the open stack stack.ome.tif." in result.source.text() and not result.frc.compare.isHidden()
    geometry = window.document.geometry
    assert geometry is not None
    edited = geometry.replace(microscope=geometry.microscope.replace(wavelength_um=0.6))
    window.controller.edit_geometry(edited, "wavelength", "")
    assert "made with another geometry" in result.source.text()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


def test_tiles_of_a_field_are_chosen_one_by_one(window: MainWindow, qtbot: Any, kept: Path, tmp_path: Path) -> None:
    stored = load_reconstruction(kept)
    names = ("zernike_waves", "illumination_na", "background", "light", "residual", "history", "gain")
    both = {name: np.concatenate([getattr(stored, name)] * 2) for name in names}
    both |= {"pupil": np.concatenate([stored.pupil, 0.5 * stored.pupil])}
    both |= {"corners_px": np.array([[0, 0], [0, 48]]), "object": np.concatenate([stored.object] * 2, axis=1)}
    path = save_reconstruction(tmp_path / "field.h5", replace(stored, **both))
    window.open_path(str(path))
    shown(window, qtbot)
    result = window.panels.result
    assert not result.tile.isVisible()
    result.show_page("Pupil")
    assert result.tile.isVisible() and result.tile.text() == "tile 2 of 2"
    half = result.pupil.amplitude.image
    result.tile.setValue(1)
    qtbot.waitUntil(lambda: result.pupil.amplitude.image is not half, timeout=LONG)
    assert half is not None and result.pupil.amplitude.image is not None
    assert result.pupil.amplitude.image.max() == pytest.approx(2 * half.max())
    assert result.tile.text() == "tile 1 of 2"


def test_what_would_be_lost_is_asked_for_once_it_is_known(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: asked.append(True) or "cancel"))
    window.controller.edit("training.steps", 7)
    window.open_path(str(data_file("sample:stack")))
    qtbot.waitUntil(lambda: bool(asked), timeout=LONG)
    assert window.document.dataset is None and window.document.experiment.training.steps == 7
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: "discard"))


def test_a_damaged_reconstruction_is_refused_in_a_sentence(
    window: MainWindow, qtbot: Any, kept: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.h5"
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 255
    bad.write_bytes(bytes(content))
    window.open_path(str(bad))
    qtbot.waitUntil(lambda: bool(window.panels.messages.messages), timeout=LONG)
    assert window.panels.messages.messages[-1].level == "error" and window.document.reconstruction.report is None


def test_the_command_line_opens_a_reconstruction(qapp: QApplication, kept: Path) -> None:
    seen: list[MainWindow] = []

    def close_when_shown() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible() and widget.document.reconstruction.report:
                seen.append(widget)
                widget.close()

    timer = QTimer()
    timer.timeout.connect(close_when_shown)
    timer.start(50)
    assert application.main(str(kept)) == 0
    timer.stop()
    assert seen[0].panels.result.object.amplitude.image is not None
    for widget in seen:
        widget.deleteLater()


def test_a_suggested_layout_of_a_saved_result_is_offered_for_its_own_geometry(
    window: MainWindow, qtbot: Any, kept: Path, tmp_path: Path
) -> None:
    stored = load_reconstruction(kept)
    array = stored.geometry.array.replace(pose=stored.geometry.array.pose.replace(flip_x=True))
    sentence = "another layout of the array explains the images 4 times better"
    record = stored.record | {"suggested_array": array.model_dump(mode="json"), "remarks": [sentence]}
    path = save_reconstruction(tmp_path / "mirrored.h5", replace(stored, record=record))
    result = window.panels.result
    window.open_path(str(path))
    shown(window, qtbot)
    assert sentence[1:] in result.warnings.text() and not result.take_layout.isVisible(), (
        "there is no geometry to change"
    )
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.open_path(str(path))
    shown(window, qtbot)
    assert result.take_layout.isVisible() and "flip_x = true" in result.take_layout.toolTip()
    result.take_layout.click()
    assert window.document.geometry == stored.geometry.replace(array=array) and not result.take_layout.isVisible()
