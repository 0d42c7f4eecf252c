"""Runs that are stopped, kept, scored and exported."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands.calls import Call, interrupt_at
from training.small import experiment_on_disk, same_state

from ptychoui.export.formats import FORMATS
from ptychoui.training.evaluation import load_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import resume_run


def test_ctrl_c_keeps_everything_and_the_run_goes_on(
    works: Call, small: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        values = works("train", small, "-o", tmp_path / "run", "--json")
    assert values["state"] == "stopped" and values["steps"] == 4
    assert works("train", "--resume", "-o", tmp_path / "run", "--json")["steps"] == 6
    same_state(load_run(tmp_path / "run"), load_run(finished))


def test_ctrl_c_with_a_report(works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 2)
    values = works("train", small, "-o", tmp_path / "run", "--report", "--json")
    assert values["state"] == "stopped" and Path(values["report"]).is_file()


def test_ctrl_c_before_the_first_score(
    works: Call, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, -1)
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


def test_a_run_folder_with_too_long_a_name(refused: Call, small: Path, tmp_path: Path) -> None:
    assert "cannot make the folder" in refused("train", small, "-o", tmp_path / ("r" * 300))
    refused("train", "--resume", "-o", tmp_path / ("r" * 300))
    refused("evaluate", tmp_path / ("r" * 300))
    assert "is not a run folder" in refused("evaluate", small)


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


@pytest.mark.parametrize("update", ["learned_momentum", "nesterov"])
def test_export_of_every_update_rule(update: str, works: Call, tmp_path: Path) -> None:
    """What quantising costs is told by the run's own network, its learned numbers included."""
    path = experiment_on_disk(tmp_path, network={"update": update}, engine={"strategy": "checkpoint"})
    works("train", path, "-o", tmp_path / "run", "--steps", 2)
    values = works("export", tmp_path / "run", "--to", "json", "--bits", 8, "-o", tmp_path / "p.json", "--json")
    assert values["complex_error_raw"] == pytest.approx(works("evaluate", tmp_path / "run", "--json")["complex_error"])


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
