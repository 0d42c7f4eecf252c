"""Adjoints, gradient and closed-form products against float64 autograd of the simple model and finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from optics import oracle
from optics.setups import ABERRATED, data_term, inner, make, objects, physics, relative

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.data_term import DataTerm, ProductResult

POSE = {"rotation_deg": 17.0, "tilt_x_deg": 6.0, "shift_x_mm": 0.7}
CASES: dict[str, dict[str, Any]] = {
    "lattice": {"tile_px": 8, "pad_px": 2},
    "posed, aberrated": {"scope": ABERRATED, "pose": POSE, "tile_px": 8, "pad_px": 2},
    "point": {"scope": ABERRATED | {"pixel": "point"}, "pose": POSE, "tile_px": 9, "pad_px": 1},
    "coarse camera": {"scope": ABERRATED | {"camera_pixel_um": 11.0}, "tile_px": 6, "pad_px": 1},
}


def complex_noise(*shape: int, seed: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))


class Case:
    """A model, its oracle, an object, a direction and a data term that does not fit."""

    def __init__(self, name: str) -> None:
        self.setup = make(**CASES[name])
        microscope, leds, grids = self.setup
        self.model = physics(self.setup)
        self.oracle = oracle.TorchModel(microscope, leds.illumination_na, grids)
        self.data = data_term(grids, len(leds))
        self.x = torch.from_numpy(objects(grids, batch=2))
        self.q = complex_noise(2, grids.object_px, grids.object_px)

    def product(self) -> ProductResult:
        keep, work = Scratch(), Scratch()
        return self.model.product(self.model.linearise(self.x, self.data, keep, work), self.q, self.data, work)

    def gradient(self, x: torch.Tensor, data: DataTerm) -> torch.Tensor:
        keep, work = Scratch(), Scratch()
        return self.model.gradient(self.model.linearise(x, data, keep, work), work)

    def along(self, x: torch.Tensor, data: DataTerm) -> float:
        """Re<q, g(x)> by the model's own gradient."""
        return inner(self.q, self.gradient(x, data))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_the_torch_oracle_is_the_numpy_oracle(case: Case) -> None:
    microscope, leds, grids = case.setup
    expected = oracle.single_led_images(case.x[0].numpy(), microscope, leds.illumination_na, grids)
    assert relative(case.oracle.images(case.x)[0].numpy(), expected) < 1e-12


def test_field_and_its_adjoint_have_the_same_dot_product(case: Case) -> None:
    grids, leds = case.setup[2], case.setup[1]
    fields = complex_noise(2, len(leds), grids.field_px, grids.field_px, seed=8)
    forward = case.model.field(case.x, Scratch())
    backward = case.model.field_adjoint(fields, Scratch())
    left, right = inner(fields, forward), inner(backward, case.x)
    assert left == pytest.approx(right, rel=1e-11)
    left, right = inner(fields, 1j * forward), inner(backward, 1j * case.x)
    assert left == pytest.approx(right, rel=1e-11)


def test_camera_and_its_adjoint_have_the_same_dot_product(case: Case) -> None:
    grids = case.setup[2]
    rng = np.random.default_rng(1)
    intensity = torch.from_numpy(rng.normal(size=(3, grids.field_px, grids.field_px)))
    image = torch.from_numpy(rng.normal(size=(3, grids.tile_px, grids.tile_px)))
    left = inner(image, case.model.camera(intensity))
    assert left == pytest.approx(inner(case.model.camera_adjoint(image), intensity), rel=1e-12)


def test_the_camera_keeps_the_light_of_an_unpadded_tile() -> None:
    setup = make(scope={"camera_pixel_um": 11.0}, tile_px=8, pad_px=0)
    rng = np.random.default_rng(1)
    intensity = torch.from_numpy(rng.random((setup[2].field_px, setup[2].field_px)))
    assert float(physics(setup).camera(intensity).mean()) == pytest.approx(float(intensity.mean()), rel=1e-12)


def test_gradient_is_autograd_of_the_simple_objective(case: Case) -> None:
    expected = case.oracle.gradient(case.x, case.data)
    assert relative(case.gradient(case.x, case.data), expected) < 1e-11


