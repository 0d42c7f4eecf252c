"""Gradients of a whole step against finite differences and an independent chain, differentiated by autograd."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from optics.oracle import TorchModel
from optics.setups import figure, relative
from training.small import problem as small_problem

from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.gradients import loss_and_gradients

WANTED = ("levels", "exposures", "step")


def build(**sections: Any) -> tuple[FpmTask, DesignParameters, Objects]:
    """A problem in double precision and parameters away from every bound."""
    sections["engine"] = {"precision": "float64"} | sections.get("engine", {})
    problem = small_problem(**sections)
    rng = np.random.default_rng(2)
    start = start_parameters(problem)
    parameters = start.with_tensors(
        {
            "levels": torch.from_numpy(0.2 + 0.5 * rng.random(tuple(start.levels.shape))),
            "exposures": torch.tensor([0.8, 1.2], dtype=torch.float64),
            "step": torch.from_numpy(0.1 + 0.1 * rng.random(len(start.step))),
        }
    )
    return problem, parameters, problem.training.pick([0, 3])


def independent_loss(
    problem: FpmTask, parameters: DesignParameters, examples: Objects, seed: int | None
) -> torch.Tensor:
    """The whole step written again: light, camera, first estimate, heavy ball on the simple model, loss."""
    settings, grids = problem.experiment.measurement, problem.grids
    gain = torch.from_numpy((1 - problem.leds.radius_na**2) ** 2)
    weights = parameters.exposures[:, None] * parameters.levels * problem.mask * gain
    offset = parameters.exposures * settings.background
    y = torch.einsum("ml,blij->bmij", weights, examples.intensities) + offset[:, None, None]
    level = settings.full_well / (2**settings.adc_bits - 1)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        electrons = settings.photons_per_led * y
        shot, read = (torch.randn(y.shape, generator=generator, dtype=y.dtype) for _ in range(2))
        noisy = (electrons + torch.sqrt(electrons + 0.5) * shot + settings.read_noise * read).clamp_max(
            settings.full_well
        )
        y = (noisy + (torch.round(noisy / level) * level - noisy).detach()) / settings.photons_per_led
    floor = (0.375 + settings.read_noise**2 + level**2 / 12) / settings.photons_per_led
    amplitude = torch.sqrt(y.clamp_min(0) + floor)
    bright = torch.from_numpy(problem.leds.radius_na < problem.objective_na)
    rows = problem.experiment.design.bright_field_rows
    open_field = (weights * bright).sum(1)[:rows] + offset[:rows]
    image = torch.sqrt((amplitude[:, :rows].square() / open_field[:, None, None]).mean(1))
    place = np.arange(grids.object_px) * grids.object_pixel_um / grids.pixel_size_um - grids.pad_px
    grow = torch.from_numpy(
        np.array([np.interp(place, np.arange(grids.tile_px), row) for row in np.eye(grids.tile_px)]).T
    )
    x = torch.complex(grow @ image @ grow.T, torch.zeros(1, dtype=torch.float64))
    model = TorchModel(problem.geometry.microscope, problem.leds.illumination_na, grids)
    network = problem.experiment.network
    beta = float(Fraction(network.momentum)) if network.update == "heavy_ball" else 0.0
    data = DataTerm(weights, offset, amplitude, floor)
    if not x.requires_grad:
        x.requires_grad_()
    velocity = torch.zeros_like(x)
    for step in parameters.step:
        velocity = beta * velocity - step * model.gradient(x, data, create_graph=True)
        x = x + velocity
    first = int((grids.pad_px + problem.experiment.training.margin_px) * grids.upsampling)
    seen = x[:, first:-first, first:-first]
    overlap = (seen.conj() * examples.truth).sum((1, 2), keepdim=True)
    difference = seen * overlap / overlap.abs() - examples.truth
    deviation = examples.truth - examples.truth.mean((1, 2), keepdim=True)
    return (difference.abs().square().sum((1, 2)) / deviation.abs().square().sum((1, 2))).mean()


CASES: dict[str, dict[str, Any]] = {
    "no noise": {"measurement": {"noise": "none"}},
    "fixed noise": {"measurement": {"noise": "physical", "photons_per_led": 2000.0}},
    "saturated": {"measurement": {"noise": "physical", "full_well": 6e4}},
    "plain update": {
        "measurement": {"noise": "none"},
        "network": {"update": "gradient"},
        "engine": {"strategy": "checkpoint"},
    },
    "aberrated": {
        "measurement": {"noise": "none"},
        "geometry": {
            "microscope": {
                "wavelength_um": 0.5,
                "objective_na": 0.2,
                "magnification": 10.0,
                "camera_pixel_um": 5.0,
                "defocus_um": 2.0,
                "zernike_waves": {7: 0.05},
            }
        },
    },
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_an_independent_chain(name: str) -> None:
    problem, parameters, examples = build(**CASES[name])
    seed = None if problem.experiment.measurement.noise == "none" else 11
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    found = loss_and_gradients(
        problem, problem.network(), problem.experiment.engine.strategy, parameters, examples, generator
    )
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    loss = independent_loss(problem, parameters.with_tensors(leaves), examples, seed)
    loss.backward()
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-9)
    for key, leaf in leaves.items():
        assert float(leaf.grad.abs().max()) > 0
        error = figure(f"gradient of {key} against autograd", relative(found.gradients[key], leaf.grad))
        assert error < 1e-7, key


@pytest.mark.parametrize("name", ["no noise", "fixed noise"])
@pytest.mark.parametrize("loss", ["complex", "amplitude"])
@pytest.mark.parametrize("key", WANTED)
def test_gradients_are_finite_differences(name: str, loss: str, key: str) -> None:
    # Rounding of the converter has no derivative, so it is switched off for differences.
    problem, parameters, examples = build(
        **CASES[name]
        | {"training": {"loss": loss}, "measurement": CASES[name]["measurement"] | {"adc_bits": 0, "full_well": 1e9}}
    )

    def outcome(changed: DesignParameters) -> Any:
        generator = torch.Generator().manual_seed(4)
        return loss_and_gradients(problem, problem.network(), "reversible", changed, examples, generator)

    value = getattr(parameters, key)
    direction = torch.randn(value.shape, dtype=value.dtype, generator=torch.Generator().manual_seed(6))
    h = 2e-4
    samples = {}
    for s in (-2, -1, 1, 2):
        values = dict(parameters.items()) | {key: value + s * h * direction}
        samples[s] = outcome(parameters.with_tensors(values)).loss
    slope = (8 * (samples[1] - samples[-1]) - (samples[2] - samples[-2])) / (12 * h)
    gradient = outcome(parameters).gradients[key]
    found = float((gradient * direction).sum())
    assert figure(f"gradient of {key} against finite differences", abs(found / slope - 1)) < 1e-6


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_strategies_give_the_same_bits(precision: str) -> None:
    problem, parameters, examples = build(engine={"precision": precision}, measurement={"noise": "physical"})
    dtype = problem.physics.dtype
    parameters = parameters.with_tensors({key: value.to(dtype) for key, value in parameters.items()})
    results = []
    for name in ("store_all", "checkpoint", "binomial", "reversible"):
        generator = torch.Generator().manual_seed(1)
        results.append(loss_and_gradients(problem, problem.network(), name, parameters, examples, generator))
    for other in results[1:]:
        assert other.loss == results[0].loss
        assert all(torch.equal(other.gradients[key], results[0].gradients[key]) for key in WANTED)
    assert [bool(r.certificate) for r in results] == [False, False, False, True]


def test_levels_outside_a_band_have_no_gradient_and_parameters_are_left_alone() -> None:
    problem, parameters, examples = build(design={"learn_exposure": False}, network={"learn_step": False})
    before = {key: value.clone() for key, value in parameters.items()}
    found = loss_and_gradients(problem, problem.network(), "reversible", parameters, examples, None)
    assert set(found.gradients) == {"levels"}
    assert not found.gradients["levels"][~problem.mask].any() and found.gradients["levels"][problem.mask].all()
    for key, value in parameters.items():
        assert torch.equal(value, before[key]) and value.grad is None and not value.requires_grad
