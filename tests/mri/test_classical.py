"""Reconstructions against matrices solved whole, and against every other image near by; planes, volumes and frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from mri.coils import SPACES, lines, made, picture, smooth_maps

from ptychoui.data.kspace import from_centred
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.channels import normalised
from ptychoui.mri.classical import METHODS, Problem, problems, reconstruct, tune
from ptychoui.mri.held_out import split_samples, strength_by_samples
from ptychoui.mri.maps import with_maps
from ptychoui.mri.metrics import nrmse

RNG = np.random.default_rng(11)


def tiny(shape: tuple[int, ...] = (8, 6), coils: int = 3, noise: float = 0.02) -> Problem:
    """A problem whose matrix fits into memory, half of it measured."""
    maps = smooth_maps(coils, shape)
    axes = tuple(range(1, len(shape) + 1))
    k_space = np.fft.fftn(maps * picture(shape), axes=axes, norm="ortho")
    k_space = k_space + noise * (RNG.normal(size=k_space.shape) + 1j * RNG.normal(size=k_space.shape))
    mask = lines(shape, 3, 2).reshape((1,) * (len(shape) - 2) + shape[-2:])
    return Problem(k_space=(k_space * mask).astype(np.complex64), sampled=mask, maps=maps)


def dense(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The matrix of W F S by the definition of the transform, and the measurement as a vector, in double precision."""
    shape = problem.k_space.shape[1:]
    transform = np.ones((1, 1), dtype=complex)
    for n in shape:
        row = np.arange(n)
        transform = np.kron(transform, np.exp(-2j * np.pi * np.outer(row, row) / n) / np.sqrt(n))
    mask = np.broadcast_to(problem.sampled, shape).ravel()
    rows = [(transform * coil.ravel().astype(complex))[mask] for coil in problem.maps]
    return np.concatenate(rows), np.concatenate([c.ravel().astype(complex)[mask] for c in problem.k_space])


@pytest.mark.parametrize("shape", [(8, 6), (7, 9), (4, 6, 5)])
@pytest.mark.parametrize("strength", [0.003, 0.1])
def test_cg_sense_solves_the_normal_equations(shape: tuple[int, ...], strength: float) -> None:
    problem = tiny(shape)
    matrix, measured = dense(problem)
    pixels = matrix.shape[1]
    expected = np.linalg.solve(
        matrix.conj().T @ matrix + strength * np.eye(pixels), matrix.conj().T @ measured
    ).reshape(shape)
    found = METHODS["cg_sense"].solve(problem, strength, 300, None)
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 2e-4


def test_zero_filled_is_the_adjoint() -> None:
    problem = tiny((7, 9))
    matrix, measured = dense(problem)
    expected = (matrix.conj().T @ measured).reshape(7, 9)
    assert np.allclose(METHODS["zero_filled"].solve(problem, 0.0, 1, None), expected, atol=1e-6)


def differences(image: np.ndarray) -> float:
    return float(sum(np.abs(image - np.roll(image, 1, axis=axis)).sum() for axis in range(image.ndim)))


def coefficients(image: np.ndarray) -> float:
    import pywt

    array, _ = pywt.coeffs_to_array(pywt.wavedecn(image, "db4", mode="zero"))
    return float(np.abs(array).sum())


PRIORS = {"tv": differences, "l1_wavelet": coefficients}


def objective(method: str, problem: Problem, image: np.ndarray, strength: float) -> float:
    misfit = problem.predicted(image) * problem.sampled - problem.k_space
    return 0.5 * float(np.linalg.norm(misfit) ** 2) + strength * PRIORS[method](image)


@pytest.mark.parametrize("method", PRIORS)
@pytest.mark.parametrize("shape", [(16, 12), (8, 12, 10)])
def test_no_image_near_by_is_better(method: str, shape: tuple[int, ...]) -> None:
    """Both objectives are convex: what no small step lowers is the minimum. Steps of many sizes, dense and sparse."""
    problem, strength = tiny(shape, noise=0.05), 0.02
    found = METHODS[method].solve(problem, strength, 1500, None).astype(complex)
    best = objective(method, problem, found, strength)
    assert best < 0.99 * objective(method, problem, METHODS["cg_sense"].solve(problem, 0.01, 200, None), strength)
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2, 1e-3):
        for kind in range(60):
            step = rng.normal(size=shape) + 1j * rng.normal(size=shape)
            if kind % 3 == 1:
                step *= rng.random(shape) < 0.03
            if kind % 3 == 2:
                step = found * rng.normal()
            step *= size * np.linalg.norm(found) / max(np.linalg.norm(step), 1e-12)
            # Wavelets with zeros beyond the edge are not quite orthonormal: their proximal step is a little off.
            slack = best * (2e-3 if method == "l1_wavelet" else 1e-5)
            assert objective(method, problem, found + step, strength) > best - slack


