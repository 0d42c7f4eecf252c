"""Changes of an array's pose: as numbers that a fit may move, and as the eight ways to lay out two axes. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import GeometryError
from ptychoui.optics.geometry.led_array import apply_pose, layout, led_array, rays
from ptychoui.settings import Array, Pose

SHIFT_X, SHIFT_Y, ROTATION, HEIGHT, TILT_X, TILT_Y = range(6)
RIGID = (SHIFT_X, SHIFT_Y, ROTATION, HEIGHT)
TILTED = (*RIGID, TILT_X, TILT_Y)

UNITS = ("mm", "mm", "deg", "%", "deg", "deg")
NAMES = ("shift x", "shift y", "rotation", "height", "tilt x", "tilt y")

SCALES = np.array([1.0, 1.0, 2.0, 3.0, 3.0, 3.0])
"""Changes of a like effect: mm, mm, degrees, percent, degrees, degrees."""

LIMITS = np.array([8.0, 8.0, 12.0, 20.0, 15.0, 15.0])
"""Largest change of each number that a calibration may make."""


def moved(array: Array, change: NDArray[np.float64]) -> Array:
    """The array after a change (6,) of its pose: shifts in mm, rotation in degrees, height in %, tilts in degrees.

    The pitch never changes: with it the height would be free.
    """
    height_mm, pose = _posed(array, change)
    return array.replace(height_mm=height_mm, pose=pose)


def _posed(array: Array, change: NDArray[np.float64]) -> tuple[float, Pose]:
    """Height in mm and pose after a change (6,)."""
    pose = array.pose
    return array.height_mm * (1 + float(change[HEIGHT]) / 100), pose.replace(
        shift_x_mm=pose.shift_x_mm + float(change[SHIFT_X]),
        shift_y_mm=pose.shift_y_mm + float(change[SHIFT_Y]),
        rotation_deg=pose.rotation_deg + float(change[ROTATION]),
        tilt_x_deg=pose.tilt_x_deg + float(change[TILT_X]),
        tilt_y_deg=pose.tilt_y_deg + float(change[TILT_Y]),
    )


def difference(array: Array, other: Array) -> NDArray[np.float64]:
    """The change (6,) that makes ``other`` of ``array``."""
    a, b = array.pose, other.pose
    return np.array(
        [
            b.shift_x_mm - a.shift_x_mm,
            b.shift_y_mm - a.shift_y_mm,
            b.rotation_deg - a.rotation_deg,
            100 * (other.height_mm / array.height_mm - 1),
            b.tilt_x_deg - a.tilt_x_deg,
            b.tilt_y_deg - a.tilt_y_deg,
        ]
    )


def changes(change: NDArray[np.float64]) -> str:
    """A change (6,) of the pose for people, with units."""
    parts = [f"{name} {amount:+.3g} {unit}" for name, amount, unit in zip(NAMES, change, UNITS, strict=True) if amount]
    return ", ".join(parts) or "no change"


class Movable:
    """LEDs whose pose is changed again and again: their layout, which no pose changes, is worked out once.

    Parameters
    ----------
    array
        The array; all its LEDs count, whatever ``max_illumination_na`` says.
    field_point_um
        x, y of the point at the sample in um that they are seen from.
    """

    def __init__(self, array: Array, field_point_um: tuple[float, float] = (0.0, 0.0)) -> None:
        self.array, self.field_point_um = array, field_point_um
        self._numbers, self._flat = layout(array)

    def directions(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """(L, 2) direction cosines after a change (6,) of the pose, as `moved` takes it."""
        height_mm, pose = _posed(self.array, change)
        positions = apply_pose(self._flat, pose)
        direction, sine, _air_mm = rays(self.array, height_mm, self._numbers, positions, self.field_point_um)
        return direction * sine[:, None]


def directions(
    array: Array, change: NDArray[np.float64], field_point_um: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """(L, 2) direction cosines after a change of the pose; all LEDs, whatever ``max_illumination_na`` says."""
    return Movable(array, field_point_um).directions(change)


def slopes(
    array: Array, numbers: tuple[int, ...], field_point_um: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """(L, 2, K) change of the direction cosines with each of K numbers of the pose, in units of `SCALES`."""
    found, leds = [], Movable(array, field_point_um)
    for number in numbers:
        step = np.zeros(6)
        step[number] = 1e-3 * SCALES[number]
        there, back = (leds.directions(sign * step) for sign in (1, -1))
        found.append((there - back) / 2e-3)
    return np.stack(found, -1)


ANY_KIND = (
    "height_mm",
    "slide_thickness_mm",
    "slide_index",
    "max_illumination_na",
    "falloff",
    "falloff_table",
    "led_size_um",
    "die_offsets_mm",
    "colour",
    "pose",
)
"""Settings that arrays of every kind have."""


def shifted(array: Array, shift_mm: NDArray[np.float64]) -> Array:
    """The array as a table of LEDs, each shifted by (L, 2) mm in the array's own plane, before its pose."""
    plain = array.replace(die_offsets_mm={})
    numbers, positions = layout(plain)
    places = positions + np.column_stack([shift_mm, np.zeros(len(positions))])
    common = {name: getattr(array, name) for name in ANY_KIND}
    return Array(
        kind="table",
        positions_mm=tuple(tuple(place) for place in places.tolist()),
        led_numbers=tuple(numbers.tolist()),
        **common,
    )


