"""A stack calibrates its own microscope: pose of the array, brightness of every LED, stray light and aberrations.

1. *Circles*: the bright-field images say where the array stands (`circles`), from millimetres away.
2. *Refinement*: the whole stack is reconstructed with the pose as one more unknown, rigid and with the pitch fixed.
   Dark-field images have the longer lever for rotation and height.
3. *Single LEDs*, where asked: each may stand a few tenths of a millimetre beside its place, and is held to it.

Every step states how well the stack is explained before and after it, measured alike, and is left out where it would
make that worse. What a stack cannot know stays what it was: pitch and height together, a half turn together with the
sign of phase; a shift of the array is known from the direct light alone, never from the residual.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.errors import GeometryError, SettingsError
from ptychoui.optics.calibration.circles import Circles
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import (
    LIMITS,
    NAMES,
    RIGID,
    SCALES,
    TILTED,
    UNITS,
    changes,
    difference,
    moved,
    shifted,
    single_slopes,
    slopes,
)
from ptychoui.optics.reconstruction.stack import PassDone, StackReconstruction
from ptychoui.optics.reconstruction.stack_fit import BACKGROUND, GAIN, OBJECT, POSE, SHIFT, ZERNIKE, StackFit
from ptychoui.optics.reconstruction.stack_grids import stack_sampling
from ptychoui.optics.reconstruction.stack_model import StackModel
from ptychoui.optics.reconstruction.stack_result import Reconstruction
from ptychoui.settings import Geometry, Reconstruct

JUDGED_PASSES = 10
"""Passes of the reconstructions by which a pose before and after a refinement is judged."""

DEFOCUS_STARTS = (0.0, 0.15, -0.15)
"""Waves of defocus that a calibration starts from; the best of them is kept."""

ROOM = 1.05
"""Illumination NA that a reconstruction has room for, over the largest that the geometry given has."""

CLEARLY = 0.95
"""Share of the misfit that single LEDs, which are many, must leave at most."""

NOTICEABLY = 0.98
"""Share of the misfit that a tilt must leave at most: a small square hardly tells it from a shift and a stretch."""

NO_BETTER = "it explains the images no better"
HARDLY_BETTER = "it explains the images hardly better"
RAN_AWAY = "it left the limits of what may change"

EDGE_SAMPLES = 2.0
"""Distance of the direct light from the pupil's edge, in samples of the spectrum, below which an image is left out."""

DEFOCUS = 4
"""Noll index of defocus."""

