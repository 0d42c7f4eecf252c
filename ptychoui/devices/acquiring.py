"""One frame of the camera for every pattern: show, wait until it shines steadily, look, and check.

What is stored is light: counts less those of a dark array, divided by the exposure, with a record of the drive values
that were verified, so that rounding, dimming and measured brightness are known to whoever reconstructs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.devices.acquired_stack import Dark, Shot, Subject, stack_of
from ptychoui.devices.camera import Camera, Counts
from ptychoui.devices.device import Device
from ptychoui.devices.exposing import TRIES, Exposing, better, whole_periods
from ptychoui.devices.frames import Frame
from ptychoui.devices.timeline import Timing
from ptychoui.errors import DeviceError
from ptychoui.words import counted

BEAT_MARGIN = 0.5
"""Share of the heartbeat's time that an exposure may take without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How frames are taken.

    Attributes
    ----------
    timing
        Of LEDs and camera.
    automatic
        Choose exposure and dimming of each pattern by the camera's full well.
    longest_ms
        Longest exposure.
    confirm_bright
        Let patterns draw more than the current limit.
    """

    timing: Timing = field(default_factory=Timing)
    automatic: bool = False
    longest_ms: float = 1000.0
    confirm_bright: bool = False


def dark_of(device: Device, camera: Camera, exposures_ms: Sequence[float], timing: Timing) -> Dark:
    """Counts of a dark array at the shortest and longest of some exposures in ms.

    Raises
    ------
    DeviceError
        If the array is not dark, so that the camera is full.
    """
    device.clear()
    device.hold(timing.settle_ms / 1000)
    times = sorted({float(min(exposures_ms)), float(max(exposures_ms))})
    frames = [snap(device, camera, time) for time in times]
    if max(camera.saturated(frame) for frame in frames) > 0.01:
        raise DeviceError("the camera is full while all LEDs are off", "switch off the light of the room")
    levels = [float(frame.mean()) for frame in frames]
    per_ms = (levels[-1] - levels[0]) / (times[-1] - times[0]) if len(times) > 1 else 0.0
    return Dark(counts=levels[0] - per_ms * times[0], per_ms=per_ms)


def shots(
    device: Device, camera: Camera, frames: Sequence[Frame], exposures_ms: Sequence[float], ways: Ways, dark: Dark
) -> Iterator[Shot]:
    """Take one frame for every pattern, in their order; the array is left as the last one has it.

    Parameters
    ----------
    exposures_ms
        (row,) wanted exposures in ms; with ``ways.automatic`` where the search begins.

    Raises
    ------
    DeviceError
        If array or camera fail; what was taken before was yielded.
    StopRequested
        If a stop is asked for.
    """
    for row, (frame, wanted) in enumerate(zip(frames, exposures_ms, strict=True)):
        first = whole_periods(float(wanted), ways.timing, camera, ways.longest_ms if ways.automatic else np.inf)
        yield _shot(device, camera, frame, row, Exposing(exposure_ms=first), ways, dark)


def _shot(device: Device, camera: Camera, frame: Frame, row: int, exposing: Exposing, ways: Ways, dark: Dark) -> Shot:
    best: Shot | None = None
    for _ in range(TRIES if ways.automatic else 1):
        dimmed = replace(frame, levels=np.asarray(frame.levels) * exposing.dimming)
        values = device.show(dimmed, ways.confirm_bright)
        device.hold(ways.timing.settle_ms / 1000)
        counts = snap(device, camera, exposing.exposure_ms)
        found = Shot(
            row=row,
            name=frame.name,
            counts=counts,
            values=values,
            exposing=exposing,
            saturated=camera.saturated(counts),
        )
        if best is None or best.saturated or not found.saturated:
            best = found
        following = better(exposing, counts, camera, dark.at(exposing.exposure_ms), ways.timing, ways.longest_ms)
        if following == exposing:
            break
        exposing = following
    assert best is not None
    return replace(best, notes=tuple(_notes(best, frame)))


def _notes(shot: Shot, frame: Frame) -> list[str]:
    notes = []
    if shot.saturated:
        notes.append(f"{shot.name}: {shot.saturated:.2%} of the pixels are saturated; shorten its exposure")
    lit, shown = int(np.count_nonzero(np.asarray(frame.levels) > 0)), int(np.count_nonzero(shot.values))
    if shown < lit:
        notes.append(f"{shot.name}: {counted(lit - shown, 'LED')} of {lit} are too dim to shine; raise --brightness")
    return notes


def snap(device: Device, camera: Camera, exposure_ms: float) -> Counts:
    """One frame (row, column); an array that wants heartbeats gets them while the camera looks, however long.

    Raises
    ------
    DeviceError
        If array or camera fail.
    """
    if not device.beat_every_s or exposure_ms / 1000 < BEAT_MARGIN * device.beat_every_s:
        return camera.snap(exposure_ms)
    found: list[Counts | BaseException] = []

    def look() -> None:
        try:
            found.append(camera.snap(exposure_ms))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=look, name="exposure")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(BEAT_MARGIN * device.beat_every_s)
            device.beat()
    finally:
        thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


class Acquisition:
    """All frames of a subject: `run` it, then take the `stack`, also of what there is after a stop.

    Parameters
    ----------
    frames, exposures_ms
        What to show, and (row,) how long to look.
    """

    def __init__(
        self,
        device: Device,
        camera: Camera,
        subject: Subject,
        frames: Sequence[Frame],
        exposures_ms: NDArray[np.float64],
        ways: Ways,
    ) -> None:
        self.device, self.camera, self.subject, self.ways = device, camera, subject, ways
        self.frames, self.exposures_ms = frames, np.asarray(exposures_ms, dtype=np.float64)
        self.taken: list[Shot] = []
        self.dark = Dark(counts=camera.offset)

    def run(self) -> Iterator[Shot]:
        """Take a frame without light, then one for every pattern; the array is dark in the end.

        Raises
        ------
        DeviceError
            If array or camera fail.
        StopRequested
            If a stop is asked for.
        """
        ways, camera = self.ways, self.camera
        limits = [whole_periods(float(t), ways.timing, camera, np.inf) for t in self.exposures_ms]
        if ways.automatic:
            limits.append(whole_periods(ways.longest_ms, ways.timing, camera, ways.longest_ms))
        self.dark = dark_of(self.device, camera, limits, ways.timing)
        for shot in shots(self.device, camera, self.frames, self.exposures_ms.tolist(), ways, self.dark):
            self.taken.append(shot)
            yield shot
        self.device.clear()

    def stack(self) -> ImageStack:
        """What was taken so far, (image, row, column).

        Raises
        ------
        DataError
            If that is nothing.
        """
        return stack_of(self.taken, self.subject, self.dark, self.device, self.camera, len(self.frames))
