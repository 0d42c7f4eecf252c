"""Coil sensitivities from the calibration region, by ESPIRiT, and how much of that region they explain."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import KSpaceSet, to_centred
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.calibration import Calibration, calibration_of

DOUBTFUL = 0.3
"""Maps that leave a larger share of the calibration signal unexplained deserve a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EspiritSettings:
    """What ESPIRiT can be told.

    Attributes
    ----------
    crop
        Maps are zero where the largest eigenvalue is below it, 0 to 1: higher leaves less background, too high cuts
        into the object.
    kernel_width
        Edge of the kernels in samples of k-space.
    threshold
        Singular values below this share of the largest are taken for noise.
    calibration_width
        Longest edge of the calibration region that is used, in samples.
    iterations
        Of the power method.

    Raises
    ------
    SettingsError
        If a value is outside its range.
    """

    crop: float = 0.95
    kernel_width: int = 6
    threshold: float = 0.02
    calibration_width: int = 24
    iterations: int = 100

    def __post_init__(self) -> None:
        for name in ("crop", "threshold"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"ESPIRiT's {name} is {getattr(self, name)}", "choose a number from 0 to below 1")
        for name, lowest in (("kernel_width", 2), ("calibration_width", 2 * self.kernel_width), ("iterations", 1)):
            if getattr(self, name) < lowest:
                raise SettingsError(
                    f"ESPIRiT's {name.replace('_', ' ')} is {getattr(self, name)}", f"choose {lowest} or more"
                )

    @property
    def smallest(self) -> int:
        """Shortest edge of a calibration region from which kernels can be told, in samples."""
        return 2 * self.kernel_width


