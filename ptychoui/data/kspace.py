"""Multi-channel k-space as frozen arrays: what readers and simulations return and every MRI method starts from.

One convention holds inside the program: k-space is the unitary discrete Fourier transform of an image in its natural
order, with the zero frequency first,

    y_c = W F (S_c x) + noise,    F = fft over the transformed axes, norm "ortho",

so that no shift is needed anywhere. Files keep the zero frequency in the middle; `from_centred` and `to_centred` turn
one into the other without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Provenance
from ptychoui.errors import DataError

Acquisition = Literal["2d", "slab", "3d", "cine"]

SPACE_AXES: dict[str, tuple[str, ...]] = {
    "2d": ("row", "column"),
    "slab": ("readout", "row", "column"),
    "3d": ("slice", "row", "column"),
    "cine": ("frame", "row", "column"),
}
"""Axes of an image, by the kind of acquisition."""

TRANSFORMED: dict[str, int] = {"2d": 2, "slab": 2, "3d": 3, "cine": 2}
"""How many of the last axes are transformed: the readout of a slab is an image axis, frames stand for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KSpaceSet:
    """Examples of multi-channel k-space that share their sizes.

    Attributes
    ----------
    acquisition
        Kind of acquisition: which axes an image has and which of them are transformed, see `SPACE_AXES`.
    k_space
        (example, coil, *space) complex64, zero frequency first, zero where not measured.
    sampled
        (example, *space) bool, True where measured; axes that it does not depend on have length 1.
    maps
        (example, coil, *space) complex64 coil sensitivities, or None where they are still to be estimated; a frame
        axis may have length 1.
    truth
        (example, *space) complex64 images that are known, or None.
    support
        (example, *space) bool, where the object is, or None.
    noise_std
        Standard deviation of real and imaginary part of the noise in every k-space sample, in units of k_space; None
        where it is not known.
    names
        What to call each example.
    source_of
        Number of the object or person that an example comes from: examples are divided by it.
    provenance
        Where the arrays came from.

    Raises
    ------
    DataError
        If shapes do not fit, or a value is not finite.
    """

    acquisition: Acquisition
    k_space: NDArray[np.complex64]
    sampled: NDArray[np.bool_]
    provenance: Provenance
    maps: NDArray[np.complex64] | None = None
    truth: NDArray[np.complex64] | None = None
    support: NDArray[np.bool_] | None = None
    noise_std: float | None = None
    names: tuple[str, ...] = ()
    source_of: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.acquisition not in SPACE_AXES:
            raise DataError(
                f"an acquisition of kind {self.acquisition!r} is not known", f"known kinds: {', '.join(SPACE_AXES)}"
            )
        axes = SPACE_AXES[self.acquisition]
        shape = self.k_space.shape
        if len(shape) != 2 + len(axes) or 0 in shape:
            raise DataError(
                f"k-space of shape {shape} does not fit a {self.acquisition} acquisition",
                f"its axes are (example, coil, {', '.join(axes)}), none of them empty",
            )
        _check_fit("a sampling mask", self.sampled.shape, (shape[0], *shape[2:]))
        for name, array, full in (
            ("coil maps", self.maps, shape),
            ("true images", self.truth, (shape[0], *shape[2:])),
            ("a support", self.support, (shape[0], *shape[2:])),
        ):
            if array is not None:
                _check_fit(name, array.shape, full)
        for name, array in (("k-space", self.k_space), ("coil maps", self.maps), ("true images", self.truth)):
            if array is not None and not all(np.isfinite(part).all() for part in array):
                raise DataError(f"{name} holds values that are not finite", "export the data again, without NaN")
        if not self.sampled.any():
            raise DataError("the sampling mask measures nothing", "it is True, or 1, where k-space was measured")
        for name in ("names", "source_of"):
            if len(getattr(self, name)) not in (0, shape[0]):
                raise DataError(f"{len(getattr(self, name))} {name} do not fit {shape[0]} examples", "give one to each")

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.k_space)

    def pick(self, places: Sequence[int]) -> KSpaceSet:
        """Some of the examples, in the order of their places, which count from 0."""
        chosen = list(places)

        def some(array: NDArray[Any] | None) -> Any:
            return None if array is None else array[chosen]

        return replace(
            self,
            k_space=some(self.k_space),
            sampled=some(self.sampled),
            maps=some(self.maps),
            truth=some(self.truth),
            support=some(self.support),
            names=tuple(self.names[place] for place in chosen) if self.names else (),
            source_of=tuple(self.source_of[place] for place in chosen) if self.source_of else (),
        )

    @property
    def coils(self) -> int:
        """Number of coils."""
        return int(self.k_space.shape[1])

    @property
    def space(self) -> tuple[int, ...]:
        """Shape of an image."""
        return self.k_space.shape[2:]

    @property
    def transformed(self) -> tuple[int, ...]:
        """The transformed axes, counted from the end."""
        return tuple(range(-TRANSFORMED[self.acquisition], 0))

    @property
    def net_acceleration(self) -> float:
        """All samples divided by those that were measured, calibration lines counted."""
        return float(1 / self.sampled.mean())


def _check_fit(name: str, found: tuple[int, ...], full: tuple[int, ...]) -> None:
    """Axes may have length 1 where nothing depends on them, the first excepted."""
    fits = len(found) == len(full) and found[0] == full[0]
    if not fits or any(a not in (1, b) for a, b in zip(found[1:], full[1:], strict=True)):
        raise DataError(f"{name} of shape {found} does not fit k-space, which needs {full}", "check the order of axes")


def from_centred(k_space: NDArray[Any], axes: int) -> NDArray[np.complex64]:
    """K-space with the zero frequency in the middle, of an image whose origin is its middle, in the program's order.

    Parameters
    ----------
    k_space
        (..., *transformed) complex, as fftshift(fftn(ifftshift(image))) gives it.
    axes
        How many of the last axes are transformed.

    Returns
    -------
    ndarray
        The same shape: fftn of the image in its natural order.
    """
    last = tuple(range(-axes, 0))
    return (np.fft.ifftshift(k_space, axes=last) * _ramp(k_space.shape[-axes:], 1)).astype(np.complex64)


def to_centred(k_space: NDArray[Any], axes: int) -> NDArray[np.complex64]:
    """The inverse of `from_centred`, (..., *transformed) of equal shape."""
    last = tuple(range(-axes, 0))
    return np.fft.fftshift(k_space * _ramp(k_space.shape[-axes:], -1), axes=last).astype(np.complex64)


def _ramp(shape: tuple[int, ...], sign: int) -> NDArray[np.complex128]:
    """exp(-+ 2 pi i k (N // 2) / N): moves the image's origin from its middle to its first pixel, or back."""
    ramp = np.ones((), dtype=complex)
    for size in shape:
        along = np.exp(-2j * np.pi * sign * np.fft.fftfreq(size) * (size // 2))
        ramp = ramp[..., None] * along
    return ramp
