"""A calibration of the array's pose for the worker, and what a view shows of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import NoGeometryError, StopRequested
from ptychoui.experiment import Geometry
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.worker import MakeEvents
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped

if TYPE_CHECKING:
    import torch

    from ptychoui.optics.calibrate_file import StackCalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBegun(Begun):
    """The square that calibrates is cut out; ``steps`` counts the last reconstruction, too."""

    size_px: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStep(Event):
    """One step was done: what it changed, and how well the images are explained before and after it."""

    sentence: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated(Event):
    """The corrected geometry, to be taken or left.

    Attributes
    ----------
    residual
        Of the stack reconstructed with it.
    remarks
        What should make one doubt it.
    """

    geometry: Geometry
    residual: float
    remarks: tuple[str, ...] = ()


class CalibrationHistory:
    """What a calibration has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: CalibrationBegun | None = None
        self.sentences: list[str] = []
        self.accepted: list[str] = []
        self.found: Calibrated | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, CalibrationBegun):
            self.begun = event
        elif isinstance(event, CalibrationStep):
            self.sentences.append(event.sentence)
            if event.accepted:
                self.accepted.append(event.sentence)
        elif isinstance(event, Calibrated):
            self.found = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


def calibrating(
    stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: torch.device | str
) -> StackCalibration:
    """The square of a plan, no larger than a calibration needs, and its LEDs. Loads torch.

    Raises
    ------
    NoGeometryError
        Without a geometry.
    DataError
        If an LED has no image.
    """
    from ptychoui.optics.calibrate_file import LARGEST_PX, StackCalibration
    from ptychoui.optics.reconstruct_file import Window

    if geometry is None:
        raise NoGeometryError("there is no geometry to start from", "choose one that is nearly right")
    size = min(plan.square(stack.images.shape)[2], LARGEST_PX)
    row, column, size = plan.replace(size_px=size).square(stack.images.shape)
    return StackCalibration(replace(stack, geometry=geometry), Window(row=row, column=column, size_px=size), device)


def calibration_run(stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: str = "auto") -> MakeEvents:
    """Return what a worker needs to calibrate with the square of a plan; a stop gives it up."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.calibrate import Step
        from ptychoui.training.problem import pick_device

        began = time.monotonic()
        work = calibrating(stack, geometry, plan, pick_device(device))
        yield CalibrationBegun(step=0, size_px=work.window.size_px, steps=3 + plan.tilt + plan.single_leds)
        done = 0
        try:
            for found in work.run(tilt=plan.tilt, between=control.checkpoint, single_leds=plan.single_leds):
                done += 1
                if isinstance(found, Step):
                    yield CalibrationStep(step=done, sentence=found.sentence, accepted=found.accepted)
                else:
                    result, geometry_found = found.reconstruction, work.for_use(found.geometry)
                    yield Calibrated(
                        step=done, geometry=geometry_found, residual=result.fitted_residual, remarks=result.remarks
                    )
                control.checkpoint()
        except StopRequested:
            yield Stopped(step=done)
            return
        yield Finished(step=done, seconds=time.monotonic() - began)

    return events
