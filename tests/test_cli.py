"""Every command as a person meets it: words in, one result on stdout, one sentence and a hint where something fails."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tqdm
from scipy.io import savemat
from training.small import GEOMETRY, experiment, experiment_on_disk, same_state

from ptychoui import cli
from ptychoui.data.files import sha256_file
from ptychoui.experiment import Geometry, load_experiment, load_geometry, to_toml
from ptychoui.export.formats import FORMATS
from ptychoui.paths import sample_data
from ptychoui.training.evaluation import load_run
from ptychoui.training.problem import build_problem
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.trainer import Trainer, new_run, resume_run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command installs signal handlers and a monitor of its progress bar: neither outlives a test."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


Call = Callable[..., Any]


@pytest.fixture
def works(capsys: pytest.CaptureFixture[str]) -> Call:
    """``works(words...)``: run a command that succeeds; its stdout, parsed where --json was asked for."""

    def call(*words: object) -> Any:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        # json.loads takes one object and nothing else; NaN is no JSON.
        return json.loads(out, parse_constant=_no_json) if "--json" in words else out

    return call


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Call:
    """``refused(words...)``: run a command that fails; its one sentence with a hint.

    With ``started`` the run may have reported progress before.
    """

    def call(*words: object, started: bool = False) -> str:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert started or len(lines) == 1, err
        assert lines[-1].startswith("ptychoui: ") and err.count("ptychoui: ") == 1
        message, _, hint = lines[-1].removeprefix("ptychoui: ").partition(" - ")
        assert message and hint, lines[-1]
        return lines[-1]

    return call


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment on disk."""
    return experiment_on_disk(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def finished(small: Path) -> Path:
    """A finished run of it, to be read only."""
    trainer = new_run(load_experiment(small), small.parent / "finished")
    list(trainer.run())
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer.folder.path


@pytest.fixture
def lattice(tmp_path: Path) -> Path:
    """A geometry file of nine LEDs."""
    path = tmp_path / "g.toml"
    path.write_text(to_toml(Geometry(**GEOMETRY)), encoding="utf-8")
    return path


def _images(count: int = 9, size: int = 24) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (0.5 + rng.random((count, size, size))).astype(np.float32)


# info ----------------------------------------------------------------------------------------------------


def test_info_as_text_and_as_json(works: Call) -> None:
    stack = sample_data() / "stack.ome.tif"
    text = works("info", stack)
    assert "81 images of 96 x 96 pixels" in text and "synthetic NA" in text
    values = works("info", stack, "--json")
    assert values["kind"] == "LED stack" and values["images"] == 81 and values["sha256"] == sha256_file(stack)
    assert values["derived"]["led_count"] == 81


def test_info_of_every_led(works: Call) -> None:
    stack = sample_data() / "stack.ome.tif"
    lines = works("info", stack, "--leds").splitlines()
    assert lines[-1].split()[0] == "80" and lines[-1].split()[7] == "dark"
    values = works("info", stack, "--leds", "--json")
    assert [led["number"] for led in values["leds"]] == list(range(81)) and values["leds"][40]["na"] == 0


def test_info_of_objects_without_a_geometry_says_what_to_give(works: Call, small: Path, lattice: Path) -> None:
    objects = small.parent / "objects.h5"
    assert "--geometry" in works("info", objects)
    values = works("info", objects, "--geometry", lattice, "--json")
    assert values["objects"] == 8 and values["derived"]["led_count"] == 9


def test_negative_pixels_are_legal_and_counted(works: Call, tmp_path: Path, lattice: Path) -> None:
    images = _images()
    images[3, 2, :5] = -0.25
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    values = works("info", tmp_path / "s.tif", "--geometry", lattice, "--json")
    assert values["negative_pixels"] == 5 and values["intensity_min"] < 0
    assert any("5 pixels are below zero" in note for note in values["notes"])


# presets -------------------------------------------------------------------------------------------------


def test_presets_are_listed_and_made_into_a_geometry(works: Call, tmp_path: Path) -> None:
    text = works("presets")
    assert re.search(r"^  sci_round +SCI Round, 257 LEDs$", text, re.M) and "  tian2014 " in text
    values = works("presets", "--json")
    assert {"zheng2013", "kellman2019"} <= {preset["key"] for preset in values["microscopes"]}
    assert values["arrays"][0]["array"]["height_mm"] > 0
    assert "To be measured: height" in works("presets", "--array", "sci_round")
    path = tmp_path / "g.toml"
    assert works("presets", "--microscope", "ntnu_10x", "--array", "panel_32x32_p6", "-o", path).strip() == str(path)
    found = load_geometry(path)
    assert found.microscope.objective_na == 0.28 and found.array.colour == "green"
    assert path.read_text().startswith("# NTNU pyFPM, 10x / 0.28\n")


def test_presets_that_are_not_there(refused: Call, tmp_path: Path) -> None:
    assert "no preset 'moon'" in refused("presets", "--array", "moon")
    assert "--microscope and --array" in refused("presets", "--array", "sci_round", "-o", tmp_path / "g.toml")


# simulate ------------------------------------------------------------------------------------------------


def _pinned() -> bool:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        try:
            if name in ("numpy", "scipy", "scikit-image", "h5py", "tifffile"):
                if importlib.metadata.version(name) != version:
                    return False
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def test_simulate_makes_the_committed_sample_data_again(works: Call, tmp_path: Path) -> None:
    values = works("simulate", "-o", tmp_path / "made", "--seed", 0, "--json")
    made = {Path(path).name: digest for path, digest in values["files"].items()}
    assert values["seed"] == 0 and set(made) == {"objects.h5", "stack.ome.tif"}
    stated = dict(re.findall(r"\| (\S+) \| `([0-9a-f]{64})` \|", (sample_data() / "README.md").read_text()))
    assert {name: sha256_file(sample_data() / name) for name in made} == stated
    geometry = "stack.geometry.toml"
    assert (tmp_path / "made" / geometry).read_bytes() == (sample_data() / geometry).read_bytes()
    if not _pinned():
        pytest.skip("other versions of the packages may round otherwise")
    assert made == stated


def test_another_seed_makes_other_data(works: Call, tmp_path: Path) -> None:
    lines = works("simulate", "-o", tmp_path / "other", "--seed", 1).splitlines()
    assert len(lines) == 2
    for line in lines:
        digest, path = line.split("  ")
        assert digest == sha256_file(path) != sha256_file(sample_data() / Path(path).name)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_simulate_where_a_file_is(place: str, refused: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    refused("simulate", "-o", tmp_path / place)


def test_simulate_with_a_negative_seed(refused: Call, tmp_path: Path) -> None:
    assert "seed" in refused("simulate", "-o", tmp_path / "made", "--seed", -1)


# objects -------------------------------------------------------------------------------------------------


def test_objects_of_images_and_a_set_are_learned_from(works: Call, small: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "images").mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / "images" / name, rng.random((48, 48)).astype(np.float32))
    made = tmp_path / "made.h5"
    words = ("objects", tmp_path / "images", small.parent / "objects.h5", "-o", made, "--per-source", 3, "--seed", 4)
    values = works(*words, "--size", 26, "--json")
    assert values["objects"] == 2 * 3 + 8 and values["size_px"] == 26 and values["pixel_size_um"] == 0.25
    assert values["sources"] == ["a.tif", "b.tif", "source 0", "source 1", "source 2", "source 3"]
    assert works("info", made).splitlines()[0].endswith("14 complex objects of 26 pixels of 0.25 um from 6 sources")
    line = works("train", small, "--data", made, "--steps", 1, "-o", tmp_path / "run")
    assert line.startswith("finished after 1 steps")
    folder = RunFolder.open(tmp_path / "run", lock=False)
    assert folder.experiment().data.path == str(made)
    problem = build_problem(folder.experiment())
    assert problem.split == ("2 of 6 source images are held out",)
    assert not set(problem.training.sources) & set(problem.held_out.sources)


def test_objects_that_cannot_be_made(refused: Call, tmp_path: Path) -> None:
    assert "holds no images" in refused("objects", tmp_path, "-o", tmp_path / "made.h5")
    assert "no file or folder" in refused("objects", tmp_path / "nowhere", "-o", tmp_path / "made.h5")
    assert "output" in refused("objects", "simulation")


# train ---------------------------------------------------------------------------------------------------


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
        _interrupt_at(patch, 3)
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


def test_a_word_where_a_number_is_due(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(small), "-o", str(tmp_path / "run"), "--steps", "many"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "--steps" in told and "ptychoui train --help" in told


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
        ("schema_version = 1", "schema_version = 2", "update ptychoui"),
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
    text = _without_geometry(small.read_text(encoding="utf-8"))
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


# Stopping, full disks, locks -----------------------------------------------------------------------------


def _interrupt_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C while the given step is computed; -1 while the start is scored."""
    one_step, validate = Trainer._one_step, Trainer.validate

    def step(self: Trainer) -> Any:
        if self.step == at:
            os.kill(os.getpid(), signal.SIGINT)
        return one_step(self)

    def first(self: Trainer) -> Any:
        if at < 0:
            os.kill(os.getpid(), signal.SIGINT)
        return validate(self)

    monkeypatch.setattr(Trainer, "_one_step", step)
    monkeypatch.setattr(Trainer, "validate", first)


def test_ctrl_c_keeps_everything_and_the_run_goes_on(
    works: Call, small: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _interrupt_at(patch, 4)
        values = works("train", small, "-o", tmp_path / "run", "--json")
    assert values["state"] == "stopped" and values["steps"] == 4
    assert works("train", "--resume", "-o", tmp_path / "run", "--json")["steps"] == 6
    same_state(load_run(tmp_path / "run"), load_run(finished))


def test_ctrl_c_with_a_report(works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupt_at(monkeypatch, 2)
    values = works("train", small, "-o", tmp_path / "run", "--report", "--json")
    assert values["state"] == "stopped" and Path(values["report"]).is_file()


def test_ctrl_c_before_the_first_score(
    works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_at(monkeypatch, -1)
    assert "stopped" in works("train", small, "-o", tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_ctrl_c_in_a_process_of_its_own(works: Call, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", str(small), "-o", str(run), "--steps", "100000", "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "ptychoui.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while child.poll() is None and not (run / "state.previous.npz").exists():
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, err
    values = json.loads(out)
    assert values["state"] == "stopped" and values["steps"] > 0 and "Traceback" not in err
    again = works("train", "--resume", "-o", run, "--steps", values["steps"] + 1, "--json")
    assert again["steps"] == values["steps"] + 1 and again["start_error"] == values["start_error"]


def test_a_full_disk_in_the_middle_of_a_run(
    refused: Call, works: Call, small: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if (run / "state.npz").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        message = refused("train", small, "-o", run, started=True)
    assert "the disk is full" in message and "free some space" in message
    assert not list(run.glob(".*.tmp"))
    trainer = resume_run(run)
    assert trainer.step == 0 and trainer.folder is not None
    trainer.folder.close()
    assert works("train", "--resume", "-o", run, "--json")["steps"] == 6
    same_state(load_run(run), load_run(finished))


def test_a_run_that_another_process_works_on(refused: Call, works: Call, small: Path, tmp_path: Path) -> None:
    works("train", small, "-o", tmp_path / "run", "--steps", 1)
    held = RunFolder.open(tmp_path / "run")
    try:
        assert "is working on" in refused("train", "--resume", "-o", tmp_path / "run")
        # Reading needs no lock.
        works("evaluate", tmp_path / "run", "--json")
    finally:
        held.close()
    works("train", "--resume", "-o", tmp_path / "run")


def test_a_run_from_a_newer_version(refused: Call, works: Call, small: Path, tmp_path: Path) -> None:
    works("train", small, "-o", tmp_path / "run", "--steps", 0)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"format_version": 2}))
    for words in (("train", "--resume", "-o"), ("evaluate",), ("export", "--to", "csv", "-o", "x.csv")):
        assert "update ptychoui" in refused(*words, tmp_path / "run")


def test_a_run_without_a_state_or_with_a_damaged_one(refused: Call, works: Call, small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    works("train", small, "-o", run, "--steps", 0)
    (run / "state.npz").write_bytes((run / "state.npz").read_bytes()[:200])
    assert "no saved state" in refused("evaluate", run)
    (run / "state.npz").unlink()
    assert "holds no saved state yet" in refused("export", run, "--to", "csv", "-o", tmp_path / "x.csv")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_where_the_run_folder_should_be(place: str, refused: Call, small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    assert "cannot make the folder" in refused("train", small, "-o", tmp_path / place)


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_folder_that_must_not_be_written(
    call: str, refused: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not bind every user who tests, so the system's refusal is put on."""
    real = getattr(Path, call)

    def forbidden(self: Path, *values: Any, **named: Any) -> Any:
        if "run" in self.parts and tmp_path in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, *values, **named)

    monkeypatch.setattr(Path, call, forbidden)
    assert "Permission denied" in refused("train", small, "-o", tmp_path / "run")


# evaluate ------------------------------------------------------------------------------------------------


def test_evaluate_with_and_without_other_data(works: Call, finished: Path, small: Path) -> None:
    values = works("evaluate", finished, "--json")
    assert values["objects"] == 2 and values["steps"] == 6 and values["reference"] == "simulated objects"
    other = works("evaluate", finished, "--data", small.parent / "objects.h5", "--json")
    assert other["objects"] == 8 and other["complex_error"] != values["complex_error"]
    assert works("evaluate", finished).startswith("2 held-out objects against simulated objects")


def test_evaluate_on_what_does_not_fit(refused: Call, finished: Path, tmp_path: Path) -> None:
    assert "81 images but the array in the geometry has 9 LEDs" in refused(
        "evaluate", finished, "--data", "sample:stack"
    )
    assert "there is no file or folder" in refused("evaluate", finished, "--data", "nope.h5")
    assert "has no run.json" in refused("evaluate", tmp_path)


# export --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", FORMATS)
def test_export_to_every_format(to: str, works: Call, finished: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out{FORMATS[to].suffix}"
    values = works("export", finished, "--to", to, "-o", target, "--json")
    assert values["paths"] and all(Path(path).is_file() for path in values["paths"])
    if FORMATS[to].bits:
        assert values["bits"] == FORMATS[to].bits
        assert math.isfinite(values["complex_error_raw"]) and math.isfinite(values["complex_error_quantised"])
        assert any("-bit levels the held-out complex error goes from" in note for note in values["notes"])
    else:
        assert "bits" not in values
    lines = works("export", finished, "--to", to, "-o", target).splitlines()
    assert lines == values["paths"]


def test_what_cannot_be_exported(refused: Call, finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "x"
    assert "unknown export format 'svg'" in refused("export", finished, "--to", "svg", "-o", target)
    assert "--bits: 0 is below 1" in refused("export", finished, "--to", "json", "-o", target, "--bits", 0)
    assert "99 bits" in refused("export", finished, "--to", "json", "-o", target, "--bits", 99)
    assert "raw levels" in refused("export", finished, "--to", "csv", "-o", target, "--bits", 8)
    assert "make the folder first" in refused("export", finished, "--to", "csv", "-o", target / "x.csv")
    assert "folder or a device" in refused("export", finished, "--to", "csv", "-o", tmp_path)
    target.write_text("a file", encoding="utf-8")
    assert "cannot make the folder" in refused("export", finished, "--to", "png", "-o", target)


# Files that cannot be read -------------------------------------------------------------------------------


def test_stacks_that_cannot_be_read(refused: Call, tmp_path: Path, lattice: Path) -> None:
    def info(name: str) -> str:
        message: str = refused("info", tmp_path / name, "--geometry", lattice)
        return message

    tifffile.imwrite(tmp_path / "whole.tif", _images(), photometric="minisblack")
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    assert re.search("cut short|damaged", info("cut.tif"))
    savemat(tmp_path / "whole.mat", {"imlow_HDR": _images().transpose(1, 2, 0)})
    content = (tmp_path / "whole.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(content[: len(content) // 2])
    assert re.search("cut short|damaged", info("cut.mat"))
    tifffile.imwrite(tmp_path / "eight.tif", _images(8), photometric="minisblack")
    assert "holds 8 images but the array in the geometry has 9 LEDs" in info("eight.tif")
    images = _images()
    images[4, 3, 3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", images, photometric="minisblack")
    message = info("nan.tif")
    assert "1 pixels are NaN or infinite, the first in image 4" in message and "negative pixels are fine" in message
    (tmp_path / "empty.tif").write_bytes(b"")
    assert "is empty (0 bytes)" in info("empty.tif")
    (tmp_path / "folder").mkdir()
    assert "holds no TIFF or PNG files" in info("folder")
    (tmp_path / "text.txt").write_text("hello", encoding="utf-8")
    assert "is of an unknown kind" in info("text.txt")
    assert "there is no file or folder" in info("nope.tif")


def test_a_name_that_is_too_long(refused: Call) -> None:
    refused("info", "a" * 300)


def test_a_geometry_that_cannot_be(refused: Call, tmp_path: Path, lattice: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", _images(), photometric="minisblack")
    text = lattice.read_text(encoding="utf-8")

    def info(before: str, after: str) -> str:
        assert before in text
        (tmp_path / "bad.toml").write_text(text.replace(before, after), encoding="utf-8")
        message: str = refused("info", tmp_path / "s.tif", "--geometry", tmp_path / "bad.toml")
        return message

    assert "is not below the medium's refractive index" in info("objective_na = 0.2", "objective_na = 1.0")
    assert "LED pitch of 0 mm" in info("pitch_mm = 6.5", "pitch_mm = 0.0")
    assert "not a valid TOML file" in info("[array]", "[array")
    assert "unknown setting" in info("[array]", "[array]\nshade = 3")


def test_info_without_a_geometry_lists_what_is_missing(works: Call, refused: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", _images(), photometric="minisblack")
    values = works("info", tmp_path / "s.tif", "--json")
    assert values["missing"][:2] == ["microscope.objective_na", "microscope.magnification"]
    text = works("info", tmp_path / "s.tif")
    assert "images: 9 of 24 x 24 pixels - from the pages" in text and "  array.pitch_mm " in text
    (tmp_path / "part.toml").write_text(
        "\n".join(line.strip() for line in text.rpartition("--geometry:\n")[2].split("\n"))
    )
    # The lines that are asked for are whole TOML: 15 x 15 LEDs stand there as an example.
    assert "holds 9 images but the array" in refused("info", tmp_path / "s.tif", "--geometry", tmp_path / "part.toml")
    (tmp_path / "part.toml").write_text("[array]\npitch_mm = 4.0\n")
    values = works("info", tmp_path / "s.tif", "--geometry", tmp_path / "part.toml", "--json")
    assert "array.pitch_mm" not in values["missing"]


def test_a_led_outside_the_grid(refused: Call, works: Call, tmp_path: Path, small: Path) -> None:
    """A stack whose LED numbers the array does not have, and an array above the sample."""
    from dataclasses import replace

    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.formats.native import save_hdf5

    stack = ImageStack(images=_images(), led_numbers=np.arange(1, 10), geometry=Geometry(**GEOMETRY))
    save_hdf5(tmp_path / "s.h5", stack)
    message = refused("train", small, "--data", tmp_path / "s.h5", "-o", tmp_path / "run")
    assert "LED" in message and "numbers" in message
    save_hdf5(tmp_path / "ok.h5", replace(stack, led_numbers=np.arange(9)))
    assert works("info", tmp_path / "ok.h5", "--json")["led_numbers"] == [0, 8]


# bench and doctor ----------------------------------------------------------------------------------------

TINY = ("--unrolls", 3, 5, "--leds", 37, "--measurements", 2, "--size", 32, "--repeats", 1, "--device", "cpu")
PUBLISHED = ["published back-propagation", "published memory-efficient"]


def test_bench_engine(works: Call) -> None:
    values = works("bench", "engine", *TINY, "--json")
    rows = values["rows"]
    ours = ["store_all", "checkpoint", "offload", "binomial", "reversible", "inverse", "greedy"]
    names = ["autograd store_all", "torch checkpoint", *ours, *PUBLISHED]
    assert [(row["unrolls"], row["strategy"]) for row in rows] == [(n, name) for n in (3, 5) for name in names]
    for row in rows:
        assert row.keys() >= {"size", "seconds", "peak_extra_bytes", "gradient_error", "certificate", "drift"}
        assert row["size"] == 32 and row["seconds"] > 0 and row["peak_extra_bytes"] > 0
        if row["strategy"] in ("checkpoint", "reversible", "store_all"):
            assert row["gradient_error"] == 0
        assert row["certificate"].startswith("exact") == (row["strategy"] == "reversible")
        assert row["strategy"] == "greedy" or row["gradient_error"] < 1e-2
    assert values["leds"] == 37 and values["measurements"] == 2 and values["device"] == "cpu"
    assert len(works("bench", "engine", *TINY).splitlines()) == 2 + len(rows)


def test_what_cannot_be_measured(refused: Call) -> None:
    assert "the lattice has 1 to" in refused("bench", "engine", *TINY, "--leds", 100000, started=True)
    assert "--unrolls: 0 is below 1" in refused("bench", "engine", *TINY, "--unrolls", 0)


@pytest.mark.parametrize(
    "words",
    [("--device", "tpu"), ("--repeats", 0), ("--measurements", 0), ("--threads", -1)],
    ids=lambda words: " ".join(str(word) for word in words),
)
def test_numbers_of_bench_engine_that_cannot_be(words: tuple[object, ...], refused: Call) -> None:
    refused("bench", "engine", *TINY, *words, started=True)


def test_bench_peers(works: Call) -> None:
    words = ("bench", "peers", "--unrolls", 2, "--size", 8, "--repeats", 1, "--gain", 1)
    values = works(*words, "--json")
    assert values["size"] == 8 and values["gain"] == 1 and values["repeats"] == 1
    assert {row["depth"] for row in values["rows"]} == {2, 1}
    assert len(works(*words).splitlines()) == 2 + len(values["rows"])


def test_bench_memory_and_leds(works: Call, refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.bench import memory
    from ptychoui.bench.resident import Measured

    measured = Measured(resident_bytes=2_000_000, metered_bytes=1_000_000, seconds=3.0)
    monkeypatch.setattr(memory, "measure_pass", lambda *_words, **_more: measured)
    for name, values in {"SIZES": (64,), "LEDS": (21,), "UNROLLS": (2, 3), "BATCHES": (1, 2)}.items():
        monkeypatch.setattr(memory, name, values)
    words = ("bench", "memory", "--configurations", 2, "--seed", 4, "--least-mb", 1)
    found = works(*words, "--json")
    assert found["seed"] == 4 and len(found["rows"]) == 2 and found["rows"][0]["predicted"] >= 1_000_000
    assert works(*words).splitlines()[-1].startswith("worst: ")
    words = ("bench", "leds", "--leds", 21, 37, "--size", 64, "--budget-mb", 50, "--unrolls", 2, "--batch", 2)
    found = works(*words, "--json")
    assert found["budget_bytes"] == 50_000_000 and found["growth"]["resident"] == 0
    assert [row["configuration"]["leds"] for row in found["rows"]] == [21, 37]
    assert {row["configuration"]["batch"] for row in found["rows"]} == {2} and found["rows"][0][
        "seconds_per_unroll"
    ] == 1.5
    assert works(*words).splitlines()[-1].startswith("growth: ")
    assert "a pass needs at least" in refused(
        "bench", "leds", "--leds", 21, "--size", 64, "--budget-mb", 0.1, started=True
    )


def test_doctor(works: Call) -> None:
    values = works("doctor", "--json")
    assert values["ok"] is True and all(values["checks"].values())
    text = works("doctor")
    assert text.count("[ok]") == len(values["checks"]) and "FAILED" not in text


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["train", "--help"], ["bench", "--help"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
        assert "ptychoui" in capsys.readouterr().out


def test_a_file_without_a_screen(refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "has_screen", lambda: False)
    assert "there is no screen" in refused("stack.tif")
    assert "there is no screen" in refused("gui", "stack.tif")


def test_an_allocation_that_fails_is_a_sentence(
    refused: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Trainer) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "_one_step", fail)
    message = refused("train", small, "-o", tmp_path / "run", started=True)
    assert "not enough memory" in message and "--strategy reversible" in message


# Found by breaking things --------------------------------------------------------------------------------


def _without_geometry(text: str) -> str:
    """An experiment's text without its geometry tables."""
    lines, skip = [], False
    for line in text.splitlines():
        skip = line.startswith("[geometry") if line.startswith("[") else skip
        lines += [] if skip else [line]
    return "\n".join(lines) + "\n"


@pytest.fixture
def beside(small: Path, tmp_path: Path, lattice: Path) -> Path:
    """An experiment on a TIFF stack whose geometry lies beside it, in a folder that can be edited."""
    folder = tmp_path / "stack"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", _images(size=32), photometric="minisblack")
    (folder / "s.geometry.toml").write_bytes(lattice.read_bytes())
    path = folder / "e.toml"
    text = re.sub(r"^path = .*$", 'path = "s.tif"', _without_geometry(small.read_text(encoding="utf-8")), flags=re.M)
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

    images = _images(size=12)
    save_hdf5(tmp_path / "s.h5", ImageStack(images=images, led_numbers=np.arange(9), geometry=Geometry(**GEOMETRY)))
    message = refused("train", small, "--data", tmp_path / "s.h5", "-o", tmp_path / "run")
    advised = re.search(r"data\.tile_px to at most (-?\d+)", message)
    assert advised is None or int(advised[1]) >= 8


@pytest.mark.parametrize(
    "array",
    [
        'kind = "table"\npositions_mm = []',
        'kind = "rings"\nring_radii_mm = [1.0]\nring_counts = [0]',
        'kind = "lattice"\nrows = 3\ncolumns = 3\npitch_mm = 4.0\ndisc = true\ncenter_row = 50.0',
    ],
    ids=["table", "rings", "disc"],
)
def test_an_array_without_leds(array: str, refused: Call, small: Path, tmp_path: Path) -> None:
    microscope = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.2\nmagnification = 10.0\ncamera_pixel_um = 5.0\n"
    (tmp_path / "g.toml").write_text(f"{microscope}[array]\nheight_mm = 40.0\n{array}\n", encoding="utf-8")
    assert "LED" in refused("info", small.parent / "objects.h5", "--geometry", tmp_path / "g.toml")


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
