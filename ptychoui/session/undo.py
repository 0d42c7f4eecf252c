"""What was done to an experiment and its design, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.settings import Experiment

FloatArray = NDArray[np.float64]
DEEPEST_UNDO = 200
REFUSED = "refused"
"""Key of an entry of the undo list that changed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What undo goes back to: settings, and levels where a person or a run changed them."""

    experiment: Experiment
    levels: FloatArray | None = None
    exposures: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the undo list: what was done, and the state before it."""

    label: str
    key: str
    before: State


class Undoable:
    """A state that edits replace; every edit makes a new frozen one, so undo is a list of old ones."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._undo: list[Change] = []
        self._redo: list[Change] = []

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty if nothing."""
        return self._undo[-1].label if self._undo else ""

    @property
    def redo_label(self) -> str:
        """What redo would bring back; empty if nothing."""
        return self._redo[-1].label if self._redo else ""

    def undo(self) -> str:
        """Take the last change back and return its label; what was refused is taken back by doing nothing."""
        if self._undo and self._undo[-1].key == REFUSED:
            return self._undo.pop().label
        return self._step(self._undo, self._redo)

    def redo(self) -> str:
        """Bring the last undone change back and return its label."""
        return self._step(self._redo, self._undo)

    def _note_refusal(self, label: str) -> None:
        """Whoever undoes an edit that was refused does not mean the one before it."""
        if self._undo and self._undo[-1].key != REFUSED:
            self._undo.append(Change(label, REFUSED, self._state))

    def _change(self, label: str, after: State, key: str) -> None:
        if self._undo and self._undo[-1].key == REFUSED:
            self._undo.pop()
        if not (key and self._undo and self._undo[-1].key == key and not self._redo):
            self._undo.append(Change(label, key, self._state))
            del self._undo[:-DEEPEST_UNDO]
        self._redo.clear()
        self._state = after

    def _step(self, source: list[Change], target: list[Change]) -> str:
        if not source:
            return ""
        change = source.pop()
        target.append(Change(change.label, "", self._state))
        self._state = change.before
        return change.label
