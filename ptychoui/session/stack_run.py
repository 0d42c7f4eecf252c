"""A reconstruction of a stack for the worker: passes, pictures on demand, and everything a view shows in the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import PtychouiError, StopRequested
from ptychoui.optics.quality import validation
from ptychoui.optics.quality.led_quality import LedQuality, led_quality, misfit_per_led
from ptychoui.session.history import Curve
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_plan import StackPlan, StackTask, forecast, stack_task
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Array, Geometry, Reconstruct
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Picture, Stopped
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.data.results import StoredReconstruction
    from ptychoui.optics.reconstruction.stack import StackReconstruction
    from ptychoui.optics.reconstruction.stack_result import Reconstruction

LOG = logging.getLogger(__name__)
FloatImage = NDArray[np.float32]

REMEDY = "reconstruct a smaller square: set its edge in the form"
"""What to do when memory runs out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackBegun(Begun):
    """Images are cut out and grids are made."""

    passes: int
    leds: int
    size_px: int
    memory_bytes: int
    device: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassEnded(Event):
    """One more pass; ``step`` is its number."""

    residual: float
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPicture(Picture):
    """The object as it is now: (row, column) amplitude and phase in rad without ramp."""

    amplitude: FloatImage
    phase_rad: FloatImage
    pixel_um: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedLayout:
    """A layout that explains the images better than the one given; ``settings`` are its words in a geometry file."""

    geometry: Geometry
    settings: str

    @classmethod
    def of(cls, geometry: Geometry, array: Array | None) -> SuggestedLayout | None:
        """A geometry in the layout of another array; None where there is none."""
        from ptychoui.optics.calibration.geometry_check import settings_of

        return None if array is None else cls(geometry=geometry.replace(array=array), settings=settings_of(array))


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReport:
    """A reconstruction and what can be said of it.

    Attributes
    ----------
    measured, predicted
        (L, row, column) intensities, 1 = open field; none of them where it was read from a file.
    amplitude, phase_rad, unwrapped_rad
        (row, column) of the object; phase without ramp and piston, in (-pi, pi] and without jumps. Of very large
        fields phase is as it was stored, and jumps are not removed.
    complete
        False if it was stopped before its last pass.
    suggested
        Another layout of the array, where the images ask for one.
    stored, path, tile
        Where it was read from a file: all of its tiles, the file, and the tile that pupil and LEDs belong to.
    """

    found: Reconstruction
    square: tuple[int, int, int]
    settings: Reconstruct
    measured: FloatImage
    predicted: FloatImage
    amplitude: FloatImage
    phase_rad: FloatImage
    unwrapped_rad: FloatImage | None
    quality: LedQuality
    coverage: validation.FourierCoverage
    complete: bool
    seconds: float
    suggested: SuggestedLayout | None = None
    stored: StoredReconstruction | None = None
    path: Path | None = None
    tile: int = 0

    @property
    def tiles(self) -> int:
        """Tiles of the field."""
        return 1 if self.stored is None else len(self.stored.corners_px)

    @property
    def geometry(self) -> Geometry:
        """The geometry it was made with."""
        return self.found.geometry

    @property
    def pupil_na(self) -> float:
        """Half the edge of the pupil's map, in NA."""
        half = self.found.pupil.shape[0] / 2
        return float(half * self.found.frequency_step_per_um * self.geometry.microscope.wavelength_um)

    @property
    def summary(self) -> str:
        """One line."""
        edge = self.amplitude.shape[1] * self.found.object_pixel_um
        passes = counted(len(self.found.history), "pass", "passes")
        name = f"{self.path.name}:  " if self.path is not None else ""
        return (
            f"{name}residual {self.found.history[-1]:.3g} after {passes}"
            f"{'' if self.complete else ' (stopped)'},  {self.found.object_pixel_um:.3g} µm pixels,  {edge:.3g} µm wide"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReconstructed(Event):
    """The result, as the last event but one."""

    report: StackReport


class StackHistory:
    """Everything a view shows of the reconstruction of a stack; filled by `take`."""

    def __init__(self) -> None:
        self.residual = Curve()
        self.begun: StackBegun | None = None
        self.last_pass: PassEnded | None = None
        self.picture: ObjectPicture | None = None
        self.report: StackReport | None = None
        self.end: Finished | Stopped | Failed | None = None

    def begin(self) -> None:
        """A new run: what it has not told yet is unknown, the last report stays until there is a new one."""
        kept = self.report
        self.__init__()  # type: ignore[misc]
        self.report = kept

    def show(self, report: StackReport) -> None:
        """Take a report that was read from a file."""
        self.begin()
        self.report = report
        for number, residual in enumerate(report.found.history, start=1):
            self.take(PassEnded(step=number, residual=residual, seconds_left=0.0))

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, StackBegun):
            self.begun = event
        elif isinstance(event, PassEnded):
            self.residual.append(event.step, event.residual)
            self.last_pass = event
        elif isinstance(event, ObjectPicture):
            self.picture = event
        elif isinstance(event, StackReconstructed):
            self.report = event.report
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


KEEP_EVERY_S = 3.0
"""Seconds between two writings of the newest estimate, or ten times as long as one takes."""


