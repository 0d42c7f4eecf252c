from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QPointF, Qt

from ptychoui.data.dataset import ImageStack, Provenance
from ptychoui.gui.look import theme
from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.files import Files
from ptychoui.optics.calibration import geometry_check, refine
from ptychoui.session import stack_run
from ptychoui.session.stack_calibration import Calibrated, CalibrationBegun, CalibrationStep, asked_steps
from ptychoui.session.stack_run import StackReport, SuggestedLayout
from ptychoui.session.worker import RunState
from ptychoui.workflows import calibrate_stack

LONG = 120_000


@pytest.fixture
def checked(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    """A window whose reconstructions are checked against the geometry at their end, briefly."""
    monkeypatch.setattr(geometry_check, "LAYOUT_PASSES", 2)
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    assert window.controller.edit_plan("settings.passes", 4) == ""
    return window


@pytest.fixture
def with_stack(checked: MainWindow, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    """The same without that check, which takes longer than the passes."""
    monkeypatch.setattr(geometry_check, "findings", lambda *_words: ())
    return checked


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrations of few passes: how well they calibrate has tests of its own."""
    whole = calibrate_stack.calibrate
    monkeypatch.setattr(refine, "JUDGED_PASSES", 2)
    monkeypatch.setattr(
        calibrate_stack, "calibrate", lambda *words, **settings: whole(*words, **settings, rounds=(3,), final_passes=1)
    )


def finished(window: MainWindow) -> bool:
    return not window.controller.state.active


def reconstruct(window: MainWindow, qtbot: Any) -> StackReport:
    window.reconstruct()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    report = window.document.reconstruction.report
    assert report is not None
    return report


def endless(window: MainWindow, qtbot: Any) -> None:
    """A run that goes on until it is stopped."""
    window.controller.edit_plan("settings.passes", 10_000)
    window.controller.edit_plan("settings.sequential_passes", 1000)
    window.reconstruct()
    qtbot.waitUntil(lambda: len(window.document.reconstruction.residual) >= 2, timeout=LONG)


def texts(window: MainWindow) -> list[str]:
    return [message.text for message in window.panels.messages.messages]


def test_the_sample_stack_from_opening_to_every_page(checked: MainWindow, qtbot: Any) -> None:
    window, panels = checked, checked.panels
    assert window.actions_by_key["reconstruct"].isEnabled()
    assert "81 LEDs, 96 × 96 px" in panels.stack_run.forecast.text()
    report = reconstruct(window, qtbot)
    assert panels.stack_run.state.text() == "Finished" and panels.state.text() == "Finished"
    assert panels.tabs.currentWidget() is panels.result
    assert "residual" in panels.result.summary.toolTip()
    result = panels.result
    assert result.object.amplitude.image is report.amplitude and result.object.phase.image is report.unwrapped_rad
    assert result.object.unwrapped_contrast.low == -result.object.unwrapped_contrast.high
    result.object.kind.setCurrentIndex(result.object.kind.findData("wrapped"))
    assert result.object.phase.image is report.phase_rad
    assert (result.object.phase_contrast.low, result.object.phase_contrast.high) == (-np.pi, np.pi)
    for name in result.pages:
        result.show_page(name)
        for command in (window.fit_images, window.actual_size, window.auto_contrast):
            command()
        window.grab()
    assert "waves RMS" in result.pupil.aberrations.text()
    assert "Synthetic NA 0.3" in result.coverage.text.text()
    assert len(panels.progress.residual.curve.getData()[0]) == len(report.found.history)
    assert panels.progress.pages.currentWidget() is panels.progress.residual
    window.theme_light()
    window.grab()
    window.theme_dark()
    assert theme.colours() is theme.DARK
    assert not texts(window)


def test_the_led_page_lists_the_worst_and_shows_the_one_that_is_clicked(with_stack: MainWindow, qtbot: Any) -> None:
    report = reconstruct(with_stack, qtbot)
    result = with_stack.panels.result
    result.show_page("LEDs")
    page = result.leds
    worst = int(report.quality.worst_first[0])
    assert page.led == worst
    assert page.worst.item(0, 0).text() == str(report.found.led_numbers[worst])
    page.map.clicked.emit(40)
    assert page.measured.image is not None and np.array_equal(page.measured.image, report.measured[40])
    assert page.predicted.image is not None and np.array_equal(page.predicted.image, report.predicted[40])
    assert page.caption.text().startswith("LED 40") and "NA 0.000, bright" in page.caption.text()
    page.worst.cellClicked.emit(3, 0)
    assert page.led == report.quality.worst_first[3]
    for place in range(page.quantity.count()):
        page.quantity.setCurrentIndex(place)
        with_stack.grab()
    heard: list[str] = []
    page.hover_text.connect(heard.append)
    page.map.hovered.emit(22)
    page.measured.hovered.emit(5, 6)
    assert "LED 22" in heard[0] and "measured" in heard[1] and "predicted" in heard[1]


def test_a_dead_led_is_ringed_and_named(with_stack: MainWindow, qtbot: Any) -> None:
    stack = with_stack.document.dataset
    assert isinstance(stack, ImageStack)
    images = np.array(stack.images)
    images[41] = 0
    with_stack.document.dataset = ImageStack(
        images=images,
        led_numbers=stack.led_numbers,
        geometry=stack.geometry,
        provenance=Provenance(source="test", layout="arrays", sha256=""),
    )
    with_stack.controller.edit_plan("settings.passes", 12)
    report = reconstruct(with_stack, qtbot)
    with_stack.panels.result.show_page("LEDs")
    page = with_stack.panels.result.leds
    assert report.quality.outlier[41]
    assert "41" in page.verdict.text() and "out (ringed)" in page.verdict.text()


def test_the_profile_follows_its_line(with_stack: MainWindow, qtbot: Any) -> None:
    report = reconstruct(with_stack, qtbot)
    with_stack.panels.result.show_page("Line")
    page = with_stack.panels.result.profile
    pixel = report.found.object_pixel_um
    page.set_points((10, 20), (110, 20))
    assert page.profile is not None
    assert page.profile.distance_um[-1] == pytest.approx(100 * pixel)
    row = np.square(report.amplitude)[19:21].mean(0)
    assert page.profile.values.max() == pytest.approx(row[9:111].max(), rel=0.02)
    assert "Michelson contrast" in page.text.text()
    page.quantity.setCurrentIndex(page.quantity.findData("phase"))
    assert "rad" in page.text.text()
    page.set_points((10, 20), (10, 20))
    assert "no length" in page.text.text()
    # Another result of the same size leaves the line where it is.
    page.set_points((10, 20), (50, 60))
    with_stack.panels.result.show_report(report)
    assert page.profile.distance_um[-1] == pytest.approx(np.hypot(40, 40) * pixel)


def test_doubts_are_shown_above_a_result(with_stack: MainWindow, qtbot: Any) -> None:
    report = reconstruct(with_stack, qtbot)
    view = with_stack.panels.result
    assert view.warnings.isHidden()
    view.show_report(replace(report, found=replace(report.found, fitted_residual=0.5)))
    assert not view.warnings.isHidden() and "50% of the light unexplained" in view.warnings.text()
    view.show_report(None)
    assert view.warnings.isHidden()


def test_a_layout_that_the_images_suggest_is_one_click_away(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    assert window.controller.edit_plan("size_px", 32) == ""
    report = reconstruct(window, qtbot)
    view, geometry = window.panels.result, window.document.geometry
    assert geometry is not None and not view.take_layout.isVisible()
    array = geometry.array.replace(pose=geometry.array.pose.replace(flip_x=True))
    suggested = SuggestedLayout(geometry=geometry.replace(array=array), settings="flip_x = true")
    found = replace(report.found, contradictions=("another layout explains the images 4 times better",))
    window.document.reconstruction.report = replace(report, found=found, suggested=suggested)
    window.controller.reconstruction_changed.emit()
    assert view.take_layout.isVisible() and "flip_x = true" in view.take_layout.toolTip()
    qtbot.mouseClick(view.take_layout, Qt.MouseButton.LeftButton)
    assert window.document.geometry == suggested.geometry and "flip_x = true" in texts(window)[-1]
    assert not view.take_layout.isVisible() and view.band.isVisible(), "the result is of the old layout"
    window.undo()
    assert window.document.geometry == geometry and view.take_layout.isVisible()
    window.reconstruct()
    assert not view.take_layout.isVisible(), "nothing is said of the one that is being made"
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)


def test_coverage_tells_what_is_under_the_cursor(with_stack: MainWindow, qtbot: Any) -> None:
    reconstruct(with_stack, qtbot)
    with_stack.panels.result.show_page("Coverage")
    qtbot.wait(50)
    page = with_stack.panels.result.coverage
    heard: list[str] = []
    page.hover_text.connect(heard.append)
    view = page.plot.getViewBox()
    page._mouse_moved((view.mapViewToScene(QPointF(0.15, 0.0)),))
    page._mouse_moved((view.mapViewToScene(QPointF(5.0, 5.0)),))
    assert heard[0].startswith("NA (+0.150") and "period 3.53 µm" in heard[0] and heard[1] == ""


def test_the_object_is_shown_on_the_way_and_a_stop_keeps_it(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    endless(window, qtbot)
    qtbot.waitUntil(lambda: window.panels.result.object.amplitude.image is not None, timeout=LONG)
    assert window.controller.state is RunState.RUNNING
    assert window.panels.stack_run.state.text() == "Reconstructing"
    assert window.panels.run.state.text() == "Ready"
    assert not window.panels.stack_run.form.isEnabled() and not window.panels.run.form.isEnabled()
    window.pause_or_continue()
    qtbot.waitUntil(lambda: window.controller.state is RunState.PAUSED, timeout=LONG)
    window.pause_or_continue()
    window.stop()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    report = window.document.reconstruction.report
    assert report is not None and not report.complete
    assert "(stopped)" in window.panels.result.summary.toolTip()
    assert window.panels.stack_run.form.isEnabled()


def test_a_second_press_while_running_changes_nothing(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    endless(window, qtbot)
    run = window.controller.worker.run
    assert not window.actions_by_key["reconstruct"].isEnabled()
    assert not window.actions_by_key["train"].isEnabled()
    window.reconstruct()
    assert window.controller.worker.run == run
    assert "A run is active" in texts(window)
    window.stop()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)


@pytest.mark.parametrize("answer", ["save", "cancel"])
def test_closing_in_mid_reconstruction(
    with_stack: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    window = with_stack
    monkeypatch.setattr(dialogs.CloseReconstructionQuestion, "ask", classmethod(lambda cls, parent: answer))
    endless(window, qtbot)
    closed = window.close()
    assert closed == (answer == "save")
    assert window.controller.state.active == (answer == "cancel")
    window.controller.stop()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)


def test_there_must_be_a_stack_with_a_geometry(window: MainWindow, qtbot: Any) -> None:
    window.reconstruct()
    assert "no LED stack to work on" in texts(window)[-1]
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    assert not window.actions_by_key["reconstruct"].isEnabled()
    assert not window.panels.tabs.isTabEnabled(window.panels.tabs.indexOf(window.panels.result))
    window.document.dataset = ImageStack(images=np.ones((4, 8, 8)), led_numbers=np.arange(4), geometry=None)
    window._show_document("all")
    assert not window.actions_by_key["reconstruct"].isEnabled()
    window.document.replace_experiment(window.document.experiment.replace(geometry=None), None)
    window.document.dataset = ImageStack(images=np.ones((4, 8, 8)), led_numbers=np.arange(4), geometry=None)
    window.reconstruct()
    assert "no geometry" in texts(window)[-1]
    assert finished(window) and window.controller.worker.run == 0


def test_images_of_other_leds_are_one_message(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    stack = window.document.dataset
    assert isinstance(stack, ImageStack)
    window.document.dataset = ImageStack(
        images=stack.images, led_numbers=stack.led_numbers + 500, geometry=stack.geometry
    )
    window.reconstruct()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    errors = [m for m in window.panels.messages.messages if m.level == "error"]
    assert len(errors) == 1 and "no image belongs" in errors[0].text and "check the geometry" in errors[0].hint
    assert window.panels.stack_run.state.text() == "Failed"
    assert window.document.reconstruction.report is None


def test_memory_that_runs_out_offers_a_smaller_square(
    with_stack: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(control: Any, want: Any) -> Any:
        yield from ()
        raise MemoryError

    monkeypatch.setattr(stack_run, "stack_run", lambda *arguments: out_of_memory)
    with_stack.reconstruct()
    toast = with_stack.panels.toast
    qtbot.waitUntil(lambda: toast.remedy.text() == "Halve the square", timeout=LONG)
    toast.remedy.click()
    assert with_stack.document.plan.size_px == 128
    assert "smaller square" in with_stack.panels.messages.messages[-1].hint


def test_settings_are_checked_in_the_form_and_the_forecast_follows(with_stack: MainWindow, qtbot: Any) -> None:
    window, panel = with_stack, with_stack.panels.stack_run
    panel.edited.emit("size_px", 48.0)
    qtbot.waitUntil(lambda: "48 × 48 px" in panel.forecast.text(), timeout=LONG)
    assert window.document.plan.size_px == 48
    panel.edited.emit("size_px", 3.0)
    assert "size_px" in panel.form.error("size_px") and window.document.plan.size_px == 48
    panel.edited.emit("settings.pupil", "fixed")
    panel.edited.emit("center_column_px", 30.0)
    report = reconstruct(window, qtbot)
    assert report.square == (24, 6, 48) and report.found.zernike_waves == {}


def test_another_document_empties_the_pages(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    reconstruct(window, qtbot)
    for name in window.panels.result.pages:
        window.panels.result.show_page(name)
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    assert window.document.reconstruction.report is None
    window.panels.tabs.setCurrentWidget(window.panels.result)
    for name, page in window.panels.result.pages.items():
        window.panels.result.show_page(name)
        window.grab()
        assert not hasattr(page, "panels") or all(panel.image is None for panel in page.panels)
    assert window.panels.result.summary.text() == ""


def test_a_calibration_is_shown_step_by_step_and_taken_with_undo(
    with_stack: MainWindow, qtbot: Any, hasty: None
) -> None:
    window, panel = with_stack, with_stack.panels.stack_run
    before = window.document.geometry
    assert before is not None
    window.actions_by_key["calibrate"].trigger()
    qtbot.waitUntil(lambda: panel.state.text() == "Calibrating", timeout=LONG)
    assert window.panels.tabs.currentWidget() is window.panels.stack
    assert window.document.geometry == before and panel.take.isHidden()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    assert "In all: shift x" in panel.calibration.text() and panel.calibrated.whole == "Calibration of stack.ome.tif"
    assert "Circles: taken" in panel.calibration.text() and "Circles: shift x" in panel.calibration.toolTip()
    assert not panel.take.isHidden() and window.document.geometry == before
    panel.take.click()
    after = window.document.geometry
    assert after is not None and panel.take.isHidden()
    # The images were made with the array shifted by 0.35 and -0.2 mm.
    pose = after.array.pose
    assert pose.shift_x_mm == pytest.approx(0.35, abs=0.1) and pose.shift_y_mm == pytest.approx(-0.2, abs=0.1)
    assert window.document.undo_label == "Calibration"
    window.undo()
    assert window.document.geometry == before
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


def test_a_calibration_is_no_longer_offered_once_the_geometry_is_another(
    with_stack: MainWindow, qtbot: Any, hasty: None
) -> None:
    window, panel = with_stack, with_stack.panels.stack_run
    geometry = window.document.geometry
    assert geometry is not None
    window.calibrate()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    assert not panel.take.isHidden()
    edited = geometry.replace(microscope=geometry.microscope.replace(wavelength_um=0.6))
    window.controller.edit_geometry(edited, "wavelength", "")
    assert panel.take.isHidden() and window.document.calibration.found is None
    window.controller.take_calibration()
    assert window.document.geometry == edited
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)


def test_every_step_that_was_asked_for_is_accounted_for(with_stack: MainWindow) -> None:
    """Ticked boxes stand beside the button; a step that was left out is shown as plainly as one that was taken."""
    window, panel = with_stack, with_stack.panels.stack_run
    for box in panel.boxes.values():
        box.click()
        assert box.isVisible() and not panel.area.isAncestorOf(box)
    assert window.document.plan.tilt and window.document.plan.single_leds
    history = window.document.calibration
    history.take(CalibrationBegun(step=0, size_px=64, steps=5, asked=asked_steps(window.document.plan)))
    history.take(CalibrationStep(step=1, sentence="circles: no change", accepted=True, name="circles"))
    panel.show_calibration(history, True)
    assert "Circles: taken<br>" in panel.calibration.text() and "Refinement: under way" in panel.calibration.text()
    assert panel.calibration.text().count("to come") == 2 and panel.take.isHidden()
    history.take(CalibrationStep(step=2, sentence="refinement: x", accepted=True, name="refinement", gain=0.5))
    why = "it explains the images hardly better"
    left = f"single LEDs: moved; left out, because {why}"
    history.take(CalibrationStep(step=3, sentence="tilt: y", accepted=False, name="tilt", reason=why))
    history.take(CalibrationStep(step=4, sentence=left, accepted=False, name="single LEDs", reason=why))
    assert window.document.geometry is not None
    history.take(Calibrated(step=5, geometry=window.document.geometry, residual=0.1, change="shift x +1 mm"))
    panel.show_calibration(history, False)
    text = panel.calibration.text()
    assert "Refinement: taken, misfit 50 % smaller" in text and f"Single LEDs: left out, {why}" in text
    assert "In all: shift x +1 mm." in text and "Single LEDs: moved; left out, because" in panel.calibration.toolTip()
    assert not panel.take.isHidden() and "stack.ome.tif" in panel.take.toolTip()
    panel.set_editable(False)
    assert not any(box.isEnabled() for box in panel.boxes.values())


def test_a_calibration_that_is_stopped_changes_nothing(with_stack: MainWindow, qtbot: Any) -> None:
    window = with_stack
    window.calibrate()
    qtbot.waitUntil(lambda: bool(window.document.calibration.steps), timeout=LONG)
    window.stop()
    qtbot.waitUntil(lambda: finished(window), timeout=LONG)
    assert window.document.calibration.found is None and window.panels.stack_run.take.isHidden()
    assert window.panels.stack_run.state.text() == "Stopped"
    assert "Refinement: not done" in window.panels.stack_run.calibration.text()
    report = reconstruct(window, qtbot)
    assert report.complete


def test_a_result_is_saved_as_the_command_line_does(
    with_stack: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychoui.data.results import load_reconstruction

    window = with_stack
    assert not window.actions_by_key["save_result"].isEnabled()
    report = reconstruct(window, qtbot)
    path = tmp_path / "result.h5"
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *arguments: str(path)))
    window.actions_by_key["save_result"].trigger()
    qtbot.waitUntil(lambda: any("written" in text for text in texts(window)), timeout=LONG)
    kept = load_reconstruction(path)
    assert np.array_equal(kept.object, report.found.object) and kept.settings == report.settings
    assert kept.corners_px.tolist() == [[0, 0]] and kept.tile_px == 96
