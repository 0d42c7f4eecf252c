"""A run as events: order, projection, resuming bit for bit, pause and stop at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training.small import experiment, experiment_on_disk, problem, same_state

from ptychoui.errors import EngineError, PtychouiError, SettingsError, StopRequested
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm.parameters import DesignParameters, project_, start_parameters
from ptychoui.training import trainer as trainer_module
from ptychoui.training.control import RunControl
from ptychoui.training.devices import pick_device
from ptychoui.training.events import Finished, Saved, Snapshot, Started, StepDone, Stopped, StrategyChanged, Validated
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer


def start(folder: Path, **sections: Any) -> Trainer:
    """A new run in ``folder / run``."""
    return new_run(load_experiment(experiment_on_disk(folder, **sections)), folder / "run")


def close(trainer: Trainer) -> Trainer:
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer


class StopAt(RunControl):
    """Ask for a stop at the n-th time the run looks."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.looks = at, 0

    def checkpoint(self, before_wait: Callable[[], None] | None = None) -> None:
        self.looks += 1
        if self.looks == self.at:
            self.stop()
        super().checkpoint(before_wait)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Trainer, Validated]]:
    """Runs that nobody interrupted, by their noise, with their last score: to be read only."""

    @cache
    def of(noise: str) -> tuple[Trainer, Validated]:
        trainer = start(tmp_path_factory.mktemp(noise), measurement={"noise": noise})
        scores = [event for event in trainer.run() if isinstance(event, Validated)]
        return close(trainer), scores[-1]

    return of


@pytest.fixture
def uninterrupted(whole: Callable[[str], tuple[Trainer, Validated]]) -> Trainer:
    return whole(experiment().measurement.noise)[0]


def test_events_of_a_run(tmp_path: Path) -> None:
    trainer = start(tmp_path)
    events = list(trainer.run())
    kinds = [type(event) for event in events]
    step, scored = [StepDone] * 3, [Validated, Saved]
    assert kinds == [Started, *scored, *step, *scored, *step, *scored, Finished]
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 2, 3, 4, 5, 6]
    begun = events[0]
    assert isinstance(begun, Started) and begun.steps == 6 and begun.strategy == "reversible" and not begun.resumed
    assert set(begun.predicted_bytes) == {"store_all", "checkpoint", "offload", "binomial", "reversible"}
    steps = [e for e in events if isinstance(e, StepDone)]
    assert all(e.certificate == "exact: 3 unrolls undone bit for bit" and e.memory_bytes > 0 for e in steps)
    assert len({e.memory_bytes for e in steps}) == 1, "a step takes the same memory each time"
    lines = close(trainer).folder.events()  # type: ignore[union-attr]
    assert [(line["kind"], line["step"]) for line in lines] == [
        ("validated", 0), *[("step", n) for n in (1, 2, 3)], ("validated", 3),
        *[("step", n) for n in (4, 5, 6)], ("validated", 6),
    ]  # fmt: skip


def test_training_lowers_the_loss() -> None:
    settings = {"training": {"steps": 30, "validate_every": 30, "learning_rate": 0.1}, "network": {"unrolls": 6}}
    trainer = Trainer(problem(**settings))
    scores = [event.loss for event in trainer.run() if isinstance(event, Validated)]
    assert scores[-1] < 0.97 * scores[0]


def test_pictures_are_made_only_when_wanted_and_cannot_tear() -> None:
    wanted = iter([True, False, False, True, False, False, True])
    trainer = Trainer(problem(), want_images=lambda: next(wanted))
    pictures = [event for event in trainer.run() if isinstance(event, Snapshot)]
    assert [p.step for p in pictures] == [0, 3, 6]
    before = pictures[0].levels.copy()
    trainer.parameters.levels.zero_()
    assert np.array_equal(pictures[0].levels, before)
    with pytest.raises(ValueError, match="read-only"):
        pictures[0].amplitude[0, 0] = 1
    assert pictures[0].true_amplitude.shape == pictures[0].amplitude.shape == (12, 12)


