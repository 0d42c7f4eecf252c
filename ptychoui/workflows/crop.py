"""Squares of camera pixels, and the LEDs and images that belong to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.settings import Array

LARGEST_PX = 256
"""Edge of the window that is reconstructed of larger images when none is asked for, in camera pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropRegion:
    """A square of camera pixels: its first row and column, and its edge."""

    row: int
    column: int
    size_px: int

    def field_point_um(self, image_shape: tuple[int, int], pixel_size_um: float) -> tuple[float, float]:
        """x, y of the window's centre at the sample, um, where the images' centre lies on the optical axis.

        The pupil of an LED at (x, y) of the posed array moves by (+x, +y) in columns and rows, because light from
        there comes as exp(-2 pi i (x, y) . (column, row) / (lambda d)). The pose so carries whatever turns and mirrors
        the microscope has, and x of a field point runs along columns, y along rows.
        """
        rows, columns = image_shape
        return (
            (self.column + (self.size_px - columns) / 2) * pixel_size_um,
            (self.row + (self.size_px - rows) / 2) * pixel_size_um,
        )


def image_places(stack: ImageStack, leds: LedArray, source: str) -> NDArray[np.int64]:
    """(LED,) place of every LED's image in a stack.

    Raises
    ------
    DataError
        If an LED has no image.
    """
    places = stack.places_of(leds.numbers)
    missing = leds.numbers[places < 0]
    if len(missing):
        raise DataError(
            f"{source} has no image of LED {missing[0]} ({len(missing)} of {len(leds)} are missing)",
            "check the LED numbers of the geometry",
        )
    return places


def leds_seen_from(array: Array, field_point_um: tuple[float, float], leave_out: Sequence[int] = ()) -> LedArray:
    """The LEDs that are used on the axis, seen from elsewhere.

    Raises
    ------
    GeometryError
        If an LED to be left out is not among them, or none remains.
    """
    used = led_array(array).numbers
    unknown = sorted(set(leave_out) - set(used.tolist()))
    if unknown:
        raise GeometryError(f"there is no LED {unknown[0]} to leave out", "ptychoui info --leds lists their numbers")
    everything = led_array(array.replace(max_illumination_na=None, falloff="none"), field_point_um)
    kept = everything.select(np.isin(everything.numbers, used) & ~np.isin(everything.numbers, list(leave_out)))
    if not len(kept):
        raise GeometryError("no LED remains", "leave fewer LEDs out")
    return kept


def central_window(shape: tuple[int, int], largest_px: int = LARGEST_PX) -> CropRegion:
    """The square in the middle of the images, as large as fits and at most ``largest_px``."""
    size = min(*shape, largest_px)
    return CropRegion(row=(shape[0] - size) // 2, column=(shape[1] - size) // 2, size_px=size)


def cut_note(window: CropRegion, shape: tuple[int, ...]) -> str:
    """What is said where only the middle of the images is used."""
    size = window.size_px
    return (
        f"the central {size} x {size} of {shape[0]} x {shape[1]} pixels were reconstructed; --crop chooses others, "
        "--full-field takes all"
    )
