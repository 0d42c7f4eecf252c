"""One small problem for each kind of layer: float64, two complex objects of 8 to 16 pixels, depth as asked.

The increments are written again for autograd: wavelets as dense matrices of PyWavelets, total variation in Chambolle's
own scaling, least squares by a dense solve, convolutions as sums of shifted images, norms as those of dense matrices.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pywt
import torch
from engine.chains import Problem, optics_problem
from torch import Tensor

from ptychoui.engine.composite import Composite
from ptychoui.network.least_squares import LeastSquares, MaskedFourier
from ptychoui.network.proximal import TotalVariationProximal, WaveletProximal
from ptychoui.network.residual_cnn import ResidualCnn
from ptychoui.network.sense_consistency import SenseOperator
from ptychoui.network.smoothed import SmoothedUnroll

BATCH = 2


def draw(seed: int, *shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    """Noise of standard deviation one in the real, and in the imaginary part."""
    rng = np.random.default_rng(seed)
    real = torch.from_numpy(rng.normal(size=shape))
    return (torch.complex(real, torch.from_numpy(rng.normal(size=shape))) if dtype.is_complex else real).to(dtype)


def numbers(unrolls: int, mean: float) -> Tensor:
    """(N,) different positive numbers, one per unroll."""
    return torch.from_numpy(mean * (1 + 0.3 * np.random.default_rng(0).uniform(-1, 1, unrolls)))


# Wavelets -------------------------------------------------------------------------------------------


def pywt_levels(image: np.ndarray, wavelet: str, levels: int) -> list[Any]:
    """The transform of PyWavelets, whose warning of wrapped filters is meant for other borders."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        coefficients: list[Any] = pywt.wavedec2(image, wavelet, mode="periodization", level=levels)
    return coefficients


@cache
def wavelet_matrix(wavelet: str, levels: int, size: int) -> Tensor:
    """(N N, N N) what PyWavelets makes of every unit image, rows in the order of its coefficient array."""
    rows = []
    for pixel in range(size * size):
        image = np.zeros(size * size)
        image[pixel] = 1
        coefficients = pywt_levels(image.reshape(size, size), wavelet, levels)
        rows.append(pywt.coeffs_to_array(coefficients)[0].ravel())
    return torch.from_numpy(np.array(rows).T)


def shrink(z: Tensor, threshold: Tensor, width: float) -> Tensor:
    """The proximal map of lambda times the Huber-smoothed magnitude."""
    size = z.abs()
    inside = size <= width + threshold
    safe = torch.where(inside, torch.ones_like(size), size)
    return torch.where(inside, z * width / (width + threshold), z - threshold * z / safe)


def wavelet(
    unrolls: int, size: int = 8, name: str = "db2", levels: int = 2, width: float = 0.3, dtype: Any = torch.complex128
) -> Problem:
    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        matrix = wavelet_matrix(name, levels, size).to(dtype)
        c = x.reshape(len(x), -1) @ matrix.T
        kept = torch.zeros(size, size, dtype=torch.bool)
        kept[: size >> levels, : size >> levels] = True
        c = torch.where(kept.ravel(), c, shrink(c, given["threshold"][index], width))
        return (c @ matrix).reshape(x.shape) - x

    return Problem(
        layer=lambda index: WaveletProximal(size, index, name, levels, width),
        x=draw(1, BATCH, size, size, dtype=dtype),
        inputs={"threshold": numbers(unrolls, 0.3 / unrolls)},
        cotangent=draw(2, BATCH, size, size, dtype=dtype),
        independent=independent,
    )


# Total variation ------------------------------------------------------------------------------------


