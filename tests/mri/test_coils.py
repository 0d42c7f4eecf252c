"""Coils against the field of a loop in closed form; noise has the covariance stated, and is white once made so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ptychoui.errors import SettingsError
from ptychoui.mri import coils
from ptychoui.mri.channels import noise_covariance, whitening
from ptychoui.mri.grids import Grid, plane_grid, volume_grid


def fresh(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one_loop(centre: tuple[float, float, float], normal: tuple[float, float, float], radius: float) -> coils.CoilArray:
    return coils.CoilArray(
        centres=np.array([centre]), normals=np.array([normal]), radii=np.array([radius]), phases=np.zeros(1)
    )


def test_the_field_on_the_axis_of_a_loop_is_that_of_the_textbook() -> None:
    normal = np.array([0.0, 0.6, 0.8])
    loop = one_loop((0.1, -0.4, 1.0), tuple(normal), 0.7)
    away = np.linspace(-3, 3, 13)
    field = coils.wire_field(loop, 0, np.array([0.1, -0.4, 1.0]) + away[:, None] * normal)
    expected = (1 + (away / 0.7) ** 2) ** -1.5
    assert np.allclose(field, expected[:, None] * normal, atol=0.01 * expected[:, None])


def test_the_field_far_away_is_that_of_a_dipole() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    loop = one_loop((0, 0, 0), (0, 0, 1), 0.5)
    places = fresh().normal(size=(20, 3))
    places *= 20 / np.linalg.norm(places, axis=1, keepdims=True)
    unit = places / 20
    dipole = (3 * (unit @ normal)[:, None] * unit - normal) / 20**3 * 0.5**3 / 2
    assert np.allclose(coils.wire_field(loop, 0, places), dipole, atol=0.01 * np.abs(dipole).max())


@pytest.mark.parametrize("grid", [plane_grid((48, 44), (1.0, 0.9), 0.2), volume_grid((6, 30, 32), (0.3, 0.9, 1.0))])
def test_interpolated_sensitivities_are_the_fields(grid: Grid) -> None:
    array = coils.draw_coils(9, fresh(1))
    places = np.stack(np.broadcast_arrays(grid.z, grid.y, grid.x), axis=-1).astype(float)
    for coil in range(9):
        field = coils.wire_field(array, coil, places)
        direct = (field[..., 1] - 1j * field[..., 2]) * np.exp(1j * array.phases[coil])
        found = coils.sensitivity(array, coil, grid)
        assert np.abs(found - direct).max() < 1e-5 * np.abs(direct).max()


def test_coils_see_different_sides_and_none_is_blind() -> None:
    grid = plane_grid((40, 40), (1.0, 1.0))
    array = coils.draw_coils(6, fresh(2))
    seen = np.stack([np.abs(coils.sensitivity(array, coil, grid)[0]) for coil in range(6)])
    centres = np.array([ndimage.center_of_mass(one**2) for one in seen]) - 20
    angles = np.arctan2(*centres.T)
    gaps = np.diff(np.sort(angles))
    assert gaps.min() > 0.3  # radians: no two look from the same side
    rss = np.sqrt((seen**2).sum(axis=0))
    assert rss.min() > 0.1 * rss.max()
    other = coils.draw_coils(6, fresh(3))
    assert not np.allclose(other.centres, array.centres, atol=0.05)


@pytest.mark.parametrize("wanted", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("count", [2, 8])
def test_a_covariance_has_the_mean_correlation_stated(wanted: float, count: int) -> None:
    for seed in range(20):
        covariance = coils.draw_covariance(count, wanted, fresh(seed))
        assert np.array_equal(covariance, covariance.conj().T)
        assert np.linalg.eigvalsh(covariance).min() > 0
        power = np.diagonal(covariance).real
        assert np.isclose(power.mean(), 1)
        pairs = [
            abs(covariance[a, b]) / np.sqrt(power[a] * power[b]) for a in range(count) for b in range(count) if a != b
        ]
        assert np.isclose(np.mean(pairs), wanted)


def test_noise_has_its_covariance_in_both_parts() -> None:
    covariance = coils.draw_covariance(4, 0.4, fresh(4))
    noise = coils.draw_noise(covariance, (200, 200), fresh(5)).reshape(4, -1)
    assert np.allclose(np.cov(noise.real), covariance.real / 2, atol=0.02)
    assert np.allclose(np.cov(noise.imag), covariance.real / 2, atol=0.02)
    cross = noise.imag @ noise.real.T / noise.shape[1]
    assert np.allclose(cross, covariance.imag / 2, atol=0.02)
    assert np.allclose(noise @ noise.T / noise.shape[1], 0, atol=0.04)  # circular
    assert np.allclose(noise_covariance(noise), covariance, atol=0.02)


def test_whitened_noise_is_white_and_the_image_stays() -> None:
    covariance = coils.draw_covariance(6, 0.3, fresh(6))
    noise = coils.draw_noise(covariance, (64, 300), fresh(7))
    white = whitening(noise_covariance(noise[:, :32]))
    assert np.allclose(np.triu(white, 1), 0)
    left = coils.mix_coils(white, noise[:, 32:]).reshape(6, -1)
    for part in (left.real, left.imag):
        assert np.allclose(np.cov(part), np.eye(6), atol=0.06)
    image, maps = fresh(8).normal(size=(5, 4)), fresh(9).normal(size=(6, 5, 4)).astype(np.complex64)
    data = (maps * image).astype(np.complex64)
    assert np.allclose(coils.mix_coils(white, data), coils.mix_coils(white, maps) * image, atol=1e-4)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: coils.draw_coils(0, fresh()), "0 coils"),
        (lambda: coils.draw_coils(129, fresh()), "129 coils"),
        (lambda: coils.draw_covariance(4, 0.6, fresh()), "correlation of 0.6"),
        (lambda: coils.draw_covariance(4, -0.1, fresh()), "correlation of -0.1"),
    ],
)
def test_impossible_values_are_refused_in_a_sentence(refused, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=words) as caught:
        refused()
    assert caught.value.hint


def test_one_coil_has_nothing_to_share() -> None:
    assert np.allclose(coils.draw_covariance(1, 0.3, fresh()), [[1]])
