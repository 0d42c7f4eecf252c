"""A calibration of the array's pose for the worker, and what a view shows of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import NoGeometryError, StopRequested
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Geometry
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped

if TYPE_CHECKING:
    import torch

    from ptychoui.workflows.calibrate_stack import StackCalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBegun(Begun):
    """The square that calibrates is cut out.

    Attributes
    ----------
    asked
        Names of the steps to come.
    steps
        Their number, and one for the last reconstruction.
    """

    size_px: int
    steps: int
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStep(Event):
    """One step was done.

    Attributes
    ----------
    sentence
        What it changed, and how well the images are explained before and after it.
    name
        What it is called in `CalibrationBegun.asked`.
    gain
        By how much of it the misfit became smaller; None where the step has another measure.
    reason
        Why it was left out.
    """

    sentence: str
    accepted: bool
    name: str = ""
    gain: float | None = None
    reason: str = ""

    @property
    def short(self) -> str:
        """What became of it."""
        if not self.accepted:
            return f"left out, {self.reason}" if self.reason else "left out"
        return "taken" if self.gain is None else f"taken, misfit {100 * self.gain:.2g} % smaller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a step that was asked for; ``taken`` is None while nobody knows."""

    name: str
    text: str
    taken: bool | None
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated(Event):
    """The corrected geometry, to be taken or left.

    Attributes
    ----------
    residual
        Of the stack reconstructed with it.
    change
        How the array's pose differs from the one that it started from.
    warnings
        What should make one doubt it.
    """

    geometry: Geometry
    residual: float
    change: str = ""
    warnings: tuple[str, ...] = ()


class CalibrationHistory:
    """What a calibration has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: CalibrationBegun | None = None
        self.steps: list[CalibrationStep] = []
        self.found: Calibrated | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, CalibrationBegun):
            self.begun = event
        elif isinstance(event, CalibrationStep):
            self.steps.append(event)
        elif isinstance(event, Calibrated):
            self.found = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of every step that was asked for, in their order."""
        done = [Outcome(name=s.name, text=s.short, taken=s.accepted, sentence=s.sentence) for s in self.steps]
        asked = self.begun.asked if self.begun is not None else ()
        waiting = ["not done"] * len(asked) if self.end is not None else ["under way…", *["to come"] * len(asked)]
        later = zip(asked[len(done) :], waiting, strict=False)
        return (*done, *(Outcome(name=name, text=text, taken=None) for name, text in later))


def asked_steps(plan: StackPlan) -> tuple[str, ...]:
    """Names of the steps that a plan asks for."""
    return ("circles", "refinement", *(["tilt"] if plan.tilt else []), *(["single LEDs"] if plan.single_leds else []))


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
    from ptychoui.workflows.calibrate_stack import LARGEST_PX, StackCalibration
    from ptychoui.workflows.crop import CropRegion

    if geometry is None:
        raise NoGeometryError("there is no geometry to start from", "choose one that is nearly right")
    size = min(plan.square(stack.images.shape)[2], LARGEST_PX)
    row, column, size = plan.replace(size_px=size).square(stack.images.shape)
    return StackCalibration(replace(stack, geometry=geometry), CropRegion(row=row, column=column, size_px=size), device)


def _gain(measure: str, before: float, after: float) -> float | None:
    return 1 - after / before if measure.startswith("misfit") and before > 0 else None


def calibration_run(stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: str = "auto") -> MakeEvents:
    """Return what a worker needs to calibrate with the square of a plan; a stop gives it up."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.calibration.refine import Step
        from ptychoui.optics.geometry.pose import changes, difference
        from ptychoui.training.devices import pick_device

        began = time.monotonic()
        work = calibrating(stack, geometry, plan, pick_device(device))
        assert geometry is not None
        asked = asked_steps(plan)
        yield CalibrationBegun(step=0, size_px=work.window.size_px, steps=len(asked) + 1, asked=asked)
        done = 0
        try:
            for found in work.run(tilt=plan.tilt, callback=control.checkpoint, single_leds=plan.single_leds):
                done += 1
                if isinstance(found, Step):
                    yield CalibrationStep(
                        step=done,
                        sentence=found.sentence,
                        accepted=found.accepted,
                        name=found.name,
                        gain=_gain(found.measure, found.before, found.after),
                        reason="" if found.accepted else found.reason,
                    )
                else:
                    result, geometry_found = found.reconstruction, work.for_use(found.geometry)
                    yield Calibrated(
                        step=done,
                        geometry=geometry_found,
                        residual=result.fitted_residual,
                        change=changes(difference(geometry.array, geometry_found.array)),
                        warnings=result.warnings,
                    )
                control.checkpoint()
        except StopRequested:
            yield Stopped(step=done)
            return
        yield Finished(step=done, seconds=time.monotonic() - began)

    return events
