"""Means with their intervals, as tables of benchmarks state them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of values of shape (seed,), and the ends of Student's 95 % interval; NaN for a single value."""
    from scipy.stats import t

    mean, half = float(values.mean()), float("nan")
    if len(values) > 1:
        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half
