"""Frozen arrays with units and provenance: what readers return and everything else starts from."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.acquired import Acquired
from ptychoui.errors import DataError
from ptychoui.settings import Geometry
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that is known of a file, and from where.

    Attributes
    ----------
    name
        What it is, in words: "wavelength", "axis of the LEDs".
    value
        A number in ``unit``, or words.
    source
        Where it came from: a variable, a header, or the custom of the layout.
    assumed
        True if the file does not state it: the layout's custom or a choice of the reader.
    """

    name: str
    value: float | int | str
    unit: str = ""
    source: str = ""
    assumed: bool = False

    def __str__(self) -> str:
        value = f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)
        words = f"{self.name}: {value} {self.unit}".rstrip()
        return f"{words} - {'assumed, ' if self.assumed else 'from '}{self.source}" if self.source else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an array came from, what was read of it and what was assumed.

    Attributes
    ----------
    clipped
        LED and share of its pixels at the largest value, worst first, of images that the camera has clipped.
    acquired
        Which LEDs shone in every image, of a stack that the program took itself.
    """

    source: str
    layout: str
    sha256: str
    notes: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    clipped: tuple[tuple[int, float], ...] = ()
    acquired: Acquired | None = None


def array_sha256(*arrays: NDArray[np.generic]) -> str:
    """Hash of the shapes, types and bytes of some arrays, as hexadecimal text."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        for part in pieces(array):
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


PIECE_BYTES = 2**24


def pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array along its first axis, some 16 MiB at a time; of a mapped file no more is resident at a time."""
    if array.ndim == 0:
        yield array
        return
    step = max(1, PIECE_BYTES // max(1, array[:1].nbytes))
    for first in range(0, len(array), step):
        yield array[first : first + step]
        release(array)


def one_by_one(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Its items along the first axis; of a mapped file no more is resident at a time than `pieces` are."""
    for part in pieces(array):
        yield from part


