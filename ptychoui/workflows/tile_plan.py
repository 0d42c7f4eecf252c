"""Where the tiles of a field lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptychoui.errors import GeometryError
from ptychoui.optics.geometry.microscope import tile_limits, transforms_fast
from ptychoui.optics.reconstruction.stack_grids import free_border_px, object_upsampling, stack_sampling
from ptychoui.settings import Geometry, Reconstruct
from ptychoui.workflows.crop import CropRegion, leds_seen_from

LARGEST_TILE_PX = 256
SMALLEST_TILE_PX = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlan:
    """Where tiles lie.

    Attributes
    ----------
    windows
        The tiles, row by row; all of one size.
    shape
        (rows, columns) of the images in camera pixels.
    upsampling
        Object pixels per camera pixel, a whole number, so that the grids of all tiles coincide.
    """

    windows: tuple[CropRegion, ...]
    shape: tuple[int, int]
    tile_px: int
    overlap_px: int
    upsampling: int

    def pairs(self) -> list[tuple[int, int]]:
        """Tiles that share pixels."""
        found = []
        for a, first in enumerate(self.windows):
            for b in range(a + 1, len(self.windows)):
                second = self.windows[b]
                if max(abs(first.row - second.row), abs(first.column - second.column)) < self.tile_px:
                    found.append((a, b))
        return found


def plan_tiles(
    geometry: Geometry,
    shape: tuple[int, int],
    settings: Reconstruct,
    tile_px: int | None = None,
    overlap_px: int | None = None,
    leave_out: Sequence[int] = (),
) -> TilePlan:
    """Cut a field into tiles.

    Parameters
    ----------
    tile_px
        Edge of the tiles in camera pixels; by default what `tile_limits` allows, at most `LARGEST_TILE_PX`, so that
        its grid transforms fast.
    overlap_px
        Pixels that neighbours share; by default an eighth of the tile.

    Raises
    ------
    GeometryError
        If tiles of this size and overlap cannot be.
    """
    microscope = geometry.microscope
    if tile_px is None:
        limit = int(tile_limits(geometry).smallest_um / microscope.pixel_size_um)
        tile_px = min(LARGEST_TILE_PX, max(limit, SMALLEST_TILE_PX), *shape)
        pad = free_border_px(microscope) if settings.pad_px is None else settings.pad_px
        fast = [n for n in range(SMALLEST_TILE_PX, tile_px + 1) if transforms_fast(n + 2 * pad)]
        tile_px = max((n for n in fast if n % 2 == 0), default=tile_px)
    if tile_px > min(shape):
        raise GeometryError(
            f"tiles of {tile_px} pixels do not fit images of {shape[0]} x {shape[1]}", "use smaller tiles"
        )
    overlap = max(8, tile_px // 8) if overlap_px is None else overlap_px
    if not 4 <= overlap <= tile_px // 2:
        raise GeometryError(
            f"an overlap of {overlap} pixels does not suit tiles of {tile_px}",
            f"use 4 to {tile_px // 2} camera pixels",
        )
    windows = tuple(
        CropRegion(row=row, column=column, size_px=tile_px)
        for row in _starts(shape[0], tile_px, overlap)
        for column in _starts(shape[1], tile_px, overlap)
    )
    upsampling = settings.upsampling
    if upsampling is None:
        points = [window.field_point_um(shape, microscope.pixel_size_um) for window in windows]
        upsampling = max(
            object_upsampling(
                stack_sampling(microscope, leds_seen_from(geometry.array, point, leave_out), tile_px, settings.pad_px)
            )
            for point in points
        )
    return TilePlan(windows=windows, shape=shape, tile_px=tile_px, overlap_px=overlap, upsampling=upsampling)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    return [round(place) for place in np.linspace(0, length - tile, count)]
