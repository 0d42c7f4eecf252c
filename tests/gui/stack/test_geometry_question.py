"""What data do not state is asked for in the form; nothing of what was open before counts unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.geometry_fields import A, M
from ptychoui.session.edits import usual_geometry
from ptychoui.session.opening import demo_experiment
from ptychoui.settings import blank_experiment
from ptychoui.tasks.fpm.defaults import suited

LONG = 60_000


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-five images that say nothing of the microscope."""
    path = tmp_path_factory.mktemp("bare") / "own.tif"
    images = np.random.default_rng(0).integers(100, 4000, (25, 24, 24), dtype=np.uint16)
    tifffile.imwrite(path, images, photometric="minisblack")
    return path


def opened(window: MainWindow, qtbot: Any, path: str | Path) -> None:
    window.controller.open(str(path))
    qtbot.waitUntil(lambda: not window.controller.jobs.busy and not window.controller.desk._open, timeout=LONG)


def asked(window: MainWindow) -> list[str]:
    panel = window.panels.geometry
    return [name for form in panel.forms.values() for name in form.names if not form.editor(name).isHidden()]


def marked(window: MainWindow) -> list[str]:
    panel = window.panels.geometry
    return [name for form in panel.forms.values() for name in form.names if "Taken over" in form.error(name)]


def open_demo(window: MainWindow, qtbot: Any) -> None:
    window.controller.open_experiment(demo_experiment())
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)


def test_after_the_demo_an_own_stack_is_asked_about(window: MainWindow, qtbot: Any, bare: Path) -> None:
    opened(window, qtbot, bare)
    fresh, said = asked(window), [m.text for m in window.panels.messages.messages]
    assert not marked(window) and A + "rows" in fresh and M + "wavelength_um" in fresh
    window.panels.geometry.cancel.click()
    assert not window.panels.geometry.confirm.isVisible() and window.panels.geometry.draft == usual_geometry()
    open_demo(window, qtbot)
    before = window.document.experiment
    opened(window, qtbot, bare)
    panel = window.panels.geometry
    assert set(asked(window)) >= {M + "wavelength_um", A + "kind", A + "height_mm"}
    assert [m.text for m in window.panels.messages.messages][-len(said) :] == said
    assert panel.confirm.isVisible() and "not open yet" in panel.source.text()
    assert window.document.geometry is not None and M + "wavelength_um" in marked(window)
    assert panel.draft.microscope.wavelength_um == window.document.geometry.microscope.wavelength_um
    # Typing answers the question; the demo that is still open stays as it is.
    panel._edited(A + "rows", 5)
    panel._edited(A + "columns", 5)
    panel._edited(M + "wavelength_um", 0.47)
    assert window.document.experiment == before and M + "wavelength_um" not in marked(window)
    panel.confirm.click()
    qtbot.waitUntil(lambda: window.document.experiment.data.path == str(bare), timeout=LONG)
    found = window.document.geometry
    assert found is not None and found.microscope.wavelength_um == 0.47 and len(found.array.numbers()) == 25
    stack = window.document.dataset
    assert stack is not None
    own = suited(blank_experiment(), stack, found)
    assert own.network != before.network
    assert window.document.experiment.network == own.network and not panel.confirm.isVisible()
    assert not marked(window) and panel.draft == found and not panel.presets.isHidden()


def test_a_wrong_answer_is_refused_and_the_question_stays(window: MainWindow, qtbot: Any, bare: Path) -> None:
    open_demo(window, qtbot)
    opened(window, qtbot, bare)
    window.panels.geometry._edited(A + "rows", 4)
    window.panels.geometry._edited(A + "columns", 4)
    window.panels.geometry.confirm.click()
    qtbot.waitUntil(lambda: window.panels.messages.messages[-1].level == "error", timeout=LONG)
    assert "25" in window.panels.messages.messages[-1].text and window.panels.geometry.confirm.isVisible()
    assert window.document.experiment == demo_experiment()