def test_objective_is_that_of_the_simple_model_per_object(case: Case) -> None:
    at = case.model.linearise(case.x, case.data, Scratch(), Scratch())
    found = case.model.objective(at, case.data)
    assert found.shape == (2,)
    for b in range(2):
        one = replace(case.data, amplitude=case.data.amplitude[b : b + 1])
        assert float(found[b]) == pytest.approx(float(case.oracle.objective(case.x[b : b + 1], one)), rel=1e-12)


def test_gradient_is_a_finite_difference_of_the_objective(case: Case) -> None:
    def objective(x: torch.Tensor) -> float:
        at = case.model.linearise(x, case.data, Scratch(), Scratch())
        return float(case.model.objective(at, case.data).sum())

    h = 1e-5
    slope = (objective(case.x + h * case.q) - objective(case.x - h * case.q)) / (2 * h)
    assert 2 * inner(case.gradient(case.x, case.data), case.q) == pytest.approx(slope, rel=1e-7)


def test_hessian_product_is_autograd_of_the_simple_gradient(case: Case) -> None:
    x = case.x.clone().requires_grad_()
    gradient = case.oracle.gradient(x, case.data, create_graph=True)
    along = (case.q.conj() * gradient).sum().real
    (expected,) = torch.autograd.grad(along, x)
    result = case.product()
    assert relative(result.hessian, expected) < 1e-10
    assert float(result.along) == pytest.approx(float(along.detach()), rel=1e-10)


def test_hessian_product_is_a_finite_difference_of_the_gradient(case: Case) -> None:
    h = 1e-5
    difference = (
        case.gradient(case.x + h * case.q, case.data).clone() - case.gradient(case.x - h * case.q, case.data)
    ) / (2 * h)
    assert relative(case.product().hessian, difference) < 1e-7


def test_hessian_is_self_adjoint(case: Case) -> None:
    first, p, q = case.product().hessian.clone(), complex_noise(*case.q.shape, seed=9), case.q
    case.q = p
    second = case.product().hessian
    assert inner(p, first) == pytest.approx(inner(second, q), rel=1e-10)


@pytest.mark.parametrize("name", ["weights", "offset", "amplitude"])
def test_derivatives_in_the_constants_are_autograd_of_the_simple_gradient(case: Case, name: str) -> None:
    leaf = getattr(case.data, name).clone().requires_grad_()
    x = case.x.clone().requires_grad_()
    gradient = case.oracle.gradient(x, replace(case.data, **{name: leaf}), create_graph=True)
    (expected,) = torch.autograd.grad((case.q.conj() * gradient).sum().real, leaf)
    assert relative(getattr(case.product(), name), expected) < 1e-10


@pytest.mark.parametrize("name", ["weights", "offset", "amplitude"])
def test_derivatives_in_the_constants_are_finite_differences(case: Case, name: str) -> None:
    value = getattr(case.data, name)
    direction = torch.from_numpy(np.random.default_rng(4).normal(size=tuple(value.shape)))
    h = 1e-5
    high = case.along(case.x, replace(case.data, **{name: value + h * direction}))
    low = case.along(case.x, replace(case.data, **{name: value - h * direction}))
    assert inner(getattr(case.product(), name), direction) == pytest.approx((high - low) / (2 * h), rel=1e-6)


def test_the_product_also_holds_in_single_precision() -> None:
    case = Case("posed, aberrated")
    expected = case.product()
    model = physics(case.setup, torch.float32)
    data = DataTerm(*(getattr(case.data, n).float() for n in ("weights", "offset", "amplitude")), 0.02)
    work = Scratch()
    at = model.linearise(case.x.to(torch.complex64), data, Scratch(), work)
    found = model.product(at, case.q.to(torch.complex64), data, work)
    for name in ("hessian", "weights", "offset", "amplitude", "along"):
        assert relative(getattr(found, name), getattr(expected, name)) < 2e-5


def test_every_led_on_its_own_is_the_identity_for_weights(case: Case) -> None:
    _, leds, grids = case.setup
    count, tile = len(leds), grids.tile_px
    rng = np.random.default_rng(6)
    amplitude = torch.from_numpy(0.5 + rng.random((2, count, tile, tile)))
    eye = DataTerm(torch.eye(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64), amplitude, 0.02)
    found = case.model.single_led_gradient(case.x, amplitude, 0.02, Scratch())
    assert relative(found, case.gradient(case.x, eye)) < 1e-12
    assert relative(found, case.oracle.gradient(case.x, eye)) < 1e-11


