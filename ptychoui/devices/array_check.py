"""The daily check of an array: a frame of single LEDs, held against a reference, in sentences with amounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.acquired import FULL, Acquired
from ptychoui.data.dataset import ImageStack
from ptychoui.devices.acquired_stack import Subject
from ptychoui.devices.acquiring import Acquisition, Ways
from ptychoui.devices.array_drift import NAMES, Fit, Prediction
from ptychoui.devices.camera import Camera
from ptychoui.devices.device import Device
from ptychoui.devices.frames import Frame
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, Reconstruct
from ptychoui.words import counted
from ptychoui.workflows.reconstruct_stack import WindowReconstruction, with_calibration

PASSES = 40
STRANGE = 0.5
"""Share of the bright images that the reference does not explain, from which they show something else."""
OTHER_SLIDE = 3.0
"""Misfit over that of the reference, in the typical bright image, from which frames show something else."""
FAINT = 0.3
"""Light over the misfit of an image's pixels below which its brightness is not judged."""
NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on something is off.

    Attributes
    ----------
    shift_mm, rotation_deg, height_percent
        Of the array.
    gain_percent
        Brightness of all LEDs together.
    led_percent
        Brightness of one LED beside the others.
    dead_share
        Light below this share of the reference's is that of a dead LED.
    focus_share
        Focus, as a share of the depth of focus wavelength / NA^2.
    """

    shift_mm: float = 0.2
    rotation_deg: float = 0.4
    height_percent: float = 1.0
    gain_percent: float = 5.0
    led_percent: float = 15.0
    dead_share: float = 0.1
    focus_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is looked at.

    Attributes
    ----------
    name
        ``shift``, ``rotation``, ``height``, ``focus``, ``gain``, ``LEDs`` or ``dead LEDs``.
    amount, limit, unit
        What was found, and from where on it is off.
    off
        Whether it is.
    sentence
        For people.
    leds
        Which LEDs it is about.
    """

    name: str
    amount: float
    limit: float
    unit: str
    off: bool
    sentence: str
    leds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Attributes
    ----------
    findings
        One for each thing that is looked at.
    change
        Drift of pose, focus and slide by `array_drift.NAMES`.
    gain
        LED -> brightness over that of the reference.
    """

    findings: tuple[Finding, ...]
    change: dict[str, float]
    gain: dict[int, float] = field(default_factory=dict)

    @property
    def off(self) -> bool:
        """Whether anything is off."""
        return any(finding.off for finding in self.findings)

    def values(self) -> dict[str, Any]:
        """In plain values."""
        names = ("name", "amount", "limit", "unit", "off", "sentence", "leds")
        rows = [{name: getattr(finding, name) for name in names} for finding in self.findings]
        gain = {str(number): share for number, share in self.gain.items()}
        return {"off": self.off, "findings": rows, "drift": self.change, "gain": gain}


class ArrayCheck:
    """A reference that today's frames are held against.

    Parameters
    ----------
    reference
        A stack of single LEDs that the program acquired, of a slide with structure.
    geometry
        The calibrated one; None: the reference is calibrated first.
    numbers
        (LED,) LEDs to look at; those that the reference lacks are an error.

    Raises
    ------
    DataError
        If the reference is no such stack.
    """

    def __init__(
        self,
        reference: ImageStack,
        geometry: Geometry | None,
        numbers: Sequence[int],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        acquired = reference.provenance.acquired
        if acquired is None or acquired.design_sha256:
            raise DataError(
                "the reference is no stack of single LEDs that acquire took", "ptychoui acquire --single-leds takes one"
            )
        if reference.geometry is None:
            raise DataError("the reference carries no geometry", "give one with --geometry")
        self._acquired: Acquired = acquired
        self._stack = reference
        if geometry is not None:
            reference = replace(reference, geometry=geometry)
        else:
            say("calibrating by the reference")
            steps: list[str] = []
            reference = with_calibration(reference, steps)
            for step in steps:
                say(step)
        say("reconstructing the reference")
        calibrated = reference.geometry
        assert calibrated is not None
        array = calibrated.array.replace(max_illumination_na=None)
        reference = replace(reference, geometry=calibrated.replace(array=array))
        self._work = WindowReconstruction(reference, Reconstruct(passes=PASSES))
        for _ in self._work.run():
            pass
        self.numbers = [int(number) for number in numbers]
        self._prediction = Prediction(self._work, self.numbers)
        first = self._prediction.fit(self._prediction.reference)
        self.reference = self._prediction.fit(self._prediction.reference, first.misfit)
        scope = calibrated.microscope
        self.depth_um = scope.wavelength_um / scope.objective_na**2

    def frames(self) -> tuple[Subject, list[Frame], NDArray[np.float64]]:
        """What is to be shown: every LED as in the reference, full drive being the device's brightness 1, and ms."""
        rows = self._rows()
        values = self._drive()
        frames = [
            Frame(numbers=np.array([number]), levels=np.array([values[row] / FULL]), name=f"LED {number}")
            for number, row in zip(self.numbers, rows, strict=True)
        ]
        subject = Subject(name="check of the array", led_numbers=np.array(self.numbers), geometry=self._stack.geometry)
        return subject, frames, np.array([self._acquired.exposures_ms[row] for row in rows])

    def acquire(self, device: Device, camera: Camera, ways: Ways) -> ImageStack:
        """Today's frames (LED, row, column), taken as those of the reference were."""
        subject, frames, exposures = self.frames()
        work = Acquisition(device, camera, subject, frames, exposures, replace(ways, automatic=False))
        for _ in work.run():
            pass
        return work.stack()

    def compare(self, today: ImageStack, limits: Limits | None = None) -> Report:
        """Name what drifted.

        Raises
        ------
        DataError
            If the frames show another slide, or none.
        """
        limits = limits or Limits()
        assert today.provenance.acquired is not None
        scale = _unit(self._stack, self._acquired) / _unit(today, today.provenance.acquired)
        place = self._work.window
        cut = today.crop(place.row, place.column, place.size_px, place.size_px)
        order = today.places_of(np.array(self.numbers))
        images = np.asarray(cut.images, dtype=np.float64)[order] * scale
        fit = self._prediction.fit(images, self.reference.misfit)
        means = images.mean((1, 2))
        self._same_slide(fit, means)
        return self._report(fit, means, limits)

    def _report(self, fit: Fit, means: NDArray[np.float64], limits: Limits) -> Report:
        drift = fit.change - self.reference.change
        share = fit.gain / np.maximum(self.reference.gain, 1e-12)
        # Faint images, and those of LEDs at the pupil's edge, say little of brightness.
        known = self.reference.light * self.reference.gain > FAINT * self.reference.misfit
        steady = self._prediction.inner(fit.change)
        # Near the pupil's edge a small drift changes an image much: there all of its light must be gone.
        least = np.minimum(self._prediction.reference.mean((1, 2)), fit.light * self.reference.gain)
        gone = means < limits.dead_share * least
        dead = known & (share < limits.dead_share) & (steady | gone)
        inner = known & ~dead & steady
        common = float(np.median(share[inner])) if inner.any() else 0.0
        single = np.where(inner, share / max(common, 1e-12) - 1, 0.0)
        found = [
            _of_shift(drift[0], drift[1], limits.shift_mm),
            _of("rotation", drift[2], limits.rotation_deg, "deg", "the array is turned by {:+.2f} deg"),
            _of("height", drift[3], limits.height_percent, "%", "the array's height changed by {:+.2f} %"),
            _of("focus", drift[4], limits.focus_share * self.depth_um, "um", "the focus moved by {:+.1f} um"),
            _of("gain", 100 * (common - 1), limits.gain_percent, "%", "the light of all LEDs changed by {:+.1f} %"),
            _of_leds(self.numbers, single, limits.led_percent),
            _of_dead(self.numbers, dead, known, limits.dead_share),
        ]
        return Report(
            findings=tuple(found),
            change=dict(zip(NAMES, drift.tolist(), strict=True)),
            gain={number: float(s) for number, s, good in zip(self.numbers, share, known, strict=True) if good},
        )

    def _same_slide(self, fit: Fit, means: NDArray[np.float64]) -> None:
        """Refuse frames that the reference does not explain: figures of another slide would be made up."""
        bright = self.reference.light > 0.3 * self.reference.light.max()
        lit = bright & (means > 0.1 * np.median(self.reference.light[bright]))
        if not lit.any():
            raise DataError(
                "no bright-field LED sends light through the slide",
                "are slide and LEDs in place, and the LEDs powered?",
            )
        # Light without the structure of the reference counts as stray light.
        strange = float(np.median((fit.stray / means)[lit]))
        ratio = float(np.median((fit.misfit / np.maximum(self.reference.misfit, 1e-12))[lit]))
        contrast = float(np.median((fit.misfit / np.maximum(self._contrast(), 1e-12))[lit]))
        if strange > STRANGE or (ratio > OTHER_SLIDE and contrast > STRANGE):
            raise DataError(
                f"the frames do not show the slide of the reference: {max(strange, contrast):.0%} of them is other",
                "put the reference slide back into its place, or acquire a new reference",
            )

    def _contrast(self) -> NDArray[np.float64]:
        return np.asarray(self._prediction.reference.std((1, 2)))

    def _rows(self) -> list[int]:
        return [int(place) for place in self._stack.places_of(np.array(self.numbers))]

    def _drive(self) -> NDArray[np.int64]:
        return np.array([max(row) for row in self._acquired.values], dtype=np.int64)


