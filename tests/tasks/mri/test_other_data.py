"""K-space from the command line in the place of an experiment's: what is learned from it, and how it judges a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.mri.test_mri_task import experiment
from tasks.mri.test_sources import heads

from ptychoui.cli import main
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import RunError, SettingsError
from ptychoui.mri.metrics import nrmse
from ptychoui.mri.sampling import draw_mask
from ptychoui.mri.simulate import simulate
from ptychoui.settings import blank_experiment, load_experiment, to_toml
from ptychoui.tasks.mri.reconstructing import reconstruct_with_run
from ptychoui.tasks.mri.task import build_task, on_other_data
from ptychoui.training.evaluation import evaluate_run, load_run
from ptychoui.training.runs import new_run


def undersampled(data: KSpaceSet, **changes: Any) -> KSpaceSet:
    mask = draw_mask("poisson_disc", "2d", data.space, 2.0, 12, np.random.default_rng(2))[None].repeat(len(data), 0)
    return replace(data, **{"sampled": mask, "k_space": data.k_space * mask[:, None], **changes})


def written(folder: Path, data: KSpaceSet, name: str = "other.h5") -> str:
    write_kspace(folder / name, data)
    return str(folder / name)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on phantoms whose maps are stated."""
    made = new_run(experiment(training={"steps": 2}), tmp_path / "run")
    list(made.run())
    assert made.folder is not None
    made.folder.close()
    return tmp_path / "run"


def test_settings_follow_what_the_file_holds(tmp_path: Path) -> None:
    start = experiment(sampling={"calibration": 12})
    bare = {"truth": None, "maps": None, "support": None}
    whole = on_other_data(start, written(tmp_path, heads(3)), None)
    assert (whole.sampling, whole.training.supervision, whole.data.maps) == (start.sampling, "truth", "stated")
    assert whole.data.path == str(tmp_path / "other.h5")
    some = on_other_data(start, written(tmp_path, undersampled(heads(3))), None)
    assert (some.sampling.pattern, some.training.supervision, some.data.maps) == ("measured", "truth", "stated")
    alone = on_other_data(start, written(tmp_path, undersampled(heads(3), **bare)), None)
    assert (alone.sampling.pattern, alone.training.supervision, alone.data.maps) == ("measured", "samples", "estimated")
    # Back to patterns and a truth, where a file has all samples again.
    again = on_other_data(alone, written(tmp_path, heads(3, **bare)), None)
    assert (again.sampling.pattern, again.training.supervision) == ("variable_density", "truth")
    frames = simulate("cine", "heart", 1, (4, 24, 20), 3, np.random.default_rng(1), snr_db=30.0)
    assert on_other_data(start, written(tmp_path, frames), None).data.acquisition == "cine"
    assert on_other_data(start, "sample:heads", None).data.path == "sample:heads"
    assert on_other_data(start, None, None) == start
    for task in (whole, some, alone, again):
        written(tmp_path, heads(3) if task.sampling.pattern != "measured" else undersampled(heads(3)))
        assert len(build_task(task).training) > 0


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    learned = experiment(sampling={"learn": True})
    with pytest.raises(SettingsError, match="lines cannot be learned, or learned ones tried"):
        on_other_data(learned, written(tmp_path, undersampled(heads(2))), None)
    with pytest.raises(SettingsError, match="--geometry belongs to microscopes"):
        on_other_data(experiment(), None, "geometry.toml")
    with pytest.raises(SettingsError, match="no experiment of multi-channel MRI"):
        on_other_data(blank_experiment(), None, None)


def test_all_examples_of_another_file_judge_a_run(run: Path, tmp_path: Path) -> None:
    """Against the images that the run gives of the same samples, and the truth of the file."""
    data = undersampled(heads(3, source_of=(0, 0, 0)))  # of one object, which could not be divided
    path = written(tmp_path, data)
    found = evaluate_run(run, path)
    assert (found["objects"], found["reference"], found["data"]) == (3, "true images", path)
    images = reconstruct_with_run(run, data)
    errors = [nrmse(*one) for one in zip(images, data.truth, data.support, strict=True)]  # type: ignore[arg-type]
    assert found["nrmse"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert load_run(run, path).task.data_sha256 != load_run(run).task.data_sha256


def test_samples_left_out_judge_where_there_is_no_truth(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, undersampled(heads(2), truth=None, maps=None))
    assert main(["evaluate", str(run), "--data", path]) == 0
    assert "2 held-out objects against samples that were left out: error 0." in capsys.readouterr().out


def test_whole_k_space_without_a_truth_is_its_own(run: Path, tmp_path: Path) -> None:
    found = evaluate_run(run, written(tmp_path, heads(2, truth=None)))
    assert found["reference"] == "true images" and found["objects"] == 2
    assert any("all samples" in note for note in found["notes"])


def test_k_space_of_another_kind_does_not_fit_a_run(run: Path, tmp_path: Path) -> None:
    frames = simulate("cine", "heart", 2, (4, 24, 20), 3, np.random.default_rng(1), snr_db=30.0, with_maps=True)
    with pytest.raises(RunError, match="does not fit") as error:
        evaluate_run(run, written(tmp_path, frames))
    assert "kind" in error.value.hint


def test_the_command_line_learns_from_it_and_goes_on_where_it_was_moved_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    small = experiment(training={"steps": 2, "splits": 2})
    (tmp_path / "small.toml").write_text(to_toml(small), encoding="utf-8")
    written(tmp_path, undersampled(heads(1), truth=None))
    assert main(["train", "small.toml", "--data", "other.h5", "-o", "run"]) == 0
    stored = load_experiment("run/experiment.toml")
    assert stored.training.supervision == "samples" and stored.data.path == str(tmp_path / "other.h5")
    (tmp_path / "other.h5").rename(tmp_path / "moved.h5")
    assert main(["train", "--resume", "-o", "run", "--data", "moved.h5", "--steps", "3"]) == 0
    assert "finished after 3 steps" in capsys.readouterr().out
    assert load_experiment("run/experiment.toml").data.path == str(tmp_path / "moved.h5")


@pytest.mark.parametrize(
    "words", [("--geometry", "g.toml"), ("--crop", "0", "0", "8"), ("--drive-bits", "2"), ("--maximum-lit", "3")]
)
def test_words_for_microscopes_are_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(to_toml(experiment()), encoding="utf-8")
    assert main(["train", str(tmp_path / "small.toml"), *words, "-o", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert (
        said
        == f"ptychoui: {words[0]} belongs to microscopes, and 'heads' is an experiment of kind 'mri' - leave it out"
    )
    assert not (tmp_path / "run").exists()


def test_k_space_alone_needs_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", written(tmp_path, heads(1))]) == 2
    assert "needs an experiment" in capsys.readouterr().err
