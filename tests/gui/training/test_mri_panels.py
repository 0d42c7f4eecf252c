"""An experiment of multi-channel MRI in the window: opened, trained, paused, resumed, reopened, exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtWidgets import QComboBox

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.kinds import MICROSCOPE_COMMANDS
from ptychoui.gui.training.mri_view import MriView
from ptychoui.gui.widgets.files import Files
from ptychoui.session.worker import RunState
from ptychoui.settings import MriExperiment, to_toml
from ptychoui.tasks.mri.events import ERROR_SHOWN, MriSnapshot, pictures_of

LONG = 60_000
FPM_WORDS = ("LED", "icroscope", "hardware")


def small(**sections: dict[str, Any]) -> MriExperiment:
    tables: dict[str, dict[str, Any]] = {
        "data": {"size": (24, 20), "coils": 3, "examples": 2, "held_out": 1, "maps": "stated"},
        "sampling": {"calibration": 6, "acceleration": 2.0},
        "network": {"unrolls": 2, "channels": 2, "convolutions": 2},
        "engine": {"device": "cpu", "strategy": "reversible"},
        "training": {"steps": 30, "batch": 1, "validate_every": 10},
    }
    values: dict[str, Any] = {name: {**table, **sections.get(name, {})} for name, table in tables.items()}
    return MriExperiment(name="small", **values)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(to_toml(small()), encoding="utf-8")
    return path


@pytest.fixture
def opened(window: MainWindow, experiment: Path, qtbot: Any) -> MainWindow:
    window.open_path(str(experiment))
    qtbot.waitUntil(lambda: window.document.experiment.kind == "mri", timeout=LONG)
    return window


def test_what_only_microscopes_have_is_not_there(opened: MainWindow, qtbot: Any) -> None:
    panels = opened.panels
    assert isinstance(panels.view, MriView) and panels.view.isVisible()
    assert all(panels.docks[key].isHidden() for key in ("leds", "geometry", "reconstruct"))
    assert not any(opened.actions_by_key[key].isVisible() for key in MICROSCOPE_COMMANDS)
    for key in ("train", "export"):
        action = opened.actions_by_key[key]
        assert not any(word in f"{action.text()} {action.toolTip()}" for word in FPM_WORDS)
    form = panels.run.form
    for name in form.names:
        editor = form.editor(name)
        assert not any(word in editor.accessibleName() for word in FPM_WORDS), name
        assert editor.toolTip() or name == "engine.strategy", name
    opened.open_sample_objects()
    qtbot.waitUntil(lambda: opened.document.dataset is not None, timeout=LONG)
    assert all(opened.actions_by_key[key].isVisible() for key in MICROSCOPE_COMMANDS)
    assert opened.actions_by_key["export"].text() == "&Export patterns…"


def test_its_choices_are_those_of_the_settings(opened: MainWindow) -> None:
    form, document = opened.panels.run.form, opened.document
    for name in ("network.order", "network.update", "training.supervision", "training.loss", "data.maps"):
        box = form.editor(name)
        assert isinstance(box, QComboBox)
        for place in range(box.count()):
            before = document.experiment
            assert opened.controller.edit(name, box.itemData(place)) == "" or name == "network.update", name
            document.edit("back", before)
    for pattern in ("uniform_random", "equispaced", "poisson_disc", "measured", "variable_density"):
        form.edited.emit("sampling.pattern", pattern)
        assert document.experiment.sampling.pattern == pattern  # type: ignore[attr-defined]
    form.edited.emit("sampling.acceleration", 0.5)
    assert "acceleration" in form.error("sampling.acceleration")


def test_what_a_file_states_is_not_asked(opened: MainWindow, tmp_path: Path) -> None:
    form = opened.panels.run.form
    assert not form.editor("data.coils").isHidden()
    data = opened.document.experiment.data.replace(path=str(tmp_path / "k.h5"))  # type: ignore[attr-defined]
    opened.controller.edit_experiment("path", opened.document.experiment.replace(data=data))
    assert form.editor("data.coils").isHidden() and not form.editor("data.maps").isHidden()
    assert not form.editor("sampling.acceleration").isHidden()
    form.edited.emit("sampling.pattern", "measured")
    assert form.editor("sampling.acceleration").isHidden()
    opened.undo()
    assert not form.editor("sampling.acceleration").isHidden()


def test_it_trains_pauses_goes_on_and_is_exported(
    opened: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened
    window.controller.edit("training.steps", 3000)
    window.train()
    qtbot.waitUntil(lambda: window.document.history.step >= 2, timeout=LONG)
    window.pause_or_continue()
    qtbot.waitUntil(lambda: window.controller.state is RunState.PAUSED, timeout=LONG)
    step = window.document.history.step
    window.pause_or_continue()
    qtbot.waitUntil(lambda: window.document.history.step > step, timeout=LONG)
    qtbot.waitUntil(lambda: isinstance(window.document.history.snapshot, MriSnapshot), timeout=LONG)
    view, progress = window.panels.view, window.panels.progress
    assert isinstance(view, MriView)
    qtbot.waitUntil(lambda: view.panels["error"].image is not None, timeout=LONG)
    shown = {name: panel.item.getLevels() for name, panel in view.panels.items()}
    assert tuple(shown["reconstructed"]) == tuple(shown["truth"]) == tuple(shown["zero_filled"])
    assert tuple(shown["error"]) != tuple(shown["truth"])
    assert progress.score.text().startswith("Held-out error 0.")
    assert "Peak signal to noise" in progress.further.whole and "dB" in progress.further.whole
    assert "bit for bit" in progress.certificate.text()
    window.stop()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    folder, stopped = window.document.run_folder, window.document.history.step
    weights = window.document.history.result.arrays

    # The run folder is opened by itself: its curves and scores are there, it is exported and goes on.
    assert folder is not None
    window.open_path(str(folder))
    qtbot.waitUntil(lambda: window.document.run_folder == folder and window.document.path is None, timeout=LONG)
    history = window.document.history
    assert history.step == stopped and history.last_score is not None and "psnr_db" in history.last_score.scores
    target = tmp_path / "weights.npz"
    monkeypatch.setattr(Files, "to_save", lambda *_arguments: str(target))
    assert window.actions_by_key["export"].isEnabled()
    window.export()
    qtbot.waitUntil(target.exists, timeout=LONG)
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    with np.load(target) as arrays:
        assert set(weights) < set(arrays) and all(np.array_equal(arrays[name], weights[name]) for name in weights)
    window.write_report()
    qtbot.waitUntil(lambda: (folder / "report.html").exists(), timeout=LONG)
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    assert "small" in (folder / "report.html").read_text(encoding="utf-8")
    window.controller.edit("training.steps", stopped + 2)
    window.resume()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    assert window.document.history.step == stopped + 2


def test_the_example_of_the_welcome_page_opens(window: MainWindow, qtbot: Any) -> None:
    window.actions_by_key["mri_example"].trigger()
    assert isinstance(window.document.experiment, MriExperiment) and window.document.path is None
    assert window.panels.central.currentWidget() is window.panels.tabs
    assert window.actions_by_key["train"].isEnabled()


def snapshot(acquisition: str, shape: tuple[int, ...], truth: bool = True) -> MriSnapshot:
    rng = np.random.default_rng(3)
    image, zero_filled, true = (rng.random(shape) + 1j for _ in range(3))
    sampled = rng.random(shape) < 0.4
    return MriSnapshot(step=1, **pictures_of(acquisition, image, zero_filled, true if truth else None, sampled))


@pytest.fixture
def view(qtbot: Any, qapp: Any) -> MriView:
    made = MriView()
    made.resize(900, 700)
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.mark.parametrize(
    ("acquisition", "shape", "truth", "hidden"),
    [
        ("2d", (16, 12), True, {"over_time", "true_over_time"}),
        ("2d", (16, 12), False, {"over_time", "true_over_time", "truth", "error"}),
        ("slab", (3, 16, 12), True, {"over_time", "true_over_time"}),
        ("cine", (5, 16, 12), True, set()),
        ("cine", (5, 16, 12), False, {"true_over_time", "truth", "error"}),
    ],
)
def test_there_is_a_panel_for_what_is_known(
    view: MriView, acquisition: str, shape: tuple[int, ...], truth: bool, hidden: set[str]
) -> None:
    shown = snapshot(acquisition, shape, truth)
    view.show_snapshot(shown)
    assert {name for name, panel in view.panels.items() if panel.isHidden()} == hidden
    assert [panel.image is not None for name, panel in view.panels.items() if name not in hidden].count(False) == 0
    if acquisition == "cine":
        assert view.panels["over_time"].image is not None and view.panels["over_time"].image.shape == (5, 16)
    view.show_snapshot(None)
    assert view.panels["truth"].isVisible()


def test_images_are_zoomed_together_and_the_samples_are_not(view: MriView) -> None:
    view.show_snapshot(snapshot("cine", (5, 16, 12)))
    p, before = view.panels, view.panels["sampled"].view.viewRect()
    p["truth"].view.setRange(xRange=(2, 4), yRange=(3, 5), padding=0)
    for name in ("reconstructed", "zero_filled", "error"):
        assert abs(p[name].view.viewRect().center().x() - 3) < 0.01, name
        assert p[name].view.viewRect().width() < 8
    assert p["sampled"].view.viewRect() == before
    view.magnitude.set_limits(0.2, 0.7)
    levels: Callable[[str], tuple[float, ...]] = lambda name: tuple(p[name].item.getLevels())  # noqa: E731
    assert levels("reconstructed") == levels("truth") == levels("zero_filled") == levels("over_time") == (0.2, 0.7)
    assert levels("error") != (0.2, 0.7) and levels("sampled")[0] == 0
    view.fit()
    assert p["truth"].view.viewRect().width() > 12


def test_every_image_fills_its_own_panel(view: MriView) -> None:
    """The reconstruction's panel has other proportions than the small ones."""
    view.resize(1500, 500)
    view.show_snapshot(snapshot("2d", (16, 12)))
    for name in ("truth", "zero_filled", "error", "reconstructed"):
        seen = view.panels[name].view.viewRect()
        assert min(seen.width() / 12, seen.height() / 16) < 1.05, name


def test_what_the_cursor_is_on_is_said(view: MriView) -> None:
    shown = snapshot("cine", (5, 16, 12))
    view.show_snapshot(shown)
    said: list[str] = []
    view.hover_text.connect(said.append)
    view.panels["truth"].hovered.emit(2, 3)
    assert shown.truth is not None and shown.error is not None
    assert f"truth {shown.truth.values[2, 3]:.4f}" in said[-1]
    assert f"error {shown.error.values[2, 3] / ERROR_SHOWN:.4f}" in said[-1]
    view.panels["sampled"].hovered.emit(8, 6)
    assert said[-1].startswith("k-space (+0, +0)")
    view.panels["over_time"].hovered.emit(4, 1)
    assert said[-1].startswith("frame 4, row 1")
    view.panels["truth"].hovered.emit(-1, -1)
    assert said[-1] == ""