def _unit(stack: ImageStack, acquired: Acquired) -> float:
    """What 1 of the images is, in counts per ms at full drive."""
    drive = np.array([max(row) for row in acquired.values]) / FULL
    light = float((np.asarray(acquired.exposures_ms) * np.maximum(drive, 1 / FULL)).max())
    return light / stack.unit_counts


def _of(name: str, amount: float, limit: float, unit: str, words: str) -> Finding:
    off = abs(amount) > limit
    sentence = f"{words.format(amount)} (limit {limit:.3g} {unit}){': off' if off else ''}"
    return Finding(name=name, amount=float(amount), limit=limit, unit=unit, off=bool(off), sentence=sentence)


def _of_shift(x: float, y: float, limit: float) -> Finding:
    amount = float(np.hypot(x, y))
    off = amount > limit
    sentence = f"the array is shifted by {amount:.2f} mm, x {x:+.2f}, y {y:+.2f} (limit {limit:.3g} mm)"
    return Finding(
        name="shift", amount=amount, limit=limit, unit="mm", off=off, sentence=sentence + (": off" if off else "")
    )


def _of_leds(numbers: list[int], single: NDArray[np.float64], limit: float) -> Finding:
    percent = 100 * single
    off = np.flatnonzero(np.abs(percent) > limit)
    worst = sorted(off, key=lambda led: -abs(percent[led]))
    largest = int(np.argmax(np.abs(percent))) if len(percent) else 0
    if not len(off):
        text = f"no LED differs by more than {limit:.3g} %; the largest change is {percent[largest]:+.1f} %, of LED "
        text += str(numbers[largest])
    else:
        some = ", ".join(f"{numbers[led]} ({percent[led]:+.0f} %)" for led in worst[:NAMED])
        more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
        text = f"{counted(len(off), 'LED')} changed beside the others: {some}{more} (limit {limit:.3g} %): off"
    leds = tuple(numbers[led] for led in worst)
    amount = float(percent[largest])
    return Finding(name="LEDs", amount=amount, limit=limit, unit="%", off=bool(len(off)), sentence=text, leds=leds)


def _of_dead(numbers: list[int], dead: NDArray[np.bool_], known: NDArray[np.bool_], limit: float) -> Finding:
    leds = tuple(numbers[led] for led in np.flatnonzero(dead))
    unknown = int(np.count_nonzero(~known))
    if leds:
        more = f" and {len(leds) - NAMED} more" if len(leds) > NAMED else ""
        named = ", ".join(str(number) for number in leds[:NAMED])
        text = f"{counted(len(leds), 'dead LED')}: {named}{more} (less than {limit:.0%} of their light): off"
    else:
        text = f"no dead LED among {len(numbers) - unknown}"
    if unknown:
        text += f"; {counted(unknown, 'LED')} too faint to tell"
    return Finding(
        name="dead LEDs", amount=float(len(leds)), limit=0.0, unit="LEDs", off=bool(leds), sentence=text, leds=leds
    )
