"""What is to be thought of single LEDs: the misfit of their images, their brightness, and those that stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

OUTLIER_SCORE = 4.5
"""Robust standard deviations from the neighbours beyond which an LED is called out."""

LEAST_SPREAD = 0.1
"""Spread of logarithms that is taken for granted: a tenth more or less is no fault of an LED."""

LEAST_LIGHT = 0.02
"""Amplitude, as a share of the brightest, that LEDs at similar NA must have for brightness to mean anything."""

LEAST_SHARE = 0.03
"""A misfit below this share of the image's amplitude is no fault either, however alike the others are."""


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
