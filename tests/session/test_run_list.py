from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ptychoui.errors import PtychouiError
from ptychoui.session import run_list
from ptychoui.session.document import Document
from ptychoui.session.opening import demo_experiment, mri_example, open_run
from ptychoui.session.run_list import curves_of, find_runs, places_of_runs
from ptychoui.session.run_queue import QueuedRun, queue_folder, queued_runs
from ptychoui.session.runs import _beginnings, _parameters_in
from ptychoui.settings import Experiment, kind_of
from ptychoui.training.run_folder import RunFolder

METRIC = kind_of("fpm").metrics[0].name


def made(path: Path, changed_s: float, steps: int = 3, experiment: Experiment | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = RunFolder.create(path, experiment or demo_experiment(), "0" * 64)
    lines = [{"step": step, "kind": "step", "loss": 1 / step} for step in range(1, steps + 1)]
    lines.append({"step": steps, "kind": "validated", "loss": 0.5, METRIC: 0.25})
    folder.append_events(lines)
    folder.close()
    os.utime(path / "events.jsonl", (changed_s, changed_s))
    return path


def test_runs_are_listed_the_newest_first(tmp_path: Path) -> None:
    old, new = made(tmp_path / "runs/old", 1000, 2), made(tmp_path / "runs/new", 2000, 5)
    (tmp_path / "runs/no-run").mkdir()
    (tmp_path / "runs/damaged").mkdir()
    (tmp_path / "runs/damaged/run.json").write_text("{")
    found = find_runs([tmp_path / "runs", tmp_path / "absent", tmp_path / "runs"])
    assert [run.path for run in found] == [new, old]
    first = found[0]
    assert (first.step, first.steps, first.score) == (5, demo_experiment().training.steps, 0.25)
    assert first.score_name == kind_of("fpm").metrics[0].label
    assert first.state == "stopped" and first.changed_s == 2000


def test_a_run_that_is_worked_on_and_one_that_is_done(tmp_path: Path) -> None:
    path = made(tmp_path / "runs/one", 1000, demo_experiment().training.steps)
    assert find_runs([path.parent])[0].state == "finished"
    folder = RunFolder.open(path)
    assert find_runs([path.parent])[0].state == "learning"
    folder.close()


def test_the_last_score_of_a_long_history_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "runs/one", 1000)
    folder = RunFolder(path)
    folder.append_events([{"step": step, "kind": "step", "loss": 0.1} for step in range(4, 200)])
    monkeypatch.setattr(run_list, "TAIL_BYTES", 500)
    found = find_runs([path.parent])[0]
    assert found.step == 199 and found.score == 0.25


def test_no_more_than_some_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_list, "MOST", 2)
    for place in range(4):
        made(tmp_path / f"runs/{place}", 1000 + place)
    assert [run.path.name for run in find_runs([tmp_path / "runs"])] == ["3", "2"]


def test_runs_are_looked_for_where_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTYCHOUI_STATE", str(tmp_path / "state"))
    run = made(tmp_path / "elsewhere/run", 1000)
    places = places_of_runs(tmp_path / "a/e.toml", [str(run), str(tmp_path / "b/other.toml"), "/nowhere/stack.tif"])
    assert places == (tmp_path / "state/runs", tmp_path / "a/runs", tmp_path / "elsewhere", tmp_path / "b/runs")


def test_curves_are_those_of_the_history(tmp_path: Path) -> None:
    curves = curves_of(made(tmp_path / "run", 1000, 3))
    np.testing.assert_allclose(curves.steps, [1, 2, 3])
    np.testing.assert_allclose(curves.losses, [1, 1 / 2, 1 / 3])
    assert list(curves.scored_at) == [3] and list(curves.scored) == [0.5]
    with pytest.raises(PtychouiError):
        curves_of(tmp_path)


def test_a_fork_begins_where_a_run_ended(tmp_path: Path) -> None:
    path = made(tmp_path / "run", 1000)
    levels = np.random.default_rng(0).random((6, 5))
    arrays = {"step": np.array(3), "parameter_levels": levels, "parameter_exposures": np.ones(6)}
    RunFolder(path).save(arrays | {"parameter_alpha": np.array([0.5]), "moments": np.zeros(3)})
    assert sorted(_parameters_in(path)) == ["alpha", "exposures", "levels"]
    painted = np.zeros((6, 5))
    begun = _beginnings({"levels": painted}, path)
    assert begun["levels"] is painted and begun["alpha"][0] == 0.5, "what a person painted goes before what was learned"
    assert _beginnings({"levels": painted}, None) == {"levels": painted}
    document = Document()
    document.fork(open_run(path))
    assert document.begins_from == path and document.run_folder is None and document.history.step == 0
    assert document.changed_design[0] is not None
    np.testing.assert_array_equal(document.changed_design[0], levels)
    document.begin_run(tmp_path / "next")
    assert document.begins_from is None


def test_the_queue_keeps_its_order_and_what_it_begins_from(tmp_path: Path) -> None:
    first = QueuedRun.put(demo_experiment().replace(name="first"), tmp_path / "first.toml")
    levels, exposures = np.full((6, 4), 0.25), np.ones(6)
    second = QueuedRun.put(mri_example().replace(name="second"), None, levels, exposures)
    waiting = queued_runs()
    assert [queued.experiment.name for queued in waiting] == ["first", "second"]
    assert waiting[0].path == tmp_path / "first.toml" and waiting[0].levels is None
    assert waiting[1].path is None and waiting[1].levels is not None and waiting[1].exposures is not None
    np.testing.assert_array_equal(waiting[1].levels, levels)
    assert waiting[1].experiment == second.experiment
    (queue_folder() / "damaged").mkdir()
    (queue_folder() / "damaged/queued.json").write_text("[")
    first.drop()
    assert [queued.experiment.name for queued in queued_runs()] == ["second"]
