"""Frozen arrays with units and provenance: what readers return and everything else starts from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.experiment import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an array came from and what was assumed while reading it."""

    source: str
    layout: str
    sha256: str
    notes: tuple[str, ...] = ()


def array_sha256(*arrays: NDArray[np.generic]) -> str:
    """Hash of the shapes, types and bytes of some arrays, as hexadecimal text."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


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
        (LED, row, column) float32, intensity; 1 is ``unit_counts`` of the file's own unit.
    led_numbers
        (LED,) the LED's number in the array (not its place in the list).
    geometry
        Microscope and array, or None where neither the file nor the user gave them.
    unit_counts
        The file's value that was divided out.
    """

    images: NDArray[np.float32]
    led_numbers: NDArray[np.int64]
    geometry: Geometry | None
    unit_counts: float = 1.0
    provenance: Provenance = field(default_factory=lambda: Provenance(source="memory", layout="arrays", sha256=""))

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
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
                f"the stack has {len(images)} images but {len(numbers)} LEDs",
                "check the array's rows, columns or count in the geometry, or remove dark frames",
            )
        bad = int(np.count_nonzero(~np.isfinite(images)))
        if bad:
            first = int(np.argwhere(~np.isfinite(images))[0][0])
            raise DataError(
                f"{bad} pixels are NaN or infinite, the first in image {first}",
                "replace dead pixels before loading; negative pixels are fine, NaN is not",
            )
        object.__setattr__(self, "images", _frozen(images.astype(np.float32, copy=False)))
        object.__setattr__(self, "led_numbers", _frozen(numbers.astype(np.int64, copy=False)))

    @property
    def negative_pixels(self) -> int:
        """Number of pixels below zero: legal after dark subtraction."""
        return int(np.count_nonzero(self.images < 0))

    def crop(self, row: int, column: int, height: int, width: int) -> ImageStack:
        """Return the window of all images that starts at (row, column), in camera pixels."""
        rows, columns = self.images.shape[1:]
        if row < 0 or column < 0 or row + height > rows or column + width > columns:
            raise DataError(
                f"the window {height} x {width} at ({row}, {column}) leaves the image of {rows} x {columns} pixels"
            )
        return replace(self, images=self.images[:, row : row + height, column : column + width].copy())


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