def release(array: NDArray[Any]) -> None:
    """Give back the pages of a mapped file that were read or written; they are read again when needed."""
    if not isinstance(array, np.memmap) or array.mode == "c":  # changes to a private copy would be lost
        return
    mapping = getattr(array, "_mmap", None)
    if isinstance(mapping, mmap.mmap) and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        array = array.copy() if array.base is not None else array
        array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStack:
    """One intensity image per LED.

    Attributes
    ----------
    images
        (LED, row, column) float32, intensity; 1 is ``unit_counts`` of the file's own unit. A read-only `numpy.memmap`
        stays one: its pixels are read from the file when they are looked at.
    led_numbers
        (LED,) the LED's number in the array (not its place in the list).
    geometry
        Microscope and array, or None where neither the file nor the user gave them.
    unit_counts
        The file's value that was divided out.
    exposure
        (LED,) relative exposure of each image as it was recorded; the images are divided by it already. One
        where nothing is known.
    """

    images: NDArray[np.float32]
    led_numbers: NDArray[np.int64]
    geometry: Geometry | None
    unit_counts: float = 1.0
    provenance: Provenance = field(default_factory=lambda: Provenance(source="memory", layout="arrays", sha256=""))
    exposure: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        images = np.asanyarray(self.images)
        if images.ndim != 3 or 0 in images.shape:
            raise DataError(
                f"an LED stack must have the axes LED, row, column; this one has the shape {images.shape}",
                "name the axis of the images, or check that the file is not empty",
            )
        if np.iscomplexobj(images):
            raise DataError("an LED stack holds intensities, not complex numbers", "save |field|^2 instead")
        numbers = np.asarray(self.led_numbers)
        if len(numbers) != len(images):
            raise DataError(
                f"the stack has {counted(len(images), 'image')} but {counted(len(numbers), 'LED')}",
                "check the array's rows, columns or count in the geometry, or remove dark frames",
            )
        bad_pixels = [np.count_nonzero(~np.isfinite(part), axis=(1, 2)) for part in pieces(images)]
        bad = int(sum(count.sum() for count in bad_pixels))
        if bad:
            first = int(np.flatnonzero(np.concatenate(bad_pixels))[0])
            raise DataError(
                f"{counted(bad, 'pixel is', 'pixels are')} NaN or infinite, the first in image {first}",
                "replace dead pixels before loading; negative pixels are fine, NaN is not",
            )
        if not self.mapped:
            object.__setattr__(self, "images", _frozen(np.asarray(images, np.float32)))
        object.__setattr__(self, "led_numbers", _frozen(numbers.astype(np.int64, copy=False)))
        given = np.ones(0) if self.exposure is None else np.asarray(self.exposure, dtype=np.float64)
        # Ones say nothing, so a copy with other images does not have to renew them.
        exposure = np.ones(len(images)) if np.all(given == 1) else given
        if exposure.shape != (len(images),):
            raise DataError(f"the stack has {len(images)} images but exposures of the shape {exposure.shape}")
        if not (np.isfinite(exposure).all() and (exposure > 0).all()):
            raise DataError("an exposure is not a number above 0", "correct the exposure times of the data")
        object.__setattr__(self, "exposure", _frozen(exposure))

    @property
    def mapped(self) -> bool:
        """True if the images lie in a file and are read when they are looked at."""
        images = self.images
        return isinstance(images, np.memmap) and images.dtype == np.float32 and not images.flags.writeable

    def places_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(LED,) place of the image of every LED of ``numbers`` (LED,); -1 where it has none."""
        places = {int(number): place for place, number in enumerate(self.led_numbers)}
        return np.array([places.get(int(number), -1) for number in numbers], dtype=np.int64)

    @property
    def negative_pixels(self) -> int:
        """Number of pixels below zero: legal after dark subtraction."""
        return sum(int(np.count_nonzero(part < 0)) for part in pieces(self.images))

    @property
    def extent(self) -> tuple[float, float]:
        """Smallest and largest pixel."""
        both = [(float(part.min()), float(part.max())) for part in pieces(self.images)]
        return min(low for low, _ in both), max(high for _, high in both)

    def crop(self, row: int, column: int, height: int, width: int) -> ImageStack:
        """Return the window of all images that starts at (row, column), in camera pixels."""
        rows, columns = self.images.shape[1:]
        if height < 1 or width < 1:
            raise DataError(f"a window of {height} x {width} pixels holds no pixel", "choose a size of 1 or more")
        if row < 0 or column < 0 or row + height > rows or column + width > columns:
            raise DataError(
                f"the window {height} x {width} at ({row}, {column}) leaves the image of {rows} x {columns} pixels",
                f"choose rows and columns from 0 on that end at {rows} and {columns}",
            )
        parts = [np.array(part[:, row : row + height, column : column + width]) for part in pieces(self.images)]
        return replace(self, images=np.concatenate(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Complex objects to learn from.

    Attributes
    ----------
    objects
        (object, row, column) complex64 transmission, at ``pixel_size_um``.
    sources
        (object,) number of the image each object was cut from; sets are split by source.
    pixel_size_um
        Pixel of the objects at the sample, um.
    source_names
        One name for each source number.
    """

    objects: NDArray[np.complex64]
    sources: NDArray[np.int64]
    pixel_size_um: float
    source_names: tuple[str, ...]
    geometry: Geometry | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance(source="memory", layout="arrays", sha256=""))

    def __post_init__(self) -> None:
        objects = np.asarray(self.objects)
        if objects.ndim != 3 or objects.shape[1] != objects.shape[2] or 0 in objects.shape:
            raise DataError(f"training objects must be square with the axes object, row, column; got {objects.shape}")
        if len(self.sources) != len(objects):
            raise DataError(f"{len(objects)} objects but {len(self.sources)} source numbers")
        if not np.isfinite(objects).all():
            raise DataError("a training object holds NaN or infinity", "remove it from the set")
        if not self.pixel_size_um > 0:
            raise DataError(f"pixel size of {self.pixel_size_um} um: it must be above 0 um")
        object.__setattr__(self, "objects", _frozen(objects.astype(np.complex64, copy=False)))
        object.__setattr__(self, "sources", _frozen(np.asarray(self.sources, dtype=np.int64)))


def split_sources(sources: NDArray[np.int64], holdout: float, seed: int) -> tuple[NDArray[np.bool_], int]:
    """Choose the held-out sources: (object,) bool, and how many sources that are.

    This is the only way in which objects are split: crops of one source are not independent.

    Parameters
    ----------
    sources
        (object,) number of the source of each object.
    holdout
        Share of the sources to hold out; at least one is, and at least one is not.

    Raises
    ------
    DataError
        If all objects are of one source.
    """
    names = np.unique(sources)
    if len(names) < 2:
        raise DataError(
            "the training set has a single source image, so nothing can be held out",
            "add objects from another image; crops of one image are not independent",
        )
    count = min(max(1, round(holdout * len(names))), len(names) - 1)
    chosen = np.random.default_rng(seed).permutation(names)[:count]
    return np.isin(sources, chosen), count
