"""Does depth pay: the same time for every depth, both solvers, failures that are shown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training.small import experiment, experiment_on_disk, problem

from ptychoui import cli
from ptychoui.bench import clocks
from ptychoui.bench.design import depth
from ptychoui.bench.design.depth import Run, TimedTrainer, learn, settings_for, summarise, table
from ptychoui.bench.design.grid import LEARNING_STEPS, Tuned, _errors_at, tune
from ptychoui.errors import EngineError, SettingsError
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.judges import solver_errors
from ptychoui.training.gradients import evaluate
from ptychoui.training.trainer import Trainer


def tuned(unrolls: int = 3, step: float = 0.2) -> Tuned:
    return Tuned(step=step, momentum="7/8", unrolls=unrolls, error=0.5)


class Clock:
    """A second passes with every optimiser step, and a hundred while a design is scored."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        one_step, validate = Trainer._one_step, Trainer.validate

        def timed(trainer: Trainer) -> Any:
            self.now += 1.0
            yield from one_step(trainer)

        def slow(trainer: Trainer) -> Any:
            self.now += 100.0
            return validate(trainer)

        patch.setattr(Trainer, "_one_step", timed)
        patch.setattr(Trainer, "validate", slow)
        patch.setitem(clocks.CLOCKS, "wall", self)

    def __call__(self) -> float:
        return self.now


def test_as_many_steps_as_fit_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    run = learn(problem(), tuned(), 4.0, 3, 1.5, clock=clock)
    assert (run.steps, run.seconds, run.failure, run.seed, run.converged_start) == (4, 4.0, None, 3, 1.5)
    assert learn(problem(), tuned(), 2.5, 3, 1.5, clock=clock).steps == 3


def test_the_processor_s_clock_counts_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks.time, "process_time", lambda: 12.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert clocks.CLOCKS["cpu"]() == 4.0


def test_the_final_design_is_scored_by_both_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    run = learn(problem(), tuned(5, 0.3), 3.0, 3, 1.5, clock=Clock(monkeypatch))
    network = experiment().network.replace(unrolls=5, step=0.3, momentum="7/8")
    same = Trainer(problem(network=network.model_dump(), training={"steps": 3, "validate_every": 100}))
    start = evaluate(same.task, same.network, same.parameters, same.task.held_out)["complex_error"].mean()
    for _ in same.run():
        pass
    found = evaluate(same.task, same.network, same.parameters, same.task.held_out)["complex_error"].mean()
    learned = same.parameters
    final = Contender(name="learned", task=same.task, levels=learned["levels"], exposures=learned["exposures"])
    assert run.own_start == pytest.approx(float(start), rel=1e-5)
    assert run.own == pytest.approx(float(found), rel=1e-5) and run.own != run.own_start
    assert run.converged == pytest.approx(float(solver_errors(final, same.task.held_out).mean()), rel=1e-5)
    assert (run.unrolls, run.step, run.momentum) == (5, 0.3, "7/8") and run.memory_bytes == same.memory_bytes > 0


def test_the_schedule_follows_the_time() -> None:
    trainer = TimedTrainer(problem(training={"schedule": "cosine", "steps": 1000}), 10.0)
    rates = []
    for elapsed in (0.0, 5.0, 10.0, 20.0):
        trainer.spent = elapsed
        rates.append(trainer._rate_factor())
    assert rates == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_a_run_that_diverges_is_reported() -> None:
    said: list[str] = []
    run = learn(problem(network={"learn_step": False}), tuned(60, 1e4), 5.0, 0, 1.5, said.append)
    assert run.failure is not None and "diverged" in run.failure
    assert run.own is None and run.converged is None and "diverged" in said[-1]