ZERNIKE_TERMS = 11
"""Aberrations that are fitted beside the pose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a calibration.

    Attributes
    ----------
    name
        ``circles``, ``refinement``, ``tilt`` or ``single LEDs``.
    measure
        What ``before`` and ``after`` are; smaller is better.
    change
        (6,) change of the pose as `pose.moved` takes it: mm, mm, degrees, percent, degrees, degrees.
    accepted
        False where the step would have made things worse and was left out.
    geometry
        The geometry after this step.
    reason
        Why it was left out, where it was.
    defocus_waves
        Change of the pupil's defocus (Noll 4, waves RMS).
    shift_mm
        (L, 2) shifts of single LEDs in the array's own plane, or None.
    """

    name: str
    measure: str
    before: float
    after: float
    change: NDArray[np.float64]
    accepted: bool
    geometry: Geometry
    reason: str = NO_BETTER
    defocus_waves: float = 0.0
    shift_mm: NDArray[np.float64] | None = None

    def values(self) -> dict[str, object]:
        """The step in plain values."""
        moves = {f"{name} [{unit}]": float(a) for name, a, unit in zip(NAMES, self.change, UNITS, strict=True)}
        known = {"name": self.name, "measure": self.measure, "before": self.before, "after": self.after}
        moves["defocus [waves]"] = self.defocus_waves
        shifts = {} if self.shift_mm is None else {"shift_mm": self.shift_mm.tolist()}
        return {**known, "change": moves, "accepted": self.accepted, **shifts}

    @property
    def sentence(self) -> str:
        """The step for people."""
        kept = "" if self.accepted else f"; left out, because {self.reason}"
        defocus = f", defocus {self.defocus_waves:+.3g} waves" if self.defocus_waves else ""
        figures = f"{self.measure} {self.before:.5g} -> {self.after:.5g}"
        moves = changes(self.change)
        if self.shift_mm is not None:
            lengths = np.hypot(*self.shift_mm.T)
            moves = f"moved by {np.sqrt((lengths**2).mean()):.2g} mm (RMS), {lengths.max():.2g} mm at most"
        return f"{self.name}: {moves}{defocus}; {figures}{kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a calibration found.

    Attributes
    ----------
    geometry
        With the new pose, height and aberrations.
    steps
        What was done, with figures before and after.
    reconstruction
        The stack reconstructed with it: object, brightness and stray light of every LED, residuals.
    """

    geometry: Geometry
    steps: tuple[Step, ...]
    reconstruction: Reconstruction

    @property
    def moved(self) -> bool:
        """False if no step explained the images better than the pose given."""
        return any(step.accepted for step in self.steps)


def calibrate(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    tilt: bool = False,
    rounds: tuple[int, ...] = (30, 30),
    final_passes: int = 60,
    variance_floor: float = 1e-5,
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
    single_leds: bool = False,
) -> Iterator[Step | Calibration]:
    """Yield every step when it is done, and the calibration at the end.

    Parameters
    ----------
    geometry
        Where to start: some millimetres, degrees and percent off.
    images
        (LED, row, column) square images in the order of the array's numbers, 1 = open field.
    field_point_um
        Their centre at the sample.
    tilt
        Let the array tilt after the refinement, if that explains the images noticeably better; small tiles cannot tell
        a tilt from a shift.
    rounds
        Passes of the refinement; directions are linearised anew between rounds.
    final_passes
        Further passes of the reconstruction with the geometry that was chosen.
    variance_floor
        Constant under the square roots: shot noise's 3/8 of a photoelectron, in units of the open field.
    callback
        Called every few LEDs: where the work can wait, or be given up by an exception.
    single_leds
        In the end let every LED shift within `SHIFT_LIMIT_MM`; the array becomes a table.

    Raises
    ------
    DataError
        If there are too few bright-field images.
    GeometryError
        If the array has LEDs that no image can show.
    """
    if geometry.array.max_illumination_na is not None and len(led_array(geometry.array)) != len(images):
        raise GeometryError(
            f"{len(images)} images do not match the {len(led_array(geometry.array))} LEDs below max_illumination_na",
            "calibrate without max_illumination_na",
        )
    steps: list[Step] = []
    steps.append(_circles(geometry, images, field_point_um))
    yield steps[-1]
    start = steps[-1].geometry
    view = _View(images, field_point_um, variance_floor, device, callback, JUDGED_PASSES + final_passes)
    # The sign of an even aberration is a matter of which side the fit starts from.
    candidates = [view.judged(_defocused(start, waves)) for waves in DEFOCUS_STARTS]
    before = min(candidates, key=lambda judged: judged.cost)
    start = before.work.geometry
    refined, after, trouble = _refined(start, view, before, RIGID, rounds)
    better = after.cost < before.cost
    final = after if better else before
    steps.append(
        Step(
            name="refinement",
            measure=f"misfit after {JUDGED_PASSES} passes",
            before=before.cost,
            after=after.cost,
            change=difference(start.array, refined.array),
            accepted=better,
            geometry=refined if better else start,
            reason=trouble or NO_BETTER,
            defocus_waves=_defocus(refined) - _defocus(steps[0].geometry),
        )
    )
    yield steps[-1]
    if tilt:
        step, final = _tilt(steps[-1].geometry, view, final, rounds)
        steps.append(step)
        yield step
    if single_leds:
        step, final = _single_leds(steps[-1].geometry, view, final, rounds[-1])
        steps.append(step)
        yield step
    for _done in final.rest:
        pass
    result = final.work.result()
    chosen = steps[-1].geometry
    microscope = chosen.microscope.replace(zernike_waves=result.zernike_waves)
    yield Calibration(geometry=chosen.replace(microscope=microscope), steps=tuple(steps), reconstruction=result)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A reconstruction after the passes by which its geometry is judged, what is left unexplained
    then, and the passes left.
    """

    work: StackReconstruction
    cost: float
    rest: Iterator[PassDone]


