"""What a reconstruction is worth: coverage, misfit of every LED, contrast along a line, correlation of two results.

NumPy only, because the window shows all of it. Lengths are in um, frequencies in 1/um, image points are (x, y) from
the image's upper left corner with x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

FloatArray = NDArray[np.float64]

OUTLIER_SCORE = 4.5
"""Robust standard deviations from the neighbours beyond which an LED is called out."""

LEAST_SPREAD = 0.1
"""Spread of logarithms that is taken for granted: a tenth more or less is no fault of an LED."""

LEAST_LIGHT = 0.02
"""Amplitude, as a share of the brightest, that LEDs at similar NA must have for brightness to mean anything."""

LEAST_SHARE = 0.03
"""A misfit below this share of the image's amplitude is no fault either, however alike the others are."""


# Coverage ------------------------------------------------------------------------------------------------


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


# LEDs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LedQuality:
    """How well each LED's image is explained, and which LEDs stand out.

    Attributes
    ----------
    misfit
        (L,) root mean square of sqrt(predicted) - sqrt(measured) over an image, in units of the open field's amplitude.
        With shot noise alone it is 1 / (2 sqrt(photons of the open field)), the same for all LEDs.
    misfit_score, gain_score
        (L,) robust standard deviations by which misfit and brightness differ from the LEDs at similar NA.
    lit
        (L,) True where LEDs at similar NA bring enough light for the fitted brightness to mean anything.
    outlier
        (L,) True for LEDs that stand out.
    reasons
        (L,) why, in a few words; empty for the others.
    worst_first
        (L,) places of the LEDs, those that stand out first, then by misfit.
    """

    misfit: FloatArray
    misfit_score: FloatArray
    gain_score: FloatArray
    lit: NDArray[np.bool_]
    outlier: NDArray[np.bool_]
    reasons: tuple[str, ...]
    worst_first: NDArray[np.int64]


def misfit_per_led(measured: NDArray[np.floating], predicted: NDArray[np.floating]) -> FloatArray:
    """(L,) root mean square difference of amplitudes: see `LedQuality.misfit`.

    Both stacks are (L, row, column) intensities, 1 = open field; negative pixels count as dark.
    """
    result = np.empty(len(measured))
    for led, (image, model) in enumerate(zip(measured, predicted, strict=True)):
        difference = np.sqrt(np.maximum(model, 0)) - np.sqrt(np.maximum(image, 0))
        result[led] = np.sqrt(np.mean(np.square(difference, dtype=np.float64)))
    return result


def led_quality(
    misfit: FloatArray, mean_intensity: FloatArray, gain: FloatArray, illumination_na: FloatArray
) -> LedQuality:
    """Find LEDs that stand out from those at similar illumination NA: misplaced, mixed up, dim or dead ones.

    Logarithms of misfit and brightness are compared with their median over the LEDs next in NA, and the differences
    are divided by 1.4826 times their median magnitude (Rousseeuw & Croux, JASA 88, 1273 (1993)): a few bad LEDs change
    neither. Misfits count above the neighbours only; below they are no fault.

    Parameters
    ----------
    misfit
        (L,) from `misfit_per_led`.
    mean_intensity
        (L,) mean of each measured image, 1 = open field.
    gain
        (L,) fitted brightness relative to the others; ones where it was not fitted.
    illumination_na
        (L, 2) direction cosines.
    """
    radius = np.hypot(*np.asarray(illumination_na, dtype=np.float64).T)
    floor = max(1e-12, 1e-3 * float(np.median(misfit)))
    above = _score(np.log(misfit + floor), radius)
    amplitude = np.sqrt(np.maximum(mean_intensity, 0))
    # The neighbours' light counts, too: a dead LED has none of its own.
    usual = np.maximum(amplitude, np.exp(_smooth(np.log(amplitude + 1e-9), radius)))
    lit = usual >= LEAST_LIGHT * usual.max()
    gain = np.where(lit, np.clip(np.nan_to_num(gain, nan=1.0), 1e-6, 1e6), 1.0)
    dim = np.zeros(len(gain))
    dim[lit] = _score(np.log(gain[lit]), radius[lit])
    misfits = (above > OUTLIER_SCORE) & (misfit > LEAST_SHARE * usual)
    gains = np.abs(dim) > OUTLIER_SCORE
    outlier = misfits | gains
    reasons = tuple(
        ", ".join(
            words
            for words, true in (
                ("image not explained", misfits[led]),
                ("too dim" if gain[led] < 1 else "too bright", gains[led]),
            )
            if true
        )
        for led in range(len(misfit))
    )
    order = np.lexsort((-np.asarray(misfit), ~outlier))
    return LedQuality(
        misfit=np.asarray(misfit, dtype=np.float64),
        misfit_score=above,
        gain_score=dim,
        lit=lit,
        outlier=outlier,
        reasons=reasons,
        worst_first=order.astype(np.int64),
    )