@pytest.mark.parametrize("method", PRIORS)
def test_the_objective_falls(method: str) -> None:
    problem = tiny((16, 12), noise=0.05)
    values = [
        objective(method, problem, METHODS[method].solve(problem, 0.02, n, None).astype(complex), 0.02)
        for n in (1, 5, 20, 100, 400)
    ]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("acquisition", SPACES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_every_acquisition(method: str, acquisition: str) -> None:
    data = made(acquisition, noise=0.01, examples=2)
    assert data.truth is not None and data.support is not None
    image = reconstruct(method, data, place=1)
    assert image.shape == data.space and image.dtype == np.complex64
    error = nrmse(image, data.truth[1], data.support[1])
    assert error < (0.5 if method == "zero_filled" else 0.12)


def test_planes_are_reconstructed_one_by_one() -> None:
    slab, cine = made("slab", noise=0.01), made("cine", noise=0.01)
    assert len(problems(slab, 0)) == 3 and len(problems(cine, 0)) == 4 and len(problems(made("3d"), 0)) == 1
    frames = problems(cine, 0)
    assert not np.array_equal(frames[0].sampled, frames[1].sampled)
    image = reconstruct("cg_sense", slab)
    assert np.array_equal(image[2], METHODS["cg_sense"].solve(problems(slab, 0)[2], 0.01, 100, None))


def test_a_measured_zero_counts() -> None:
    """A sample that measured zero is data, a sample that was not measured is none."""
    problem = tiny((8, 6))
    k_space = problem.k_space.copy()
    k_space[:, 0, 0] = 0
    zero = dataclasses.replace(problem, k_space=k_space)
    mask = problem.sampled.copy()
    mask[0, 0] = False
    missing = dataclasses.replace(zero, sampled=mask)
    for method in ("cg_sense", "tv", "l1_wavelet"):
        solve = METHODS[method].solve
        assert abs(solve(zero, 0.01, 100, None).mean()) < 0.7 * abs(solve(missing, 0.01, 100, None).mean())


def test_nobody_notices_the_global_generator() -> None:
    np.random.seed(4)
    expected = np.random.random()
    np.random.seed(4)
    for method in METHODS:
        reconstruct(method, made(), iterations=3)
    assert np.random.random() == expected


def test_whoever_watches_can_stop() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stopped

    for method in ("cg_sense", "l1_wavelet", "tv"):
        calls: list[int] = []
        with pytest.raises(Stopped):
            reconstruct(method, made(noise=0.01), callback=stop)
        assert len(calls) == 3


def test_the_best_strength_is_chosen() -> None:
    data = made(noise=0.05, examples=2, every=4)
    truth, support = data.truth, data.support
    assert truth is not None and support is not None
    found = tune("cg_sense", data, lambda image, place: nrmse(image, truth[place], support[place]))
    by_hand = {
        strength: np.mean([nrmse(reconstruct("cg_sense", data, n, strength), truth[n], support[n]) for n in (0, 1)])
        for strength in METHODS["cg_sense"].grid
    }
    assert found.strength == min(by_hand, key=lambda s: by_hand[s]) and dict(found.scores) == by_hand
    assert not found.at_the_edge
    few = tune("cg_sense", data, lambda image, place: nrmse(image, truth[place]), strengths=(0.1, 3.0, 10.0))
    assert few.strength == 0.1 and few.at_the_edge
    assert tune("zero_filled", data, lambda image, place: 1.0).strength == 0
    with pytest.raises(DataError, match="not finite"):
        tune("zero_filled", data, lambda image, place: np.nan)
    with pytest.raises(SettingsError, match="no strength"):
        tune("tv", data, lambda image, place: 1.0, strengths=())


@pytest.mark.parametrize("seed", [0, 1])
def test_whole_lines_are_left_out_where_lines_were_measured(seed: int) -> None:
    data = made(noise=0.02, every=1, centre=6)
    mask = lines((32, 28), 6, 2)
    problem = dataclasses.replace(problems(data, 0)[0], sampled=mask)
    fitted, left_out = split_samples(problem, share=0.5, seed=seed)
    whole = np.broadcast_to(fitted.sampled, mask.shape)
    assert np.array_equal(whole | left_out, mask) and not (whole & left_out).any()
    assert np.array_equal(left_out.any(axis=1), left_out.all(axis=1)) and left_out.any()
    assert not left_out[[0, 1, 2, -1, -2, -3]].any()
    assert not fitted.k_space[:, left_out].any()


def test_points_are_left_out_where_points_were_measured() -> None:
    mask = RNG.random((32, 28)) < 0.4
    near = (np.abs(np.rint(np.fft.fftfreq(32) * 32)) < 5)[:, None] & (np.abs(np.rint(np.fft.fftfreq(28) * 28)) < 5)
    mask |= near
    problem = dataclasses.replace(problems(made(every=1), 0)[0], sampled=mask)
    _, left_out = split_samples(problem)
    assert left_out.sum() == round(0.1 * (mask & ~near).sum()) and not (left_out & near).any()


def test_a_strength_by_samples_is_near_that_by_the_truth() -> None:
    data = made(noise=0.05, every=1)
    mask = (RNG.random((32, 28)) < 0.35) | lines((32, 28), 7, 99)
    data = dataclasses.replace(data, k_space=data.k_space * mask, sampled=mask[None])
    truth = data.truth
    assert truth is not None
    chosen = strength_by_samples("tv", problems(data, 0)[0])
    known = tune("tv", data, lambda image, place: nrmse(image, truth[place]))
    grid = METHODS["tv"].grid
    assert abs(grid.index(chosen.strength) - grid.index(known.strength)) <= 1
    assert chosen.scores[0][0] == grid[0] and len(chosen.scores) == len(grid)


def test_the_weakest_of_equal_strengths_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tikhonov's prior shrinks what was measured, too, which samples that are left out do not show."""
    data = made(noise=0.02, every=1)
    mask = (RNG.random((32, 28)) < 0.4) | lines((32, 28), 7, 99)
    problem = problems(dataclasses.replace(data, k_space=data.k_space * mask, sampled=mask[None]), 0)[0]
    found = strength_by_samples("cg_sense", problem)
    errors = dict(found.scores)
    assert errors[found.strength] <= 1.02 * min(errors.values())
    assert all(errors[weaker] > 1.02 * min(errors.values()) for weaker in errors if weaker < found.strength)
    monkeypatch.setattr("ptychoui.mri.held_out.SLACK", 1e3)
    assert strength_by_samples("cg_sense", problem).strength == 0


def test_refusals() -> None:
    data = made()
    with pytest.raises(SettingsError, match="no method 'grappa'"):
        reconstruct("grappa", data)
    for strength in (-1.0, np.nan, np.inf):
        with pytest.raises(SettingsError, match="a strength of"):
            reconstruct("tv", data, strength=strength)
    with pytest.raises(DataError, match="needs coil maps"):
        reconstruct("tv", dataclasses.replace(data, maps=None))
    for mask in (lines((32, 28), 28, 99), np.ones((32, 28), bool)):
        with pytest.raises(DataError, match="are too few to leave some out"):
            strength_by_samples("tv", dataclasses.replace(problems(data, 0)[0], sampled=mask))
    assert all(method.usual in method.grid and method.title and method.iterations for method in METHODS.values())


@pytest.mark.slow
def test_the_measured_slice(shared_data: Path) -> None:
    """Priors predict samples that were left out better than least squares do."""
    k_space = from_centred(np.load(shared_data / "mri" / "cartesian_ksp.npy"), 2)[None]
    bare = made(k_space=k_space, sampled=np.abs(k_space).sum(axis=1) > 0, maps=None, truth=None, support=None)
    data = normalised(with_maps(bare)[0]).data
    best = {}
    for method in ("cg_sense", "l1_wavelet", "tv"):
        found = strength_by_samples(method, problems(data, 0)[0])
        assert not found.at_the_edge
        best[method] = min(error for _, error in found.scores)
    assert best["l1_wavelet"] < best["tv"] < best["cg_sense"] < 0.32