@dataclass(frozen=True, slots=True)
class _View:
    """The images of a calibration and how they are reconstructed."""

    images: NDArray[np.float32]
    field_point_um: tuple[float, float]
    variance_floor: float
    device: torch.device | str
    callback: Callable[[], None] | None
    passes: int

    def judged(self, geometry: Geometry) -> _Judged:
        """Reconstruct from nothing: what an earlier pose has left behind would pull the next one back."""
        settings = Reconstruct(passes=self.passes, zernike_terms=ZERNIKE_TERMS, variance_floor=self.variance_floor)
        leds = led_array(geometry.array.replace(max_illumination_na=None), self.field_point_um)
        # Room for directions that turn out steeper.
        wide = dataclasses.replace(leds, illumination_na=ROOM * leds.illumination_na)
        grids = stack_sampling(geometry.microscope, wide, self.images.shape[-1])
        work = StackReconstruction(geometry, self.images, settings, leds, self.device, grids, self.callback)
        rest = work.run()
        for done in islice(rest, JUDGED_PASSES):
            cost = done.penalised
        return _Judged(work, cost, rest)


def _defocus(geometry: Geometry) -> float:
    """Waves RMS of the pupil's defocus."""
    return geometry.microscope.zernike_waves.get(DEFOCUS, 0.0)


def _defocused(geometry: Geometry, waves: float) -> Geometry:
    """The geometry with more of the Zernike term of defocus."""
    known = geometry.microscope.zernike_waves
    return geometry.replace(microscope=geometry.microscope.replace(zernike_waves=_sum(known, {DEFOCUS: waves})))


def _sum(waves: dict[int, float], more: dict[int, float]) -> dict[int, float]:
    """Zernike coefficients added term by term."""
    total = {noll: waves.get(noll, 0.0) + more.get(noll, 0.0) for noll in sorted({*waves, *more})}
    return {noll: amount for noll, amount in total.items() if amount}


def _circles(geometry: Geometry, images: NDArray[np.float32], field_point_um: tuple[float, float]) -> Step:
    found = Circles(geometry.microscope, geometry.array, images, field_point_um).fit()
    better = found.after < found.before and found.seen and not found.at_limit
    reason = NO_BETTER
    if found.at_limit:
        reason = "it ran into the limit of what may change"
    elif not found.seen:
        reason = "the images show no circles: too little structure, or too much noise"
    return Step(
        name="circles",
        measure="negative log-likelihood of the bright-field spectra",
        before=found.before,
        after=found.after,
        change=found.change,
        accepted=better,
        geometry=geometry.replace(array=found.array) if better else geometry,
        reason=reason,
    )


def _off_the_edge(model: StackModel) -> list[int]:
    """LEDs whose direct light does not pass the pupil's very edge.

    There a tenth of a sample decides how bright an image is: such images would pull the pose with all their light.
    """
    radius = np.hypot(*model.samples(model.leds.illumination_na).T)
    return [int(led) for led in np.flatnonzero(np.abs(radius - model.cutoff) > EDGE_SAMPLES)]


