"""Learning with light that is not as stated: what is measured changes, what the model knows and what is scored do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training.small import experiment_on_disk, problem, same_state

from ptychoui.settings import load_experiment, to_toml
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.tasks.fpm.training_nuisances import LIGHT, STRAY, UNEVEN, perturbed
from ptychoui.training.gradients import evaluate
from ptychoui.training.runs import new_run, resume_run

ON = {"measurement": {"nuisances": True}}


def task(noise: str = "physical", **more: object) -> FpmTask:
    return problem(engine={"precision": "float64"}, measurement={"noise": noise, **more})


def inputs(made: FpmTask, training: bool = True, seed: int | None = 0) -> dict[str, torch.Tensor]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return dict(made.inputs(start_parameters(made), made.training.part(0, 2), generator, training).tensors)


def test_every_draw_keeps_its_bounds() -> None:
    made = task()
    images, model = made.training.intensities, made.measurement
    factors, light, stray = [], [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        other, veiled = perturbed(model, images, generator)
        factors.append((other.gain / model.gain).numpy())
        light.append(other.settings.photons_per_led / model.settings.photons_per_led)
        added = veiled - images
        stray.append(float(added.mean()))
        assert float(added.max() - added.min()) < 1e-12
    assert np.std(factors) == pytest.approx(UNEVEN, rel=0.1) and np.mean(factors) == pytest.approx(1, abs=0.01)
    assert min(light) >= LIGHT and max(light) <= 1 and np.mean(light) == pytest.approx((1 + LIGHT) / 2, abs=0.03)
    assert min(stray) >= 0 and max(stray) <= STRAY and np.mean(stray) == pytest.approx(STRAY / 2, abs=0.001)


def test_what_is_measured_changes_and_what_the_model_knows_does_not() -> None:
    """Without noise: the brightness and the stray light that were drawn, through the rows' weights."""
    stated, given = (inputs(task("none", nuisances=on)) for on in (False, True))
    assert torch.equal(stated["weights"], given["weights"]) and torch.equal(stated["offset"], given["offset"])
    made = task("none", nuisances=True)
    other, veiled = perturbed(made.measurement, made.training.part(0, 2).intensities, torch.Generator().manual_seed(0))
    parameters = start_parameters(made)
    weights = parameters.exposures[:, None] * parameters.levels * made.mask * other.gain
    expected = torch.einsum("ml,blij->bmij", weights, veiled) + given["offset"][:, None, None]
    assert torch.allclose(given["amplitude"].square() - made.measurement.variance_floor, expected, rtol=1e-9)
    assert not torch.allclose(given["amplitude"], stated["amplitude"], rtol=1e-3)


def test_scores_and_checks_are_of_the_microscope_as_stated() -> None:
    off, on = task(), task(nuisances=True)
    for training, seed in ((False, 0), (False, None), (True, None)):
        one, other = inputs(off, training, seed), inputs(on, training, seed)
        assert all(torch.equal(one[name], other[name]) for name in one)
    scores = [evaluate(each, each.network(), start_parameters(each), each.held_out) for each in (off, on)]
    assert all(torch.equal(scores[0][name], scores[1][name]) for name in scores[0])


def test_derivatives_are_those_of_what_is_measured() -> None:
    made = task("none", nuisances=True)
    parameters = start_parameters(made).leaves()
    levels = parameters.levels

    def brightness(at: torch.Tensor) -> torch.Tensor:
        moved = parameters.with_tensors(parameters.tensors | {"levels": at})
        generator = torch.Generator().manual_seed(5)
        return made.inputs(moved, made.training.part(0, 2), generator, True).tensors["amplitude"].sum()

    brightness(levels).backward()  # type: ignore[no-untyped-call]
    direction = torch.rand(levels.shape, dtype=levels.dtype) * made.mask
    with torch.no_grad():
        difference = (brightness(levels + 1e-6 * direction) - brightness(levels - 1e-6 * direction)) / 2e-6
    assert levels.grad is not None
    assert float((levels.grad * direction).sum()) == pytest.approx(float(difference), rel=1e-6)


def test_files_of_runs_without_them_stay_as_they_are() -> None:
    experiment = problem().experiment
    assert "nuisances" not in to_toml(experiment)
    asked = experiment.replace(measurement=experiment.measurement.replace(nuisances=True))
    assert "nuisances = true" in to_toml(asked)


def test_a_run_with_them_goes_on_bit_for_bit(tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path, training={"steps": 4}, **ON)
    whole = new_run(load_experiment(path), tmp_path / "whole")
    list(whole.run())
    short = load_experiment(path)
    short = short.replace(training=short.training.replace(steps=2))
    part = new_run(short, tmp_path / "part")
    list(part.run())
    for each in (whole, part):
        assert each.folder is not None
        each.folder.close()
    rest = resume_run(tmp_path / "part", changes=lambda e: e.replace(training=e.training.replace(steps=4)))
    list(rest.run())
    same_state(whole, rest)
    rest.folder.close()  # type: ignore[union-attr]
    without = new_run(replace_nuisances(load_experiment(path)), tmp_path / "without")
    list(without.run())
    assert not np.array_equal(without.state()["parameter_levels"], whole.state()["parameter_levels"])
    without.folder.close()  # type: ignore[union-attr]


def replace_nuisances(experiment: object) -> object:
    measurement = experiment.measurement.replace(nuisances=False)  # type: ignore[attr-defined]
    return experiment.replace(measurement=measurement)  # type: ignore[attr-defined]