def test_what_the_last_stack_knew_is_gone_from_the_window(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    """As in a window of its own, but for the offer of the geometry of before."""
    images = np.ones((9, 16, 16), np.float32)
    path = save_hdf5(tmp_path / "own.h5", ImageStack(images=images, led_numbers=np.arange(9), geometry=None))
    opened(window, qtbot, path)
    panel = window.panels.geometry
    alone = window.document.experiment, window.document.geometry, panel.source.text(), panel.draft
    assert alone[1] is None and panel.take_over.isHidden()
    open_demo(window, qtbot)
    window.controller.edit("network.unrolls", 7)
    window.controller.edit_plan("size_px", 32)
    opened(window, qtbot, path)
    assert (window.document.experiment, window.document.geometry, panel.source.text(), panel.draft) == alone
    assert window.document.plan.size_px is None and not panel.take_over.isHidden()
    panel.take_over.click()
    assert window.document.geometry == demo_experiment().geometry and panel.take_over.isHidden()
    window.undo()
    assert window.document.geometry is None


def seen(window: MainWindow) -> dict[str, Any]:
    """All that a person reads of what is open."""
    panels = window.panels
    forms = [*panels.geometry.forms.values(), panels.run.form, panels.stack_run.form]
    fields = {name: text_of(form.editor(name)) for form in forms for name in form.names}
    hidden = {name: form.editor(name).isHidden() for form in forms for name in form.names}
    errors = {name: form.error(name) for form in forms for name in form.names}
    return {
        "fields": fields,
        "hidden": hidden,
        "errors": errors,
        "title": window.windowTitle(),
        "source": panels.geometry.source.text(),
        "document": (window.document.experiment, window.document.geometry, window.document.plan),
        "commands": {key: action.isEnabled() for key, action in window.actions_by_key.items()},
        "boxes": [box.isChecked() for box in panels.stack_run.boxes.values()],
        "confirm": panels.geometry.confirm.isHidden(),
    }


def text_of(editor: Any) -> str:
    for way in ("currentText", "text"):
        if hasattr(editor, way):
            return str(getattr(editor, way)()) + str(getattr(editor, "isChecked", lambda: "")())
    raise AssertionError(editor)


def test_the_second_of_two_is_seen_as_if_it_were_alone(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    geometry = usual_geometry()
    paths = []
    for name, rows, wavelength in (("first", 3, 0.47), ("second", 4, 0.63)):
        array = geometry.array.replace(rows=rows, columns=rows)
        own = geometry.replace(array=array, microscope=geometry.microscope.replace(wavelength_um=wavelength))
        images = np.ones((rows**2, 16, 16), np.float32)
        stack = ImageStack(images=images, led_numbers=np.arange(rows**2), geometry=own)
        paths.append(save_hdf5(tmp_path / f"{name}.h5", stack))
    alone = []
    for path in paths:
        fresh = MainWindow(window.preferences)
        opened(fresh, qtbot, path)
        alone.append(seen(fresh))
        fresh.close()
        fresh.deleteLater()
    open_demo(window, qtbot)
    for place in (0, 1, 0):
        opened(window, qtbot, paths[place])
        assert seen(window) == alone[place]
        # What is done to one is not done to the next.
        window.controller.edit("network.unrolls", 7 + place)
        window.controller.edit_plan("tilt", True)
        window.panels.geometry._edited(A + "height_mm", 55.5)
        opened(window, qtbot, tmp_path / "first.h5" if place else tmp_path / "second.h5")


def test_the_question_is_one_short_sentence_with_room_for_its_fields(
    window: MainWindow, qtbot: Any, bare: Path
) -> None:
    opened(window, qtbot, bare)
    said, panel, toast = window.panels.messages.messages[-1], window.panels.geometry, window.panels.toast
    assert said.text == (
        "own.tif does not state objective NA, magnification, camera pixel, wavelength, LED height and LED layout"
    )
    # Names of settings and lines of a file are for those who want them.
    assert "microscope.objective_na" in said.details and panel.source.toolTip() == said.details
    assert not panel.numbers.isVisible()
    for label in (toast.title, toast.hint):
        assert label.height() >= label.heightForWidth(label.width())
    panel.cancel.click()
    assert panel.numbers.isVisible()


def test_a_geometry_file_answers_what_is_asked(window: MainWindow, qtbot: Any, bare: Path, tmp_path: Path) -> None:
    geometry = tmp_path / "mine.toml"
    geometry.write_text(
        "[microscope]\nwavelength_um = 0.53\nobjective_na = 0.1\nmagnification = 4.0\ncamera_pixel_um = 4.8\n"
        "[array]\nkind = 'lattice'\nheight_mm = 72.0\npitch_mm = 4.0\nrows = 5\ncolumns = 5\n"
    )
    opened(window, qtbot, bare)
    assert window.document.dataset is None and window.way.bar.buttons["geometry"].text() == "▶ Geometry"
    (tmp_path / "junk.toml").write_text("a = [")
    opened(window, qtbot, tmp_path / "junk.toml")  # says why, and the question stays
    assert window.document.dataset is None and window.panels.geometry.confirm.isVisible()
    opened(window, qtbot, geometry)
    assert isinstance(window.document.dataset, ImageStack) and window.document.geometry is not None
    assert window.document.geometry.array.rows == 5 and window.document.data_source.path == str(bare)
    assert not window.panels.geometry.confirm.isVisible()
    assert window.preferences.recent[0] == str(bare)
    assert (
        window.way.bar.buttons["geometry"].text() != "▶ Geometry" or window.way.bar.buttons["open"].text() == "✓ Open"
    )


def test_a_part_of_a_geometry_leaves_the_rest_to_be_asked(
    window: MainWindow, qtbot: Any, bare: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part.toml"
    part.write_text("[microscope]\nobjective_na = 0.2\n")
    opened(window, qtbot, bare)
    assert M + "objective_na" in asked(window)
    opened(window, qtbot, part)
    assert window.document.dataset is None and M + "objective_na" not in asked(window)


def test_after_cancel_a_geometry_file_is_a_geometry(window: MainWindow, qtbot: Any, bare: Path) -> None:
    opened(window, qtbot, bare)
    window.panels.geometry.cancel.click()
    assert window.controller._question is None
    assert window.way.bar.buttons["open"].text() == "▶ Open"