@dataclass(frozen=True, slots=True, kw_only=True)
class CoilMaps:
    """Coil sensitivities and how far to trust them.

    Attributes
    ----------
    maps
        (example, coil, *space) complex64; sum over the coils of |S|^2 is 1 inside the object and 0 outside. The frame
        axis of cine has length 1.
    residual
        (example,) ||c - S S^H c|| / ||c|| of the images c of the calibration region: 0 where the maps explain all of
        it. Signal where the maps are zero counts as not explained.
    covered
        (example,) share of the pixels where the maps are not zero.
    width
        (example,) edge of the calibration region that was used, in samples.
    """

    maps: NDArray[np.complex64]
    residual: tuple[float, ...]
    covered: tuple[float, ...]
    width: tuple[int, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on maps that explain too little."""
        worst = max(self.residual)
        if worst <= DOUBTFUL:
            return ()
        return (
            f"the coil maps leave {100 * worst:.0f} % of the calibration signal unexplained (example "
            f"{self.residual.index(worst)}): lower the crop, or try another kernel width or threshold",
        )


def estimate_maps(
    data: KSpaceSet, settings: EspiritSettings | None = None, callback: Callable[[], None] | None = None
) -> CoilMaps:
    """Find coil sensitivities by ESPIRiT (Uecker et al. 2014, doi:10.1002/mrm.24751), as sigpy computes it.

    A slab gets its maps readout by readout, cine one map of all its frames, averaged over time. The maps' phase is
    relative to the combination of coils that holds most of the calibration signal, not to a single coil, which may see
    nothing of a part of the object.

    Parameters
    ----------
    data
        Examples of k-space, (example, coil, *space); maps that it has are not looked at.
    settings
        Crop, kernel width and threshold; the defaults of `EspiritSettings` where None.
    callback
        Is called before every plane, and may raise to stop.

    Raises
    ------
    DataError
        If there is no calibration region, it is too small or zero, a coil measured only zeros, or the crop leaves
        nothing of the maps.
    """
    settings = settings or EspiritSettings()
    maps, residual, covered, widths = [], [], [], []
    for place in range(len(data)):
        found = calibration_of(data, place, settings.smallest)
        width = min(*found.size, settings.calibration_width)
        reference = phase_reference(found.block)
        energy = np.linalg.norm(found.block.reshape(len(found.k_space), found.k_space.shape[1], -1), axis=(0, 2))
        planes = []
        for plane in range(found.k_space.shape[1]):
            if callback is not None:
                callback()
            # ESPIRiT takes pure noise for signal of full strength: planes beside the object have no maps.
            if energy[plane] < max(settings.threshold * energy.max(), 1e-30):
                planes.append(np.zeros_like(found.k_space[:, plane]))
            else:
                planes.append(in_phase(espirit(found.k_space[:, plane], width, settings), reference))
        stacked = np.stack(planes, axis=1)
        share = float((np.abs(stacked).max(axis=0) > 0).mean())
        if share == 0:
            raise DataError(
                f"ESPIRiT with a crop of {settings.crop:g} leaves no coil map of example {place}",
                "choose a lower crop, or another kernel width",
            )
        residual.append(unexplained(found, stacked))
        covered.append(share)
        widths.append(width)
        maps.append(stacked if data.acquisition in ("slab", "cine") else stacked[:, 0])
    return CoilMaps(maps=np.stack(maps), residual=tuple(residual), covered=tuple(covered), width=tuple(widths))


def with_maps(
    data: KSpaceSet, settings: EspiritSettings | None = None, callback: Callable[[], None] | None = None
) -> tuple[KSpaceSet, CoilMaps]:
    """The same examples with maps from `estimate_maps` instead of any that they had, of shape (example, coil, *space).

    A true image that belonged to other maps is turned into that of the new ones, see `truth_under`. One without maps
    stays as it is: only its magnitude means something then.

    Raises
    ------
    DataError
        As `estimate_maps`.
    """
    found = estimate_maps(data, settings, callback)
    truth = data.truth
    if truth is not None and data.maps is not None:
        truth = truth_under(found.maps, data.maps, truth)
    return replace(data, maps=found.maps, truth=truth), found


def truth_under(
    maps: NDArray[np.complex64], true_maps: NDArray[np.complex64], truth: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """The true image as other maps show it: k-space tells S x, and maps S e^(i phi) with x e^(-i phi) are as good.

    x ||S|| with the phase that S_new^H S x has; where the new maps are zero, with its own, so that pixels that they
    leave out still count.

    Parameters
    ----------
    maps
        The new maps, of shape (example, coil, *space), with a sum of squares of 1.
    true_maps
        Those that the truth belongs to, of that shape.
    truth
        Of shape (example, *space).
    """
    seen = (maps.conj() * true_maps).sum(axis=1)
    size = np.abs(seen)
    phase = np.where(size > 0, seen / np.where(size > 0, size, 1), 1)
    return np.asarray(truth * np.linalg.norm(true_maps, axis=1) * phase, dtype=np.complex64)


def of_unit_size(maps: NDArray[np.complex64]) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Maps whose sum of squares over the coils is 1 where they see anything, and the sizes that they had.

    Of shape (example, coil, *space) and (example, *space). Maps S and the image x, or S / ||S|| and ||S|| x, are the
    same k-space; methods and networks that know images of order 1 want the latter. Maps of unit size come back as they
    are.
    """
    size = np.linalg.norm(maps, axis=1).astype(np.float32)
    seen = np.where(size > 0, size, 1)
    if np.abs(seen - 1).max() < 1e-3:
        return maps, np.ones_like(size)
    return (maps / seen[:, None]).astype(np.complex64), size


def espirit(k_space: NDArray[np.complex64], width: int, settings: EspiritSettings) -> NDArray[np.complex64]:
    """Maps of one plane or volume; their common phase is open at every pixel.

    Parameters
    ----------
    k_space
        Of shape (coil, *transformed), complex64, zero frequency first, the calibration region sampled whole.
    width
        Edge of that region in samples, the same along every axis.
    settings
        Crop, kernel width, threshold and iterations.

    Returns
    -------
    ndarray
        Of shape (coil, *space), complex64, sum over coils of |S|^2 1 or 0.

    Raises
    ------
    DataError
        If this computer has too little memory for it: each pixel takes a matrix of coils times coils.
    """
    from sigpy.mri.app import EspiritCalib

    _check_memory(k_space.shape)
    with isolated_random():
        app = EspiritCalib(
            to_centred(k_space, k_space.ndim - 1),
            calib_width=width,
            thresh=settings.threshold,
            kernel_width=settings.kernel_width,
            crop=settings.crop,
            max_iter=settings.iterations,
            show_pbar=False,
        )
        # Step by step: its own end divides by the first coil's magnitude, which may be zero.
        while not app.alg.done():
            app.alg.update()
        maps, largest = app.mps.T[0], np.real(app.alg.max_eig.T[0])
    length = np.linalg.norm(maps, axis=0)
    inside = (largest > settings.crop) & (length > 0) & np.isfinite(length)
    return np.where(inside, maps / np.where(inside, length, 1), 0).astype(np.complex64)


def _check_memory(shape: tuple[int, ...]) -> None:
    """Refuse what would not fit, before the system ends the program for it."""
    needed = 2 * 8 * math.prod(shape) * shape[0]
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    if needed > 0.9 * free > 0:
        raise DataError(
            f"ESPIRiT of {shape[0]} coils of {' x '.join(map(str, shape[1:]))} pixels needs {needed / 2**30:.1f} GiB, "
            f"{free / 2**30:.1f} GiB are free",
            "combine the coils to fewer first (half as many take a quarter), or give coil maps with the data",
        )


def unexplained(calibration: Calibration, maps: NDArray[np.complex64]) -> float:
    """||c - S S^H c|| / ||c|| of the images c of the calibration region under maps S of shape (coil, plane, *space)."""
    images = calibration.images()
    kept = maps * (maps.conj() * images).sum(axis=0)
    return float(np.linalg.norm(images - kept) / np.linalg.norm(images))


def phase_reference(samples: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """The combination of coils that holds most of the signal: that in which maps get the phase 0.

    An image and its maps share a phase that no measurement can tell apart. All maps of the program, estimated or
    simulated, choose it so, and their images can be compared without a fit.

    Parameters
    ----------
    samples
        (coil, ...) from the middle of k-space.

    Returns
    -------
    ndarray
        (coil,) complex64 of length 1, its first weight real and not negative.
    """
    flat = samples.reshape(len(samples), -1)
    _, vectors = np.linalg.eigh(flat @ flat.conj().T)
    largest = vectors[:, -1]
    return np.asarray(largest * np.exp(-1j * np.angle(largest[0])), dtype=np.complex64)


def in_phase(maps: NDArray[np.complexfloating], reference: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Maps (coil, *space) whose combination by the reference (coil,) is real and not negative."""
    seen = np.tensordot(reference.conj(), maps, axes=1)
    size = np.abs(seen)
    return (maps * np.where(size > 0, seen.conj() / np.where(size > 0, size, 1), 1)).astype(np.complex64)


@contextlib.contextmanager
def isolated_random(seed: int = 0) -> Iterator[None]:
    """Libraries that draw from NumPy's global generator draw the same every time, and nobody else notices."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
