"""Work that a window has not handed over yet: what is running, and a reconstruction that nobody has saved.

Each is a folder in the user's state folder, locked by the process that works on it:

    work.json           the kind of work, its settings as TOML, the experiment's file, where its own files are
    reconstruction.h5   the newest estimate of a reconstruction
    lock                held while the window lives: a killed process holds nothing

What is left when its process is gone is offered at the next start.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self, get_args

from ptychoui.data.files import json_text, write_atomic
from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.settings import Experiment, FpmExperiment, experiment_of, to_toml

Kind = Literal["training", "reconstruction", "field"]


@dataclass(slots=True, kw_only=True)
class Unfinished:
    """One piece of work.

    Attributes
    ----------
    folder
        Where it is kept.
    experiment
        The settings it was begun with.
    path
        The experiment's file; None if it was never saved.
    run_folder
        Of a training; of a whole field the file that its tiles are to become.
    taken_up
        True where it was begun by another session.
    """

    kind: Kind
    folder: Path
    experiment: Experiment
    path: Path | None = None
    run_folder: Path | None = None
    taken_up: bool = False
    _lock: IO[str] | None = None

    @classmethod
    def begin(cls, kind: Kind, experiment: Experiment, path: Path | None, run_folder: Path | None = None) -> Self:
        """Keep word of work that begins.

        Raises
        ------
        DataError, OSError
            If the state folder cannot be written.
        """
        folder = unfinished_folder() / secrets.token_hex(6)
        folder.mkdir(parents=True)
        work = cls(
            kind=kind,
            folder=folder,
            experiment=experiment,
            path=None if path is None else path.resolve(),
            run_folder=None if run_folder is None else run_folder.resolve(),
        )
        if not work.take_lock():
            raise OSError(f"{folder} is in use")
        told: dict[str, Any] = {
            "kind": kind,
            "experiment": to_toml(experiment),
            "path": str(work.path or ""),
            "run_folder": str(work.run_folder or ""),
        }
        write_atomic(folder / "work.json", json_text(told))
        return work

    @property
    def result(self) -> Path:
        """Where the newest estimate of a reconstruction is written."""
        return self.folder / "reconstruction.h5"

    @property
    def sentence(self) -> str:
        """What was going on."""
        name = self.path.name if self.path is not None else self.experiment.name
        if self.kind == "training":
            return f"A training of {name!r} was going on when the last session ended."
        data = Path(self.experiment.data.path).name if isinstance(self.experiment, FpmExperiment) else name
        if self.kind == "field" and self.run_folder is not None:
            return f"The whole field of {data} was being reconstructed into {self.run_folder.name}; its tiles are kept."
        if self.result.exists():
            return f"A reconstruction of {data} was not saved when the last session ended."
        return f"A reconstruction of {data} had just begun when the last session ended."

    def take_lock(self) -> bool:
        """Make it this process's own; False if another one works on it."""
        from ptychoui.training.run_folder import _lock_file

        lock = (self.folder / "lock").open("a+", encoding="utf-8")
        try:
            _lock_file(lock)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

    def leave(self) -> None:
        """Let go of it without losing it: the next start offers it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def drop(self) -> None:
        """It is finished, saved or given up."""
        self.leave()
        shutil.rmtree(self.folder, ignore_errors=True)


def unfinished_folder() -> Path:
    """Where unfinished work is kept."""
    return user_state() / "unfinished"


def left_behind() -> list[Unfinished]:
    """Work whose process is gone, the newest first, locked for this one; what cannot be read is left aside."""
    found: list[tuple[float, Unfinished]] = []
    for name in unfinished_folder().glob("*/work.json"):
        try:
            told = json.loads(name.read_text(encoding="utf-8"))
            work = Unfinished(
                kind=told["kind"] if told["kind"] in get_args(Kind) else "reconstruction",
                taken_up=True,
                folder=name.parent,
                experiment=experiment_of(tomllib.loads(told["experiment"])),
                path=Path(told["path"]) if told["path"] else None,
                run_folder=Path(told["run_folder"]) if told["run_folder"] else None,
            )
            changed = max(file.stat().st_mtime for file in (name, work.result) if file.exists())
            if work.take_lock():
                found.append((changed, work))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, PtychouiError):
            continue
    return [work for _, work in sorted(found, key=lambda pair: -pair[0])]
