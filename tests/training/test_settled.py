"""What may change while a run goes on, and what was settled when it started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from training.small import GEOMETRY, experiment, experiment_on_disk

from ptychoui.errors import RunError
from ptychoui.settings import FpmExperiment, Settings, load_experiment, to_toml
from ptychoui.training.evaluation import evaluate_run, load_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.settled import MAY_CHANGE, differences
from ptychoui.training.trainer import Trainer

SETTLED: dict[str, dict[str, Any]] = {
    "seed": {"seed": 7},
    "training.holdout": {"training": {"holdout": 0.5}},
    "training.margin_px": {"training": {"margin_px": 2}},
    "training.loss": {"training": {"loss": "phase"}},
    "data.tile_px": {"data": {"tile_px": 10}},
    "data.pad_px": {"data": {"pad_px": 2}},
    "data.tiles": {"data": {"tiles": 5}},
    "data.images": {"data": {"images": {"dark_level": 1.0}}},
    "geometry.microscope.objective_na": {
        "geometry": GEOMETRY | {"microscope": GEOMETRY["microscope"] | {"objective_na": 0.21}}
    },
    "measurement.noise": {"measurement": {"noise": "none"}},
    "design.dark_field_rows": {"design": {"dark_field_rows": 2}},
    "design.learn_exposure": {"design": {"learn_exposure": False}},
    "design.drive_bits": {"design": {"drive_bits": 1}},
    "design.maximum_lit": {"design": {"maximum_lit": 2}},
    "network.unrolls": {"network": {"unrolls": 4}},
    "network.step": {"network": {"step": 0.1}},
    "network.learn_step": {"network": {"learn_step": False}},
}
FREE: dict[str, dict[str, Any]] = {
    "the name": {"name": "other"},
    "steps": {"training": {"steps": 4}},
    "batch": {"training": {"batch": 3}},
    "learning rate": {"training": {"learning_rate": 0.01}},
    "schedule": {"training": {"schedule": "cosine"}},
    "scores": {"training": {"validate_every": 1}},
    "saves": {"training": {"save_every_s": 1.0}},
    "strategy": {"engine": {"strategy": "checkpoint"}},
    "precision": {"engine": {"precision": "float64"}},
    "checks": {"engine": {"check_every": 1}},
}


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, to be copied."""
    folder = tmp_path_factory.mktemp("settled")
    trainer = new_run(load_experiment(experiment_on_disk(folder, training={"steps": 2})), folder / "run")
    list(trainer.run())
    _close(trainer)
    return folder / "run"


@pytest.fixture
def run(two_steps: Path, tmp_path: Path) -> Path:
    """A run of two steps."""
    return Path(shutil.copytree(two_steps, tmp_path / "run"))


def _close(trainer: Trainer) -> None:
    assert trainer.folder is not None
    trainer.folder.close()


def _changed(run: Path, sections: dict[str, Any]) -> FpmExperiment:
    """The run's settings with some sections changed, as somebody would edit them."""
    table = RunFolder.open(run, lock=False).experiment().model_dump()
    for name, value in sections.items():
        table[name] = table[name] | value if isinstance(value, dict) else value
    return FpmExperiment(**table)


@pytest.mark.parametrize("name", SETTLED)
@pytest.mark.parametrize("how", ["asked for", "edited"])
def test_a_run_does_not_go_on_with_another_split_start_or_aim(run: Path, name: str, how: str) -> None:
    changed = _changed(run, SETTLED[name])
    before = (run / "state.npz").read_bytes()
    edited = how == "edited"
    if edited:
        (run / "experiment.toml").write_text(to_toml(changed), encoding="utf-8")
    said = "experiment.toml was edited: " if edited else "cannot go on: "
    with pytest.raises(RunError, match=f"{said}{name} is ") as error:
        resume_run(run, changes=lambda stored: stored if edited else changed)
    assert "new run" in error.value.hint and (run / "state.npz").read_bytes() == before
    RunFolder.open(run).close()  # the lock was given back


@pytest.mark.parametrize("name", FREE)
def test_a_run_goes_on_with_other_steps_rates_and_ways(run: Path, name: str) -> None:
    changed = _changed(run, FREE[name])
    trainer = resume_run(run, changes=lambda _stored: changed.replace(training=changed.training.replace(steps=4)))
    list(trainer.run())
    _close(trainer)
    assert load_run(run).step == 4
    _close(resume_run(run))


def test_a_score_on_objects_that_were_learned_from_is_refused(run: Path) -> None:
    (run / "experiment.toml").write_text(to_toml(_changed(run, {"seed": 7})), encoding="utf-8")
    with pytest.raises(RunError, match="edited: seed is 7, but the run was started with 3") as error:
        evaluate_run(run)
    assert "set it back" in error.value.hint


def test_settings_that_were_set_back_are_taken(run: Path) -> None:
    text = (run / "experiment.toml").read_text(encoding="utf-8")
    (run / "experiment.toml").write_text(text.replace("seed = 3", "seed = 7"), encoding="utf-8")
    (run / "experiment.toml").write_text("# as before\n" + text, encoding="utf-8")
    assert evaluate_run(run)["steps"] == 2


def test_a_run_of_a_version_that_kept_no_settings_goes_on(run: Path) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del record["experiment"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate_run(run)["steps"] == 2
    longer = _changed(run, {"training": {"steps": 3}})
    _close(resume_run(run, changes=lambda _stored: longer))
    with pytest.raises(RunError, match="seed is 7"):
        resume_run(run, changes=lambda stored: stored.replace(seed=7))


@pytest.mark.parametrize("written", [5, "seed = ", "seed = -1", "nonsense = 1"])
def test_a_damaged_copy_of_the_settings_is_a_sentence(run: Path, written: object) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(record | {"experiment": written}), encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json is damaged") as error:
        load_run(run)
    assert error.value.hint


def _names(settings: type[BaseModel], section: str = "") -> Iterator[str]:
    for name, field in settings.model_fields.items():
        yield section + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from _names(field.annotation, f"{section}{name}.")


def test_what_may_change_are_settings() -> None:
    assert set(_names(FpmExperiment)) >= MAY_CHANGE


def test_long_values_and_tables_are_not_spelled_out() -> None:
    table = {"kind": "table", "height_mm": 40.0, "positions_mm": [[float(i), 0.0, 0.0] for i in range(-20, 21)]}
    long = experiment(geometry={"array": table})
    other = experiment(geometry={"array": table | {"positions_mm": [[0.0, 0.0, 0.0]]}})
    for now, then in ((long, other), (long, long.replace(geometry=None))):
        (found,) = differences(now, then)
        assert str(found).endswith("is not what the run was started with") and len(str(found)) < 90
