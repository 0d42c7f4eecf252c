"""Patterns as a run learned them, step by step, in bounded memory: to be looked at again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 200
"""So many sets of patterns are kept at most."""

MOST_BYTES = 64 * 2**20
"""So much memory they take at most."""


@dataclass(frozen=True, slots=True)
class KeptLevels:
    """Patterns after a step: levels (row, LED) and exposures (row,)."""

    step: int
    levels: NDArray[np.float32]
    exposures: NDArray[np.float32]


class LevelHistory:
    """The first patterns, the newest, and some between, evenly thinned once there are too many."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: list[KeptLevels] = []
        self._every, self._since, self._passing = 1, 0, False

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, place: int) -> KeptLevels:
        return self._kept[place]

    def add(self, step: int, levels: NDArray[np.floating], exposures: NDArray[np.floating]) -> None:
        """Note levels (row, LED) and exposures (row,) after a step; what lies at or after it is forgotten."""
        while self._kept and self._kept[-1].step >= step:
            self._kept.pop()
            self._passing = False
        if self._kept and self._kept[0].levels.shape != levels.shape:
            self._kept = []
        if not self._kept:
            self._every, self._since, self._passing = 1, 0, False
        if self._passing:
            self._kept.pop()  # it was there as the newest alone
        arrays = np.array(levels, np.float32), np.array(exposures, np.float32)
        for array in arrays:
            array.setflags(write=False)
        self._kept.append(KeptLevels(step, *arrays))
        self._since = (self._since + 1) % self._every
        self._passing = self._since != 0
        limit = max(3, min(self._most, self._most_bytes // max(1, arrays[0].nbytes + arrays[1].nbytes)))
        if len(self._kept) > limit:
            self._thin()

    def _thin(self) -> None:
        """Drop every second one, and keep half as many from now on; the first and the newest stay."""
        last = len(self._kept) - 1
        self._kept = [kept for place, kept in enumerate(self._kept) if place % 2 == 0 or place == last]
        self._every *= 2
        self._since, self._passing = 0, False
