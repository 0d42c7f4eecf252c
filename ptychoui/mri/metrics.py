"""How far an image is from the truth: error, peak ratio and structural similarity, with their definitions as text.

No scale and no phase is fitted. Published figures of the same name differ by how the maximum, the data range and the
pixels were chosen: a result states `DEFINITIONS` beside its numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

WINDOW_PX = 7
"""Edge of the windows of the structural similarity; where an image is smaller, its largest odd edge."""

DEFINITIONS = {
    "nrmse": "||x - t|| / ||t|| of the complex image x and the true image t over the pixels of the support",
    "psnr_db": (
        "20 log10(max |t| / sqrt(mean |x - t|^2)) in dB; maximum of the magnitude over the whole true volume, mean "
        "over the pixels of the support, of complex values"
    ),
    "ssim": (
        f"structural similarity (Wang et al. 2004) of |x| and |t|, plane by plane of the last two axes, uniform "
        f"windows of {WINDOW_PX} x {WINDOW_PX} pixels, K1 = 0.01, K2 = 0.03, data range = max |t| over the whole true "
        "volume; mean over the pixels of the support"
    ),
}
"""What each number of `scores` is."""

SUPPORT = "support: pixels where the object is, as the data state it; all pixels where they do not"


def scores(
    image: NDArray[np.complexfloating],
    truth: NDArray[np.complexfloating],
    support: NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """All of `DEFINITIONS` for one image or volume.

    Parameters
    ----------
    image, truth
        Complex arrays of equal shape, (..., row, column).
    support
        Bool, the shape of the image or with axes of length 1; all pixels where None.

    Raises
    ------
    DataError
        If shapes differ, a value is not finite, or the truth is zero in the support.
    """
    chosen = _checked(image, truth, support)
    largest = float(np.abs(truth).max())
    return {
        "nrmse": nrmse(image, truth, chosen),
        "psnr_db": psnr_db(image, truth, chosen),
        "ssim": _similarity(image, truth, chosen, largest),
    }


def nrmse(
    image: NDArray[np.complexfloating], truth: NDArray[np.complexfloating], support: NDArray[np.bool_] | None = None
) -> float:
    """||x - t|| / ||t|| over the support, of arrays of equal shape (..., row, column).

    Raises
    ------
    DataError
        As `scores`.
    """
    chosen = _checked(image, truth, support)
    difference = (image - truth)[chosen].astype(np.complex128)
    return float(np.linalg.norm(difference) / np.linalg.norm(truth[chosen].astype(np.complex128)))


def psnr_db(
    image: NDArray[np.complexfloating], truth: NDArray[np.complexfloating], support: NDArray[np.bool_] | None = None
) -> float:
    """Peak signal-to-noise ratio in dB, see `DEFINITIONS`, of arrays of equal shape; infinite where nothing differs.

    Raises
    ------
    DataError
        As `scores`.
    """
    chosen = _checked(image, truth, support)
    mean = float(np.mean(np.abs((image - truth)[chosen].astype(np.complex128)) ** 2))
    return 20 * math.log10(float(np.abs(truth).max()) / math.sqrt(mean)) if mean > 0 else math.inf


def ssim(
    image: NDArray[np.complexfloating], truth: NDArray[np.complexfloating], support: NDArray[np.bool_] | None = None
) -> float:
    """Structural similarity of the magnitudes, see `DEFINITIONS`, of arrays of equal shape (..., row, column).

    Raises
    ------
    DataError
        As `scores`, or if a plane is smaller than 3 x 3 pixels.
    """
    return _similarity(image, truth, _checked(image, truth, support), float(np.abs(truth).max()))


def _similarity(
    image: NDArray[np.complexfloating], truth: NDArray[np.complexfloating], chosen: NDArray[np.bool_], largest: float
) -> float:
    from skimage.metrics import structural_similarity

    rows, columns = image.shape[-2:]
    edge = min(WINDOW_PX, rows - 1 + rows % 2, columns - 1 + columns % 2)
    if edge < 3:
        raise DataError(f"an image of {rows} x {columns} pixels has no structural similarity", "it needs 3 x 3 or more")
    total = 0.0
    planes = (-1, rows, columns)
    for x, t, where in zip(
        np.abs(image).reshape(planes), np.abs(truth).reshape(planes), chosen.reshape(planes), strict=True
    ):
        if where.any():
            _, similarity = structural_similarity(
                x.astype(np.float64), t.astype(np.float64), win_size=edge, data_range=largest, full=True
            )
            total += float(similarity[where].sum())
    return total / int(chosen.sum())


def _checked(
    image: NDArray[np.complexfloating], truth: NDArray[np.complexfloating], support: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """The support in full shape, after everything that would make a number meaningless was refused."""
    if image.shape != truth.shape or image.ndim < 2:
        raise DataError(
            f"an image of shape {image.shape} cannot be held against a truth of {truth.shape}",
            "both have the axes of the acquisition",
        )
    for name, array in (("image", image), ("truth", truth)):
        if not np.isfinite(array).all():
            raise DataError(f"the {name} holds values that are not finite", "leave this example out")
    if support is None:
        chosen = np.ones(image.shape, dtype=bool)
    elif support.ndim != image.ndim or any(n not in (1, m) for n, m in zip(support.shape, image.shape, strict=True)):
        raise DataError(
            f"a support of shape {support.shape} does not fit an image of {image.shape}", "it has the image's axes"
        )
    else:
        chosen = np.broadcast_to(support, image.shape)
    if not truth[chosen].any():
        raise DataError("the true image is zero in the support", "an error relative to nothing has no meaning")
    return chosen