def test_largest_overlap_bounds_the_curvature(case: Case) -> None:
    """Without residual the Hessian of a full-stack fit is at most a |B|^2 <= the number of overlapping pupils."""
    count = len(case.setup[1])
    clean = case.oracle.images(case.x).detach()
    eye = DataTerm(torch.eye(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64), clean.sqrt(), 0.0)
    case.data = eye
    q = case.q / case.q.abs().square().sum().sqrt()
    for _ in range(8):
        case.q = q
        h = case.product().hessian
        curvature = inner(q, h)
        q = h / h.abs().square().sum().sqrt()
    assert 0 < curvature <= case.model.largest_overlap * (1 + 1e-9)


def test_curvature_bound_of_a_design_holds_where_images_agree(case: Case) -> None:
    y = case.model.predict(case.x, case.data.weights, case.data.offset)
    case.data = replace(case.data, amplitude=torch.sqrt(y + case.data.variance_floor))
    bound = case.model.curvature_bound(case.data.weights)
    q, curvature = case.q, 0.0
    for _ in range(30):
        case.q = q / q.abs().square().sum().sqrt()
        q = case.product().hessian.clone()
        curvature = inner(case.q, q)
    assert 0.2 * bound < curvature <= bound * (1 + 1e-9)


def expected_first_estimate(amplitude: np.ndarray, brightness: np.ndarray, grids: Any) -> np.ndarray:
    """Bilinear interpolation of the root of the mean image, clipped to the tile's outermost pixels."""
    image = np.sqrt(np.mean(amplitude**2 / brightness[:, None, None], axis=0))
    place = np.arange(grids.object_px) * grids.object_pixel_um / grids.pixel_size_um - grids.pad_px
    rows = np.array([np.interp(place, np.arange(grids.tile_px), row) for row in image])
    return np.array([np.interp(place, np.arange(grids.tile_px), column) for column in rows.T]).T


def test_first_estimate_interpolates_the_bright_field(case: Case) -> None:
    grids = case.setup[2]
    brightness = np.array([2.0, 0.5, 1.3])
    found = case.model.first_estimate(case.data.amplitude, torch.from_numpy(brightness))
    assert torch.equal(found.imag, torch.zeros_like(found.imag))
    for b in range(2):
        expected = expected_first_estimate(case.data.amplitude[b].numpy(), brightness, grids)
        assert relative(found[b].real, expected) < 1e-12


def test_first_estimate_is_differentiable(case: Case) -> None:
    amplitude, brightness = case.data.amplitude.clone(), torch.tensor([2.0, 0.5, 1.3], dtype=torch.float64)
    leaves = amplitude.requires_grad_(), brightness.requires_grad_()
    found = (case.q.conj() * case.model.first_estimate(*leaves)).sum().real
    d_amplitude, d_brightness = torch.autograd.grad(found, leaves)
    rng, h = np.random.default_rng(2), 1e-6
    da, db = torch.from_numpy(rng.normal(size=tuple(amplitude.shape))), torch.from_numpy(rng.normal(size=3))
    high, low = (
        inner(case.q, case.model.first_estimate(amplitude.detach() + s * da, brightness.detach() + s * db))
        for s in (h, -h)
    )
    slope = inner(d_amplitude, da) + inner(d_brightness, db)
    assert slope == pytest.approx((high - low) / (2 * h), rel=1e-6)


def test_an_image_without_light_has_a_finite_gradient() -> None:
    """Zero predicted intensity is kept off the square root's pole by the variance floor."""
    case = Case("lattice")
    found = case.gradient(torch.zeros_like(case.x), replace(case.data, offset=torch.zeros(3, dtype=torch.float64)))
    assert bool(torch.isfinite(torch.view_as_real(found)).all())


def test_matching_measurements_have_no_gradient(case: Case) -> None:
    y = case.model.predict(case.x, case.data.weights, case.data.offset)
    exact = replace(case.data, amplitude=torch.sqrt(y + case.data.variance_floor))
    scale = case.gradient(case.x, case.data).abs().max()
    assert float(case.gradient(case.x, exact).abs().max()) < 1e-12 * float(scale)
