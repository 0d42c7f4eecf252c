from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.stack.profile_guide import PARTS, ProfileGuide
from ptychoui.gui.widgets.files import Files
from ptychoui.session.worker import RunState
from ptychoui.workflows import calibrate_stack

LONG = 120_000


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = calibrate_stack.calibrate

    def hasty(*words: Any, **settings: Any) -> Any:
        return whole(*words, **settings, rounds=(1,), final_passes=1)

    monkeypatch.setattr(calibrate_stack, "calibrate", hasty)


@pytest.fixture
def guide(window: MainWindow, qtbot: Any, tmp_path: Path) -> ProfileGuide:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    window.actions_by_key["profile"].trigger()
    found = window.findChild(ProfileGuide)
    assert isinstance(found, ProfileGuide)
    found.output.setText(str(tmp_path / "profile.toml"))
    return found


def window_of(guide: ProfileGuide) -> MainWindow:
    window = guide.parent()
    assert isinstance(window, MainWindow)
    return window


def to_the_measurement(guide: ProfileGuide) -> None:
    while guide.part != "measure":
        part = guide.part
        guide.next.click()
        assert guide.part != part


def test_from_the_first_page_to_a_profile_in_use_with_undo(short: None, guide: ProfileGuide, qtbot: Any) -> None:
    window = window_of(guide)
    before, images = window.document.geometry, window.document.dataset
    assert guide.part == "dark" and not guide.back.isEnabled()
    guide.dark.line.setText("0.25")
    to_the_measurement(guide)
    assert [label.text() for label in guide.summary.values()][:3] == [
        "0.25",
        "none: brightness by the sample",
        "the open stack, sample:stack",
    ]
    guide.next.click()
    assert not guide.back.isEnabled() and not guide.next.isEnabled()
    qtbot.waitUntil(lambda: guide.status.state.text() == "Measuring", timeout=LONG)
    assert window.panels.stack_run.state.text() == "Measuring profile"
    qtbot.waitUntil(lambda: "Dark level: 0.25 counts" in guide.steps.text(), timeout=LONG)
    qtbot.waitUntil(lambda: guide.part == "result", timeout=LONG)
    assert Path(guide.output.text()).is_file() and "profile.toml" in guide.outcome.file.text()
    assert window.document.geometry == before
    window.switch_theme()
    guide.grab()
    window.switch_theme()
    guide.next.click()
    assert not guide.isVisible()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    window.controller.bridge.pull()
    after = window.document.dataset
    assert isinstance(after, ImageStack) and isinstance(images, ImageStack)
    assert window.document.geometry != before and not np.array_equal(after.images, images.images)
    assert "profile.toml" in window.panels.geometry.source.text()
    assert window.document.undo_label == "Microscope profile"
    for step, there in ((window.undo, images), (window.redo, after)):
        step()
        qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
        window.controller.bridge.pull()
        assert isinstance(window.document.dataset, ImageStack)
        assert np.array_equal(window.document.dataset.images, there.images)


def test_a_wrong_file_is_said_on_its_page_and_can_be_changed(guide: ProfileGuide, tmp_path: Path) -> None:
    guide.dark.line.setText(str(tmp_path / "absent.tif"))
    guide.next.click()
    assert guide.part == "dark" and "no file or folder" in guide.trouble.text()
    guide.dark.line.setText("")
    assert guide.trouble.isHidden()
    guide.next.click()
    guide.next.click()
    guide.other_sample.setChecked(True)
    guide.next.click()
    assert guide.part == "sample" and "Choose a stack" in guide.trouble.text()


def test_a_failure_names_the_page_that_it_belongs_to(guide: ProfileGuide, qtbot: Any, tmp_path: Path) -> None:
    window = window_of(guide)
    (tmp_path / "notes.txt").write_text("no image")
    guide.dark.line.setText(str(tmp_path / "notes.txt"))
    to_the_measurement(guide)
    guide.next.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    assert guide.part == "measure" and guide.trouble.isVisible() and "notes.txt" in guide.trouble.text()
    assert "Traceback" not in guide.trouble.text()
    assert window.panels.toast.isHidden() and "notes.txt" in window.panels.messages.messages[-1].text
    assert guide.fix.isVisible() and guide.fix.text() == "Change dark frames"
    guide.fix.click()
    assert guide.part == "dark" and guide.trouble.isHidden() and guide.fix.isHidden()
    to_the_measurement(guide)
    assert guide.trouble.isHidden() and guide.status.isHidden()


def test_closing_in_mid_run_cancels_and_writes_nothing(guide: ProfileGuide, qtbot: Any) -> None:
    window = window_of(guide)
    to_the_measurement(guide)
    guide.next.click()
    qtbot.waitUntil(lambda: any("Circles" in line for line in guide.steps.text().splitlines()), timeout=LONG)
    output = Path(guide.output.text())
    guide.close()
    qtbot.waitUntil(lambda: not window.controller.state.active, timeout=LONG)
    assert window.controller.state is RunState.STOPPED and not output.exists()
    window.measure_profile()
    again = window.findChildren(ProfileGuide)[-1]
    assert again.part == "dark" and again.status.isHidden()


def test_closing_the_window_in_mid_run_closes_the_guide(guide: ProfileGuide, qtbot: Any) -> None:
    window, output = window_of(guide), Path(guide.output.text())
    to_the_measurement(guide)
    guide.next.click()
    qtbot.waitUntil(lambda: guide.status.state.text() == "Measuring", timeout=LONG)
    assert window.close()
    # What is closed is deleted soon, here or later.
    assert not any(left.isVisible() for left in window.findChildren(ProfileGuide))
    assert not window.controller.state.active and not output.exists()


def test_a_guide_that_was_closed_is_opened_anew(guide: ProfileGuide) -> None:
    window = window_of(guide)
    guide.close()
    window.measure_profile()
    assert [found.isVisible() for found in window.findChildren(ProfileGuide)][-1]


def test_files_are_chosen_and_another_sample_is_taken(
    guide: ProfileGuide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "to_open", classmethod(lambda cls, parent: str(tmp_path)))
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *words: str(tmp_path / "mine.toml")))
    assert guide.open_sample.isChecked()
    guide.sample._choose(Files.to_open)
    assert guide.other_sample.isChecked()
    guide.browse.click()
    guide.signs.button(0).setChecked(True)
    plan = guide.plan()
    assert plan.sample == str(tmp_path) and plan.output == tmp_path / "mine.toml" and plan.sign == -1


def test_without_a_stack_another_one_is_asked_for(window: MainWindow) -> None:
    window.measure_profile()
    guide = window.findChild(ProfileGuide)
    assert isinstance(guide, ProfileGuide)
    assert not guide.open_sample.isEnabled() and guide.other_sample.isChecked()
    window.measure_profile()
    assert len(window.findChildren(ProfileGuide)) == 1
    for part in PARTS[:-1]:
        guide.turn_to(part)
    guide.next.click()
    assert window.controller.state is RunState.IDLE and window.controller.task == "training"
    assert guide.trouble.text()
