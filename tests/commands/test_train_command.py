"""ptychoui train as a person meets it."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from commands.calls import Call, interrupt_at, some_images, without_geometry
from training.small import GEOMETRY, experiment, experiment_on_disk, same_state

from ptychoui import cli
from ptychoui.paths import sample_data
from ptychoui.settings import FpmExperiment, Geometry, load_experiment, to_toml
from ptychoui.training.evaluation import load_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.trainer import Trainer


def test_memory_of_the_whole_process_leaves_a_budget_for_steps(
    works: Call, refused: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychoui.engine import planner

    monkeypatch.setattr(planner, "resident_bytes", lambda: int(350e6))
    works("train", small, "-o", tmp_path / "run", "--steps", 1, "--memory", "1.25 GB")
    assert load_experiment(tmp_path / "run" / "experiment.toml").engine.memory_mb == pytest.approx(500)
    said = refused("train", small, "-o", tmp_path / "other", "--memory", "600MB")
    assert "take 750 MB of that" in said and "give 780MB or more" in said
    assert "has no unit" in refused("train", small, "-o", tmp_path / "other", "--memory", "600")
    refused("train", small, "-o", tmp_path / "other", "--memory", "-2GB")


def test_train_as_json_with_a_report(works: Call, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    values = works("train", small, "-o", run, "--json", "--report")
    assert values["state"] == "finished" and values["steps"] == 6 and values["run_folder"] == str(run)
    assert set(values["predicted_bytes"]) == {"store_all", "checkpoint", "offload", "binomial", "reversible"}
    assert values["strategy"] == "reversible" and values["certificate"].startswith("exact")
    assert all(math.isfinite(values[name]) for name in ("complex_error", "start_error", "loss", "held_out_loss"))
    assert Path(values["report"]) == run / "report.html" and (run / "report.html").is_file()
    assert {path.name for path in (run / "figures").iterdir()} == {
        "loss.png",
        "patterns.png",
        "reconstruction.png",
    }


def test_train_as_text_says_where_the_run_is(works: Call, small: Path, tmp_path: Path) -> None:
    out = works("train", small, "-o", tmp_path / "run", "--steps", 1)
    assert out.startswith("finished after 1 steps: held-out complex error") and str(tmp_path / "run") in out
    assert len(out.splitlines()) == 1


def test_an_unnamed_run_never_overwrites_another(
    works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [works("train", small, "--steps", 0, "--json")["run_folder"] for _ in range(3)]
    assert folders == [os.path.join("runs", name) for name in ("small", "small-2", "small-3")]


def test_resume_goes_on_to_the_same_bits(works: Call, small: Path, tmp_path: Path, finished: Path) -> None:
    run = tmp_path / "run"
    assert works("train", small, "-o", run, "--steps", 3, "--json")["steps"] == 3
    values = works("train", "--resume", "-o", run, "--steps", 6, "--json")
    whole = works("train", "--resume", "-o", finished, "--json")
    for name in ("state", "steps", "start_error", "complex_error"):
        assert values[name] == whole[name]
    same_state(load_run(run), load_run(finished))


def test_resume_never_moves_objects_between_training_and_score(
    refused: Call, works: Call, small: Path, tmp_path: Path, lattice: Path
) -> None:
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 1)
    state = (run / "state.npz").read_bytes()
    said = refused("train", "--resume", "-o", run, "--seed", 4)
    assert f"the run of {run} cannot go on: seed is 4, but the run was started with 3" in said
    lattice.write_text(lattice.read_text(encoding="utf-8").replace("height_mm = 40.0", "height_mm = 35.0"))
    said = refused("train", "--resume", "-o", run, "--geometry", lattice)
    assert "geometry.array.height_mm is 35.0, but the run was started with 40.0" in said
    settings = run / "experiment.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("holdout = 0.25", "holdout = 0.5"), encoding="utf-8")
    for words in (("train", "--resume", "-o", run), ("evaluate", run)):
        said = refused(*words)
        assert f"{settings} was edited: training.holdout is 0.5, but the run was started with 0.25" in said
    settings.write_text(text.replace("learning_rate = 0.03", "learning_rate = 0.01"), encoding="utf-8")
    assert (run / "state.npz").read_bytes() == state
    assert works("train", "--resume", "-o", run, "--seed", 3, "--steps", 2, "--json")["steps"] == 2
    assert load_experiment(settings).training.learning_rate == 0.01


def test_a_run_goes_on_where_its_data_were_moved_to(works: Call, beside: Path, tmp_path: Path) -> None:
    """What was said of the images stays with them."""
    text = beside.read_text(encoding="utf-8").replace("[data]", "[data]\nimages = {dark_level = 0.1}")
    beside.write_text(text, encoding="utf-8")
    run = tmp_path / "run"
    works("train", beside, "-o", run, "--steps", 1)
    (beside.parent / "s.tif").rename(tmp_path / "moved.tif")
    works("train", "--resume", "-o", run, "--data", tmp_path / "moved.tif", "--steps", 2)
    kept = load_experiment(run / "experiment.toml").data
    assert kept.path == str(tmp_path / "moved.tif") and kept.images is not None and kept.images.dark_level == 0.1


def test_a_file_of_somebody_is_not_overwritten(refused: Call, tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path)
    path.write_text("# my notes\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    before = path.read_bytes()
    said = refused("train", path, "-o", tmp_path)
    assert "holds a file experiment.toml that no run left" in said and str(tmp_path / "run") in said
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "events.jsonl").write_text("mine", encoding="utf-8")
    assert "holds a file events.jsonl" in refused("train", path, "-o", tmp_path / "log")
    assert path.read_bytes() == before and (tmp_path / "log" / "events.jsonl").read_text(encoding="utf-8") == "mine"


def test_resume_with_fewer_steps_than_done_changes_nothing(works: Call, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 4)
    state = (run / "state.npz").read_bytes()
    values = works("train", "--resume", "-o", run, "--steps", 2, "--json")
    assert values["steps"] == 4 and values["state"] == "finished"
    assert (run / "state.npz").read_bytes() == state


def test_a_longer_run_stays_longer(works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 1)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert works("train", "--resume", "-o", run, "--steps", 9, "--json")["state"] == "stopped"
    assert works("train", "--resume", "-o", run, "--json")["steps"] == 9


@pytest.mark.parametrize("strategy", ["store_all", "checkpoint", "binomial", "reversible"])
def test_every_strategy_learns_the_same(
    strategy: str, works: Call, small: Path, tmp_path: Path, finished: Path
) -> None:
    values = works("train", small, "-o", tmp_path / "run", "--strategy", strategy, "--json")
    assert values["strategy"] == strategy and bool(values["certificate"]) == (strategy == "reversible")
    same_state(load_run(tmp_path / "run"), load_run(finished))


CHANGES: dict[str, dict[str, Any]] = {
    "no dark field": {"design": {"dark_field_rows": 0}},
    "a batch larger than the set": {"training": {"batch": 1024}},
    "double precision": {"engine": {"precision": "float64"}},
    "plain gradient steps": {"network": {"update": "gradient"}, "engine": {"strategy": "checkpoint"}},
    "plain gradient steps, all stored": {"network": {"update": "gradient"}, "engine": {"strategy": "store_all"}},
    "published noise": {"measurement": {"noise": "published"}},
    "no noise": {"measurement": {"noise": "none"}},
    "loss of the amplitude": {"training": {"loss": "amplitude"}},
    "loss of the phase": {"training": {"loss": "phase"}},
    "steps chosen and learned": {"network": {"step": None, "learn_step": True}},
    "one unroll": {"network": {"unrolls": 1}},
    "one LED": {
        "geometry": {**GEOMETRY, "array": {**GEOMETRY["array"], "rows": 1, "columns": 1}},
        "design": {"dark_field_rows": 0},
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_experiments_off_the_beaten_track(name: str, works: Call, tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path / "e", **CHANGES[name])
    values = works("train", path, "-o", tmp_path / "run", "--steps", 2, "--json")
    assert values["steps"] == 2 and math.isfinite(values["complex_error"])
    assert works("evaluate", tmp_path / "run", "--json")["complex_error"] == values["complex_error"]


def test_no_step_at_all_reports_too(works: Call, small: Path, tmp_path: Path) -> None:
    values = works("train", small, "-o", tmp_path / "run", "--steps", 0, "--report", "--json")
    assert values["steps"] == 0 and values["complex_error"] == values["start_error"]


def test_names_with_spaces_and_signs_and_from_another_folder(
    works: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Übung 1 – 中文 'x' #%"
    path = experiment_on_disk(folder)
    path.write_text(to_toml(experiment(data={"path": "objects.h5"}, name="Übung / 1")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    relative = os.path.relpath(path)
    values = works("train", relative, "-o", "ein Lauf ☃", "--steps", 1, "--report", "--json")
    assert (tmp_path / "ein Lauf ☃" / "report.html").is_file() and values["steps"] == 1
    (tmp_path / "ein Lauf ☃").rename(tmp_path / "moved")
    assert works("train", "--resume", "-o", "moved", "--steps", 2, "--json")["steps"] == 2
    assert works("evaluate", "moved", "--data", f"{folder.name}/objects.h5", "--json")["objects"] == 8
    assert works("export", "moved", "--to", "csv", "-o", f"{folder.name}/a b.csv", "--json")["paths"]


def test_what_cannot_be_trained(
    refused: Call, small: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        assert "this machine has no CUDA GPU" in refused("train", small, "-o", run, "--device", "cuda")
    assert "'nope.toml'" in refused("train", "nope.toml", "-o", run)
    assert "which experiment" in refused("train", "-o", run)
    assert "which run?" in refused("train", "--resume")
    assert "already holds a run" in refused("train", small, "-o", finished)
    assert "--steps: -1 is below 0" in refused("train", small, "-o", run, "--steps", -1)
    assert "auto, cpu, cuda or cuda:N" in refused("train", small, "-o", run, "--device", "tpu")
    assert "there is no file" in refused("train", small, "-o", run, "--geometry", "nope.toml")
    assert "there is no file or folder" in refused("train", small, "-o", run, "--data", "nope.h5")
    assert "samples are" in refused("train", small, "-o", run, "--data", "sample:nope")
    assert "has no run.json" in refused("train", "--resume", "-o", run)
    assert not run.exists()


def test_data_alone_are_trained_on_with_settings_that_fit_them(
    works: Call, tmp_path: Path, lattice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine LEDs in the bright field only, images too small for the default tiles."""
    text = lattice.read_text(encoding="utf-8").replace("pitch_mm = 6.5", "pitch_mm = 3.0")
    (tmp_path / "my scan.geometry.toml").write_text(text, encoding="utf-8")
    tifffile.imwrite(tmp_path / "my scan.tif", some_images(size=40), photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    folder = Path(works("train", "--data", "my scan.tif", "--steps", 1, "--json")["run_folder"])
    kept = load_experiment(folder / "experiment.toml")
    assert folder == Path("runs/my-scan") and kept.name == "my scan" and kept.training.steps == 1
    assert kept.design.dark_field_rows == 0 and kept.data.tile_px == 16 and kept.training.margin_px == 4
    said = works("train", "--data", "sample:objects", "--geometry", "uconn_bloodsmear", "--steps", 0, "--json")
    assert said["steps"] == 0
    assert load_experiment(Path(said["run_folder"]) / "experiment.toml").data.tile_px == 32


def test_what_is_learned_from_is_drawn_and_a_score_is_called_what_it_is(
    tmp_path: Path, lattice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of noise: the first warning says so, and the last line does not look like progress."""
    tifffile.imwrite(tmp_path / "s.tif", some_images(size=48), photometric="minisblack")
    words = ("train", "--data", tmp_path / "s.tif", "--geometry", lattice, "-o", tmp_path / "run", "--steps", "1")
    assert cli.main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    lines = [line.strip() for line in err.replace("\r", "\n").splitlines() if "step/s" not in line and line.strip()]
    drawn = next(line for line in lines if "what is learned from is drawn in" in line)
    assert "amplitude residual" in drawn and (tmp_path / "run" / "truth.png").stat().st_size > 10_000
    assert lines[lines.index(drawn) + 1].startswith("warning: all 9 LEDs one by one reach a complex error of ")
    # The smooth prior makes an empty picture of noise, and the comparison recommends nothing that was learned.
    assert re.search(r"-> (0\.[89]\d+|[1-9]\.\d+, no better than an empty picture \(1\)), loss", out)
    assert "learned patterns are" in out or "neither the learned patterns nor" in out


def test_what_data_alone_become_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--data", "sample:stack", "--steps", "0", "-o", str(tmp_path / "run")]) == 0
    assert (
        "note: no experiment was given: 1 bright-field and 3 dark-field patterns, LEDs up to NA 0.15, beyond which"
        in capsys.readouterr().err
    )


def test_examples_are_known_by_name(refused: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their data are looked for where a person is, not where the program is installed."""
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "bloodsmear_red.mat") in refused("train", "bloodsmear_red")
    assert "first_light" in refused("train")
    assert "'second_light'" in refused("train", "second_light")


def test_files_that_are_no_experiments(refused: Call, lattice: Path) -> None:
    assert "is a geometry, not an experiment - give it with --geometry" in refused("train", lattice)
    assert "it is no text" in refused("train", sample_data() / "stack.ome.tif")


def test_more_threads_than_a_machine_has(refused: Call, small: Path, tmp_path: Path) -> None:
    """OpenMP ends the program where it finds no memory for them."""
    assert "at most" in refused("train", small, "-o", tmp_path / "run", "--threads", 10**9)


def test_an_experiment_that_says_nothing(refused: Call, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text("# nothing\n", encoding="utf-8")
    assert "e.toml is empty" in refused("train", tmp_path / "e.toml", "-o", tmp_path / "run")


@pytest.mark.parametrize("words", [("--strategy", "fast"), ("--seed", "-1"), ("--geometry", "{small}")])
def test_every_refusal_has_a_hint(words: tuple[str, ...], refused: Call, small: Path, tmp_path: Path) -> None:
    refused("train", small, "-o", tmp_path / "run", *(word.format(small=small) for word in words))


def test_an_unknown_strategy_lists_the_known_ones(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", str(small), "-o", str(tmp_path / "run"), "--strategy", "fast"]) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert all(word in err for word in ("'fast'", "store_all", "checkpoint", "binomial", "reversible"))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("objective_na = 0.2", "objective_na = 1.2", "objective NA 1.2 is not below the medium's refractive index 1"),
        ("pitch_mm = 6.5", "pitch_mm = 0", "LED pitch of 0 mm"),
        ("unrolls = 3", "unrolls = 3\nspeed = 9", "unknown setting network.speed"),
        ("unrolls = 3", 'unrolls = "three"', "network.unrolls"),
        ("unrolls = 3", "unrolls = ", "is not a valid TOML file"),
        ("tile_px = 8", "tile_px = 64", "the objects are 14 pixels wide"),
        ("margin_px = 1", "margin_px = 4", "leaves nothing of a tile of 8 pixels"),
        ("unrolls = 3", "unrolls = 3\nunrolls = 4", "is not a valid TOML file"),
        ('update = "heavy_ball"', 'update = "gradient"', "a plain gradient step has no exact inverse"),
        ("schema_version = 2", "schema_version = 3", "update ptychoui"),
        ("guard_na = 0.0", "guard_na = 0.4", "no LED lies in the bright field"),
    ],
)
def test_settings_that_cannot_be(
    before: str,
    after: str,
    message: str,
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the setting; whether it has a hint is asked elsewhere."""
    text = small.read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "e.toml"
    path.write_text(text.replace(before, after), encoding="utf-8")
    assert cli.main(["train", str(path), "-o", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert err.startswith("ptychoui: ") and message in err


def test_a_geometry_file_that_is_missing(refused: Call, small: Path, tmp_path: Path) -> None:
    text = without_geometry(small.read_text(encoding="utf-8"))
    path = tmp_path / "e.toml"
    path.write_text(text, encoding="utf-8")
    assert "carry no geometry" in refused("train", path, "-o", tmp_path / "run")
    path.write_text(text.replace("[data]", '[data]\ngeometry = "nope.toml"'), encoding="utf-8")
    message = refused("train", path, "-o", tmp_path / "run")
    assert "there is no file" in message and str(tmp_path / "nope.toml") in message


def test_a_run_that_could_not_start_leaves_its_name_free(refused: Call, works: Call, tmp_path: Path) -> None:
    bad = experiment_on_disk(tmp_path / "bad", network={"step": 5000.0})
    assert "diverged" in refused("train", bad, "-o", tmp_path / "run", started=True)
    works("train", experiment_on_disk(tmp_path / "good"), "-o", tmp_path / "run", "--steps", 0)


def test_a_run_that_cannot_be_set_up_gives_its_lock_back(
    refused: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = experiment_on_disk(tmp_path, design={"total_exposure": 0.01})
    create, made = RunFolder.create, []

    def watched(*values: Any) -> RunFolder:
        made.append(create(*values))
        return made[-1]

    monkeypatch.setattr(RunFolder, "create", watched)
    try:
        assert "total exposure of 0.01 frames" in refused("train", path, "-o", tmp_path / "run")
        assert all(folder._lock is None for folder in made)
    finally:
        for folder in made:
            folder.close()


def test_advice_can_be_followed(refused: Call, tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path, design={"guard_na": 0.4})
    assert "bright_field_rows = 0" not in refused("train", path, "-o", tmp_path / "run")


def test_an_allocation_that_fails_is_a_sentence(
    refused: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Trainer) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "_one_step", fail)
    message = refused("train", small, "-o", tmp_path / "run", started=True)
    assert "not enough memory" in message and "--strategy reversible" in message


# Found by breaking things --------------------------------------------------------------------------------


@pytest.fixture
def beside(small: Path, tmp_path: Path, lattice: Path) -> Path:
    """An experiment on a TIFF stack whose geometry lies beside it, in a folder that can be edited."""
    folder = tmp_path / "stack"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", some_images(size=32), photometric="minisblack")
    (folder / "s.geometry.toml").write_bytes(lattice.read_bytes())
    path = folder / "e.toml"
    text = re.sub(r"^path = .*$", 'path = "s.tif"', without_geometry(small.read_text(encoding="utf-8")), flags=re.M)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_measured_stack_with_its_geometry_beside_it(works: Call, beside: Path, tmp_path: Path) -> None:
    values = works("train", beside, "-o", tmp_path / "run", "--steps", 1, "--json")
    assert values["steps"] == 1 and math.isfinite(values["complex_error"])
    assert works("evaluate", tmp_path / "run", "--json")["reference"] == "full-stack reconstruction"


def test_a_run_keeps_the_geometry_it_was_learned_with(works: Call, beside: Path, tmp_path: Path) -> None:
    works("train", beside, "-o", tmp_path / "run", "--steps", 1)
    before = works("evaluate", tmp_path / "run", "--json")["complex_error"]
    geometry = beside.parent / "s.geometry.toml"
    text = geometry.read_text(encoding="utf-8")
    assert "height_mm = 40.0" in text
    geometry.write_text(text.replace("height_mm = 40.0", "height_mm = 35.0"), encoding="utf-8")
    assert works("evaluate", tmp_path / "run", "--json")["complex_error"] == before


def test_a_run_from_a_gpu_is_read_and_resumed_without_one(works: Call, small: Path, tmp_path: Path) -> None:
    """A CUDA generator's state has 16 bytes, a CPU's 5056; engine.device is auto in most experiments."""
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 1)
    folder = RunFolder.open(run)
    state = folder.load()
    assert state is not None
    folder.save(state | {"generator": np.arange(16, dtype=np.uint8)})
    folder.close()
    works("evaluate", run, "--json")
    works("export", run, "--to", "json", "-o", tmp_path / "x.json")
    assert works("train", "--resume", "-o", run, "--steps", 2, "--json")["steps"] == 2


def test_a_finished_run_whose_history_was_deleted(works: Call, small: Path, tmp_path: Path) -> None:
    works("train", small, "-o", tmp_path / "run", "--steps", 1)
    (tmp_path / "run" / "events.jsonl").unlink()
    assert "after 1 steps" in works("train", "--resume", "-o", tmp_path / "run", "--steps", 1)


def test_the_hint_for_other_data_without_a_geometry_can_be_followed(
    works: Call, beside: Path, small: Path, tmp_path: Path, lattice: Path
) -> None:
    works("train", beside, "-o", tmp_path / "run", "--steps", 1)
    works("evaluate", tmp_path / "run", "--data", small.parent / "objects.h5", "--geometry", lattice, "--json")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_dark_stack_is_refused_as_such(value: float, refused: Call, small: Path, tmp_path: Path) -> None:
    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.formats.native import save_hdf5

    images = np.full((9, 32, 32), value, np.float32)
    save_hdf5(tmp_path / "s.h5", ImageStack(images=images, led_numbers=np.arange(9), geometry=Geometry(**GEOMETRY)))
    message = refused("train", small, "--data", tmp_path / "s.h5", "-o", tmp_path / "run", started=True)
    assert "step size" not in message


def test_the_tile_size_that_is_advised_is_allowed(refused: Call, small: Path, tmp_path: Path) -> None:
    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.formats.native import save_hdf5

    images = some_images(size=12)
    save_hdf5(tmp_path / "s.h5", ImageStack(images=images, led_numbers=np.arange(9), geometry=Geometry(**GEOMETRY)))
    message = refused("train", small, "--data", tmp_path / "s.h5", "-o", tmp_path / "run")
    advised = re.search(r"data\.tile_px to at most (-?\d+)", message)
    assert advised is None or int(advised[1]) >= 8


def test_a_name_never_leaves_the_folder_of_runs(
    works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.toml"
    path.write_text(small.read_text(encoding="utf-8").replace('name = "small"', 'name = ".."'), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    works("train", path, "--steps", 0)
    assert not (tmp_path / "run.json").exists()


def test_an_experiment_beside_resume_is_not_ignored(refused: Call, works: Call, small: Path, tmp_path: Path) -> None:
    works("train", small, "-o", tmp_path / "run", "--steps", 0)
    refused("train", "nope.toml", "--resume", "-o", tmp_path / "run")


def test_a_setting_named_self(refused: Call, tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text("self = 1\n", encoding="utf-8")
    assert "self" in refused("train", tmp_path / "e.toml", "-o", tmp_path / "run")


def test_patterns_of_few_bits_and_few_leds(works: Call, refused: Call, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 1, "--drive-bits", 3, "--maximum-lit", 2)
    stored = RunFolder.open(run, lock=False).experiment()
    assert isinstance(stored, FpmExperiment)
    assert (stored.design.drive_bits, stored.design.maximum_lit) == (3, 2)
    said = works("export", run, "--to", "json", "--bits", 1, "-o", tmp_path / "p.json", "--json")["notes"]
    assert "levels of 3 bits" in said[0] and any("with 1-bit levels" in note for note in said)
    kept = json.loads((tmp_path / "p.json").read_text())["patterns"]
    assert all(0 < np.count_nonzero(row["levels"]) <= 2 for row in kept)
    assert all(np.allclose(7 * np.array(row["levels"]), np.round(7 * np.array(row["levels"]))) for row in kept)
    assert "drive_bits" in refused("train", small, "--drive-bits", 17, "-o", tmp_path / "no")
    assert "--maximum-lit: 0 is below 1" in refused("train", small, "--maximum-lit", 0)
    assert "design.drive_bits is 1" in refused("train", "--resume", "-o", run, "--drive-bits", 1, started=True)
