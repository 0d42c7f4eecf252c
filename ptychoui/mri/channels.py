"""What is done to channels before anything is reconstructed: noise made white, fewer coils, a smaller field, a scale.

Every function gives a new set and leaves the old one alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import SPACE_AXES, TRANSFORMED, KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.calibration import Calibration, calibration_of
from ptychoui.words import counted

SCALE_QUANTILE = 0.99
SCALE = (
    "the 99 % quantile, over all pixels, of the root sum of squares over the coils of the images of the calibration "
    "region under a Hann window becomes 1"
)
"""The definition of the scale of `normalised`, for results."""


def noise_covariance(noise: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Covariance of the coils' noise, E[n n^H], from samples that hold nothing else.

    Parameters
    ----------
    noise
        (coil, sample) or (coil, sample, sample) complex, measured without a pulse; the mean is not taken away.

    Returns
    -------
    ndarray
        (coil, coil) complex128, Hermitian.

    Raises
    ------
    DataError
        If a sample is not finite, there are fewer than ten samples for each coil, or a coil holds only zeros.
    """
    samples = np.asarray(noise).reshape(len(noise), -1).astype(np.complex128)
    coils, count = samples.shape
    if not np.isfinite(samples).all():
        raise DataError("a noise sample is not finite", "measure the noise again, or leave such samples out")
    if count < 10 * coils:
        raise DataError(
            f"{counted(count, 'noise sample')} of {counted(coils, 'coil')} tell no covariance",
            f"give {10 * coils} or more for each coil",
        )
    if not samples.any(axis=1).all():
        dead = int(np.flatnonzero(~samples.any(axis=1))[0])
        raise DataError(f"the noise of coil {dead} is zero everywhere", "leave this coil out of noise and k-space")
    return np.asarray(samples @ samples.conj().T / count, dtype=np.complex128)


def whitened(data: KSpaceSet, covariance: NDArray[np.complexfloating]) -> KSpaceSet:
    """Mix the coils so that their noise is independent, with a deviation of 1 in real and in imaginary part.

    K-space and maps are multiplied by the matrix of `whitening`, so that y = W F (S x) + noise holds with the same
    image x.

    Parameters
    ----------
    data
        Examples, k-space (example, coil, *space).
    covariance
        (coil, coil) as `noise_covariance` gives it.

    Raises
    ------
    DataError
        If the covariance is of another size, not Hermitian or not positive definite.
    """
    covariance = np.asarray(covariance, dtype=np.complex128)
    if covariance.shape != (data.coils, data.coils):
        raise DataError(
            f"a noise covariance of shape {covariance.shape} does not fit {counted(data.coils, 'coil')}",
            "measure noise and k-space with the same coils",
        )
    mixed = whitening(covariance)
    maps = data.maps if data.maps is None else _mixed(mixed, data.maps)
    return replace(data, k_space=_mixed(mixed, data.k_space), maps=maps, noise_std=1.0)


