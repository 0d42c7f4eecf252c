"""The planner: its choice for a budget, its sentence, its count of layers run again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.chains import TanhLayer, optics_problem, tanh_problem

from ptychoui.engine.binomial import Binomial
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.memory import for_objects, measure, predict, probe
from ptychoui.engine.planner import Option, cheaper, choose, free_memory, plan, predict_all, relative_time
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import STRATEGIES
from ptychoui.engine.strategy import Chain, LayerCost
from ptychoui.engine.update import Update
from ptychoui.errors import EngineError

UNROLLS = 80


def setup(update: Update) -> tuple[Any, Any, Any]:
    problem = optics_problem(UNROLLS, batch=1, dtype=torch.float32)
    chain = problem.chain(UNROLLS, update)
    return probe(chain, problem.x, problem.inputs, tuple(problem.inputs)), chain, problem


def test_the_fastest_that_fits_is_chosen_and_keeps_its_budget() -> None:
    cost, chain, problem = setup(HeavyBall("7/8"))
    predicted = predict_all(cost, chain)
    assert set(predicted) == set(STRATEGIES) - {"inverse"}
    chosen = {}
    for budget in sorted(predicted.values()):
        found = plan(cost, chain, int(1.15 * budget))
        chosen[budget] = found.strategy
        assert measure(chain, problem.x, problem.inputs, tuple(problem.inputs), found.strategy) <= 1.3 * budget
        faster = [n for n in predicted if relative_time(n, chain) < relative_time(found.strategy, chain)]
        assert all(predicted[name] > 1.15 * budget for name in faster)
    assert chosen[predicted["store_all"]] == "store_all" and chosen[min(predicted.values())] != "store_all"


def test_the_choice_is_explained_in_one_sentence() -> None:
    cost, chain, _problem = setup(HeavyBall("7/8"))
    predicted = predict_all(cost, chain)
    small = plan(cost, chain, int(1.01 * predicted["checkpoint"]))
    assert (
        small.strategy in small.sentence
        and small.sentence.startswith(small.strategy)
        and "back-propagation would need" in small.sentence
    )
    assert "x the time of back-propagation" in small.sentence
    assert plan(cost, chain, 10**12).sentence.startswith("store_all: ")


def test_a_budget_smaller_than_one_layer_says_how_much_is_needed() -> None:
    cost, chain, _problem = setup(HeavyBall("7/8"))
    least = min(predict_all(cost, chain).values())
    with pytest.raises(EngineError, match=rf"at least {least / 1e3:.3g} kB .*the budget is 1 kB") as error:
        plan(cost, chain, 1000)
    assert "memory_mb" in error.value.hint


def test_a_plain_update_is_never_planned_as_reversible() -> None:
    cost, chain, _problem = setup(Plain())
    assert "reversible" not in predict_all(cost, chain)


def test_what_is_tried_when_memory_runs_out() -> None:
    efforts = {"store_all": 4.0, "checkpoint": 5.0, "binomial": 8.0, "reversible": 6.0}
    peaks = {"store_all": 1000, "checkpoint": 300, "binomial": 200, "reversible": 190}
    among = {name: Option(strategy=name, peak=peaks[name], effort=efforts[name]) for name in peaks}
    said = {name: cheaper(option, list(among.values())) for name, option in among.items()}
    assert said["store_all"] is among["checkpoint"]
    assert said["checkpoint"] is among["reversible"]  # less work than binomial
    assert said["reversible"] is None
    assert said["binomial"] is None  # five per cent are not worth a try


def test_fewer_objects_at_a_time_come_before_slower_strategies_and_streams() -> None:
    among = [
        Option(strategy="store_all", peak=800, effort=4, objects=4),
        Option(strategy="checkpoint", peak=400, effort=5, objects=4),
        Option(strategy="store_all", peak=200, effort=4, objects=1),
        Option(strategy="checkpoint", peak=100, effort=5, objects=1),
        Option(strategy="checkpoint", peak=10, effort=8, objects=1, variant="LEDs streamed"),
    ]
    assert choose(among, 1000).sentence == "store_all, 4 objects at a time: 800 B of 1 kB"
    found = choose(among, 500)
    assert found.option is among[2] and found.sentence.startswith("store_all, one object at a time: 200 B of 500 B")
    assert found.predicted == {"store_all": 200, "checkpoint": 100}
    assert choose(among, 50).sentence == (
        "checkpoint, LEDs streamed, one object at a time: 10 B of 50 B, 2x the time of back-propagation; "
        "back-propagation would need 800 B"
    )
    with pytest.raises(EngineError, match=r"needs at least 10 B .checkpoint, LEDs streamed, one object at a time"):
        choose(among, 5)
    assert choose(among, 1000, lambda option: option.objects == 1).option is among[2]


@pytest.mark.parametrize("name", ["store_all", "checkpoint", "reversible"])
def test_cost_of_many_objects_from_two_and_three(name: str) -> None:
    def cost(batch: int) -> LayerCost:
        problem = optics_problem(10, batch=batch, dtype=torch.float32)
        return probe(chain, problem.x, problem.inputs, tuple(problem.inputs))

    chain = optics_problem(10, dtype=torch.float32).chain(10, HeavyBall("7/8"))
    for objects in (1, 3, 6, 9):
        assert predict(for_objects(cost, objects), chain, name) == pytest.approx(
            predict(cost(objects), chain, name), rel=0.01
        )


@pytest.mark.parametrize("unrolls", [1, 2, 10, 75])
def test_layers_that_binomial_runs_again_are_counted_right(unrolls: int) -> None:
    calls = [0]

    class Counted(TanhLayer):
        def linearise(self, *arguments: Any) -> Any:
            calls[0] += 1
            return super().linearise(*arguments)

    problem = tanh_problem()
    chain = Chain([Counted() for _ in range(unrolls)], HeavyBall("7/8"))
    Binomial().forward(chain, problem.x, problem.inputs, Scratch()).backward(problem.cotangent, ())
    assert calls[0] == pytest.approx((Binomial().mean_runs(unrolls) + 1) * unrolls)


def test_free_memory_is_a_part_of_what_the_machine_has() -> None:
    assert 10**6 < free_memory(torch.device("cpu")) < 10**14