def chambolle(x: Tensor, threshold: Tensor, iterations: int) -> Tensor:
    """Minus the projection lambda div p, in Chambolle's scaling |p| <= 1."""
    p = torch.zeros(2, *x.shape, dtype=x.dtype)

    def divergence(p: Tensor) -> Tensor:
        rows = torch.cat([p[0][:, :1], p[0][:, 1:-1] - p[0][:, :-2], -p[0][:, -2:-1]], 1)
        columns = torch.cat([p[1][:, :, :1], p[1][:, :, 1:-1] - p[1][:, :, :-2], -p[1][:, :, -2:-1]], 2)
        return rows + columns

    for _ in range(iterations):
        u = divergence(p) + x / threshold
        g = torch.stack([torch.roll(u, -1, 1) - u, torch.roll(u, -1, 2) - u])
        border = torch.ones_like(g.real)
        border[0, :, -1] = border[1, :, :, -1] = 0
        g = g * border
        square = (g * g.conj()).real.sum(0)
        flat = square == 0
        norm = torch.where(flat, 0.0, torch.where(flat, 1.0, square).sqrt())
        p = (p + 0.25 * g) / (1 + 0.25 * norm)
    return threshold * divergence(p)


def total_variation(unrolls: int, size: int = 8, iterations: int = 6, dtype: Any = torch.complex128) -> Problem:
    return Problem(
        layer=lambda index: TotalVariationProximal(index, iterations),
        x=draw(3, BATCH, size, size, dtype=dtype),
        inputs={"threshold": numbers(unrolls, 0.2 / unrolls)},
        cotangent=draw(4, BATCH, size, size, dtype=dtype),
        independent=lambda x, given, index: chambolle(x, given["threshold"][index], iterations),
    )


# Least squares --------------------------------------------------------------------------------------


def operator(size: int = 8, coils: int | None = 3) -> MaskedFourier:
    mask = torch.from_numpy(np.random.default_rng(5).random((size, size)) < 0.6).to(torch.float64)
    return MaskedFourier(mask, None if coils is None else 0.6 * draw(6, coils, size, size))


def dense(a: MaskedFourier) -> Tensor:
    """The operator as a matrix, from the definition of the Fourier transform."""
    size = len(a.mask)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(size)) / size) / np.sqrt(size)
    fourier = torch.from_numpy(np.kron(wave, wave))
    coils = torch.ones(1, size, size, dtype=torch.complex128) if a.coils is None else a.coils
    return torch.cat([a.mask.reshape(-1, 1) * fourier * coil.reshape(-1) for coil in coils])


def least_squares(unrolls: int, size: int = 8, coils: int | None = 3, mu: float = 0.5) -> Problem:
    a = operator(size, coils)
    matrix = dense(a)

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        mu = given["mu"][index]
        normal = matrix.mH @ matrix + mu * torch.eye(size * size, dtype=torch.complex128)
        target = given["measured"].reshape(len(x), -1) @ matrix.conj() + mu * x.reshape(len(x), -1)
        return torch.linalg.solve(normal, target.T).T.reshape(x.shape) - x

    return Problem(
        layer=lambda index: LeastSquares(a, index),
        x=draw(7, BATCH, size, size),
        inputs={
            "measured": a.apply(draw(8, BATCH, size, size)) + 0.1 * a.apply(draw(9, BATCH, size, size)),
            "mu": numbers(unrolls, mu),
        },
        cotangent=draw(20, BATCH, size, size),
        independent=independent,
    )


# Residual CNN ---------------------------------------------------------------------------------------


def shifted_sums(image: Tensor, weight: Tensor) -> Tensor:
    """Circular cross-correlation as a sum of shifted images: (B, in, N, N) -> (B, out, N, N)."""
    reach = weight.shape[-1] // 2
    total = torch.zeros(len(image), len(weight), *image.shape[2:], dtype=image.dtype)
    for row in range(weight.shape[-1]):
        for column in range(weight.shape[-1]):
            moved = torch.roll(image, (reach - row, reach - column), (-2, -1))
            total = total + torch.einsum("oi,biyx->boyx", weight[:, :, row, column], moved)
    return total


def dense_norm(weight: Tensor, size: int) -> Tensor:
    """Operator norm of the convolution written as one matrix."""
    into = weight.shape[1]
    units = torch.eye(into * size * size, dtype=weight.dtype).reshape(-1, into, size, size)
    matrix = shifted_sums(units, weight).flatten(1)
    return torch.linalg.matrix_norm(matrix, 2)


