"""Objects that are no anatomy: overlapping ellipses, a tree of vessels, and a test object of bars, spokes and dots.

They share no shape and no number with the heads of `ptychoui.mri.brain`, so that what is learned on one family can be
tested on another.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.mri.grids import Grid, Reals, inside, noise

Drawn = tuple[Reals, NDArray[np.bool_]]
"""Magnitude, (planes, rows, columns) of order 1, and where the object is, of the same shape."""


def ellipses(grid: Grid, generator: np.random.Generator) -> Drawn:
    """Draw a body full of overlapping ellipses, some sharp, some soft, some with texture or stripes.

    Parameters
    ----------
    grid
        Pixels, (planes, rows, columns).
    generator
        Source of every shape and signal.

    Returns
    -------
    Magnitude and support.
    """
    edge = 1.5 * grid.pixel
    half = np.array([1.2, -float(grid.y.min()), -float(grid.x.min())])
    size = half * np.array([1.0, *generator.uniform(0.72, 0.9, 2)])
    body = _ellipsoid(grid, np.zeros(3), size, generator.uniform(-0.15, 0.15))
    values = generator.uniform(0.3, 0.6) * inside(body, edge)
    for _ in range(generator.integers(20, 40)):
        angle, away = generator.uniform(0, 2 * math.pi), 0.88 * math.sqrt(generator.random())
        centre = size * np.array([0, away * math.sin(angle), away * math.cos(angle)])
        centre[0] = _level(grid, generator, beyond=0.1)
        lengths = np.exp(generator.uniform(math.log(0.03), math.log(0.35), 3))
        lengths[0] = max(lengths[0], 0.12)
        distance = np.minimum(_ellipsoid(grid, centre, lengths, generator.uniform(0, math.pi)), body - 0.02)
        soft = edge if generator.random() < 0.7 else generator.uniform(0.03, 0.12)
        weight = inside(distance, soft) * generator.uniform(-0.3, 0.4)
        kind = generator.random()
        if kind < 0.25:
            weight *= 1 + 0.4 * noise(grid, generator.uniform(0.012, 0.05), generator)
        elif kind < 0.45:
            angle, period = generator.uniform(0, math.pi), generator.uniform(0.03, 0.1)
            along = grid.y * math.cos(angle) + grid.x * math.sin(angle) + 0.2 * grid.z
            weight *= 1 + 0.6 * np.sin(2 * math.pi / period * along)
        values += weight
    values *= 1 + 0.03 * noise(grid, 0.01, generator)
    return np.clip(values, 0.02 * (body > 0), 1.6), np.asarray(body > 0)


def _level(grid: Grid, generator: np.random.Generator, beyond: float) -> float:
    """A place along z between the ends of the grid, or a little beyond them."""
    return generator.uniform(float(grid.z.min()) - beyond, float(grid.z.max()) + beyond)


def _ellipsoid(grid: Grid, centre: NDArray[np.float64], lengths: NDArray[np.float64], turn: float) -> Reals:
    """About the signed distance to the surface of an ellipsoid turned in its plane."""
    z, y, x = grid.z - centre[0], grid.y - centre[1], grid.x - centre[2]
    c, s = math.cos(turn), math.sin(turn)
    parts = (z / lengths[0], (c * y + s * x) / lengths[1], (c * x - s * y) / lengths[2])
    root = np.sqrt(sum(np.square(part) for part in parts) + 1e-6)
    steep = np.sqrt(sum(np.square(part / length) for part, length in zip(parts, lengths, strict=True)) + 1e-6) / root
    return np.asarray((1 - root) / steep)


def vessels(grid: Grid, generator: np.random.Generator) -> Drawn:
    """Draw bright vessels that branch and thin out in a dim body, as angiography shows them.

    A single plane shows all vessels projected on it.

    Parameters
    ----------
    grid
        Pixels, (planes, rows, columns).
    generator
        Source of every path and signal.

    Returns
    -------
    Magnitude and support.
    """
    half = np.array([0.8, -float(grid.y.min()), -float(grid.x.min())])
    size = half * np.array([1.6, *generator.uniform(0.78, 0.86, 2)])
    body = _ellipsoid(grid, np.zeros(3), size, 0.0) + 0.02 * noise(grid, 0.25, generator)
    values = inside(body, 3 * grid.pixel) * (0.16 + 0.03 * noise(grid, 0.08, generator))
    values *= 1 + 0.08 * noise(grid, 0.008, generator)
    fill = np.zeros(grid.shape)
    for _ in range(generator.integers(5, 9) * (1 if len(grid.z) == 1 else 3)):
        angle = generator.uniform(0, 2 * math.pi)
        start = 0.9 * size * np.array([0, math.sin(angle), math.cos(angle)])
        inward = -start / np.linalg.norm(start)
        start[0] = _level(grid, generator, beyond=0.0)
        _branch(grid, fill, start, inward, generator.uniform(0.018, 0.036), size, generator)
    flow = generator.uniform(0.85, 1.1) * (1 + 0.08 * noise(grid, 0.05, generator))
    values += fill * (flow - values) * inside(body, 3 * grid.pixel)
    return np.maximum(values, 0), np.asarray(body > 0)


def _branch(
    grid: Grid,
    fill: Reals,
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    radius: float,
    size: NDArray[np.float64],
    generator: np.random.Generator,
) -> None:
    """Walk along one vessel and those that leave it, stamping balls into ``fill`` (planes, rows, columns)."""
    left = [(start, direction, radius)]
    while left:
        place, heading, wide = left.pop()
        bend = generator.normal(0, 0.25, 3)
        for _ in range(int(generator.uniform(22, 45) / math.sqrt(wide / 0.04))):
            _stamp(grid, fill, place, wide)
            bend = 0.85 * bend + generator.normal(0, 0.12, 3)
            heading = heading + 0.35 * bend
            heading /= np.linalg.norm(heading)
            place = place + heading * 0.5 * max(wide, grid.pixel)
            wide *= 0.996
            if np.sum((place / size) ** 2) > 1:
                break
        else:
            if wide > 0.005:
                for share in (generator.uniform(0.7, 0.9), generator.uniform(0.5, 0.75)):
                    left.append((place, heading + generator.normal(0, 0.6, 3), wide * share))


def _stamp(grid: Grid, fill: Reals, centre: NDArray[np.float64], radius: float) -> None:
    """A ball; where the grid is one plane, the ball's shadow on it."""
    edge = 1.5 * grid.pixel
    part = []
    for axis, middle in zip((grid.z, grid.y, grid.x), centre, strict=True):
        flat = axis.ravel()
        if flat.size == 1:
            part.append(slice(0, 1))
            continue
        first, last = np.searchsorted(flat, [middle - radius - edge, middle + radius + edge])
        part.append(slice(int(first), int(last)))
    z = (grid.z[part[0]] - centre[0]) if len(grid.z) > 1 else 0.0
    y, x = grid.y[:, part[1]] - centre[1], grid.x[:, :, part[2]] - centre[2]
    place = (part[0], part[1], part[2])
    fill[place] = np.maximum(fill[place], inside(radius - np.sqrt(z * z + y * y + x * x), edge))


