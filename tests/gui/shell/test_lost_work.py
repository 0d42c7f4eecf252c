"""Nothing finished is lost by closing, reopening, discarding or undoing; nothing old stands for something new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepwise_run import StepwiseRun, started

from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.export_dialog import ExportDialog
from ptychoui.gui.widgets.files import Files
from ptychoui.optics.calibration import geometry_check
from ptychoui.paths import data_file, resources, user_state
from ptychoui.session import recovery, runs
from ptychoui.session.document import Document
from ptychoui.session.edits import with_value
from ptychoui.session.kept_design import KeptDesign, design_path, read_design, write_design
from ptychoui.session.opening import demo_experiment
from ptychoui.session.preferences import Preferences, load_preferences
from ptychoui.session.stack_calibration import Calibrated
from ptychoui.session.stack_orientation import ArrayOrientation, OrientationFound
from ptychoui.session.unfinished import left_behind, unfinished_folder
from ptychoui.settings import Geometry, blank_experiment
from ptychoui.tasks.fpm.defaults import suited
from ptychoui.training.events import Finished

LONG = 60_000


def idle(window: MainWindow, qtbot: Any) -> None:
    c = window.controller
    qtbot.waitUntil(lambda: not c.jobs.busy and not c.desk._open and not c.state.active, timeout=LONG)


def answers(monkeypatch: pytest.MonkeyPatch, question: str, answer: str) -> list[str]:
    asked: list[str] = []
    ask = classmethod(lambda cls, parent: asked.append(question) or answer)
    monkeypatch.setattr(getattr(dialogs, question), "ask", ask)
    return asked


@pytest.fixture
def reconstructed(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    monkeypatch.setattr(geometry_check, "findings", lambda *_words: ())  # the check takes longer than the pass
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    idle(window, qtbot)
    window.controller.edit_plan("settings.passes", 1)
    window.controller.edit_plan("size_px", 32)
    window.reconstruct()
    idle(window, qtbot)
    assert window.document.unsaved_result is not None
    return window


def test_a_finished_reconstruction_is_asked_about_before_it_goes(
    reconstructed: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    window, report = reconstructed, reconstructed.document.reconstruction.report
    asked = answers(monkeypatch, "ResultQuestion", "cancel")
    assert not window.close() and window.isVisible()
    window.open_path(str(data_file("sample:objects")))
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=LONG)
    window.open_sample_objects()
    window.open_mri_example()
    window.reconstruct()
    assert len(asked) == 5 and window.document.reconstruction.report is report and not window.controller.state.active
    # Saved, it may go; a name that was not given saves nothing.
    asked = answers(monkeypatch, "ResultQuestion", "save")
    assert not window.close()
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *names: str(tmp_path / "absent" / "a.h5")))
    assert not window.close() and "no folder" in window.panels.messages.messages[-1].text
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *names: str(tmp_path / "a.h5")))
    assert window.close() and (tmp_path / "a.h5").exists() and len(asked) == 3
    assert not left_behind() and load_preferences().recent[0] == str(tmp_path / "a.h5")


def test_what_was_saved_by_the_command_is_not_asked_about(
    reconstructed: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = answers(monkeypatch, "ResultQuestion", "cancel")
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *names: str(tmp_path / "a.h5")))
    reconstructed.save_result()
    idle(reconstructed, qtbot)
    assert (tmp_path / "a.h5").exists() and not list(unfinished_folder().iterdir())
    assert reconstructed.close() and not asked


def test_a_result_of_another_geometry_is_marked(reconstructed: MainWindow, qtbot: Any) -> None:
    window, result = reconstructed, reconstructed.panels.result
    assert result.band.isHidden()
    geometry = window.document.geometry
    assert geometry is not None
    for name, value in (("array.height_mm", 60.0), ("array.pose.flip_x", True), ("microscope.wavelength_um", 0.6)):
        window.controller.edit_geometry(with_value(geometry, name, value), "change", "")
        assert not result.band.isHidden() and result.close_source.isHidden(), name
        assert "made with another geometry than the one shown" in result.source.text()
        window.undo()
        assert result.band.isHidden()


def test_what_was_said_of_a_run_is_not_said_of_the_next(
    reconstructed: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, result = reconstructed, reconstructed.panels.result
    report = window.document.reconstruction.report
    assert report is not None
    monkeypatch.setattr(type(report.found), "warnings", property(lambda self: ("the pupil ran away",)))
    result.show_report(report)
    assert "ran away" in result.warnings.text() and not result.warnings.isHidden()
    run = StepwiseRun(1)
    monkeypatch.setattr("ptychoui.session.stack_run.stack_run", lambda *arguments: run)
    window.reconstruct()
    assert result.warnings.isHidden()
    run.allow_all()
    idle(window, qtbot)
    assert not result.warnings.isHidden(), "the old result is shown again, and what was said of it"
    # Training: its panel says what the run says.
    panel, history = window.panels.run, window.document.history
    history.take(started().__class__(**{**vars_of(started()), "warnings": ("too few photons",)}))
    panel.show_history(history, window.controller.state)
    assert "photons" in panel.warnings.text()
    run = StepwiseRun(1)
    monkeypatch.setattr(runs, "new_run", lambda *arguments: run)
    window.train()
    assert panel.warnings.isHidden()
    run.allow_all()
    idle(window, qtbot)


def vars_of(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


def test_discarded_settings_are_gone(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, "UnsavedQuestion", "discard")
    plain = window.document.experiment
    window.controller.edit("network.unrolls", 7)
    window.controller._write_recovery()
    assert recovery.read_recovery() is not None
    window.open_path(str(data_file("sample:stack")))
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    idle(window, qtbot)
    dataset = window.document.dataset
    assert dataset is not None
    own = suited(blank_experiment(), dataset, dataset.geometry)
    assert asked and window.document.experiment.network == own.network and recovery.read_recovery() is None
    window.controller.edit("network.unrolls", 9)
    window.open_sample_objects()
    idle(window, qtbot)
    assert window.document.experiment.network == plain.network
    window.controller.edit("network.unrolls", 11)
    assert window.close() and len(asked) == 3
    assert recovery.read_recovery() is None, "the next start would offer what was discarded"


def test_undo_after_a_refused_level_does_not_undo_the_training(window: MainWindow, qtbot: Any) -> None:
    window.controller.open_experiment(demo_experiment())
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    idle(window, qtbot)
    design = window.document.design()
    assert design is not None
    learned = 0.5 * design[0]
    window.document.take_design("Training", learned, design[1])
    leds = window.document.leds()
    assert leds is not None
    dark = int(np.argmax(leds.radius_na))
    for times in (1, 3):
        for _ in range(times):
            window.controller.edit_level(0, dark, 1.0)
        assert window.panels.messages.messages[-1].level == "warning"
        window.undo()
        assert window.document.changed_design[0] is learned and window.document.undo_label == "Training"
    assert not window.document.redo_label
    window.undo()
    assert window.document.changed_design[0] is None


def test_a_run_belongs_to_the_experiment_that_is_saved(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    """Learn, save, reopen: the patterns are there, the run can go on, and nothing is left in a hidden folder."""
    demo = demo_experiment()
    demo = demo.replace(
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=2, batch=1, margin_px=2),
    )
    window.controller.open_experiment(demo, None, window.train)
    qtbot.waitUntil(lambda: isinstance(window.document.history.end, Finished), timeout=LONG)
    idle(window, qtbot)
    hidden, learned = window.document.run_folder, window.document.changed_design
    assert hidden is not None and hidden.is_relative_to(user_state()) and learned[0] is not None
    assert window.preferences.recent[0] == str(hidden)
    assert str(hidden) in window.panels.messages.messages[-1].text
    path = tmp_path / "mine.toml"
    assert window._save(path)
    folder = window.document.run_folder
    assert folder is not None and folder.parent == tmp_path / "runs" and not hidden.exists()
    again = MainWindow(Preferences())
    again.controller.open(str(path))
    qtbot.waitUntil(lambda: again.document.dataset is not None, timeout=LONG)
    idle(again, qtbot)
    shown = again.document.design()
    assert shown is not None and np.array_equal(shown[0], learned[0]) and not again.document.dirty
    assert again.document.history.step == 2 and again.actions_by_key["resume"].isEnabled()
    again.close()
    again.deleteLater()
    # The next run is written down beside the experiment when it begins, for one that is killed, and when it ends.
    window.train()
    assert read_design(path).going_on and window.document.run_folder != folder
    idle(window, qtbot)
    folder = window.document.run_folder
    reopened = Document()
    reopened.load(path)
    reopened.take_kept_design()
    levels = window.document.changed_design[0]
    assert folder is not None and reopened.run_folder == folder and levels is not None
    assert not read_design(path).going_on and np.array_equal(reopened.changed_design[0], levels)  # type: ignore[arg-type]
    write_design(path, KeptDesign(run_folder=folder, going_on=True))
    reopened.take_kept_design()
    assert np.allclose(reopened.changed_design[0], levels)  # type: ignore[arg-type]
    # The folder can go to another place as a whole; a file that is damaged is said, and opens nothing else.
    (tmp_path / "elsewhere").mkdir()
    for name in ("mine.toml", "mine.toml.design.json", "runs"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    moved = Document()
    moved.load(tmp_path / "elsewhere" / "mine.toml")
    assert moved.take_kept_design() == folder.name and moved.run_folder is not None and moved.run_folder.exists()
    design_path(tmp_path / "elsewhere" / "mine.toml").write_text("{")
    window.controller.open(str(tmp_path / "elsewhere" / "mine.toml"))
    idle(window, qtbot)
    assert any("damaged" in message.text for message in window.panels.messages.messages)
    assert window.document.changed_design[0] is None


def test_levels_set_by_hand_are_saved_and_asked_about(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    window.controller.open_experiment(demo_experiment())
    idle(window, qtbot)
    assert not window.document.dirty
    window.controller.edit_level(0, int(np.argmin(window.document.leds().radius_na)), 0.25)  # type: ignore[union-attr]
    assert window.document.dirty
    asked = answers(monkeypatch, "UnsavedQuestion", "cancel")
    assert not window.close() and asked
    assert window._save(tmp_path / "a.toml") and not window.document.dirty
    levels = window.document.changed_design[0]
    again = Document()
    again.load(tmp_path / "a.toml")
    again.take_kept_design()
    assert levels is not None and np.array_equal(again.changed_design[0], levels)  # type: ignore[arg-type]
    window.reset_design()
    assert window._save(tmp_path / "a.toml") and not design_path(tmp_path / "a.toml").exists()


def test_no_folder_is_made_on_a_disk_that_is_not_there(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = tmp_path / "media" / "stick" / "patterns"
    window.document.replace_experiment(demo_experiment(), tmp_path / "gone" / "mine.toml")
    dialog = ExportDialog(window.document.patterns(), tmp_path, window)
    dialog.formats.setCurrentIndex(dialog.formats.findData("png"))
    dialog.path.setText(str(absent))
    save = dialog.buttons.button(dialog.buttons.StandardButton.Save)
    assert save is not None and not save.isEnabled() and "There is no folder" in dialog.summary.text()
    choice = dialog.choice()
    dialog.path.setText(str(tmp_path / "patterns"))
    assert save.isEnabled()
    dialog.deleteLater()
    monkeypatch.setattr(ExportDialog, "ask", classmethod(lambda cls, *arguments: choice))
    window.export()
    idle(window, qtbot)
    assert "no folder" in window.panels.messages.messages[-1].text
    window.train()
    assert "no folder" in window.panels.messages.messages[-1].text.lower() and not window.controller.state.active
    assert not (tmp_path / "media").exists() and not (tmp_path / "gone").exists()


def test_a_recovered_reconstruction_is_asked_about_wherever_it_is_shown(
    reconstructed: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken up, put behind, and still not lost; settings changed after it began come back with it."""
    window = reconstructed
    window.controller.edit("training.steps", 77)
    window.document.write_recovery()
    window.controller.kept.leave()  # as a kill would
    work = left_behind()
    assert len(work) == 1
    again = MainWindow(Preferences())
    again.controller.kept.take_up(work[0])
    qtbot.waitUntil(lambda: again.document.origin is not None, timeout=LONG)
    assert again.document.experiment.training.steps == 77 and again.document.dirty
    again.controller.close_result()
    asked = answers(monkeypatch, "ResultQuestion", "cancel")
    assert not again.close() and asked
    answers(monkeypatch, "ResultQuestion", "discard")
    assert again.close() and not left_behind()
    again.deleteLater()
    answers(monkeypatch, "ResultQuestion", "discard")


