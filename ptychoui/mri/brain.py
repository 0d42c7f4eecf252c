"""Heads: scalp, skull and a brain with folds, ventricles, nuclei and lesions, in several contrasts; all of it drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.mri.grids import Grid, Reals, inside, level_distance, noise

TISSUES = ("scalp", "skull", "fluid", "grey", "white", "nuclei", "lesion")

CONTRASTS: dict[str, tuple[float, ...]] = {
    "T1": (1.00, 0.12, 0.18, 0.55, 0.85, 0.68, 0.42),
    "T2": (0.55, 0.08, 1.00, 0.62, 0.42, 0.50, 0.85),
    "FLAIR": (0.60, 0.08, 0.12, 0.72, 0.55, 0.66, 1.00),
    "PD": (0.70, 0.15, 0.90, 0.80, 0.62, 0.72, 0.86),
}
"""Signal of each of `TISSUES`, relative; drawn brains lie between two of these."""


def brain(grid: Grid, generator: np.random.Generator) -> tuple[Reals, NDArray[np.bool_]]:
    """Draw a head as a slice through it shows it, front upwards.

    Parameters
    ----------
    grid
        Pixels; z runs from the skull base (-1) to the crown (1).
    generator
        Source of every shape, contrast and texture.

    Returns
    -------
    Magnitude, (planes, rows, columns) of order 1, and where the head is, of the same shape.
    """
    head = _Head.drawn(grid, generator)
    edge = 1.5 * grid.pixel
    signal = dict(zip(TISSUES, _contrast(generator), strict=True))
    depth = head.depth
    values = signal["scalp"] * inside(depth, edge) * (1 + 0.08 * noise(grid, 0.03, generator))
    bone = inside(depth - head.scalp, edge)
    values += bone * (signal["skull"] - values)
    marrow = inside(depth - head.scalp - 0.022, 0.012) * inside(head.scalp + head.skull - 0.014 - depth, 0.012)
    values += 0.35 * marrow * (signal["scalp"] - values) * inside(noise(grid, 0.06, generator), 1.5)
    brain_depth = depth - head.scalp - head.skull
    values += inside(brain_depth, edge) * (signal["fluid"] - values)
    for name, distance in _tissue(grid, head, brain_depth, generator):
        values += inside(distance, edge) * (signal[name] - values)
    for distance, softness in _lesions(grid, brain_depth, generator):
        values += inside(distance, softness) * (signal["lesion"] - values)
    texture = 0.025 * noise(grid, 0.006, generator) + 0.03 * noise(grid, 0.03, generator)
    values *= 1 + texture
    return np.maximum(values, 0), np.asarray(depth > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Outline and thickness of the shells; ``depth`` (planes, rows, columns) is the distance below the skin."""

    depth: Reals
    scalp: Reals
    skull: float
    long: float
    short: float
    turn: float

    @classmethod
    def drawn(cls, grid: Grid, generator: np.random.Generator) -> _Head:
        half_y, half_x = -float(grid.y.min()), -float(grid.x.min())
        long = generator.uniform(0.84, 0.93) * min(half_y, half_x / 0.8)
        short = long * generator.uniform(0.76, 0.86)
        turn = generator.normal(0, 0.06)
        u, v = _turned(grid, turn)
        # A head is egg shaped, wider behind, and an ellipsoid along z; the root of the quadric is near a distance.
        wide = short * (1 + 0.07 * np.clip(u / long, -1, 1))
        tall = generator.uniform(1.0, 1.15)
        quadric = np.sqrt((u / long) ** 2 + (v / wide) ** 2 + (grid.z / tall) ** 2 + 1e-6)
        steep = np.sqrt((u / long**2) ** 2 + (v / wide**2) ** 2 + (grid.z / tall**2) ** 2 + 1e-6) / quadric
        depth = (1 - quadric) / steep + 0.012 * noise(grid, 0.22, generator)
        scalp = generator.uniform(0.045, 0.07) * (1 + 0.25 * noise(grid, 0.3, generator))
        return cls(
            depth=depth,
            scalp=np.clip(scalp, 0.025, 0.1),
            skull=generator.uniform(0.05, 0.07),
            long=long,
            short=short,
            turn=turn,
        )


def _turned(grid: Grid, turn: float) -> tuple[Reals, Reals]:
    """Coordinates along the head, backwards, and across it."""
    c, s = np.cos(turn), np.sin(turn)
    return c * grid.y + s * grid.x, c * grid.x - s * grid.y