def test_a_run_that_runs_out_of_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_trainer: Trainer) -> Any:
        raise MemoryError

    monkeypatch.setattr(Trainer, "_one_step", fail)
    run = learn(problem(), tuned(), 5.0, 0, 1.5)
    assert run.failure == "after 0 steps: out of memory" and run.own is None and run.own_start is not None


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_trainer: Trainer) -> Any:
        raise RuntimeError("a mistake in the program")

    monkeypatch.setattr(Trainer, "_one_step", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        learn(problem(), tuned(), 5.0, 0, 1.5)


def test_each_depth_has_the_settings_that_suit_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the training objects that the seed picks; a smaller grid finds the same."""
    monkeypatch.setattr(depth, "FALLBACKS", ())
    made = problem()
    found = settings_for(made, [40, 12], 3, 0, lambda _text: None)
    some = made.training.pick(np.random.default_rng([0, 1]).permutation(len(made.training))[:3])
    start = Trainer(made).parameters
    first = Contender(name="start", task=made, levels=start["levels"], exposures=start["exposures"])
    assert found[40] == tune(first, some, LEARNING_STEPS, unrolls=(40,)) and found[12].unrolls == 12
    assert _errors_at(first, some, found[12].step, found[12].momentum, (12,)) == [found[12].error]


def test_what_shows_nothing_is_tuned_on_other_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first design that beats an empty picture says what suits a depth; the best where none does."""
    tables = iter(
        [
            {10: Tuned(step=1, momentum="3/4", unrolls=10, error=1.3), 60: tuned(60)},
            {
                10: Tuned(step=2, momentum="3/4", unrolls=10, error=1.1),
                60: Tuned(step=9, momentum="3/4", unrolls=60, error=0.1),
                300: Tuned(step=4, momentum="3/4", unrolls=300, error=0.7),
            },
            {
                10: Tuned(step=5, momentum="3/4", unrolls=10, error=1.2),
                300: Tuned(step=9, momentum="3/4", unrolls=300, error=0.1),
            },
        ]
    )
    monkeypatch.setattr(depth, "tuned_depths", lambda *_: next(tables))
    found = settings_for(problem(), [10, 60, 300], 2, 0, lambda _text: None)
    assert {d: t.step for d, t in found.items()} == {10: 2, 60: 0.2, 300: 4}


def made_up(unrolls: int, seed: int, converged: float | None) -> Run:
    return Run(
        unrolls=unrolls,
        seed=seed,
        step=0.1,
        momentum="7/8",
        steps=10 + seed,
        seconds=5.0,
        wall_seconds=6.0,
        memory_bytes=1000 * unrolls + seed,
        own=None if converged is None else converged + 0.1,
        converged=converged,
        own_start=1.0,
        converged_start=0.8 + 0.1 * seed,
        failure="after 3 steps: diverged" if converged is None else None,
        load=None,
    )


def test_means_standard_errors_and_paired_differences() -> None:
    values = {10: [0.5, 0.6, 0.7], 60: [0.4, None, 0.5], 300: [None, None, None]}
    runs = [made_up(unrolls, seed, value) for unrolls, found in values.items() for seed, value in enumerate(found)]
    result = summarise(runs, 5.0, 1)
    rows: Any = result["rows"]
    assert [(row["unrolls"], row["scored"], row["seeds"]) for row in rows] == [(10, 3, 3), (60, 2, 3), (300, 0, 3)]
    assert rows[0]["converged"]["mean"] == pytest.approx(0.6) and rows[0]["own"]["mean"] == pytest.approx(0.7)
    assert rows[0]["converged"]["standard_error"] == pytest.approx(0.1 / math.sqrt(3))
    assert rows[1]["converged_difference"]["mean"] == pytest.approx(-0.15)
    assert rows[1]["converged_difference"]["standard_error"] == pytest.approx(0.05)
    assert rows[1]["failures"] == ["seed 1 after 3 steps: diverged"] and len(rows[2]["failures"]) == 3
    assert rows[2]["converged"] == {"mean": None, "standard_error": None} and rows[1]["memory_bytes"] == 60_002
    assert result["converged_start"]["mean"] == pytest.approx(0.9)  # type: ignore[index]
    lines = table(result).splitlines()
    assert "0.900 +- 0.058" in lines[1] and len(lines) == 3 + 3 + 4
    assert "0.450 +- 0.050" in lines[4] and "-0.150 +- 0.050" in lines[4] and "2 of 3" in lines[4]
    assert "diverged" in lines[5] and lines[6].split()[1:4] == ["0", "of", "3"]
    json.dumps(result, allow_nan=False)


def test_one_seed_has_no_standard_error() -> None:
    (row,) = summarise([made_up(10, 0, 0.5)], 5.0, 1)["rows"]  # type: ignore[misc]
    assert row["own"] == {"mean": pytest.approx(0.6), "standard_error": None}


def test_the_command_writes_after_every_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    written: list[list[int]] = []
    write = depth.write_atomic

    def watched(path: Path, text: str) -> Path:
        written.append(json.loads(text)["seeds"])
        return write(path, text)

    monkeypatch.setattr(depth, "write_atomic", watched)
    some, output = experiment_on_disk(tmp_path), tmp_path / "r.json"
    words = ["bench", "depth", str(some), "--unrolls", "4", "2", "--seconds", "2", "--tuning-objects", "2"]
    assert cli.main([*words, "-o", str(output), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert written == [[0], [0, 1]] and found == json.loads(output.read_text())
    assert [(row["unrolls"], row["steps"]) for row in found["rows"]] == [(2, [2, 2]), (4, [2, 2])]
    assert cli.main([*words, "--seeds", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3 + 2


def test_times_and_folders_that_cannot_be(tmp_path: Path) -> None:
    some = load_experiment(experiment_on_disk(tmp_path))
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SettingsError, match="cannot be learned in that time"):
            depth.run(some, seconds=seconds)
    with pytest.raises(SettingsError, match="there is no clock 'sun'"):
        depth.run(some, clock="sun")
    with pytest.raises(SettingsError, match="there is no folder"):
        depth.run(some, output=tmp_path / "no" / "r.json")


def test_a_grid_that_always_diverges_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "LEARNING_STEPS", (1e3,))
    with pytest.raises(EngineError, match="every step size of the grid diverges"):
        settings_for(problem(), [60], 2, 0, lambda _text: None)
