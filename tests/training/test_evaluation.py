"""Runs opened for reading: scores, other data, other designs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training.small import experiment_on_disk, objects, same_state

from ptychoui.data.formats.native import save_hdf5
from ptychoui.errors import DataError, RunError
from ptychoui.export.quantise import quantise
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm.objectives import LOSSES, scores
from ptychoui.tasks.fpm.rescoring import rescored
from ptychoui.training.evaluation import evaluate_run, load_run
from ptychoui.training.events import Validated
from ptychoui.training.gradients import reconstruct_batch
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    folder = tmp_path_factory.mktemp("trained")
    trainer = new_run(load_experiment(experiment_on_disk(folder)), folder / "run")
    list(trainer.run())
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer


def _path(trained: Trainer) -> Path:
    assert trained.folder is not None
    return trained.folder.path


def test_a_run_comes_back_as_it_was(trained: Trainer) -> None:
    loaded = load_run(_path(trained))
    same_state(trained, loaded)
    assert loaded.folder is None and loaded.step == 6


def test_reading_takes_no_lock_and_writes_nothing(trained: Trainer) -> None:
    path = _path(trained)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    held = RunFolder.open(path)
    try:
        evaluate_run(path)
    finally:
        held.close()
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_scores_are_those_of_the_last_validation(trained: Trainer) -> None:
    values = evaluate_run(_path(trained))
    assert trained.folder is not None
    last = [event for event in trained.folder.events() if event["kind"] == "validated"][-1]
    for name in ("complex_error", "amplitude_error", "phase_error_rad"):
        assert values[name] == last[name]
    assert values["objects"] == len(trained.task.held_out) and values["steps"] == 6


def test_scores_are_means_over_objects_by_hand(trained: Trainer) -> None:
    problem = trained.task
    generator = torch.Generator().manual_seed(1)
    found = reconstruct_batch(problem, trained.network, trained.parameters, problem.held_out, generator)
    by_hand = scores(problem.object_of(found), problem.held_out.truth)
    assert evaluate_run(_path(trained))["complex_error"] == pytest.approx(float(by_hand.complex_error.mean()), rel=1e-6)


def test_all_of_another_set_judges_held_out_first(trained: Trainer, tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    save_hdf5(path, replace(objects(), objects=objects().objects[:6], sources=objects().sources[:6]))
    values = evaluate_run(_path(trained), str(path))
    assert values["objects"] == 6 and values["data"] == str(path)
    assert values["complex_error"] != evaluate_run(_path(trained))["complex_error"]


def test_notes_of_other_data_do_not_tell_of_a_split(trained: Trainer) -> None:
    values = evaluate_run(_path(trained), trained.task.experiment.data.path)
    assert values["objects"] == 8 and not any("held out" in note for note in values["notes"])


def test_the_experiment_of_another_data_set_keeps_the_learned_step(trained: Trainer) -> None:
    loaded = load_run(_path(trained), trained.task.experiment.data.path)
    assert torch.equal(loaded.parameters.step, trained.parameters.step)


def test_a_moved_run_is_still_read_and_moved_data_is_a_sentence(tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path / "e")
    trainer = new_run(load_experiment(path), tmp_path / "run")
    next(event for event in trainer.run() if isinstance(event, Validated))
    trainer._save()
    assert trainer.folder is not None
    trainer.folder.close()
    shutil.move(tmp_path / "run", tmp_path / "there")
    assert evaluate_run(tmp_path / "there")["steps"] == 0
    shutil.move(tmp_path / "e", tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no file or folder"):
        evaluate_run(tmp_path / "there")
    assert evaluate_run(tmp_path / "there", str(tmp_path / "elsewhere" / "objects.h5"))["objects"] == 8


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        load_run(tmp_path)
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path)), tmp_path / "run")
    assert trainer.folder is not None
    trainer.folder.close()
    with pytest.raises(RunError, match="no saved state yet"):
        evaluate_run(tmp_path / "run")


def test_rescoring_the_run_s_own_design_changes_nothing(trained: Trainer) -> None:
    loaded = load_run(_path(trained))
    values = evaluate_run(_path(trained))
    again = rescored(loaded, *loaded.task.design_arrays(loaded.parameters))
    assert all(again[name] == pytest.approx(values[name], rel=1e-6) for name in again)
    same_state(loaded, trained)


def test_fine_levels_cost_nothing_and_dark_patterns_cost_everything(trained: Trainer) -> None:
    levels, exposures = trained.task.design_arrays(trained.parameters)
    raw = rescored(trained, levels, exposures)["complex_error"]
    fine = quantise(levels, 16)
    assert rescored(trained, fine.levels, exposures * fine.exposure_scale)["complex_error"] == pytest.approx(
        raw, rel=0.02
    )
    assert rescored(trained, np.zeros_like(levels), exposures)["complex_error"] != pytest.approx(raw, rel=0.02)


def test_resuming_after_reading_is_possible(trained: Trainer) -> None:
    load_run(_path(trained))
    again = resume_run(_path(trained))
    assert again.step == 6 and again.folder is not None
    again.folder.close()


@pytest.mark.parametrize("loss", ["complex", "amplitude", "phase"])
def test_the_held_out_loss_is_the_loss_that_is_trained(loss: str, tmp_path: Path) -> None:
    """Both are drawn on one axis: a curve of other units would tell nothing."""
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path, training={"loss": loss})), None)
    validated = trainer.validate()
    made = trainer.task
    found = reconstruct_batch(
        made, trainer.network, trainer.parameters, made.held_out, torch.Generator().manual_seed(1)
    )
    expected = LOSSES[loss](made.object_of(found), made.held_out.truth).mean()
    assert validated.loss == pytest.approx(float(expected), rel=1e-5)
