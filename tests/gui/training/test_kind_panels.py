"""A kind of experiment that is no optics, in the window: opened, trained, paused, shown, saved, exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks import deconvolution
from tasks.deconvolution import Deconvolution

from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.pictures_view import CurvePanel, PicturesView
from ptychoui.gui.widgets.files import Files
from ptychoui.session.worker import RunState
from ptychoui.settings import KINDS, FpmExperiment, to_toml

LONG = 60_000


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[Path]:
    KINDS["deconvolution"] = deconvolution.KIND
    settings = Deconvolution(name="blind", engine={"device": "cpu"}, training={"steps": 40, "validate_every": 10})
    path = tmp_path / "blind.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    yield path
    KINDS.pop("deconvolution")


def opened(window: MainWindow, path: Path, qtbot: Any) -> None:
    window.controller.open(str(path))
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
    qtbot.waitUntil(lambda: window.document.experiment.kind == "deconvolution", timeout=LONG)


def test_its_settings_are_edited_and_its_panels_stand_alone(window: MainWindow, experiment: Path, qtbot: Any) -> None:
    opened(window, experiment, qtbot)
    panels, form = window.panels, window.panels.run.form
    assert {"blur.signals", "blur.noise", "network.unrolls", "network.step", "training.steps"} <= set(form.names)
    assert not any(name.startswith(("design.", "measurement.")) for name in form.names)
    assert panels.docks["leds"].isHidden() and panels.docks["geometry"].isHidden()
    assert window.actions_by_key["train"].isEnabled() and not window.actions_by_key["reconstruct"].isEnabled()
    form.edited.emit("network.unrolls", 4)
    assert window.document.experiment.network.unrolls == 4  # type: ignore[attr-defined]
    form.edited.emit("network.unrolls", 0)
    assert "unrolls" in form.error("network.unrolls")
    window.undo()
    assert window.document.experiment.network.unrolls == 6  # type: ignore[attr-defined]
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None, timeout=LONG)
    assert isinstance(window.document.experiment, FpmExperiment)
    assert not panels.docks["leds"].isHidden() and not panels.docks["geometry"].isHidden()
    assert panels.run.form is not form and "design.start" in panels.run.form.names


def test_it_trains_pauses_goes_on_and_is_exported(
    window: MainWindow, experiment: Path, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(window, experiment, qtbot)
    window.controller.edit("training.steps", 2000)
    window.train()
    qtbot.waitUntil(lambda: window.document.history.step >= 5, timeout=LONG)
    window.controller.pause_or_continue()
    qtbot.waitUntil(lambda: window.controller.state is RunState.PAUSED, timeout=LONG)
    step = window.document.history.step
    window.controller.pause_or_continue()
    qtbot.waitUntil(lambda: window.document.history.step > step, timeout=LONG)
    qtbot.waitUntil(lambda: window.document.history.snapshot is not None, timeout=LONG)
    view = window.panels.view
    assert isinstance(view, PicturesView)
    qtbot.waitUntil(lambda: list(view.panels) == ["Signal", "Reconstructed", "Kernel"], timeout=LONG)
    assert all(isinstance(panel, CurvePanel) for panel in view.panels.values())
    assert "Held-out signal error" in window.panels.progress.score.text()
    assert "5 taps blur the signals" in window.panels.run.feasibility.text()
    assert "store_all" in window.document.history.started.predicted_bytes  # type: ignore[union-attr]
    window.stop()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    stopped = window.document.history.step

    # The run is found again from the experiment, and goes on.
    window.save()
    opened(window, experiment, qtbot)
    assert window.document.history.step == stopped
    window.controller.edit("training.steps", stopped + 3)
    window.resume()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    assert window.document.history.step == stopped + 3

    target = tmp_path / "kernel.npz"
    monkeypatch.setattr(Files, "to_save", lambda *_arguments: str(target))
    window.export()
    qtbot.waitUntil(target.exists, timeout=LONG)
    with np.load(target) as arrays:
        assert np.array_equal(arrays["kernel"], window.document.history.result.arrays["kernel"])
    qtbot.waitUntil(lambda: not window.controller.jobs.busy, timeout=LONG)
