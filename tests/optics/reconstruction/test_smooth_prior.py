"""A reconstruction with a smooth prior: its objective, its minimum, and the strength that images choose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from optics import oracle, spherical
from optics.setups import figure, make, relative

from ptychoui.design import starts
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.reconstruction import smooth_prior
from ptychoui.optics.reconstruction.lbfgs import limited_memory_bfgs
from ptychoui.optics.reconstruction.smooth_prior import (
    LEFT_OUT,
    STRENGTHS,
    SmoothDescent,
    _Objective,
    reconstruct_smooth,
    strongest_as_good,
)
from ptychoui.settings import Design

SETUP = make(tile_px=16, pad_px=0, rows=5, columns=5, pitch_mm=5.0)
SCOPE, LEDS, GRIDS = SETUP
MODEL = FourierPtychography(*SETUP, dtype=torch.float64)
FLOOR = 1e-3
ROWS = (2, 4)


@dataclass(frozen=True)
class Coded:
    """Images of a known object under a design that nobody learned."""

    truth: np.ndarray
    weights: np.ndarray
    data: DataTerm
    start: torch.Tensor

    def error(self, x: torch.Tensor) -> float:
        """Complex error after the best factor; 1 is an empty picture."""
        found = x[0].numpy()
        factor = np.vdot(found, self.truth) / np.vdot(found, found)
        rest = factor * found - self.truth
        return float(np.linalg.norm(rest) / np.linalg.norm(self.truth - self.truth.mean()))


@cache
def coded(photons: float, seed: int = 0) -> Coded:
    """``photons`` of one LED at full level on every pixel; 0 leaves the noise out."""
    rng = np.random.default_rng(seed)
    truth = spherical.smooth_field((GRIDS.object_px,) * 2, GRIDS.object_pixel_um, 0.7, seed)
    single = oracle.single_led_images(truth, SCOPE, LEDS.illumination_na, GRIDS)
    design = Design(bright_field_rows=ROWS[0], dark_field_rows=ROWS[1], start="hybrid")
    weights = starts.hybrid(design, LEDS, SCOPE.objective_na, rng)
    clean = np.einsum("ml,lij->mij", weights, single)
    recorded = rng.poisson(photons * clean) / photons if photons else clean
    bright = LEDS.bright_field(SCOPE.objective_na)
    brightness = torch.from_numpy(weights[: ROWS[0], bright].sum(1))
    amplitude = torch.sqrt(torch.from_numpy(recorded)[None] + FLOOR)
    data = DataTerm(torch.from_numpy(weights), torch.zeros(len(weights), dtype=torch.float64), amplitude, FLOOR)
    return Coded(truth, weights, data, MODEL.first_estimate(amplitude[:, : ROWS[0]], brightness))


# The objective ---------------------------------------------------------------------------------------


def naive(some: Coded, x: np.ndarray, strength: float, pixels: np.ndarray) -> float:
    """D over some pixels plus lambda sum_q w |X|^2 / N^2, from the simple model and a sum over frequencies."""
    single = oracle.single_led_images(x, SCOPE, LEDS.illumination_na, GRIDS)
    predicted = np.sqrt(np.einsum("ml,lij->mij", some.weights, single) + FLOOR)
    area = (GRIDS.object_px / GRIDS.span_px) ** 2
    value = area * float((pixels * (predicted - some.data.amplitude[0].numpy()) ** 2).sum())
    size = len(x)
    spectrum, edge = np.fft.fft2(x), SCOPE.objective_na / SCOPE.wavelength_um
    for row, column in np.ndindex(size, size):
        fy, fx = ((k if 2 * k < size else k - size) / (size * GRIDS.object_pixel_um) for k in (row, column))
        value += strength * (fx**2 + fy**2) / edge**2 * abs(spectrum[row, column]) ** 2 / size**2
    return value


def test_value_and_gradient_are_those_of_the_naive_objective() -> None:
    some, rng = coded(100.0), np.random.default_rng(1)
    shape = (GRIDS.object_px,) * 2
    x = some.truth + 0.1 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    pixels = rng.random(tuple(some.data.amplitude[0].shape)) < 0.8
    objective = _Objective(MODEL, some.data)
    given = torch.from_numpy(pixels.astype(float))[None]

    def found(x: np.ndarray) -> tuple[float, torch.Tensor]:
        spectrum = torch.fft.fft2(torch.from_numpy(x)[None], norm="ortho")
        value, slope = objective.evaluate(spectrum, 0.05, given)
        return value, torch.fft.ifft2(slope, norm="ortho")

    value, slope = found(x)
    assert figure("smooth objective against a naive one", abs(value / naive(some, x, 0.05, pixels) - 1)) < 1e-10
    for _ in range(3):
        along = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        h = 1e-6
        difference = naive(some, x + h * along, 0.05, pixels) - naive(some, x - h * along, 0.05, pixels)
        expected = 2 * float(np.vdot(along, slope[0].numpy()).real)  # the derivative in the conjugate, twice
        assert figure("smooth objective: gradient from differences", abs(difference / (2 * h * expected) - 1)) < 1e-5


def test_the_unknowns_that_are_minimised_have_the_gradient_of_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """What L-BFGS is given, whose unknowns are scaled."""
    some, looked_at = coded(100.0), []

    def watched(x: torch.Tensor, evaluate: object, evaluations: int, first_step: float) -> object:
        rng = np.random.default_rng(3)
        for _ in range(3):
            along = torch.from_numpy(rng.normal(size=len(x)))
            _, slope = evaluate(x)  # type: ignore[operator]
            h = 1e-5
            ends = [evaluate(x + sign * h * along)[0] for sign in (1, -1)]  # type: ignore[operator]
            looked_at.append(abs((ends[0] - ends[1]) / (2 * h * float(slope @ along)) - 1))
        return limited_memory_bfgs(x, evaluate, evaluations, first_step)  # type: ignore[arg-type]

    monkeypatch.setattr(smooth_prior, "limited_memory_bfgs", watched)
    everything = torch.ones_like(some.data.amplitude)
    found = list(_Objective(MODEL, some.data).minimised(some.start, 0.1, everything, 3, lambda: None))
    assert torch.is_grad_enabled() and relative(found[0], some.start) < 1e-12
    assert figure("scaled unknowns: gradient from differences", max(looked_at)) < 1e-5


# The minimum -----------------------------------------------------------------------------------------


def test_the_result_is_a_minimum_of_all_pixels() -> None:
    some = coded(300.0)
    found = reconstruct_smooth(MODEL, some.data, some.start, evaluations=120)
    everything = np.ones(tuple(some.data.amplitude[0].shape))
    objective = _Objective(MODEL, some.data)

    def slope(x: torch.Tensor) -> float:
        spectrum = torch.fft.fft2(x, norm="ortho")
        return float(objective.evaluate(spectrum, found.strength, torch.from_numpy(everything)[None])[1].norm())

    assert slope(found.x) < 1e-4 * slope(some.start)
    least = naive(some, found.x[0].numpy(), found.strength, everything)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(4):
            along = rng.normal(size=found.x.shape[1:]) + 1j * rng.normal(size=found.x.shape[1:])
            assert naive(some, found.x[0].numpy() + size * along, found.strength, everything) > least
    turned = found.x[0].numpy() * np.exp(0.7j)  # which no image shows
    assert naive(some, turned, found.strength, everything) == pytest.approx(least, rel=1e-9)


# The strength ----------------------------------------------------------------------------------------


@cache
def path(photons: float, seed: int = 0) -> dict[float, float]:
    """Error to the truth of every strength, all pixels fitted."""
    some = coded(photons, seed)
    work = SmoothDescent(MODEL, some.data, some.start, strength=STRENGTHS[-1])
    return {now.strength: some.error(now.x) for now in work.run(60)}  # the last of each stays


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("photons", [30.0, 300.0, 1e5])
def test_the_pixels_left_out_choose_nearly_what_the_truth_would(photons: float, seed: int) -> None:
    some = coded(photons, seed)
    errors = path(photons, seed)
    found = reconstruct_smooth(MODEL, some.data, some.start, seed=seed)
    assert set(errors) == set(STRENGTHS)
    excess = some.error(found.x) / min(errors.values()) - 1
    assert figure("smooth prior: error above that of the best strength", excess) < 0.15
    assert found.strength in found.tried and found.tried == STRENGTHS[: len(found.tried)]
    assert len(found.misfits) == len(found.tried)
    assert found.misfits[found.tried.index(found.strength)] < 1.1 * min(found.misfits)


def test_the_strongest_that_predicts_as_well_as_the_best_is_taken() -> None:
    """Clearly worse, as good but for one pixel in a hundred, the best, and worse again."""
    rng = np.random.default_rng(0)
    best = torch.from_numpy(rng.exponential(size=400))
    as_good = best.clone()
    as_good[0] += 4  # alone its mean would be as large as its standard error
    as_good[1] -= 0.5
    clearly = best + 0.01 + 0.01 * torch.from_numpy(rng.random(400))
    assert strongest_as_good([2 * best, clearly, best, 3 * best]) == 2
    assert strongest_as_good([2 * best, clearly, as_good, best, 3 * best]) == 2
    assert strongest_as_good([2 * best, best, best]) == 1
    assert strongest_as_good([best, 0.5 * best]) == 1 and strongest_as_good([best]) == 0


def test_noisier_images_choose_stronger_priors() -> None:
    strengths = []
    for photons in (30.0, 1000.0, 0.0):
        some = coded(photons)
        strengths.append(reconstruct_smooth(MODEL, some.data, some.start).strength)
    assert strengths == sorted(strengths, reverse=True) and strengths[0] >= 30 * strengths[-1]
    assert strengths[-1] == STRENGTHS[-1], "without noise the weakest"


@pytest.mark.parametrize(("photons", "seed"), [(100.0, 0), (300.0, 1)])
def test_it_beats_the_converged_fit_without_a_prior(photons: float, seed: int) -> None:
    some = coded(photons, seed)
    with_prior = some.error(reconstruct_smooth(MODEL, some.data, some.start).x)
    *_, plain = _Objective(MODEL, some.data).minimised(
        some.start, 0.0, torch.ones_like(some.data.amplitude), 400, lambda: None
    )
    assert figure("smooth prior: error over that without one", with_prior / some.error(plain)) < 0.7


# Pixels left out -------------------------------------------------------------------------------------


def test_pixels_left_out_do_not_touch_the_fit() -> None:
    """A hundred times as bright they change what is said of the fit, and nothing of it; fitted ones do."""
    some = coded(300.0)
    drawn = torch.rand(tuple(some.data.amplitude.shape), generator=torch.Generator().manual_seed(4))
    left_out = drawn < LEFT_OUT
    assert 0.05 < float(left_out.double().mean()) < 0.15

    def until_chosen(pixels: torch.Tensor) -> tuple[list[torch.Tensor], list[float]]:
        changed = replace(some.data, amplitude=torch.where(pixels, 10 * some.data.amplitude, some.data.amplitude))
        work, seen = SmoothDescent(MODEL, changed, some.start, seed=4), []
        for now in work.run(8):
            if now.chosen or now.strength < 0.01:
                break
            seen.append(now.x.clone())
        return seen, work.misfits

    nothing = torch.zeros_like(left_out)
    before, misfits = until_chosen(nothing)
    after, changed = until_chosen(left_out)
    assert len(before) == len(after) > 20
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(new > 100 * old for new, old in zip(changed, misfits, strict=True))
    fitted, _ = until_chosen(~left_out & (drawn < 2 * LEFT_OUT))
    assert not torch.equal(fitted[-1], before[-1])


# While it goes on ------------------------------------------------------------------------------------


def test_a_callback_can_end_it() -> None:
    class GiveUpError(Exception):
        pass

    some, calls = coded(300.0), 0

    def give_up() -> None:
        nonlocal calls
        calls += 1
        if calls == 50:
            raise GiveUpError

    with pytest.raises(GiveUpError):
        reconstruct_smooth(MODEL, some.data, some.start, callback=give_up)
    assert calls == 50 and torch.is_grad_enabled()


def test_progress_and_the_end_of_what_was_asked_for() -> None:
    some = coded(300.0)
    work = SmoothDescent(MODEL, some.data, some.start)
    counts, strengths = [], []
    for now in work.run(6, 60):
        assert now is work and torch.is_grad_enabled()
        counts.append(now.evaluations)
        strengths.append((now.chosen, now.strength))
    assert counts == sorted(counts) and 40 < counts[-1] <= 60 and work.evaluations <= 60
    tried = [strength for chosen, strength in strengths if not chosen]
    assert tried == sorted(tried, reverse=True) and set(tried) == set(work.tried)
    assert {strength for chosen, strength in strengths if chosen} == {work.strength}
    assert work.misfits[work.tried.index(work.strength)] < 1.1 * min(work.misfits)
    for few in (1, 2, 5, 9):
        short = SmoothDescent(MODEL, some.data, some.start)
        for _ in short.run(4, few):
            pass
        assert short.evaluations <= few and short.chosen and torch.isfinite(torch.view_as_real(short.x)).all()


def test_a_strength_that_is_given_is_taken_and_the_unit_goes_with_the_weights() -> None:
    some = coded(300.0)
    given = SmoothDescent(MODEL, some.data, some.start, strength=0.02)
    for _ in given.run(40):
        pass
    assert given.chosen and given.strength == 0.02 and given.tried == [1.0, 0.3, 0.1, 0.03] and not given.misfits
    free = reconstruct_smooth(MODEL, some.data, some.start)
    # Exposures in milliseconds instead of seconds: the object is darker by the same factor.
    data = replace(some.data, weights=1000 * some.data.weights)
    other = SmoothDescent(MODEL, data, some.start / 1000**0.5, unit=1000.0)
    for _ in other.run(40):
        pass
    assert other.strength == free.strength
    assert figure("smooth prior in other units", relative(1000**0.5 * other.x, free.x)) < 1e-3
    strong = SmoothDescent(MODEL, some.data, some.start, strength=50.0)
    for _ in strong.run(40):
        pass
    assert strong.strength == 50.0 and not strong.tried
    contrast = [float((x - x.mean()).norm()) for x in (free.x, strong.x)]
    assert contrast[1] < 0.5 * contrast[0]
