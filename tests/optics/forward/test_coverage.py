"""Light over every frequency of the object, and what the smooth prior costs there, against pupils placed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from optics import oracle
from optics.setups import ABERRATED, figure, make, relative

from ptychoui.optics.forward import led_sums
from ptychoui.optics.forward.model import FourierPtychography

POSE = {"rotation_deg": 17.0, "tilt_x_deg": 6.0, "shift_x_mm": 0.7}
CASES: dict[str, dict[str, Any]] = {
    "lattice": {"tile_px": 8, "pad_px": 2},
    "posed, aberrated": {"scope": ABERRATED, "pose": POSE, "tile_px": 9, "pad_px": 1},
    "coarse camera": {"scope": ABERRATED | {"camera_pixel_um": 11.0}, "tile_px": 6, "pad_px": 1},
    "many LEDs": {"tile_px": 8, "pad_px": 2, "rows": 7, "columns": 6, "pitch_mm": 3.0},
}


def weights(leds: int, rows: int = 3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """(M, L) with LEDs that are dark in every image."""
    rng = np.random.default_rng(2)
    drawn = rng.random((rows, leds)) * (rng.random(leds) > 0.2)
    return torch.from_numpy(drawn).to(dtype)


def by_hand(setup: Any, table: torch.Tensor) -> np.ndarray:
    """(N, N) the sum over images, LEDs and frequencies, one after the other."""
    scope, leds, grids = setup
    size, step = grids.object_px, grids.step_per_um
    found = np.zeros((size, size))
    signed = [k if 2 * k < size else k - size for k in range(size)]
    for led, (sx, sy) in enumerate(leds.illumination_na):
        light = sum(float(row[led]) for row in table)
        for row in range(size):
            fx = np.array([k * step - sx / scope.wavelength_um for k in signed])
            fy = np.full(size, signed[row] * step - sy / scope.wavelength_um)
            found[row] += light * np.abs(oracle.pupil(scope, fx, fy, step)) ** 2
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_coverage_is_the_sum_of_pupils_placed_by_hand(case: str, stream: bool) -> None:
    setup = make(**CASES[case])
    model = FourierPtychography(*setup, dtype=torch.float64, stream=stream, chunk_bytes=20_000)
    table = weights(len(setup[1]))
    found = model.coverage(table)
    size = setup[2].object_px
    assert found.shape == (size, size) and found.dtype == torch.float64
    assert figure("coverage against pupils placed by hand", relative(found, by_hand(setup, table))) < 1e-12


def test_the_largest_coverage_is_the_curvature_bound() -> None:
    setup = make(**CASES["posed, aberrated"])
    model, table = FourierPtychography(*setup, dtype=torch.float64), weights(len(setup[1]))
    assert float(model.coverage(table).max()) == pytest.approx(model.curvature_bound(table), rel=1e-12)
    one = torch.zeros_like(table)
    one[1, 4] = 0.7  # inside its pupil an LED gives all of its light
    assert float(model.coverage(one).max()) == pytest.approx(0.7, rel=1e-12)
    assert not model.coverage(torch.zeros_like(table)).any()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", ["posed, aberrated", "many LEDs"])
def test_derivatives_in_the_weights_against_differences(case: str, stream: bool) -> None:
    setup = make(**CASES[case])
    model = FourierPtychography(*setup, dtype=torch.float64, stream=stream, chunk_bytes=20_000)
    table = weights(len(setup[1])).requires_grad_()
    rng = np.random.default_rng(7)
    target = torch.from_numpy(rng.normal(size=(setup[2].object_px,) * 2))

    def value(table: torch.Tensor) -> torch.Tensor:
        covered = model.coverage(table)
        return (target * covered).sum() + (covered + 0.1).log().sum()  # not linear: the cotangent depends on it

    (found,) = torch.autograd.grad(value(table), table)
    differences, h = np.zeros(table.shape), 1e-5
    with torch.no_grad():
        for row, led in np.ndindex(*table.shape):
            moved = torch.zeros_like(table)
            moved[row, led] = h
            differences[row, led] = (value(table + moved) - value(table - moved)) / (2 * h)
    assert figure("coverage: derivative from differences", relative(found, differences)) < 1e-6


def test_single_precision_and_streaming_keep_the_numbers() -> None:
    setup = make(**CASES["many LEDs"])
    exact = FourierPtychography(*setup, dtype=torch.float64).coverage(weights(len(setup[1])))
    kept = FourierPtychography(*setup, dtype=torch.float32)
    table = weights(len(setup[1]), dtype=torch.float32)
    single = kept.coverage(table)
    assert single.dtype == torch.float32 and relative(single, exact) < 1e-6
    assert torch.equal(single, kept.coverage(table))
    streamed = kept.streamed(20_000).coverage(table)
    assert torch.equal(streamed, single)


def test_a_few_leds_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = make(**CASES["many LEDs"])
    model, table = FourierPtychography(*setup, dtype=torch.float64), weights(len(setup[1])).requires_grad_()

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        covered = model.coverage(table)
        return covered.detach(), torch.autograd.grad(covered.square().sum(), table)[0]

    together = both()
    monkeypatch.setattr(led_sums, "TABLE_LEDS", 5)
    assert all(torch.equal(few, all_) for few, all_ in zip(both(), together, strict=True))


def test_roughness_is_one_at_the_edge_of_an_axial_pupil_and_grows_with_the_square() -> None:
    setup = make(**CASES["posed, aberrated"])
    scope, _leds, grids = setup
    found = FourierPtychography(*setup, dtype=torch.float64).roughness()
    size, span_um = grids.object_px, grids.object_px * grids.object_pixel_um
    assert found.shape == (size, size) and float(found[0, 0]) == 0
    for row, column in ((1, 0), (0, 3), (2, 5), (size - 2, 1), (size // 2, size // 2)):
        # Periods along the object, of the lower of the two frequencies that its samples cannot tell apart.
        waves = [min(k, size - k) for k in (row, column)]
        frequency = np.hypot(*waves) / span_um
        edge = scope.objective_na / scope.wavelength_um
        assert float(found[row, column]) == pytest.approx((frequency / edge) ** 2, rel=1e-12)
