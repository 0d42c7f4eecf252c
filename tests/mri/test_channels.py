"""Noise, coils, field and scale, each against its definition written out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mri.coils import SPACES, made

from ptychoui.data.kspace import TRANSFORMED, KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.calibration import calibration_of
from ptychoui.mri.channels import (
    compressed,
    noise_covariance,
    normalised,
    scale_of,
    whitened,
    without_oversampling,
)

RNG = np.random.default_rng(2)


def complex_noise(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def misfit(data: KSpaceSet) -> float:
    """How far k-space is from W F (S x) of the true image, relatively."""
    assert data.maps is not None and data.truth is not None
    axes = tuple(range(-TRANSFORMED[data.acquisition], 0))
    predicted = np.fft.fftn(data.maps * data.truth[:, None], axes=axes, norm="ortho") * data.sampled[:, None]
    return float(np.linalg.norm(predicted - data.k_space) / np.linalg.norm(data.k_space))


def test_the_covariance_is_the_mean_of_products() -> None:
    mixing = complex_noise(3, 3)
    noise = mixing @ complex_noise(3, 400)
    found = noise_covariance(noise.reshape(3, 20, 20))
    expected = np.zeros((3, 3), dtype=complex)
    for sample in noise.T:
        expected += np.outer(sample, sample.conj()) / 400
    assert np.allclose(found, expected)
    assert np.allclose(found, 2 * mixing @ mixing.conj().T, rtol=0.3, atol=1)


def test_white_noise_has_a_deviation_of_one() -> None:
    mixing = 0.01 * complex_noise(4, 4)
    data = made(every=1)
    noise = mixing @ complex_noise(4, 5000)
    covariance = noise_covariance(noise)
    alone = dataclasses.replace(
        data, k_space=np.tensordot(mixing, complex_noise(4, 32, 28), axes=1)[None].astype(np.complex64), maps=None
    )
    found = whitened(alone, covariance)
    samples = found.k_space[0].reshape(4, -1)
    assert found.noise_std == 1.0
    assert np.allclose(samples.real.std(axis=1), 1, atol=0.1) and np.allclose(samples.imag.std(axis=1), 1, atol=0.1)
    assert np.allclose(samples @ samples.conj().T / samples.shape[1], 2 * np.eye(4), atol=0.3)
    assert misfit(whitened(data, covariance)) < 1e-5


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (complex_noise(4, 39), "39 noise samples of 4 coils"),
        (complex_noise(4, 100) * np.array([1, 0, 1, 1])[:, None], "noise of coil 1 is zero"),
        (complex_noise(2, 100) * np.nan, "not finite"),
    ],
)
def test_noise_that_tells_nothing_is_refused(noise: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        noise_covariance(noise)


@pytest.mark.parametrize(
    ("covariance", "words"),
    [
        (np.eye(3), r"\(3, 3\) does not fit 4 coils"),
        (np.ones((4, 4)), "not positive definite"),
        (np.triu(np.ones((4, 4))), "not Hermitian"),
        (np.full((4, 4), np.nan), "not Hermitian"),
    ],
)
def test_a_covariance_that_is_none_is_refused(covariance: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        whitened(made(), covariance)


@pytest.mark.parametrize("acquisition", SPACES)
def test_fewer_coils_hold_most_of_the_energy(acquisition: str) -> None:
    data = made(acquisition, coils=6)
    found = compressed(data, 3)
    assert found.data.coils == 3 and found.data.maps is not None and found.data.maps.shape[1] == 3
    assert misfit(found.data) < 1e-5
    eye = found.matrix[0] @ found.matrix[0].conj().T
    assert np.allclose(eye, np.eye(3), atol=1e-10)
    # No choice of three virtual coils keeps more of the calibration region than the singular values say.
    block = calibration_of(data, 0).block.reshape(6, -1)
    values = np.linalg.svd(block, compute_uv=False) ** 2
    mine = np.linalg.norm(found.matrix[0] @ block) ** 2 / values.sum()
    assert np.isclose(mine, values[:3].sum() / values.sum(), rtol=1e-5)
    assert 0.9 < found.kept[0] <= 1
    whole = compressed(data, 6)
    assert np.isclose(whole.kept[0], 1, atol=1e-5)


def test_noise_stays_white_under_compression() -> None:
    data = dataclasses.replace(made(coils=6), noise_std=0.3)
    found = compressed(data, 2)
    noise = found.matrix[0] @ (0.3 * complex_noise(6, 4000))
    assert found.data.noise_std == 0.3
    assert np.allclose(noise @ noise.conj().T / 4000, 2 * 0.09 * np.eye(2), atol=0.02)


def test_coils_that_are_not_there() -> None:
    for coils in (0, 5):
        with pytest.raises(SettingsError, match=f"4 coils cannot become {coils}"):
            compressed(made(), coils)
    with pytest.raises(DataError, match="is zero"):
        compressed(made(k_space=np.zeros((1, 4, 32, 28), np.complex64)), 2)


@pytest.mark.parametrize(
    ("acquisition", "axis", "size"), [("2d", "column", 17), ("3d", "slice", 9), ("slab", "readout", 2), ("cine", "column", 20)]
)  # fmt: skip
def test_the_field_is_cut(acquisition: str, axis: str, size: int) -> None:
    data = made(acquisition)
    found = without_oversampling(data, axis, size)
    assert found.truth is not None and data.truth is not None
    assert size in found.space and found.truth.shape[1:] == found.space
    place = {"column": -1, "slice": -3, "readout": -3}[axis]
    length = data.space[place]
    start = length // 2 - size // 2
    assert np.array_equal(found.truth, np.take(data.truth, range(start, start + size), axis=place))
    assert misfit(found) < 1e-5


def test_noise_keeps_its_deviation_when_the_field_is_cut() -> None:
    noise = complex_noise(1, 4, 32, 28).astype(np.complex64)
    data = made(k_space=noise, sampled=np.ones((1, 32, 28), bool))
    found = without_oversampling(data, "column", 14).k_space
    assert np.isclose(found.real.std(), 1, atol=0.05)


@pytest.mark.parametrize(
    ("acquisition", "axis", "size", "words"),
    [
        ("2d", "slice", 4, "no field along 'slice'"),
        ("cine", "frame", 2, "no field along 'frame'"),
        ("2d", "column", 29, "29 of 28 pixels"),
        ("2d", "column", 0, "0 of 28 pixels"),
        ("2d", "row", 16, "not sampled whole along row"),
    ],
)
def test_fields_that_cannot_be_cut(acquisition: str, axis: str, size: int, words: str) -> None:
    with pytest.raises((DataError, SettingsError), match=words) as error:
        without_oversampling(made(acquisition), axis, size)
    assert error.value.hint


@pytest.mark.parametrize("acquisition", SPACES)
@pytest.mark.parametrize("unit", [1e-6, 1, 3e4])
def test_images_become_of_order_one(acquisition: str, unit: float) -> None:
    plain = made(acquisition, noise=0.01)
    data = dataclasses.replace(
        plain, k_space=plain.k_space * np.float32(unit), truth=plain.truth * unit, noise_std=0.01 * unit
    )
    found = normalised(data)
    assert found.data.truth is not None and found.data.noise_std is not None
    assert 0.7 < np.abs(found.data.truth).max() < 1.6
    assert np.isclose(found.data.noise_std * found.scale[0], 0.01 * unit)
    assert np.isclose(misfit(found.data), misfit(plain), rtol=1e-3)
    assert np.isclose(found.scale[0], unit * normalised(plain).scale[0], rtol=1e-4)


def test_what_the_calibration_region_leaves_out_has_no_say() -> None:
    data = made()
    changed = data.k_space.copy()
    outside = calibration_of(data, 0).block[:, 0] == 0
    changed[0][outside] *= 7
    other = dataclasses.replace(data, k_space=changed, truth=None)
    assert normalised(other).scale == normalised(data).scale


def test_the_scale_by_hand() -> None:
    calibration = calibration_of(made(), 0)
    rows = np.rint(np.fft.fftfreq(32) * 32)
    columns = np.rint(np.fft.fftfreq(28) * 28)
    window = np.outer(np.cos(np.pi * rows / 14) ** 2 * (np.abs(rows) <= 6), np.cos(np.pi * columns / 29) ** 2)
    images = np.fft.ifft2(calibration.k_space[:, 0] * window, norm="ortho")
    expected = np.quantile(np.sqrt((np.abs(images) ** 2).sum(axis=0)), 0.99)
    assert np.isclose(scale_of(calibration), expected, rtol=1e-5)


def test_scales_of_several_examples() -> None:
    data = made(examples=2, noise=0.01)
    k_space = data.k_space * np.array([1, 10], np.float32).reshape(2, 1, 1, 1)
    both = dataclasses.replace(data, k_space=k_space)
    own = normalised(both)
    assert np.isclose(own.scale[1] / own.scale[0], 10, rtol=0.1) and own.data.noise_std is None
    one = normalised(both, together=True)
    assert one.scale[0] == one.scale[1] and one.data.noise_std is not None
    with pytest.raises(DataError, match="zero"):
        normalised(dataclasses.replace(data, k_space=np.zeros_like(k_space)))
