"""Losses and scores: closed forms, blindness to the global phase, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptychoui.tasks.fpm.objectives import LOSSES, align, amplitude_loss, complex_loss, phase_loss, scores


def pair(batch: int = 3, size: int = 12, noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    phase, other = rng.normal(size=(2, batch, size, size)) * 0.4
    truth = (1 - 0.3 * rng.random((batch, size, size))) * np.exp(1j * phase)
    x = truth * (1 + noise * rng.normal(size=truth.shape)) * np.exp(1j * noise * other * 3)
    return torch.from_numpy(x), torch.from_numpy(truth)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_see_a_global_phase(name: str) -> None:
    x, truth = pair()
    expected = LOSSES[name](x, truth)
    for angle in (0.3, 2.0, -3.1):
        turned = torch.polar(torch.ones(1, dtype=torch.float64), torch.tensor([angle], dtype=torch.float64))
        assert torch.allclose(LOSSES[name](x * turned, truth), expected, rtol=1e-9)
        assert torch.allclose(LOSSES[name](x, truth * turned), expected, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_reconstruction_scores_nothing_and_losses_are_per_object(name: str) -> None:
    x, truth = pair()
    assert float(LOSSES[name](truth * 1j, truth).max()) < 1e-10
    together = LOSSES[name](x, truth)
    for b in range(3):
        assert float(LOSSES[name](x[b : b + 1], truth[b : b + 1])) == pytest.approx(float(together[b]), rel=1e-12)


def test_complex_loss_is_the_smallest_distance_over_all_turns() -> None:
    x, truth = pair(batch=1)
    turns = torch.exp(1j * torch.linspace(0, 2 * np.pi, 20001, dtype=torch.float64))
    distance = min(float((c * x - truth).abs().square().sum()) for c in turns)
    contrast = float((truth - truth.mean()).abs().square().sum())
    assert float(complex_loss(x, truth)) == pytest.approx(distance / contrast, rel=1e-6)


def test_closed_forms_of_simple_pictures() -> None:
    """Half the pixels at phase +a, half at -a; the reconstruction is flat: the picture's whole contrast is missed."""
    a = 0.6
    truth = torch.full((1, 4, 4), np.exp(1j * a), dtype=torch.complex128)
    truth[:, :2] = np.exp(-1j * a)
    flat = torch.ones_like(truth)
    sine = np.sin(a)
    assert float(complex_loss(flat, truth)) == pytest.approx((2 - 2 * np.cos(a)) / sine**2, rel=1e-12)
    assert float(complex_loss(np.cos(a) * flat, truth)) == pytest.approx(1, rel=1e-12)
    assert float(phase_loss(flat, truth)) == pytest.approx(1, rel=1e-12)
    found = scores(flat, truth)
    assert float(found.phase_error_rad) == pytest.approx(a, rel=1e-12)
    assert float(found.complex_error) == pytest.approx(np.sqrt((2 - 2 * np.cos(a)) / sine**2), rel=1e-12)
    bright = torch.ones(1, 4, 4, dtype=torch.complex128)
    bright[:, ::2] = 3
    assert float(amplitude_loss(2 * torch.ones_like(bright), bright)) == pytest.approx(1, rel=1e-9)
    assert float(scores(torch.zeros_like(bright) + 1, bright).amplitude_error) == pytest.approx(np.sqrt(2), rel=1e-9)


def test_phase_error_does_not_mind_wraps() -> None:
    _, truth = pair()
    ramp = torch.exp(1j * torch.linspace(0, 30, 12, dtype=torch.float64))[None, None]
    assert float(phase_loss(truth * ramp, truth * ramp).max()) < 1e-20


def test_alignment_turns_by_a_unit_number() -> None:
    x, truth = pair()
    turned = align(x, truth)
    assert torch.allclose(turned.abs(), x.abs())
    overlap = (turned.conj() * truth).sum((1, 2))
    assert float(overlap.imag.abs().max()) < 1e-10 and float(overlap.real.min()) > 0
    assert bool(torch.isfinite(torch.view_as_real(align(torch.zeros_like(x), truth))).all())


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name: str) -> None:
    x, truth = pair()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name](leaf, truth).sum(), leaf)
    rng, h = np.random.default_rng(1), 1e-6
    direction = torch.from_numpy(rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape))
    high, low = (float(LOSSES[name](x + s * direction, truth).sum()) for s in (h, -h))
    assert float((gradient.conj() * direction).sum().real) == pytest.approx((high - low) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_flat_truth_or_an_empty_picture_stay_finite(name: str) -> None:
    x, truth = pair()
    for one, two in ((x, torch.ones_like(x)), (torch.zeros_like(x), truth)):
        leaf = one.clone().requires_grad_()
        loss = LOSSES[name](leaf, two).sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert bool(torch.isfinite(loss)) and bool(torch.isfinite(torch.view_as_real(gradient)).all())
