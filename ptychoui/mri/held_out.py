"""The strength of a prior from the measurement alone: samples left out of the fit say which prediction is best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.mri.calibration import calibration_size
from ptychoui.mri.classical import Problem, Tuned, method_of
from ptychoui.words import counted

SHARE = 0.1
FEWEST = 4
"""So many samples (or lines) are left out at least; where there are not three times as many, no choice is made."""

SLACK = 0.02
"""A weaker prior is taken where it predicts as well up to this share of the error: every prior also pulls at what was
measured, which samples that are left out do not show."""


def outside_calibration(
    sampled: NDArray[np.bool_], shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is measured of a plane or volume, and what of it lies outside the calibration region.

    Parameters
    ----------
    sampled
        Bool, of the shape of the space or with axes of length 1.
    shape
        Of the space.

    Returns
    -------
    tuple
        Two masks, bool; axes that the first does not depend on have length 1 in both.

    Raises
    ------
    DataError
        If there is no calibration region.
    """
    mask = sampled
    for axis in range(mask.ndim):
        first = np.take(mask, [0], axis=axis)
        mask = first if (mask == first).all() else mask
    size = calibration_size(mask, shape)
    middle = np.ones(mask.shape, dtype=bool)
    for axis, (n, edge) in enumerate(zip(shape, size, strict=True)):
        if mask.shape[axis] > 1:
            steps = np.rint(np.fft.fftfreq(n) * n)
            near = (steps >= -(edge // 2)) & (steps < edge - edge // 2)
            middle &= near.reshape([-1 if a == axis else 1 for a in range(mask.ndim)])
    return mask, mask & ~middle


def split_samples(problem: Problem, share: float = SHARE, seed: int = 0) -> tuple[Problem, NDArray[np.bool_]]:
    """Leave a share of the samples outside the calibration region out of the fit.

    Where the mask does not depend on an axis whole lines along it are left out, as the scanner would have.

    Parameters
    ----------
    problem
        A plane or volume, k-space of shape (coil, *space).
    share
        Of the samples outside the calibration region, above 0 and at most 1; at least `FEWEST` are left out.
    seed
        Of the choice.

    Returns
    -------
    tuple
        The problem without them, and where they are: bool, of the shape of the space.

    Raises
    ------
    DataError
        If too few samples lie outside the calibration region.
    """
    shape = problem.k_space.shape[1:]
    mask, outer = outside_calibration(problem.sampled, shape)
    places = np.flatnonzero(outer)
    count = max(round(share * len(places)), FEWEST)
    if len(places) < 3 * FEWEST:
        raise DataError(
            f"{counted(len(places), 'sample or line', 'samples or lines')} outside the calibration region are too few "
            "to leave some out and choose a strength by them",
            "give the strength yourself",
        )
    left_out = np.zeros(mask.shape, dtype=bool)
    left_out.flat[np.random.default_rng(seed).choice(places, count, replace=False)] = True
    fitted = mask & ~left_out
    return replace(problem, k_space=problem.k_space * fitted, sampled=fitted), np.broadcast_to(left_out, shape)


def strength_by_samples(
    method: str, problem: Problem, seed: int = 0, callback: Callable[[], None] | None = None
) -> Tuned:
    """The strength of the method's grid that predicts samples that it has not seen, by relative error.

    The weakest is taken of those that predict them best, up to `SLACK`.

    Parameters
    ----------
    method
        Its name in `ptychoui.mri.classical.METHODS`.
    problem
        A plane or volume, k-space of shape (coil, *space).
    seed
        Of the choice of samples.
    callback
        Is called after every iteration, and may raise to stop.

    Raises
    ------
    SettingsError
        If there is no such method.
    DataError
        If too few samples lie outside the calibration region, or they are zero.
    """
    chosen = method_of(method)
    fitted, left_out = split_samples(problem, seed=seed)
    kept = problem.k_space[:, left_out]
    if not kept.any():
        raise DataError("the samples outside the calibration region are zero", "give the strength yourself")
    found = []
    for strength in chosen.grid:
        image = chosen.solve(fitted, strength, chosen.iterations, callback)
        error = np.linalg.norm(fitted.predicted(image)[:, left_out] - kept) / np.linalg.norm(kept)
        found.append((strength, float(error)))
    enough = (1 + SLACK) * min(error for _, error in found)
    return Tuned(
        method=method, strength=next(strength for strength, error in found if error <= enough), scores=tuple(found)
    )
