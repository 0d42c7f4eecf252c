"""The published algorithm as the benchmark runs it: a true gradient, and a walk back that is one where steps are small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptychoui.bench.engine.published import Published, back_propagation, full_grid_problem, memory_efficient

SIZE, LEDS, ROWS = 16, 5, 2


def problem(step: float) -> tuple[Published, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    frequency = np.fft.fftfreq(SIZE) * SIZE
    pupil = np.hypot(frequency[:, None], frequency[None, :]) <= 4
    weights = torch.from_numpy(rng.random((ROWS, LEDS)))
    truth = torch.from_numpy(np.exp(1j * rng.normal(size=(SIZE, SIZE))))
    made = full_grid_problem(rng.normal(0, 2, (LEDS, 2)), pupil.astype(float), weights, truth, step, 1e-3)
    x = torch.from_numpy(1 + 0.2 * rng.normal(size=(SIZE, SIZE)) + 0.2j * rng.normal(size=(SIZE, SIZE)))
    return made, x, weights, truth


def test_fields_are_those_of_a_pupil_shifted_to_the_led() -> None:
    """Tilting the object and shifting the pupil are the same measurement, for an LED on the grid."""
    rng = np.random.default_rng(1)
    frequency = np.fft.fftfreq(SIZE) * SIZE
    truth = torch.from_numpy(rng.normal(size=(SIZE, SIZE)) + 1j * rng.normal(size=(SIZE, SIZE)))
    pupil = (np.hypot(frequency[:, None], frequency[None, :]) <= 3).astype(float)
    made = full_grid_problem(np.array([[2.0, -1.0]]), pupil, torch.ones(1, 1, dtype=torch.float64), truth, 0.1, 0.0)
    shifted = np.hypot(frequency[:, None] + 1, frequency[None, :] - 2) <= 3
    expected = np.abs(np.fft.ifft2(np.fft.fft2(truth.numpy()) * shifted))
    assert np.abs(made.amplitude[0].numpy() - expected).max() < 1e-12


def test_the_gradient_is_that_of_the_objective() -> None:
    made, x, weights, _ = problem(0.1)
    direction = torch.from_numpy(np.random.default_rng(2).normal(size=(2, SIZE, SIZE)) @ np.eye(SIZE))
    q = torch.complex(direction[0], direction[1])

    def objective(point: torch.Tensor) -> float:
        fields = torch.fft.ifft2(made.pupil * torch.fft.fft2(point * made.tilt))
        predicted = torch.sqrt(torch.einsum("ml,lij->mij", weights, fields.abs().square()) + made.floor)
        return float((predicted - made.amplitude).square().sum())

    h = 1e-5
    slope = (objective(x + h * q) - objective(x - h * q)) / (2 * h)
    # dD/dx* is half the gradient in the real numbers; its transforms carry 1/N^2 once more than their adjoint.
    found = 2 * float((q.conj() * made.gradient(x, weights)).sum().real)
    assert found == pytest.approx(slope, rel=1e-6)


def test_the_walk_back_is_back_propagation_where_steps_are_small() -> None:
    made, x, weights, cotangent = problem(0.01)
    expected = back_propagation(made, x, weights, cotangent, 12)
    found = memory_efficient(made, x, weights, cotangent, 12)
    assert float((found - expected).norm() / expected.norm()) < 1e-4
    assert made.transforms_per_gradient() == (2 + 2 * ROWS) * LEDS


def test_the_walk_back_is_wrong_where_steps_are_large() -> None:
    """Four fixed-point steps do not converge: the fault that exact reversal does not have."""
    made, x, weights, cotangent = problem(0.4)
    expected = back_propagation(made, x, weights, cotangent, 10)
    found = memory_efficient(made, x, weights, cotangent, 10)
    assert float((found - expected).norm() / expected.norm()) > 1e-2
