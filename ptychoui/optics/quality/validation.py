"""What a reconstruction is worth: coverage, contrast along a line, and its phase without ramps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FourierCoverage:
    """How often each frequency of the synthetic aperture was seen.

    Attributes
    ----------
    counts
        (n, n) LEDs whose pupil covers a frequency; the first row is the largest NA in y, as on the LED array.
    extent_na
        Half the edge of ``counts``, in NA.
    outline_na
        (angle, 2) x, y of the aperture's edge in NA, a closed curve; angles run from +x towards +y.
    least_na, largest_na
        Reach of the aperture where it is narrowest and widest.
    hole_share
        Share of the frequencies inside the outline that no LED covers.
    mean_count
        Mean of the counts inside the outline.
    """

    counts: NDArray[np.int32]
    extent_na: float
    outline_na: FloatArray
    least_na: float
    largest_na: float
    hole_share: float
    mean_count: float


def fourier_coverage(
    illumination_na: FloatArray, objective_na: float, samples: int = 241, angles: int = 360
) -> FourierCoverage:
    """Count the pupils over every frequency of the synthetic aperture.

    An LED at the direction cosines s covers the disc |q - s| <= NA of the object's spectrum, q in units of 1/wavelength
    (Zheng, Horstmeyer, Yang, Nature Photonics 7, 739 (2013)).

    Parameters
    ----------
    illumination_na
        (L, 2) direction cosines of the LEDs.
    objective_na
        Radius of the pupil.
    samples
        Edge of the map.
    angles
        Directions in which the outline is followed.

    Raises
    ------
    DataError
        Without any LED.
    """
    na = np.asarray(illumination_na, dtype=np.float64).reshape(-1, 2)
    if not len(na):
        raise DataError("there are no LEDs whose coverage could be shown", "choose a geometry with LEDs")
    outline = _outline(na, objective_na, angles)
    extent = 1.03 * float(outline.max())
    place = np.linspace(-extent, extent, samples)
    x, y = place[None, :], -place[:, None]
    counts = np.zeros((samples, samples), np.int32)
    for led_x, led_y in na:
        # One LED at a time, and of it only the box around its disc: arrays have up to a thousand LEDs.
        columns = np.flatnonzero(np.abs(place - led_x) <= objective_na)
        rows = np.flatnonzero(np.abs(place + led_y) <= objective_na)
        if len(columns) and len(rows):
            box = np.ix_(rows, columns)
            counts[box] += (x[:, columns] - led_x) ** 2 + (y[rows] - led_y) ** 2 <= objective_na**2
    angle = np.mod(np.arctan2(y, x), 2 * np.pi)
    turn = np.linspace(0, 2 * np.pi, angles + 1)
    closed = np.append(outline, outline[0])
    inside = np.hypot(x, y) < np.interp(angle, turn, closed)
    covered = counts[inside]
    return FourierCoverage(
        counts=counts,
        extent_na=extent,
        outline_na=np.column_stack([closed * np.cos(turn), closed * np.sin(turn)]),
        least_na=float(outline.min()),
        largest_na=float(outline.max()),
        hole_share=float(np.mean(covered == 0)) if covered.size else 0.0,
        mean_count=float(covered.mean()) if covered.size else 0.0,
    )


def _outline(na: FloatArray, radius: float, angles: int) -> FloatArray:
    """(angle,) farthest point of any disc along each ray from the axis; 0 where no disc is met."""
    turn = np.linspace(0, 2 * np.pi, angles, endpoint=False)
    direction = np.stack([np.cos(turn), np.sin(turn)])
    along = na @ direction
    across = na[:, :1] * direction[1] - na[:, 1:] * direction[0]
    far = along + np.sqrt(np.maximum(radius**2 - across**2, 0))
    return np.asarray(np.max(np.where((np.abs(across) <= radius) & (far > 0), far, 0.0), axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProfile:
    """Values along a line.

    Attributes
    ----------
    distance_um
        (n,) from the line's start.
    values
        (n,) interpolated values.
    contrast
        Michelson contrast (max - min) / (max + min); NaN where a value is negative or all are zero.
    span
        max - min, in the unit of the values: what counts for phase.
    """

    distance_um: FloatArray
    values: FloatArray
    contrast: float
    span: float


def line_profile(
    image: NDArray[np.floating],
    pixel_um: float,
    start_um: tuple[float, float],
    end_um: tuple[float, float],
) -> LineProfile:
    """Values between two points, twice per pixel and linear between pixel centres.

    Parameters
    ----------
    image
        (row, column).
    pixel_um
        Edge of a pixel.
    start_um, end_um
        (x, y) from the upper left corner; points outside are moved to the edge.

    Raises
    ------
    DataError
        If the line has no length.
    """
    rows, columns = image.shape
    start, end = (
        np.clip(np.asarray(point, dtype=np.float64), 0, [columns * pixel_um, rows * pixel_um])
        for point in (start_um, end_um)
    )
    length = float(np.hypot(*(end - start)))
    if length <= 0:
        raise DataError("the line has no length", "draw it between two different points of the image")
    count = max(2, round(2 * length / pixel_um) + 1)
    share = np.linspace(0, 1, count)[:, None]
    x, y = ((start + (end - start) * share) / pixel_um - 0.5).T
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    left, top = np.minimum(x.astype(int), max(columns - 2, 0)), np.minimum(y.astype(int), max(rows - 2, 0))
    right, below = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    u, v = x - left, y - top
    grid = np.asarray(image, dtype=np.float64)
    values = (grid[top, left] * (1 - u) + grid[top, right] * u) * (1 - v)
    values += (grid[below, left] * (1 - u) + grid[below, right] * u) * v
    low, high = float(values.min()), float(values.max())
    measurable = low >= 0 and high > 0
    return LineProfile(
        distance_um=share[:, 0] * length,
        values=values,
        contrast=(high - low) / (high + low) if measurable else float("nan"),
        span=high - low,
    )


def without_ramp(field: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """The field with the direct light brought to zero tilt and zero phase: for display only.

    A shift of the LED array is a ramp of the object's phase, and neither ramp nor piston is measured. The ramp is that
    of the strongest plane wave, max over k of |sum o exp(-i k r)|^2, found between the samples of the transform by
    Newton's method.

    Parameters
    ----------
    field
        (row, column) complex.
    """
    rows, columns = field.shape
    spectrum = np.abs(np.fft.fft2(field))
    peak = np.unravel_index(int(np.argmax(spectrum)), spectrum.shape)
    y, x = (np.arange(n) - (n - 1) / 2 for n in (rows, columns))
    k = np.array([2 * np.pi * np.fft.fftfreq(n)[p] for n, p in zip((rows, columns), peak, strict=True)])
    work = np.asarray(field, dtype=np.complex128)
    for _ in range(20):
        wave_y, wave_x = np.exp(-1j * k[0] * y), np.exp(-1j * k[1] * x)
        in_y, in_x = (
            np.stack([wave_y, -1j * y * wave_y, -(y**2) * wave_y]),
            wave_x[:, None] * np.stack([np.ones(columns), -1j * x, -(x**2)], axis=1),
        )
        moments = in_y @ work @ in_x
        total = moments[0, 0]
        if abs(total) == 0:
            break
        # Derivatives of log F; those of log |F| are their real parts.
        by_y, by_x = moments[1, 0] / total, moments[0, 1] / total
        gradient = np.array([by_y.real, by_x.real])
        hessian = np.array(
            [
                [(moments[2, 0] / total - by_y**2).real, (moments[1, 1] / total - by_y * by_x).real],
                [0.0, (moments[0, 2] / total - by_x**2).real],
            ]
        )
        hessian[1, 0] = hessian[0, 1]
        if np.linalg.eigvalsh(hessian).max() >= 0:
            break  # no peak here: the sample of the transform is the best guess
        change = -np.linalg.solve(hessian, gradient)
        limit = 2 * np.pi / np.array([rows, columns])
        k += np.clip(change, -limit, limit)
        if np.all(np.abs(change) < 1e-9 * limit):
            break
    flat = work * np.exp(-1j * (k[0] * y[:, None] + k[1] * x[None, :]))
    return np.asarray(flat * np.exp(-1j * np.angle(flat.sum()))).astype(np.complex64)


def unwrapped_phase(field: NDArray[np.complexfloating]) -> NDArray[np.float32]:
    """Phase without ramp and without jumps by 2 pi, its median zero, in rad: (row, column), for display only.

    By `skimage.restoration.unwrap_phase` (Herraez et al., Applied Optics 41, 7437 (2002)). Where the amplitude is near
    zero the result may be off by whole turns.
    """
    from skimage.restoration import unwrap_phase

    phase = np.asarray(unwrap_phase(np.angle(without_ramp(field)), rng=0))
    return np.asarray(phase - np.median(phase), dtype=np.float32)