def single_slopes(array: Array, field_point_um: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """(L, 2, 2) change of every LED's direction cosines with its own shift in x and in y, per mm."""
    found, step = [], 1e-3
    for axis in (0, 1):
        shift = np.zeros((len(array.numbers()), 2))
        shift[:, axis] = step
        there, back = (
            led_array(shifted(array, sign * shift).replace(max_illumination_na=None), field_point_um).illumination_na
            for sign in (1, -1)
        )
        found.append((there - back) / (2 * step))
    return np.stack(found, -1)


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the eight ways to lay out the two axes of the array before the camera."""

    flip_x: bool
    flip_y: bool
    swap_xy: bool

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(2, 2) flips first, then the exchange."""
        flips = np.diag([-1 if self.flip_x else 1, -1 if self.flip_y else 1])
        return flips[::-1].copy() if self.swap_xy else flips

    @property
    def twin(self) -> Variant:
        """The same turned by half a turn: in focus both explain the images alike, with the sign of phase changed."""
        return Variant(not self.flip_x, not self.flip_y, self.swap_xy)

    def __str__(self) -> str:
        words = [
            name
            for name, on in (("flip x", self.flip_x), ("flip y", self.flip_y), ("swap x and y", self.swap_xy))
            if on
        ]
        return ", ".join(words) or "as it is"


VARIANTS = tuple(Variant(*flags) for flags in product((False, True), repeat=3))


def laid_out(array: Array, variant: Variant) -> Array:
    """The array with the axes of its images laid out another way: every direction (x, y) becomes ``matrix`` (x, y).

    Raises
    ------
    GeometryError
        If the array is tilted about both axes, whose order an exchange of axes would change.
    """
    pose, turn = array.pose, variant.matrix
    if variant.swap_xy and pose.tilt_x_deg and pose.tilt_y_deg:
        raise GeometryError(
            "an array that is tilted about both axes has no other layout of its axes",
            "test the orientation before the tilt is calibrated",
        )
    own = Variant(pose.flip_x, pose.flip_y, pose.swap_xy).matrix
    both = turn @ own
    swap = both[0, 0] == 0
    columns = both.sum(0)  # each column holds one number, 1 or -1
    handed = round(float(np.linalg.det(turn)))
    shift = turn @ np.array([pose.shift_x_mm, pose.shift_y_mm])
    # A tilt is an axial vector: a mirror turns it the other way round.
    tilt = handed * (turn @ np.array([pose.tilt_x_deg, pose.tilt_y_deg]))
    return array.replace(
        pose=Pose(
            shift_x_mm=float(shift[0]),
            shift_y_mm=float(shift[1]),
            rotation_deg=handed * pose.rotation_deg,
            tilt_x_deg=float(tilt[0]),
            tilt_y_deg=float(tilt[1]),
            flip_x=bool(columns[0] < 0),
            flip_y=bool(columns[1] < 0),
            swap_xy=bool(swap),
        )
    )


def half_turn(array: Array, field_point_um: tuple[float, float] = (0.0, 0.0)) -> Array:
    """The array turned by half a turn about a point of the sample: as seen there, every direction is the opposite."""
    turned = laid_out(array, Variant(True, True, False))
    x_mm, y_mm = (2e-3 * value for value in field_point_um)
    pose = turned.pose
    return turned.replace(
        pose=pose.replace(shift_x_mm=pose.shift_x_mm + x_mm, shift_y_mm=pose.shift_y_mm + y_mm),
    )
