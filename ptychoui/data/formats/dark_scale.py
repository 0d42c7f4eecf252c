"""Dark frames in the scale of their images: 12 bits at the top of sixteen beside 12 bits at the bottom.

A camera of 12 bits may store its values times 16, and another program the same camera's dark frames as they are. That
is told by multiples: all values of the one are multiples of 16, and those of the other are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.draft import Draft
from ptychoui.errors import DataError

BITS = (2, 4, 6, 8)
"""Bits by which values of 14, 12, 10 and 8 bits are moved to the top of sixteen."""
FEWEST_OF_IMAGES, FEWEST_OF_DARKS = dict.fromkeys(BITS, 8), {2: 6, 4: 3, 6: 3, 8: 3}
"""So many different values must be multiples before that says something: noise alone gives dark frames several."""
BRIGHTER = 1.25
"""A dark frame is not brighter than so many times the darkest image."""
NEAR = 2.0
"""The darkest image is dark where it has at most so many times the level of the dark frames."""
FULL = 65535


def in_scale_of_images(
    frames: NDArray[Any], images: NDArray[Any], draft: Draft, white_is_zero: bool = False
) -> NDArray[Any]:
    """Dark frames (frame, row, column) in the unit of the images (LED, row, column), with a note where they were not.

    Parameters
    ----------
    white_is_zero
        0 is still white: nothing can be scaled.

    Raises
    ------
    DataError
        If one of them are multiples of 4, 16, 64 or 256 and the others are not, and it is open what that means.
    """
    of_images, of_darks = _shift(images, FEWEST_OF_IMAGES), _shift(frames, FEWEST_OF_DARKS)
    if of_darks == of_images or not np.any(frames) or min(map(np.ndim, (frames, images))) < 3:
        return frames
    if of_images > of_darks and _multiples(frames, of_images):  # too few values to say more
        return frames
    up = of_images > of_darks
    step = 2 ** (of_images - of_darks if up else of_darks - of_images)
    factor = float(step) if up else 1 / step
    multiples = 2 ** max(of_images, of_darks)
    one, other = ("images", "dark frames") if up else ("dark frames", "images")
    differ = f"all values of the {one} are multiples of {multiples} and those of the {other} are not"
    level, most = float(np.median(frames)), float(frames.max())
    darkest = min(float(np.median(image)) for image in images)
    # Values at the bottom of their words leave the upper bits free, and a dark frame is no brighter than an image.
    fits = most * factor <= FULL if up else float(images.max()) <= FULL // step
    scaled = fits and level * factor <= BRIGHTER * darkest
    as_is = level <= BRIGHTER * darkest
    if white_is_zero or scaled == as_is:
        near = darkest <= NEAR * level * factor
        if white_is_zero or not (scaled and up and near):
            raise DataError(
                f"{draft.path.name}: {differ}, and it cannot be told whether both are in one scale",
                "save the dark frames as the images are saved, or remove them and state dark_level in [images] of a "
                "geometry",
            )
    elif as_is:
        why = "else they would be brighter than the darkest image" if fits else "else the values would not fit"
        draft.notes.append(f"{differ}; the dark frames were subtracted as they are: {why}")
        return frames
    draft.notes.append(
        f"{differ}: the dark frames were {'multiplied' if up else 'divided'} by {step} to be in one scale"
    )
    return frames.astype(np.float64) * factor


def _shift(values: NDArray[Any], fewest: Mapping[int, int]) -> int:
    """Bits by which all values were moved up; 0 where they were not, or are too few to tell."""
    found = max((bits for bits in BITS if _multiples(values, bits)), default=0)
    if not found:
        return 0
    different: set[float] = set()
    for image in values:
        different.update(np.unique(image)[: fewest[found]].tolist())
        if len(different) >= fewest[found]:
            return found
    return 0


def _multiples(values: NDArray[Any], bits: int) -> bool:
    return all(not np.any(np.mod(image, 2**bits)) for image in values)
