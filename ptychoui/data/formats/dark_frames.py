"""Dark frames of a folder: their mean, or one for each exposure, matched to the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.name_exposures import refuse_unclear, without_unit
from ptychoui.errors import DataError
from ptychoui.words import counted

UNLIKE = 0.1
"""Share of their mean by which dark frames of one exposure do not differ."""
UNITS_MS = (1.0, 1e3, 1e-3)
"""Units in which exposures that the user states may be: ms, s, us."""


def matched_dark_frames(
    frames: NDArray[Any],
    names: Sequence[str],
    stated_ms: Sequence[float | None],
    exposures_ms: NDArray[np.float64] | None,
    images: int,
    draft: Draft,
) -> list[NDArray[np.float64]]:
    """The dark frame (row, column) of each image.

    Parameters
    ----------
    frames
        (dark frame, row, column).
    names, stated_ms
        Their files, and the exposure that each states.
    exposures_ms
        (LED,) exposures of the images by their headers or names; those that the user states win, in ms, s or us.

    Raises
    ------
    DataError
        If the dark frames have several exposures, and an image has none of them or none is known.
    """
    known = sorted({round(value, 9) for value in stated_ms if value is not None})
    some = f"{names[0]}{', ...' if len(names) > 1 else ''}"
    by_user = draft.said.exposures
    of_images = np.array(by_user, dtype=np.float64) if by_user is not None else exposures_ms
    if known and any(value is None for value in stated_ms):
        raise DataError(
            f"{draft.path.name}: some dark frames state an exposure and others do not ({', '.join(names[:3])})",
            "name all of them alike, such as dark_10ms and dark_100ms, or keep those of one exposure",
        )
    refuse_unclear(f"the names of the dark frames in {draft.path.name}", names)
    if bare := without_unit(names):
        raise DataError(
            f"{draft.path.name} has dark frames of several exposures without a unit ({', '.join(bare[:3])})",
            "name them with their unit, such as dark_10ms and dark_100ms, or keep those of one exposure",
        )
    # Of equal exposures in a unit of the user's own nothing is to be matched.
    alike = by_user is not None and min(by_user) == max(by_user)
    if len(known) < 2 and (alike or not _differ(known, of_images)):
        mean = np.asarray(frames.mean(axis=0, dtype=np.float64))
        which = "the dark frame" if len(frames) == 1 else f"the mean of {len(frames)} dark frames"
        draft.tell("dark frames", len(frames), "", f"{some}; their mean is subtracted")
        draft.notes.append(f"{which} ({mean.mean():.4g}) was subtracted")
        levels = frames.mean(axis=(1, 2), dtype=np.float64)
        if float(np.ptp(levels)) > max(UNLIKE * float(np.abs(levels).mean()), 2.0):
            draft.notes.append(
                f"the dark frames differ more than noise does ({levels.min():.4g} to {levels.max():.4g}): if they are "
                "of several exposures, name them so (dark_10ms, dark_100ms), and each image gets its own"
            )
        if not known and of_images is not None and not math.isclose(of_images.min(), of_images.max(), rel_tol=1e-6):
            draft.notes.append(
                "the images have several exposures, and the dark frame does not say its own: it was taken for all"
            )
        return [mean] * images
    listed = ", ".join(f"{value:g}" for value in known)
    if of_images is None or len(of_images) != images:
        raise DataError(
            f"{draft.path.name} has dark frames of {listed} ms, and the exposures of its images are not known",
            "state them in ms in a geometry: [images] exposures = [...], or keep the dark frames of one exposure",
        )
    units = UNITS_MS if by_user is not None else (1.0,)
    unit = next((u for u in units if all(_place(known, value * u) is not None for value in of_images)), None)
    if unit is None:
        lacking = next(value for value in of_images if _place(known, value) is None)
        raise DataError(
            f"{draft.path.name} has dark frames of {listed} ms, but none for the images of {lacking:g}"
            f"{'' if by_user is not None else ' ms'}",
            "take a dark frame for each exposure, or remove all of them and state dark_level in [images]",
        )
    means = [
        frames[[place for place, value in enumerate(stated_ms) if value is not None and round(value, 9) == one]].mean(
            axis=0, dtype=np.float64
        )
        for one in known
    ]
    draft.tell("dark frames", len(frames), "", f"{some}; matched to the images by exposure ({listed} ms), subtracted")
    draft.notes.append(
        f"{counted(len(frames), 'dark frame')} of {listed} ms {'was' if len(frames) == 1 else 'were'} subtracted from "
        "the images of that exposure"
    )
    return [means[_place(known, value * unit) or 0] for value in of_images]


def _differ(known: list[float], of_images: NDArray[np.float64] | None) -> bool:
    """Whether one stated exposure of dark frames is not that of all images."""
    if not known or of_images is None:
        return False
    return any(_place(known, value) is None for value in of_images)


def _place(known: list[float], value: float) -> int | None:
    return next((n for n, one in enumerate(known) if math.isclose(one, value, rel_tol=1e-3)), None)
