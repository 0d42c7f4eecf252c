"""Images of a whole field under point sources at a finite height, without tiles and without the code under test.

An LED at (x, y) and height h sends exp(2 pi i d / lambda) to a point at distance d; columns run along x, rows along y.
The objective passes frequencies up to NA / lambda and the camera samples points.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def smooth_field(shape: tuple[int, int], pixel_um: float, cutoff_per_um: float, seed: int = 0) -> np.ndarray:
    """(row, column) complex object of moderate contrast without frequencies above a cut-off."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(shape[0], pixel_um), np.fft.fftfreq(shape[1], pixel_um)
    inside = np.hypot(fy[:, None], fx) < cutoff_per_um
    parts = [np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * inside).real for _ in range(2)]
    return (1 - 0.1 * parts[0] / parts[0].std()) * np.exp(0.3j * parts[1] / parts[1].std())


def images(
    field: np.ndarray, finer: int, scope: Any, positions_mm: np.ndarray, height_mm: float, defocus_um: float = 0.0
) -> np.ndarray:
    """(LED, row, column) images of a field with ``finer`` samples per camera pixel, whose middle is on the axis."""
    rows, columns = field.shape
    step = scope.camera_pixel_um / scope.magnification / finer
    y, x = (np.arange(rows) - rows / 2) * step, (np.arange(columns) - columns / 2) * step
    fy, fx = np.fft.fftfreq(rows, step), np.fft.fftfreq(columns, step)
    f = np.hypot(fy[:, None], fx)
    pupil = (f < scope.objective_na / scope.wavelength_um).astype(complex)
    pupil *= np.exp(2j * np.pi * defocus_um * np.sqrt(np.maximum(1 / scope.wavelength_um**2 - f**2, 0)))
    found = []
    for led_x, led_y in 1e3 * positions_mm[:, :2]:
        d = np.sqrt((x - led_x) ** 2 + (y[:, None] - led_y) ** 2 + (1e3 * height_mm) ** 2)
        seen = np.fft.ifft2(np.fft.fft2(field * np.exp(2j * np.pi * d / scope.wavelength_um)) * pupil)
        found.append(np.abs(seen[::finer, ::finer]) ** 2)
    return np.array(found, np.float32)
