"""In which order the LEDs of lattices and square spirals are numbered. Standard library only.

A site is (row, column), counted from 0 at the top left; rows run down, columns to the right.
"""

from __future__ import annotations

import math
from functools import lru_cache

from ptychoui.errors import GeometryError

Sites = tuple[tuple[int, int], ...]
_MOVES = {"+x": (1, 0), "-x": (-1, 0), "+y": (0, 1), "-y": (0, -1)}


@lru_cache(maxsize=16)
def by_lines(rows: int, columns: int, along: str, serpentine: bool) -> Sites:
    """Sites line after line: ``along`` is ``rows`` or ``columns``; every second line backwards if ``serpentine``."""
    lines, length = (rows, columns) if along == "rows" else (columns, rows)
    sites = []
    for line in range(lines):
        places = range(length - 1, -1, -1) if serpentine and line % 2 else range(length)
        sites += [(line, place) if along == "rows" else (place, line) for place in places]
    return tuple(sites)


@lru_cache(maxsize=16)
def by_tiles(rows: int, columns: int, tile: tuple[int, int], serpentine: bool, serpentine_tiles: bool) -> Sites:
    """Sites tile after tile, row by row inside a tile of ``tile`` rows and columns.

    Raises
    ------
    GeometryError
        If the lattice is not a whole number of tiles.
    """
    if rows % tile[0] or columns % tile[1]:
        raise GeometryError(
            f"a lattice of {rows} x {columns} LEDs is not made of whole tiles of {tile[0]} x {tile[1]}",
            "tile_rows must divide rows, and tile_columns must divide columns",
        )
    inside = by_lines(*tile, "rows", serpentine)
    tiles = by_lines(rows // tile[0], columns // tile[1], "rows", serpentine_tiles)
    return tuple((y * tile[0] + row, x * tile[1] + column) for y, x in tiles for row, column in inside)


@lru_cache(maxsize=16)
def by_radius(rows: int, columns: int, center: tuple[float, float], start_deg: float, clockwise: bool) -> Sites:
    """Sites by their distance from ``center``; those of equal distance by their angle from ``start_deg`` on."""

    def key(site: tuple[int, int]) -> tuple[float, float]:
        x, y = site[1] - center[1], center[0] - site[0]
        turn = math.degrees(math.atan2(y, x)) - start_deg
        # Rounded, so that equal distances are equal and the first angle is 0 and not just below 360.
        return round(x * x + y * y, 9), round(-turn if clockwise else turn, 9) % 360

    return tuple(sorted(by_lines(rows, columns, "rows", False), key=key))


def spiral(count: int, steps: str) -> tuple[tuple[int, int], ...]:
    """Places (x, y) of a square spiral from (0, 0), in pitches: runs of 1, 1, 2, 2, 3, 3, ... steps.

    Parameters
    ----------
    count
        Number of LEDs.
    steps
        Directions of the runs, four of ``+x -x +y -y``, +y up.

    Raises
    ------
    GeometryError
        If ``steps`` is anything else.
    """
    directions = [steps[i : i + 2] for i in range(0, len(steps), 2)]
    if len(directions) != 4 or any(d not in _MOVES for d in directions):
        raise GeometryError(f"spiral_steps {steps!r} is not four of +x -x +y -y", "for example '+x+y-x-y'")
    points, x, y, run = [(0, 0)], 0, 0, 0
    while len(points) < count:
        dx, dy = _MOVES[directions[run % 4]]
        for _ in range(run // 2 + 1):
            x, y = x + dx, y + dy
            points.append((x, y))
        run += 1
    return tuple(points[:count])
