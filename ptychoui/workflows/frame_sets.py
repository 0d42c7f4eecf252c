"""Images of a design put together to sets, one image for each pattern, from files as they come. No Qt.

A *set* comes as a file or a folder of as many images as there are patterns, as a part of a longer one (a time lapse of
several sets), or as files of one image each, which are counted off by the numbers in their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptychoui.data.dataset import ImageStack
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.words import counted, joined

if TYPE_CHECKING:
    from ptychoui.data.formats.geometry_file import GivenGeometry


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