# Geometries that were measured -----------------------------------------------------------------------


def _shifted(window: MainWindow) -> Geometry:
    geometry = window.document.geometry
    assert geometry is not None
    array = geometry.array
    return geometry.replace(array=array.replace(pose=array.pose.replace(shift_x_mm=1.25)))


@pytest.mark.parametrize("kind", ["calibration", "orientation"])
def test_a_geometry_that_nobody_took_is_asked_about(
    kind: str, window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    idle(window, qtbot)
    document, before = window.document, window.document.geometry
    assert window.controller.untaken is None

    def measured() -> None:
        if kind == "calibration":
            document.calibration.take(Calibrated(step=1, geometry=_shifted(window), residual=0.01))
        else:
            names = ("flip x", "flip y", "as it is")
            orientations = tuple(
                ArrayOrientation(name=n, residual=0.01, worse=0.0, present=n == "as it is", geometry=_shifted(window))
                for n in names
            )
            found = OrientationFound(step=8, orientations=orientations, sure=True, verdict="", sign="")
            document.orientation.take(found)

    measured()
    asked: list[str] = []
    answer = "cancel"
    ask = classmethod(lambda cls, parent, what: asked.append(what) or answer)
    monkeypatch.setattr(dialogs.UntakenQuestion, "ask", ask)
    assert not window.may_replace() and len(asked) == 1 and document.geometry == before
    answer = "take"
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: "cancel"))
    assert not window.may_replace()  # what was taken is unsaved, which is asked about in turn
    assert document.geometry is not None and document.geometry.array.pose.shift_x_mm == 1.25
    document.undo()
    assert document.geometry == before
    measured()
    answer = "discard"
    assert window.may_replace() and window.may_replace() and len(asked) == 3  # discarded once and for all


def test_what_comes_with_the_program_is_not_written_over(
    window: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = resources() / "experiments" / "first_light.toml"
    before = shipped.read_bytes()
    window.open_path(str(shipped))
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit("training.steps", 7)
    asked: list[str] = []
    target = tmp_path / "mine.toml"

    def to_save(_cls: object, _parent: object, _title: str, start: str, _kinds: str) -> str:
        asked.append(start)
        return str(target)

    monkeypatch.setattr(Files, "to_save", classmethod(to_save))
    assert window.save()
    assert asked and shipped.read_bytes() == before and target.exists()
    assert not design_path(shipped).exists()
