"""A field cut into overlapping tiles that are reconstructed one by one and put together again.

The curvature of the light, which differs from tile to tile by a slope, is no part of the tiles' objects (see
`curvature`). What then remains between tiles is a global phase and a scale each, found by least squares over all
overlaps.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, array_sha256, release
from ptychoui.data.files import json_text, make_folder, write_atomic
from ptychoui.data.results import StoredReconstruction, load_reconstruction, save_reconstruction
from ptychoui.errors import DataError, GeometryError, RunError
from ptychoui.optics.microscope import tile_limits, transforms_fast
from ptychoui.optics.reconstruct import StackReconstruction, curvature
from ptychoui.optics.reconstruct_file import Window, image_places, leds_seen_from, record_of, stored_tiles
from ptychoui.optics.stack_model import free_border_px, object_upsampling, stack_sampling
from ptychoui.settings import Geometry, Reconstruct, to_toml

LARGEST_TILE_PX = 256
SMALLEST_TILE_PX = 24
MARGIN_SHARE = 0.25
"""Share of an overlap, at the edge of each tile, that is not used: there light comes in from outside the tile."""

ComplexArray = NDArray[np.complex64]


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

    windows: tuple[Window, ...]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProgress:
    """One more pass over one tile, or a tile that was finished (``done``) now or, where resumed, earlier."""

    tile: int
    tiles: int
    number: int
    passes: int
    residual: float
    done: bool
    resumed: bool = False


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
        Window(row=row, column=column, size_px=tile_px)
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


def _doubts(remarks: Sequence[Sequence[str]]) -> list[str]:
    """What is said of single tiles, for all of them: how many, and what of the first."""
    doubtful = [said for said in remarks if said]
    return [f"{len(doubtful)} of {len(remarks)} tiles: {text}" for text in (doubtful[0] if doubtful else [])]


class FieldReconstruction:
    """All tiles of a stack; finished ones are kept one by one in a folder, so that a killed run can go on.

    Tiles do not depend on each other: a run that goes on gives the same bits as one that was never stopped, on the same
    machine and number of threads.

    Parameters
    ----------
    stack
        With a geometry; its images may be mapped, no more than a tile of them is read at a time.
    folder
        Where finished tiles are kept; made if it is not there.
    resume
        Use tiles that are there already. Without it a folder that holds tiles is refused.

    Raises
    ------
    RunError
        If the folder holds tiles of other data, geometry or settings, or tiles that were not asked for.
    """

    def __init__(
        self,
        stack: ImageStack,
        settings: Reconstruct,
        plan: TilePlan,
        folder: str | Path,
        resume: bool = False,
        leave_out: Sequence[int] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        assert stack.geometry is not None
        self.stack, self.plan, self.geometry = stack, plan, stack.geometry
        self.settings = settings.replace(upsampling=plan.upsampling)
        self.folder, self._leave_out, self._device = Path(folder), tuple(leave_out), device
        self._prepare(resume)

    # The folder ---------------------------------------------------------------------------------------

    def _fingerprint(self) -> dict[str, Any]:
        """All that a tile depends on."""
        return {
            "data": self.stack.provenance.sha256,
            # What was done to the images when they were read: dark level, exposures, brightness, stray light.
            "images": array_sha256(np.array(self.stack.images[:, self.stack.images.shape[1] // 2])),
            "geometry": to_toml(self.geometry),
            "settings": to_toml(self.settings),
            "tiles": [self.plan.tile_px, self.plan.overlap_px, *self.plan.shape],
            "LEDs left out": sorted(self._leave_out),
        }

    def _prepare(self, resume: bool) -> None:
        name, mine = self.folder / "fingerprint.json", self._fingerprint()
        try:
            make_folder(self.folder, RunError)
            for leftover in self.folder.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
            theirs = json.loads(name.read_text(encoding="utf-8")) if name.exists() else None
        except OSError as error:
            raise RunError(f"cannot use the folder {self.folder}: {error.strerror}", "choose another place") from None
        except ValueError:
            theirs = {}
        if theirs is None:
            write_atomic(name, json_text(mine), RunError)
            return
        if not resume:
            raise RunError(
                f"{self.folder} holds tiles of an earlier run", "go on with it by --resume, or remove the folder"
            )
        if not isinstance(theirs, dict) or theirs != mine:
            other = [key for key in mine if not isinstance(theirs, dict) or theirs.get(key) != mine[key]]
            raise RunError(
                f"{self.folder} holds tiles of another run: {', '.join(other)} differ",
                "use the same file, geometry and settings, or remove the folder",
            )

    def _path(self, tile: int) -> Path:
        return self.folder / f"tile-{tile:05d}.h5"

    def _kept(self, tile: int) -> StoredReconstruction | None:
        """A finished tile; a damaged one counts as none."""
        if not self._path(tile).exists():
            return None
        with suppress(DataError):
            return load_reconstruction(self._path(tile))
        return None

    def clear(self) -> None:
        """Remove the finished tiles, once the whole field is kept elsewhere."""
        with suppress(OSError):
            for path in (*self.folder.glob("tile-*.h5"), self.folder / "fingerprint.json"):
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    # The tiles ----------------------------------------------------------------------------------------

    def run(self) -> Iterator[FieldProgress]:
        """Reconstruct what is missing; stop iterating at any time, finished tiles are kept."""
        tiles = len(self.plan.windows)
        for tile in range(tiles):
            kept = self._kept(tile)
            if kept is not None:
                yield FieldProgress(
                    tile=tile,
                    tiles=tiles,
                    number=kept.passes,
                    passes=self.settings.passes,
                    residual=kept.fitted_residual,
                    done=True,
                    resumed=True,
                )
                continue
            yield from self._reconstruct(tile)

    def _reconstruct(self, tile: int) -> Iterator[FieldProgress]:
        window, tiles, start = self.plan.windows[tile], len(self.plan.windows), time.perf_counter()
        point = window.field_point_um(self.plan.shape, self.geometry.microscope.pixel_size_um)
        leds = leds_seen_from(self.geometry.array, point, self._leave_out)
        places = image_places(self.stack, leds, self.stack.provenance.source)
        rows = slice(window.row, window.row + window.size_px)
        columns = slice(window.column, window.column + window.size_px)
        images = np.array(self.stack.images[:, rows, columns])[places]
        release(self.stack.images)
        light = curvature(self.geometry, point)
        work = StackReconstruction(self.geometry, images, self.settings, leds, self._device, curvature_per_um=light)
        number, residual = 0, math.nan
        for done in work.run():
            number, residual = done.number, done.residual
            yield FieldProgress(
                tile=tile, tiles=tiles, number=number, passes=done.passes, residual=residual, done=False
            )
        result = work.result()
        record = record_of(self.stack, time.perf_counter() - start, False, remarks=result.remarks)
        found = stored_tiles([result], [window], self.settings, record)
        save_reconstruction(self._path(tile), found)
        yield FieldProgress(
            tile=tile,
            tiles=tiles,
            number=number,
            passes=self.settings.passes,
            residual=found.fitted_residual,
            done=True,
        )

    # The field ----------------------------------------------------------------------------------------

    def tiles(self) -> list[StoredReconstruction]:
        """All tiles.

        Raises
        ------
        RunError
            If one is missing or damaged.
        """
        found = []
        for number in range(len(self.plan.windows)):
            tile = self._kept(number)
            if tile is None:
                raise RunError(f"tile {number} is not finished", "go on with --resume")
            found.append(tile)
        return found

    def result(self) -> StoredReconstruction:
        """The whole field, once all tiles are finished.

        Raises
        ------
        RunError
            If a tile is missing.
        """
        tiles = self.tiles()
        factors = match(self.plan, [tile.object for tile in tiles])
        image = blend(self.plan, [tile.object for tile in tiles], factors)
        doubts = _doubts([tile.record.get("remarks", []) for tile in tiles])
        seconds = sum(float(tile.record["seconds"]) for tile in tiles)
        record = record_of(self.stack, seconds, False, remarks=doubts)
        passes = max(tile.history.shape[1] for tile in tiles)
        of_leds = ("illumination_na", "gain", "background", "light", "residual")
        of_tiles = ("pupil", "zernike_waves", "corners_px", *of_leds)
        joined: dict[str, Any] = {name: np.concatenate([getattr(tile, name) for tile in tiles]) for name in of_tiles}
        history = [np.pad(t.history, ((0, 0), (0, passes - t.history.shape[1])), constant_values=np.nan) for t in tiles]
        return replace(
            tiles[0],
            object=image,
            history=np.concatenate(history),
            amplitude_residual=float(np.mean([tile.amplitude_residual for tile in tiles])),
            fitted_residual=float(np.mean([tile.fitted_residual for tile in tiles])),
            record=record
            | {"overlap_px": self.plan.overlap_px, "border_mismatch": mismatch(self.plan, tiles, factors)},
            **joined,
        )


def _shared(plan: TilePlan, a: int, b: int, margin_px: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where two tiles overlap, in pixels of each one's object, without a margin at the edges of both."""
    first, second, up, size = plan.windows[a], plan.windows[b], plan.upsampling, plan.tile_px
    low = (max(first.row, second.row) + margin_px, max(first.column, second.column) + margin_px)
    high = (
        min(first.row, second.row) + size - margin_px,
        min(first.column, second.column) + size - margin_px,
    )
    if high[0] <= low[0] or high[1] <= low[1]:
        return None

    def inside(window: Window) -> tuple[slice, slice]:
        return (
            slice((low[0] - window.row) * up, (high[0] - window.row) * up),
            slice((low[1] - window.column) * up, (high[1] - window.column) * up),
        )

    return inside(first), inside(second)


