"""The whole field of a stack for the worker: tile by tile, each kept when it is done, put together in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import check_target
from ptychoui.errors import NoGeometryError, StopRequested
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.stack_run import StackReport
from ptychoui.session.stored_report import stored_report
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Geometry
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldBegun(Begun):
    """The field is cut into tiles; finished ones are kept in ``folder``."""

    tiles: int
    tile_px: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePass(Event):
    """One more pass over one tile; ``step`` counts finished tiles, ``resumed`` those of an earlier run."""

    tile: int
    number: int
    passes: int
    resumed: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReady(Event):
    """All tiles together, written to ``path``."""

    report: StackReport
    path: Path


class FieldHistory:
    """What a run over the field has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: FieldBegun | None = None
        self.last: TilePass | None = None
        self.ready: FieldReady | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, FieldBegun):
            self.begun = event
        elif isinstance(event, TilePass):
            self.last = event
        elif isinstance(event, FieldReady):
            self.ready = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


def tiles_folder(output: Path) -> Path:
    """Where finished tiles wait for the others, as on the command line."""
    return output.with_name(f"{output.name}.tiles")


def field_run(
    stack: ImageStack, geometry: Geometry | None, plan: StackPlan, output: Path, device: str = "auto"
) -> MakeEvents:
    """Return what a worker needs to reconstruct the whole field into a file.

    Tiles of an earlier run with the same data, geometry and settings are used; a stop keeps those that are finished.

    Parameters
    ----------
    plan
        The edge of its square is that of the tiles; left out, tiles are as large as they may be.
    """

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.data.results import save_reconstruction
        from ptychoui.training.devices import pick_device
        from ptychoui.workflows.full_field import TiledReconstruction
        from ptychoui.workflows.tile_plan import plan_tiles

        began = time.monotonic()
        if geometry is None:
            raise NoGeometryError("the field cannot be reconstructed without a geometry", "choose or enter one")
        check_target(output)
        shape = (stack.images.shape[1], stack.images.shape[2])
        cut = plan_tiles(geometry, shape, plan.settings, plan.size_px)
        work = TiledReconstruction(
            replace(stack, geometry=geometry),
            plan.settings,
            cut,
            tiles_folder(output),
            resume=True,
            device=pick_device(device),
        )
        tiles, finished, resumed, passes = len(cut.windows), 0, 0, 0
        yield FieldBegun(step=0, tiles=tiles, tile_px=cut.tile_px, folder=work.folder)
        first = time.monotonic()
        try:
            for told in work.run():
                finished, resumed = finished + told.done, resumed + told.resumed
                passes += not told.done
                left = (tiles - resumed) * told.passes - passes
                yield TilePass(
                    step=finished,
                    tile=told.tile,
                    number=told.number,
                    passes=told.passes,
                    resumed=resumed,
                    seconds_left=left * (time.monotonic() - first) / passes if passes else None,
                )
                control.checkpoint()
            result = work.result()
            save_reconstruction(output, result)
            work.clear()
        except StopRequested:
            yield Stopped(step=finished)
            return
        yield FieldReady(step=finished, report=stored_report(result, output), path=output)
        yield Finished(step=finished, seconds=time.monotonic() - began)

    return events