def stack_run(
    stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: str = "auto", keep: Path | None = None
) -> MakeEvents:
    """Return what a worker needs to reconstruct a stack; a stop keeps what the passes so far have found.

    ``keep`` is a file for the newest estimate: whoever is killed loses some seconds of work.
    """

    def events(control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.calibration.geometry_check import findings, suggested_array
        from ptychoui.optics.geometry.curvature import curvature
        from ptychoui.optics.reconstruction.stack import StackReconstruction
        from ptychoui.training.devices import pick_device

        began = time.monotonic()
        task = stack_task(stack, geometry, plan)
        known = forecast(stack, geometry, plan)
        where = pick_device(device)
        work = StackReconstruction(
            task.geometry,
            task.images,
            task.settings,
            task.leds,
            where,
            callback=control.checkpoint,
            curvature_per_um=curvature(task.geometry, task.field_point_um),
        )
        yield StackBegun(
            step=0,
            passes=task.settings.passes,
            leds=len(task.leds),
            size_px=task.square[2],
            memory_bytes=known.memory_bytes,
            device=where.type,
            notes=(*task.notes, *known.warnings),
        )
        stopped, keep_at, suggested = False, 0.0, None
        try:
            first = time.monotonic()
            for done in work.run():
                left = (done.passes - done.number) * (time.monotonic() - first) / done.number
                yield PassEnded(step=done.number, residual=done.residual, seconds_left=left)
                if want_images():
                    yield _picture(work, done.number)
                if keep is not None and time.monotonic() >= keep_at:
                    start = time.monotonic()
                    _keep(keep, work, task, stack, start - began, False)
                    keep_at = time.monotonic() + max(KEEP_EVERY_S, 10 * (time.monotonic() - start))
                control.checkpoint()
            said = findings(task.geometry, task.leds, task.images, task.field_point_um, where, control.checkpoint)
            work.contradictions = tuple(one.sentence for one in said)
            suggested = SuggestedLayout.of(task.geometry, suggested_array(task.geometry.array, said))
        except StopRequested:
            stopped = True
        passes = len(work.history)
        if passes and keep is not None:
            _keep(keep, work, task, stack, time.monotonic() - began, not stopped, suggested)
        if passes:
            found = report(work, task, not stopped, time.monotonic() - began)
            yield StackReconstructed(step=passes, report=replace(found, suggested=suggested))
        yield Stopped(step=passes) if stopped else Finished(step=passes, seconds=time.monotonic() - began)

    return events


def report(work: StackReconstruction, task: StackTask, complete: bool, seconds: float) -> StackReport:
    """Everything that is shown of a reconstruction as it is now."""
    found = work.result()
    predicted = np.stack([work.predicted(int(number)) for number in found.led_numbers])
    misfit = misfit_per_led(task.images, predicted)
    light = np.maximum(task.images, 0).mean((1, 2), dtype=np.float64)
    flat = validation.without_ramp(found.object)
    return StackReport(
        found=found,
        square=task.square,
        settings=task.settings,
        measured=frozen(task.images),
        predicted=frozen(predicted),
        amplitude=frozen(np.abs(flat)),
        phase_rad=frozen(np.angle(flat)),
        unwrapped_rad=frozen(validation.unwrapped_phase(found.object)),
        quality=led_quality(misfit, light, found.gain, found.illumination_na),
        coverage=validation.fourier_coverage(found.illumination_na, found.geometry.microscope.objective_na),
        complete=complete,
        seconds=seconds,
    )


def save_report(path: str | Path, shown: StackReport, stack: ImageStack) -> Path:
    """Write a result as the command line does; ``stack`` says where the images come from.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    return _save(path, shown.found, shown.square, shown.settings, stack, shown.seconds, shown.complete, shown.suggested)


def _keep(
    path: Path,
    work: StackReconstruction,
    task: StackTask,
    stack: ImageStack,
    seconds: float,
    complete: bool,
    suggested: SuggestedLayout | None = None,
) -> None:
    """Write the newest estimate; where that is not possible the work goes on all the same."""
    try:
        _save(path, work.result(), task.square, task.settings, stack, seconds, complete, suggested)
    except PtychouiError as error:
        LOG.warning("the newest estimate was not kept: %s", error)


def _save(
    path: str | Path,
    found: Reconstruction,
    square: tuple[int, int, int],
    settings: Reconstruct,
    stack: ImageStack,
    seconds: float,
    complete: bool,
    suggested: SuggestedLayout | None,
) -> Path:
    from ptychoui.data.results import save_reconstruction
    from ptychoui.workflows.crop import CropRegion
    from ptychoui.workflows.reconstruct_stack import record_of, stored_tiles

    row, column, size = square
    array = None if suggested is None else suggested.geometry.array
    record = record_of(stack, seconds, not complete, (), found.warnings, array)
    stored = stored_tiles([found], [CropRegion(row=row, column=column, size_px=size)], settings, record)
    return save_reconstruction(path, stored)


def _picture(work: StackReconstruction, number: int) -> ObjectPicture:
    flat = validation.without_ramp(work.object())
    return ObjectPicture(
        step=number,
        amplitude=frozen(np.abs(flat)),
        phase_rad=frozen(np.angle(flat)),
        pixel_um=work.object_pixel_um,
    )


def frozen(image: NDArray[Any]) -> FloatImage:
    """Float32 in one piece that nobody changes: views keep it without a copy."""
    result = np.ascontiguousarray(image, dtype=np.float32)
    result.setflags(write=False)
    return result
