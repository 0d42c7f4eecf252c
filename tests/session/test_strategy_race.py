"""Strategies side by side: equal to the trainer's own runs, with measured memory, and honest about what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ptychoui.errors import SettingsError, StopRequested
from ptychoui.session.strategy_race import (
    TITLES,
    RaceAgreement,
    RaceBegun,
    RaceHistory,
    RacePlan,
    RaceStep,
    depths_around,
    deviations,
    race_run,
)
from ptychoui.settings import MriExperiment
from ptychoui.training.control import RunControl
from ptychoui.training.events import Failed, Finished, Preparing, StepDone, Stopped
from ptychoui.training.planning import predicted_peaks
from ptychoui.training.task import build_task
from ptychoui.training.trainer import Trainer


def small(**sections: dict[str, Any]) -> MriExperiment:
    tables: dict[str, dict[str, Any]] = {
        "data": {"size": (24, 20), "coils": 3, "examples": 3, "held_out": 1, "maps": "stated"},
        "sampling": {"calibration": 6, "acceleration": 2.0},
        "network": {"unrolls": 4, "channels": 2, "convolutions": 2},
        "engine": {"device": "cpu", "strategy": "reversible"},
        "training": {"steps": 100, "batch": 2, "validate_every": 2},
    }
    values: dict[str, Any] = {name: {**table, **sections.get(name, {})} for name, table in tables.items()}
    return MriExperiment(name="small", seed=3, **values)


def events(plan: RacePlan, experiment: MriExperiment | None = None, control: RunControl | None = None) -> Iterator[Any]:
    return race_run(experiment or small(), plan)(control or RunControl(), lambda: False)


@pytest.fixture(scope="module")
def told() -> list[Any]:
    return list(events(RacePlan(steps=3, unrolls=12)))


def test_every_strategy_takes_every_step_in_turn(told: list[Any]) -> None:
    kinds = [type(event) for event in told if not isinstance(event, Preparing)]
    assert kinds == [RaceBegun, *[*[RaceStep] * 3, RaceAgreement] * 3, Finished]
    steps = [event for event in told if isinstance(event, RaceStep)]
    assert [(event.strategy, event.step) for event in steps] == [(name, step) for step in (1, 2, 3) for name in TITLES]
    assert [event.metered for event in steps] == [True] * 3 + [False] * 6


def test_the_numbers_are_those_of_runs_of_training(told: list[Any]) -> None:
    plan = RacePlan(steps=3, unrolls=12)
    for name in TITLES:
        experiment = plan.of(small())
        trainer = Trainer(build_task(experiment.replace(engine=experiment.engine.replace(strategy=name))))
        losses = [event.loss for event in trainer.run() if isinstance(event, StepDone)]
        assert losses == [event.loss for event in told if isinstance(event, RaceStep) and event.strategy == name], name


def test_strategies_agree_bit_for_bit_and_memory_is_measured(told: list[Any]) -> None:
    history = RaceHistory()
    for event in told:
        history.take(event)
    assert history.agreement is not None and history.agreement.equal and history.step == 3
    assert history.verdict.startswith("Same numbers: after 3 steps") and "bit for bit" in history.verdict
    assert f"{history.agreement.learned:,} learned numbers of all 3 strategies" in history.verdict
    memory = history.memory
    assert memory["store_all"] > 2 * memory["reversible"] and memory["checkpoint"] > 0
    assert history.begun is not None
    for name, measured in memory.items():
        assert measured == pytest.approx(history.begun.predicted_bytes[name], rel=0.35), name
    ratio = max(memory.values()) / min(memory.values())
    assert f"{ratio:.3g} times less memory" in history.saving
    assert {name: len(values) for name, values in history.seconds.items()} == dict.fromkeys(TITLES, 2)
    assert "12 unrolls" in history.begun.problem and "2 examples a step" in history.begun.problem
    assert "exact" in history.certificates["reversible"] and "store_all" not in history.certificates


def test_memory_that_does_not_grow_with_the_unrolls() -> None:
    def measured(unrolls: int) -> dict[str, int]:
        found = events(RacePlan(steps=2, strategies=("store_all", "reversible"), unrolls=unrolls))
        return {event.strategy: event.memory_bytes for event in found if isinstance(event, RaceStep)}

    few, many = measured(6), measured(24)
    assert many["store_all"] > 2.5 * few["store_all"]
    assert many["reversible"] < 1.6 * few["reversible"]


def test_predictions_for_other_depths_are_those_of_networks_as_deep(told: list[Any]) -> None:
    begun = next(event for event in told if isinstance(event, RaceBegun))
    assert begun.unrolls == 12 and begun.depths[0] == 1 and begun.depths[-1] == 24 and 12 in begun.depths
    for depth in (begun.depths[0], begun.depths[-1]):
        task = build_task(RacePlan(unrolls=depth).of(small()))
        alone = predicted_peaks(task, task.parameters())
        for name in TITLES:
            assert begun.by_depth[name][begun.depths.index(depth)] == alone[name][0], (name, depth)
    grown = {name: peaks[-1] - peaks[-2] for name, peaks in begun.by_depth.items()}
    assert grown["reversible"] < 0.1 * grown["store_all"]
    assert all(1 in depths_around(n) and n in depths_around(n) and 2 * n in depths_around(n) for n in range(1, 60))


def test_what_differs_is_not_called_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy whose gradients are a little off: the sentence says by how much."""
    from ptychoui.training import trainer

    right = trainer.loss_and_gradients

    def off(task: Any, network: Any, name: str, *rest: Any) -> Any:
        found = right(task, network, name, *rest)
        if name == "checkpoint":
            found.gradients["mu"].mul_(-1)
        return found

    monkeypatch.setattr(trainer, "loss_and_gradients", off)
    history = RaceHistory()
    for event in events(RacePlan(steps=2)):
        history.take(event)
    assert history.agreement is not None and not history.agreement.equal and history.agreement.of_parameters > 1e-6
    assert "differ by" in history.verdict and "Same numbers" not in history.verdict