def _score(values: FloatArray, radius: FloatArray) -> FloatArray:
    """(L,) distance from the neighbours in robust standard deviations."""
    apart = values - _smooth(values, radius)
    spread = 1.4826 * float(np.median(np.abs(apart)))
    return np.asarray(apart / max(spread, LEAST_SPREAD))


def _smooth(values: FloatArray, radius: FloatArray) -> FloatArray:
    """(L,) median over the LEDs next in NA, the LED itself left out."""
    count = len(values)
    if count < 3:
        return np.full(count, float(np.median(values)))
    take = min(count - 1, max(8, count // 10))
    result = np.empty(count)
    for led in range(count):
        distance = np.abs(radius - radius[led])
        distance[led] = np.inf
        result[led] = np.median(values[np.argsort(distance, kind="stable")[:take]])
    return result


# Lines ---------------------------------------------------------------------------------------------------


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


# Two results ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RingCorrelation:
    """Agreement of two images, ring by ring of their spectra.

    Attributes
    ----------
    frequency_per_um
        (ring,) middle of each ring.
    correlation
        (ring,) from -1 to 1.
    half_bit
        (ring,) the half-bit threshold for the ring's number of frequencies.
    pixel_um
        Pixel of the images.
    """

    frequency_per_um: FloatArray
    correlation: FloatArray
    half_bit: FloatArray
    pixel_um: float

    def resolution_um(self, threshold: FloatArray | float | None = None) -> float:
        """Period at which the correlation first falls below a threshold, by default the half-bit one.

        A constant such as 1 / 7 may be given. The result is infinite if the first ring lies below already, and two
        pixels, the finest that the images hold, if none does.
        """
        limit = self.half_bit if threshold is None else np.broadcast_to(threshold, self.correlation.shape)
        apart = self.correlation - limit
        below = np.flatnonzero(apart < 0)
        if not len(below):
            return 2 * self.pixel_um
        ring = int(below[0])
        if ring == 0:
            return float("inf")
        share = apart[ring - 1] / (apart[ring - 1] - apart[ring])
        first, second = self.frequency_per_um[ring - 1 : ring + 1]
        return float(1 / (first + share * (second - first)))


def ring_correlation(
    first: NDArray[np.inexact], second: NDArray[np.inexact], pixel_um: float, taper: float = 0.15
) -> RingCorrelation:
    """Fourier ring correlation of two reconstructions of the same field.

    FRC(r) = Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2) over a ring of spatial frequencies, half-bit threshold
    (0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n)) for n independent frequencies (van Heel & Schatz, Journal
    of Structural Biology 151, 250 (2005), eq. 2 and 17). Departure: n is the number of grid points of the ring, half of
    them for real images, scaled by the share of the area that the taper leaves; the paper's factor for a round particle
    does not apply to a full field.

    The two should share neither images nor noise: two halves of the LEDs, or two recordings. A constant phase between
    them is taken away, for it cannot be measured. Means are removed, so that the common background says nothing.

    Parameters
    ----------
    first, second
        (N, N) real or complex images.
    pixel_um
        Edge of a pixel.
    taper
        Share of the edge over which each side fades to zero: the sides of a field do not match.

    Raises
    ------
    DataError
        If the images differ in shape or are not square.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] != first.shape[1]:
        raise DataError(
            f"images of shape {first.shape} and {second.shape} cannot be compared ring by ring",
            "crop both to the same square",
        )
    size = first.shape[0]
    edge = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / max(taper * size, 0.5), 0, 1)
    window = np.outer(np.sin(edge * np.pi / 2) ** 2, np.sin(edge * np.pi / 2) ** 2)
    is_complex = np.iscomplexobj(first) or np.iscomplexobj(second)
    spectra = [np.fft.fft2((image - image.mean()) * window) for image in (first, second)]
    cross, power = spectra[0] * spectra[1].conj(), [np.square(np.abs(s)) for s in spectra]
    if is_complex:
        total = np.vdot(second, first)
        cross = cross * np.exp(-1j * np.angle(total))
    step = np.fft.fftfreq(size) * size
    ring = np.rint(np.hypot(step[:, None], step[None, :])).astype(int).ravel()
    rings = size // 2
    count = np.bincount(ring)[1:rings]
    upper = np.bincount(ring, cross.real.ravel())[1:rings]
    below = np.sqrt(np.bincount(ring, power[0].ravel())[1:rings] * np.bincount(ring, power[1].ravel())[1:rings])
    independent = np.maximum(1.0, count * float(np.mean(window)) * (1.0 if is_complex else 0.5))
    root = np.sqrt(independent)
    return RingCorrelation(
        frequency_per_um=np.arange(1, rings) / (size * pixel_um),
        correlation=np.divide(upper, below, out=np.zeros_like(upper), where=below > 0),
        half_bit=(0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root),
        pixel_um=pixel_um,
    )


ONE_SEVENTH = 1 / 7
"""Fixed threshold, for comparison with figures in the literature; van Heel & Schatz advise against it."""


# Phase for display ---------------------------------------------------------------------------------------


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