def bars(grid: Grid, generator: np.random.Generator) -> Drawn:
    """Draw a phantom as quality tests use it: bars, spokes, dots and wedges of many widths in a bottle.

    Parameters
    ----------
    grid
        Pixels, (planes, rows, columns); the inserts turn slowly along z.
    generator
        Source of every insert.

    Returns
    -------
    Magnitude and support.
    """
    edge = 1.5 * grid.pixel
    radius = generator.uniform(0.8, 0.92) * min(-float(grid.y.min()), -float(grid.x.min()))
    bottle = radius - np.hypot(grid.y, grid.x) + np.zeros_like(grid.z)
    values = generator.uniform(0.6, 0.9) * inside(bottle, edge)
    turn = generator.uniform(0, math.pi) + 0.35 * grid.z
    c, s = np.cos(turn), np.sin(turn)
    u, v = c * grid.y + s * grid.x, c * grid.x - s * grid.y
    count = int(generator.integers(3, 5))
    cell = 1.5 * radius / count
    for row in range(count):
        for column in range(count):
            a = u - cell * (row - (count - 1) / 2)
            b = v - cell * (column - (count - 1) / 2)
            distance = _insert(a, b, 0.42 * cell, generator)
            values += inside(distance, edge) * inside(bottle - 0.03, edge) * (generator.uniform(0, 1.3) - values)
    values *= 1 + 0.02 * noise(grid, 0.02, generator)
    return np.maximum(values, 0), np.asarray(bottle > 0)


def _insert(a: Reals, b: Reals, size: float, generator: np.random.Generator) -> Reals:
    """Signed distance to one insert around the origin of two coordinates, no wider than ``size``."""
    kind = generator.integers(5)
    angle = generator.uniform(0, math.pi)
    a, b = math.cos(angle) * a + math.sin(angle) * b, math.cos(angle) * b - math.sin(angle) * a
    box = size - np.maximum(np.abs(a), np.abs(b))
    period = size * generator.uniform(0.12, 0.6)
    if kind == 0:  # bars
        shape = np.sin(2 * math.pi * a / period) * period / (2 * math.pi)
    elif kind == 1:  # spokes
        spokes = int(generator.integers(6, 16))
        away = np.hypot(a, b)
        shape = np.minimum(np.sin(spokes * np.arctan2(a, b)) * away / spokes, size - away)
    elif kind == 2:  # dots in rows
        shape = 0.3 * period - np.hypot(a - period * np.round(a / period), b - period * np.round(b / period))
    elif kind == 3:  # a wedge
        shape = np.minimum(b + size, (size - b) * generator.uniform(0.1, 0.5) - np.abs(a))
    else:  # rings
        shape = np.sin(2 * math.pi * np.hypot(a, b) / period) * period / (2 * math.pi)
    return np.asarray(np.minimum(shape, box))
