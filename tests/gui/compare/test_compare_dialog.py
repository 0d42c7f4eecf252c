"""Designs side by side in the window: chosen, compared, shown, stopped, refused, exported, kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent
from PyQt6.QtWidgets import QFileDialog
from training.small import experiment_on_disk

from ptychoui.data.files import json_text
from ptychoui.export.json_file import write_json
from ptychoui.export.options import Options
from ptychoui.gui.compare.compare_dialog import EMPTY, OTHER_KIND, CompareDialog
from ptychoui.gui.compare.curves import CurvesPlot
from ptychoui.gui.look import theme
from ptychoui.gui.shell.dialogs import CloseDesignsQuestion
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.browser import Browser
from ptychoui.gui.widgets.files import Files
from ptychoui.optics.reconstruction.smooth_prior import reconstruct_smooth
from ptychoui.session.comparison_export import Curve
from ptychoui.session.worker import RunState
from ptychoui.settings import MriExperiment, to_toml
from ptychoui.tasks.fpm import judges
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER, TITLES

LONG = 60_000
SMOOTH = {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight evaluations for each strength of the prior instead of forty."""
    monkeypatch.setattr(judges, "reconstruct_smooth", partial(reconstruct_smooth, evaluations=8))


@pytest.fixture
def opened(window: MainWindow, qtbot: Any, tmp_path: Path) -> MainWindow:
    path = experiment_on_disk(tmp_path, training={"steps": 8}, network=SMOOTH)
    window.open_path(str(path))
    qtbot.waitUntil(lambda: window.document.trainable and not window.controller.jobs.busy, timeout=LONG)
    return window


@pytest.fixture
def dialog(opened: MainWindow) -> Iterator[CompareDialog]:
    opened.actions_by_key["designs"].trigger()
    (found,) = opened.findChildren(CompareDialog)
    found.draws.setValue(1)
    found.objects.setValue(2)
    found.list.tick("hybrid", False)
    yield found


def finished(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: window.controller.state is RunState.FINISHED, timeout=LONG)


def texts(dialog: CompareDialog) -> list[list[str]]:
    table = dialog.side_by_side.table
    items = [[table.item(row, column) for column in range(table.columnCount())] for row in range(table.rowCount())]
    return [["" if item is None else item.text() for item in line] for line in items]


def test_designs_are_compared_and_shown(opened: MainWindow, dialog: CompareDialog, qtbot: Any) -> None:
    assert [one.key for one in dialog.list.chosen] == ["half_circles", "singles"]
    assert dialog.list.topLevelItem(0).text(1) == "2" and dialog.list.topLevelItem(0).text(2) == "2"  # type: ignore[union-attr]
    assert dialog.begin.isEnabled() and "press Compare" in dialog.side_by_side.pictures.note.text()
    dialog.begin.click()
    assert not dialog.begin.isEnabled() and not dialog.list.isEnabled()
    finished(opened, qtbot)
    history, page = opened.document.designs.comparison, dialog.side_by_side
    assert page.verdict.text().lower() == history.sentence.lower() and history.sentence
    rows = texts(dialog)
    assert [row[0] for row in rows] == [TITLES["half_circles"], TITLES["singles"]]
    for row, one in zip(rows, history.shown(), strict=True):
        assert row[3] == f"{np.mean(one.errors[NETWORK]):.3f}" and row[5] == f"{np.mean(one.errors[SOLVER]):.3f}"
    # Pictures: the truth first, all with one contrast and one view.
    panels = page.pictures.panels
    assert list(panels) == ["truth", *(row[0] for row in rows)]
    assert np.allclose(panels["truth"].image, np.angle(history.shown()[0].truth[0]))
    assert len({tuple(panel.item.getLevels()) for panel in panels.values()}) == 1
    first, second = panels["truth"], panels[rows[1][0]]
    first.view.setRange(xRange=(2, 5), yRange=(2, 5), padding=0)
    first.moved.emit(first)
    assert second.view.viewRect().center().x() == pytest.approx(first.view.viewRect().center().x())
    page.pictures.quantity.setCurrentText("Error map")
    one = history.shown()[1]
    assert list(page.pictures.panels) == [row[0] for row in rows]
    assert np.allclose(page.pictures.panels[rows[1][0]].image, np.abs(one.objects[0] - one.truth[0]))
    page.pictures.object.setValue(2)
    assert np.allclose(page.pictures.panels[rows[1][0]].image, np.abs(one.objects[1] - one.truth[1]))
    # Curves and patterns.
    assert [curve.title for curve in page.rings.curves] == [row[0] for row in rows]
    assert np.allclose(page.rings.curves[1].y, history.runs[0].correlation["singles"])
    assert list(page.patterns.strips) == ["half_circles", "singles"]
    # The window is as it was.
    assert opened.panels.run.state.text() == "Ready" and opened.actions_by_key["train"].isEnabled()
    opened.theme_light()
    assert page.rings.lines[rows[0][0]].opts["pen"].color().name() == theme.LIGHT.accent
    opened.theme_dark()


