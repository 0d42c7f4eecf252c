"""What a run uses is what is checked: every input for itself, in the run's variant, by its strategy, in its precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from optics.setups import figure
from torch import Tensor
from training.small import problem

from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import CertificateError
from ptychoui.network.gradient import GradientUnroll
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.task import STREAMED, FpmTask
from ptychoui.training import check, planning
from ptychoui.training import check as check_module
from ptychoui.training.check import check_vjps
from ptychoui.training.control import RunControl
from ptychoui.training.events import StepDone, Stopped, VjpsChecked
from ptychoui.training.planning import methods_to_check, plan_run
from ptychoui.training.trainer import Trainer

Option = planning.Option


def checked(made: FpmTask, strategy: str, variant: str = "", seed: int = 0) -> float:
    """Check a problem at its start."""
    method = Option(strategy=strategy, peak=0, effort=0.0, variant=variant)
    generator = torch.Generator().manual_seed(seed)
    examples = made.training.pick([0])
    return check_vjps(made, made.double(), method, start_parameters(made), examples, generator)


# Right products ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["", STREAMED])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("update", "strategy"),
    [
        ("heavy_ball", "reversible"),
        ("heavy_ball", "binomial"),
        ("heavy_ball", "greedy"),
        ("gradient", "inverse"),
        ("nesterov", "store_all"),
        ("learned_momentum", "checkpoint"),
        ("learned_momentum", "inverse"),
    ],
)
def test_right_products_pass(update: str, strategy: str, precision: str, variant: str) -> None:
    made = problem(network={"update": update}, engine={"strategy": strategy, "precision": precision, "modules": 3})
    assert figure("check of products in a run", checked(made, strategy, variant)) < check.ALLOWED / 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "sections",
    [
        {"measurement": {"background": 0.0}},
        {"measurement": {"background": 0.0, "photons_per_led": 1e7, "read_noise": 0.0, "adc_bits": 0}},
        {"network": {"unrolls": 60}},
        {"network": {"unrolls": 1, "update": "learned_momentum"}, "engine": {"strategy": "checkpoint"}},
        {"design": {"dark_field_rows": 0}},
    ],
    ids=["no stray light", "dark and bright", "deep", "one unroll", "bright field"],
)
def test_right_products_pass_off_the_beaten_track(sections: dict[str, Any], seed: int) -> None:
    made = problem(**sections)
    assert checked(made, made.experiment.engine.strategy, seed=seed) < check.ALLOWED / 10


# Wrong products ------------------------------------------------------------------------------------------


def spoil(monkeypatch: pytest.MonkeyPatch, method: str, part: str, when: Any = lambda _model: True) -> None:
    """Let a method of the model return one derivative of the wrong sign and size."""
    real = getattr(FourierPtychography, method)

    def wrong(self: FourierPtychography, *arguments: Any) -> Any:
        result = real(self, *arguments)
        if when(self):
            getattr(result[1] if isinstance(result, tuple) else result, part).mul_(-3.0)
        return result

    monkeypatch.setattr(FourierPtychography, method, wrong)


@pytest.mark.parametrize("part", ["weights", "offset", "amplitude"])
def test_a_wrong_product_of_kept_fields_ends_a_run(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "product", part, lambda model: not model.stream)
    run = Trainer(problem(engine={"check_every": 1}, measurement={"background": 0.0}))
    events = []
    with pytest.raises(CertificateError, match=f"derivatives in {part} deviate from differences by") as error:
        events.extend(run.run())
    assert error.value.hint and run.step == 1


@pytest.mark.parametrize(
    ("strategy", "variant", "method"),
    [
        ("checkpoint", "", "product"),
        ("reversible", "", "product"),
        ("greedy", "", "product"),
        ("checkpoint", STREAMED, "product_at"),
        ("reversible", STREAMED, "gradient_and_product"),
    ],
)
def test_what_is_checked_is_the_way_of_the_run(
    strategy: str, variant: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way has passes of its own: a wrong one is found by the run that uses it, and harms no other."""
    made = problem(engine={"strategy": strategy, "modules": 3})
    spoil(monkeypatch, method, "weights", lambda model: model.stream == bool(variant))
    with pytest.raises(CertificateError, match="derivatives in weights deviate"):
        checked(made, strategy, variant)
    assert checked(made, strategy, "" if variant else STREAMED) < check.ALLOWED


def test_a_wrong_hessian_by_a_part_in_a_thousand_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = FourierPtychography.product

    def wrong(self: FourierPtychography, *arguments: Any) -> Any:
        result = real(self, *arguments)
        result.hessian.mul_(1.001)
        return result

    monkeypatch.setattr(FourierPtychography, "product", wrong)
    with pytest.raises(CertificateError, match=r"derivatives in .* deviate from differences"):
        checked(problem(), "reversible")


