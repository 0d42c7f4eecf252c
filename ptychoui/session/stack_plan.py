"""What of a stack is reconstructed, and how: a square of its images, its LEDs as seen from there, its memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError, NoGeometryError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import tile_limits
from ptychoui.settings import Geometry, Reconstruct, Settings
from ptychoui.words import counted

USUAL_SIZE_PX = 256
"""A larger square is reconstructed on request only: its LEDs are seen under different angles, and it takes long."""


class StackPlan(Settings):
    """Settings of a reconstruction and the square that is reconstructed."""

    settings: Reconstruct = Reconstruct()
    size_px: int | None = Field(
        None, ge=16, le=2048, description=f"edge of the square in camera pixels (default: up to {USUAL_SIZE_PX})"
    )
    center_column_px: float | None = Field(
        None, ge=0, description="middle of the square, in camera pixels from the left edge (default: the image's)"
    )
    center_row_px: float | None = Field(
        None, ge=0, description="middle of the square, in camera pixels from the upper edge (default: the image's)"
    )

    tilt: bool = Field(False, description="a calibration finds the array's tilt, too; small squares cannot tell it")
    single_leds: bool = Field(
        False, description="in the end a calibration lets every LED shift a little; the array becomes a table"
    )

    def square(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """First row, first column and edge of the square in images (..., row, column); it is moved inside them."""
        rows, columns = shape[-2:]
        size = min(self.size_px or USUAL_SIZE_PX, rows, columns)
        middle = (self.center_row_px, rows), (self.center_column_px, columns)
        row, column = (
            min(max(0, round((length / 2 if at is None else at) - size / 2)), length - size) for at, length in middle
        )
        return row, column, size


@dataclass(frozen=True, slots=True, kw_only=True)
class StackTask:
    """Everything a reconstruction starts from.

    Attributes
    ----------
    images
        (L, size, size) in the order of ``leds``.
    leds
        Those LEDs of the array that have an image, as seen from the square's middle.
    square
        First row, first column, edge in the stack's images.
    field_point_um
        x, y of the square's middle at the sample, from the optical axis.
    notes
        What was left out.
    """

    images: NDArray[np.float32]
    leds: LedArray
    square: tuple[int, int, int]
    field_point_um: tuple[float, float]
    geometry: Geometry
    settings: Reconstruct
    notes: tuple[str, ...] = ()


def stack_task(stack: ImageStack, geometry: Geometry | None, plan: StackPlan) -> StackTask:
    """Cut the square out of the images and bring them into the order of the array's LEDs.

    Raises
    ------
    NoGeometryError
        Without a geometry.
    DataError
        If no image belongs to an LED of the array.
    """
    leds, square, point, notes = _seen(stack, geometry, plan)
    assert geometry is not None
    row, column, size = square
    order = stack.places_of(leds.numbers)
    images = np.empty((len(order), size, size), np.float32)
    for target, source in enumerate(order):
        images[target] = stack.images[source, row : row + size, column : column + size]
    return StackTask(
        images=images,
        leds=leds,
        square=square,
        field_point_um=point,
        geometry=geometry,
        settings=plan.settings,
        notes=tuple(notes),
    )


def _seen(
    stack: ImageStack, geometry: Geometry | None, plan: StackPlan
) -> tuple[LedArray, tuple[int, int, int], tuple[float, float], list[str]]:
    from ptychoui.workflows.crop import CropRegion, leds_seen_from

    if geometry is None:
        raise NoGeometryError(
            "a stack cannot be reconstructed without a geometry", "choose a geometry, or enter it in the geometry form"
        )
    square = plan.square(stack.images.shape)
    rows, columns = stack.images.shape[1:]
    window = CropRegion(row=square[0], column=square[1], size_px=square[2])
    point = window.field_point_um((rows, columns), geometry.microscope.pixel_size_um)
    leds = leds_seen_from(geometry.array, point)
    there = stack.places_of(leds.numbers) >= 0
    if not there.any():
        raise DataError(
            "no image belongs to an LED of the array",
            f"the images are of the LEDs {stack.led_numbers.min()} to {stack.led_numbers.max()}, the array's numbers "
            f"run from {leds.numbers.min()} to {leds.numbers.max()}: check the geometry",
        )
    notes = []
    if not there.all():
        absent = int(np.count_nonzero(~there))
        have = "has no image and is" if absent == 1 else "have no image and are"
        notes.append(f"{counted(absent, 'LED')} of the array {have} left out")
    unused = int(np.count_nonzero(~np.isin(stack.led_numbers, leds.numbers)))
    if unused:
        belong = "belongs to no LED in use and is" if unused == 1 else "belong to no LED in use and are"
        notes.append(f"{counted(unused, 'image')} {belong} left out")
    return leds.select(there), square, point, notes


@dataclass(frozen=True, slots=True, kw_only=True)
class StackForecast:
    """What can be said before a reconstruction.

    Attributes
    ----------
    memory_bytes
        Predicted peak of the arrays, images included.
    warnings
        What to change: sentences.
    """

    leds: int
    size_px: int
    object_px: int
    object_pixel_um: float
    memory_bytes: int
    warnings: tuple[str, ...]

    @property
    def line(self) -> str:
        """The forecast in one line."""
        edge = self.object_px * self.object_pixel_um
        leds = counted(self.leds, "LED")
        return (
            f"{leds}, {self.size_px} × {self.size_px} px → {self.object_px} × {self.object_px} px of "
            f"{self.object_pixel_um:.3g} µm ({edge:.3g} µm wide), about {self.memory_bytes / 1e6:.3g} MB"
        )


def forecast(stack: ImageStack, geometry: Geometry | None, plan: StackPlan) -> StackForecast:
    """Sizes, memory and warnings of a reconstruction. Loads torch: not for the window's thread.

    Raises
    ------
    PtychouiError
        For the reasons for which the reconstruction itself would be refused.
    """
    from ptychoui.optics.reconstruction.stack_fit import stack_bytes
    from ptychoui.optics.reconstruction.stack_grids import object_upsampling, stack_sampling

    leds, square, _point, warnings = _seen(stack, geometry, plan)
    assert geometry is not None
    size, settings = square[2], plan.settings
    grids = stack_sampling(geometry.microscope, leds, size, settings.pad_px)
    times = object_upsampling(grids, settings.upsampling)
    largest_um = tile_limits(geometry).smallest_um
    largest = int(largest_um / geometry.microscope.pixel_size_um)
    if size > largest:
        warnings.append(
            f"over {size} pixels the light of one LED is not one direction: use {max(16, largest)} pixels or fewer"
        )
    images = len(leds) * size**2 * 4
    return StackForecast(
        leds=len(leds),
        size_px=size,
        object_px=size * times,
        object_pixel_um=grids.pixel_size_um / times,
        # The images as they are, and as they are predicted in the end.
        memory_bytes=2 * images + stack_bytes(geometry.microscope, leds, grids, settings.pupil),
        warnings=tuple(warnings),
    )