def test_another_reference_turns_the_gains(opened: MainWindow, dialog: CompareDialog, qtbot: Any) -> None:
    dialog.begin.click()
    finished(opened, qtbot)
    page, history = dialog.side_by_side, opened.document.designs.comparison
    assert page.reference.currentData() == history.usual_reference()
    for name in ("half_circles", "singles"):
        place = page.reference.findData(name)
        page.reference.setCurrentIndex(place)
        page.reference.activated.emit(place)
        dialog.show_work()
        assert page.reference.currentData() == name  # also when more is told
        cells = {row[0]: row for row in texts(dialog)}
        assert cells[TITLES[name]][4] == cells[TITLES[name]][6] == "reference"
        (other,) = {"half_circles", "singles"} - {name}
        means = {key: np.mean(history.runs[0].errors[key][SOLVER]) for key in (name, other)}
        assert cells[TITLES[other]][6].startswith(f"{100 * (1 - means[other] / means[name]):+.0f} %")


def test_closing_it_lets_the_comparison_go_on(opened: MainWindow, dialog: CompareDialog, qtbot: Any) -> None:
    dialog.begin.click()
    dialog.close()
    qtbot.waitUntil(lambda: not opened.findChildren(CompareDialog), timeout=LONG)
    assert opened.panels.state.text() == "Comparing designs"
    finished(opened, qtbot)
    opened.actions_by_key["designs"].trigger()
    (again,) = opened.findChildren(CompareDialog)
    assert len(texts(again)) == 2 and again.side_by_side.verdict.text()


def test_it_is_stopped(opened: MainWindow, dialog: CompareDialog, qtbot: Any) -> None:
    dialog.seeds.setValue(100)
    dialog.begin.click()
    history = opened.document.designs.comparison
    qtbot.waitUntil(lambda: history.step >= 1, timeout=LONG)
    assert "of 200 designs" in dialog.status.time_left.text() and "left, by the designs" in dialog.estimate.text()
    assert not opened.actions_by_key["train"].isEnabled()
    dialog.halt.click()
    qtbot.waitUntil(lambda: opened.controller.state is RunState.STOPPED, timeout=LONG)
    assert dialog.status.time_left.text().startswith("stopped after") and texts(dialog)
    assert dialog.begin.isEnabled() and not dialog.halt.isEnabled()


def test_files_are_added_dropped_refused_and_removed(
    opened: MainWindow, dialog: CompareDialog, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, broken = (tmp_path / f"{name}.json" for name in ("mine", "six", "broken"))
    write_json(opened.document.patterns(), good, Options(bits=8))
    broken.write_text("{")
    opened.controller.edit("design.dark_field_rows", 3)
    write_json(opened.document.patterns(), bad, Options(bits=8))
    opened.controller.edit("design.dark_field_rows", 1)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(good)], ""))
    dialog.add.click()
    qtbot.waitUntil(lambda: any(one.title == "mine" for one in dialog.list.chosen), timeout=LONG)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(bad))])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    dialog.list.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, Qt.KeyboardModifier.NoModifier))
    qtbot.waitUntil(lambda: "Six has 4 patterns" in dialog.trouble.text(), timeout=LONG)
    assert "the comparison is of 2 frames" in dialog.trouble.text()
    dialog.add_paths([str(broken)])
    qtbot.waitUntil(lambda: "broken.json" in dialog.trouble.text(), timeout=LONG)
    assert [one.title for one in dialog.list.chosen if one.ours] == ["mine"]
    # Two of one name are told apart.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.json").write_text(good.read_text())
    dialog.add_paths([str(tmp_path / "other" / "mine.json")])
    qtbot.waitUntil(lambda: any(one.title == "mine (2)" for one in dialog.list.chosen), timeout=LONG)
    dialog.list.setCurrentItem(next(item for item in dialog.list._items() if item.text(0) == "mine (2)"))
    dialog.remove.click()
    # What no longer fits is greyed out, with the reason, and comes back.
    opened.controller.edit("design.dark_field_rows", 3)
    (line,) = [item for item in dialog.list._items() if item.text(0) == "mine"]
    assert line.isDisabled() and "has 2 patterns, the comparison is of 4 frames" in line.toolTip(0)
    assert not any(one.ours for one in dialog.list.chosen)
    opened.controller.edit("design.dark_field_rows", 1)
    (line,) = [item for item in dialog.list._items() if item.text(0) == "mine"]
    assert any(one.ours for one in dialog.list.chosen) and not dialog.remove.isEnabled()
    dialog.list.setCurrentItem(line)
    dialog.remove.click()
    assert not any(one.ours for one in dialog.list.chosen)


