"""Contrast limits from an image: pure functions that the contrast bar and its tests use."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES = 200_000


def finite_values(images: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Finite pixels of some images, thinned out evenly if there are very many."""
    flat = [np.asarray(image).reshape(-1) for image in images]
    # Thinned before they are copied: of a large image that is what takes time.
    every = sum(len(part) for part in flat) // MOST_SAMPLES + 1
    parts = [part[::every].astype(np.float64) for part in flat]
    values: NDArray[np.float64] = np.concatenate(parts) if parts else np.empty(0)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def auto_limits(values: NDArray[np.float64], low: float = 0.1, high: float = 99.9) -> tuple[float, float]:
    """Percentiles of finite values, widened where they coincide; (0, 1) without any value."""
    if not len(values):
        return 0.0, 1.0
    first, last = (float(v) for v in np.percentile(values, (low, high)))
    return widened(first, last)


def full_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Smallest and largest finite value, widened where they coincide."""
    if not len(values):
        return 0.0, 1.0
    return widened(float(values.min()), float(values.max()))


def widened(low: float, high: float) -> tuple[float, float]:
    """Limits that differ, however constant the image."""
    if high - low > 1e-12 * max(abs(low), abs(high), 1e-30):
        return low, high
    spread = abs(low) * 1e-3 or 0.5
    return low - spread, low + spread


def decimals_for(low: float, high: float) -> int:
    """Decimals that show a thousandth of the range."""
    span = abs(high - low) or 1.0
    return int(min(12, max(0, 3 - math.floor(math.log10(span)))))
