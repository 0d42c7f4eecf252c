"""A walk over LEDs by number: a person says where each shone, and the numbering of the geometry is checked by that.

Layouts that the array may have instead, each a change of a few settings, are worked out once. Every answer rules some
out; the next LED is the one that tells most of those apart that are left. A few LEDs are enough for rows, columns,
serpentines, mirrors and turns. Where no layout explains the answers, all LEDs are asked for and become a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.led_shapes import pitch_of
from ptychoui.errors import PtychouiError
from ptychoui.optics.geometry.led_array import apply_pose, layout
from ptychoui.optics.geometry.pose import VARIANTS, Variant
from ptychoui.settings import Array, Geometry, Pose
from ptychoui.words import counted, joined

FloatArray = NDArray[np.float64]

SHORT = 5
"""LEDs of a short walk, where nothing is unclear after them."""
LONGEST_SHORT = 12
"""LEDs after which a short walk ends, unclear or not."""
DEAD = -1
"""The answer for an LED that nobody saw."""

TURNS = {
    (False, False, False): "",
    (True, False, False): "mirrored left to right",
    (False, True, False): "mirrored top to bottom",
    (True, True, False): "turned by half a turn: the numbers run the other way",
    (False, False, True): "mirrored at the rising diagonal: x and y are exchanged",
    (True, True, True): "mirrored at the falling diagonal",
    (False, True, True): "turned by 90 degrees anticlockwise",
    (True, False, True): "turned by 90 degrees clockwise",
}
"""What a change of axes (flip x, flip y, then exchange) looks like, seen with +y up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which the array may be numbered.

    Attributes
    ----------
    array
        The settings.
    words
        What differs from the geometry, in words; empty for the geometry itself.
    places_mm
        (LED, 2) x, y of the LEDs in mm, in the order of the walk's numbers.
    changes
        How much differs: the less, the likelier.
    """

    array: Array
    words: str
    places_mm: FloatArray
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the answers say.

    Attributes
    ----------
    sentence
        In words.
    geometry
        With the settings that explain the answers; None where the present ones do, or none do.
    sure
        Whether one layout is left.
    wants_all
        Whether only a walk over all LEDs can help.
    """

    sentence: str
    geometry: Geometry | None = None
    sure: bool = False
    wants_all: bool = False


def layouts_of(geometry: Geometry) -> tuple[Layout, ...]:
    """All layouts that a walk can tell, the geometry's own first; equal ones once."""
    array = geometry.array
    numbers, _ = layout(array)
    own = _places(array, numbers)
    assert own is not None
    found = [Layout(array=array, words="", places_mm=own, changes=0)]
    for changes, other, order, variant in _candidates(array):
        turned, seen = _turned(other, variant)
        places = _places(turned, numbers)
        if places is None:
            continue
        words = joined([part for part in (order, TURNS[seen]) if part])
        if words and not any(np.allclose(places, one.places_mm, atol=1e-6) for one in found):
            found.append(Layout(array=turned, words=words, places_mm=places, changes=changes))
    return tuple(found)


def _flags(matrix: NDArray[np.int64]) -> tuple[bool, bool, bool]:
    """Flip x, flip y, then exchange, of a (2, 2) matrix that does only these."""
    if matrix[0, 0]:
        return bool(matrix[0, 0] < 0), bool(matrix[1, 1] < 0), False
    return bool(matrix[1, 0] < 0), bool(matrix[0, 1] < 0), True


def _turned(array: Array, variant: Variant) -> tuple[Array, tuple[bool, bool, bool]]:
    """The array with its numbers turned or mirrored on its own board, which stays where it is; and how that is seen."""
    pose, turn = array.pose, variant.matrix
    own = Variant(pose.flip_x, pose.flip_y, pose.swap_xy).matrix
    flip_x, flip_y, swap = _flags(own @ turn)
    turned = array.replace(pose=pose.replace(flip_x=flip_x, flip_y=flip_y, swap_xy=swap))
    if array.kind == "lattice" and array.pitch_mm:
        # A board whose middle is not on the axis turns about its middle.
        _, flat = layout(array)
        middle = (flat[:, :2].min(0) + flat[:, :2].max(0)) / 2
        right, up = turn.T @ middle - middle
        row, column = array.center
        if abs(right) + abs(up) > 1e-9:
            turned = turned.replace(center_row=row + up / array.pitch_mm, center_column=column - right / array.pitch_mm)
    # Seen is what comes after the pose, to the nearest quarter turn.
    quarters = round(pose.rotation_deg / 90) % 4
    stand = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarters) @ own
    return turned, _flags(stand @ turn @ stand.T)


