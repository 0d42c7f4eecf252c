"""Wavelet shrinkage against PyWavelets, total variation against scikit-image, and what both owe the engine."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from network.layer_checks import (
    check_accumulates,
    check_derivatives,
    check_increments,
    check_single_precision,
    observed_lipschitz,
)
from network.layer_problems import draw, pywt_levels, shrink, total_variation, wavelet
from optics.setups import figure, relative
from skimage.data import camera
from skimage.restoration import denoise_tv_chambolle

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.network.proximal import TotalVariationProximal, WaveletProximal

IMAGE = camera()[64:320:4, 128:384:4] / 255.0
"""(64, 64) of a photograph."""


def thresholds(*values: float) -> dict[str, torch.Tensor]:
    return {"threshold": torch.tensor(values, dtype=torch.float64)}


# Wavelets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_wavelets_keep_the_layer_contract(dtype: torch.dtype) -> None:
    problem = wavelet(3, dtype=dtype)
    for index in (0, 2):
        check_increments(problem, "wavelet", index)
        check_derivatives(problem, "wavelet", index)
    check_accumulates(problem, 1)
    check_single_precision(problem, "wavelet")


def test_wavelets_keep_the_contract_where_no_coefficient_is_thresholded_and_at_zero() -> None:
    problem = wavelet(1)
    problem.inputs = thresholds(5.0)
    check_increments(problem, "wavelet")
    check_derivatives(problem, "wavelet")
    at = problem.layer(0).linearise(problem.x, thresholds(0.0), Scratch(), Scratch())
    assert not at.increment.abs().any() and not at.pullback(problem.cotangent, {}).abs().any()


@pytest.mark.parametrize(("name", "levels"), [("haar", 1), ("db4", 3), ("sym4", 2), ("coif2", 6), ("db8", 4)])
def test_the_transform_is_that_of_pywavelets_and_goes_back(name: str, levels: int) -> None:
    layer = WaveletProximal(64, 0, name, levels)
    coefficients = pywt_levels(IMAGE, name, levels)
    expected = pywt.coeffs_to_array(coefficients)[0]
    found = layer.analyse(torch.from_numpy(IMAGE)[None], Scratch())
    assert figure("wavelet: coefficients from those of pywt", relative(found[0, 0], expected)) < 1e-12
    details = found.clone()
    details[..., : 64 >> levels, : 64 >> levels] = 0
    back = layer.synthesise(found, torch.from_numpy(IMAGE), Scratch())
    smooth = pywt.waverec2(
        [coefficients[0]] + [(np.zeros_like(a),) * 3 for a, _, _ in coefficients[1:]], name, mode="periodization"
    )
    assert relative(back[0], IMAGE - smooth) < 1e-11
    assert torch.allclose(details.norm(), back.norm(), rtol=1e-11)


def test_a_photograph_is_denoised_as_pywavelets_would_with_the_same_shrinkage() -> None:
    layer, threshold, width = WaveletProximal(64, 0, "db4", 3, 0.02), 0.1, 0.02
    coefficients = pywt_levels(IMAGE, "db4", 3)
    shrunk = [
        coefficients[0],
        *[
            tuple(
                shrink(torch.from_numpy(band), torch.tensor(threshold, dtype=torch.float64), width).numpy()
                for band in bands
            )
            for bands in coefficients[1:]
        ],
    ]
    expected = pywt.waverec2(shrunk, "db4", mode="periodization")
    x = torch.from_numpy(IMAGE)[None]
    found = x + layer.increment(x, thresholds(threshold), Scratch())
    assert relative(found[0], expected) < 1e-11
    assert float(found.mean()) == pytest.approx(IMAGE.mean(), rel=1e-12)


def test_the_shrinkage_minimises_the_smoothed_penalty() -> None:
    """A check of the formula itself: 1/2 |s - z|^2 + lambda huber(|s|) on a fine grid of s."""
    threshold, width = 0.3, 0.2
    s = np.linspace(-3, 3, 600001)
    huber = np.where(np.abs(s) <= width, s**2 / (2 * width), np.abs(s) - width / 2)
    for z in (-2.0, -0.51, -0.3, 0.0, 0.1, 0.499, 1.2):
        best = s[np.argmin((s - z) ** 2 / 2 + threshold * huber)]
        found = float(shrink(torch.tensor(z, dtype=torch.float64), torch.tensor(threshold), width))
        assert found == pytest.approx(best, abs=2e-5)


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_wavelet_shrinkage_is_undone(dtype: torch.dtype) -> None:
    layer = WaveletProximal(16, 1, "db4", 2, width=0.05)
    x, inputs = draw(1, 2, 16, 16, dtype=dtype), thresholds(0.1, 0.4)
    for scale in (1e-3, 0.3, 10.0):
        z = scale * x + layer.increment(scale * x, inputs, Scratch())
        back = layer.inverse(z, inputs, Scratch())
        assert figure("wavelet: x from its inverse", relative(back, scale * x)) < 1e-12
    assert layer.inverse_bound(inputs) == pytest.approx(0.45 / 0.05)


def test_the_bounds_of_wavelet_shrinkage_hold_and_are_reached() -> None:
    layer, inputs = WaveletProximal(8, 0, "haar", 2, width=0.2), thresholds(0.6)
    bound = layer.contraction_bound(inputs)
    assert bound == pytest.approx(0.75) and layer.inverse_bound(inputs) == pytest.approx(1 / (1 - bound))
    for scale in (0.0, 0.3, 3.0):
        seen = observed_lipschitz(layer, scale * draw(4, 1, 8, 8), inputs)
        assert seen <= bound * (1 + 1e-8)
    assert (
        figure(
            "wavelet: 1 - observed/bound at zero", 1 - observed_lipschitz(layer, 0 * draw(4, 1, 8, 8), inputs) / bound
        )
        < 1e-6
    )


def test_wavelets_that_cannot_be_are_refused() -> None:
    for keywords, text in (
        ({"size": 12, "levels": 3}, "1 to 2 levels"),
        ({"size": 15, "levels": 1}, "a size that 2 divides"),
        ({"size": 6, "levels": 2}, "1 level, or"),
        ({"size": 8, "levels": 0}, "levels"),
        ({"size": 8, "levels": 1, "wavelet": "nothing"}, "haar"),
        ({"size": 8, "levels": 1, "wavelet": "bior2.2"}, "haar"),
        ({"size": 8, "levels": 1, "wavelet": "dmey"}, "haar"),
        ({"size": 8, "levels": 1, "width": 0.0}, "above 0"),
    ):
        with pytest.raises(SettingsError) as caught:
            WaveletProximal(index=0, **keywords)  # type: ignore[arg-type]
        assert text in caught.value.hint
    layer, x = WaveletProximal(8, 1, "haar", 1), draw(0, 1, 8, 8)
    for bad_x, inputs in (
        (x[0], thresholds(1, 1)),
        (draw(0, 1, 16, 16), thresholds(1, 1)),
        (x, {}),
        (x, thresholds(1)),
        (x, thresholds(1, -0.1)),
        (x, thresholds(1, float("nan"))),
        (x, thresholds(1, float("inf"))),
    ):
        with pytest.raises(EngineError) as error:
            layer.increment(bad_x, inputs, Scratch())
        assert error.value.hint


# Total variation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_total_variation_keeps_the_layer_contract(dtype: torch.dtype) -> None:
    problem = total_variation(3, dtype=dtype)
    for index in (0, 2):
        check_increments(problem, "total variation", index)
        check_derivatives(problem, "total variation", index)
    check_accumulates(problem, 1)
    check_single_precision(problem, "total variation")


@pytest.mark.parametrize("iterations", [1, 10, 100])
def test_a_photograph_is_denoised_as_by_scikit_image(iterations: int) -> None:
    noisy = IMAGE + 0.1 * np.random.default_rng(0).normal(size=IMAGE.shape)
    # Its first iteration is the image itself.
    expected = denoise_tv_chambolle(noisy, weight=0.15, eps=0, max_num_iter=iterations + 1)
    x = torch.from_numpy(noisy)[None]
    found = x + TotalVariationProximal(0, iterations).increment(x, thresholds(0.15), Scratch())
    assert figure("total variation: photograph from scikit-image's", relative(found[0], expected)) < 1e-12
    if iterations == 100:
        assert np.abs(found[0].numpy() - IMAGE).mean() < 0.6 * np.abs(noisy - IMAGE).mean()


def tv(u: torch.Tensor) -> float:
    rows, columns = torch.zeros_like(u), torch.zeros_like(u)
    rows[:-1], columns[:, :-1] = u[1:] - u[:-1], u[:, 1:] - u[:, :-1]
    return float((rows.abs().square() + columns.abs().square()).sqrt().sum())


def test_the_denoised_object_is_a_minimum_and_edges_are_shared_by_both_parts() -> None:
    x = torch.from_numpy(IMAGE[:16, :16])[None] * np.exp(0.7j)
    x = x + 0.1 * draw(5, 1, 16, 16)
    inputs = thresholds(0.1)
    h = TotalVariationProximal(0, 3000).increment(x, inputs, Scratch())
    u = x + h

    def cost(v: torch.Tensor) -> float:
        return float((v - x).abs().square().sum()) / 2 + 0.1 * tv(v[0])

    # The duality gap bounds the distance from the minimum: 1/2 |x|^2 - 1/2 |x + div q|^2 is the dual's value.
    gap = cost(u) - float(x.abs().square().sum() - u.abs().square().sum()) / 2
    assert 0 <= figure("total variation: duality gap", gap / cost(u)) < 1e-4
    for seed in range(5):
        assert cost(u + 0.01 * draw(seed, 1, 16, 16)) > cost(u)
    turned = TotalVariationProximal(0, 50).increment(1j * x, inputs, Scratch())
    assert relative(turned, 1j * TotalVariationProximal(0, 50).increment(x, inputs, Scratch())) < 1e-12


def test_flat_objects_have_finite_derivatives() -> None:
    """The norm's derivative at zero would be infinite times nothing."""
    layer, x = TotalVariationProximal(0, 5), torch.ones(1, 6, 6, dtype=torch.complex128)
    at = layer.linearise(x, thresholds(0.1), Scratch(), Scratch())
    into = {"threshold": torch.zeros(1, dtype=torch.float64)}
    assert not at.increment.abs().any()
    assert bool(torch.isfinite(torch.view_as_real(at.pullback(draw(1, 1, 6, 6), into))).all())
    assert into["threshold"].item() == 0


def test_a_large_threshold_leaves_the_mean() -> None:
    x = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]], dtype=torch.float64)
    u = x + TotalVariationProximal(0, 150).increment(x, thresholds(10.0), Scratch())
    assert figure("total variation: mean at a large threshold", float((u - 0.5).abs().max())) < 1e-12


def test_total_variation_is_not_expansive_and_claims_no_bound_or_inverse() -> None:
    layer, inputs, x = TotalVariationProximal(0, 30), thresholds(0.3), draw(6, 1, 8, 8)
    assert layer.contraction_bound(inputs) is None
    assert observed_lipschitz(layer, x, inputs) <= 1 + 1e-6
    with pytest.raises(EngineError, match="no closed-form inverse"):
        layer.inverse(x, inputs, Scratch())
    with pytest.raises(SettingsError):
        TotalVariationProximal(0, 0)
    for bad in (thresholds(0.0), thresholds(-1.0), {}):
        with pytest.raises(EngineError) as error:
            layer.increment(x, bad, Scratch())
        assert error.value.hint
