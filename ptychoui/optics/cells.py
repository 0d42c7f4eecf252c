"""Drawn cells: phase objects that look like a smear under a phase microscope, from a seed. NumPy only.

A cell is a bump of optical path with a wavy outline, a denser nucleus with nucleoli, granules near the limit of what
the synthetic aperture resolves, and thin threads that leave it. Phase is what thickness does to light; absorption is
weak. Values are rounded to `GRAIN`, far below the noise, so that the same seed makes the same array on any processor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import TrainingSet
from ptychoui.optics.objects import training_set

GRAIN = 2.0**-10
"""Step of the real and imaginary parts."""

BODY_RAD, NUCLEUS_RAD, GRANULE_RAD, THREAD_RAD = 0.75, 0.4, 0.35, 0.45
"""Phase at the middle of each part."""

ABSORPTION = 0.12
"""Of the densest part of a cell."""

Field = NDArray[np.float64]


def cell_objects(pixel_size_um: float, object_px: int, slides: int, seed: int) -> TrainingSet:
    """Slides with cells, each a source of its own: what is learned on some is shown on others.

    Parameters
    ----------
    pixel_size_um
        Object pixel in um.
    object_px
        Edge of each object in pixels.
    slides
        How many objects, (slides, object_px, object_px) complex in all.
    """
    objects = [cells(np.random.default_rng([seed, slide]), pixel_size_um, object_px) for slide in range(slides)]
    return training_set(
        objects,
        np.arange(slides),
        pixel_size_um,
        tuple(f"slide {slide + 1}" for slide in range(slides)),
        source=f"drawn cells, seed {seed}",
        layout="simulation",
        notes=("cells that are drawn, not measured: bodies of 16 to 34 um, granules of 1.2 to 2.2 um",),
    )


def cells(rng: np.random.Generator, pixel_size_um: float, object_px: int) -> NDArray[np.complex64]:
    """One slide, (object_px, object_px) complex transmission: exp(i phase) with weak absorption."""
    at = (np.arange(object_px) - (object_px - 1) / 2) * pixel_size_um
    y, x = np.meshgrid(at, at, indexing="ij")
    reach = object_px * pixel_size_um / 2
    phase, dense = np.zeros_like(x), np.zeros_like(x)
    for x0, y0, radius in _places(rng, reach):
        _add_cell(rng, phase, dense, x - x0, y - y0, radius)
    _add_threads(rng, phase, x, y, reach)
    amplitude = 1 - ABSORPTION * np.clip(dense, 0, 1)
    turned = amplitude * np.exp(1j * (phase - phase.mean()))
    rounded = np.round(turned.real / GRAIN) + 1j * np.round(turned.imag / GRAIN)
    return np.asarray(GRAIN * rounded, dtype=np.complex64)


def _places(rng: np.random.Generator, reach: float) -> list[tuple[float, float, float]]:
    """Centres and radii of cells that hardly overlap, one of them near the middle."""
    found = [(rng.uniform(-0.15, 0.15) * reach, rng.uniform(-0.15, 0.15) * reach, rng.uniform(13, 17))]
    for _ in range(200):
        x0, y0 = rng.uniform(-1.05, 1.05, 2) * reach
        radius = rng.uniform(8, 14)
        if all(np.hypot(x0 - x1, y0 - y1) > 0.92 * (radius + other) for x1, y1, other in found):
            found.append((x0, y0, radius))
    return found


def _add_cell(rng: np.random.Generator, phase: Field, dense: Field, x: Field, y: Field, radius: float) -> None:
    """Add a cell around (0, 0) of coordinates (row, column) in um to the phase and to what absorbs."""
    angle, away = np.arctan2(y, x), np.hypot(x, y)
    outline = np.full_like(x, radius)
    for order in (2, 3, 4, 5, 7):
        outline *= 1 + rng.normal(0, 0.16 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    depth = 1 - (away / outline) ** 2
    inside = depth > 0
    body = BODY_RAD * rng.uniform(0.8, 1.1)
    # A membrane that stands out a little, as it does where a cell curves down to the glass.
    rim = 0.22 * np.exp(-(((away / outline - 0.97) * radius / 0.9) ** 2))
    phase += np.where(inside, body * np.sqrt(np.clip(depth, 0, 1)), 0) + rim
    turn, where = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3) * radius
    nx, ny = x - where * np.cos(turn), y - where * np.sin(turn)
    long, wide = 0.42 * radius * rng.uniform(0.9, 1.15), 0.42 * radius * rng.uniform(0.7, 0.9)
    along, across = nx * np.cos(turn) + ny * np.sin(turn), ny * np.cos(turn) - nx * np.sin(turn)
    nucleus = _disc(1 - np.hypot(along / long, across / wide), 0.12)
    phase += NUCLEUS_RAD * nucleus
    dense += 0.8 * nucleus + 0.2 * inside
    for _ in range(int(rng.integers(1, 4))):
        r, t = rng.uniform(0, 0.5), rng.uniform(0, 2 * np.pi)
        _add_spot(phase, nx - r * long * np.cos(t), ny - r * wide * np.sin(t), 1.1, 0.5)
    for _ in range(int(1.5 * radius)):
        r, t = rng.uniform(0.45, 0.88) * radius, rng.uniform(0, 2 * np.pi)
        size = rng.uniform(0.6, 1.1)
        _add_spot(phase, x - r * np.cos(t), y - r * np.sin(t), size, GRANULE_RAD * rng.uniform(0.6, 1.4))


def _disc(height: Field, softness: float) -> Field:
    """1 where ``height`` is well above zero, 0 where it is well below, a soft edge between."""
    return np.asarray(1 / (1 + np.exp(-np.clip(height / softness * 4, -40, 40))))


def _add_spot(phase: Field, x: Field, y: Field, radius: float, height: float) -> None:
    near = (np.abs(x) < 4 * radius) & (np.abs(y) < 4 * radius)
    phase[near] += height * np.exp(-((x[near] ** 2 + y[near] ** 2) / radius**2))


def _add_threads(rng: np.random.Generator, phase: Field, x: Field, y: Field, reach: float) -> None:
    """Thin bent threads between cells."""
    for _ in range(9):
        turn, off = rng.uniform(0, 2 * np.pi), rng.uniform(-0.9, 0.9) * reach
        middle, length = rng.uniform(-0.6, 0.6) * reach, rng.uniform(18, 40)
        along = x * np.cos(turn) + y * np.sin(turn) - middle
        across = y * np.cos(turn) - x * np.sin(turn) - off
        across = across - rng.uniform(-4, 4) * np.sin(2 * np.pi * along / length + rng.uniform(0, 6))
        ends = np.exp(-((along / (length / 2)) ** 8))
        phase += THREAD_RAD * rng.uniform(0.5, 1) * ends * np.exp(-((across / 0.8) ** 2))
