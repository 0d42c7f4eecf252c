"""Which LEDs lie in a shape, under a brush, or opposite one another: masks (LED,) of places (LED, 2). NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError
from ptychoui.words import counted

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ON_AXIS = 1e-9
"""Distance from a line or the axis below which an LED lies on it."""

LEAST_PITCH_SHARE = 0.5
"""Two LEDs are mirror images if one lies no further from the other's image than this share of the pitch."""

MIRRORS: dict[str, tuple[int, int]] = {"left-right": (-1, 1), "up-down": (1, -1), "half turn": (-1, -1)}
"""Signs of x and y of what lies opposite."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a shape asks for: its name, its smallest and largest value, and the usual one."""

    name: str
    low: float
    high: float
    usual: float
    decimals: int = 3


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape with its words and the numbers that it asks for."""

    text: str
    numbers: tuple[Number, ...] = ()


SHAPES: dict[str, Shape] = {
    "ring": Shape("Ring", (Number("from NA", 0, 1.6, 0.0), Number("to NA", 0, 1.6, 0.1))),
    "half": Shape("Half", (Number("towards, in degrees", -360, 360, 0, 1),)),
    "quadrant": Shape("Quadrant", (Number("turned by, in degrees", -360, 360, 0, 1),)),
    "disc": Shape("Disc", (Number("x", -1.6, 1.6, 0), Number("y", -1.6, 1.6, 0), Number("radius", 0, 1.6, 0.05))),
    "bright": Shape("Bright field"),
    "dark": Shape("Dark field"),
    "random": Shape("Random", (Number("how many", 1, 65_536, 10, 0),)),
    "above": Shape("By level", (Number("level from", 0, 1, 0.5, 2), Number("level to", 0, 1, 1, 2))),
    "all": Shape("All"),
}
"""Shapes by their keys. Distances are in NA; a quadrant begins at its angle and ends 90 degrees on, anticlockwise."""


def ring(na: FloatArray, low: float, high: float) -> BoolArray:
    """LEDs whose illumination NA is ``low`` to ``high``, both included: (LED, 2) NA to (LED,) bool."""
    radius = np.hypot(*na.T)
    return np.asarray((radius >= low - ON_AXIS) & (radius <= high + ON_AXIS))


def half(na: FloatArray, towards_deg: float) -> BoolArray:
    """LEDs on one side of a line through the axis; those on the line belong to neither: (LED, 2) NA to (LED,) bool."""
    angle = np.deg2rad(towards_deg)
    return np.asarray(na @ np.array([np.cos(angle), np.sin(angle)]) > ON_AXIS)


def quadrant(na: FloatArray, turned_deg: float) -> BoolArray:
    """LEDs from an angle to 90 degrees on, the first line included: (LED, 2) NA to (LED,) bool; no LED on the axis."""
    angle = np.rad2deg(np.arctan2(na[:, 1], na[:, 0]))
    beyond = (angle - turned_deg + 1e-6) % 360
    return np.asarray((beyond < 90) & (np.hypot(*na.T) > ON_AXIS))


def disc(na: FloatArray, x: float, y: float, radius: float) -> BoolArray:
    """LEDs up to ``radius`` from a point, in NA: (LED, 2) to (LED,) bool."""
    return np.asarray(np.hypot(na[:, 0] - x, na[:, 1] - y) <= radius + ON_AXIS)


def some(allowed: BoolArray, count: int, rng: np.random.Generator) -> BoolArray:
    """``count`` of the allowed LEDs (LED,) at random, as a mask (LED,).

    Raises
    ------
    SettingsError
        If there are not so many.
    """
    places = np.flatnonzero(allowed)
    if count > len(places):
        raise SettingsError(
            f"{counted(count, 'LED')} at random: this pattern may light {len(places)}", "ask for fewer LEDs"
        )
    chosen = np.zeros(len(allowed), bool)
    chosen[rng.choice(places, count, replace=False)] = True
    return chosen


def shape_mask(
    key: str,
    values: Mapping[str, float],
    na: FloatArray,
    objective_na: float,
    levels: FloatArray,
    allowed: BoolArray,
    rng: np.random.Generator,
) -> BoolArray:
    """LEDs of a shape.

    Parameters
    ----------
    key, values
        One of `SHAPES`, and its numbers by their names.
    na, levels, allowed
        (LED, 2) illumination NA, (LED,) drive levels of the pattern, and (LED,) which LEDs it may light.
    rng
        Draws the random ones.

    Returns
    -------
    (LED,) bool; LEDs that the pattern may not light are among them, but for random ones.

    Raises
    ------
    SettingsError
        If a ring or a range of levels ends before it begins, or more random LEDs are asked for than there are.
    """
    radius = np.hypot(*na.T)
    numbers = [values[number.name] for number in SHAPES[key].numbers]
    if key in ("ring", "above") and numbers[0] > numbers[1]:
        names = [number.name for number in SHAPES[key].numbers]
        raise SettingsError(f"{names[0]} {numbers[0]:g} lies above {names[1]} {numbers[1]:g}", "exchange the two")
    if key == "ring":
        return ring(na, numbers[0], numbers[1])
    if key == "half":
        return half(na, numbers[0])
    if key == "quadrant":
        return quadrant(na, numbers[0])
    if key == "disc":
        return disc(na, numbers[0], numbers[1], numbers[2])
    if key == "random":
        return some(allowed, round(numbers[0]), rng)
    if key == "above":
        return np.asarray((levels >= numbers[0] - ON_AXIS) & (levels <= numbers[1] + ON_AXIS))
    if key == "bright":
        return np.asarray(radius < objective_na)
    if key == "dark":
        return np.asarray(radius >= objective_na)
    return np.ones(len(na), bool)


def touched(places: FloatArray, start: tuple[float, float], end: tuple[float, float], radius: float) -> BoolArray:
    """LEDs up to ``radius`` from the straight line between two points: (LED, 2) places to (LED,) bool.

    Places, points and radius are in one unit, whichever it is.
    """
    first, along = np.asarray(start, float), np.subtract(end, start)
    length = float(along @ along)
    share = np.clip((places - first) @ along / length, 0, 1) if length > 0 else np.zeros(len(places))
    return np.asarray(np.hypot(*(places - first - share[:, None] * along).T) <= radius)


def pitch_of(places: FloatArray) -> float:
    """Median distance of an LED's nearest neighbour, in the unit of the places (LED, 2); 0 of a single LED.

    Of large arrays some 200 LEDs are looked at.
    """
    if len(places) < 2:
        return 0.0
    few = places[:: max(1, len(places) // 200)]
    distance = np.hypot(*(few[:, None, :] - places[None, :, :]).transpose(2, 0, 1))
    distance[distance < ON_AXIS] = np.inf
    return float(np.median(distance.min(1)))


def opposite(places: FloatArray, mirror: str) -> NDArray[np.int64]:
    """(LED,) place in the list of the mirror image of every LED at (LED, 2); -1 where no LED lies there."""
    image = places * np.asarray(MIRRORS[mirror])
    limit = LEAST_PITCH_SHARE * pitch_of(places)
    found = np.full(len(places), -1, dtype=np.int64)
    step = max(1, 2**22 // max(1, len(places)))  # of large arrays a part at a time
    for first in range(0, len(places), step):
        part = image[first : first + step]
        distance = np.hypot(*(part[:, None, :] - places[None, :, :]).transpose(2, 0, 1))
        nearest = distance.argmin(1)
        near = distance[np.arange(len(part)), nearest] <= max(limit, ON_AXIS)
        found[first : first + step] = np.where(near, nearest, -1)
    return found


def with_opposites(chosen: BoolArray, mirrors: tuple[NDArray[np.int64], ...]) -> BoolArray:
    """Chosen LEDs (LED,) and all that lie opposite them under mirrors (LED,), one after the other."""
    result = chosen.copy()
    for images in mirrors:
        beyond = images[np.flatnonzero(result)]
        result[beyond[beyond >= 0]] = True
    return result


def neighbour(places: FloatArray, led: int, direction: tuple[int, int]) -> int:
    """The LED that is next in a direction, by its place in the list; the same one where there is none.

    Of the LEDs (LED, 2) within 45 degrees of the direction the one with the smallest distance, those straight ahead
    first.
    """
    away = places - places[led]
    ahead = away @ np.asarray(direction, float)
    aside = np.abs(away @ np.array([-direction[1], direction[0]], float))
    there = (ahead > ON_AXIS) & (aside <= ahead + ON_AXIS)
    if not there.any():
        return led
    cost = np.where(there, ahead + 2 * aside, np.inf)
    return int(np.argmin(cost))
