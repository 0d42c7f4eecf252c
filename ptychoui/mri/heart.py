"""A slice through the chest with a beating heart: its wall thickens while it empties, and the chest stays still."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.mri.grids import Grid, Reals, inside, noise

SYSTOLE = 0.38
"""Share of the cycle at which the chamber is smallest."""


def contraction(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the heart has contracted, 0 to 1, at phases of the cycle (frame,); period 1, smooth everywhere.

    It contracts faster than it fills: a raised cosine whose time is stretched so that its top lies at `SYSTOLE`.
    """
    wrapped = phase % 1
    ahead = (0.5 - SYSTOLE) / (1 - math.cos(2 * math.pi * SYSTOLE))
    late = wrapped + ahead * (1 - np.cos(2 * math.pi * wrapped))
    return np.asarray(0.5 - 0.5 * np.cos(2 * math.pi * late))


def heart(grid: Grid, frames: int, generator: np.random.Generator) -> tuple[Reals, NDArray[np.bool_]]:
    """Draw one cycle of a beating heart, in a chest that does not move.

    Parameters
    ----------
    grid
        Pixels of one plane, (1, rows, columns).
    frames
        Number of frames over one cycle; the one after the last is the first again.
    generator
        Source of every shape, signal and speed.

    Returns
    -------
    Magnitude, (frames, rows, columns) of order 1, and where the chest is, of the same shape.
    """
    edge = 1.5 * grid.pixel
    y, x = grid.y[0], grid.x[0]
    centre = generator.normal(0, 0.04, 2) + np.array([-0.04, 0.12])
    chest, still, blood = _chest(grid, centre, generator)
    outer = generator.uniform(0.22, 0.27)
    inner = outer * generator.uniform(0.64, 0.72)
    strength = generator.uniform(0.3, 0.42)
    muscle = generator.uniform(0.32, 0.42)
    turn = generator.uniform(-0.3, 0.3)
    lumps = [(generator.uniform(0, 2 * math.pi), generator.uniform(0.1, 0.16)) for _ in range(2)]
    grain = noise(grid, 0.02, generator)[0]
    squeezed = contraction(np.arange(frames) / frames + generator.random())
    values = np.empty((frames, *grid.shape[1:]))
    for frame, amount in enumerate(squeezed):
        hole = inner * (1 - strength * amount)
        # The muscle keeps its area in the slice but for a tenth, which moves in from above: so the wall thickens.
        wall = math.sqrt(hole**2 + (outer**2 - inner**2) * (1 + 0.1 * amount))
        dy, dx = y - centre[0] - 0.02 * amount, x - centre[1]
        angle = np.arctan2(dy, dx)
        away = np.hypot(dy, dx) / (1 + 0.05 * np.cos(2 * (angle - turn)))
        image = still.copy()
        right = _right_chamber(dy, dx, outer, wall, amount)
        image += inside(right + 0.022, edge) * (muscle - image)
        image += inside(right, edge) * (0.95 * blood - image)
        image += inside(wall - away, edge) * (muscle * (1 + 0.06 * grain) - image)
        pool = hole - away
        for where, wide in lumps:
            reach = hole - 0.5 * wide * hole
            lump = np.hypot(dy - reach * math.sin(where), dx - reach * math.cos(where)) - wide * inner * 0.9
            pool = np.minimum(pool, lump)
        image += inside(pool, edge) * (blood * (1 + 0.03 * grain) - image)
        values[frame] = image
    values *= 1 + 0.02 * noise(grid, 0.008, generator)
    return np.maximum(values, 0), np.broadcast_to(chest > 0, values.shape).copy()


def _right_chamber(dy: Reals, dx: Reals, outer: float, wall: float, amount: float) -> Reals:
    """Signed distance to the crescent that lies around the left chamber's wall, to its left in the picture."""
    shrink = 1 - 0.22 * amount
    bowl = outer * 1.02 * shrink - np.hypot((dy - 0.02) / 1.12, dx + 0.68 * outer + 0.04 * amount)
    return np.asarray(np.minimum(bowl, np.hypot(dy, dx) - wall - 0.006))


def _chest(grid: Grid, centre: NDArray[np.float64], generator: np.random.Generator) -> tuple[Reals, Reals, float]:
    """Signed distance into the chest and its still picture, (rows, columns) each, and the signal of blood."""
    edge = 1.5 * grid.pixel
    y, x = grid.y[0], grid.x[0]
    half_y, half_x = -float(grid.y.min()), -float(grid.x.min())
    tall, wide = generator.uniform(0.68, 0.78) * half_y, generator.uniform(0.82, 0.89) * half_x
    power = 2.6  # a chest is broader than an ellipse
    root = ((np.abs(y) / tall) ** power + (np.abs(x) / wide) ** power + 1e-9) ** (1 / power)
    chest = (1 - root) * min(tall, wide) + 0.012 * noise(grid, 0.2, generator)[0]
    blood, fat, muscle, lung = 0.95, generator.uniform(0.85, 1.1), generator.uniform(0.3, 0.4), 0.08
    layer = generator.uniform(0.05, 0.09) * (1 + 0.25 * noise(grid, 0.2, generator)[0])
    image = fat * inside(chest, edge)
    image += inside(chest - layer, edge) * (muscle - image)
    ribs = np.sin(generator.uniform(9, 13) * np.arctan2(y, x)) * 0.03 - np.abs(chest - layer - 0.05) + 0.005
    image += inside(ribs, edge) * (0.6 - image)
    hollow = chest - layer - 0.1
    bump = 0.02 * noise(grid, 0.1, generator)[0]
    away = np.hypot(y - centre[0], (x - centre[1] + 0.08) / 1.15)
    lungs = np.minimum(hollow, away - 0.36 + bump)
    # The middle of the chest is no lung: it holds the great vessels behind the heart.
    lungs = np.minimum(lungs, np.abs(x + 0.04) + 0.25 * np.maximum(0, -y) - 0.14 + bump)
    branches = 0.12 * inside(np.abs(noise(grid, 0.022, generator)[0]) - 1.5, 0.6)
    image += inside(lungs, 2 * edge) * (lung + branches - image)
    fatty = np.minimum(np.minimum(0.38 - away, hollow), chest) + bump
    image += inside(fatty, 2 * edge) * (0.62 * fat - image)
    liver = np.minimum(hollow + 0.03, y - 0.32 * half_y - 0.25 * x + bump)
    liver = np.minimum(liver, 0.25 - x)
    spotted = generator.uniform(0.42, 0.55) * (1 + 0.08 * noise(grid, 0.015, generator)[0])
    image += inside(liver, 2 * edge) * (spotted - image)
    for row, column, radius, signal in (
        (0.62 * tall, 0.0, 0.13, 0.45),
        (0.62 * tall, 0.0, 0.045, 0.9),
        (0.46 * tall, 0.17, 0.07, blood),
    ):
        disc = radius - np.hypot(y - row, x - column + 0.02)
        image += inside(disc, edge) * (signal - image)
    image *= 1 + 0.05 * noise(grid, 0.05, generator)[0]
    return chest, image, blood