def _margin(plan: TilePlan) -> int:
    return max(1, int(MARGIN_SHARE * plan.overlap_px))


def match(plan: TilePlan, objects: Sequence[ComplexArray]) -> NDArray[np.complex128]:
    """(tile,) factors c that make tiles agree: least squares of c_a A - c_b B over all overlaps.

    The logarithm of c is found: first along a tree of the best overlaps, then for all of them at once, where phase
    differences are no longer ambiguous. The mean of all logarithms is zero.
    """
    count = len(objects)
    links: list[tuple[int, int, complex, float]] = []
    for a, b in plan.pairs():
        shared = _shared(plan, a, b, _margin(plan))
        if shared is None:
            continue
        first, second = objects[a][shared[0]].astype(complex), objects[b][shared[1]].astype(complex)
        product = complex(np.vdot(first, second))  # conj(A) B
        powers = float(np.vdot(first, first).real), float(np.vdot(second, second).real)
        if min(powers) > 0 and product != 0:
            # c_a / c_b should be B / A.
            ratio = math.sqrt(powers[1] / powers[0]) * product / abs(product)
            links.append((a, b, complex(np.log(ratio)), abs(product)))
    log = np.zeros(count, complex)
    reached = {0}
    for _ in range(count - 1):
        best = max(
            (link for link in links if (link[0] in reached) != (link[1] in reached)), key=_strength, default=None
        )
        if best is None:
            break
        a, b, ratio_log, _weight = best
        if a in reached:
            log[b] = log[a] - ratio_log
            reached.add(b)
        else:
            log[a] = log[b] + ratio_log
            reached.add(a)
    laplacian, right = np.zeros((count, count)), np.zeros(count, complex)
    for a, b, ratio_log, weight in links:
        left = ratio_log - (log[a] - log[b])
        left = complex(left.real, (left.imag + math.pi) % (2 * math.pi) - math.pi)
        laplacian[[a, b], [a, b]] += weight
        laplacian[[a, b], [b, a]] -= weight
        right[a] += weight * left
        right[b] -= weight * left
    log += np.linalg.lstsq(laplacian, right, rcond=None)[0]
    return np.asarray(np.exp(log - log.mean()))