def _tissue(grid: Grid, head: _Head, depth: Reals, generator: np.random.Generator) -> list[tuple[str, Reals]]:
    """Signed distances into the tissues of the brain, in the order they are painted over the fluid."""
    u, v = _turned(grid, head.turn)
    u, v = u / head.long, v / head.short
    thick = generator.uniform(0.026, 0.034)
    gap = generator.uniform(0.003, 0.007)
    # Where smooth noise crosses zero run curves that meander and never end: the bottoms of sulci.
    folds = np.abs(level_distance(noise(grid, generator.uniform(0.03, 0.04), generator), grid))
    reach = generator.uniform(0.16, 0.24) + 0.05 * noise(grid, 0.15, generator)
    fade = np.maximum(0, depth - reach) * 0.9
    wobble = 0.012 * noise(grid, 0.12, generator)
    midline = np.abs(v + wobble) * head.short
    bridge = np.hypot(u / 0.42, v / 0.3) - 1  # the halves are joined around the ventricles
    fissure = midline + np.maximum(0, -bridge) * 0.4
    outer = np.minimum(np.minimum(depth - 0.004, folds + fade - gap), fissure - gap)
    size = generator.uniform(0.8, 1.35)
    ventricles = _ventricles(u, v + wobble, grid, size, generator) * head.short
    painted = [("grey", outer), ("white", outer - thick)]
    for row, column, long, short, tilt in ((0.02, 0.14, 0.15, 0.085, 0.3), (-0.06, 0.36, 0.2, 0.075, 0.18)):
        side = np.abs(v) - column
        away = u - row
        c, s = np.cos(tilt), np.sin(tilt)
        body = 1 - np.hypot((c * away + s * side) / long, (c * side - s * away) / short)
        lifted = np.maximum(0, np.abs(grid.z) - 0.25)
        painted.append(("nuclei", ((body - 3 * lifted) * short * head.short)))
    return [*painted, ("fluid", ventricles)]


def _ventricles(u: Reals, v: Reals, grid: Grid, size: float, generator: np.random.Generator) -> Reals:
    """Two horns to the front, two to the back and a slit between them."""
    shrink = np.clip(1 - 1.2 * np.abs(grid.z - 0.1), 0.05, 1) * size
    uneven = 1 + generator.normal(0, 0.08) * np.sign(v)
    side = np.abs(v) / uneven
    best = np.full(np.broadcast_shapes(u.shape, grid.z.shape), -1)
    for row, column, long, short, tilt, bend in (
        (-0.22, 0.11, 0.15, 0.045, -0.30, -1.8),
        (0.24, 0.24, 0.19, 0.050, 0.50, -1.2),
        (0.0, 0.10, 0.16, 0.030, 0.15, 0.6),
        (0.06, 0.0, 0.10, 0.014, 0.0, 0.0),
    ):
        away, across = u - row, side - column
        across = across + bend * away**2
        c, s = np.cos(tilt), np.sin(tilt)
        body = 1 - np.hypot((c * away + s * across) / (long * shrink), (c * across - s * away) / (short * shrink))
        best = np.maximum(best, body * short * shrink)
    return best


def _lesions(grid: Grid, depth: Reals, generator: np.random.Generator) -> list[tuple[Reals, float]]:
    """None to five spots inside the brain, as signed distances with the width of their edge."""
    spots = []
    for _ in range(generator.integers(0, 6)):
        row, column = generator.uniform(-0.5, 0.5, 2)
        plane = float(grid.z.flat[0]) if grid.z.size == 1 else generator.uniform(-0.3, 0.3)
        size = np.exp(generator.uniform(np.log(0.015), np.log(0.09)))
        ragged = 1 + 0.2 * noise(grid, 0.04, generator)
        away = np.sqrt((grid.y - row) ** 2 + (grid.x - column) ** 2 + (grid.z - plane) ** 2)
        spots.append((np.minimum(size * ragged - away, depth - 0.03), generator.uniform(0.012, 0.05)))
    return spots


def _contrast(generator: np.random.Generator) -> Reals:
    """Signals of the tissues between two of the known contrasts, nearer to one of them."""
    first, second = generator.choice(len(CONTRASTS), 2, replace=False)
    table = np.array([*CONTRASTS.values()])
    mixed = table[first] + generator.uniform(0, 0.15) * (table[second] - table[first])
    return np.asarray(mixed * generator.uniform(0.95, 1.05, len(TISSUES)))
