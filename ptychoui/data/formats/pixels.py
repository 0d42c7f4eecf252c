"""What the pixels of a stack say against it: clipped ones, and ones below zero that are no noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import one_by_one
from ptychoui.words import counted

FULL_SCALES = {255: 1, 1023: 1, 4095: 1, 16383: 1, 32767: 1, 65535: 1, 65472: 64, 65520: 16, 65532: 4}
"""Largest value of a camera of 8 to 16 bits, also of fewer bits at the top of sixteen -> step between values."""

LEAST_SHARE, LEAST_PIXELS = 1e-3, 25
"""An image is clipped where so many of its pixels have the stack's largest value: a bright spot is no matter."""

NEAR = 0.02
"""Share of the largest value below it, in which pixels are compared with those that have it."""

PLATEAU, CHANCE = 1.5, 5
"""So many times as many pixels have the largest value as one of the values near it, where it is a limit, and so many
standard deviations of their number more."""

LEAST_VALUES = 50
"""Different values of a stack below which its largest one says nothing, where it is no full scale of a camera."""

DEEP, MANY_DEEP = -0.25, 1e-3
"""Value in units of the open field below which no noise goes, and share of the pixels that makes it no chance."""

MOST = 0.6
"""Share of pixels below zero that noise about zero does not reach."""


def clipped_images(raw: NDArray[np.generic], numbers: tuple[int, ...]) -> tuple[tuple[int, float], ...]:
    """LED and share of its pixels at the largest value, the worst first, of images that a camera has clipped.

    The largest value of all images is a limit if many pixels have exactly it and few are just below: of one image
    where it is the full scale of a camera, of two or more where it may be anything.

    Parameters
    ----------
    raw
        (LED, row, column) values as the file holds them.
    numbers
        (LED,) numbers of the LEDs.
    """
    if raw.dtype.kind not in "iuf":
        return ()
    most = max(float(np.max(image)) for image in one_by_one(raw))
    if not most > 0:
        return ()
    step = FULL_SCALES.get(int(most)) if most.is_integer() else None
    at_most = np.array([int(np.count_nonzero(image == most)) for image in one_by_one(raw)])
    size = raw[0].size
    found = np.flatnonzero((at_most >= LEAST_SHARE * size) & (at_most >= LEAST_PIXELS))
    if len(found) < (2 if step is None else 1):
        return ()
    near = sum(int(np.count_nonzero((raw[place] >= (1 - NEAR) * most) & (raw[place] < most))) for place in found)
    levels = max(1.0, NEAR * most / (step or 1)) if raw.dtype.kind != "f" or step else 1.0
    usual = near / levels
    if at_most[found].sum() <= PLATEAU * usual + CHANCE * np.sqrt(usual):
        return ()
    if step is None:
        every = max(1, size * len(raw) // 2**20)
        sample = np.concatenate([image.reshape(-1)[place % every :: every] for place, image in enumerate(raw)])
        if len(np.unique(sample)) < LEAST_VALUES:
            return ()
    order = found[np.argsort(-at_most[found], kind="stable")]
    return tuple((numbers[place], float(at_most[place] / size)) for place in order)


def even_note(raw: NDArray[np.generic], numbers: tuple[int, ...], clipped: tuple[tuple[int, float], ...]) -> str:
    """One sentence that names LEDs whose image is a single value, but for wholly clipped ones; empty if there is none.

    A constant image of one pixel says nothing.
    """
    white = {number for number, _ in clipped}
    even = [
        n
        for n, image in zip(numbers, one_by_one(raw), strict=True)
        if n not in white and np.all(image == image.flat[0])
    ]
    if not even or raw[0].size == 1:
        return ""
    named = ", ".join(f"LED {number}" for number in even[:5]) + (", ..." if len(even) > 5 else "")
    one = len(even) == 1
    return (
        f"{counted(len(even), 'image has', 'images have')} the same value in all {'its' if one else 'their'} pixels "
        f"({named}): nothing was recorded; leave {'it' if one else 'them'} out (--without) if "
        f"{'it is' if one else 'they are'} not dark by intent"
    )


def clipped_note(clipped: tuple[tuple[int, float], ...], images: int) -> str:
    """One sentence that names the worst LEDs."""
    worst = ", ".join(f"LED {number} {_percent(share)}" for number, share in clipped[:5])
    more = ", ..." if len(clipped) > 5 else ""
    return (
        f"clipped: {len(clipped)} of {counted(images, 'image')} have many pixels at the largest value, beyond which "
        f"nothing was recorded ({worst}{more}); take them with a shorter exposure, or leave these LEDs out (--without)"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def below_zero_note(images: NDArray[np.float32], pixels: int, signed: bool) -> str:
    """One sentence about so many pixels below zero: calm where they are of the size of noise.

    Parameters
    ----------
    images
        (LED, row, column) in units of the open field.
    signed
        The file holds signed integers, as which unsigned ones may have been written.
    """
    deep = sum(int(np.count_nonzero(image < DEEP)) for image in images)
    said = f"{counted(pixels, 'pixel is', 'pixels are')} below zero"
    if deep < MANY_DEEP * images.size and pixels <= MOST * images.size:
        return f"{said} (legal after dark subtraction)"
    lowest = min(float(image.min()) for image in images)
    cause = "unsigned numbers that were read as signed ones, or " if signed else ""
    return (
        f"{said}, {_percent(pixels / images.size)} of all, down to {lowest:.3g} of the open field: that is no noise "
        f"but looks like {cause}a wrong dark level; correct the data before they are used"
    )