def _strength(link: tuple[int, int, complex, float]) -> float:
    return link[3]


def blend(plan: TilePlan, objects: Sequence[ComplexArray], factors: NDArray[np.complex128]) -> ComplexArray:
    """(row, column) field: tiles times their factors, faded into each other over their overlaps."""
    up, edge = plan.upsampling, plan.tile_px * plan.upsampling
    margin = _margin(plan) * up
    rows, columns = plan.shape[0] * up, plan.shape[1] * up
    total, weights = np.zeros((rows, columns), np.complex64), np.zeros((rows, columns), np.float32)
    fade = max(1, plan.overlap_px * up - 2 * margin)

    def ramp(first: int, length: int) -> NDArray[np.float32]:
        """Weights along one axis; no fading at the border of the field."""
        place = np.arange(edge) + 0.5
        low = np.clip((place - margin) / fade, 0, 1) if first > 0 else np.ones(edge)
        high = np.clip((edge - place - margin) / fade, 0, 1) if first + edge < length else np.ones(edge)
        return np.asarray((np.sin(low * math.pi / 2) * np.sin(high * math.pi / 2)) ** 2 + 1e-12, np.float32)

    for window, image, factor in zip(plan.windows, objects, factors, strict=True):
        row, column = window.row * up, window.column * up
        weight = ramp(row, rows)[:, None] * ramp(column, columns)
        place = (slice(row, row + edge), slice(column, column + edge))
        total[place] += np.complex64(factor) * image * weight
        weights[place] += weight
    return np.asarray(total / weights)


def mismatch(plan: TilePlan, tiles: Sequence[StoredReconstruction], factors: NDArray[np.complex128]) -> float:
    """RMS difference of neighbours along the lines where they meet, over the standard deviation of the object.

    Before blending, pixel by pixel: what a seam would show, noise included.
    """
    squares, count, spread = 0.0, 0, []
    for a, b in plan.pairs():
        # A strip of two camera pixels in the middle of the overlap.
        first, second = plan.windows[a], plan.windows[b]
        rows = plan.tile_px - abs(first.row - second.row)
        columns = plan.tile_px - abs(first.column - second.column)
        shared = _shared(plan, a, b, max(0, (min(rows, columns) - 2) // 2))
        if shared is None:
            continue
        difference = factors[a] * tiles[a].object[shared[0]] - factors[b] * tiles[b].object[shared[1]]
        squares += float(np.sum(np.abs(difference) ** 2))
        count += difference.size
    spread = [float(np.std(factor * tile.object)) for factor, tile in zip(factors, tiles, strict=True)]
    return math.sqrt(squares / count) / float(np.mean(spread)) if count else 0.0
