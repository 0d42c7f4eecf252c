"""A process killed without warning, at random moments: the run folder always opens and the run goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training.small import experiment_on_disk, same_state

from ptychoui.settings import load_experiment
from ptychoui.training.events import Finished
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer

SETTINGS = {"training": {"steps": 400, "validate_every": 2}}
CHILD = """
import sys, warnings
import torch
from ptychoui.settings import load_experiment
from ptychoui.training.runs import new_run, resume_run
torch.set_num_threads(1)
experiment, run, mode = sys.argv[1:]
trainer = resume_run(run) if mode == "resume" else new_run(load_experiment(experiment), run)
for event in trainer.run():
    print(event.step, flush=True)
"""


def kill_after(lines: int, experiment: Path, run: Path) -> None:
    """Start or resume the run in a process of its own and kill it after so many events and a little more."""
    mode = "resume" if (run / "run.json").exists() else "new"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(experiment), str(run), mode], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        for _ in range(lines):
            assert child.stdout.readline(), "the run ended by itself"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()


def kill_many_times(folder: Path, times: int) -> Trainer:
    chance = random.Random(times)
    experiment, run = experiment_on_disk(folder, **SETTINGS), folder / "run"
    steps = []
    for _ in range(times):
        kill_after(chance.randint(9, 25), experiment, run)
        trainer = resume_run(run)
        steps.append(trainer.step)
        assert trainer.folder is not None
        history = [event["step"] for event in trainer.folder.events()]
        assert history == sorted(history) and (not history or history[-1] <= trainer.step)
        assert [event["step"] for event in trainer.folder.events() if event["kind"] == "step"] == list(
            range(1, trainer.step + 1)
        )
        trainer.folder.close()
    assert steps == sorted(steps) and steps[-1] > 0
    return trainer


def go_on_and_compare(folder: Path, trainer: Trainer) -> None:
    """Four more steps after the last kill are those of a run that was never killed."""

    def finish(experiment_changes: int) -> Trainer:
        return resume_run(
            folder / "run",
            changes=lambda e: e.replace(training=e.training.replace(steps=experiment_changes)),
        )

    total = trainer.step + 4
    killed = finish(total)
    assert isinstance(list(killed.run())[-1], Finished)
    whole = new_run(
        load_experiment(experiment_on_disk(folder / "whole", training={"steps": total, "validate_every": 2})), None
    )
    list(whole.run())
    same_state(whole, killed)
    assert killed.folder is not None
    killed.folder.close()


def test_a_run_survives_kills(tmp_path: Path) -> None:
    go_on_and_compare(tmp_path, kill_many_times(tmp_path, 2))


@pytest.mark.slow
def test_a_run_survives_twenty_kills(tmp_path: Path) -> None:
    go_on_and_compare(tmp_path, kill_many_times(tmp_path, 20))