def plain_cnn(x: Tensor, given: dict[str, Tensor], prefix: str, depth: int, bound: float | None) -> Tensor:
    image = torch.stack([x.real, x.imag], 1) if x.is_complex() else x[:, None]
    for i in range(1, depth + 1):
        weight = given[f"{prefix}conv{i}.weight"]
        if bound is not None:
            norm, target = dense_norm(weight, x.shape[-1]), bound ** (1 / depth)
            weight = weight * target / norm if float(norm.detach()) > target else weight
        image = (
            shifted_sums(image if i == 1 else image.clamp_min(0), weight)
            + given[f"{prefix}conv{i}.bias"][:, None, None]
        )
    return torch.complex(image[:, 0], image[:, 1]) if x.is_complex() else image[:, 0]


def weights(layer: ResidualCnn, seed: int, last: float) -> dict[str, Tensor]:
    """The layer's own initial weights, with biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    made = layer.initial_weights(generator, torch.float64, last)
    return {
        name: value if value.ndim > 1 else 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in made.items()
    }


def cnn_plain(unrolls: int, size: int = 8, channels: int = 4, depth: int = 3, dtype: Any = torch.complex128) -> Problem:
    """One layer for all unrolls: shared weights."""
    layer = ResidualCnn(size, "shared.", channels, depth, complex_objects=dtype.is_complex)
    return Problem(
        layer=lambda _index: layer,
        x=draw(11, BATCH, size, size, dtype=dtype),
        inputs=weights(layer, 12, 0.3 / unrolls),
        cotangent=draw(13, BATCH, size, size, dtype=dtype),
        independent=lambda x, given, _index: plain_cnn(x, given, "shared.", depth, None),
    )


def cnn_normalised(
    unrolls: int, size: int = 8, channels: int = 4, depth: int = 3, dtype: Any = torch.complex128, bound: float = 0.7
) -> Problem:
    """Every unroll has weights of its own."""

    def layer(index: int) -> ResidualCnn:
        return ResidualCnn(size, f"unroll{index + 1}.", channels, depth, bound=bound, complex_objects=dtype.is_complex)

    inputs: dict[str, Tensor] = {}
    for index in range(unrolls):
        inputs |= weights(layer(index), 14 + index, 1.0)
    return Problem(
        layer=layer,
        x=draw(15, BATCH, size, size, dtype=dtype),
        inputs=inputs,
        cotangent=draw(16, BATCH, size, size, dtype=dtype),
        independent=lambda x, given, index: plain_cnn(x, given, f"unroll{index + 1}.", depth, bound),
    )


# Composite ------------------------------------------------------------------------------------------


def composite(unrolls: int, channels: int = 4, depth: int = 2) -> Problem:
    """A data-consistency gradient, then a CNN with shared weights."""
    optics = optics_problem(unrolls, BATCH, rows=1)
    size = optics.x.shape[-1]
    denoiser = ResidualCnn(size, "cnn.", channels, depth)

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        step = optics.independent(x, given, index)
        return step + plain_cnn(x + step, given, "cnn.", depth, None)

    return Problem(
        layer=lambda index: Composite([optics.layer(index), denoiser]),
        x=optics.x,
        inputs=optics.inputs | weights(denoiser, 17, 0.2 / unrolls),
        cotangent=optics.cotangent,
        independent=independent,
    )


def smoothed(unrolls: int) -> Problem:
    """The plain gradient's problem, its steps scaled by dense transforms of the independent gradient."""
    plain = optics_problem(unrolls)
    model = plain.layer(0)._physics  # type: ignore[attr-defined]
    size = plain.x.shape[-1]
    grids, scope = model.grids, model.microscope
    axis = torch.arange(size, dtype=torch.float64)
    frequency = torch.where(axis < size / 2, axis, axis - size) * grids.step_per_um
    rough = (frequency[:, None] ** 2 + frequency**2) / (scope.objective_na / scope.wavelength_um) ** 2
    turn = torch.exp(-2j * np.pi / size * axis[:, None] * axis)

    def transform(image: Tensor) -> Tensor:
        return turn @ image @ turn

    def back(spectrum: Tensor) -> Tensor:
        return turn.conj() @ spectrum @ turn.conj() / size**2

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        one = {**given, "step": torch.ones_like(given["step"])}
        strength = given["smoothness"][index]
        slope = transform(-plain.independent(x, one, index)) + strength * rough * transform(x)
        return -given["step"][index] * back(slope / (given["coverage"] + strength * rough))

    light = torch.from_numpy(np.random.default_rng(4).uniform(0.5, 1.5, (size, size)))
    return Problem(
        layer=lambda index: SmoothedUnroll(model, index, model_floor(plain), model.roughness()),
        x=plain.x,
        inputs={**plain.inputs, "coverage": light, "smoothness": numbers(unrolls, 0.2)},
        cotangent=plain.cotangent,
        independent=independent,
    )


