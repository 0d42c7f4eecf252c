"""Which samples of k-space are measured: masks, zero frequency first as in `KSpaceSet`, drawn from a given generator.

The acceleration asked for is always the net one: all samples divided by those measured, calibration counted. Outside
the centre less is measured than that number says; patterns of equal net acceleration take equally long to measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import SPACE_AXES, Acquisition, KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.frequencies import central as central
from ptychoui.mri.frequencies import radius, samples_wanted
from ptychoui.mri.poisson import poisson_disc as poisson_disc

Mask = NDArray[np.bool_]

DENSITY_POWER = 3.0
"""Density of lines falls as (1 - |k|)^3 from the centre to the edge, as 2-D compressed sensing has it by custom."""
EDGE_DENSITY = 0.02
"""Density at the edge, as a share of that in the centre: every line can be drawn."""


def variable_density_lines(
    rows: int,
    net_acceleration: float,
    calibration: int,
    generator: np.random.Generator,
    power: float = DENSITY_POWER,
) -> Mask:
    """Lines drawn more densely near the centre (Lustig 2007), besides those of the calibration.

    Parameters
    ----------
    rows
        Lines of k-space.
    net_acceleration
        Rows divided by lines measured, from 1; the nearest whole number of lines is measured.
    calibration
        Central lines that are all measured.
    generator
        Source of every random number.
    power
        Density falls from the centre as (1 - |k| / k_max)^power; 0 is uniform.

    Returns
    -------
    ndarray
        (rows,) bool, zero frequency first.

    Raises
    ------
    SettingsError
        If the acceleration is below 1 or leaves fewer lines than the calibration has, or the power is below 0.
    """
    if not (0 <= power <= 50):
        raise SettingsError(f"a density power of {power:g} is not possible", "it lies between 0 and 50")
    mask = central(rows, calibration)
    wanted = samples_wanted(rows, net_acceleration, calibration, "lines") - calibration
    outside = np.flatnonzero(~mask)
    if wanted:
        density = (1 - radius(rows)[outside]) ** power + EDGE_DENSITY
        mask[generator.choice(outside, wanted, replace=False, p=density / density.sum())] = True
    return mask


def uniform_random_lines(rows: int, net_acceleration: float, calibration: int, generator: np.random.Generator) -> Mask:
    """Lines drawn with equal chance outside the calibration.

    Parameters
    ----------
    rows, net_acceleration, calibration, generator
        As in `variable_density_lines`.

    Returns
    -------
    ndarray
        (rows,) bool, zero frequency first; the nearest whole number of lines is measured.

    Raises
    ------
    SettingsError
        If the acceleration is below 1, or leaves fewer lines than the calibration has.
    """
    mask = central(rows, calibration)
    wanted = samples_wanted(rows, net_acceleration, calibration, "lines") - calibration
    mask[generator.choice(np.flatnonzero(~mask), wanted, replace=False)] = True
    return mask


def equispaced_step(rows: int, net_acceleration: float, calibration: int) -> int:
    """Distance in lines between the equispaced lines that comes nearest to a net acceleration.

    Returns
    -------
    The step, ``rows`` where the calibration alone has the lines wanted.

    Raises
    ------
    SettingsError
        If the acceleration is below 1, or leaves fewer lines than the calibration has.
    """
    wanted = samples_wanted(rows, net_acceleration, calibration, "lines")
    outside = np.count_nonzero(~central(rows, calibration))
    found = calibration + outside / np.arange(1, rows + 1)
    return int(np.argmin(np.abs(found - wanted))) + 1


def equispaced_lines(
    rows: int,
    net_acceleration: float,
    calibration: int,
    generator: np.random.Generator,
    offset: int | None = None,
) -> Mask:
    """Every n-th line, with the calibration besides.

    The distance is one whole number all over k-space, as parallel imaging wants it. The net acceleration is therefore
    the nearest that such a grid has, and not exact: the mask's own (`KSpaceSet.net_acceleration`) is the one to state.

    Parameters
    ----------
    rows, net_acceleration, calibration, generator
        As in `variable_density_lines`.
    offset
        Place of the grid in lines; drawn where it is not given.

    Returns
    -------
    ndarray
        (rows,) bool, zero frequency first.

    Raises
    ------
    SettingsError
        If the acceleration is below 1, or leaves fewer lines than the calibration has.
    """
    step = equispaced_step(rows, net_acceleration, calibration)
    offset = int(generator.integers(step)) if offset is None else offset % step
    # Counted from the most negative frequency, not from zero: the grid must not break where the frequencies wrap.
    grid = (np.arange(rows) - offset) % step == 0
    return np.fft.ifftshift(grid) | central(rows, calibration)


def frame_lines(
    rows: int,
    count: int,
    net_acceleration: float,
    calibration: int,
    generator: np.random.Generator,
    pattern: str = "variable_density",
) -> Mask:
    """Lines of each frame of a cine: another draw for every frame.

    Equispaced lines are shifted from frame to frame, by a step near the golden section of their distance that has no
    factor in common with it: neighbours in time share no line, and all lines are measured within one such round.

    Parameters
    ----------
    rows, net_acceleration, calibration, generator
        As in `variable_density_lines`, for every frame.
    count
        Number of frames.
    pattern
        A pattern of lines in `PATTERNS`.

    Returns
    -------
    ndarray
        (frame, rows) bool, zero frequency first.

    Raises
    ------
    SettingsError
        If the pattern is not one of lines, or its values are refused.
    """
    draw = LINE_PATTERNS.get(pattern)
    if draw is None:
        raise SettingsError(
            f"the pattern {pattern!r} is not one of lines", f"patterns of lines: {', '.join(LINE_PATTERNS)}"
        )
    if count < 1:
        raise SettingsError(f"{count} frames cannot be measured", "there is at least 1")
    if draw is not equispaced_lines:
        return np.stack([draw(rows, net_acceleration, calibration, generator) for _ in range(count)])
    step = equispaced_step(rows, net_acceleration, calibration)
    shift = _golden_step(step)
    first = int(generator.integers(step))
    return np.stack(
        [
            equispaced_lines(rows, net_acceleration, calibration, generator, first + frame * shift)
            for frame in range(count)
        ]
    )


LINE_PATTERNS: dict[str, Callable[[int, float, int, np.random.Generator], Mask]] = {
    "variable_density": variable_density_lines,
    "equispaced": equispaced_lines,
    "uniform_random": uniform_random_lines,
}
"""Patterns of whole lines along the readout, by name."""

PATTERNS: dict[str, Callable[..., Mask]] = {**LINE_PATTERNS, "poisson_disc": poisson_disc}
"""All patterns by name; those of lines take a number of rows, `poisson_disc` takes rows and columns."""


def draw_mask(
    name: str,
    acquisition: Acquisition,
    space: tuple[int, ...],
    net_acceleration: float,
    calibration: int,
    generator: np.random.Generator,
) -> Mask:
    """Draw the mask of one example.

    Parameters
    ----------
    name
        Pattern, of `PATTERNS`.
    acquisition
        Kind of acquisition: says which axes are phase encodes.
    space
        Shape of an image, see `SPACE_AXES`.
    net_acceleration
        All samples divided by those measured, calibration counted, from 1.
    calibration
        Central lines, or side of the central square in samples, that are all measured.
    generator
        Source of every random number.

    Returns
    -------
    ndarray
        Bool with the axes of an image, zero frequency first on those transformed; of length 1 where the mask does not
        depend on an axis: (rows, 1), (1, rows, 1) or (frames, rows, 1) for lines, (rows, columns) or (1, rows, columns)
        for points.

    Raises
    ------
    SettingsError
        If the pattern is not known, does not fit the acquisition, or its values are refused.
    """
    if name not in PATTERNS:
        raise SettingsError(f"a sampling pattern {name!r} is not known", f"known patterns: {', '.join(PATTERNS)}")
    if len(space) != len(SPACE_AXES[acquisition]):
        raise SettingsError(
            f"an image of shape {space} does not fit a {acquisition} acquisition",
            f"its axes are {', '.join(SPACE_AXES[acquisition])}",
        )
    rows, columns = space[-2:]
    if acquisition == "cine":
        return frame_lines(rows, space[0], net_acceleration, calibration, generator, name)[:, :, None]
    if name in LINE_PATTERNS:
        mask = LINE_PATTERNS[name](rows, net_acceleration, calibration, generator)[:, None]
    else:
        mask = poisson_disc((rows, columns), net_acceleration, calibration, generator)
    return mask if acquisition == "2d" else mask[None]


def with_sampling(
    data: KSpaceSet, name: str, net_acceleration: float, calibration: int, generator: np.random.Generator
) -> KSpaceSet:
    """Fully sampled examples as they would have been measured with a mask drawn for each of them.

    Parameters
    ----------
    data
        Examples, k-space (example, coil, *space), all of it sampled.
    name, net_acceleration, calibration, generator
        As in `draw_mask`.

    Returns
    -------
    The same examples, k-space 0 where it is not sampled; maps and true images stay.

    Raises
    ------
    SettingsError
        If the mask's values are refused.
    DataError
        If samples are missing already.
    """
    if not data.sampled.all():
        raise DataError(
            f"k-space is not fully sampled (net acceleration {data.net_acceleration:.3g})",
            "draw masks for fully sampled examples only, or reconstruct these as they are",
        )
    masks = (
        draw_mask(name, data.acquisition, data.space, net_acceleration, calibration, generator) for _ in data.k_space
    )
    sampled = np.stack([*masks])
    return replace(data, k_space=data.k_space * sampled[:, None], sampled=sampled)


def _golden_step(size: int) -> int:
    """The whole number without a common factor with ``size`` that is nearest to its golden section."""
    golden = size * (math.sqrt(5) - 1) / 2
    return min((n for n in range(1, size + 1) if math.gcd(n, size) == 1), key=lambda n: abs(n - golden))
