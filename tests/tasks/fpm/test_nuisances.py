"""Microscopes that are not as stated: what changes, what does not, and the ramp that no score counts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from training.small import GEOMETRY, problem

from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import moved
from ptychoui.tasks.fpm.nuisances import (
    ALL,
    DEFOCUS_UM,
    LIGHT,
    NUISANCES,
    SHIFT,
    STRAY,
    TURN_DEG,
    Nuisance,
    believing,
    forgiving,
    moved_leds,
    pitch_mm,
)
from ptychoui.tasks.fpm.objectives import complex_loss, without_ramp
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.task import FpmTask

BY_NAME = {one.name: one for one in NUISANCES}


@cache
def some() -> FpmTask:
    return forgiving(problem(engine={"precision": "float64"}))


def rng(draw: int = 0) -> np.random.Generator:
    return np.random.default_rng(draw)


def shot(task: FpmTask, examples: Any = None) -> dict[str, torch.Tensor]:
    """What the network gets of the held-out objects, noise included."""
    generator = torch.Generator().manual_seed(0)
    given = task.inputs(start_parameters(some()), examples or task.held_out, generator, training=False)
    return dict(given.tensors)


def ramp(size: int, f_row: float, f_column: float) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.exp(2j * torch.pi * (f_row * row.double() + f_column * column.double()))


# The ramp --------------------------------------------------------------------------------------------


def test_a_shift_of_the_array_is_a_phase_ramp_of_the_object() -> None:
    """Shifted by whole frequencies of the grid, the images are the same bit for bit but for rounding."""
    task = some()
    leds, grids = task.leds, task.grids
    step_na = grids.step_per_um * task.microscope.wavelength_um
    aside = replace(leds, illumination_na=leds.illumination_na + step_na * np.array([1, -1]))
    x = torch.randn(1, grids.object_px, grids.object_px, dtype=torch.complex128) * 0.2 + 1
    turned = x * ramp(grids.object_px, -1 / grids.object_px, 1 / grids.object_px)
    # Directions that reach further than the grid are left out.
    inner = np.flatnonzero(leds.radius_na < 0.15)
    models = [believing(task, leds=each.select(inner)).physics for each in (leds, aside)]
    stated, believed = (model.intensities(each) for model, each in zip(models, (x, turned), strict=True))
    assert torch.allclose(stated, believed, rtol=1e-9)
    assert not torch.allclose(stated, models[1].intensities(x), rtol=1e-2)
    assert torch.allclose(without_ramp(turned, x), x, atol=1e-9)


@pytest.mark.parametrize("f", [(0.0, 0.0), (0.013, -0.021), (-0.3, 0.11)])
def test_the_best_ramp_is_found_wherever_it_is(f: tuple[float, float]) -> None:
    truth = some().held_out.truth.to(torch.complex128)
    size = truth.shape[-1]
    turned = truth * ramp(size, *f) * np.exp(1.2j)
    assert float(complex_loss(without_ramp(turned, truth), truth).max()) < 1e-16
    if any(f):
        assert float(complex_loss(turned, truth).min()) > 0.01


def test_no_ramp_makes_a_score_worse() -> None:
    """It is the best of all, none among them: also where there is nothing to be found."""
    torch.manual_seed(3)
    truth = some().held_out.truth.to(torch.complex128)
    noise = torch.randn(truth.shape, dtype=truth.dtype)
    for share in (0.1, 1.0, 30.0):
        x = truth + share * noise
        assert bool((complex_loss(without_ramp(x, truth), truth) <= complex_loss(x, truth) * (1 + 1e-9)).all())


def test_scores_forgive_a_ramp_and_nothing_else() -> None:
    task = some()
    window, batch = task.grids.object_window(task.experiment.training.margin_px), task.held_out
    output = torch.ones(len(batch), task.grids.object_px, task.grids.object_px, dtype=torch.complex128)
    output[:, window, window] = batch.truth
    aside = output * ramp(task.grids.object_px, 0.01, 0.02)
    kept = aside.clone()
    assert float(task.scores(aside, batch)["complex_error"].max()) < 1e-6
    assert torch.equal(aside, kept), "the reconstruction itself stays as it is"
    plain = problem(engine={"precision": "float64"})
    assert float(plain.scores(aside, batch)["complex_error"].min()) > 0.1
    conjugate = task.scores(output.conj().resolve_conj(), batch)
    assert float(conjugate["complex_error"].min()) > 0.1


# Each nuisance ---------------------------------------------------------------------------------------


def test_the_array_is_moved_as_its_pose_says() -> None:
    task = some()
    change = np.array([0.4, -0.2, 3.0, 0.0, 0.0, 0.0])
    expected = led_array(moved(task.geometry.array, change)).illumination_na
    backwards = replace(task, leds=task.leds.select(np.arange(len(task.leds))[::-1]))
    assert np.allclose(moved_leds(task, change).illumination_na, expected)
    assert np.allclose(moved_leds(backwards, change).illumination_na, expected[::-1])
    assert pitch_mm(task) == pytest.approx(GEOMETRY["array"]["pitch_mm"])


@pytest.mark.parametrize("name", ["shift", "rotation", "defocus"])
def test_a_wrong_model_sees_the_same_measurements(name: str) -> None:
    task = some()
    mistaken = BY_NAME[name].task(task, rng())
    before, after = shot(task), shot(mistaken)
    assert torch.equal(before["amplitude"], after["amplitude"])
    assert torch.equal(before["weights"], after["weights"])
    x = torch.randn(1, task.grids.object_px, task.grids.object_px, dtype=torch.complex128) * 0.2 + 1
    assert not torch.allclose(task.physics.intensities(x), mistaken.physics.intensities(x), rtol=1e-3)
    assert mistaken.measurement is task.measurement


def test_shift_rotation_and_defocus_have_their_size() -> None:
    task = some()
    height = GEOMETRY["array"]["height_mm"]
    centre = int(np.argmin(task.leds.radius_na))
    for draw in range(3):
        aside = BY_NAME["shift"].task(task, rng(draw)).leds.illumination_na - task.leds.illumination_na
        assert np.hypot(*aside[centre]) == pytest.approx(SHIFT * pitch_mm(task) / height, rel=0.01)
        turned = BY_NAME["rotation"].task(task, rng(draw)).leds.illumination_na
        vectors = (each - each.mean(0) for each in (turned, task.leds.illumination_na))
        angle = np.angle(np.exp(1j * np.subtract(*(np.arctan2(*each[0][::-1]) for each in vectors))), deg=True)
        assert abs(angle) == pytest.approx(TURN_DEG, rel=0.1)
        focus = BY_NAME["defocus"].task(task, rng(draw)).microscope.defocus_um
        assert abs(focus) == DEFOCUS_UM


def test_uneven_brightness_is_one_factor_for_every_led() -> None:
    task = some()
    many = [BY_NAME["brightness"].examples(task.held_out, rng(draw)).intensities for draw in range(40)]
    ratios = torch.stack([each / task.held_out.intensities for each in many])
    per_led = ratios[:, :, :, :1, :1]
    assert torch.allclose(ratios, per_led[:, :1].expand_as(ratios), rtol=1e-6)
    assert float(per_led[:, 0].std()) == pytest.approx(0.1, rel=0.15)
    assert float(per_led[:, 0].mean()) == pytest.approx(1, abs=0.02)


def test_half_the_light_is_half_the_photons() -> None:
    task = some()
    dim = BY_NAME["light"].task(task, rng())
    settings = task.measurement.settings
    assert dim.measurement.settings == settings.replace(photons_per_led=LIGHT * settings.photons_per_led)
    exact = task.measurement.record(
        task.held_out.intensities, start_parameters(task).levels, start_parameters(task).exposures, None
    )
    noise = [float((shot(each)["amplitude"].square() - exact).std()) for each in (task, dim)]
    assert noise[1] == pytest.approx(noise[0] / LIGHT**0.5, rel=0.2)
    assert torch.equal(shot(task)["weights"], shot(dim)["weights"])


def test_stray_light_is_a_share_of_the_light_of_every_row() -> None:
    task = some()
    quiet = task.experiment.measurement.replace(noise="none")
    task = replace(task, measurement=type(task.measurement)(quiet, task.measurement.gain))
    veiled = BY_NAME["stray_light"].examples(task.held_out, rng())
    added = shot(task, veiled)["amplitude"].square() - shot(task)["amplitude"].square()
    light = shot(task)["weights"].sum(1)
    assert torch.allclose(added, STRAY * light[:, None, None].expand_as(added), rtol=1e-6)
    assert torch.equal(shot(task)["offset"], shot(replace(task))["offset"]), "the model does not know of it"


def test_all_together_is_every_one_of_them() -> None:
    task = some()
    every = ALL.task(task, rng())
    assert every.microscope.defocus_um and every.measurement.settings.photons_per_led < 4e4
    moves = np.ptp(every.leds.illumination_na - task.leds.illumination_na, axis=0)
    assert np.abs(moves).min() > 1e-3, "no shift alone"
    veiled = ALL.examples(task.held_out, rng()).intensities / task.held_out.intensities
    assert float(veiled.std()) > 0.05


@pytest.mark.parametrize("nuisance", NUISANCES, ids=[one.name for one in NUISANCES])
def test_draws_come_from_their_generator_alone(nuisance: Nuisance) -> None:
    task = some()

    def drawn(seed: int) -> tuple[np.ndarray, float, torch.Tensor]:
        generator = rng(seed)
        made = nuisance.task(task, generator)
        examples = nuisance.examples(task.held_out, generator)
        return made.leds.illumination_na, made.microscope.defocus_um, examples.intensities

    one, again, other = drawn(0), drawn(0), [drawn(seed) for seed in range(1, 6)]
    assert np.array_equal(one[0], again[0]) and one[1] == again[1] and torch.equal(one[2], again[2])
    alike = all(
        np.array_equal(one[0], each[0]) and one[1] == each[1] and torch.equal(one[2], each[2]) for each in other
    )
    assert alike != nuisance.random
