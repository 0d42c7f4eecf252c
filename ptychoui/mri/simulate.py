"""Multi-channel k-space of drawn objects, as a scanner would measure it: fully sampled, noisy, made white.

What keeps a simulation honest:

* The object and the coils live on a grid finer than the matrix. K-space of that grid is cut to the matrix, as a scan
  measures no higher frequencies: edges ring (Gibbs), nothing is aliased, and what is reconstructed cannot hold the
  object exactly.
* Noise is complex and Gaussian, shared by the coils, and made white with a covariance that is itself estimated from
  noise readings.
* The true coils are used to simulate only. Maps are for the reconstruction to estimate from noisy samples.
* Every object has coils, phase, covariance and noise of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ptychoui.data.dataset import Fact, Provenance, array_sha256
from ptychoui.data.kspace import SPACE_AXES, TRANSFORMED, Acquisition, KSpaceSet
from ptychoui.errors import SettingsError
from ptychoui.mri.channels import noise_covariance, whitening
from ptychoui.mri.coils import (
    draw_coils,
    draw_covariance,
    draw_noise,
    mix_coils,
    sensitivity,
)
from ptychoui.mri.frequencies import central
from ptychoui.mri.maps import in_phase, phase_reference
from ptychoui.mri.phantoms import draw_phantom
from ptychoui.mri.truth import coil_combined, measured_k_space

NOISE_READINGS = 2**14
"""Samples without signal that the coils' covariance is estimated from."""
REFERENCE_LINES = 24
"""Edge in samples of the middle of k-space that decides the phase of the true maps."""
SNR_MEANING = (
    "20 log10 of the root mean square of the true images over their support, divided by the root mean square of the "
    "complex noise of a fully sampled, coil-combined image"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """One object as measured without noise, and how noise of the coils gets into it."""

    k_space: NDArray[np.complex64]
    maps: NDArray[np.complex64]
    truth: NDArray[np.complex64]
    support: NDArray[np.bool_]
    covariance: NDArray[np.complex128]
    white: NDArray[np.complex128]


def simulate(
    acquisition: Acquisition,
    family: str,
    count: int,
    space: tuple[int, ...],
    coils: int,
    generator: np.random.Generator,
    *,
    snr_db: float | None = None,
    noise_std: float | None = None,
    oversampling: int = 2,
    mean_correlation: float = 0.2,
    with_maps: bool = False,
) -> KSpaceSet:
    """Simulate fully sampled k-space of drawn objects; sampling is drawn later.

    The truth of an example is what all of its samples show without noise: with y the noise-free k-space after
    whitening and S the whitened true coils at the pixels, divided by their root sum of squares,

        truth = sum over coils of conj(S_c) (F^-1 y_c),    sum over coils of |S_c|^2 = 1.

    That is the least-squares image of plain SENSE at full sampling, so that a perfect reconstruction has no error, and
    Gibbs ringing belongs to the truth. It is shaded by the coils' root sum of squares, as every image is whose maps
    have a sum of squares of 1, estimated maps among them; on the support that shading has the mean 1. The phase that
    maps and image share is chosen by `ptychoui.mri.maps.phase_reference`, as it is for estimated maps, so that images
    and truth can be compared as they are. Phases then differ by what noise and the size of the calibration region do
    to that reference, 0.2 % to 1.7 % of the image in complex error (128 x 116, 8 coils, 25 dB, 12 or 20 calibration
    lines); with the true maps, `ptychoui.mri.maps.truth_under` leaves less than 0.1 % of that.

    Parameters
    ----------
    acquisition
        Kind of acquisition.
    family
        Family of objects, of `ptychoui.mri.phantoms.FAMILIES`.
    count
        Number of examples, each an object of its own.
    space
        Matrix: the shape of an image.
    coils
        Number of coils.
    generator
        Source of all that is random. The example of number n is the same whatever the count, but for its noise's size.
    snr_db, noise_std
        One of both: the ratio of image to noise in dB, see `SNR_MEANING`, or the standard deviation of real and
        imaginary part of the noise in k-space; 0 is no noise.
    oversampling
        How many times finer than the matrix the object is drawn along transformed axes, from 2.
    mean_correlation
        Mean magnitude of the correlation of two coils' noise before it is made white, 0 to 0.5.
    with_maps
        Keep the true coils, as S above.

    Returns
    -------
    Examples whose k-space is fully sampled: (example, coil, *space), zero frequency first.

    Raises
    ------
    SettingsError
        If a value is outside its range, or the object does not fit the acquisition.
    """
    _check(acquisition, count, space, snr_db, noise_std, oversampling)
    seeds = generator.integers(2**63, size=(count, 2))
    measured = []
    for seed, _ in seeds:
        measured.append(
            _measure(acquisition, family, space, coils, oversampling, mean_correlation, np.random.default_rng(seed))
        )
    if noise_std is None:
        assert snr_db is not None
        power = _power(np.concatenate([one.truth[one.support] for one in measured]))
        noise_std = float(f"{np.sqrt(power / 2) * 10 ** (-snr_db / 20):.6g}")  # a number that can be stated whole
    k_space = np.empty((count, coils, *space), np.complex64)
    for number, (one, (_, seed)) in enumerate(zip(measured, seeds, strict=True)):
        k_space[number] = one.k_space
        if noise_std:
            noise = noise_std * draw_noise(one.covariance, space, np.random.default_rng(seed))
            k_space[number] += mix_coils(one.white, noise).astype(np.complex64)
    truth = np.stack([one.truth for one in measured])
    support = np.stack([one.support for one in measured])
    return KSpaceSet(
        acquisition=acquisition,
        k_space=k_space,
        sampled=np.ones((count, *(1 for _ in space)), dtype=bool),
        provenance=Provenance(
            source="simulated",
            layout=f"ptychoui simulation, {acquisition}",
            sha256=array_sha256(k_space),
            facts=tuple(_facts(family, noise_std, truth, support, oversampling, mean_correlation)),
        ),
        maps=np.stack([one.maps for one in measured]) if with_maps else None,
        truth=truth,
        support=support,
        noise_std=noise_std,
        names=tuple(f"{family} {number + 1}" for number in range(count)),
        source_of=tuple(range(count)),
    )


def _measure(
    acquisition: Acquisition,
    family: str,
    space: tuple[int, ...],
    coils: int,
    oversampling: int,
    mean_correlation: float,
    generator: np.random.Generator,
) -> _Measured:
    axes = TRANSFORMED[acquisition]
    fine = (*space[:-axes], *(oversampling * size for size in space[-axes:]))
    phantom = draw_phantom(family, acquisition, fine, generator)
    array = draw_coils(coils, generator)
    covariance = draw_covariance(coils, mean_correlation, generator)
    white = whitening(noise_covariance(draw_noise(covariance, (NOISE_READINGS,), generator)))
    k_space = np.empty((coils, *space), complex)
    received = []
    for coil in range(coils):
        field = sensitivity(array, coil, phantom.grid)
        # A single plane, and the plane that all frames share, have no axis of their own in an image.
        field = field[0] if acquisition in ("2d", "cine") else field
        k_space[coil] = measured_k_space(field * phantom.image, space[-axes:], axes)
        for axis in range(-axes, 0):  # the first of every few places is a pixel of the matrix
            field = np.take(field, range(0, field.shape[axis], oversampling), axis=axis)
        received.append(field)
    mixed = mix_coils(white, np.stack(received))
    mixed = mixed[:, None] if acquisition == "cine" else mixed
    size = np.sqrt(np.sum(np.abs(mixed) ** 2, axis=0))
    support = _support(phantom.support, space, axes)
    brightness = float(np.broadcast_to(size, space)[support].mean())
    k_space = mix_coils(white / brightness, k_space)
    maps = in_phase(mixed / size, phase_reference(_middle(acquisition, k_space)))
    return _Measured(
        k_space=k_space.astype(np.complex64),
        maps=maps,
        truth=coil_combined(acquisition, k_space, maps),
        support=support,
        covariance=covariance,
        white=white,
    )


def _middle(acquisition: Acquisition, k_space: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """(coil, ...) the lowest frequencies alone; of a cine, their mean over time."""
    for axis in range(-TRANSFORMED[acquisition], 0):
        size = k_space.shape[axis]
        k_space = np.compress(central(size, min(size, REFERENCE_LINES)), k_space, axis=axis)
    return k_space.mean(axis=1) if acquisition == "cine" else k_space


def _support(fine: NDArray[np.bool_], space: tuple[int, ...], axes: int) -> NDArray[np.bool_]:
    """Where the band-limited picture of a fine support is nearer to 1 than to 0, (*space)."""
    low = measured_k_space(fine.astype(complex), space[-axes:], axes)
    return np.asarray(fft.ifftn(low, axes=tuple(range(-axes, 0)), norm="ortho").real > 0.5)


def _facts(
    family: str,
    noise_std: float,
    truth: NDArray[np.complex64],
    support: NDArray[np.bool_],
    oversampling: int,
    mean_correlation: float,
) -> Iterator[Fact]:
    source = "the simulation"
    yield Fact(name="family of objects", value=family, source=source)
    if noise_std:
        snr_db = round(10 * float(np.log10(_power(truth[support]) / (2 * noise_std**2))), 3)
        yield Fact(name="signal-to-noise ratio", value=snr_db, unit="dB", source=f"{source}: {SNR_MEANING}")
    yield Fact(name="noise per part of a sample", value=noise_std, unit="units of k-space", source=source)
    yield Fact(name="grid of the object", value=oversampling, unit="times finer than the matrix", source=source)
    yield Fact(name="mean correlation of coils before whitening", value=mean_correlation, source=source)
    yield Fact(name="noise readings for whitening", value=NOISE_READINGS, source=source)
    yield Fact(
        name="true images",
        value="all noise-free samples, combined with the true coils of unit sum of squares",
        source=source,
    )


def _power(values: NDArray[np.complex64]) -> float:
    return float(np.mean(np.abs(values.astype(complex)) ** 2))


def _check(
    acquisition: Acquisition,
    count: int,
    space: tuple[int, ...],
    snr_db: float | None,
    noise_std: float | None,
    oversampling: int,
) -> None:
    if len(space) != len(SPACE_AXES.get(acquisition, ())):
        raise SettingsError(
            f"a matrix of shape {space} does not fit a {acquisition} acquisition",
            f"known are {', '.join(f'{name}: {axes}' for name, axes in SPACE_AXES.items())}",
        )
    if count < 1:
        raise SettingsError(f"{count} examples cannot be simulated", "ask for at least 1")
    if oversampling < 2 or oversampling > 8:
        raise SettingsError(
            f"an object {oversampling} times finer than the matrix is not possible",
            "choose 2 to 8: at 1 the reconstruction would know the object's own pixels",
        )
    if (snr_db is None) == (noise_std is None):
        raise SettingsError("the noise is not stated once", "give either snr_db or noise_std")
    if snr_db is not None and not -20 <= snr_db <= 120:
        raise SettingsError(f"a signal-to-noise ratio of {snr_db:g} dB is not possible", "choose -20 to 120 dB")
    if noise_std is not None and not 0 <= noise_std < np.inf:
        raise SettingsError(f"a noise of {noise_std:g} is not possible", "its standard deviation is 0 or more")