def _refine(
    geometry: Geometry, view: _View, judged: _Judged, numbers: tuple[int, ...], rounds: tuple[int, ...]
) -> Geometry:
    """The geometry with the pose fitted, round by round; ``judged`` is the reconstruction with the pose given."""
    free = list(numbers)
    for number, passes in enumerate(rounds):
        if number:
            judged = view.judged(geometry)
        model = judged.work.model
        slope = model.samples(slopes(geometry.array, numbers, view.field_point_um).transpose(0, 2, 1))
        unknown = frozenset({OBJECT, ZERNIKE, GAIN, BACKGROUND, POSE})
        fit = StackFit(
            model,
            judged.work.spectrum,
            judged.work.optics,
            unknown,
            slope.transpose(0, 2, 1),
            _off_the_edge(model),
        )
        x = fit.start()
        for found in fit.run(passes):
            x = found.x
        change = np.zeros(6)
        change[free] = fit.pose(x) * SCALES[free]
        fitted = dict(zip(model.nolls, fit.optics(x).zernike.tolist(), strict=True))
        waves = _sum(geometry.microscope.zernike_waves, fitted)
        geometry = geometry.replace(
            array=moved(geometry.array, change), microscope=geometry.microscope.replace(zernike_waves=waves)
        )
    return geometry


def _refined(
    start: Geometry, view: _View, before: _Judged, numbers: tuple[int, ...], rounds: tuple[int, ...]
) -> tuple[Geometry, _Judged, str]:
    """The geometry with the pose fitted and how it is judged; where the fit ran away what was given, and why."""
    try:
        refined = _refine(start, view, before, numbers, rounds)
        moves = difference(start.array, refined.array)
        if not (np.abs(moves) <= LIMITS).all():  # not a number is no pose either
            raise GeometryError(RAN_AWAY)
        return refined, view.judged(refined), ""
    except (GeometryError, SettingsError) as problem:
        # A fit that ran away ends in a pose that no array has; what was known before it stays.
        return start, before, RAN_AWAY if isinstance(problem, SettingsError) else problem.message


def _tilt(geometry: Geometry, view: _View, judged: _Judged, rounds: tuple[int, ...]) -> tuple[Step, _Judged]:
    """The pose fitted with its tilt, if that explains the images noticeably better, and what is gone on with."""
    refined, after, trouble = _refined(geometry, view, judged, TILTED, rounds)
    better = after.cost < NOTICEABLY * judged.cost
    step = Step(
        name="tilt",
        measure=f"misfit after {JUDGED_PASSES} passes",
        before=judged.cost,
        after=after.cost,
        change=difference(geometry.array, refined.array),
        accepted=better,
        geometry=refined if better else geometry,
        reason=trouble or HARDLY_BETTER,
        defocus_waves=_defocus(refined) - _defocus(geometry),
    )
    return step, after if better else judged


def _single_leds(geometry: Geometry, view: _View, judged: _Judged, passes: int) -> tuple[Step, _Judged]:
    """Every LED shifted within its bound, if that explains the images clearly better, and what is gone on with."""
    model = judged.work.model
    slope = model.samples(single_slopes(geometry.array, view.field_point_um).transpose(0, 2, 1)).transpose(0, 2, 1)
    unknown = frozenset({OBJECT, ZERNIKE, GAIN, BACKGROUND, SHIFT})
    leds = _off_the_edge(model)
    fit = StackFit(model, judged.work.spectrum, judged.work.optics, unknown, None, leds, slope)
    x = fit.start()
    for found in fit.run(passes):
        x = found.x
    shifts = fit.shifts(x)
    refined, after, reason = geometry, judged, HARDLY_BETTER
    try:
        refined = geometry.replace(array=shifted(geometry.array, shifts))
        after = view.judged(refined)
    except (GeometryError, SettingsError) as problem:
        reason = RAN_AWAY if isinstance(problem, SettingsError) else problem.message
    better = after.cost < CLEARLY * judged.cost
    step = Step(
        name="single LEDs",
        measure=f"misfit after {JUDGED_PASSES} passes",
        before=judged.cost,
        after=after.cost,
        change=np.zeros(6),
        accepted=better,
        geometry=refined if better else geometry,
        reason=reason,
        shift_mm=shifts,
    )
    return step, after if better else judged
