"""Greedy learning on two processes: the bits of one process, one sentence where a process is killed, and refusals."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks.mri.test_mri_task import experiment
from training.started import children, same_state, together

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.update import Update
from ptychoui.errors import SettingsError
from ptychoui.settings import load_experiment, to_toml
from ptychoui.tasks.mri.task import build_task
from ptychoui.training.pipelined import PipelinedTrainer
from ptychoui.training.process_group import started_together
from ptychoui.training.runs import new_run, resume_run

ENGINE = {"strategy": "greedy", "modules": 3, "module_optimisers": "each"}


def greedy(**sections: Any) -> Any:
    network = {"shared": False, "unrolls": 6, **sections.pop("network", {})}
    engine = {**ENGINE, **sections.pop("engine", {})}
    return experiment(network=network, engine=engine, **sections)


def written(folder: Path, **sections: Any) -> Path:
    path = folder / "greedy.toml"
    path.write_text(to_toml(greedy(**sections)), encoding="utf-8")
    return path


def one_process(path: Path, folder: Path, **training: Any) -> None:
    settings = load_experiment(path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run = new_run(settings.replace(training=settings.training.replace(**training)), folder)
        list(run.run())
    finally:
        torch.set_num_threads(threads)
    assert run.folder is not None
    run.folder.close()


def test_two_processes_give_the_bits_of_one(tmp_path: Path) -> None:
    """Weights, moments and random states after 20 batches of 3 modules with momentum, and the history of losses."""
    path = written(tmp_path, training={"steps": 20, "validate_every": 10, "schedule": "cosine"})
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "finished after 20 steps" in said, said
    one_process(path, tmp_path / "one")
    same_state(tmp_path / "one", tmp_path / "two")
    events = [
        [line for line in (tmp_path / name / "events.jsonl").read_text().splitlines() if '"loss"' in line]
        for name in ("one", "two")
    ]
    import json

    losses = [[json.loads(line)["loss"] for line in lines] for lines in events]
    assert losses[0] == losses[1] and len(losses[0]) == 23
    # One process takes up what two began.
    resumed = resume_run(tmp_path / "two", changes=lambda e: e.replace(training=e.training.replace(steps=21)))
    list(resumed.run())
    assert resumed.step == 21 and resumed.folder is not None
    resumed.folder.close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_killed_process_ends_the_run_with_a_sentence_and_it_resumes_to_the_same_bits(tmp_path: Path) -> None:
    path = written(tmp_path, training={"steps": 4000, "validate_every": 20})
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    deadline = time.monotonic() + 120
    while not (tmp_path / "two" / "state.previous.npz").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    killed = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and time.monotonic() - killed < 30
    assert "another process of this run has ended" in said, said
    with np.load(tmp_path / "two" / "state.npz") as state:
        reached = int(state["step"])
    assert 0 < reached < 4000 and reached % 20 == 0
    words = ["train", "--resume", "-o", str(tmp_path / "two"), "--steps", str(reached + 20)]
    resumed = together(2, *words)
    said, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, said
    one_process(path, tmp_path / "one", steps=reached + 20)
    same_state(tmp_path / "one", tmp_path / "two")


class Two:
    rank, size = 0, 2


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"engine": {"strategy": "reversible"}}, "strategy reversible cannot be divided among 2 processes"),
        ({"engine": {"module_optimisers": "one"}}, "cannot be divided among 2 processes"),
        ({"network": {"shared": True}}, "share what they learn"),
        ({"sampling": {"learn": True}}, "share what they learn"),
        ({"engine": {"modules": 1}}, "1 greedy modules cannot be divided among 2"),
    ],
)
def test_runs_that_cannot_be_divided_are_refused(sections: dict[str, Any], words: str) -> None:
    trainer = PipelinedTrainer(build_task(greedy(**sections)))
    with pytest.raises(SettingsError, match=words) as error:
        trainer.join(Two())  # type: ignore[arg-type]
    assert error.value.hint


def test_a_process_alone_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started_together() == 0
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert started_together() == 0, "another launcher's variable"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    assert started_together() == 4
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(SettingsError, match="not a number"):
        started_together()


@pytest.mark.parametrize("update", [HeavyBall("1/2"), Nesterov(0.5), Plain()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_a_state_that_is_sent_is_the_state_that_arrives(update: Update, dtype: torch.dtype) -> None:
    """After more steps than a word of the heavy ball's remainder holds, bit for bit, and it goes on alike."""
    x = torch.randn(3, 4, dtype=dtype, generator=torch.manual_seed(1))
    state = update.start(x)
    for step in range(70):
        update.advance(state, 0.01 * torch.randn(3, 4, dtype=dtype, generator=torch.manual_seed(step)))
    number, tensors = update.pack(state)
    buffers = update.buffers(x, len(tensors))
    for buffer, tensor in zip(buffers, tensors, strict=True):
        assert buffer.shape == tensor.shape and buffer.dtype == tensor.dtype
        buffer.copy_(tensor)
    arrived = update.unpack(x, number, buffers)
    for each in (state, arrived):
        update.advance(each, torch.ones(3, 4, dtype=dtype))
        update.check(each)
    assert torch.equal(update.output(state), update.output(arrived))
    if isinstance(update, HeavyBall):
        assert len(tensors) > 4 and update.same(state, arrived)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_ctrl_c_stops_all_processes_with_the_same_batch_and_loses_no_step(tmp_path: Path) -> None:
    """Scores are far apart: nobody waits for the next one, and what was learned since the last is kept."""
    path = written(tmp_path, training={"steps": 4000, "validate_every": 4000})
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    deadline = time.monotonic() + 120
    while not (tmp_path / "two" / "state.npz").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(1.0)
    for pid in children(process.pid).values():
        os.kill(pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    with np.load(tmp_path / "two" / "state.npz") as state:
        reached = int(state["step"])
    assert process.returncode == 0 and f"stopped after {reached} steps" in said, said
    assert 0 < reached < 4000
    one_process(path, tmp_path / "one", steps=reached)
    same_state(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_run_that_cannot_be_divided_says_why_and_leaves_its_name_free(tmp_path: Path) -> None:
    path = written(tmp_path, engine={"modules": 1})
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "1 greedy modules cannot be divided among 2 processes" in said, said
    assert said.count("ptychoui:") == 1
    assert not (tmp_path / "two").exists()
