"""A slide of cells for the emulated optical bench: thickness and density, drawn from a seed. NumPy only.

Nothing here is shared with what the program learns from: shapes, sizes and sharpness are others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

BODY_RAD, NUCLEUS_RAD, GRAIN_RAD, FIBRE_RAD = 0.7, 0.45, 0.4, 0.4
"""Phase at the middle of a cell, of what lies in it and beside it."""
DENSITY = 0.1
"""Light that the densest parts keep back, as a share of the amplitude."""


def slide(x_um: Field, y_um: Field, reach_um: float, seed: int) -> NDArray[np.complex128]:
    """Complex transmission at places (row, column) in um, of cells that lie within ``reach_um`` of the axis."""
    rng = np.random.default_rng([seed, 77])
    phase, dense = np.zeros_like(x_um), np.zeros_like(x_um)
    for x0, y0, radius in _centres(rng, reach_um):
        _cell(rng, phase, dense, x_um - x0, y_um - y0, radius)
    for _ in range(7):
        _fibre(rng, phase, x_um, y_um, reach_um)
    return np.asarray((1 - DENSITY * np.clip(dense, 0, 1)) * np.exp(1j * phase))


def _centres(rng: np.random.Generator, reach: float) -> list[tuple[float, float, float]]:
    """Centres and radii in um of cells that hardly touch."""
    found: list[tuple[float, float, float]] = []
    for _ in range(300):
        x, y, radius = *(rng.uniform(-1, 1, 2) * reach), rng.uniform(7.5, 14)
        if all(np.hypot(x - a, y - b) > 0.95 * (radius + other) for a, b, other in found):
            found.append((float(x), float(y), float(radius)))
    return found


def _cell(rng: np.random.Generator, phase: Field, dense: Field, x: Field, y: Field, radius: float) -> None:
    """A drop with a wavy edge, a nucleus and grains."""
    away, angle = np.hypot(x, y), np.arctan2(y, x)
    edge = radius * (1 + sum(0.12 / n * np.cos(n * angle + rng.uniform(0, 2 * np.pi)) for n in (2, 3, 5)))
    height = np.clip(1 - (away / edge) ** 2, 0, None)
    phase += BODY_RAD * rng.uniform(0.8, 1.2) * np.sqrt(height)
    turn, off = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3) * radius
    nx, ny = x - off * np.cos(turn), y - off * np.sin(turn)
    inside = np.tanh(3 * (1 - np.hypot(nx / 0.4, ny / 0.33) / radius)).clip(0)
    phase += NUCLEUS_RAD * inside
    dense += 0.7 * inside + 0.3 * (height > 0)
    for _ in range(int(1.2 * radius)):
        where, at = rng.uniform(0.1, 0.9) * radius, rng.uniform(0, 2 * np.pi)
        gx, gy = x - where * np.cos(at), y - where * np.sin(at)
        near = gx**2 + gy**2 < 16
        size = rng.uniform(0.5, 1.0)
        grain = np.exp(-(gx[near] ** 2 + gy[near] ** 2) / size**2)
        phase[near] += GRAIN_RAD * rng.uniform(0.5, 1.3) * grain


def _fibre(rng: np.random.Generator, phase: Field, x: Field, y: Field, reach: float) -> None:
    """A bent thread."""
    turn, off = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8) * reach
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn) - off
    across = across + rng.uniform(-3, 3) * np.cos(along / rng.uniform(5, 12) + rng.uniform(0, 6))
    phase += FIBRE_RAD * rng.uniform(0.5, 1) * np.exp(-((across / 0.7) ** 2))
