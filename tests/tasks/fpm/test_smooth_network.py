"""Runs whose network has a smooth prior: trained, kept, resumed, checked, planned, and every derivative of their loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from optics.setups import figure
from training.small import experiment_on_disk, problem, same_state

from ptychoui.engine.memory import measure, predict, probe
from ptychoui.engine.planner import Option
from ptychoui.errors import SettingsError
from ptychoui.optics.forward.model import DAMPING
from ptychoui.settings import Network, load_experiment
from ptychoui.tasks.fpm.parameters import largest_step, start_parameters
from ptychoui.tasks.fpm.task import STREAMED, FpmTask
from ptychoui.training import check
from ptychoui.training.events import Finished, Started, StepDone, Validated
from ptychoui.training.gradients import loss_and_gradients
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer

SMOOTH: dict[str, Any] = {"prior": "smooth", "learn_smoothness": True, "learn_step": True, "step": 0.3}
NAMES = ("levels", "exposures", "step", "log_smoothness")


def smooth(**sections: Any) -> FpmTask:
    return problem(**sections | {"network": SMOOTH | sections.get("network", {})})


def start(folder: Path, **sections: Any) -> Trainer:
    sections["network"] = SMOOTH | sections.get("network", {})
    return new_run(load_experiment(experiment_on_disk(folder, **sections)), folder / "run")


def close(trainer: Trainer) -> Trainer:
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer


# Settings --------------------------------------------------------------------------------------------


def test_strengths_fall_by_equal_factors_and_then_stay() -> None:
    some = smooth(network={"unrolls": 10, "first_smoothness": 2.0, "smoothness": 0.02})
    found = start_parameters(some).log_smoothness
    assert found is not None and found.shape == (10,)
    expected = [2.0 * 0.01 ** (min(k, 7) / 7) for k in range(10)]
    assert found.exp().tolist() == pytest.approx(expected, rel=1e-5)
    one = start_parameters(smooth(network={"unrolls": 1})).log_smoothness
    assert one is not None and float(one.exp()) == pytest.approx(1.0)
    assert start_parameters(problem()).log_smoothness is None
    with pytest.raises(SettingsError, match="first_smoothness must not be below smoothness"):
        Network(first_smoothness=0.1, smoothness=0.2)


def test_steps_have_the_reach_of_a_curvature_of_one_for_every_design() -> None:
    some = smooth(network={"update": "gradient"}, engine={"strategy": "checkpoint"})
    begun = start_parameters(some)
    assert largest_step(some, begun.levels, begun.exposures) == 2.0
    assert largest_step(some, 0.01 * begun.levels, begun.exposures) == 2.0
    chosen = smooth(network={"step": None})
    assert chosen.experiment.network.step == pytest.approx(0.4 * 2 * (1 + 7 / 8), rel=0.01)


def test_inputs_hold_the_light_of_the_present_design() -> None:
    some = smooth(engine={"precision": "float64"})
    begun = start_parameters(some)
    with torch.no_grad():
        given = some.inputs(begun, some.training.pick([0]), None, training=True).tensors
    weights = some.measurement.weights(begun.levels * some.mask, begun.exposures)
    bound = some.physics.curvature_bound(weights)
    assert float(given["coverage"].max()) == pytest.approx((1 + DAMPING) * bound, rel=1e-12)
    assert float(given["coverage"].min()) == pytest.approx(DAMPING * bound, rel=1e-12)
    assert begun.log_smoothness is not None and torch.equal(given["smoothness"], begun.log_smoothness.exp())


# Derivatives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["", STREAMED])
@pytest.mark.parametrize("name", ["store_all", "reversible"])
def test_the_loss_has_the_derivatives_of_differences(name: str, variant: str) -> None:
    """In everything that is learned, through measurement, light over frequencies, first estimate and network."""
    noise = {"noise": "none", "background": 0.02}
    some = smooth(engine={"precision": "float64"}, measurement=noise, network={"unrolls": 4})
    begun, examples, network = start_parameters(some), some.training.pick([0, 1]), some.network(variant)
    found = loss_and_gradients(some, network, name, begun, examples, None)
    assert set(found.gradients) == set(NAMES)

    def loss(of: str, value: torch.Tensor) -> float:
        moved = begun.with_tensors({**dict(begun.items()), of: value})
        with torch.no_grad():
            given = some.inputs(moved, examples, None, training=True)
            output = network.infer(given.x, given.tensors)
            return float(some.loss(output, examples).mean())

    generator = torch.Generator().manual_seed(1)
    for of in NAMES:
        value, derivative = begun[of], found.gradients[of]
        assert derivative.shape == value.shape and float(derivative.abs().max()) > 0
        assert of not in ("step", "log_smoothness") or bool((derivative != 0).all()), "every unroll has its own"
        for _ in range(2):
            along = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if of == "levels":
                along = along * some.mask
            slopes = [
                (loss(of, value + h * along) - loss(of, value - h * along)) / (2 * h) for h in (1e-2, 1e-3, 1e-4, 1e-5)
            ]
            expected = float((derivative * along).sum())
            scale = max(abs(expected), 0.1 * float(derivative.norm() * along.norm()))
            deviation = min(abs(slope - expected) for slope in slopes) / scale
            assert figure(f"smooth network: derivative in {of} from differences", deviation) < 1e-6


@pytest.mark.parametrize("update", ["heavy_ball", "gradient", "nesterov", "learned_momentum"])
def test_all_strategies_have_the_same_gradients(update: str) -> None:
    engine = {"precision": "float64", "strategy": "reversible" if update == "heavy_ball" else "checkpoint"}
    some = smooth(engine=engine, network={"update": update, "unrolls": 5})
    begun, examples = start_parameters(some), some.training.pick([0, 1])
    names = ["store_all", "checkpoint", "offload", "binomial", *(["reversible"] * (update == "heavy_ball"))]

    def gradients(name: str, at_once: int | None = None) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(5)
        return loss_and_gradients(
            some, some.network(), name, begun, examples, generator, examples_at_once=at_once
        ).gradients

    expected = gradients("store_all")
    assert set(expected) == {*NAMES, *(["momentum"] * (update == "learned_momentum"))}
    for name in names[1:]:
        found = gradients(name)
        assert all(torch.equal(found[key], expected[key]) for key in expected), name
    parts = gradients("store_all", at_once=1)
    assert all(float((parts[key] - expected[key]).norm()) < 1e-10 * float(expected[key].norm()) for key in expected)


@pytest.mark.parametrize("variant", ["", STREAMED])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("update", "strategy"), [("heavy_ball", "reversible"), ("nesterov", "greedy")])
def test_the_check_of_a_run_passes(update: str, strategy: str, precision: str, variant: str) -> None:
    some = smooth(network={"update": update}, engine={"strategy": strategy, "precision": precision, "modules": 3})
    method = Option(strategy=strategy, peak=0, effort=0.0, variant=variant)
    generator = torch.Generator().manual_seed(0)
    found = check.check_vjps(some, some.double(), method, start_parameters(some), some.training.pick([0]), generator)
    assert figure("check of products in a run with a smooth prior", found) < check.ALLOWED / 10


# Runs ------------------------------------------------------------------------------------------------


def test_a_run_learns_everything_and_lowers_the_loss(tmp_path: Path) -> None:
    trainer = start(
        tmp_path, training={"steps": 40, "validate_every": 40, "learning_rate": 0.05}, network={"unrolls": 5}
    )
    before = {name: value.clone() for name, value in trainer.parameters.items()}
    events = list(trainer.run())
    assert isinstance(events[-1], Finished)
    scores = [event.loss for event in events if isinstance(event, Validated)]
    assert scores[-1] < 0.97 * scores[0]
    for name in NAMES:
        moved = (trainer.parameters[name] - before[name]).abs()
        assert float(moved.max()) > 1e-3, name
    again = resume_run(close(trainer).folder.path)  # type: ignore[union-attr]
    same_state(trainer, close(again))


@pytest.mark.parametrize("split", [1, 3])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, split: int) -> None:
    whole = start(tmp_path / "whole")
    list(whole.run())
    first = start(tmp_path / "half")
    for event in first.run():
        if isinstance(event, StepDone) and event.step == split:
            first.control.stop()
    assert first.step == split
    close(first)
    second = resume_run(tmp_path / "half" / "run")
    assert isinstance(list(second.run())[-1], Finished)
    same_state(close(whole), close(second))


def test_strengths_that_are_not_learned_stay(tmp_path: Path) -> None:
    trainer = start(tmp_path, network={"learn_smoothness": False})
    assert trainer.parameters.log_smoothness is not None
    before = trainer.parameters.log_smoothness.clone()
    list(trainer.run())
    assert torch.equal(close(trainer).parameters.log_smoothness, before)


@pytest.mark.parametrize("each", ["one", "each"])
def test_greedy_learning_takes_it(tmp_path: Path, each: str) -> None:
    engine = {"strategy": "greedy", "modules": 3, "module_optimisers": each}
    trainer = start(tmp_path, engine=engine)
    before = {name: value.clone() for name, value in trainer.parameters.items()}
    events = list(trainer.run())
    close(trainer)
    begun, steps = events[0], [event for event in events if isinstance(event, StepDone)]
    assert isinstance(begun, Started) and begun.strategy == "greedy" and isinstance(events[-1], Finished)
    assert steps[0].memory_bytes == pytest.approx(begun.predicted_bytes["greedy"], rel=1.0)
    assert all((trainer.parameters[name] != before[name]).any() for name in NAMES)


@pytest.mark.parametrize("variant", ["", STREAMED])
@pytest.mark.parametrize("name", ["store_all", "checkpoint", "offload", "binomial", "reversible"])
def test_memory_of_its_network_is_predicted_within_15_percent(name: str, variant: str) -> None:
    some = smooth(network={"unrolls": 30})
    network = some.network(variant)
    with torch.no_grad():
        given = some.inputs(start_parameters(some), some.training.pick([0, 1]), None, training=True)
    x, wanted = network.enter(given.x), tuple(given.tensors)
    cost = probe(network.chain, x, given.tensors, wanted)
    found = predict(cost, network.chain, name) / measure(network.chain, x, given.tensors, wanted, name)
    assert found == pytest.approx(1, abs=0.15)
