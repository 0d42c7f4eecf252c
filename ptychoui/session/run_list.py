"""The runs that a person has made, the newest first: where they lie, how far they came, and their curves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.session.history import RunHistory
from ptychoui.settings import kind_of

MOST = 200
"""Runs that are listed at most."""

TAIL_BYTES = 64 * 1024
"""The newest lines of a history are looked for in so much of its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run as a list shows it.

    Attributes
    ----------
    steps, step
        Steps it was planned for, and how many are done.
    score, score_name
        Of the last score, by the metric that decides; None before the first.
    changed_s
        When it last grew, in seconds since 1970.
    working
        Whether a process works on it.
    """

    path: Path
    name: str
    kind: str
    steps: int
    step: int
    score: float | None
    score_name: str
    changed_s: float
    working: bool

    @property
    def state(self) -> str:
        """In a word."""
        if self.working:
            return "learning"
        return "finished" if self.step >= self.steps else "stopped"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunCurves:
    """Losses of a run, to be laid over others.

    Attributes
    ----------
    steps, losses
        (point,) of the training.
    scored_at, scored
        (point,) of the held-out examples.
    """

    path: Path
    name: str
    steps: NDArray[np.float64]
    losses: NDArray[np.float64]
    scored_at: NDArray[np.float64]
    scored: NDArray[np.float64]


def places_of_runs(experiment: Path | None, recent: Iterable[str] = ()) -> tuple[Path, ...]:
    """Folders in which runs are looked for: the program's own, beside the open experiment, and recent ones'."""
    places = [user_state() / "runs"]
    if experiment is not None:
        places.append(experiment.parent / "runs")
    for name in recent:
        path = Path(name)
        if path.suffix == ".toml":
            places.append(path.parent / "runs")
        elif (path / "run.json").is_file():
            places.append(path.parent)
    return tuple(dict.fromkeys(place.absolute() for place in places))


def find_runs(places: Iterable[Path]) -> tuple[ListedRun, ...]:
    """Runs in folders, the one that grew last first; what cannot be read is left out. This belongs in a job."""
    found: dict[Path, tuple[float, Path]] = {}
    for place in places:
        try:
            records = list(place.glob("*/run.json"))
        except OSError:
            continue
        for record in records:
            history = record.parent / "events.jsonl"
            try:
                changed = (history if history.exists() else record).stat().st_mtime
                found[record.parent.resolve()] = changed, record.parent
            except OSError:
                continue
    newest = sorted(found.values(), key=lambda pair: -pair[0])[:MOST]
    listed = (_listed(path, changed) for changed, path in newest)
    return tuple(run for run in listed if run is not None)


def curves_of(path: Path) -> RunCurves:
    """The curves of a run. This belongs in a job.

    Raises
    ------
    PtychouiError
        If it cannot be read.
    """
    from ptychoui.training.run_folder import RunFolder

    folder = RunFolder.open(path, lock=False)
    experiment = folder.experiment()
    history = RunHistory(kind_of(experiment.kind).metrics)
    history.take_lines(folder.events())
    return RunCurves(
        path=path,
        name=path.name,
        steps=history.training.x.copy(),
        losses=history.training.y.copy(),
        scored_at=history.held_out.x.copy(),
        scored=history.held_out.y.copy(),
    )


def _listed(path: Path, changed: float) -> ListedRun | None:
    from ptychoui.training.run_folder import RunFolder, in_use

    try:
        experiment = RunFolder.open(path, lock=False).experiment()
        metric = kind_of(experiment.kind).metrics[0]
    except (PtychouiError, OSError, IndexError, KeyError):
        return None
    step, score = 0, None
    for line in _last_lines(path / "events.jsonl"):
        if isinstance(line.get("step"), int):
            step = max(step, line["step"])
        value = line.get(metric.name)
        if line.get("kind") == "validated" and isinstance(value, (int, float)):
            score = float(value)
    return ListedRun(
        path=path,
        name=experiment.name,
        kind=experiment.kind,
        steps=experiment.training.steps,
        step=step,
        score=score,
        score_name=metric.label,
        changed_s=changed,
        working=in_use(path),
    )


def _last_lines(path: Path) -> list[dict[str, Any]]:
    """The newest lines of a history: those of its end, or all where no score lies there."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read()
            if b'"validated"' not in text and size > TAIL_BYTES:
                file.seek(0)
                text = file.read()
    except OSError:
        return []
    lines = []
    for part in text.splitlines():
        try:
            line = json.loads(part)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines
