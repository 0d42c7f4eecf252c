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
    """A held-out example: magnitudes of what was reconstructed, of what is measured alone, of the truth and the error.

    Attributes
    ----------
    sampled
        1 at the measured samples, the zero frequency in the middle.
    truth, error
        None where the truth is not known; errors are multiplied by `ERROR_SHOWN`.
    over_time, true_over_time
        Of cine alone: (frame, row) profiles through the middle column.
    """

    reconstructed: ShownArray
    zero_filled: ShownArray
    sampled: ShownArray
    truth: ShownArray | None = None
    error: ShownArray | None = None
    over_time: ShownArray | None = None
    true_over_time: ShownArray | None = None

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        """What a view without knowledge of the kind shows, in its order."""
        images = (self.reconstructed, self.zero_filled, self.truth, self.error, self.sampled)
        return tuple(shown for shown in (*images, self.over_time, self.true_over_time) if shown is not None)


def pictures_of(
    acquisition: str,
    image: NDArray[Any],
    zero_filled: NDArray[Any],
    truth: NDArray[Any] | None,
    sampled: NDArray[Any],
) -> dict[str, ShownArray]:
    """Pictures of one example, by the names of `MriSnapshot`.

    Of volumes the middle slice is shown, of series the first frame and one line over time.

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
    dict
        Arrays of shape (row, column), or (frame, row) of the profiles.
    """
    place = 0 if acquisition == "cine" or len(image.shape) == 2 else image.shape[0] // 2

    def plane(array: NDArray[Any]) -> NDArray[np.float32]:
        return picture(np.abs(array if array.ndim == 2 else array[place]))

    of = {"2d": "", "cine": ", first frame"}.get(acquisition, ", middle slice")
    mask = np.broadcast_to(sampled, np.broadcast_shapes(sampled.shape, image.shape))
    mask = mask if mask.ndim == 2 else mask[place]
    found = {
        "reconstructed": ShownArray(title=f"Reconstructed{of}", values=plane(image)),
        "zero_filled": ShownArray(title=f"Zero-filled{of}", values=plane(zero_filled)),
        "sampled": ShownArray(title="Measured samples", values=picture(np.fft.fftshift(mask))),
    }
    if truth is not None:
        found["truth"] = ShownArray(title=f"Truth{of}", values=plane(truth))
        title = f"Error \N{MULTIPLICATION SIGN} {ERROR_SHOWN:g}"
        found["error"] = ShownArray(title=title, values=plane(ERROR_SHOWN * (image - truth)))
    if acquisition == "cine":
        column = image.shape[-1] // 2
        for name, title, array in (
            ("over_time", "Reconstructed", image),
            ("true_over_time", "Truth", truth),
        ):
            if array is not None:
                values = picture(np.abs(array[..., column]))
                found[name] = ShownArray(title=f"{title}, middle column over time", values=values)
    return found
