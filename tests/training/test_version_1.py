"""Experiments and run folders that version 1 of the schema wrote, kept as its program left them.

Each of `version_1` is a run of four steps with its exported patterns; ``expected.json`` holds its scores, and what
became of it after four more steps in the program that wrote it.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.export.results import export_result
from ptychoui.session.opening import open_run
from ptychoui.settings import FpmExperiment, load_experiment
from ptychoui.training.evaluation import evaluate_run, load_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import resume_run

HERE = Path(__file__).with_name("version_1")
RUNS = ("reversible", "momentum", "greedy")


@pytest.fixture(params=RUNS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one run with its data."""
    shutil.copy(HERE / "objects.h5", tmp_path)
    return shutil.copytree(HERE / request.param, tmp_path / request.param)


def expected(kept: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((kept / "expected.json").read_text(encoding="utf-8"))
    return values


def test_an_experiment_has_the_values_that_its_file_states(kept: Path) -> None:
    experiment = load_experiment(kept / "experiment.toml")
    assert isinstance(experiment, FpmExperiment) and experiment.kind == "fpm" and experiment.schema_version == 2
    stated = tomllib.loads((kept / "experiment.toml").read_text(encoding="utf-8"))
    assert stated.pop("schema_version") == 1
    stated["data"]["path"] = str(kept / "../objects.h5")
    held = experiment.model_dump(mode="json", exclude_none=True)

    def same(part: dict[str, Any], whole: dict[str, Any]) -> None:
        for name, value in part.items():
            if isinstance(value, dict):
                same(value, whole[name])
            else:
                assert whole[name] == value, name

    same(stated, held)


def test_a_run_folder_opens_with_its_history_and_design(kept: Path) -> None:
    opened = open_run(kept / "run")
    with np.load(kept / "run" / "state.npz") as state:
        assert opened.levels is not None and np.array_equal(opened.levels, state["parameter_levels"])
    assert opened.step == 4 and [line["kind"] for line in opened.lines].count("step") == 4


def test_exported_patterns_are_the_same(kept: Path, tmp_path: Path) -> None:
    export_result(load_run(kept / "run").result(), "json", tmp_path / "now.json")
    now, then = (json.loads(path.read_text()) for path in (tmp_path / "now.json", kept / "patterns.json"))
    for values in (now, then):
        values.pop("sha256", None)
        for name in ("experiment", "versions"):  # they state the schema and the program
            values["record"].pop(name)
    assert now == then


def test_scores_are_the_same(kept: Path) -> None:
    found, wanted = evaluate_run(kept / "run"), expected(kept)["scores"]
    for name, value in wanted.items():
        assert found[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name


def test_a_run_goes_on_to_the_same_end(kept: Path) -> None:
    run = resume_run(kept / "run", changes=lambda e: e.replace(training=e.training.replace(steps=8)))
    list(run.run())
    assert run.folder is not None
    run.folder.close()
    wanted, state = expected(kept), run.state()
    # Transforms of another processor round otherwise: the same numbers to single precision.
    for name, values in wanted["end"].items():
        assert np.allclose(state[name], values, rtol=1e-3, atol=1e-6), name
    found = [(e["kind"], e["step"], e["loss"]) for e in run.folder.events() if "loss" in e]
    assert [each[:2] for each in found] == [tuple(each[:2]) for each in wanted["losses"]]
    assert np.allclose([each[2] for each in found], [each[2] for each in wanted["losses"]], rtol=1e-4)
    # From now on it is a run of the present schema.
    assert tomllib.loads((kept / "run" / "experiment.toml").read_text())["schema_version"] == 2
    assert RunFolder.open(kept / "run", lock=False).settled_experiment().training.steps == 8
