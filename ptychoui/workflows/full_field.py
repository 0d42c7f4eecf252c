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

from ptychoui.data.dataset import ImageStack, array_sha256, pieces, release
from ptychoui.data.files import json_text, make_folder, write_atomic
from ptychoui.data.results import StoredReconstruction, load_reconstruction, save_reconstruction
from ptychoui.data.scratch import room
from ptychoui.errors import DataError, RunError
from ptychoui.optics.geometry.curvature import curvature
from ptychoui.optics.reconstruction.stack import StackReconstruction
from ptychoui.settings import Reconstruct, to_toml
from ptychoui.workflows.crop import image_places, leds_seen_from
from ptychoui.workflows.reconstruct_stack import record_of, stored_tiles
from ptychoui.workflows.tile_joining import blend, match, mismatch
from ptychoui.workflows.tile_plan import TilePlan


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


def _warnings(warnings: Sequence[Sequence[str]]) -> list[str]:
    """What is said of single tiles, for all of them: how many, and what of the first."""
    stated = [said for said in warnings if said]
    return [f"{len(stated)} of {len(warnings)} tiles: {text}" for text in (stated[0] if stated else [])]


class TiledReconstruction:
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
        # Image by image: neighbouring rows come along with those that are read.
        images = np.concatenate([np.array(part[:, rows, columns]) for part in pieces(self.stack.images)])[places]
        light = curvature(self.geometry, point)
        work = StackReconstruction(self.geometry, images, self.settings, leds, self._device, curvature_per_um=light)
        number, residual = 0, math.nan
        for done in work.run():
            number, residual = done.number, done.residual
            yield FieldProgress(
                tile=tile, tiles=tiles, number=number, passes=done.passes, residual=residual, done=False
            )
        result = work.result()
        record = record_of(self.stack, time.perf_counter() - start, False, warnings=result.warnings)
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
        return list(self._finished())

    def _finished(self) -> Iterator[StoredReconstruction]:
        for number in range(len(self.plan.windows)):
            tile = self._kept(number)
            if tile is None:
                raise RunError(f"tile {number} is not finished", "go on with --resume")
            yield tile

    def result(self) -> StoredReconstruction:
        """The whole field, once all tiles are finished.

        Raises
        ------
        RunError
            If a tile is missing.
        """
        objects = room((len(self.plan.windows), *2 * (self.plan.tile_px * self.plan.upsampling,)), np.complex64)
        tiles = []
        for number, tile in enumerate(self._finished()):
            objects[number] = tile.object
            release(objects)
            tiles.append(replace(tile, object=tile.object[:1, :1].copy()))  # a view would keep all of it
        factors = match(self.plan, objects)
        image = blend(self.plan, objects, factors)
        warnings = _warnings([tile.record.get("remarks", []) for tile in tiles])
        seconds = sum(float(tile.record["seconds"]) for tile in tiles)
        record = record_of(self.stack, seconds, False, warnings=warnings)
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
            | {"overlap_px": self.plan.overlap_px, "border_mismatch": mismatch(self.plan, objects, factors)},
            **joined,
        )
