"""A design and images of it give phase, set after set, as they arrive: what daily work needs. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import make_folder, write_atomic
from ptychoui.data.tiff_values import tiff_of
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.settings import Reconstruct
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.frame_sets import FrameSet, SetReader, SetRefused, Waiting
from ptychoui.workflows.watched_folder import RESULT_ENDINGS, FolderWatch, in_order

if TYPE_CHECKING:
    from ptychoui.data.formats.geometry_file import GivenGeometry

PASSES = 600
"""With fewer, images under dense patterns are not fitted well enough to choose the prior's strength."""

LOOK_S = 0.5
"""Seconds from one look at the folder to the next."""

CHECK_S = 0.1
"""Seconds after which somebody who waits is asked whether to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyPlan:
    """What is to be done.

    Attributes
    ----------
    patterns
        The design that the images were taken with.
    source
        A file or folder of images, or the folder to be watched.
    results
        Folder for results; made if it is missing.
    follow
        Go on watching ``source``; else it is one recording, or, with ``once``, a folder of them that is looked through.
    given
        Geometry that wins over that of the design.
    smoothness
        Strength of the smooth prior; None lets pixels that are left out of the fit choose it for every set.
    again
        Reconstruct sets whose results are there already.
    """

    patterns: PatternSet
    source: Path
    results: Path
    follow: bool = True
    once: bool = False
    given: GivenGeometry = None
    passes: int = PASSES
    smoothness: float | None = None
    window: CropRegion | None = None
    device: str = "cpu"
    again: bool = False
    look_s: float = LOOK_S

    @property
    def settings(self) -> Reconstruct:
        """Those of every set: coded images hold too little to find the pupil, or the brightness of LEDs."""
        return Reconstruct(
            passes=self.passes,
            pupil="fixed",
            gain=False,
            background=False,
            sequential_passes=0,
            smoothness=self.smoothness,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStarted:
    """A set is complete and is reconstructed now."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPass:
    """Some passes more: ``number`` of at most ``passes``."""

    name: str
    number: int
    passes: int
    residual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDone:
    """A set is reconstructed and saved.

    Attributes
    ----------
    at
        Seconds since 1970 at which its images were complete.
    seconds
        Time that it took.
    phase_rad, amplitude
        (row, column) float32, phase without ramp and jumps; None where the result was there already.
    """

    name: str
    at: float
    seconds: float
    residual: float
    pixel_um: float
    files: tuple[Path, ...]
    phase_rad: NDArray[np.float32] | None = None
    amplitude: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()


Told = SetStarted | SetPass | SetDone | SetRefused | Waiting


def result_files(results: Path, name: str) -> tuple[Path, ...]:
    """Files of a set's result: the reconstruction, and the phase as a picture in radians."""
    return tuple(results / f"{name}{ending}" for ending in RESULT_ENDINGS)


def daily_work(plan: DailyPlan, check: Callable[[], None]) -> Iterator[Told]:
    """Reconstruct set after set, and say what becomes of each.

    What is wrong with a set or a file does not end the work; a folder that cannot be listed, or results that cannot be
    written, do.

    Parameters
    ----------
    check
        Called often, at least every tenth of a second while nothing arrives; raises to stop.

    Raises
    ------
    PtychouiError
        If a setting is refused, the folder of results cannot be made or written, or the source is not there.
    """
    _ = plan.settings  # refused now, and not at the first set
    results = plan.results if plan.results.is_dir() else make_folder(plan.results)
    reader = SetReader(plan.patterns, plan.given)
    if not plan.source.exists():
        raise DataError(f"there is no file or folder {str(plan.source)!r}", "check the path")
    if not plan.follow and not plan.once:
        yield from _each(reader.read(plan.source), plan, results, check)
        return
    if not plan.source.is_dir():
        raise DataError(f"{plan.source.name} is a file: only a folder can be watched", "give the folder it lies in")
    watch, said, quiet = FolderWatch(plan.source, results), "", 0
    while True:
        entries = _look(watch)
        for entry in sorted(entries, key=lambda path: in_order(path.name)):
            check()
            watch.take(entry)
            yield from _each(reader.read(entry), plan, results, check)
            said = ""
        quiet = 0 if entries or watch.growing else quiet + 1
        if plan.once and quiet >= 1:
            if waiting := reader.waiting:
                yield SetRefused(
                    name=plan.source.name, message=f"only {waiting} arrived", hint=f"a set has {reader.count} images"
                )
            return
        text = reader.waiting or "the next images"
        if text != said:
            said = text
            yield Waiting(text=text)
        _wait(plan.look_s, check)


def _look(watch: FolderWatch) -> list[Path]:
    try:
        return watch.look()
    except OSError as error:
        raise DataError(
            f"the folder {str(watch.folder)!r} cannot be listed: {error.strerror or error}", "is its disk there?"
        ) from error


def _wait(seconds: float, check: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, CHECK_S))
    check()


def _each(
    found: Iterator[FrameSet | SetRefused | Waiting], plan: DailyPlan, results: Path, check: Callable[[], None]
) -> Iterator[Told]:
    for one in found:
        check()
        if not isinstance(one, FrameSet):
            yield one
            continue
        files = result_files(results, one.name)
        if not plan.again and _is_newer(files, one.last):
            yield _kept(one.name, files)
            continue
        yield SetStarted(name=one.name)
        yield from _reconstruct(one, plan, files, check)


def _is_newer(files: tuple[Path, ...], source: Path) -> bool:
    """Whether results are there, and no older than the images that they came from."""
    try:
        return min(file.stat().st_mtime_ns for file in files) >= source.stat().st_mtime_ns
    except OSError:
        return False


def _kept(name: str, files: tuple[Path, ...]) -> SetDone | SetRefused:
    from ptychoui.data.results import describe_reconstruction

    try:
        about: dict[str, Any] = describe_reconstruction(files[0])
    except PtychouiError as error:
        return SetRefused(name=name, message=error.message, hint="remove it, and the set is reconstructed anew")
    return SetDone(
        name=name,
        at=files[0].stat().st_mtime,
        seconds=0.0,
        residual=float(about["amplitude_residual"]),
        pixel_um=float(about["object_pixel_um"]),
        files=files,
        notes=("the result was there already",),
    )


def _reconstruct(one: FrameSet, plan: DailyPlan, files: tuple[Path, ...], check: Callable[[], None]) -> Iterator[Told]:
    from ptychoui.data.results import save_reconstruction
    from ptychoui.optics.quality.validation import unwrapped_phase
    from ptychoui.workflows.coded_stack import CodedReconstruction

    began, at, patterns = time.perf_counter(), time.time(), plan.patterns
    settings = plan.settings
    try:
        work = CodedReconstruction(
            one.stack, patterns.levels, patterns.exposures, patterns.led_numbers, settings, plan.window, plan.device
        )
        for done in work.run():
            check()
            yield SetPass(name=one.name, number=done.number, passes=plan.passes, residual=done.residual)
        stored = work.stored()
    except PtychouiError as error:
        yield SetRefused(name=one.name, message=error.message, hint=error.hint)
        return
    phase = unwrapped_phase(stored.object)
    check()
    save_reconstruction(files[0], stored)
    write_atomic(files[1], tiff_of(phase, stored.object_pixel_um, Value="phase in rad"))
    yield SetDone(
        name=one.name,
        at=at,
        seconds=time.perf_counter() - began,
        residual=float(stored.amplitude_residual),
        pixel_um=stored.object_pixel_um,
        files=files,
        phase_rad=phase,
        amplitude=np.abs(stored.object).astype(np.float32),
        notes=(*work.notes, work.prior),
    )