def test_what_cannot_be_done_says_why(opened: MainWindow, dialog: CompareDialog) -> None:
    dialog.list.tick("singles", False)
    assert not dialog.begin.isEnabled() and dialog.begin.toolTip() == "Tick two designs or more"
    dialog.list.tick("ceilings", True)
    assert dialog.begin.isEnabled()
    assert not dialog.card.begin.isEnabled() and "Nothing can be tried yet" in dialog.card.what.text()
    opened.controller.edit_level(0, 4, 0.5)
    assert dialog.card.begin.isEnabled() and dialog.list.chosen[0].key == "painted"
    dialog.frames.frames.setText("2 two")
    dialog.frames.begin.click()
    assert "write numbers such as 2 4 8 12" in dialog.trouble.text().lower() and not opened.controller.state.active


def test_it_is_offered_beside_what_is_said_of_a_run(opened: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    compare = opened.panels.progress.compare
    assert not compare.isHidden()
    compare.click()
    assert opened.findChildren(CompareDialog)
    path = tmp_path / "small.toml"
    path.write_text(to_toml(MriExperiment(name="small")), encoding="utf-8")
    opened.open_path(str(path))
    qtbot.waitUntil(lambda: opened.document.experiment.kind == "mri", timeout=LONG)
    assert compare.isHidden()


def test_nothing_open_and_another_kind(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    window.actions_by_key["designs"].trigger()
    (dialog,) = window.findChildren(CompareDialog)
    assert dialog.empty.text() == EMPTY and not dialog.begin.isEnabled() and dialog.begin.toolTip() == EMPTY
    path = tmp_path / "small.toml"
    path.write_text(to_toml(MriExperiment(name="small")), encoding="utf-8")
    window.open_path(str(path))
    qtbot.waitUntil(lambda: window.document.experiment.kind == "mri", timeout=LONG)
    qtbot.waitUntil(lambda: not window.findChildren(CompareDialog), timeout=LONG)
    window.actions_by_key["designs"].trigger()
    (dialog,) = window.findChildren(CompareDialog)
    assert dialog.empty.text() == OTHER_KIND and not dialog.begin.isEnabled()


def test_a_failure_is_said_there(opened: MainWindow, dialog: CompareDialog, qtbot: Any, tmp_path: Path) -> None:
    (tmp_path / "objects.h5").unlink()
    dialog.begin.click()
    qtbot.waitUntil(lambda: opened.controller.state is RunState.FAILED, timeout=LONG)
    assert "objects.h5" in dialog.trouble.text() and dialog.begin.isEnabled()


def test_what_is_shown_is_exported(
    opened: MainWindow, dialog: CompareDialog, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Path] = []
    monkeypatch.setattr(Browser, "show", classmethod(lambda cls, page: bool(shown.append(page)) or True))
    assert not dialog.side_by_side.export.isEnabled()
    dialog.begin.click()
    finished(opened, qtbot)
    history = opened.document.designs.comparison
    menu = dialog.side_by_side.export.menu()
    assert menu is not None
    names = ["page.html", "t.csv", "r.json", "p.png", "c.csv", "c.svg"]
    for action, name in zip(menu.actions(), names, strict=True):
        path = tmp_path / name
        monkeypatch.setattr(Files, "to_save", lambda *_, path=path: str(path))
        action.trigger()
        qtbot.waitUntil(lambda path=path: path.is_file() and not dialog.controller.desk._open, timeout=LONG)
    assert (tmp_path / "r.json").read_text() == json_text(history.result) + "\n"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert shown == [tmp_path / "page.html"] and "data:image/png;base64," in text
    verdicts = dialog.controller.document.designs.comparison.result
    assert verdicts is not None and all(escape(one["sentence"].rstrip(".")) in text for one in verdicts["verdicts"])
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["design"] for row in rows] == ["half_circles", "singles"]
    assert float(rows[1]["error_solver"]) == np.mean(history.runs[0].errors["singles"][SOLVER])
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG") and "<svg" in (tmp_path / "c.svg").read_text()
    points = list(csv.reader((tmp_path / "c.csv").read_text().splitlines()))[1:]
    assert len(points) == 2 * len(history.runs[0].frequency_per_um)
    assert float(points[-1][2]) == history.runs[0].correlation["singles"][-1]
    monkeypatch.setattr(Files, "to_save", lambda *_: str(tmp_path / "no" / "t.csv"))
    menu.actions()[1].trigger()
    qtbot.waitUntil(lambda: bool(dialog.trouble.text()), timeout=LONG)


def test_how_many_images(opened: MainWindow, dialog: CompareDialog, qtbot: Any) -> None:
    dialog.list.tick("singles", False)
    dialog.frames.frames.setText("2, 4")
    dialog.frames.begin.click()
    finished(opened, qtbot)
    history = opened.document.designs.sweep
    assert sorted({run.frames for run in history.runs}) == [2, 4] and opened.document.designs.comparison.begun is None
    curves = {curve.title: curve for curve in dialog.frames.plots[SOLVER].curves}
    half = curves[TITLES["half_circles"]]
    assert half.x == (2.0, 4.0)
    assert half.y == tuple(float(np.mean(run.errors["half_circles"][SOLVER])) for run in history.runs)
    assert len(curves) == 3 and [curve.title for curve in dialog.frames.plots[NETWORK].curves] == [half.title]
    assert dialog.frames.equal.text().startswith(("From ", "Up to 4 frames"))


def test_how_a_design_holds(opened: MainWindow, dialog: CompareDialog, qtbot: Any, tmp_path: Path) -> None:
    opened.controller.edit_level(0, 4, 0.5)
    dialog.card.draws.setValue(1)
    dialog.card.begin.click()
    finished(opened, qtbot)
    card = opened.document.designs.card.card
    assert card is not None and dialog.card.table.rowCount() == len(card.rows)
    assert dialog.card.table.item(0, 2).text() == card.cells()[1][2]  # type: ignore[union-attr]
    assert dialog.card.verdict.text().lower() == card.sentence.lower() and "Draw" not in dialog.trouble.text()


def test_it_is_shown_again_with_the_same_designs(
    opened: MainWindow, dialog: CompareDialog, qtbot: Any, tmp_path: Path
) -> None:
    dialog.begin.click()
    finished(opened, qtbot)
    before, verdict = texts(dialog), dialog.side_by_side.verdict.text()
    opened.open_path(str(tmp_path / "experiment.toml"))
    qtbot.waitUntil(lambda: not opened.findChildren(CompareDialog), timeout=LONG)
    qtbot.waitUntil(lambda: opened.document.trainable and not opened.controller.jobs.busy, timeout=LONG)
    assert opened.document.designs.comparison.begun is None
    opened.actions_by_key["designs"].trigger()
    (again,) = opened.findChildren(CompareDialog)
    qtbot.waitUntil(lambda: bool(texts(again)), timeout=LONG)
    assert texts(again) == before and again.side_by_side.verdict.text() == verdict
    assert again.side_by_side.pictures.panels
    # Other patterns are another comparison.
    again.close()
    work = opened.document.designs
    opened.open_path(str(tmp_path / "experiment.toml"))
    qtbot.waitUntil(lambda: opened.document.designs is not work, timeout=LONG)
    qtbot.waitUntil(lambda: opened.document.trainable and not opened.controller.jobs.busy, timeout=LONG)
    opened.controller.edit_level(0, 4, 0.125)
    opened.actions_by_key["designs"].trigger()
    qtbot.waitUntil(lambda: not opened.controller.jobs.busy, timeout=LONG)
    assert opened.document.designs.comparison.begun is None


def test_the_window_asks_before_it_goes(
    opened: MainWindow, dialog: CompareDialog, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog.seeds.setValue(50)
    dialog.begin.click()
    asked = []
    monkeypatch.setattr(CloseDesignsQuestion, "ask", lambda parent: asked.append(parent) or "cancel")
    assert not opened.close() and asked == [opened]
    dialog.halt.click()
    qtbot.waitUntil(lambda: not opened.controller.state.active, timeout=LONG)


def test_curves_are_told_apart_without_colour(qtbot: Any) -> None:
    plot = CurvesPlot("x", "y")
    qtbot.addWidget(plot)
    plot.show_curves([Curve(title=str(place), x=(0.0, 1.0), y=(0.0, 1.0)) for place in range(9)])
    looks = {(line.opts["pen"].style(), line.opts["symbol"]) for line in plot.lines.values()}
    assert len(looks) == 9 and len(plot.legend.items) == 9
    assert len({style for style, _ in looks}) == 5 and len({mark for _, mark in looks}) == 9
