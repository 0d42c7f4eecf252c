"""A run folder that somebody else may be writing to: what is new in it since the last look."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.session.kept_picture import picture_in
from ptychoui.training.events import Snapshot

FRESH_S = 15.0
"""Where locks are not seen, as on a disk that another machine writes to, a history that grew so lately is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNews:
    """What changed in a run folder.

    Attributes
    ----------
    lines
        New lines of the history.
    again
        True where ``lines`` are the whole history: it was taken up from an earlier save, or this is the first look.
    working
        Whether another process works on it.
    levels, exposures
        (row, LED) and (row,) of a new save of patterns; None where nothing was saved since, or it holds no patterns.
    picture
        What the run shows, if that is new.
    gone
        The folder is no longer there, or no run any more.
    """

    lines: tuple[Mapping[str, Any], ...] = ()
    again: bool = False
    working: bool = False
    levels: NDArray[np.float64] | None = None
    exposures: NDArray[np.float64] | None = None
    picture: Snapshot | None = None
    gone: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.lines or self.again or self.levels is not None or self.picture is not None)


class FollowedRun:
    """Looks into a run folder again and again; reads only what is new.

    Parameters
    ----------
    path
        The run folder.
    known
        Whether what it holds now is known already.
    """

    def __init__(self, path: Path, known: bool = False) -> None:
        self.path, self._known = path, known
        self._history: tuple[int, int] = (-1, 0)  # the file (its inode), and how far it was read
        self._seen: dict[str, tuple[int, int]] = {}
        self._grew_at: float | None = None
        self._locks_are_seen = False

    def news(self) -> RunNews:
        """What is new since the last call. It reads files: this belongs in a job."""
        from ptychoui.training.run_folder import in_use

        if not (self.path / "run.json").exists():
            return RunNews(gone=True)
        first = self._history[0] == -1
        lines, again = self._new_lines()
        if lines and not first:
            self._grew_at = time.monotonic()
        locked = in_use(self.path)
        self._locks_are_seen |= locked
        fresh = self._grew_at is not None and time.monotonic() - self._grew_at < FRESH_S
        levels, exposures = self._new_design()
        if self._known and first:
            self._is_new("picture.npz")
            return RunNews(working=locked)
        return RunNews(
            lines=lines,
            again=again,
            working=locked or (fresh and not self._locks_are_seen),
            levels=levels,
            exposures=exposures,
            picture=picture_in(self.path) if self._is_new("picture.npz") else None,
        )

    def _new_lines(self) -> tuple[tuple[Mapping[str, Any], ...], bool]:
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                found = os.fstat(file.fileno())
                known, read = self._history
                again = found.st_ino != known or found.st_size < read
                read = 0 if again else read
                file.seek(read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return (), False
        self._history = found.st_ino, read + len(whole) + len(newline)
        lines = []
        for text in whole.splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return tuple(lines), again

    def _new_design(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        from ptychoui.errors import RunError
        from ptychoui.training.run_folder import RunFolder

        if not self._is_new("state.npz"):
            return None, None
        try:
            state = RunFolder.open(self.path, lock=False).load() or {}
        except RunError:  # in the middle of being replaced, or damaged: opening it says so
            return None, None
        levels, exposures = state.get("parameter_levels"), state.get("parameter_exposures")
        if levels is None or exposures is None:
            return None, None
        return np.asarray(levels, dtype=np.float64), np.asarray(exposures, dtype=np.float64)

    def _is_new(self, name: str) -> bool:
        try:
            found = (self.path / name).stat()
        except OSError:
            return False
        stamp = found.st_ino, found.st_mtime_ns
        if self._seen.get(name) == stamp:
            return False
        self._seen[name] = stamp
        return True
