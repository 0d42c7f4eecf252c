"""The orientation test for the worker: eight orientations of the array's axes, ranked, each of which can be taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import StopRequested
from ptychoui.optics.geometry.pose import VARIANTS, Variant, laid_out
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_calibration import calibrating
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Geometry
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped

if TYPE_CHECKING:
    from ptychoui.optics.calibration.orientation import Orientation


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientationBegun(Begun):
    """The square is cut out."""

    orientations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutTried(Event):
    """One more orientation; ``step`` is its number."""

    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOrientation:
    """One way to lay out the axes.

    Attributes
    ----------
    name
        What is changed in the present orientation.
    worse
        By what share its residual is larger than the best one's.
    present
        True for the orientation that the geometry has.
    geometry
        The geometry with this orientation.
    """

    name: str
    residual: float
    worse: float
    present: bool
    geometry: Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientationFound(Event):
    """The orientations, best first, and what may be said of the best in two sentences."""

    orientations: tuple[ArrayOrientation, ...]
    sure: bool
    verdict: str
    sign: str


class OrientationHistory:
    """What the test has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: OrientationBegun | None = None
        self.tried: LayoutTried | None = None
        self.found: OrientationFound | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, OrientationBegun):
            self.begun = event
        elif isinstance(event, LayoutTried):
            self.tried = event
        elif isinstance(event, OrientationFound):
            self.found = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


def orientation_run(stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: str = "auto") -> MakeEvents:
    """Return what a worker needs to test the orientations on the square of a plan; a stop gives the test up."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.calibration.orientation import try_orientations
        from ptychoui.training.devices import pick_device

        began = time.monotonic()
        where = pick_device(device)
        work = calibrating(stack, geometry, plan, where)

        def geometry_of(variant: Variant) -> Geometry:
            array = laid_out(work.geometry.array, variant)
            return work.for_use(work.geometry.replace(array=array))

        yield OrientationBegun(step=0, orientations=len(VARIANTS))
        done, first = 0, time.monotonic()
        try:
            for found in try_orientations(
                work.geometry, work.images, work.field_point_um, device=where, callback=control.checkpoint
            ):
                if isinstance(found, int):
                    done = found
                    left = (len(VARIANTS) - done) * (time.monotonic() - first) / done
                    yield LayoutTried(step=done, seconds_left=left)
                else:
                    yield _found(found, done, geometry_of)
                control.checkpoint()
        except StopRequested:
            yield Stopped(step=done)
            return
        yield Finished(step=done, seconds=time.monotonic() - began)

    return events


def _found(test: Orientation, step: int, geometry_of: Callable[[Variant], Geometry]) -> OrientationFound:
    from ptychoui.optics.calibration.orientation import SURE, worse

    best = test.residuals[0]
    orientations = tuple(
        ArrayOrientation(
            name=str(variant),
            residual=residual,
            worse=max(0.0, residual / best - 1),
            present=variant == VARIANTS[0],
            geometry=geometry_of(variant),
        )
        for variant, residual in zip(test.variants, test.residuals, strict=True)
    )
    verdict = (
        f"Sure but for half a turn: all other orientations explain the images at least {worse(test.pair_margin)}"
        f"{' with brightness and stray light fitted' if test.fitted else ''}."
        if test.sure
        else f"Not sure: another orientation explains the images only {worse(test.pair_margin)}. Check it with a "
        "sample that you know."
    )
    twin = f"The twin of the best one, turned by half a turn, is {worse(test.twin_margin)}"
    sign = (
        f"{twin}, which rests on {test.sign_rests_on}."
        if test.twin_margin >= SURE
        else f"{twin}, too little to tell the two apart: a known defocus or a sample of known sign does, and with it "
        "whether the phase rises or falls."
    )
    return OrientationFound(step=step, orientations=orientations, sure=test.sure, verdict=verdict, sign=sign)