@pytest.mark.parametrize("place", [0, 2])
def test_a_wrong_derivative_in_one_step_size_is_found(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = GradientUnroll.linearise

    def wrong(self: GradientUnroll, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        at = real(self, x, inputs, keep, work)
        at._index = place  # every unroll's derivative goes to one place
        return at

    monkeypatch.setattr(GradientUnroll, "linearise", wrong)
    with pytest.raises(CertificateError, match="derivatives in step deviate from differences"):
        checked(problem(), "checkpoint")


@pytest.mark.parametrize("turn", range(8))
def test_later_checks_take_the_inputs_in_turn(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every so many checks one, and no other, looks at the input that is wrong."""
    looked: list[list[str]] = []
    deviations = check.deviations

    def watched(*arguments: Any) -> Any:
        looked.append(arguments[7])
        return deviations(*arguments)

    monkeypatch.setattr(check, "deviations", watched)
    made = problem()
    method = methods_to_check(made, plan_run(made, start_parameters(made)))[0]
    examples, generator = made.training.pick([0]), torch.Generator().manual_seed(0)
    double = made.double()
    for which in (None, turn):
        check_vjps(made, double, method, start_parameters(made), examples, generator, which)
    every, one = looked
    assert one == [every[turn % len(every)]] and len(set(every)) == len(every) > 4


def test_products_that_are_wrong_in_single_precision_only_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "product", "weights", lambda model: model.dtype == torch.float32)
    with pytest.raises(CertificateError, match="derivatives in weights deviate from those in double precision"):
        checked(problem(), "reversible")
    assert checked(problem(engine={"precision": "float64"}), "reversible") < check.ALLOWED


def test_a_derivative_that_is_not_a_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = FourierPtychography.product

    def wrong(self: FourierPtychography, *arguments: Any) -> Any:
        result = real(self, *arguments)
        result.offset.fill_(float("nan"))
        return result

    monkeypatch.setattr(FourierPtychography, "product", wrong)
    with pytest.raises(CertificateError, match="derivatives in offset deviate"):
        checked(problem(measurement={"background": 0.0}), "reversible")


# Memory --------------------------------------------------------------------------------------------------


def _with(made: FpmTask, **engine: Any) -> FpmTask:
    return replace(made, experiment=made.experiment.replace(engine=made.experiment.engine.replace(**engine)))


def test_a_check_keeps_to_the_memory_of_the_run() -> None:
    made = problem(engine={"strategy": "store_all", "memory_mb": 1e5}, network={"unrolls": 40})
    chosen = plan_run(made, start_parameters(made))
    own = next(o for o in chosen.among if o.strategy == "store_all" and o.objects == 1 and not o.variant)
    least = min(o.peak for o in chosen.among if o.objects == 1 and o.strategy != "greedy" and not o.variant)

    def first(memory: float, **engine: Any) -> tuple[str, str]:
        method = methods_to_check(_with(made, memory_mb=1e-6 * memory, **engine), chosen)[0]
        return method.strategy, method.variant

    assert first(2.01 * own.peak) == ("store_all", "")
    strategy, variant = first(1.99 * own.peak)
    assert strategy != "store_all" and not variant
    assert first(1.99 * least) == ("checkpoint", STREAMED)


def test_a_greedy_run_is_checked_by_back_propagation() -> None:
    made = problem(engine={"strategy": "greedy", "modules": 3, "memory_mb": 1e5})
    assert methods_to_check(made, plan_run(made, start_parameters(made)))[0].strategy == "store_all"


def test_a_check_that_runs_out_of_memory_takes_less_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = check_module.check_vjps

    def short(problem: FpmTask, double: FpmTask, method: Any, *rest: Any) -> Any:
        if not method.variant:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return real(problem, double, method, *rest)

    monkeypatch.setattr(check_module, "check_vjps", short)
    settings = {"engine": {"check_every": 3, "strategy": "store_all"}, "training": {"steps": 3}}
    (found,) = [event for event in Trainer(problem(**settings)).run() if isinstance(event, VjpsChecked)]
    assert found.method == f"checkpoint, {STREAMED}"
    monkeypatch.setattr(check_module, "check_vjps", lambda *_: torch.zeros(1) @ torch.zeros(2))
    with pytest.raises(RuntimeError, match="size"):
        Trainer(problem(**settings)).check_vjps()


def test_a_check_says_what_it_checked_and_changes_nothing() -> None:
    runs = [Trainer(problem(engine={"check_every": every}, training={"steps": 3})) for every in (0, 1)]
    without, events = list(runs[0].run()), list(runs[1].run())
    assert [event.method for event in events if isinstance(event, VjpsChecked)] == ["reversible"] * 3
    losses = [[event.loss for event in some if isinstance(event, StepDone)] for some in (without, events)]
    assert losses[0] == losses[1]


def test_a_check_can_be_stopped_and_says_what_it_is() -> None:
    """It takes the time of many steps: nobody waits for its end to stop a run."""
    control, asked = RunControl(), 0
    trainer = Trainer(problem(engine={"check_every": 2}), control=control)
    told: set[str] = set()
    checkpoint = control.checkpoint

    def watched(*arguments: Any) -> None:
        nonlocal asked
        text = control.doing[0]
        told.add(text)
        if text == "checking derivatives against differences":
            asked += 1
            if asked == 3:
                control.stop()
        checkpoint(*arguments)

    control.checkpoint = watched  # type: ignore[method-assign]
    events = list(trainer.run())
    assert isinstance(events[-1], Stopped) and trainer.step == 2 and asked == 3
    assert told >= {"scoring held-out examples", "step 1", "step 2"}
    assert not any(isinstance(event, VjpsChecked) for event in events)
