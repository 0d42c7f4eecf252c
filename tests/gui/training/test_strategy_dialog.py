"""Strategies side by side in the window: begun, shown, stopped, refused, for both kinds of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtGui import QImage

from ptychoui.engine.sizes import size_text
from ptychoui.gui.look import theme
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.strategy_dialog import StrategyDialog
from ptychoui.gui.widgets.strategy_bars import StrategyBar, StrategyBars
from ptychoui.session.strategy_race import TITLES
from ptychoui.session.worker import RunState
from ptychoui.settings import MriExperiment, to_toml

LONG = 60_000


@pytest.fixture
def dialog(window: MainWindow, qtbot: Any, tmp_path: Path) -> StrategyDialog:
    tables: dict[str, Any] = {
        "data": {"size": (24, 20), "coils": 3, "examples": 2, "held_out": 1, "maps": "stated"},
        "sampling": {"calibration": 6, "acceleration": 2.0},
        "network": {"unrolls": 3, "channels": 2, "convolutions": 2},
        "engine": {"device": "cpu"},
    }
    path = tmp_path / "small.toml"
    path.write_text(to_toml(MriExperiment(name="small", **tables)), encoding="utf-8")
    window.open_path(str(path))
    qtbot.waitUntil(lambda: window.document.experiment.kind == "mri", timeout=LONG)
    window.actions_by_key["strategies"].trigger()
    return window.findChildren(StrategyDialog)[0]


def over(window: MainWindow) -> bool:
    return not window.controller.state.active


def test_they_are_compared_and_agree(window: MainWindow, dialog: StrategyDialog, qtbot: Any) -> None:
    before, page = window.document.history, window.panels.tabs.currentWidget()
    front = window.panels.progress.pages.currentWidget()
    assert dialog.unrolls.value() == 3 and "same start, batches and noise" in dialog.problem.text()
    dialog.steps.setValue(4)
    dialog.unrolls.setValue(10)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    history = window.document.race
    assert dialog.verdict.text() == history.verdict and "bit for bit" in dialog.verdict.text()
    assert "times less memory than back-propagation" in dialog.saving.text()
    bars = dialog.bars.bars
    assert [bar.name for bar in bars] == list(TITLES) and all(bar.measured for bar in bars)
    assert [bar.bytes for bar in bars] == [history.memory[name] for name in TITLES]
    assert all(bar.note.endswith("s a step") for bar in bars)
    assert size_text(history.memory["reversible"]) in dialog.bars.accessibleDescription()
    for curve in dialog.plot.curves.values():
        assert list(curve.getOriginalDataset()[0]) == [1, 2, 3, 4]
    begun = history.begun
    assert begun is not None
    for name in TITLES:
        depths, peaks = dialog.depths.lines[name].getOriginalDataset()
        assert list(depths) == list(begun.depths) and np.allclose(peaks, np.array(begun.by_depth[name]) / 1e6)
        assert [list(xy) for xy in dialog.depths.dots[name].getOriginalDataset()] == [
            [10],
            [history.memory[name] / 1e6],
        ]
    # The window and the run that it shows are as they were.
    assert window.document.history is before and window.panels.tabs.currentWidget() is page
    assert window.panels.progress.pages.currentWidget() is front
    assert window.document.experiment.network.unrolls == 3  # type: ignore[attr-defined]
    assert window.panels.run.state.text() == "Ready" and window.actions_by_key["train"].isEnabled()
    window.theme_light()
    assert dialog.plot.curves["store_all"].opts["pen"].color().name() == theme.LIGHT.second
    window.theme_dark()


def test_it_is_stopped_and_begun_again(window: MainWindow, dialog: StrategyDialog, qtbot: Any) -> None:
    dialog.steps.setValue(5000)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.document.race.step >= 2, timeout=LONG)
    assert not dialog.begin.isEnabled() and dialog.halt.isEnabled() and not dialog.steps.isEnabled()
    assert not window.actions_by_key["train"].isEnabled() and window.panels.state.text() == "Comparing strategies"
    dialog.halt.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)
    stopped = window.document.race.step
    assert f"stopped after step {stopped}" in dialog.status.time_left.text() and dialog.verdict.text()
    dialog.steps.setValue(2)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    assert window.document.race.step == 2

    # Another depth is another dot beside the first; other settings begin anew.
    dialog.unrolls.setValue(6)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)
    assert list(dialog.depths.dots["reversible"].getOriginalDataset()[0]) == [3, 6]
    window.controller.edit("network.channels", 3)
    assert list(dialog.depths.dots["reversible"].getOriginalDataset()[0]) == [6]


def test_closing_it_gives_the_comparison_up(window: MainWindow, dialog: StrategyDialog, qtbot: Any) -> None:
    dialog.steps.setValue(5000)
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.document.race.step >= 1, timeout=LONG)
    dialog.close()
    qtbot.waitUntil(lambda: window.controller.state is RunState.STOPPED, timeout=LONG)


def test_what_cannot_be_compared_is_said_there(window: MainWindow, dialog: StrategyDialog, qtbot: Any) -> None:
    dialog.boxes["store_all"].setChecked(False)
    dialog.boxes["checkpoint"].setChecked(False)
    assert [bar.name for bar in dialog.bars.bars] == ["reversible"]
    dialog.begin.click()
    assert dialog.trouble.text().startswith("Two different strategies") and over(window)
    dialog.boxes["checkpoint"].setChecked(True)
    window.controller.edit("engine.device", "cuda:9")
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.FAILED, timeout=LONG)
    assert dialog.trouble.isVisible() and dialog.trouble.text()
    assert window.document.history.end is None


def test_there_is_one_dialog_and_it_goes_with_its_document(
    window: MainWindow, dialog: StrategyDialog, qtbot: Any
) -> None:
    window.compare_strategies()
    assert window.findChildren(StrategyDialog) == [dialog]
    window.open_sample_objects()
    qtbot.waitUntil(lambda: not window.findChildren(StrategyDialog), timeout=LONG)


def test_patterns_are_compared_too(window: MainWindow, qtbot: Any) -> None:
    window.compare_strategies()
    empty = window.findChildren(StrategyDialog)[0]
    empty.begin.click()
    assert over(window) and any("nothing to learn from" in m.text for m in window.panels.messages.messages)
    empty.close()
    window.open_sample_objects()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    for name, value in (("network.unrolls", 4), ("training.batch", 1), ("engine.device", "cpu")):
        assert window.controller.edit(name, value) == ""
    qtbot.waitUntil(lambda: not window.findChildren(StrategyDialog), timeout=LONG)
    window.compare_strategies()
    dialog = window.findChildren(StrategyDialog)[0]
    dialog.steps.setValue(2)
    if not window.document.trainable:  # the sample objects have no geometry of their own
        pytest.fail("the sample cannot be trained on")
    dialog.begin.click()
    qtbot.waitUntil(lambda: over(window) and window.document.race.end is not None, timeout=LONG)
    assert "bit for bit" in dialog.verdict.text(), dialog.trouble.text()


def test_a_prediction_does_not_look_like_a_measurement(qtbot: Any, qapp: Any) -> None:
    bars = StrategyBars()
    qtbot.addWidget(bars)
    bars.resize(600, 400)

    def drawn(measured: bool) -> QImage:
        row = StrategyBar(name="store_all", title="A", keeps="all", bytes=9_000_000, measured=measured)
        bars.show_bars((row, StrategyBar(name="reversible", title="B", keeps="none", bytes=1_000_000, measured=True)))
        return bars.grab().toImage()

    def share(image: QImage) -> float:
        """Of the pixels in the first row that have its colour."""
        tone, places = theme.colours().second, [(x, y) for x in range(0, 600, 3) for y in range(0, 200, 3)]
        return sum(image.pixelColor(x, y).name() == tone for x, y in places) / len(places)

    assert share(drawn(True)) > 1.5 * share(drawn(False)) > 0
    assert "9 MB predicted" in bars.accessibleDescription() and "1 MB measured" in bars.accessibleDescription()
