"""Step sizes and learning rates that the program chooses itself, and resuming with them."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from training.small import experiment, experiment_on_disk, objects, problem, same_state

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm.parameters import largest_step, start_parameters
from ptychoui.tasks.fpm.task import build_task
from ptychoui.training.events import Started, StepDone
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer

OPEN = {"network": {"step": None}}


@pytest.mark.parametrize(("update", "ratio"), [("gradient", "7/8"), ("heavy_ball", "7/8"), ("heavy_ball", "1/2")])
def test_the_largest_step_keeps_the_steepest_direction_from_growing(update: str, ratio: str) -> None:
    """Power iteration on the Hessian where images agree, against 2 (1 + momentum) / step."""
    momentum = 0.0 if update == "gradient" else float(Fraction(ratio))
    some = problem(
        network={"update": update, "momentum": ratio}, engine={"precision": "float64", "strategy": "checkpoint"}
    )
    start, physics = start_parameters(some), some.physics
    stable = largest_step(some, start.levels, start.exposures)
    weights = some.measurement.weights(start.levels, start.exposures)
    offset, floor = some.measurement.offset(start.exposures), some.measurement.variance_floor
    x = torch.ones(1, some.grids.object_px, some.grids.object_px, dtype=torch.complex128)
    amplitude = torch.sqrt(physics.predict(x, weights, offset) + floor)
    data = DataTerm(weights, offset, amplitude, floor)
    q = torch.randn(x.shape, dtype=x.dtype)
    for _ in range(60):
        q = q / q.abs().square().sum().sqrt()
        hessian = physics.product(physics.linearise(x, data, Scratch(), Scratch()), q, data, Scratch()).hessian
        curvature = float((q.conj() * hessian).sum().real)
        q = hessian.clone()
    assert curvature > 0 and stable * curvature <= 2 * (1 + momentum) * (1 + 1e-9)
    assert stable * curvature > 0.2 * 2 * (1 + momentum), "the bound is needlessly cautious"


def test_a_step_left_open_is_two_fifths_of_the_largest() -> None:
    some = problem(**OPEN)
    start = start_parameters(some)
    stable = largest_step(some, start.levels, start.exposures)
    assert some.experiment.network.step == pytest.approx(0.4 * stable, rel=0.06)
    assert start.step.tolist() == pytest.approx([some.experiment.network.step] * 3)
    fixed = problem(network={"step": 0.123})
    assert fixed.experiment.network.step == 0.123


def test_a_step_above_the_stable_one_is_warned_of() -> None:
    def warnings(step: float) -> str:
        event = next(iter(Trainer(problem(network={"step": step})).run()))
        assert isinstance(event, Started)
        return " ".join(event.warnings)

    assert "is above the stable" in warnings(5.0)
    assert "is above the stable" not in warnings(0.2)


def test_many_unrolls_at_the_chosen_step_stay_put_and_ten_times_it_diverge() -> None:
    some = problem(network={"step": None, "unrolls": 150}, measurement={"noise": "none"})
    step = some.experiment.network.step
    assert step is not None
    list(Trainer(some).run())
    with pytest.raises(EngineError, match="diverged"):
        list(Trainer(problem(network={"step": 10 * step, "unrolls": 150}, measurement={"noise": "none"})).run())


def test_a_cosine_schedule_falls_to_a_tenth() -> None:
    trainer = Trainer(problem(training={"schedule": "cosine", "steps": 6, "learning_rate": 0.04}))
    rates = [trainer.updates.rates[0] for event in trainer.run() if isinstance(event, StepDone)]
    expected = [0.04 * (0.1 + 0.9 * (1 + math.cos(math.pi * n / 6)) / 2) for n in range(6)]
    assert rates == pytest.approx(expected, rel=1e-12)
    constant = Trainer(problem(training={"learning_rate": 0.04}))
    assert {constant.updates.rates[0] for _ in constant.run()} == {0.04}


@pytest.mark.parametrize("split", [2, 5])
def test_resuming_with_chosen_step_and_schedule_is_bit_for_bit(tmp_path: Path, split: int) -> None:
    settings = OPEN | {"training": {"schedule": "cosine"}}
    whole = Trainer(build_task(experiment(**settings), dataset=objects()))
    list(whole.run())
    first = new_run(load_experiment(experiment_on_disk(tmp_path, **settings)), tmp_path / "run")
    for event in first.run():
        if isinstance(event, StepDone) and event.step == split:
            first.control.stop()
    assert first.folder is not None
    first.folder.close()
    second = resume_run(tmp_path / "run")
    list(second.run())
    assert second.folder is not None
    second.folder.close()
    same_state(whole, second)