def model_floor(problem: Problem) -> float:
    """The variance floor of an optical problem."""
    return float(problem.layer(0)._floor)  # type: ignore[attr-defined]


LAYER_PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "wavelet": wavelet,
    "total variation": total_variation,
    "least squares": least_squares,
    "CNN": cnn_plain,
    "normalised CNN": cnn_normalised,
    "gradient and CNN": composite,
    "smoothed gradient": smoothed,
}
"""By name: the number of unrolls -> the problem. All inputs are used by every depth."""


# Multi-coil k-space -----------------------------------------------------------------------------------


def fourier_matrix(space: tuple[int, ...], transformed: int) -> Tensor:
    """The unitary transform over the last axes as a matrix, from its definition."""
    matrix = np.ones((1, 1), dtype=complex)
    for axis, size in enumerate(space):
        wave = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(size)) / size) / np.sqrt(size)
        matrix = np.kron(matrix, wave if axis >= len(space) - transformed else np.eye(size))
    return torch.from_numpy(matrix)


def sense_inputs(space: tuple[int, ...], unrolls: int, coils: int = 2, mu: float = 0.5) -> dict[str, Tensor]:
    """Maps, weights between 0 and 1, some of them 0, and k-space of every example."""
    rng = np.random.default_rng(31)
    weights = rng.random((BATCH, *space)) * (rng.random((BATCH, *space)) < 0.7)
    return {
        "maps": 0.7 * draw(32, BATCH, coils, *space),
        "sampling": torch.from_numpy(weights),
        "k_space": draw(33, BATCH, coils, *space),
        "mu": numbers(unrolls, mu),
    }


def sense_problem(space: tuple[int, ...], transformed: int, unrolls: int = 2, **changes: Any) -> Problem:
    fourier, size = fourier_matrix(space, transformed), int(np.prod(space))

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        moved = []
        for example in range(len(x)):
            maps, weights = given["maps"][example], given["sampling"][example].expand(space).reshape(-1)
            normal = given["mu"][index] * torch.eye(size, dtype=x.dtype)
            target = given["mu"][index] * x[example].reshape(-1)
            for coil, y in zip(maps, given["k_space"][example], strict=True):
                seen = fourier * coil.expand(space).reshape(-1)
                normal = normal + seen.mH @ (weights[:, None] * seen)
                target = target + seen.mH @ (weights * y.reshape(-1))
            moved.append(torch.linalg.solve(normal, target).reshape(space) - x[example])
        return torch.stack(moved)

    inputs = sense_inputs(space, unrolls) | changes
    coupled = transformed if len(space) > transformed else None
    return Problem(
        layer=lambda index: LeastSquares(SenseOperator(transformed), index, measured="k_space", coupled=coupled),
        x=draw(34, BATCH, *space),
        inputs=inputs,
        cotangent=draw(35, BATCH, *space),
        independent=independent,
    )
