"""Files whose images lie along several axes are asked about by choices, and open as they were chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tomli_w
from session.test_assessment import RIGHT

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.common import sidecar_path
from ptychoui.data.formats.geometry_file import PartialGeometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.axes_dialog import AxesDialog
from ptychoui.gui.stack.geometry_fields import A
from ptychoui.session.offered import answered
from ptychoui.session.opening import AxesWanted, open_or_ask
from ptychoui.settings import Images, to_toml
from ptychoui.tasks.fpm.sources import find_dataset

LONG = 60_000
PIXELS = np.random.default_rng(5).integers(100, 4000, (49, 2, 3, 16, 16), dtype=np.uint16)


def saved(path: Path, beside: bool = True) -> Path:
    """49 LEDs along T, two channels and three planes of focus; a geometry beside it."""
    tifffile.imwrite(path, PIXELS, metadata={"axes": "TCZYX"}, ome=True, photometric="minisblack")
    if beside:
        sidecar(path)
    return path


def sidecar(path: Path, more: str = "") -> None:
    sidecar_path(path).write_text(to_toml(RIGHT) + more, encoding="utf-8")


def asked(window: MainWindow, qtbot: Any, path: Path) -> AxesDialog:
    window.controller.open(str(path))
    qtbot.waitUntil(lambda: dialogs(window) != [], timeout=LONG)
    return dialogs(window)[0]


def dialogs(window: MainWindow) -> list[AxesDialog]:
    return [one for one in window.findChildren(AxesDialog) if isinstance(one, AxesDialog) and one.isVisible()]


def settled(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not window.controller.jobs.busy and not window.controller.desk._open, timeout=LONG)


def raw(dataset: Any) -> np.ndarray:
    return np.asarray(np.rint(dataset.images * dataset.unit_counts))


def test_the_answer_opens_the_images_that_were_chosen_and_stays_with_the_experiment(
    window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    dialog = asked(window, qtbot, saved(tmp_path / "a.ome.tif"))
    assert "T (49), C (2), Z (3)" in dialog.question.text() and window.document.dataset is None
    assert dialog.along.currentData() == "T" and not dialog._form.isRowVisible(dialog.places["T"])
    dialog.places["C"].setCurrentIndex(1)
    dialog.places["Z"].setCurrentIndex(2)
    assert dialog.lines.text().endswith('[images]\nled_axis = "T"\nindices = { C = 1, Z = 2 }')
    dialog.confirm.click()
    settled(window, qtbot)
    stack = window.document.dataset
    assert isinstance(stack, ImageStack) and stack.geometry == RIGHT
    assert np.array_equal(raw(stack), PIXELS[:, 1, 2])
    again, geometry = find_dataset(window.document.experiment)
    assert geometry == RIGHT and np.array_equal(raw(again), PIXELS[:, 1, 2])


def test_cancel_opens_nothing(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    asked(window, qtbot, saved(tmp_path / "a.ome.tif")).leave.click()
    settled(window, qtbot)
    assert window.document.dataset is None and not dialogs(window)
    assert any("led_axis" in message.hint for message in window.panels.messages.messages)


def test_the_lines_that_are_shown_answer_in_a_file(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ome.tif")
    dialog = asked(window, qtbot, path)
    dialog.places["Z"].setCurrentIndex(1)
    lines = dialog.lines.text()
    sidecar(path, "\n" + lines[lines.index("[images]") :] + "\n")
    assert np.array_equal(raw(open_dataset(path)), PIXELS[:, 0, 1])
    dialog.leave.click()


def test_another_axis_of_the_leds_asks_for_the_places_on_the_others(
    window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    dialog = asked(window, qtbot, saved(tmp_path / "a.ome.tif", beside=False))
    dialog.along.setCurrentIndex(dialog.along.findData("C"))
    shown = [name for name, box in dialog.places.items() if dialog._form.isRowVisible(box)]
    assert shown == ["T", "Z"] and dialog.places["T"].count() == 49
    dialog.along.setCurrentIndex(dialog.along.findData("TC"))
    assert [name for name, box in dialog.places.items() if dialog._form.isRowVisible(box)] == ["Z"]
    assert "49 x 2 images" in dialog.along.currentText()
    dialog.leave.click()


def test_a_stack_without_a_geometry_is_asked_about_both(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    """What was said of the axes is still known when the microscope is asked for."""
    path = saved(tmp_path / "a.ome.tif", beside=False)
    dialog = asked(window, qtbot, path)
    dialog.places["C"].setCurrentIndex(1)
    dialog.confirm.click()
    settled(window, qtbot)
    panel = window.panels.geometry
    assert panel._question is not None and panel._question.images == Images(led_axis="T", indices={"C": 1, "Z": 0})
    window.controller.open(str(path), answered(panel._question, RIGHT, ("array.rows", "array.columns")))
    settled(window, qtbot)
    assert np.array_equal(raw(window.document.dataset), PIXELS[:, 1, 0])


@pytest.mark.parametrize("said", ['led_axis = "T"\nindices = {C = 1}', "indices = {C = 1}"])
def test_what_a_file_says_already_is_chosen(tmp_path: Path, said: str) -> None:
    path = saved(tmp_path / "a.ome.tif")
    sidecar(path, f"\n[images]\n{said}\n")
    wanted = open_or_ask(path)
    assert isinstance(wanted, AxesWanted) and wanted.places == {"C": 1} and wanted.choices[0] == "T"
    assert [len(labels) for labels in wanted.axes.values()] == [49, 2, 3]


def test_a_value_said_of_the_images_before_is_kept() -> None:
    wanted = AxesWanted(
        path="a.tif",
        message="",
        hint="",
        axes={"T": ("0", "1"), "C": ("green", "red")},
        given=PartialGeometry(source="the form", images=Images(dark_level=100.0)),
    )
    assert wanted.answer("T", {"T": 0, "C": 1}).images == Images(led_axis="T", indices={"C": 1}, dark_level=100.0)
    assert wanted.answer("TC", {"T": 0, "C": 1}).images == Images(led_axis="TC", dark_level=100.0)
    assert set(wanted.choices) == {"T", "C", "TC"}


def asked_of_experiment(window: MainWindow, qtbot: Any, path: Path, lines: str) -> Path:
    """Open an experiment on a file whose images lie along several axes, until its dialog is there."""
    experiment = path.with_name("experiment.toml")
    experiment.write_text(f'name = "mine"\n[data]\npath = "{path.name}"\n{lines}', encoding="utf-8")
    window.controller.open(str(experiment))
    qtbot.waitUntil(lambda: dialogs(window) != [], timeout=LONG)
    return experiment


@pytest.mark.parametrize("beside", [True, False])
def test_the_axes_of_an_experiments_data_are_asked_about_and_become_a_setting(
    beside: bool, window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    lines = "[data.images]\ndark_level = 7\n" + (
        "" if beside else tomli_w.dumps({"geometry": RIGHT.model_dump(mode="json", exclude_none=True)})
    )
    experiment = asked_of_experiment(window, qtbot, saved(tmp_path / "a.ome.tif", beside), lines)
    dialog = dialogs(window)[0]
    assert window.document.experiment.name == "mine" and window.document.dataset is None
    dialog.places["C"].setCurrentIndex(1)
    dialog.confirm.click()
    settled(window, qtbot)
    stack, document = window.document.dataset, window.document
    assert isinstance(stack, ImageStack) and document.geometry == RIGHT
    assert np.array_equal(raw(stack), PIXELS[:, 1, 0] - 7.0)
    assert document.experiment.name == "mine" and document.dirty and document.path == experiment
    assert document.experiment.data.images == Images(led_axis="T", indices={"C": 1, "Z": 0}, dark_level=7)
    assert document.experiment.geometry == (None if beside else RIGHT)
    document.save()
    window.controller.open(str(experiment))
    settled(window, qtbot)
    assert dialogs(window) == [] and isinstance(window.document.dataset, ImageStack)


def test_what_an_experiments_data_do_not_state_is_asked_for_after_their_axes(
    window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    asked_of_experiment(window, qtbot, saved(tmp_path / "a.ome.tif", beside=False), "")
    dialogs(window)[0].confirm.click()
    panel = window.panels.geometry
    qtbot.waitUntil(panel.confirm.isVisible, timeout=LONG)
    assert window.document.dataset is None and window.document.experiment.name == "mine"
    for name, value in (("rows", 7), ("columns", 7), ("pitch_mm", 3.5)):
        panel._edited(A + name, value)
    panel.confirm.click()
    settled(window, qtbot)
    document = window.document
    assert isinstance(document.dataset, ImageStack) and document.experiment.name == "mine"
    assert document.experiment.geometry == document.dataset.geometry and document.geometry is not None
    assert document.geometry.array.pitch_mm == 3.5 and not panel.confirm.isVisible()
    assert document.experiment.data.images == Images(led_axis="T", indices={"C": 0, "Z": 0})
    window.undo()
    qtbot.waitUntil(lambda: dialogs(window) != [], timeout=LONG)


def test_another_answer_than_that_of_the_experiment_opens_a_file_of_its_own(
    window: MainWindow, qtbot: Any, tmp_path: Path
) -> None:
    asked_of_experiment(window, qtbot, saved(tmp_path / "a.ome.tif"), "")
    dialogs(window)[0].leave.click()
    (tmp_path / "more").mkdir()
    asked(window, qtbot, saved(tmp_path / "more" / "a.ome.tif")).confirm.click()
    settled(window, qtbot)
    assert window.document.experiment.data.path == str(tmp_path / "more" / "a.ome.tif")
    assert window.document.experiment.name != "mine"