def whitening(covariance: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """The matrix that makes the coils' noise independent, with a deviation of 1 in real and in imaginary part.

    With the covariance L L^H (Cholesky) of complex noise it is sqrt(2) L^-1 (Pruessmann et al. 2001,
    doi:10.1002/mrm.1241).

    Parameters
    ----------
    covariance
        (coil, coil) as `noise_covariance` gives it.

    Returns
    -------
    ndarray
        (coil, coil) complex128, lower triangular.

    Raises
    ------
    DataError
        If the covariance is not Hermitian or not positive definite.
    """
    covariance = np.asarray(covariance, dtype=np.complex128)
    largest = float(np.abs(covariance).max())
    if not (math.isfinite(largest) and np.allclose(covariance, covariance.conj().T, atol=1e-6 * largest)):
        raise DataError("a noise covariance is not Hermitian", "make it of noise samples, by noise_covariance")
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise DataError(
            "the noise covariance is not positive definite: some coils are combinations of others",
            "give more noise samples, or compress the coils first",
        ) from None
    return np.asarray(np.sqrt(2) * np.linalg.inv(lower))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """Examples with fewer, virtual coils.

    Attributes
    ----------
    data
        The examples, k-space (example, new coil, *space).
    matrix
        (example, new coil, coil) complex128 with orthonormal rows: what each virtual coil is made of.
    kept
        (example,) share of the energy of the measured k-space that is left.
    """

    data: KSpaceSet
    matrix: NDArray[np.complex128]
    kept: tuple[float, ...]


def compressed(data: KSpaceSet, coils: int) -> Compressed:
    """Combine the coils to fewer that hold most of the energy, by a singular value decomposition.

    Each example's own calibration region decides (all of its samples, where it has none). Rows are orthonormal, so
    white noise stays white and keeps its deviation. Maps are combined alike and not normalised again: the model of
    the data holds with the same image (Buehrer et al. 2007, doi:10.1002/mrm.21237).

    Parameters
    ----------
    data
        Examples, k-space (example, coil, *space).
    coils
        Number of virtual coils.

    Raises
    ------
    SettingsError
        If there are not so many coils, or fewer than 1 is asked for.
    DataError
        If an example's k-space is zero.
    """
    if not 1 <= coils <= data.coils:
        raise SettingsError(
            f"{counted(data.coils, 'coil')} cannot become {coils}", f"choose a number from 1 to {data.coils}"
        )
    matrices, kept, k_space = [], [], []
    maps: list[NDArray[np.complex64]] = []
    for place, measured in enumerate(data.k_space):
        samples = _samples_that_tell(data, place).astype(np.complex128)
        if not samples.any():
            raise DataError(f"the k-space of example {place} is zero", "leave it out of the file")
        _, vectors = np.linalg.eigh(samples @ samples.conj().T)
        matrix = vectors[:, ::-1][:, :coils].conj().T
        fewer = _mixed(matrix, measured[None])[0]
        matrices.append(matrix)
        k_space.append(fewer)
        kept.append(float(np.linalg.norm(fewer) ** 2 / np.linalg.norm(measured) ** 2))
        if data.maps is not None:
            maps.append(_mixed(matrix, data.maps[place][None])[0])
    new = replace(data, k_space=np.stack(k_space), maps=np.stack(maps) if maps else None)
    return Compressed(data=new, matrix=np.stack(matrices), kept=tuple(kept))


def without_oversampling(data: KSpaceSet, axis: str, size: int) -> KSpaceSet:
    """The middle of the images along an axis that was measured finer than needed, usually the readout.

    K-space is transformed back along the axis, cut, and transformed again, both times unitarily: images and the noise
    of a sample keep their size.

    Parameters
    ----------
    data
        Examples, k-space (example, coil, *space).
    axis
        Name of an image axis of the acquisition, such as "row"; "frame" has no field that could be cut.
    size
        Pixels to keep along it.

    Raises
    ------
    SettingsError
        If there is no such axis, or the size is not between 1 and its length.
    DataError
        If k-space is not sampled whole along the axis.
    """
    axes = SPACE_AXES[data.acquisition]
    if axis not in axes or axis == "frame":
        known = ", ".join(name for name in axes if name != "frame")
        raise SettingsError(f"a {data.acquisition} acquisition has no field along {axis!r}", f"it has {known}")
    place = axes.index(axis) - len(axes)
    length = data.space[place]
    if not 1 <= size <= length:
        raise SettingsError(f"{size} of {length} pixels along {axis}", f"choose a size from 1 to {length}")
    start = length // 2 - size // 2
    keep = np.arange(start, start + size)

    def cut(array: NDArray[Any]) -> NDArray[Any]:
        return array if array.shape[place] == 1 else np.ascontiguousarray(np.take(array, keep, axis=place))

    sampled = data.sampled
    if place < -TRANSFORMED[data.acquisition]:
        k_space, sampled = cut(data.k_space), cut(sampled)
    else:
        if not (sampled == np.take(sampled, [0], axis=place)).all():
            raise DataError(
                f"k-space is not sampled whole along {axis}, so its field cannot be cut",
                f"only an axis that the mask does not depend on can be: {axis} is none",
            )
        sampled = np.take(sampled, [0], axis=place)
        lines = np.fft.ifft(data.k_space, axis=place, norm="ortho")
        k_space = np.fft.fft(cut(lines), axis=place, norm="ortho").astype(np.complex64)
    return replace(
        data,
        k_space=k_space,
        sampled=sampled,
        maps=None if data.maps is None else cut(data.maps),
        truth=None if data.truth is None else cut(data.truth),
        support=None if data.support is None else cut(data.support),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """Examples whose images have values of order 1.

    Attributes
    ----------
    data
        The examples, k-space (example, coil, *space), divided by their scales.
    scale
        (example,) what each was divided by, in units of the image.
    """

    data: KSpaceSet
    scale: tuple[float, ...]


def normalised(data: KSpaceSet, together: bool = False) -> Normalised:
    """Divide k-space and true images by a scale that the calibration region alone decides, see `SCALE`.

    What is not measured, and the truth, have no say: the scale is known wherever the data are.

    Parameters
    ----------
    data
        Examples, k-space (example, coil, *space).
    together
        One scale for all examples, the median of theirs, instead of one for each. The noise's deviation is known
        afterwards only if there is one.

    Raises
    ------
    DataError
        If an example has no calibration region, or it holds nothing but zeros.
    """
    scales = np.array([scale_of(calibration_of(data, place)) for place in range(len(data))])
    if together:
        scales[:] = np.median(scales)
    by = scales.astype(np.float32).reshape(-1, *[1] * (data.k_space.ndim - 1))
    one = len(set(scales.tolist())) == 1
    return Normalised(
        data=replace(
            data,
            k_space=data.k_space / by,
            truth=None if data.truth is None else data.truth / by[:, 0],
            noise_std=data.noise_std / float(scales[0]) if data.noise_std is not None and one else None,
        ),
        scale=tuple(scales.tolist()),
    )


def scale_of(calibration: Calibration) -> float:
    """The scale of the images behind calibration data of shape (coil, plane, *transformed), see `SCALE`.

    Raises
    ------
    DataError
        If it is zero or not finite.
    """
    combined = np.linalg.norm(calibration.images(), axis=0)
    scale = float(np.quantile(combined, SCALE_QUANTILE))
    if not (math.isfinite(scale) and scale > 0):
        raise DataError(
            f"the calibration region gives a scale of {scale:g}, not above 0",
            "k-space is zero or damaged: export it again",
        )
    return scale


def _samples_that_tell(data: KSpaceSet, place: int) -> NDArray[np.complexfloating]:
    """(coil, sample) of the calibration region, or of all of k-space where there is none."""
    try:
        found: NDArray[np.complex64] = calibration_of(data, place).block
    except DataError:
        found = data.k_space[place]
    return found.reshape(len(found), -1)


def _mixed(matrix: NDArray[np.complexfloating], array: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """(example, coil, ...) with the coils combined by a matrix (new coil, coil)."""
    return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, array, axes=(1, 1)), 0, 1).astype(np.complex64))
