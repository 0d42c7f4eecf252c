"""Trainings that wait for their turn: one after the other on one device, kept on disk until they have begun.

Each is a folder in the user's state folder:

    experiment.toml   its settings
    queued.json       the experiment's file, and the patterns that it begins from where a person changed them
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import json_text, write_atomic
from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.settings import Experiment, load_experiment, to_toml

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """One that waits.

    Attributes
    ----------
    folder
        Where it is kept.
    path
        The experiment's file; None if it was never saved.
    levels, exposures
        (row, LED) and (row,) that it begins from, or None.
    """

    folder: Path
    experiment: Experiment
    path: Path | None = None
    levels: FloatArray | None = field(default=None, compare=False)  # arrays have no truth; the folder tells them apart
    exposures: FloatArray | None = field(default=None, compare=False)

    @classmethod
    def put(
        cls,
        experiment: Experiment,
        path: Path | None = None,
        levels: FloatArray | None = None,
        exposures: FloatArray | None = None,
    ) -> Self:
        """Put an experiment at the end of the queue; ``levels`` (row, LED) and ``exposures`` (row,) are its start.

        Raises
        ------
        PtychouiError, OSError
            If the state folder cannot be written.
        """
        # Names in the order of time, so that a listing is the queue.
        folder = queue_folder() / f"{time.time_ns():020d}-{secrets.token_hex(3)}"
        folder.mkdir(parents=True)
        told = {
            "path": "" if path is None else str(path.resolve()),
            "levels": None if levels is None else levels.tolist(),
            "exposures": None if exposures is None else exposures.tolist(),
        }
        write_atomic(folder / "experiment.toml", to_toml(experiment))
        write_atomic(folder / "queued.json", json_text(told))
        return cls(folder=folder, experiment=experiment, path=path, levels=levels, exposures=exposures)

    def drop(self) -> None:
        """It has begun, or is not wanted any more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def queue_folder() -> Path:
    """Where trainings wait."""
    return user_state() / "queue"


def queued_runs() -> tuple[QueuedRun, ...]:
    """Those that wait, the next one first; what cannot be read is left aside."""
    found = []
    for told_in in sorted(queue_folder().glob("*/queued.json")):
        try:
            told = json.loads(told_in.read_text(encoding="utf-8"))
            start = {
                name: None if told.get(name) is None else np.array(told[name], dtype=np.float64)
                for name in ("levels", "exposures")
            }
            found.append(
                QueuedRun(
                    folder=told_in.parent,
                    experiment=load_experiment(told_in.parent / "experiment.toml"),
                    path=Path(told["path"]) if told.get("path") else None,
                    **start,
                )
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, PtychouiError):
            continue
    return tuple(found)
