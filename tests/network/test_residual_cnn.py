"""The CNN against sums of shifted images, its norms against dense matrices, and its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine.chains import Problem
from network.layer_checks import (
    check_accumulates,
    check_derivatives,
    check_increments,
    check_single_precision,
    observed_lipschitz,
)
from network.layer_problems import cnn_normalised, cnn_plain, dense_norm, draw, plain_cnn, weights
from optics.setups import figure, relative
from scipy.ndimage import correlate
from torch.nn.functional import pad

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.network import residual_cnn
from ptychoui.network.residual_cnn import ResidualCnn, kernel_norm


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_networks_keep_the_layer_contract(dtype: torch.dtype) -> None:
    problem = cnn_plain(1, dtype=dtype)
    check_increments(problem, "CNN")
    check_derivatives(problem, "CNN")
    check_accumulates(problem)
    check_single_precision(problem, "CNN")


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_normalised_networks_keep_the_layer_contract(dtype: torch.dtype) -> None:
    """The products through the norms are right: differences in every weight."""
    problem = cnn_normalised(2, dtype=dtype)
    for index in (0, 1):
        check_increments(problem, "normalised CNN", index)
        check_derivatives(problem, "normalised CNN", index)
    check_accumulates(problem, 1)
    check_single_precision(problem, "normalised CNN")


def test_one_convolution_and_wide_kernels_work() -> None:
    for size, kernel, depth in ((7, 7, 1), (8, 5, 2), (5, 1, 2)):
        layer = ResidualCnn(size, "", 3, depth, kernel, bound=0.5)
        problem = Problem(
            layer=lambda _index, layer=layer: layer,  # type: ignore[misc]
            x=draw(0, 1, size, size),
            inputs=weights(layer, 0, 1.0),
            cotangent=draw(1, 1, size, size),
            independent=lambda x, given, _index, depth=depth: plain_cnn(x, given, "", depth, 0.5),  # type: ignore[misc]
        )
        check_increments(problem, "normalised CNN")
        check_derivatives(problem, "normalised CNN")


@pytest.mark.parametrize(("size", "reach"), [(3, 1), (8, 1), (5, 2), (9, 3)])
def test_padding_is_torch_s_circular_padding_with_its_derivatives(size: int, reach: int) -> None:
    """The smallest images included, where the two borders meet, and second derivatives."""
    x = draw(3, 2, 3, size, size, dtype=torch.float64).requires_grad_()
    padded = residual_cnn._CircularPad.apply(x, (reach, reach))
    expected = pad(x, (reach,) * 4, mode="circular")
    assert torch.equal(padded, expected)
    cotangent = draw(4, *padded.shape, dtype=torch.float64)
    (found,) = torch.autograd.grad(padded, x, cotangent, retain_graph=True)
    (reference,) = torch.autograd.grad(expected, x, cotangent)
    assert torch.allclose(found, reference, rtol=1e-14, atol=1e-14)
    assert torch.autograd.gradgradcheck(lambda a: residual_cnn._CircularPad.apply(a, (reach, reach)), x)


# Norms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 6, 9])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_norms_are_those_of_the_dense_matrices(size: int, kernel: int) -> None:
    for seed, (out, into) in enumerate([(2, 3), (3, 2), (3, 3), (1, 1)]):
        weight = draw(seed, out, into, kernel, kernel, dtype=torch.float64).requires_grad_()
        expected = dense_norm(weight, size)
        (derivative,) = torch.autograd.grad(expected, weight)
        found = kernel_norm(weight, size)
        assert figure("kernel norm: from the dense matrix", abs(found.value / float(expected.detach()) - 1)) < 1e-12
        assert figure("kernel norm: derivative from the dense matrix", relative(found.derivative, derivative)) < 1e-9


@pytest.mark.parametrize(("size", "kernel"), [(64, 3), (63, 3), (100, 3), (96, 5), (128, 1)])
def test_the_search_over_frequencies_misses_none(size: int, kernel: int) -> None:
    """Rough, smooth and oscillating kernels: all frequencies at once give the same maximum."""
    generator = torch.Generator().manual_seed(size)
    for kind in range(6):
        weight = torch.randn(4, 3, kernel, kernel, generator=generator, dtype=torch.float64)
        if kind == 1:
            weight = 1 + 0.01 * weight
        elif kind == 2:
            weight = weight * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[:kernel]
        elif kind == 3:
            weight[..., 1:, :] = 0
        elif kind == 4:
            weight = torch.zeros_like(weight)
            weight[..., 0, 0] = 1
        transforms = torch.fft.fft2(weight, s=(size, size)).permute(2, 3, 0, 1)
        expected = float(torch.linalg.svdvals(transforms).max())
        assert figure("kernel norm: from all frequencies", abs(kernel_norm(weight, size).value / expected - 1)) < 1e-12


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_search_is_not_led_astray_by_a_lower_maximum(kernel: int) -> None:
    """One channel, strong far coefficients: several maxima of nearly the same height, between coarse frequencies."""
    generator = torch.Generator().manual_seed(kernel)
    weights = torch.randn(150, 1, 1, kernel, kernel, generator=generator, dtype=torch.float64)
    weights[:, ..., 1:-1, 1:-1] *= 0.1
    expected = torch.fft.fft2(weights, s=(96, 96)).abs().amax((1, 2, 3, 4))
    for weight, largest in zip(weights, expected, strict=True):
        found = kernel_norm(weight, 96).value
        assert figure("kernel norm: from all frequencies", abs(found / float(largest) - 1)) < 1e-12


def test_few_frequencies_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    honest = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda a: looked.append(len(a)) or honest(a))
    kernel_norm(draw(0, 16, 16, 3, 3, dtype=torch.float64), 256)
    assert sum(looked) < 0.1 * 256 * 129
    looked.clear()
    kernel_norm(draw(0, 16, 16, 1, 1, dtype=torch.float64), 256)
    assert looked == [1]


def test_norms_are_found_once_for_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    honest = residual_cnn.kernel_norm
    monkeypatch.setattr(residual_cnn, "kernel_norm", lambda w, n: calls.append(n) or honest(w, n))
    problem = cnn_normalised(1)
    layer, inputs = problem.layer(0), {name: value.clone() for name, value in problem.inputs.items()}
    first = layer.increment(problem.x, inputs, Scratch())
    for _ in range(3):
        layer.linearise(problem.x, inputs, Scratch(), Scratch())
    layer.contraction_bound(inputs)
    assert len(calls) == 3
    inputs["unroll1.conv2.weight"].data.mul_(2)
    changed = layer.increment(problem.x, inputs, Scratch())
    assert len(calls) == 4
    # A kernel above its norm is scaled back: twice the kernel, the same network.
    assert relative(changed, first) < 1e-12


# Bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0.3, 0.9])
def test_normalised_networks_contract_as_proven(bound: float) -> None:
    problem = cnn_normalised(1, bound=bound)
    layer = problem.layer(0)
    proven = layer.contraction_bound(problem.inputs)
    assert proven is not None and proven <= bound * (1 + 1e-12)
    for scale in (0.0, 1.0, 30.0):
        assert observed_lipschitz(layer, scale * problem.x, problem.inputs) <= proven
    small = {name: 0.01 * value for name, value in problem.inputs.items()}
    tighter = layer.contraction_bound(small)
    assert tighter is not None and tighter < 0.01 * bound
    assert observed_lipschitz(layer, problem.x, small) <= tighter


def test_the_bound_of_one_convolution_is_exact() -> None:
    layer, x = ResidualCnn(8, convolutions=1, bound=0.8), draw(0, 1, 8, 8)
    inputs = weights(layer, 1, 5.0)
    assert layer.contraction_bound(inputs) == pytest.approx(0.8)
    seen = observed_lipschitz(layer, x, inputs, iterations=300)
    assert figure("CNN of one convolution: 1 - observed/bound", abs(1 - seen / 0.8)) < 1e-3


def test_plain_networks_are_bounded_by_the_product_of_their_norms() -> None:
    problem = cnn_plain(1)
    layer = problem.layer(0)
    product = 1.0
    for i in (1, 2, 3):
        product *= float(dense_norm(problem.inputs[f"shared.conv{i}.weight"], 8))
    assert layer.contraction_bound(problem.inputs) == pytest.approx(product, rel=1e-12)
    assert observed_lipschitz(layer, problem.x, problem.inputs) <= product


def test_normalised_networks_can_be_undone_by_a_fixed_point() -> None:
    problem = cnn_normalised(1, bound=0.9)
    layer, z = problem.layer(0), problem.x
    z = problem.x + layer.increment(problem.x, problem.inputs, Scratch())
    x = z
    for _ in range(100):
        x = z - layer.increment(x, problem.inputs, Scratch())
    assert figure("normalised CNN: x from 100 fixed-point steps", relative(x, problem.x)) < 1e-12


# Weights --------------------------------------------------------------------------------------------


def test_initial_weights_are_drawn_from_the_generator_and_keep_variances() -> None:
    layer = ResidualCnn(8, "a.", channels=64, convolutions=4)
    first = layer.initial_weights(torch.Generator().manual_seed(3))
    again = layer.initial_weights(torch.Generator().manual_seed(3), torch.float64)
    assert {name: tuple(value.shape) for name, value in first.items()} == layer.input_shapes
    assert list(first) == [f"a.conv{i}.{what}" for i in (1, 2, 3, 4) for what in ("weight", "bias")]
    assert all(torch.equal(first[name], again[name].float()) for name in first)
    assert float(first["a.conv2.weight"].std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert float(first["a.conv4.weight"].std()) == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.1)
    assert not first["a.conv1.bias"].any() and first["a.conv1.weight"].dtype == torch.float32


def test_networks_that_cannot_be_are_refused() -> None:
    for keywords in (
        {"bound": 1.0},
        {"bound": 0.0},
        {"kernel": 4},
        {"kernel": 9},
        {"kernel": -1},
        {"channels": 0},
        {"convolutions": 0},
    ):
        with pytest.raises(SettingsError) as refused:
            ResidualCnn(8, **keywords)  # type: ignore[arg-type]
        assert refused.value.hint
    problem = cnn_normalised(1)
    layer, inputs = problem.layer(0), problem.inputs
    name = "unroll1.conv2.weight"
    for x, given in (
        (problem.x.real, inputs),
        (problem.x[:, :4], inputs),
        (problem.x[0], inputs),
        (problem.x, {n: v for n, v in inputs.items() if n != name}),
        (problem.x, inputs | {name: inputs[name][:2]}),
        (problem.x, inputs | {"unroll1.conv1.bias": inputs["unroll1.conv1.bias"][:1]}),
    ):
        with pytest.raises(EngineError) as error:
            layer.increment(x, given, Scratch())
        assert error.value.hint
    with pytest.raises(EngineError, match=name):
        layer.contraction_bound({n: v for n, v in inputs.items() if n != name})


@pytest.mark.parametrize("borders", ["circular", "zero", "reflect"])
@pytest.mark.parametrize(("space", "kernel"), [((5, 7), 3), ((4, 5, 6), 3), ((2, 5, 6), (1, 3, 5))])
def test_any_shape_and_border_is_its_definition_and_has_its_derivatives(
    borders: Any, space: tuple[int, ...], kernel: Any
) -> None:
    """Against SciPy's correlation, which names the same borders otherwise, and against differences."""
    layer = ResidualCnn(space, "", channels=3, convolutions=3, kernel=kernel, borders=borders)
    sides = (kernel,) * len(space) if isinstance(kernel, int) else kernel
    assert layer.input_shapes["conv2.weight"] == (3, 3, *sides)
    weights = layer.initial_weights(torch.Generator().manual_seed(1), torch.float64, last=1.0)
    weights = {name: w + 0.1 * draw(7, *w.shape, dtype=torch.float64) for name, w in weights.items()}
    x = draw(1, 2, *space)
    mode = {"circular": "wrap", "zero": "constant", "reflect": "mirror"}[borders]
    for example, found in zip(x, layer.increment(x, weights, Scratch()), strict=True):
        channels = np.stack([example.real.numpy(), example.imag.numpy()])
        for index in range(3):
            kernels, bias = weights[f"conv{index + 1}.weight"].numpy(), weights[f"conv{index + 1}.bias"].numpy()
            channels = np.maximum(channels, 0) if index else channels
            channels = np.stack([
                b + sum(correlate(image, k, mode=mode, cval=0.0) for image, k in zip(channels, row, strict=True))
                for row, b in zip(kernels, bias, strict=True)
            ])  # fmt: skip
        assert np.allclose(found.numpy(), channels[0] + 1j * channels[1], atol=1e-12)
    cotangent = draw(3, *x.shape)
    into = {name: torch.zeros_like(w) for name, w in weights.items()}
    product = layer.linearise(x, weights, Scratch(), Scratch()).pullback(cotangent, into)

    def value(x: torch.Tensor, given: dict[str, torch.Tensor]) -> float:
        return float((cotangent.conj() * layer.increment(x, given, Scratch())).real.sum())

    step = 1e-7 * draw(4, *x.shape)
    slope = value(x + step, weights) - value(x - step, weights)
    assert 2 * float((product.conj() * step).real.sum()) == pytest.approx(slope, rel=1e-6)
    for name, w in weights.items():
        step = 1e-7 * draw(5, *w.shape, dtype=torch.float64)
        slope = value(x, weights | {name: w + step}) - value(x, weights | {name: w - step})
        assert 2 * float((into[name] * step).sum()) == pytest.approx(slope, rel=1e-6), name


@pytest.mark.parametrize("keywords", [
    {"size": (8, 9), "bound": 0.9}, {"size": (8, 8), "bound": 0.9, "borders": "zero"}, {"size": (8,)},
    {"size": (8, 8, 8, 8)}, {"size": (2, 8, 8)}, {"size": (8, 8), "kernel": (1, 3, 3)}, {"size": (8, 8), "kernel": (1, 2)},
])  # fmt: skip
def test_shapes_that_cannot_be_are_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as error:
        ResidualCnn(**keywords)
    assert error.value.hint