@pytest.mark.parametrize("split", [1, 3, 5])
@pytest.mark.parametrize("noise", ["physical", "published", "none"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, whole: Callable[[str], tuple[Trainer, Validated]], split: int, noise: str
) -> None:
    uninterrupted, score = whole(noise)
    first = start(tmp_path / "half", measurement={"noise": noise})
    for event in first.run():
        if isinstance(event, StepDone) and event.step == split:
            first.control.stop()
    assert first.step == split
    close(first)
    second = resume_run(tmp_path / "half" / "run")
    events = list(second.run())
    assert isinstance(events[0], Started) and events[0].resumed
    same_state(uninterrupted, close(second))
    assert [e for e in events if isinstance(e, Validated)][-1] == score


@pytest.mark.parametrize(("before", "after"), [("float32", "float64"), ("float64", "float32")])
def test_a_run_goes_on_in_another_precision(tmp_path: Path, before: str, after: str) -> None:
    first = start(tmp_path, engine={"precision": before}, training={"steps": 3})
    list(first.run())
    close(first)
    toml = tmp_path / "run" / "experiment.toml"
    text = toml.read_text(encoding="utf-8").replace(f'precision = "{before}"', f'precision = "{after}"')
    toml.write_text(text.replace("steps = 3", "steps = 5"), encoding="utf-8")
    second = resume_run(tmp_path / "run")
    dtype = getattr(torch, after)
    for name, tensor in second.parameters.items():
        before_, after_ = (
            {key: torch.from_numpy(array) for key, array in run.state().items() if array.ndim}
            for run in (first, second)
        )
        mean, square = f"adam_{name}_exp_avg", f"adam_{name}_exp_avg_sq"
        assert tensor.dtype == after_[mean].dtype == after_[square].dtype == dtype
        assert torch.equal(tensor, first.parameters[name].to(dtype))
        assert torch.equal(after_[mean], before_[mean].to(dtype))
        assert second.state()[f"adam_{name}_step"] == 3
    assert isinstance(list(second.run())[-1], Finished) and second.step == 5
    again = resume_run(close(second).folder.path)  # type: ignore[union-attr]
    same_state(second, close(again))


@pytest.mark.parametrize("strategy", ["store_all", "checkpoint"])
def test_strategies_learn_the_same_design(tmp_path: Path, uninterrupted: Trainer, strategy: str) -> None:
    other = start(tmp_path, engine={"strategy": strategy})
    list(other.run())
    same_state(uninterrupted, close(other))


def looks_of_a_run() -> int:
    control = StopAt(-1)
    list(Trainer(problem(), control=control).run())
    return control.looks


@pytest.mark.parametrize("at", [1, 2, 4, 5, 7, 8, 10, 11, 14, 20, 24, 27, 31, 40, 45])
def test_a_stop_at_any_layer_leaves_a_run_that_goes_on_as_if_nothing_happened(
    tmp_path: Path, uninterrupted: Trainer, at: int
) -> None:
    trainer = start(tmp_path)
    trainer.control = StopAt(at)
    events = list(trainer.run())
    assert isinstance(events[-1], Stopped) and trainer.control.looks == at
    close(trainer)
    again = resume_run(tmp_path / "run")
    assert again.step == trainer.step
    list(again.run())
    same_state(uninterrupted, close(again))


def test_the_stops_reach_every_part_of_a_run() -> None:
    assert 45 <= looks_of_a_run() <= 60


def test_a_stop_between_events_ends_the_run_at_once(tmp_path: Path) -> None:
    trainer = start(tmp_path)
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            trainer.control.stop()
    assert isinstance(events[-1], Stopped) and events[-1].step == 2
    assert isinstance(events[-2], Saved)
    close(trainer)


class PauseAt(StopAt):
    """Pause at the n-th look and say so; then do as told."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.reached = threading.Event()

    def checkpoint(self, before_wait: Callable[[], None] | None = None) -> None:
        self.looks += 1
        if self.looks == self.at:
            self.pause()

        def waiting() -> None:
            if before_wait is not None:
                before_wait()
            self.reached.set()

        RunControl.checkpoint(self, waiting)


def paused(trainer: Trainer, control: PauseAt) -> tuple[threading.Thread, list[Any]]:
    """Run in another thread until it stands still."""
    trainer.control = control
    events: list[Any] = []
    thread = threading.Thread(target=lambda: events.extend(trainer.run()))
    thread.start()
    assert control.reached.wait(60)
    return thread, events


@pytest.mark.parametrize("at", [2, 12, 16])
def test_pause_and_resume_from_another_thread_change_nothing(tmp_path: Path, uninterrupted: Trainer, at: int) -> None:
    trainer, control = start(tmp_path), PauseAt(at)
    thread, events = paused(trainer, control)
    assert control.pausing and trainer.step <= 3
    control.resume()
    thread.join(60)
    assert isinstance(events[-1], Finished) and not control.pausing and not control.waiting
    same_state(uninterrupted, close(trainer))


@pytest.mark.parametrize("at", [2, 6, 11, 14], ids=["score", "forward", "step", "back"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_run_that_ends_while_paused_goes_on_as_if_nothing_happened(
    tmp_path: Path, uninterrupted: Trainer, at: int, end: str
) -> None:
    trainer, control = start(tmp_path), PauseAt(at)
    thread, _events = paused(trainer, control)
    if end == "kill":  # what a kill leaves: the folder as it is now
        arrays = RunFolder.open(tmp_path / "run", lock=False).load()
        assert arrays is not None
        saved = {name: value.copy() for name, value in arrays.items()}
    control.stop()
    thread.join(60)
    close(trainer)
    if end == "kill":
        folder = RunFolder.open(tmp_path / "run")
        folder.save(saved)
        folder.close()
    again = resume_run(tmp_path / "run")
    list(again.run())
    same_state(uninterrupted, close(again))


def test_control_by_itself() -> None:
    control = RunControl()
    control.checkpoint()
    control.pause()
    control.resume()
    control.checkpoint(lambda: pytest.fail("did not wait"))
    control.pause()
    control.stop()
    with pytest.raises(StopRequested):
        control.checkpoint()
    assert control.stopping and not control.pausing


def test_project_brings_wild_parameters_back() -> None:
    some = problem(design={"bright_field_rows": 2, "dark_field_rows": 2, "total_exposure": 3.0})
    rng = np.random.default_rng(0)
    total, minimum = 3.0, some.experiment.design.minimum_exposure
    bright = torch.from_numpy(some.leds.bright_field(some.objective_na))
    for _ in range(300):
        wild = DesignParameters(
            {
                "levels": torch.from_numpy(rng.normal(0.5, 1.5, (4, 9))).float(),
                "exposures": torch.from_numpy(rng.normal(0.7, rng.choice([0.1, 2.0]), 4)).float(),
                "step": torch.from_numpy(rng.normal(0.1, 0.2, 3)).float(),
            },
            rates={},
        )
        project_(wild, some)
        assert float(wild.levels.min()) >= 0 and float(wild.levels.max()) <= 1
        assert not wild.levels[~some.mask].any()
        assert float(wild.exposures.min()) >= minimum * (1 - 1e-5)
        assert float(wild.exposures.sum()) == pytest.approx(total, rel=1e-5)
        assert float(wild.step.min()) > 0
        light = (some.measurement.weights(wild.levels, wild.exposures) * bright).sum(1)
        settings = some.experiment.measurement
        assert float(light.max()) * settings.photons_per_led <= 0.8 * settings.full_well * (1 + 1e-5)
        again = wild.with_tensors({name: value.clone() for name, value in wild.items()})
        project_(again, some)
        for name, value in again.items():
            assert torch.allclose(value, wild[name], rtol=1e-5, atol=1e-7), name


def test_project_leaves_good_parameters_alone() -> None:
    some = problem()
    good = start_parameters(some)
    before = {name: value.clone() for name, value in good.items()}
    project_(good, some)
    for name, value in good.items():
        assert torch.allclose(value, before[name], rtol=1e-6), name


def test_a_run_that_diverges_keeps_its_last_state(tmp_path: Path) -> None:
    trainer = start(tmp_path, network={"step": 0.2, "unrolls": 20})
    events = trainer.run()
    with pytest.raises(EngineError, match="diverged") as error:
        for event in events:
            if isinstance(event, StepDone):
                trainer.parameters.step.fill_(1e3)
    assert error.value.hint
    close(trainer)
    again = close(resume_run(tmp_path / "run"))
    assert again.step == 0 and float(again.parameters.step.max()) < 1


def test_a_gpu_that_is_not_there_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:3"):
        with pytest.raises(SettingsError, match=f"{name} was asked for, but this machine has no CUDA GPU") as error:
            pick_device(name)
        assert "cpu, or auto" in error.value.hint
    with pytest.raises(PtychouiError, match="no CUDA GPU"):
        problem(engine={"device": "cuda"})
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")


@pytest.mark.gpu
def test_a_run_on_a_gpu_is_certified_and_close_to_the_cpu() -> None:
    losses = {}
    for device in ("cpu", "cuda"):
        settings = {"engine": {"device": device, "precision": "float64"}, "measurement": {"noise": "none"}}
        steps = [e for e in Trainer(problem(**settings)).run() if isinstance(e, StepDone)]
        assert all(e.certificate and e.memory_bytes > 0 for e in steps)
        losses[device] = [e.loss for e in steps]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-6)


# Strategies ----------------------------------------------------------------------------------------------


def test_auto_takes_what_fits_and_says_why(tmp_path: Path) -> None:
    roomy = start(tmp_path / "a", engine={"strategy": "auto", "memory_mb": 1e5}, training={"steps": 1, "batch": 1})
    begun = next(event for event in roomy.run() if isinstance(event, Started))
    close(roomy)
    assert begun.strategy == "store_all" and any(note.startswith("store_all: ") for note in begun.notes)
    least = min(begun.predicted_bytes.values())
    tight = start(
        tmp_path / "b", engine={"strategy": "auto", "memory_mb": 1.2e-6 * least}, training={"steps": 1, "batch": 1}
    )
    events = list(tight.run())
    close(tight)
    begun, done = events[0], next(event for event in events if isinstance(event, StepDone))
    assert isinstance(begun, Started) and begun.strategy != "store_all"
    assert any("back-propagation would need" in note for note in begun.notes)
    assert done.memory_bytes <= 1.5 * least
    none = start(tmp_path / "c", engine={"strategy": "auto", "memory_mb": 1e-3})
    with pytest.raises(EngineError, match="at least"):
        next(none.run())
    close(none)


def test_when_memory_runs_out_the_step_is_done_again_with_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = start(tmp_path / "expected", engine={"strategy": "checkpoint"}, training={"batch": 1})
    list(expected.run())
    close(expected)
    real = trainer_module.loss_and_gradients

    def short(problem: Any, network: Any, name: str, *rest: Any, **named: Any) -> Any:
        if name == "store_all":
            real(problem, network, name, *rest, **named)  # random numbers are drawn before it fails
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return real(problem, network, name, *rest, **named)

    monkeypatch.setattr(trainer_module, "loss_and_gradients", short)
    found = start(tmp_path / "found", engine={"strategy": "store_all"}, training={"batch": 1})
    events = list(found.run())
    close(found)
    (changed,) = [event for event in events if isinstance(event, StrategyChanged)]
    assert (changed.step, found.strategy) == (0, changed.strategy) and changed.strategy != "store_all"
    assert "store_all ran out of memory at step 1" in changed.reason and changed.strategy in changed.reason
    same_state(found, expected)


def test_memory_that_runs_out_with_the_least_strategy_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(trainer_module, "loss_and_gradients", fail)
    trainer = start(tmp_path, engine={"strategy": "store_all"})
    events = []
    with pytest.raises(MemoryError, match="out of memory"):
        events.extend(trainer.run())
    close(trainer)
