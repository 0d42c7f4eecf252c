"""Runs under every way to obtain gradients: strategies, update rules, parts of a batch, streamed LEDs, checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from optics.setups import figure
from training.small import experiment_on_disk

from ptychoui.errors import EngineError, SettingsError
from ptychoui.settings import Engine, FpmExperiment, Network, load_experiment
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.task import STREAMED, FpmTask, build_task
from ptychoui.training.events import Finished, Started, StepDone, VjpsChecked
from ptychoui.training.gradients import StepResult, loss_and_gradients
from ptychoui.training.planning import after_running_out, plan_run
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer


def problem(folder: Path, **sections: Any) -> FpmTask:
    return build_task(load_experiment(experiment_on_disk(folder, **sections)))


def gradients(
    made: FpmTask,
    name: str,
    objects: int | None = None,
    streamed: bool = False,
) -> StepResult:
    generator = torch.Generator().manual_seed(5)
    network, parameters = made.network(STREAMED if streamed else ""), start_parameters(made)
    examples = made.training.pick([0, 1, 2])
    return loss_and_gradients(made, network, name, parameters, examples, generator, examples_at_once=objects)


def far(a: StepResult, b: StepResult) -> float:
    return max(float((a.gradients[n] - b.gradients[n]).norm() / b.gradients[n].norm()) for n in b.gradients)


@pytest.mark.parametrize("objects", [1, 2, 3])
@pytest.mark.parametrize("name", ["store_all", "reversible", "greedy"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(tmp_path: Path, name: str, objects: int) -> None:
    made = problem(tmp_path, engine={"precision": "float64", "modules": 2})
    whole, parts = gradients(made, name), gradients(made, name, objects)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12)
    assert far(parts, whole) < 1e-10


@pytest.mark.parametrize("name", ["checkpoint", "reversible", "greedy"])
def test_streamed_leds_change_nothing_but_rounding(tmp_path: Path, name: str) -> None:
    made = problem(tmp_path, engine={"precision": "float64", "modules": 2})
    assert (
        figure(
            "streamed gradient of levels against kept", far(gradients(made, name, None, True), gradients(made, name))
        )
        < 1e-9
    )


def test_a_streamed_reversible_pass_is_certified_and_equals_streamed_checkpoints_bit_for_bit(tmp_path: Path) -> None:
    made = problem(tmp_path)
    exact, kept = (gradients(made, name, None, True) for name in ("reversible", "checkpoint"))
    assert exact.certificate.startswith("exact")
    assert all(torch.equal(exact.gradients[name], kept.gradients[name]) for name in kept.gradients)


SEGMENTS = [
    {"unrolls": 2, "strategy": "checkpoint"},
    {"unrolls": 4, "strategy": "reversible"},
    {"unrolls": 1, "strategy": "store_all"},
]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_segments_of_an_experiment_have_its_gradient_bit_for_bit(tmp_path: Path, precision: str) -> None:
    made = problem(
        tmp_path,
        network={"unrolls": 7},
        engine={"strategy": "segments", "segments": SEGMENTS, "precision": precision},
    )
    whole, cut = gradients(made, "checkpoint"), gradients(made, "segments")
    assert whole.loss == cut.loss
    assert all(torch.equal(cut.gradients[name], whole.gradients[name]) for name in whole.gradients)
    assert cut.certificate == "kept; exact: 4 unrolls undone bit for bit; kept"


def test_segments_are_planned_measured_and_explained(tmp_path: Path) -> None:
    engine = {"strategy": "segments", "segments": SEGMENTS, "memory_mb": 100.0}
    made = problem(tmp_path, network={"unrolls": 7}, engine=engine, training={"batch": 3})
    run = Trainer(made)
    begun, *events = run.run()
    assert isinstance(begun, Started) and begun.strategy == "segments"
    steps = [event for event in events if isinstance(event, StepDone)]
    assert begun.predicted_bytes["reversible"] < begun.predicted_bytes["segments"] < begun.predicted_bytes["store_all"]
    assert steps[0].memory_bytes == pytest.approx(begun.predicted_bytes["segments"], rel=1.0)
    (line,) = [note for note in begun.notes if note.startswith("segments, first to last: 2 unrolls checkpoint keep ")]
    assert "; 4 unrolls reversible keep " in line and "; 1 unrolls store_all keep " in line
    assert run.chosen is not None
    tight = plan_run(_with(made, memory_mb=1.01e-6 * min(o.peak for o in run.chosen.among if o.parts)), run.parameters)
    assert tight.option.strategy == "segments" and tight.option.objects == 1
    with pytest.raises(EngineError, match=r"a pass needs at least .* \(segments"):
        plan_run(_with(made, memory_mb=1e-3), run.parameters)


@pytest.mark.parametrize(
    ("update", "strategy"),
    [
        ("heavy_ball", "greedy"),
        ("heavy_ball", "offload"),
        ("gradient", "inverse"),
        ("nesterov", "inverse"),
        ("nesterov", "checkpoint"),
        ("learned_momentum", "binomial"),
        ("learned_momentum", "inverse"),
    ],
)
def test_runs_finish_and_resume_to_the_same_bits(tmp_path: Path, update: str, strategy: str) -> None:
    sections = {"network": {"update": update}, "engine": {"strategy": strategy, "modules": 2, "check_every": 4}}
    whole = new_run(load_experiment(experiment_on_disk(tmp_path, **sections)), tmp_path / "whole")
    events = list(whole.run())
    assert isinstance(events[-1], Finished)
    assert [event.step for event in events if isinstance(event, VjpsChecked)] == [4]
    assert all(event.deviation < 1e-6 for event in events if isinstance(event, VjpsChecked))
    begun, steps = events[0], [event for event in events if isinstance(event, StepDone)]
    assert isinstance(begun, Started) and begun.strategy == strategy and begun.predicted_bytes[strategy] > 0
    assert all(event.certificate.startswith("drift") == (strategy == "inverse") for event in steps)
    assert steps[0].memory_bytes == pytest.approx(begun.predicted_bytes[strategy], rel=1.0)
    half = new_run(load_experiment(experiment_on_disk(tmp_path, **sections, training={"steps": 3})), tmp_path / "half")
    list(half.run())
    _close(half)
    again = resume_run(tmp_path / "half", changes=lambda e: e.replace(training=e.training.replace(steps=6)))
    list(again.run())
    assert torch.equal(again.parameters.levels, whole.parameters.levels)
    if update == "learned_momentum":
        assert again.parameters.momentum is not None and whole.parameters.momentum is not None
        assert torch.equal(again.parameters.momentum, whole.parameters.momentum)
        assert bool((whole.parameters.momentum != 7 / 8).any())
    else:
        assert whole.parameters.momentum is None
    _close(again)
    _close(whole)


def _close(trainer: Trainer) -> None:
    assert trainer.folder is not None
    trainer.folder.close()


@pytest.mark.parametrize(
    ("network", "engine", "said"),
    [
        ({"update": "learned_momentum"}, {"strategy": "reversible"}, "needs a fixed momentum"),
        ({"update": "nesterov"}, {"strategy": "reversible"}, "needs the heavy-ball update"),
        ({"update": "heavy_ball"}, {"strategy": "inverse"}, "heavy-ball update undoes exactly"),
        ({"unrolls": 3}, {"strategy": "greedy", "modules": 4}, "3 unrolls cannot be cut into 4 greedy modules"),
    ],
)
def test_settings_that_do_not_go_together(network: dict[str, Any], engine: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        FpmExperiment(network=Network(**network), engine=Engine(**engine))
    assert "set " in error.value.hint


# Planning ---------------------------------------------------------------------------------------------


def test_a_tight_budget_first_divides_the_batch_then_streams(tmp_path: Path) -> None:
    made = problem(tmp_path, engine={"strategy": "checkpoint"}, training={"batch": 3}, network={"unrolls": 40})
    parameters = start_parameters(made)
    roomy = plan_run(made, parameters)
    assert (roomy.option.objects, roomy.option.variant, roomy.sentence) == (3, "", None)
    one = min(option.peak for option in roomy.among if option.strategy == "checkpoint")
    tight = plan_run(_with(made, memory_mb=1.01e-6 * one), parameters)
    assert tight.option.objects == 1 and not tight.option.variant
    assert tight.sentence is not None and tight.sentence.startswith("checkpoint, one object at a time: ")
    with pytest.raises(EngineError, match="a pass needs at least"):
        plan_run(_with(made, memory_mb=1e-3), parameters)


def test_streaming_is_planned_where_many_leds_do_not_fit(tmp_path: Path) -> None:
    made = problem(tmp_path, engine={"strategy": "auto"}, training={"batch": 1})
    parameters = start_parameters(made)
    among = plan_run(_with(made, memory_mb=1e5), parameters).among
    kept = min(option.peak for option in among)
    streamed = [o.peak for o in _streamed(made, parameters)]
    assert streamed
    if min(streamed) < kept:  # chunks are of a fixed size: with few LEDs a stream takes more than it saves
        chosen = plan_run(_with(made, memory_mb=1e-6 * (kept + min(streamed)) / 2), parameters)
        assert chosen.option.variant == STREAMED and chosen.network(made).physics.stream


def _streamed(made: FpmTask, parameters: Any) -> list[Any]:
    from ptychoui.training.planning import _options

    return _options(made, parameters, STREAMED)


def test_objects_at_once_are_kept_where_given(tmp_path: Path) -> None:
    made = problem(tmp_path, engine={"strategy": "auto", "memory_mb": 1e5, "objects_at_once": 2}, training={"batch": 3})
    assert plan_run(made, start_parameters(made)).option.objects == 2


def test_what_is_tried_after_running_out(tmp_path: Path) -> None:
    made = problem(tmp_path, engine={"strategy": "store_all"}, training={"batch": 2}, network={"unrolls": 40})
    parameters = start_parameters(made)
    chosen = plan_run(made, parameters)
    seen = [chosen.option]
    while (following := after_running_out(made, parameters, chosen)) is not None:
        assert following.option.peak < seen[-1].peak
        assert following.option.strategy not in ("greedy", "inverse")
        chosen = following
        seen.append(chosen.option)
    assert [(option.strategy, option.objects) for option in seen[:2]] == [("store_all", 2), ("store_all", 1)]
    assert len(seen) > 2
    greedy = plan_run(_with(made, strategy="greedy"), parameters)
    following = after_running_out(made, parameters, greedy)
    assert following is None or following.option.strategy == "greedy", "another loss is never slipped in"


def _with(made: FpmTask, **engine: Any) -> FpmTask:
    from dataclasses import replace

    return replace(made, experiment=made.experiment.replace(engine=made.experiment.engine.replace(**engine)))


# Products ---------------------------------------------------------------------------------------------


def test_checks_can_be_left_out(tmp_path: Path) -> None:
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path, engine={"check_every": 0})), tmp_path / "run")
    assert not any(isinstance(event, VjpsChecked) for event in trainer.run())
    _close(trainer)
