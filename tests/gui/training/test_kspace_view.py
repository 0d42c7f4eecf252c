"""K-space in the window: opened, looked at, and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.kspace_view import BORDER, across, side_by_side
from ptychoui.paths import sample_data
from ptychoui.session.worker import RunState
from ptychoui.settings import MriExperiment, to_toml

LONG = 60_000


def opened(window: MainWindow, path: Path | str, qtbot: Any) -> None:
    window.open_path(str(path))
    qtbot.waitUntil(lambda: window.document.k_space is not None, timeout=LONG)
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    qtbot.waitUntil(lambda: window.panels.k_space.explained.text() != "", timeout=LONG)


def test_a_file_is_shown_with_its_maps_and_an_experiment(window: MainWindow, qtbot: Any) -> None:
    opened(window, sample_data() / "heads.kspace.h5", qtbot)
    view, document = window.panels.k_space, window.document
    assert window.panels.tabs.currentWidget() is view and window.panels.image_view() is view
    assert isinstance(document.experiment, MriExperiment) and document.experiment.data.path == "sample:heads"
    assert "heads" in window.windowTitle() and window.actions_by_key["train"].isEnabled()
    assert view.maps.image is not None and view.coils.image is not None
    assert view.maps.image.shape == view.coils.image.shape == (2 * 96 + BORDER, 2 * 88 + BORDER)
    assert "% of the calibration signal unexplained" in view.explained.text()
    said = [message.text for message in window.panels.messages.messages]
    assert any("all of k-space was measured" in text.lower() for text in said)
    view.phase.setChecked(True)
    assert view.maps.item.getLevels()[0] == pytest.approx(-np.pi) and view.maps.image.min() < -0.1
    texts: list[str] = []
    view.hover_text.connect(texts.append)
    assert document.k_space is not None
    view.coils.hovered.emit(96 + BORDER + 40, 88 + BORDER + 30)
    assert texts[-1].startswith("coil 3   pixel (40, 30)")
    assert f"{document.k_space.coils[3, 40, 30]:.4g}" in texts[-1] and "map |S|" in texts[-1]
    view.coils.hovered.emit(40, 88 + BORDER + 30)
    assert texts[-1].startswith("coil 1   pixel (40, 30)")
    view.coils.hovered.emit(96, 3)  # between two coils
    assert texts[-1] == ""
    view.sampled.hovered.emit(48, 44)
    assert texts[-1] == "k-space (+0, +0)   measured"


def test_another_example_is_shown_and_has_maps_of_its_own(window: MainWindow, qtbot: Any) -> None:
    opened(window, sample_data() / "heads.kspace.h5", qtbot)
    view, before = window.panels.k_space, window.document.k_space
    assert before is not None and view.number.isVisible() and view.number.maximum() == 6
    maps = view.maps.image
    view.number.setValue(3)
    qtbot.waitUntil(lambda: window.document.k_space is not before, timeout=LONG)
    assert window.document.k_space is not None and window.document.k_space.place == 2 and view.maps.image is None
    qtbot.waitUntil(lambda: view.maps.image is not None, timeout=LONG)
    assert not np.array_equal(view.maps.image, maps)
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    assert window.document.k_space is None and view.combined.image is None
    assert not window.panels.tabs.isTabVisible(window.panels.tabs.indexOf(view))


def test_an_experiment_shows_the_k_space_that_it_names(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    values: dict[str, Any] = {"name": "beat", "data": {"path": "sample:heart"}, "training": {"supervision": "samples"}}
    path = tmp_path / "beat.toml"
    path.write_text(to_toml(MriExperiment(**values)), encoding="utf-8")
    opened(window, path, qtbot)
    assert window.document.path == path and window.document.k_space is not None
    assert window.panels.tabs.currentWidget() is window.panels.k_space
    assert not window.panels.k_space.number.isVisible()


def test_a_file_is_learned_from(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    opened(window, sample_data() / "heads.kspace.h5", qtbot)
    for name, value in (("network.unrolls", 2), ("network.channels", 2), ("network.convolutions", 2)):
        assert window.controller.edit(name, value) == ""
    window.controller.edit("training.steps", 2)
    window.train()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    assert window.panels.tabs.currentWidget() is not window.panels.k_space
    assert window.panels.progress.score.text().startswith("Held-out error")


def test_what_cannot_be_read_is_said_in_a_sentence(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((3, 4), complex))
    window.open_path(str(tmp_path / "flat.npy"))
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    qtbot.waitUntil(lambda: len(window.panels.messages.messages) > 0, timeout=LONG)
    message = window.panels.messages.messages[-1]
    assert message.level == "error" and "\n" not in message.text and message.hint
    assert window.document.k_space is None


def test_images_lie_side_by_side() -> None:
    images = np.arange(5 * 2 * 3, dtype=np.float32).reshape(5, 2, 3)
    assert (across(5, 2, 3), across(1, 40, 4), across(8, 230, 180), across(3, 4, 100)) == (2, 1, 4, 1)
    tiled = side_by_side(images.repeat(2, 1))
    assert tiled.shape == (2 * 4 + BORDER, 3 * 3 + 2 * BORDER)
    assert np.array_equal(tiled[0:4:2, 4:7], images[1]) and np.array_equal(tiled[5::2, :3], images[3])
    assert not tiled[5:, 8:].any()
