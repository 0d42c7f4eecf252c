"""What is chosen on the LED array, and what tools and keys make of it: changes of the document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QObject, pyqtSignal

from ptychoui.design import led_shapes, level_edits
from ptychoui.errors import PtychouiError
from ptychoui.gui.training.led_canvas import LedCanvas
from ptychoui.session.pattern_edits import PatternEdits
from ptychoui.words import counted

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Change = Callable[[PatternEdits], str]
"""A change of the patterns, which answers with a sentence for the person, or nothing."""

DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}
LARGEST_BRUSH = 8.0
CLOSED = "A run is active: edit when it has ended"


@dataclass(slots=True)
class Shown:
    """The pattern that is edited.

    Attributes
    ----------
    levels, allowed
        (LED,) drive levels, and which LEDs the pattern may light.
    na
        (LED, 2) illumination NA.
    """

    row: int = 0
    name: str = ""
    exposure: float = 1.0
    objective_na: float = 0.0
    levels: FloatArray = field(default_factory=lambda: np.empty(0))
    allowed: BoolArray = field(default_factory=lambda: np.empty(0, bool))
    na: FloatArray = field(default_factory=lambda: np.empty((0, 2)))


class LedEditor(QObject):
    """Turns what happens on a canvas into changes; holds the selection, the copied pattern and the mirrors.

    Attributes
    ----------
    change_wanted
        A `Change`.
    refused
        (message, hint): why something was not done.
    selected
        The selection or the LED of the keys is another.
    tool_wanted, row_wanted, brush_wanted
        A key chose a tool, a pattern (one step on or back), or another radius of the brush.
    """

    change_wanted = pyqtSignal(object)
    refused = pyqtSignal(str, str)
    selected = pyqtSignal()
    tool_wanted = pyqtSignal(str)
    row_wanted = pyqtSignal(int)
    brush_wanted = pyqtSignal(float)

    def __init__(self, canvas: LedCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.shown = Shown()
        self.closed = ""
        """Why nothing can be edited; empty if it can."""
        self.brush_level = 1.0
        self.led = -1
        self.chosen: BoolArray = np.empty(0, bool)
        self.mirrors: tuple[str, ...] = ()
        self._images: dict[str, NDArray[np.int64]] = {}
        self._copied: tuple[str, FloatArray] | None = None
        self._drawn: tuple[FloatArray, BoolArray] | None = None
        self._rng = np.random.default_rng()
        canvas.pointed.connect(self.point)
        canvas.boxed.connect(self.choose)
        canvas.stroked.connect(self._stroke)
        canvas.stroke_ended.connect(self._end_stroke)
        canvas.asked.connect(self.ask)

    # What is shown and chosen ------------------------------------------------------------------------------

    def show(self, shown: Shown) -> None:
        """Take the pattern that is shown; another array forgets what was chosen."""
        if not np.array_equal(self.shown.na, shown.na):
            self._images, self._copied, self.led = {}, None, -1
            self.chosen = np.zeros(len(shown.na), bool)
        self.shown = shown
        self._canvas.set_allowed(shown.allowed)
        self._say_chosen()

    def choose(self, mask: BoolArray, more: bool = False) -> None:
        """Choose LEDs (LED,), or add them to those that are."""
        self.chosen = (self.chosen | mask) if more else mask.copy()
        if not more:
            places = np.flatnonzero(mask)
            self.led = int(places[0]) if len(places) == 1 else -1
        self._say_chosen()

    def point(self, led: int, more: bool) -> None:
        """A click: choose an LED; a second one switches it between dark and full level."""
        if led < 0:
            if not more:
                self.choose(np.zeros(len(self.chosen), bool))
            return
        if more:
            self.chosen[led] = not self.chosen[led]
            self.led = led
            self._say_chosen()
            return
        again = led == self.led and int(self.chosen.sum()) == 1
        self._put(led)
        if again:
            self._toggle()

    @property
    def target(self) -> BoolArray:
        """(LED,) what operations act on: the chosen LEDs, or all that the pattern may light."""
        return self.chosen if self.chosen.any() else self.shown.allowed

    def shape(self, key: str, values: dict[str, float]) -> BoolArray | None:
        """LEDs (LED,) of a shape, with what lies opposite; None and a sentence where it is none."""
        shown = self.shown
        try:
            mask = led_shapes.shape_mask(
                key, values, shown.na, shown.objective_na, shown.levels, shown.allowed, self._rng
            )
        except PtychouiError as error:
            self.refused.emit(error.message, error.hint)
            return None
        return mask & shown.allowed if key in ("all", "above") else self._with_opposites(mask)

    # Doing ---------------------------------------------------------------------------------------------------

    def ask(self, meaning: str) -> None:
        """Do what a key or a menu asks for."""
        words = meaning.split()
        if meaning in ("select", "paint", "erase"):
            self.tool_wanted.emit(meaning)
        elif words[-1] in DIRECTIONS:
            self._walk(words[-1], words[0] == "extend")
        elif words[-1] == "brush":
            step = 0.5 if words[0] == "larger" else -0.5
            self.brush_wanted.emit(min(max(self._canvas.brush_pitches + step, 0.5), LARGEST_BRUSH))
        elif words[-1] == "pattern":
            self.row_wanted.emit(1 if words[0] == "next" else -1)
        elif meaning in ("pattern earlier", "pattern later"):
            self.move_row(1 if words[1] == "later" else -1)
        elif meaning == "all":
            self.choose(self.shown.allowed.copy())
        elif meaning == "none":
            self.choose(np.zeros(len(self.chosen), bool))
        elif meaning == "copy":
            self.copy()
        elif meaning == "paste":
            self.paste()
        elif meaning == "toggle":
            self._toggle()
        elif meaning == "invert":
            self.invert()
        elif meaning == "clear":
            self.set_level(0.0, "Clear")
        elif words[0] == "level":
            self.set_level(int(words[1]) / 9)

    def set_level(self, level: float, what: str = "Set", key: str = "") -> None:
        """Give what is chosen a level."""
        self._change(what, level_edits.with_level(self.shown.levels, self.target, level), key)

    def slide_level(self, level: float) -> None:
        """The same by a slider: all of its places are one step of undo, as long as the selection is the same."""
        self.set_level(level, "Set", f"slide {self.shown.row} {self.target.tobytes()!r}")

    def fill_alone(self, level: float) -> None:
        """Give what is chosen a level, and make all other LEDs dark."""
        dark = np.zeros(len(self.shown.levels))
        self._change("Fill", level_edits.with_level(dark, self.target, level))

    def invert(self) -> None:
        """Turn dark into bright."""
        self._change("Invert", level_edits.inverted(self.shown.levels, self.target))

    def scale(self, light: float) -> None:
        """Give the pattern a total exposure, by what is chosen."""
        shown = self.shown
        try:
            levels = level_edits.scaled_to_light(shown.levels, self.target & shown.allowed, shown.exposure, light)
        except PtychouiError as error:
            self.refused.emit(error.message, error.hint)
            return
        self._change("Scale", levels)

    def flip(self, mirror: str) -> None:
        """Mirror the pattern, or turn it by half a turn."""
        what = "Turn" if mirror == "half turn" else f"Flip {mirror},"
        self._change(what, level_edits.mirrored(self.shown.levels, self._image(mirror)))

    def complete(self, mirror: str) -> None:
        """Light what lies opposite lit LEDs, too."""
        self._change("Make symmetric", level_edits.symmetric(self.shown.levels, self._image(mirror)))

    def copy(self) -> None:
        """Keep the pattern that is shown, to be pasted."""
        if len(self.shown.levels):
            self._copied = self.shown.name, self.shown.levels.copy()

    @property
    def copied(self) -> str:
        """Name of the pattern that would be pasted; empty if none."""
        return "" if self._copied is None else self._copied[0]

    def paste(self) -> None:
        """Put the copied pattern in place of the one that is shown."""
        if self._copied is None:
            self.refused.emit("nothing was copied", "choose a pattern and press Ctrl+C first")
            return
        self._change("Paste", self._copied[1])

    def move_row(self, by: int) -> None:
        """Put the pattern earlier or later."""
        row = self.shown.row
        self._rows(lambda patterns: patterns.move_row(row, max(0, row + by)), by)

    def swap_row(self, other: int) -> None:
        """Exchange the pattern with another."""
        row = self.shown.row
        self._rows(lambda patterns: patterns.swap_rows(row, other), other - row)

    def add_row(self) -> None:
        """Add a copy of the pattern behind it."""
        row = self.shown.row
        self._rows(lambda patterns: patterns.add_row(row), 1)

    def remove_row(self) -> None:
        """Remove the pattern."""
        row = self.shown.row
        self._rows(lambda patterns: patterns.remove_row(row), 0)

    # Parts ---------------------------------------------------------------------------------------------------

    def _rows(self, do: Callable[[PatternEdits], object], go: int) -> None:
        if not self._may_edit() or not len(self.shown.levels):
            return
        done = []

        def change(patterns: PatternEdits) -> str:
            do(patterns)
            done.append(True)
            return ""

        self.change_wanted.emit(change)
        if done and go:
            self.row_wanted.emit(go)

    def _change(self, what: str, levels: FloatArray, key: str = "") -> None:
        row = self.shown.row
        if self._may_edit() and len(levels):
            self.change_wanted.emit(lambda patterns: patterns.edit_row(what, row, levels, key))

    def _may_edit(self) -> bool:
        if self.closed:
            self.refused.emit(self.closed, "nothing was changed")
        return not self.closed

    def _toggle(self) -> None:
        """Switch what is chosen: to dark if any of it is lit."""
        if not self.chosen.any():
            return
        lit = bool((self.shown.levels[self.chosen] > 0.01).any())
        self.set_level(0.0 if lit else 1.0, "Switch off" if lit else "Switch on")

    def _put(self, led: int) -> None:
        self.led = led
        self.chosen = np.zeros(len(self.shown.na), bool)
        self.chosen[led] = True
        self._say_chosen()

    def _walk(self, direction: str, extend: bool) -> None:
        na = self.shown.na
        if not len(na):
            return
        if self.led < 0:
            self._put(int(np.hypot(*na.T).argmin()))
            return
        to = led_shapes.neighbour(self._canvas.places, self.led, DIRECTIONS[direction])
        if extend:
            self.led = to
            self.chosen[to] = True
            self._say_chosen()
        else:
            self._put(to)

    def _image(self, mirror: str) -> NDArray[np.int64]:
        if mirror not in self._images:
            self._images[mirror] = led_shapes.opposite(self.shown.na, mirror)
        return self._images[mirror]

    def _with_opposites(self, mask: BoolArray) -> BoolArray:
        return led_shapes.with_opposites(mask, tuple(self._image(mirror) for mirror in self.mirrors))

    def _stroke(self, mask: BoolArray) -> None:
        """Show what the brush has done so far; the document is changed when the button is up."""
        if self._drawn is None:
            self._drawn = self.shown.levels.copy(), np.zeros(len(mask), bool)
        levels, beyond = self._drawn
        mask = self._with_opposites(mask)
        level = self.brush_level if self._canvas.tool == "paint" else 0.0
        levels[mask & self.shown.allowed] = level
        beyond |= mask & ~self.shown.allowed
        self._canvas.set_levels(levels)

    def _end_stroke(self, kept: bool) -> None:
        drawn, self._drawn = self._drawn, None
        if drawn is None:
            return
        levels, beyond = drawn
        if not kept or self.closed:
            self._canvas.set_levels(self.shown.levels)
            return
        if np.array_equal(levels, self.shown.levels) and beyond.any():
            self.refused.emit(
                f"{self.shown.name!r} may light none of these {counted(int(beyond.sum()), 'LED')}: they lie in the "
                "other field or near the edge",
                "choose a pattern of their own field",
            )
            return
        self._change("Paint" if self._canvas.tool == "paint" else "Erase", levels)

    def _say_chosen(self) -> None:
        self._canvas.set_chosen(self.chosen)
        self._canvas.mark(self.led)
        self._canvas.has_selection = bool(self.chosen.any())
        self.selected.emit()
