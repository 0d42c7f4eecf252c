"""A design and images of it give phase, set after set, as they arrive: what daily work needs. No Qt.

A *set* is one image for each pattern, in their order. It comes as a file or a folder of that many images, as a part of
a longer one (a time lapse of several sets), or as files of one image each, which are counted off by the numbers in
their names.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import make_folder, write_atomic
from ptychoui.data.tiff_values import tiff_of
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.settings import Reconstruct
from ptychoui.words import counted, joined
from ptychoui.workflows.crop import CropRegion
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRefused:
    """A set, or something that should be one, gave no result: a sentence, and what to do."""

    name: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing is to be done; ``text`` says what is waited for."""

    text: str


Told = SetStarted | SetPass | SetDone | SetRefused | Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSet:
    """Images of one set, with its name, and the file that was complete last."""

    name: str
    stack: ImageStack
    last: Path


@dataclass(slots=True)
class _Loose:
    """Single images that are counted off: those of one beginning of a name."""

    first: int
    frames: dict[int, FrameSet] = field(default_factory=dict)
    said: set[int] = field(default_factory=set)


class SetReader:
    """Reads what is complete, and puts images together to sets.

    Parameters
    ----------
    patterns, given
        See `DailyPlan`.
    """

    def __init__(self, patterns: PatternSet, given: GivenGeometry = None) -> None:
        self._patterns, self._given = patterns, given
        self.count = len(patterns.levels)
        self._loose: dict[str, _Loose] = {}

    def read(self, entry: Path) -> Iterator[FrameSet | SetRefused | Waiting]:
        """Sets that are complete with this file or folder, and sentences about what is none, or not yet."""
        again = "it is read again when it changes"
        name = entry.stem if entry.is_file() else entry.name
        try:
            frames = count_images(entry, self.count)
            if frames % self.count and (frames > 1 or entry.is_dir()):
                text = f"{entry.name} holds {counted(frames, 'image')}, and a set has {self.count}"
                if entry.is_dir() and frames < self.count:
                    yield Waiting(text=f"more images in {entry.name}: {frames} of {self.count} are there")
                else:
                    hint = "give one image for each pattern, or several such sets one after the other"
                    yield SetRefused(name=entry.name, message=text, hint=f"{hint}; {again}")
                return
            stack = self._open(entry, frames)
        except Exception as error:  # half-written files break readers in any way; the watch goes on
            message = error.message if isinstance(error, PtychouiError) else f"{entry.name} cannot be read: {error}"
            yield SetRefused(name=entry.name, message=message, hint=again)
            return
        if frames == self.count:
            yield FrameSet(name=name, stack=stack, last=entry)
        elif frames == 1:
            yield from self._count_off(entry, stack)
        else:
            sets = frames // self.count
            for part in range(sets):
                yield FrameSet(name=f"{name}-{part + 1:0{len(str(sets))}d}", stack=self._part(stack, part), last=entry)

    @property
    def waiting(self) -> str:
        """Which single images are there already, in words; empty if none wait."""
        parts = [len(loose.frames) for loose in self._loose.values() if loose.frames]
        return f"{counted(sum(parts), 'image')} of the next set" if parts else ""

    def _open(self, entry: Path, frames: int) -> ImageStack:
        from ptychoui.workflows.coded_stack import open_coded_images

        return open_coded_images(str(entry), self._patterns.geometry, frames, self._given)

    def _part(self, stack: ImageStack, part: int) -> ImageStack:
        assert stack.exposure is not None
        these = slice(part * self.count, (part + 1) * self.count)
        return replace(
            stack,
            images=np.asarray(stack.images[these]),
            led_numbers=np.arange(self.count),
            exposure=stack.exposure[these],
        )

    def _count_off(self, entry: Path, stack: ImageStack) -> Iterator[FrameSet | SetRefused]:
        """Put a single image into its set, which is yielded when it is full."""
        beginning, number = _numbered(entry.stem)
        loose = self._loose.get(beginning)
        if loose is None:
            loose = self._loose[beginning] = _Loose(first=0 if number is None else number)
        if number is None:
            number = loose.first + len(loose.frames)
        if number < loose.first:  # somebody put an earlier one in: sets are counted from it on
            loose.first -= self.count * -(-(loose.first - number) // self.count)
        loose.frames[number] = FrameSet(name=entry.stem, stack=stack, last=entry)
        block = (number - loose.first) // self.count
        members = [loose.first + block * self.count + place for place in range(self.count)]
        missing = [member for member in members if member not in loose.frames]
        yield from self._say_missing(beginning, loose, block)
        if missing:
            return
        frames = [loose.frames.pop(member) for member in members]
        try:
            whole = _together([frame.stack for frame in frames])
        except PtychouiError as error:
            yield SetRefused(name=frames[0].name, message=error.message, hint=error.hint)
            return
        yield FrameSet(name=f"{frames[0].name}-{frames[-1].name}", stack=whole, last=frames[-1].last)

    def _say_missing(self, beginning: str, loose: _Loose, block: int) -> Iterator[SetRefused]:
        """Sets that began before this one and are not full: say once what they lack."""
        for earlier in sorted({(number - loose.first) // self.count for number in loose.frames}):
            if earlier >= block or earlier in loose.said:
                continue
            loose.said.add(earlier)
            members = [loose.first + earlier * self.count + place for place in range(self.count)]
            missing = [str(member) for member in members if member not in loose.frames]
            yield SetRefused(
                name=f"{beginning}{members[0]} to {members[-1]}",
                message=f"the set of images {beginning}{members[0]} to {members[-1]} lacks number {joined(missing)}",
                hint="it is reconstructed when that arrives",
            )


def count_images(entry: Path, usual: int) -> int:
    """Images in a folder of them or in a TIFF file; ``usual`` of other files, whose reader finds out.

    Raises
    ------
    PtychouiError
        If there is none.
    """
    if entry.is_dir():
        from ptychoui.data.formats.folder import image_files

        return len(image_files(entry)[0])
    if entry.suffix.lower() not in (".tif", ".tiff"):
        return usual
    import tifffile

    from ptychoui.data.formats.common import parsing
    from ptychoui.data.formats.tiff_planes import images_among

    with parsing(entry, "TIFF file"), tifffile.TiffFile(entry) as tiff:
        return len(images_among(tiff)[0])


def _numbered(stem: str) -> tuple[str, int | None]:
    """The beginning of a name and the number at its end."""
    found = re.search(r"(\d+)$", stem)
    return (stem, None) if found is None else (stem[: found.start()], int(found.group(1)))


def _together(stacks: list[ImageStack]) -> ImageStack:
    """Single images as one set, in one unit: readers divide every file by its own."""
    shapes = {stack.images.shape[1:] for stack in stacks}
    if len(shapes) > 1:
        sizes = joined(sorted(f"{rows} x {columns}" for rows, columns in shapes))
        raise DataError(f"the images of one set have different sizes: {sizes} pixels", "record them with one camera")
    unit = max(stack.unit_counts for stack in stacks)
    images = np.concatenate([np.asarray(stack.images) * np.float32(stack.unit_counts / unit) for stack in stacks])
    exposures = [stack.exposure for stack in stacks if stack.exposure is not None]
    return replace(
        stacks[0],
        images=images,
        led_numbers=np.arange(len(stacks)),
        unit_counts=unit,
        exposure=np.concatenate(exposures),
    )


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
