"""What a run of multi-channel MRI shows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.training.events import ShownArray, Snapshot, picture

ERROR_SHOWN = 5.0
"""By this errors are multiplied in pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MriSnapshot(Snapshot):
    """A held-out example: its pictures, in the order in which they are shown."""

    shown: tuple[ShownArray, ...]

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        """What a view without knowledge of the kind shows, in its order."""
        return self.shown


def pictures_of(
    acquisition: str,
    image: NDArray[Any],
    zero_filled: NDArray[Any],
    truth: NDArray[Any] | None,
    sampled: NDArray[Any],
) -> tuple[ShownArray, ...]:
    """Pictures of one example: of volumes the middle slice, of series the first frame and one line over time.

    Parameters
    ----------
    acquisition
        Kind of acquisition.
    image, zero_filled, truth
        (*space) complex; the truth may be unknown.
    sampled
        (*space) or with axes of length 1, zero frequency first.

    Returns
    -------
    tuple
        Magnitudes of the reconstruction, of what is measured alone, of the truth and of the error, and the sampling
        with the zero frequency in the middle; of cine also (frame, row) profiles through the middle column.
    """
    place = 0 if acquisition == "cine" or len(image.shape) == 2 else image.shape[0] // 2

    def plane(array: NDArray[Any]) -> NDArray[np.float32]:
        return picture(np.abs(array if array.ndim == 2 else array[place]))

    of = {"2d": "", "cine": ", first frame"}.get(acquisition, ", middle slice")
    shown = [ShownArray(title=f"Reconstructed{of}", values=plane(image))]
    shown.append(ShownArray(title=f"Zero-filled{of}", values=plane(zero_filled)))
    if truth is not None:
        shown.append(ShownArray(title=f"Truth{of}", values=plane(truth)))
        shown.append(ShownArray(title=f"Error x {ERROR_SHOWN:g}", values=plane(ERROR_SHOWN * (image - truth))))
    mask = np.broadcast_to(sampled, np.broadcast_shapes(sampled.shape, image.shape))
    mask = mask if mask.ndim == 2 else mask[place]
    shown.append(ShownArray(title="Measured samples", values=picture(np.fft.fftshift(mask))))
    if acquisition == "cine":
        column = image.shape[-1] // 2
        for title, array in (("Reconstructed", image), ("Truth", truth)):
            if array is not None:
                shown.append(
                    ShownArray(title=f"{title}, middle column over time", values=picture(np.abs(array[..., column])))
                )
    return tuple(shown)
