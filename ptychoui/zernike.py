"""Zernike polynomials, in which aberrations of a pupil are stated. NumPy only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import GeometryError


def zernike(noll: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zernike polynomial in Noll's order, unit RMS on the unit disc (Noll 1976, equation 2).

    Values beyond the disc continue the polynomial, clipped at radius 1.1: only the soft edge lies there.
    """
    if not 1 <= noll <= 66:
        raise GeometryError(f"Zernike index {noll} is outside 1 to 66", "Noll's order: 4 is defocus, 5, 6 astigmatism")
    n = 0
    while (n + 1) * (n + 2) // 2 < noll:
        n += 1
    place = noll - n * (n + 1) // 2 - 1
    m = 2 * (place // 2) + 1 if n % 2 else 2 * ((place + 1) // 2)
    rho, theta = np.minimum(np.hypot(x, y), 1.1), np.arctan2(y, x)
    radial = sum(
        (-1) ** s
        * math.factorial(n - s)
        / (math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s))
        * rho ** (n - 2 * s)
        for s in range((n - m) // 2 + 1)
    )
    if m == 0:
        return np.asarray(np.sqrt(n + 1) * radial)
    angular = np.cos(m * theta) if noll % 2 == 0 else np.sin(m * theta)
    return np.asarray(np.sqrt(2 * (n + 1)) * radial * angular)