def _candidates(array: Array) -> list[tuple[int, Array, str, Variant]]:
    """Orders of numbers with turns and mirrors, the likeliest first: a board is turned more easily than mirrored."""
    found = []
    for settings, order in _orders(array):
        try:
            other = array.replace(**settings) if settings else array
        except (PtychouiError, ValueError):
            continue
        changed = sum(getattr(array, name) != value for name, value in settings.items())
        for variant in VARIANTS:
            flags = (variant.flip_x, variant.flip_y, variant.swap_xy)
            mirrored = sum(flags) % 2
            turned = any(flags) and not mirrored
            found.append((changed + 2 * mirrored + turned, other, order, variant))
    return sorted(found, key=lambda one: one[0])


def _places(array: Array, numbers: NDArray[np.int64]) -> FloatArray | None:
    """(LED, 2) x, y in mm of firmware numbers; None where the array has not all of them."""
    known, flat = layout(array)
    place_of = {int(number): place for place, number in enumerate(known)}
    if any(int(number) not in place_of for number in numbers):
        return None
    at = [place_of[int(number)] for number in numbers]
    return np.asarray(apply_pose(flat, array.pose)[at, :2])


def _orders(array: Array) -> list[tuple[dict[str, object], str]]:
    """Other orders of the numbers: settings, and how they are called."""
    none: list[tuple[dict[str, object], str]] = [({}, "")]
    if array.kind != "lattice":
        return none
    orders = none
    for order in ("rows", "columns"):
        for serpentine in (False, True):
            if (order, serpentine) != (array.order, array.serpentine):
                back = ", every second one backwards (a serpentine)" if serpentine else ", all in one direction"
                settings: dict[str, object] = {"order": order, "serpentine": serpentine}
                orders.append((settings, f"numbered by {order}{back}"))
    rows, columns = array.rows or 0, array.columns or 0
    for side in (8, 16):
        if array.order != "tiles" and not rows % side and not columns % side and max(rows, columns) > side:
            settings = {"order": "tiles", "tile_rows": side, "tile_columns": side, "serpentine": False}
            orders.append((settings, f"numbered in tiles of {side} x {side}"))
    return orders