def test_the_least_difference_is_one() -> None:
    one, other = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])
    assert deviations([0.5, 0.5], [{"a": one}, {"a": other}]) == (0, 0)
    other[1] = torch.nextafter(other[1], torch.tensor(3.0))
    of_loss, of_tensors = deviations([0.5, 0.5 + 2**-53, 0.5], [{"a": one}, {"a": one}, {"a": other}])
    assert of_loss == 2**-52 and 0 < of_tensors < 1e-6
    zero = torch.zeros(2)
    assert deviations([0.5, 0.5], [{"a": zero}, {"a": -zero}])[1] > 0
    assert deviations([0.0, 5e-324], [{"a": one}, {"a": one}])[0] > 0
    assert deviations([1.0, 1.0], [{"a": one}, {"a": torch.tensor([float("nan"), 2.0])}])[1] > 0


def test_what_does_not_fit_is_left_out_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.engine import planner
    from ptychoui.training import planning

    peaks = {"store_all": 9_000_000, "reversible": 5, "checkpoint": 7}
    monkeypatch.setattr(
        planning,
        "predicted_peaks",
        lambda _task, _start, depths: {name: [peak] * len(depths) for name, peak in peaks.items()},
    )
    monkeypatch.setattr(planner, "free_memory", lambda _device: 8_000_000)
    history = RaceHistory()
    for event in events(RacePlan(steps=2)):
        history.take(event)
    assert history.begun is not None and history.begun.strategies == ("checkpoint", "reversible")
    assert history.begun.left_out == {"store_all": "it would take 9 MB, and 8 MB are free"}
    assert set(history.memory) == {"checkpoint", "reversible"} and "both strategies" in history.verdict
    monkeypatch.setattr(planner, "free_memory", lambda _device: 1)
    with pytest.raises(SettingsError, match="no strategy is left"):
        list(events(RacePlan(steps=2)))


def test_a_network_without_an_inverse_is_compared_without_it() -> None:
    experiment = small(network={"update": "plain"}, engine={"strategy": "checkpoint"})
    begun = next(event for event in events(RacePlan(steps=2), experiment) if isinstance(event, RaceBegun))
    assert begun.strategies == ("store_all", "checkpoint") and "no exact inverse" in begun.left_out["reversible"]


def test_it_is_stopped_between_layers() -> None:
    control = RunControl()
    found = []
    with pytest.raises(StopRequested):
        for event in events(RacePlan(steps=50), control=control):
            found.append(event)
            if isinstance(event, RaceStep):
                control.stop()
    assert sum(isinstance(event, RaceStep) for event in found) == 1


@pytest.mark.parametrize(
    "values",
    [{"strategies": ("reversible",)}, {"strategies": ("reversible", "greedy")}, {"steps": 1}, {"steps": 10_001}],
)
def test_plans_are_refused_where_they_are_made(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        RacePlan(**values)
    with pytest.raises(SettingsError):
        RacePlan(unrolls=0).of(small())


def test_a_history_takes_the_end() -> None:
    history = RaceHistory()
    assert (history.verdict, history.saving, history.step, history.step_seconds("reversible")) == ("", "", 0, None)
    history.take(Preparing(step=0, text="reading"))
    assert history.preparing == "reading"
    for end in (Stopped(step=1), Failed(step=1, kind="X", message="m")):
        history.take(end)
        assert history.end is end and history.preparing == ""
