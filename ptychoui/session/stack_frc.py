"""Fourier ring correlation for the worker: two halves of the LEDs are reconstructed apart and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import StopRequested
from ptychoui.optics.quality.ring_correlation import RingCorrelation, ring_correlation
from ptychoui.optics.quality.split_leds import two_halves
from ptychoui.session.runs import leave_a_core
from ptychoui.session.stack_plan import StackPlan, stack_task
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Geometry
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class FrcBegun(Begun):
    """Images are cut out; ``passes`` are those of both halves."""

    passes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfPass(Event):
    """One more pass over one of the halves; ``step`` counts those of both."""

    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrcFound(Event):
    """Agreement of the halves.

    Attributes
    ----------
    frc
        The correlation of the complex objects.
    resolution_um
        Period at which it falls below the half-bit threshold; infinite where it never lies above it.
    slowest_um
        Longest period that agrees; infinite if there is no longer one that does not.
    objective_per_um, synthetic_per_um
        Cut-off of the objective's amplitudes, and the farthest frequency that any LED brings.
    leds
        In each half.
    """

    frc: RingCorrelation
    resolution_um: float
    slowest_um: float
    objective_per_um: float
    synthetic_per_um: float
    leds: tuple[int, int]

    @property
    def sentence(self) -> str:
        """What was found, and what it means."""
        period, limit = self.resolution_um, 1 / self.synthetic_per_um
        if not np.isfinite(period):
            found = "The halves agree nowhere: noise, too little overlap of their LEDs, or a wrong geometry."
        elif period <= 1.02 * limit:
            found = f"The halves agree up to the end of the synthetic aperture, a period of {limit:.2f} µm."
        else:
            found = (
                f"The halves agree down to a period of {period:.2f} µm; the synthetic aperture ends at {limit:.2f} µm."
            )
        if np.isfinite(self.slowest_um) and np.isfinite(period):
            found += f" Periods over {self.slowest_um:.3g} µm do not agree: slow phases are hardly measured."
        return (
            f"{found} Each half has every other LED only ({self.leds[0]} and {self.leds[1]}): all of them together are "
            "at least as good. An error of geometry or model is the same in both, and is not seen here."
        )


class FrcHistory:
    """What the comparison has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: FrcBegun | None = None
        self.last: HalfPass | None = None
        self.found: FrcFound | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, FrcBegun):
            self.begun = event
        elif isinstance(event, HalfPass):
            self.last = event
        elif isinstance(event, FrcFound):
            self.found = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


def frc_run(stack: ImageStack, geometry: Geometry | None, plan: StackPlan, device: str = "auto") -> MakeEvents:
    """Return what a worker needs to compare two halves of a stack, reconstructed as a plan says; a stop gives it up."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.reconstruction.stack import StackReconstruction
        from ptychoui.optics.reconstruction.stack_grids import object_upsampling, stack_sampling
        from ptychoui.training.devices import pick_device

        began, done = time.monotonic(), 0
        task = stack_task(stack, geometry, plan)
        first = two_halves(task.leds.illumination_na)
        scope, settings = task.geometry.microscope, task.settings
        # One grid for both, so that they can be compared sample by sample.
        grids = stack_sampling(scope, task.leds, task.square[2], settings.pad_px)
        settings = settings.replace(upsampling=object_upsampling(grids, settings.upsampling), stop_below=0.0)
        yield FrcBegun(step=0, passes=2 * settings.passes)
        objects, start = [], time.monotonic()
        try:
            for half in (first, ~first):
                work = StackReconstruction(
                    task.geometry,
                    task.images[half],
                    settings,
                    task.leds.select(half),
                    pick_device(device),
                    grids,
                    control.checkpoint,
                )
                for _pass in work.run():
                    done += 1
                    left = (2 * settings.passes - done) * (time.monotonic() - start) / done
                    yield HalfPass(step=done, seconds_left=left)
                    control.checkpoint()
                objects.append(work.object())
                pixel_um = work.object_pixel_um
        except StopRequested:
            yield Stopped(step=done)
            return
        reach = float(task.leds.radius_na.max()) + scope.objective_na
        frc = ring_correlation(objects[0], objects[1], pixel_um)
        yield found(done, frc, scope.objective_na / scope.wavelength_um, reach / scope.wavelength_um, first)
        yield Finished(step=done, seconds=time.monotonic() - began)

    return events


def found(
    step: int,
    frc: RingCorrelation,
    objective_per_um: float,
    synthetic_per_um: float,
    half: NDArray[np.bool_],
) -> FrcFound:
    """What the rings inside the synthetic aperture say.

    The slowest rings are left out where they disagree: slow phases are hardly measured, and say nothing of resolution.
    """
    inside = frc.frequency_per_um <= synthetic_per_um
    kept = replace(
        frc,
        frequency_per_um=frc.frequency_per_um[inside],
        correlation=frc.correlation[inside],
        half_bit=frc.half_bit[inside],
    )
    agree = np.flatnonzero((kept.correlation >= kept.half_bit) & (kept.frequency_per_um < objective_per_um))
    first = int(agree[0]) if len(agree) else 0
    rest = replace(
        kept,
        frequency_per_um=kept.frequency_per_um[first:],
        correlation=kept.correlation[first:],
        half_bit=kept.half_bit[first:],
    )
    return FrcFound(
        step=step,
        frc=kept,
        resolution_um=max(rest.resolution_um(), 1 / synthetic_per_um) if len(agree) else float("inf"),
        slowest_um=float(1 / kept.frequency_per_um[first]) if first else float("inf"),
        objective_per_um=objective_per_um,
        synthetic_per_um=synthetic_per_um,
        leds=(int(half.sum()), int((~half).sum())),
    )
