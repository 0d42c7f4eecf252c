"""What takes part in a comparison of designs, how much it does, and what it tells. No torch: the window asks, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.tasks.fpm.titles import TITLES
from ptychoui.training.verdict import LEARNED
from ptychoui.words import counted

ALL_EQUAL, ALL_WHOLE = "all_leds", "full_stack"
CEILINGS = {ALL_EQUAL: "all LEDs one by one, equal exposure", ALL_WHOLE: "all LEDs one by one, a frame each"}
NAMES = {LEARNED: "learned"} | TITLES | CEILINGS
"""Every design of the comparison as people call it."""

GIVEN = "patterns"
"""Name of patterns that somebody gives, with a number behind it."""

LEARNED_BEFORE, PAINTED = "learned patterns", "patterns in the LED panel"
"""What patterns of the open document are called."""

RANDOM = ("hybrid", "random_partition", "singles", "dense_random")
EQUAL = 0.1
"""A design equals all LEDs where the interval excludes that its error is larger by more than this share."""

RESOLVED = 0.5
"""Correlation with the truth below which a frequency is not resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much a comparison does.

    Attributes
    ----------
    draws
        Of every random design; the best on the training objects counts.
    tuning_share
        Steps that learn the network's settings for a known design, over those that learn patterns.
    tuning, judged
        Training objects that choose, and held-out objects that are scored, at most.
    """

    draws: int = 20
    tuning_share: float = 0.25
    tuning: int = 4
    judged: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrants:
    """Which designs take part.

    Attributes
    ----------
    learn
        Whether patterns are learned, as the experiment says.
    known
        Hand-made designs, by their names in `TITLES`.
    given
        Patterns that somebody made; with several numbers of frames they take part in theirs.
    ceilings
        Whether all LEDs one by one are judged, too.

    Raises
    ------
    SettingsError
        If there is no such design, or there is nothing to compare.
    """

    learn: bool = True
    known: tuple[str, ...] = tuple(TITLES)
    given: tuple[PatternSet, ...] = ()
    ceilings: bool = True

    def __post_init__(self) -> None:
        strange = [name for name in self.known if name not in TITLES]
        if strange:
            raise SettingsError(f"there is no design {strange[0]!r} to compare with", f"there are: {', '.join(TITLES)}")
        if len(self.known) + len(self.given) + self.learn + self.ceilings < 2:
            raise SettingsError("there is nothing to compare", "choose two designs or more")

    def of(self, frames: int) -> dict[str, PatternSet]:
        """Given patterns that have so many frames, by their names."""
        given = {given_name(place): one for place, one in enumerate(self.given)}
        return {name: one for name, one in given.items() if len(one.levels) == frames}

    def check(self, counts: Sequence[int]) -> None:
        """Refuse patterns that would take part at none of some numbers of frames.

        Raises
        ------
        DataError
            If there are any.
        """
        for one in self.given:
            rows = len(one.levels)
            if rows not in counts:
                asked = ", ".join(str(count) for count in counts)
                raise DataError(
                    f"{one.name} has {counted(rows, 'pattern')}, the comparison is of {asked} "
                    f"{'frame' if counts[-1] == 1 else 'frames'}",
                    f"compare with --frames {rows}",
                )

    def names(self, frames: int) -> tuple[str, ...]:
        """All designs of a number of frames, in the order in which they are judged."""
        first = (LEARNED,) if self.learn else ()
        last = (ALL_EQUAL, ALL_WHOLE) if self.ceilings else ()
        return (*first, *self.known, *self.of(frames), *last)


EFFORT, EVERYTHING = Effort(), Entrants()
"""What the command does where nothing else is asked for."""


def given_name(place: int) -> str:
    """Name of the patterns that were given at a place, from 0."""
    return f"{GIVEN} {place + 1}"


def is_given(name: str) -> bool:
    """Whether a design is one that somebody gave."""
    return name.startswith(f"{GIVEN} ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All designs of one number of frames and one seed.

    Attributes
    ----------
    began
        What learning began from; empty where nothing is learned.
    titles
        What people call each design.
    errors
        Complex error of every held-out object, (object,), by design and judge.
    correlation
        (ring,) correlation of the solver's objects with the truth, by design; ``frequency_per_um`` (ring,).
    loss
        Held-out loss before and after; None where nothing is learned.
    seconds
        Of everything.
    """

    frames: int
    seed: int
    began: str
    titles: dict[str, str]
    errors: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    correlation: dict[str, list[float]] = field(default_factory=dict)
    frequency_per_um: list[float]
    pixel_um: float
    loss: tuple[float, float] | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The data are read.

    Attributes
    ----------
    facts
        What the result says of the experiment, its data and this computer: plain values.
    """

    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """A design is about to be judged, or what is learned to be learned."""

    frames: int
    seed: int
    name: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedDone:
    """Patterns were learned: so many steps, held-out loss before and after."""

    began: str
    steps: int
    loss: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A design was judged.

    Attributes
    ----------
    errors
        Complex error of every held-out object, (object,), by judge.
    correlation, frequency_per_um
        (ring,) each, of the solver's objects with the truth.
    levels, exposures
        (row, LED) and (row,), as the LED array shows them, on LEDs at ``illumination_na``, (LED, 2).
    objects, truth
        (object, row, column) complex, what the solver makes of the measurements, with the truth's global phase, and
        the truth.
    """

    frames: int
    seed: int
    name: str
    title: str
    errors: dict[str, list[float]]
    correlation: list[float]
    frequency_per_um: list[float]
    levels: NDArray[np.float64]
    exposures: NDArray[np.float64]
    illumination_na: NDArray[np.float64]
    objects: NDArray[np.complex64]
    truth: NDArray[np.complex64]
    pixel_um: float
    seconds: float
