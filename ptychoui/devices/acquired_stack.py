"""From frames of the camera to a stack that says which light it was taken with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.acquired import Acquired
from ptychoui.data.dataset import ImageStack, Provenance, array_sha256
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.camera import Camera, Counts
from ptychoui.devices.device import Device
from ptychoui.devices.exposing import Exposing
from ptychoui.devices.frames import FULL, Frame
from ptychoui.errors import DataError
from ptychoui.export.options import design_hash
from ptychoui.optics.geometry.led_array import layout
from ptychoui.settings import Geometry

UNVERIFIED = ("acknowledged", "not at all")
"""How `Capabilities.verifies` begins where nothing is read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dark:
    """Counts without light: ``counts`` and ``per_ms`` more for every ms of exposure."""

    counts: float
    per_ms: float = 0.0

    def at(self, exposure_ms: float) -> float:
        """Counts of a frame without light."""
        return self.counts + self.per_ms * exposure_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame.

    Attributes
    ----------
    counts
        (row, column) as the camera gave it.
    values
        (n_leds,) drive values that were lit.
    saturated
        Share of the pixels that are full.
    notes
        What is to be said of it.
    """

    row: int
    name: str
    counts: Counts
    values: NDArray[np.uint8]
    exposing: Exposing
    saturated: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a stack is of: a design, or LEDs one by one.

    Attributes
    ----------
    name, sha256
        Of the design; no hash for LEDs one by one.
    led_numbers
        (LED,) numbers of the LEDs that may shine.
    gain
        (LED,) their measured brightness, None where nobody knows.
    geometry
        Of a stack of LEDs one by one; a stack of patterns has the patterns' own.
    notes
        Of the design and of what was made of it.
    """

    name: str
    sha256: str = ""
    led_numbers: NDArray[np.int64]
    gain: NDArray[np.float64] | None = None
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()


def stack_of(
    taken: Sequence[Shot], subject: Subject, dark: Dark, device: Device, camera: Camera, wanted: int
) -> ImageStack:
    """Frames as a stack: (image, row, column) light, dark counts off, divided by exposure.

    Parameters
    ----------
    wanted
        How many frames were asked for: a stack that was stopped has fewer.

    Raises
    ------
    DataError
        If there is no frame.
    """
    if not taken:
        raise DataError("no frame was taken", "start again")
    numbers = subject.led_numbers
    known = subject.gain is not None
    acquired = Acquired(
        device=device.name,
        camera=camera.name,
        design=subject.name,
        design_sha256=subject.sha256,
        led_numbers=tuple(int(number) for number in numbers),
        values=tuple(tuple(int(value) for value in shot.values[numbers]) for shot in taken),
        exposures_ms=tuple(shot.exposing.exposure_ms for shot in taken),
        gain=tuple(float(g) for g in subject.gain) if subject.gain is not None else (1.0,) * len(numbers),
        gain_known=known,
        dark_counts=dark.counts,
        dark_counts_per_ms=dark.per_ms,
        wanted=wanted,
        notes=(*subject.notes, *unverified(device), *(note for shot in taken for note in shot.notes)),
    )
    light = np.array([shot.exposing.exposure_ms * shot.exposing.dimming for shot in taken])
    if not subject.sha256:  # LEDs one by one: of different brightness where they were dimmed
        light = np.array([shot.exposing.exposure_ms * max(int(shot.values.max()), 1) / FULL for shot in taken])
    exposure = light / light.max()
    counts = np.stack([shot.counts - np.float32(dark.at(shot.exposing.exposure_ms)) for shot in taken])
    images = counts / exposure[:, None, None]
    brightest = int(np.argmax(images.mean((1, 2))))
    unit = float(np.percentile(images[brightest], 99))
    unit = unit if unit > 0 else 1.0
    images = (images / unit).astype(np.float32)
    rows = np.array([shot.row for shot in taken])
    names = rows if subject.sha256 else numbers[rows]
    clipped = sorted(
        ((int(name), shot.saturated) for name, shot in zip(names, taken, strict=True) if shot.saturated),
        key=lambda one: -one[1],
    )
    return ImageStack(
        images=images,
        led_numbers=names,
        geometry=subject.geometry,
        unit_counts=unit,
        exposure=exposure,
        provenance=Provenance(
            source=f"{subject.name} on {device.name}, {camera.name}",
            layout="acquisition",
            sha256=array_sha256(images),
            notes=acquired.notes,
            clipped=tuple(clipped),
            acquired=acquired,
        ),
    )


def of_patterns(patterns: PatternSet, gain: NDArray[np.float64] | None = None, notes: Sequence[str] = ()) -> Subject:
    """The subject that a design is; ``gain`` (LED,) is the measured brightness of its LEDs."""
    return Subject(
        name=patterns.name,
        sha256=design_hash(patterns),
        led_numbers=np.asarray(patterns.led_numbers, dtype=np.int64),
        gain=gain,
        notes=(*_recorded_notes(patterns), *notes),
    )


def unverified(device: Device) -> tuple[str, ...]:
    """One sentence where an array does not tell what it shows."""
    if not device.capabilities.verifies.startswith(UNVERIFIED):
        return ()
    return (f"{device.name} does not tell what it shows: the light of this stack is what was sent, not what shone",)


def _recorded_notes(patterns: PatternSet) -> list[str]:
    """What the design's own record says of it, and of the data it was learned from."""
    record = patterns.record
    found = [str(note) for note in record.get("notes", [])] if isinstance(record.get("notes"), list) else []
    sha = record.get("data_sha256")
    return [*found, *([f"the design was learned from data {sha}"] if sha else [])]


def of_single_leds(geometry: Geometry) -> tuple[Subject, list[Frame]]:
    """The subject that all LEDs of a geometry are, one by one, and their frames."""
    numbers, _ = layout(geometry.array)
    frames = [Frame(numbers=np.array([number]), levels=np.ones(1), name=f"LED {number}") for number in numbers]
    subject = Subject(name=f"{len(numbers)} LEDs one by one", led_numbers=numbers, geometry=geometry)
    return subject, frames
