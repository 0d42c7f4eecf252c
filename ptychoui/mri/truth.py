"""What all samples of a scan show of an object: its band-limited image, combined over the coils."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ptychoui.data.kspace import SPACE_AXES, TRANSFORMED, Acquisition


def measured_k_space(image: NDArray[np.complexfloating], space: tuple[int, ...], axes: int) -> NDArray[np.complex128]:
    """What k-space of a smaller matrix holds of a fine image.

    Parameters
    ----------
    image
        (..., row, column) complex, or (..., plane, row, column), whose last ``axes`` are transformed.
    space
        Matrix along the transformed axes, none longer than the image.
    axes
        How many axes are transformed.

    Returns
    -------
    ndarray
        (..., row, column) or (..., plane, row, column) of the matrix, zero frequency first: the unitary transform of
        the band-limited image at the matrix' pixels, which keeps the image's own values.
    """
    found: NDArray[Any] = image
    for axis, size in zip(range(-axes, 0), space, strict=True):
        fine = found.shape[axis]
        spectrum = fft.fft(found, axis=axis)
        # The lowest ``size`` frequencies, -size // 2 first, in the order that the shorter transform has.
        kept = np.fft.ifftshift(np.arange(-(size // 2), size - size // 2))
        found = np.take(spectrum, kept, axis=axis) * (np.sqrt(size) / fine)
    return found


def coil_combined(
    acquisition: Acquisition, k_space: NDArray[np.complexfloating], maps: NDArray[np.complexfloating]
) -> NDArray[np.complex64]:
    """Image of fully sampled k-space by SENSE, where the sum of squares of the maps is 1.

    Parameters
    ----------
    acquisition
        Which axes are transformed.
    k_space, maps
        (..., coil, row, column) each, or with the frames or planes of `SPACE_AXES` between; zero frequency first. Maps
        may have a frame axis of length 1.

    Returns
    -------
    ndarray
        (..., row, column) complex64, or with frames or planes.
    """
    axes = tuple(range(-TRANSFORMED[acquisition], 0))
    images: NDArray[np.complexfloating] = fft.ifftn(k_space, axes=axes, norm="ortho")
    return np.asarray(np.sum(np.conj(maps) * images, axis=-1 - len(SPACE_AXES[acquisition])), np.complex64)