class Walk:
    """The LEDs that were asked for, and what was answered.

    Parameters
    ----------
    geometry
        What is checked.
    layouts
        From `layouts_of`.
    n_leds
        Number of LEDs of the array: others are not asked for.
    every
        All LEDs in the order of their numbers, instead of a few.
    """

    def __init__(
        self, geometry: Geometry, layouts: tuple[Layout, ...], n_leds: int | None = None, every: bool = False
    ) -> None:
        self.geometry, self.layouts, self.every = geometry, layouts, every
        numbers, _ = layout(geometry.array)
        self.numbers = numbers
        self.places_mm = layouts[0].places_mm
        """(LED, 2) where the geometry says that they are."""
        self.answers: dict[int, int] = {}
        """Number -> the number whose place it shone at, or `DEAD`."""
        self._can = np.flatnonzero(numbers < n_leds) if n_leds is not None else np.arange(len(numbers))
        self._place_of = {int(number): place for place, number in enumerate(numbers)}
        self._tolerance_mm = 0.5 * (pitch_of(self.places_mm) or 1.0)
        self.current = self._choose()

    @property
    def finished(self) -> bool:
        """Whether no LED is left to ask for."""
        return self.current is None

    @property
    def total(self) -> int:
        """How many LEDs will be asked for, as far as that is known."""
        return (
            len(self._can) if self.every else max(min(SHORT, len(self._can)), len(self.answers) + (not self.finished))
        )

    def answer(self, where: int) -> None:
        """Say where the present LED shone: the number that the geometry has there, or `DEAD`."""
        if self.current is not None:
            self.answers[self.current] = where
            self.current = self._choose()

    def back(self) -> None:
        """Ask for the last one again."""
        if self.answers:
            last = list(self.answers)[-1]
            del self.answers[last]
            self.current = last

    def left(self) -> list[Layout]:
        """Layouts that explain all answers, the likeliest first."""
        seen = {number: where for number, where in self.answers.items() if where != DEAD}
        if not seen:
            return list(self.layouts)
        asked = [self._place_of[number] for number in seen]
        shone = self.places_mm[[self._place_of[where] for where in seen.values()]]
        return [one for one in self.layouts if np.hypot(*(one.places_mm[asked] - shone).T).max() < self._tolerance_mm]

    @property
    def dead(self) -> list[int]:
        """Numbers of LEDs that nobody saw."""
        return [number for number, where in self.answers.items() if where == DEAD]

    def verdict(self) -> Verdict:
        """What the answers say so far."""
        seen = len(self.answers) - len(self.dead)
        dark = ""
        if self.dead:
            named = joined([str(number) for number in self.dead[:8]]) + (" and more" if len(self.dead) > 8 else "")
            dark = f" {counted(len(self.dead), 'LED')} stayed dark: {named}."
        if not seen:
            return Verdict(sentence=f"Nothing was seen yet.{dark}")
        left = self.left()
        if self.every and self.finished and not left:
            return self._as_table(dark)
        if not left:
            return Verdict(
                sentence=f"No order that is known explains the {counted(seen, 'LED')} seen: walk over all of them, "
                f"which gives a table.{dark}",
                wants_all=True,
            )
        first = left[0]
        sure = len(left) == 1
        if not first.words:
            more = "" if sure else f"; {counted(len(left) - 1, 'other layout')} would do as well"
            return Verdict(
                sentence=f"The numbers run as the geometry says, in {counted(seen, 'LED')}{more}.{dark}", sure=sure
            )
        if not sure:
            return Verdict(
                sentence=f"The numbers do not run as the geometry says; {counted(len(left), 'layout')} would explain "
                f"it, the simplest: {first.words}.{dark}",
                geometry=self.geometry.replace(array=first.array),
            )
        return Verdict(
            sentence=f"The array is {first.words}.{dark}" if first.words.startswith(("mirrored", "turned", "numbered"))
            else f"{first.words}.{dark}",
            geometry=self.geometry.replace(array=first.array),
            sure=True,
        )  # fmt: skip

    def _choose(self) -> int | None:
        """The next LED to ask for: the one that tells most apart; None where nothing is left to ask."""
        open_ = [place for place in self._can if int(self.numbers[place]) not in self.answers]
        if not open_:
            return None
        if self.every:
            return int(self.numbers[min(open_, key=lambda place: self.numbers[place])])
        left = self.left()
        enough = (len(self.answers) >= SHORT and len(left) <= 1) or len(self.answers) >= LONGEST_SHORT
        if enough or (not left and len(self.answers) > 2):
            return None
        left = left or list(self.layouts)
        asked = [self._place_of[number] for number in self.answers]
        places = np.stack([one.places_mm[open_] for one in left])
        grid = np.rint(places / self._tolerance_mm).astype(np.int64)
        keys = np.sort(grid[..., 0] * 1_000_003 + grid[..., 1], axis=0)
        groups = 1 + np.count_nonzero(np.diff(keys, axis=0), axis=0)
        # Of LEDs that tell as much: one far from those asked for already, else the outermost.
        apart = np.full(len(open_), np.inf)
        for place in asked:
            apart = np.minimum(apart, np.hypot(*(self.places_mm[open_] - self.places_mm[place]).T))
        if not asked:
            apart = np.hypot(*self.places_mm[open_].T)
        best = np.lexsort((-np.round(apart, 6), -groups))[0]
        return int(self.numbers[open_[best]])

    def _as_table(self, dark: str) -> Verdict:
        """Positions as they were seen, LED by LED."""
        array = self.geometry.array
        seen = {number: where for number, where in self.answers.items() if where != DEAD}
        if len(set(seen.values())) != len(seen):
            twice = sorted(where for where in set(seen.values()) if list(seen.values()).count(where) > 1)
            names = [str(number) for number, where in seen.items() if where == twice[0]]
            return Verdict(sentence=f"LEDs {joined(names)} were seen at the same place: walk over them again.{dark}")
        unseen = [int(number) for number in self.numbers if int(number) not in seen]
        free = [int(number) for number in self.numbers if int(number) not in seen.values()]
        # LEDs that nobody saw get the places that are left: their own where it is free.
        own = {number: number for number in unseen if number in free}
        rest = [number for number in free if number not in own.values()]
        where = seen | own | dict(zip([number for number in unseen if number not in own], rest, strict=True))
        _, flat = layout(array)
        posed = apply_pose(flat, array.pose)
        order = [self._place_of[where[int(number)]] for number in self.numbers]
        table = array.replace(
            kind="table",
            positions_mm=tuple((float(x), float(y), float(z)) for x, y, z in posed[order]),
            led_numbers=tuple(int(number) for number in self.numbers),
            pose=Pose(),
            colour="",
            die_offsets_mm={},
        )
        moved = sum(number != place for number, place in seen.items())
        return Verdict(
            sentence=f"No order that is known explains it: a table of all {len(seen)} LEDs seen, {moved} of them at "
            f"another place.{dark}",
            geometry=self.geometry.replace(array=table),
            sure=True,
        )
