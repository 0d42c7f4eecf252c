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
CROWDED = 32
"""So many pairs of neighbouring values are expected by chance where a stack leaves no values out."""


def in_scale_of_images(
    frames: NDArray[Any],
    images: NDArray[Any],
    draft: Draft,
    white_is_zero: bool = False,
    bits: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Dark frames (frame, row, column) in the unit of the images (LED, row, column), with a note where they were not.

    Parameters
    ----------
    white_is_zero
        0 is still white: nothing can be scaled.
    bits
        Bits that the headers of the dark frames and of the images state.

    Raises
    ------
    DataError
        If one of them are multiples of 4, 16, 64 or 256 and the others are not, or they have values in other steps or
        another number of bits, and it is open what that means.
    """
    of_images, of_darks = _shift(images, FEWEST_OF_IMAGES), _shift(frames, FEWEST_OF_DARKS)
    few = of_images > of_darks and _multiples(frames, of_images)  # too few values to say more
    if not np.any(frames):
        return frames
    if of_images == of_darks or few:
        return _in_one_scale(frames, images, draft, bits)
    up = of_images > of_darks
    step = 2 ** (of_images - of_darks if up else of_darks - of_images)
    multiples = 2 ** max(of_images, of_darks)
    one, other = ("images", "dark frames") if up else ("dark frames", "images")
    differ = f"all values of the {one} are multiples of {multiples} and those of the {other} are not"
    factor = float(step) if up else 1 / step
    # Values at the bottom of their words leave the upper bits free.
    fits = float(frames.max()) * factor <= FULL if up else float(images.max()) <= FULL // step
    scaled, as_is, near = _possible(frames, images, factor)
    scaled = scaled and fits
    if white_is_zero or (scaled == as_is and not (scaled and up and near)):
        raise _open_question(differ, draft)
    if scaled:
        done = "multiplied" if up else "divided"
        draft.notes.append(f"{differ}: the dark frames were {done} by {step} to be in one scale")
        return frames.astype(np.float64) * factor
    why = "else they would be brighter than the darkest image" if fits else "else the values would not fit"
    draft.notes.append(f"{differ}; the dark frames were subtracted as they are: {why}")
    return frames


def _in_one_scale(
    frames: NDArray[Any], images: NDArray[Any], draft: Draft, bits: tuple[int, int] | None
) -> NDArray[Any]:
    """The dark frames, where neither the steps of the values nor the headers say that they are in another scale."""
    steps = (_step(frames), _step(images))
    if min(steps) == 1 < max(steps):
        ratio = max(steps)
        few, many = ("images", "dark frames") if steps[1] > 1 else ("dark frames", "images")
        differ = f"the values of the {few} lie at least {ratio} apart and those of the {many} do not"
        scaled, as_is, _ = _possible(frames, images, float(ratio) if steps[1] > 1 else 1 / ratio)
        if scaled or not as_is:
            raise _open_question(differ, draft)
        draft.notes.append(
            f"{differ}; the dark frames were subtracted as they are: else they would be brighter than the darkest image"
        )
    if bits is not None and bits[0] != bits[1] and max(float(frames.max()), float(images.max())) >= 2 ** min(bits):
        raise _open_question(f"the dark frames have {bits[0]} bits and the images {bits[1]}", draft)
    return frames


def _possible(frames: NDArray[Any], images: NDArray[Any], factor: float) -> tuple[bool, bool, bool]:
    """Whether dark frames times a factor, or as they are, are no brighter than all images; whether an image is dark."""
    level, darkest = float(np.median(frames)), min(float(np.median(image)) for image in images)
    return level * factor <= BRIGHTER * darkest, level <= BRIGHTER * darkest, darkest <= NEAR * level * factor


def _open_question(differ: str, draft: Draft) -> DataError:
    return DataError(
        f"{draft.path.name}: {differ}, and it cannot be told whether both are in one scale",
        "save the dark frames as the images are saved, or remove them and state dark_level in [images] of a geometry",
    )


def _step(values: NDArray[Any]) -> int:
    """Smallest difference of the values, where they are so many that some would follow each other; 0 if not known."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return 0
    seen = np.zeros(FULL + 1, dtype=bool)
    for image in values:
        seen[image] = True
    gaps = np.diff(np.flatnonzero(seen))
    if len(gaps) < 2:
        return 0
    step = int(gaps.min())
    return step if step == 1 or (len(gaps) + 1) ** 2 >= CROWDED * int(gaps.sum()) else 0


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
