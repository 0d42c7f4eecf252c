"""Recorded counts: mean, variance, saturation, rounding and derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ptychoui.optics.forward.measurement import MeasurementModel
from ptychoui.settings import Measurement

LEVELS = torch.tensor([[1.0, 0.5, 0.25, 0.0], [0.0, 0.2, 1.0, 1.0]], dtype=torch.float64)
EXPOSURES = torch.tensor([0.7, 1.6], dtype=torch.float64)
GAIN = torch.tensor([1.0, 0.9, 0.8, 0.7], dtype=torch.float64)
VALUES = torch.tensor([0.9, 0.4, 0.05, 0.6], dtype=torch.float64)


def model(**settings: Any) -> MeasurementModel:
    defaults = {"photons_per_led": 500.0, "read_noise": 3.0, "background": 0.05, "full_well": 1e6, "adc_bits": 0}
    return MeasurementModel(Measurement(**(defaults | settings)), GAIN)


def flat(px: int = 200) -> torch.Tensor:
    """One flat image per LED."""
    return VALUES[None, :, None, None].expand(1, 4, px, px).contiguous()


def expected_mean(background: float = 0.05) -> np.ndarray:
    """Written out by hand: t_m (sum_l b_ml g_l I_l + background)."""
    rows = [(1 * 1 * 0.9, 0.5 * 0.9 * 0.4, 0.25 * 0.8 * 0.05, 0), (0, 0.2 * 0.9 * 0.4, 0.8 * 0.05, 0.7 * 0.6)]
    return np.array([0.7 * (sum(rows[0]) + background), 1.6 * (sum(rows[1]) + background)])


def record(m: MeasurementModel, seed: int | None = 0, poisson: bool = False, images: Any = None) -> np.ndarray:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return m.record(flat() if images is None else images, LEVELS, EXPOSURES, generator, poisson)[0].numpy()


def test_without_noise_the_mean_is_the_weighted_sum() -> None:
    for found in (record(model(), None), record(model(noise="none"))):
        assert np.abs(found - expected_mean()[:, None, None]).max() < 1e-14


@pytest.mark.parametrize("poisson", [False, True])
def test_physical_noise_has_the_variance_of_shot_and_read_noise(poisson: bool) -> None:
    found = record(model(), poisson=poisson)
    mean, samples = expected_mean(), found[0].size
    variance = mean / 500 + (3.0 / 500) ** 2
    assert np.abs(found.mean((1, 2)) - mean).max() < 5 * np.sqrt(variance.max() / samples)
    half_electron = 0 if poisson else 0.5 / 500**2
    assert found.var((1, 2)) == pytest.approx(variance + half_electron, rel=5 * np.sqrt(2 / samples))


def test_poisson_counts_are_whole_electrons() -> None:
    electrons = record(model(read_noise=0.0), poisson=True) * 500
    assert np.abs(electrons - np.rint(electrons)).max() < 1e-9


def test_published_noise_understates_the_variance_by_the_number_of_lit_leds() -> None:
    """Rows whose weights add up to one: equal dose in both models, LED images of equal brightness."""
    lit = 16
    settings = {"photons_per_led": 1000.0, "read_noise": 0.0, "background": 0.0}
    images = torch.full((1, lit, 300, 300), 0.8, dtype=torch.float64)
    levels, ones = torch.full((1, lit), 1 / lit, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    variance = {}
    for noise in ("physical", "published"):
        m = MeasurementModel(
            Measurement(**settings, full_well=1e6, adc_bits=0, noise=noise), torch.ones(lit, dtype=torch.float64)
        )
        found = m.record(images, levels, ones, torch.Generator().manual_seed(3))
        assert float(found.mean()) == pytest.approx(0.8, abs=1e-3)
        variance[noise] = float(found.var())
    assert variance["physical"] / variance["published"] == pytest.approx(lit, rel=0.05)


def test_saturation_clips_at_the_full_well() -> None:
    found = record(model(full_well=200.0, read_noise=0.0), poisson=True)
    assert found.max() == pytest.approx(200 / 500)
    assert record(model(full_well=1e6, read_noise=0.0), poisson=True).max() > 200 / 500


def test_the_converter_rounds_to_its_levels() -> None:
    full_well, bits = 1000.0, 6
    found = record(model(full_well=full_well, adc_bits=bits))
    level = full_well / (2**bits - 1) / 500
    assert np.abs(found / level - np.rint(found / level)).max() < 1e-9
    fine = record(model(full_well=full_well))
    assert 0 < np.abs(found - fine).max() <= level / 2 * (1 + 1e-9)


def test_the_variance_floor_adds_up_its_three_parts() -> None:
    m = model(full_well=4000.0, adc_bits=8)
    assert m.variance_floor == pytest.approx((3 / 8 + 9 + (4000 / 255) ** 2 / 12) / 500, rel=1e-14)
    y = torch.tensor([-5.0, 0.0, 2.0], dtype=torch.float64)
    expected = np.sqrt([m.variance_floor, m.variance_floor, 2 + m.variance_floor])
    assert m.amplitude(y).numpy() == pytest.approx(expected, rel=1e-14)


def test_the_floor_stabilises_the_variance() -> None:
    """The point of sqrt(y + c): the same spread from faint to bright rows, 1/2 in roots of electrons."""
    m, spreads = model(background=0.0), []
    for brightness in (0.05, 0.2, 1.0):
        recorded = m.record(
            brightness * torch.ones(1, 4, 300, 300, dtype=torch.float64),
            LEVELS,
            EXPOSURES,
            torch.Generator().manual_seed(1),
            poisson=True,
        )
        spreads.append(float(m.amplitude(recorded).std((2, 3))[0, 0]) * np.sqrt(500))
    assert spreads == pytest.approx([0.5] * 3, rel=0.06)


def test_brightness_counts_the_bright_field_only() -> None:
    bright = torch.tensor([True, False, True, False])
    found = model().brightness(LEVELS, EXPOSURES, bright).numpy()
    assert found == pytest.approx([0.7 * (1 + 0.25 * 0.8 + 0.05), 1.6 * (0.8 + 0.05)], rel=1e-14)


@pytest.mark.parametrize("noise", ["physical", "published"])
@pytest.mark.parametrize("name", ["levels", "exposures", "intensities"])
def test_derivatives_with_fixed_noise_are_finite_differences(noise: str, name: str) -> None:
    m = model(noise=noise)
    rng = np.random.default_rng(0)
    values = {
        "intensities": torch.from_numpy(0.2 + rng.random((2, 4, 5, 5))),
        "levels": torch.from_numpy(0.2 + 0.6 * rng.random((2, 4))),
        "exposures": EXPOSURES.clone(),
    }
    probe = torch.from_numpy(rng.normal(size=(2, 2, 5, 5)))
    direction = torch.from_numpy(rng.normal(size=tuple(values[name].shape)))

    def outcome(shift: float, leaf: torch.Tensor | None = None) -> torch.Tensor:
        moved = values | {name: values[name] + shift * direction if leaf is None else leaf}
        return (probe * m.amplitude(m.record(**moved, generator=torch.Generator().manual_seed(7)))).sum()

    leaf = values[name].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(outcome(0, leaf), leaf)
    h = 1e-6
    slope = float(outcome(h) - outcome(-h)) / (2 * h)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-6)


def test_rounding_passes_derivatives_and_saturation_stops_them() -> None:
    levels = LEVELS.clone().requires_grad_()
    images = flat(4)
    for settings, expected in (({"adc_bits": 10}, True), ({"full_well": 1.0}, False)):
        recorded = model(**settings).record(images, levels, EXPOSURES, torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad(recorded.sum(), levels)
        assert bool(gradient.any()) is expected


def test_noise_is_a_function_of_the_seed() -> None:
    for poisson in (False, True):
        assert np.array_equal(record(model(), 4, poisson), record(model(), 4, poisson))
        assert not np.array_equal(record(model(), 4, poisson), record(model(), 5, poisson))


def test_a_row_without_light_stays_finite() -> None:
    levels = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    m = model(background=0.0)
    amplitude = m.amplitude(m.record(flat(8), levels, EXPOSURES, torch.Generator().manual_seed(0)))
    (gradient,) = torch.autograd.grad(amplitude.sum(), levels)
    assert bool(torch.isfinite(gradient).all())
