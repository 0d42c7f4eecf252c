"""Batches shared by processes: the bits of one process, however many there are, also after some were killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tasks.mri.test_mri_task import experiment as mri_experiment
from training.small import experiment, objects
from training.started import children, same_state, together

from ptychoui.commands.resuming import newest
from ptychoui.data.formats.native import save_hdf5
from ptychoui.engine.planner import Option
from ptychoui.errors import RunError, SettingsError, StopRequested
from ptychoui.settings import Experiment, load_experiment, to_toml
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.divided import FAILED, STOPPED, WELL, DividedTrainer, trainer_for
from ptychoui.training.gradients import Found, loss_and_gradients
from ptychoui.training.pipelined import PipelinedTrainer
from ptychoui.training.runs import new_run
from ptychoui.training.trainer import Trainer

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


def written(folder: Path, settings: Experiment) -> Path:
    path = folder / "shared.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    return path


def small(folder: Path, **training: Any) -> Experiment:
    data = save_hdf5(folder / "objects.h5", objects())
    values = {"batch": 3, "steps": 20, "validate_every": 10, "compare": False, **training}
    return experiment(data={"path": str(data)}, training=values)


def in_one_process(path: Path, folder: Path, **training: Any) -> None:
    settings = load_experiment(path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        engine = settings.engine.replace(objects_at_once=1)
        run = new_run(settings.replace(engine=engine, training=settings.training.replace(**training)), folder)
        list(run.run())
    finally:
        torch.set_num_threads(threads)
    assert run.folder is not None
    run.folder.close()


@pytest.mark.parametrize("kind", ["microscope", "mri"])
def test_one_and_two_processes_learn_the_same_bits(kind: str, tmp_path: Path) -> None:
    """Parameters, moments and random states after 20 steps, and every loss and score in the history."""
    training = {"batch": 2, "steps": 20, "validate_every": 10, "compare": False}
    settings = small(tmp_path) if kind == "microscope" else mri_experiment(training=training)
    path = written(tmp_path, settings)
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "finished after 20 steps" in said, said
    in_one_process(path, tmp_path / "one")
    same_state(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_one_three_and_four_processes_learn_the_same_bits(tmp_path: Path) -> None:
    path = written(tmp_path, small(tmp_path, batch=4))
    for processes in (1, 3, 4):
        process = together(processes, "train", str(path), "-o", str(tmp_path / f"of-{processes}"))
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        same_state(tmp_path / "of-1", tmp_path / f"of-{processes}")


def in_the_middle(process: Any, folder: Path) -> None:
    """Wait until a run has steps behind it."""
    deadline = time.monotonic() + 120
    while not (folder / "state.npz").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def reached(folder: Path) -> int:
    with np.load(folder / "state.npz") as state:
        return int(state["step"])


@LINUX
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_processes_lose_nothing_that_was_saved(kills: int, tmp_path: Path) -> None:
    """Whichever is killed, whenever: the others end, a sentence says why, and the run goes on to the same bits."""
    path = written(tmp_path, small(tmp_path, steps=100_000, validate_every=5))
    chance = random.Random(4)
    before, words = -1, ["train", str(path), "-o", str(tmp_path / "two")]
    for _ in range(kills):
        process = together(2, *words)
        in_the_middle(process, tmp_path / "two")
        time.sleep(chance.uniform(2.0, 9.0))
        victim = chance.randrange(2)
        while victim not in (there := children(process.pid)):
            time.sleep(0.05)
        os.kill(there[victim], signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        told = "another process of this run has ended" in said or "stopped" in said
        assert told or victim == 0 or "step/s" not in said, said
        assert "Traceback" not in said.split("torch/distributed/elastic")[0], said
        assert reached(tmp_path / "two") >= before
        before = reached(tmp_path / "two")
        words = ["train", "--resume", "-o", str(tmp_path / "two")]
    last = before + 7
    resumed = together(2, *words, "--steps", str(last))
    said, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, said
    in_one_process(path, tmp_path / "one", steps=last)
    same_state(tmp_path / "one", tmp_path / "two")


@LINUX
@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again_by_itself(tmp_path: Path) -> None:
    path = written(tmp_path, small(tmp_path, steps=150, validate_every=5))
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"), again=1)
    in_the_middle(process, tmp_path / "two")
    os.kill(children(process.pid)[1], signal.SIGKILL)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "finished after 150 steps" in said, said
    in_one_process(path, tmp_path / "one")
    same_state(tmp_path / "one", tmp_path / "two")


@LINUX
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_whichever_process_is_asked_to_stop_all_end_with_the_same_step(rank: int, tmp_path: Path) -> None:
    path = written(tmp_path, small(tmp_path, steps=100_000))
    process = together(2, "train", str(path), "-o", str(tmp_path / "two"))
    in_the_middle(process, tmp_path / "two")
    time.sleep(0.5)
    os.kill(children(process.pid)[rank], signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "stopped after" in said, said
    step = reached(tmp_path / "two")
    assert step > 0
    in_one_process(path, tmp_path / "one", steps=step)
    same_state(tmp_path / "one", tmp_path / "two")


class Alone:
    """A group of two whose other process says what it is told to."""

    rank, size = 0, 2

    def __init__(self, says: float = WELL) -> None:
        self.says, self.shared = says, 0

    def share(self, tensors: list[torch.Tensor], _owner: int) -> None:
        self.shared += len(tensors)

    def number(self, value: float, owner: int) -> float:
        return value if owner == 0 else self.says


def joined(group: Alone, **sections: Any) -> DividedTrainer:
    trainer = DividedTrainer(task(**sections))
    trainer.join(group)  # type: ignore[arg-type]
    return trainer


def task(**sections: Any) -> FpmTask:
    return build_task(experiment(**sections), dataset=objects())


def test_runs_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(SettingsError, match="batch of 1 cannot be divided among 2"):
        joined(Alone(), training={"batch": 1})
    with pytest.raises(SettingsError, match="strategy greedy cannot be divided"):
        joined(Alone(), engine={"strategy": "greedy", "modules": 3})
    with pytest.raises(RunError, match="process 1 of 2 has other data or settings"):
        joined(Alone(FAILED))


def test_every_process_does_its_own_part_alone() -> None:
    trainer = joined(Alone())
    assert trainer._own([lambda place=place: 10 * place for place in range(5)]) == {0: 0, 2: 20, 4: 40}


def test_a_process_with_other_settings_than_the_first_one_is_refused() -> None:
    class Second(Alone):
        rank = 1

        def share(self, tensors: list[torch.Tensor], owner: int) -> None:
            tensors[0].add_(1)  # the first one's is another

        def number(self, value: float, owner: int) -> float:
            return value if owner == 1 else WELL

    with pytest.raises(RunError, match="process 1 of 2 has other data or settings"):
        joined(Second())


def test_a_step_that_another_process_could_not_do_is_not_done() -> None:
    trainer = joined(Alone())
    trainer._use(trainer._plan())
    before = trainer.parameters.levels.clone()
    for says, error in ((STOPPED, StopRequested), (FAILED, RunError)):
        trainer.group.says = says  # type: ignore[attr-defined]
        with pytest.raises(error):
            list(trainer._one_step())
        assert trainer.step == 0 and torch.equal(trainer.parameters.levels, before)


def test_memory_that_runs_out_is_told_as_such_and_not_tried_again() -> None:
    trainer = joined(Alone())

    def full() -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    with pytest.raises(Exception, match="process 0 of 2 ran out of memory") as error:
        trainer._own([full, full])
    assert not isinstance(error.value, RuntimeError)


def test_the_others_plan_what_the_first_one_chose() -> None:
    class Second(Alone):
        rank = 1
        answers: ClassVar = [2.0, 1.0, 1.0]

        def number(self, value: float, owner: int) -> float:
            return self.answers.pop(0) if owner == 0 else value

    trainer = DividedTrainer(task())
    trainer.group = Second()  # type: ignore[assignment]
    from ptychoui.engine.strategies import STRATEGIES

    name = list(STRATEGIES)[2]
    assert trainer._plan().option == Option(
        strategy=name, peak=0, effort=0.0, objects=1, variant=trainer.task.variants[1]
    )


def test_parts_are_added_up_in_their_order_whoever_found_them() -> None:
    """Shares that come from elsewhere and in another order of work give the gradients of one process."""
    whole = task(training={"batch": 4})
    batch, parameters = whole.training.pick([0, 3, 1, 2]), whole.parameters()
    given = (whole, whole.network(), "reversible", parameters, batch)

    def backwards(bounds: Any, part: Any, room: Any) -> Any:
        found: dict[Any, Found] = {one: part(*one) for one in reversed(bounds)}
        for one in bounds:
            empty = room(*one)
            assert empty.x.shape == found[one].x.shape
            assert {n: t.shape for n, t in empty.inputs.items()} == {n: t.shape for n, t in found[one].inputs.items()}
            yield found[one]

    generator = torch.Generator()
    alone = loss_and_gradients(*given, generator.manual_seed(1), examples_at_once=1)
    shared = loss_and_gradients(*given, generator.manual_seed(1), examples_at_once=1, shares=backwards)
    assert alone.loss == shared.loss
    assert all(torch.equal(alone.gradients[name], shared.gradients[name]) for name in alone.gradients)


def test_parts_of_different_sizes_count_by_their_examples() -> None:
    whole = task(training={"batch": 3})
    batch, parameters = whole.training.pick([0, 3, 1]), whole.parameters()
    given = (whole, whole.network(), "reversible", parameters, batch)
    generator = torch.Generator()
    at_once = loss_and_gradients(*given, generator.manual_seed(1))
    in_parts = loss_and_gradients(*given, generator.manual_seed(1), examples_at_once=2)
    assert in_parts.loss == pytest.approx(at_once.loss, rel=1e-5)
    for name, gradient in at_once.gradients.items():
        torch.testing.assert_close(in_parts.gradients[name], gradient, rtol=1e-3, atol=1e-6)


def test_which_trainer_a_run_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    monkeypatch.setenv("WORLD_SIZE", "2")
    greedy = task(engine={"strategy": "greedy", "modules": 3})
    assert type(trainer_for(task())) is DividedTrainer
    assert type(trainer_for(greedy)) is PipelinedTrainer
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert type(trainer_for(greedy)) is Trainer


def test_the_newest_of_folders_that_are_numbered(tmp_path: Path) -> None:
    assert newest(str(tmp_path / "run")) == tmp_path / "run"
    for name in ("run", "run-2", "run-3", "run-5"):
        (tmp_path / name).mkdir()
    assert newest(str(tmp_path / "run")) == tmp_path / "run-3"
