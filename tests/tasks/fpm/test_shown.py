"""Patterns of few bits and few LEDs, learned as they are shown: derivatives, runs, judges, files, the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optics.setups import figure
from training.small import experiment, experiment_on_disk, problem, same_state

from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet
from ptychoui.export.formats import export_patterns
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.session.document import Document
from ptychoui.settings import Design, load_experiment, to_toml
from ptychoui.tasks.fpm.contenders import TITLES, known_design, learned_design
from ptychoui.tasks.fpm.judges import network_errors
from ptychoui.tasks.fpm.parameters import DesignParameters, design_parameters, project_, start_parameters
from ptychoui.tasks.fpm.rescoring import rescored
from ptychoui.tasks.fpm.shown import HARD_AFTER, hardness, shown_design
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.events import Validated
from ptychoui.training.gradients import evaluate, loss_and_gradients
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer

BITS: dict[str, Any] = {"design": {"drive_bits": 1}}
NOISELESS = {"noise": "none", "background": 0.02}
FAINT = {"photons_per_led": 1e4}
"""Eight LEDs at full level do not saturate in one frame."""


def few_bits(**sections: Any) -> FpmTask:
    return problem(**sections | {"design": BITS["design"] | sections.get("design", {})})


def parameters_of(task: FpmTask, levels: Any, exposures: Any = (1.0, 1.0)) -> DesignParameters:
    begun = start_parameters(task)
    values = torch.tensor(np.array(levels), dtype=task.dtype), torch.tensor(exposures, dtype=task.dtype)
    return design_parameters(task, *values, begun.step)


def codes_of(levels: Any, bits: int) -> np.ndarray:
    codes = np.asarray(levels, dtype=float) * (2**bits - 1)
    assert np.abs(codes - codes.round()).max() < 1e-6 * (2**bits - 1), "levels are no whole codes"
    return codes.round()


# Derivatives -----------------------------------------------------------------------------------------


def naive_times(task: FpmTask, levels: np.ndarray, exposures: np.ndarray) -> np.ndarray:
    """Frame times of which none saturates: four fifths of the full well over the light of one frame."""
    light = task.leds.gain * task.leds.bright_field(task.objective_na)
    settings = task.experiment.measurement
    longest = [0.8 * settings.full_well / settings.photons_per_led / max((row * light).sum(), 1e-9) for row in levels]
    return np.minimum(exposures, longest)


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("photons", [1e4, 4e4], ids=["no row at its limit", "the bright row at its limit"])
@pytest.mark.parametrize(("name", "hard"), [("store_all", 1.0), ("reversible", 1.0), ("reversible", 0.25)])
def test_levels_get_the_derivative_of_differences_in_what_is_shown(
    bits: int, photons: float, name: str, hard: float
) -> None:
    """The loss of a network that shows any level, as a function of the shown levels and their frame times."""
    settings: dict[str, Any] = {
        "engine": {"precision": "float64"},
        "measurement": NOISELESS | {"photons_per_led": photons},
        "network": {"learn_step": False},
    }
    task, free = few_bits(design={"drive_bits": bits}, **settings), problem(**settings)
    latent = np.random.default_rng(1).uniform(0.3, 0.9, (2, 9)) * task.mask.numpy()
    begun = parameters_of(task, latent, (1.2, 0.8))
    begun.progress = hard * HARD_AFTER
    examples, network = task.training.pick([0, 1]), task.network()
    found = loss_and_gradients(task, network, name, begun, examples, None).gradients
    shown = codes_of(task.design_arrays(begun)[0], bits) / (2**bits - 1)
    assert np.abs(shown - latent).max() > 0.01
    dark = shown == 0
    shown = hard * shown + (1 - hard) * latent
    exposures = np.array([1.2, 0.8])
    limited = naive_times(task, shown, exposures)[0] < 1.2
    assert limited == (photons > 2e4), "what the name of the test says"

    def loss(levels: np.ndarray, times: np.ndarray) -> float:
        shown_now = parameters_of(free, levels, tuple(naive_times(task, levels, times)))
        with torch.no_grad():
            given = free.inputs(shown_now, examples, None, training=True)
            return float(free.loss(network.infer(given.x, given.tensors), examples).mean())

    h, derivative = 1e-5, found["levels"].numpy()
    for place in zip(*np.nonzero(task.mask.numpy()), strict=True):
        moved = [shown.copy(), shown.copy()]
        moved[0][place] += h
        moved[1][place] -= h
        slope = (loss(moved[0], exposures) - loss(moved[1], exposures)) / (2 * h)
        deviation = abs(slope - derivative[place]) / np.abs(derivative).max()
        assert figure("levels of few bits: derivative from differences in what is shown", deviation) < 1e-6
    assert (derivative[dark & task.mask.numpy()] != 0).all() and (dark.any() or bits > 1), "what is dark can be lit"
    assert (derivative[~task.mask.numpy()] == 0).all()
    for row in range(2):
        moved = [exposures.copy(), exposures.copy()]
        moved[0][row] += h
        moved[1][row] -= h
        slope = (loss(shown, moved[0]) - loss(shown, moved[1])) / (2 * h)
        assert float(found["exposures"][row]) == pytest.approx(slope, rel=1e-5, abs=1e-9)
        assert (slope == 0) == (limited and row == 0), "a longer frame is of no use to a row at its limit"


def test_what_is_shown_is_whole_to_the_last_bit() -> None:
    task = few_bits(design={"drive_bits": 3})
    ladder = (torch.arange(8, dtype=torch.float64) / 7).float()
    generator = torch.Generator().manual_seed(4)
    for _ in range(30):
        # Far below half a code: the brightest LED of a row is moved a long way.
        levels = 0.03 * torch.rand(2, 9, generator=generator)
        shown, _ = shown_design(task, levels, torch.ones(2))
        assert bool(torch.isin(shown, ladder).all()) and int((shown > 0).sum()) == 2


def test_double_precision_measures_with_the_same_codes() -> None:
    task = few_bits(design={"drive_bits": 3})
    levels = np.random.default_rng(2).random((2, 9)).astype(np.float32) * task.mask.numpy()
    levels[0, task.mask[0].numpy()] = np.float32(0.5 / 7)  # right between two codes
    begun, examples = parameters_of(task, levels), task.training.pick([0])
    single = task.inputs(begun, examples, None, training=True).tensors["weights"]
    double = task.double().inputs(begun.double(), examples.double(), None, training=True).tensors["weights"]
    assert double.dtype == torch.float64 and float((single - double).abs().max()) < 1e-6


def test_products_of_a_run_of_few_bits_are_right() -> None:
    trainer = Trainer(few_bits())
    assert trainer.check_vjps().deviation < 1e-6


# What is shown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"drive_bits": 1}, {"drive_bits": 3, "maximum_lit": 2}, {"maximum_lit": 1}])
def test_everything_sees_what_the_array_can_show(limits: dict[str, int]) -> None:
    task = few_bits(design={"drive_bits": None} | limits, training={"steps": 4})
    trainer = Trainer(task)
    for _ in trainer.steps_alone():
        pass
    result = trainer.result()
    assert isinstance(result, PatternSet)
    assert result.lit.min() >= 1 and result.lit.max() <= limits.get("maximum_lit", 9)
    if "drive_bits" in limits:
        top = 2 ** limits["drive_bits"] - 1
        assert np.array_equal(result.levels, np.round(result.levels * top) / top), "exact in double precision"
        latent = trainer.parameters["levels"].numpy() * top
        assert np.abs(latent - latent.round()).max() > 1e-3, "what is learned is not rounded"
    assert result.exposures.sum() <= 2.0 + 1e-6
    snapshot = trainer.snapshot()
    assert np.allclose(snapshot.levels, result.levels) and np.allclose(snapshot.exposures, result.exposures)
    with torch.no_grad():
        given = task.inputs(trainer.parameters, task.held_out.pick([0]), None, training=False).tensors["weights"]
    expected = result.exposures[:, None] * result.levels * task.leds.gain
    assert given.numpy() == pytest.approx(expected, abs=1e-6)
    own = learned_design(task, trainer.parameters)
    scored = evaluate(task, task.network(), trainer.parameters, task.held_out)["complex_error"].double().numpy()
    assert network_errors(own, trainer.parameters, task.held_out) == pytest.approx(scored, rel=1e-4)


@pytest.mark.parametrize("bits", [1, 2])
def test_a_row_that_would_saturate_has_a_shorter_frame_and_keeps_its_pattern(bits: int) -> None:
    task = few_bits(design={"drive_bits": bits})
    begun = parameters_of(task, np.ones((2, 9)) * task.mask.numpy())
    with torch.no_grad():
        project_(begun, task)
    levels, exposures = task.design_arrays(begun)
    assert np.array_equal(levels, task.mask.numpy()), "nothing is dimmed"
    light = levels[0] * task.leds.gain * task.leds.bright_field(task.objective_na)
    assert exposures[0] * light.sum() == pytest.approx(2.0, rel=1e-6)  # four fifths of the full well: two LEDs
    assert exposures[1] == 1.0, "what is left of its time is not given away"
    warnings = task.preflight(begun, lambda: None).warnings
    assert not any("saturat" in warning for warning in warnings)
    again = parameters_of(task, levels, tuple(exposures))
    assert np.allclose(task.design_arrays(again)[1], exposures, rtol=1e-6), "what is shown stays as it is"


def test_a_design_without_limits_is_what_it_was() -> None:
    task = problem()
    begun = start_parameters(task)
    levels, exposures = shown_design(task, begun.levels, begun.exposures)
    assert torch.equal(levels, begun.levels * task.mask) and exposures is begun.exposures
    assert not Design().limits_levels and "drive_bits" not in to_toml(experiment())


@pytest.mark.parametrize("limits", [{"drive_bits": 1}, {"drive_bits": 3, "maximum_lit": 2}, {"maximum_lit": 2}])
@pytest.mark.parametrize("name", TITLES)
def test_known_designs_are_shown_alike(name: str, limits: dict[str, int]) -> None:
    task = few_bits(design={"drive_bits": None} | limits)
    design = known_design(task, name)
    if "drive_bits" in limits:
        codes_of(design.levels, limits["drive_bits"])
    assert int((design.levels > 0).sum(1).max()) <= limits.get("maximum_lit", 9)
    assert int((design.levels > 0).sum(1).min()) >= 1
    assert float(design.exposures.sum()) <= 2.0 + 1e-6
    found = task.known(name, 0)
    assert np.allclose(found.levels, design.levels, atol=1e-6)
    with torch.no_grad():
        parameters = design_parameters(design.task, design.levels, design.exposures, torch.ones(3))
        weights = design.task.inputs(parameters, task.held_out.pick([0]), None, training=False).tensors["weights"]
    bright = task.leds.bright_field(task.objective_na)
    assert (weights.numpy() * bright).sum(1).max() < 2.0 + 1e-5, "no row saturates"


def test_other_levels_are_scored_as_they_are() -> None:
    trainer = Trainer(few_bits(measurement=FAINT))
    levels = np.where(trainer.task.mask.numpy(), 0.3, 0.0)  # one bit would show next to nothing of it
    free = problem(measurement=FAINT)
    parameters = parameters_of(free, levels)
    expected = evaluate(free, trainer.network, parameters, free.held_out)["complex_error"].mean()
    assert rescored(trainer, levels, np.ones(2))["complex_error"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("start", ["dense_random", "random_partition", "hybrid", "singles"])
@pytest.mark.parametrize("limits", [{"drive_bits": 1}, {"drive_bits": 3, "maximum_lit": 2}, {"maximum_lit": 1}])
def test_the_window_shows_the_start_that_a_run_shows(start: str, limits: dict[str, int]) -> None:
    settings = experiment(design={"start": start} | limits)
    document = Document(settings)
    shown = document.design()
    assert shown is not None
    task = problem(design={"start": start} | limits)
    levels, exposures = task.design_arrays(task.parameters())
    assert np.allclose(shown[0], levels, atol=1e-6) and np.allclose(shown[1], exposures, rtol=1e-6)
    assert (levels > 0).any(1).all()


def test_a_known_design_beyond_the_bands_is_shown_whole() -> None:
    settings = experiment(**BITS)
    assert settings.geometry is not None
    leds = led_array(settings.geometry.array)
    levels = np.zeros((2, 9))
    levels[:, [0, 4]] = 1  # in both fields
    shown, _ = starts.shown_design(levels, np.ones(2), settings.design, settings.measurement, leds, 0.2)
    assert np.array_equal(shown, levels)


# Runs ------------------------------------------------------------------------------------------------


def test_learning_lowers_the_loss() -> None:
    task = few_bits(
        design={"drive_bits": 1, "start": "dense_random"},
        network={"prior": "smooth", "unrolls": 6, "step": None},
        training={"steps": 20, "validate_every": 20, "learning_rate": 0.1},
    )
    losses = [event.loss for event in Trainer(task).run() if isinstance(event, Validated)]
    assert losses[-1] < 0.97 * losses[0]


def test_rounding_hardens_over_a_run() -> None:
    """Steps learn from what lies between; scores and results are of what shines at any time."""
    assert [hardness(share) for share in (0.0, 0.2, 0.4, 0.8, 0.9, 1.0)] == pytest.approx([0, 0.25, 0.5, 1, 1, 1])
    task = few_bits(training={"steps": 4})
    trainer, seen = Trainer(task), []
    for _ in trainer.steps_alone():
        seen.append(trainer.parameters.progress)
    assert seen == [0.0, 0.25, 0.5, 0.75], "a step learns from the share that was done before it"
    latent = np.where(task.mask.numpy(), 0.8, 0.0)
    parameters, examples = parameters_of(task, latent), task.training.pick([0])
    for progress, shines in ((0.0, 0.8), (0.4, 0.9), (0.8, 1.0)):
        parameters.progress = progress
        learned, scored = (task.inputs(parameters, examples, None, training).tensors for training in (True, False))
        row = task.mask[1]
        gain = torch.from_numpy(task.leds.gain)[row]
        assert (learned["weights"][1][row] / gain).numpy() == pytest.approx(shines, rel=1e-5)
        assert (scored["weights"][1][row] / gain).numpy() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("limits", [{"drive_bits": 1, "maximum_lit": 3}, {"maximum_lit": 2}])
def test_a_resumed_run_comes_to_the_same_bits(tmp_path: Path, limits: dict[str, int]) -> None:
    def done(run: Trainer, until: int = 6) -> Trainer:
        for event in run.run():
            if event.step == until < 6:
                run.control.stop()
        assert run.folder is not None and run.step == until
        run.folder.close()
        return run

    path = experiment_on_disk(tmp_path, design=limits)
    whole = done(new_run(load_experiment(path), tmp_path / "whole"))
    done(new_run(load_experiment(path), tmp_path / "part"), until=4)
    same_state(done(resume_run(tmp_path / "part")), whole)


def test_whole_codes_are_exported_as_they_are_and_other_bits_are_named(tmp_path: Path) -> None:
    trainer = Trainer(few_bits(design={"drive_bits": 3}))
    result = trainer.learned()
    assert isinstance(result, PatternSet)
    same = export_patterns(result, "json", tmp_path / "same.json", bits=3)
    assert same.notes == ()
    other = export_patterns(result, "json", tmp_path / "other.json", bits=1)
    assert "learned for levels of 3 bits, and are written with 1" in other.notes[0]
