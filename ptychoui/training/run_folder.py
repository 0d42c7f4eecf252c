"""A run on disk: settings, state and history, written so that a kill at any moment loses no more than one save.

    experiment.toml   every setting, with absolute data paths
    run.json          format version, versions of the program and its libraries, hash of the data, and the text of
                      experiment.toml as the program wrote it
    state.npz         arrays of the newest save; state.previous.npz is the one before
    events.jsonl      one line per step and score, appended while the run works: lines beyond the newest save are
                      dropped when it is taken up
    picture.npz       what the run showed at its last score
    lock              held while a process works on the run

Arrays are plain NumPy without pickles; every state carries a hash of its own content.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui import __version__
from ptychoui.data.files import check_parent, write_atomic
from ptychoui.errors import RunError, SettingsError
from ptychoui.settings import Experiment, experiment_of, load_experiment, to_toml
from ptychoui.training.settled import differences

FORMAT_VERSION = 1
PICTURE = "picture.npz"

Arrays = Mapping[str, NDArray[Any]]


def library_versions() -> dict[str, str]:
    """Versions that a result depends on."""
    import torch

    return {
        "ptychoui": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }


class RunFolder:
    """One run on disk.

    Use `create` or `open`; both take the lock until `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @classmethod
    def create(
        cls, path: str | Path, experiment: Experiment, data_sha256: str, facts: Mapping[str, str] | None = None
    ) -> RunFolder:
        """Make a new run; ``facts`` are what its task adds to the record.

        Raises
        ------
        RunError
            If the folder holds a run already, or files that no run left; if it is in use, or cannot be written.
        """
        folder = cls(Path(path))
        # A missing folder above is a slip, or a disk that is not there; runs/NAME may be the first of its kind.
        above = folder.path.absolute().parent
        if not os.path.lexists(above):
            check_parent(above if above.name == "runs" else folder.path, RunError)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {folder.path}: {error.strerror}", "choose another place") from None
        folder.check_free()
        folder._take_lock()
        try:
            folder.check_free()  # again: another process may have made a run before the lock was ours
            folder._sweep()
            for name in ("experiment.toml", "events.jsonl", PICTURE):
                (folder.path / name).unlink(missing_ok=True)
            # The record first: wherever a kill comes, it says that the files beside it were left by a run.
            text = to_toml(experiment)
            record = {"format_version": FORMAT_VERSION, "data_sha256": data_sha256, "versions": library_versions()}
            record |= facts or {}
            folder._write_record(record | {"experiment": text})
            folder._write("experiment.toml", text.encode())
            folder._write("events.jsonl", b"")
        except BaseException:
            folder.close()
            raise
        return folder

    def check_free(self) -> None:
        """Refuse a folder where a new run would overwrite something.

        A run that ended before its first save left nothing to lose, so its folder is free: a record that a run wrote
        tells its files from those of somebody else.

        Raises
        ------
        RunError
            If it holds a run, files that no run left, or settings that were edited after a run.
        """
        # os.path says no, where Path raises, to a name that is too long.
        if any(os.path.exists(self.path / name) for name in ("state.npz", "state.previous.npz")):
            raise RunError(f"{self.path} already holds a run", "resume it with --resume, or name another folder")
        there = [name for name in ("experiment.toml", "events.jsonl", "run.json") if os.path.lexists(self.path / name)]
        if not there:
            return
        try:
            record = self.record()
        except RunError:
            record = {}
        if not isinstance(record.get("format_version"), int) or "data_sha256" not in record:
            raise RunError(
                f"{self.path} holds a file {there[0]} that no run left, and a new run would overwrite it",
                f"name another folder, for example {self.path / 'run'}",
            )
        self._check_version(record)
        if self._edited(record.get("experiment")):
            raise RunError(
                f"{self.path / 'experiment.toml'} was edited since a run left it, and a new run would overwrite it",
                "name another folder, or go on with --resume",
            )

    @classmethod
    def open(cls, path: str | Path, lock: bool = True) -> RunFolder:
        """Open an existing run, for work (``lock``) or for reading.

        Raises
        ------
        RunError
            If there is no run, it comes from a newer version, or another process works on it.
        """
        folder = cls(Path(path))
        folder._check_version(folder.record())
        if lock:
            folder._take_lock()
            folder._sweep()
        return folder

    def record(self) -> dict[str, Any]:
        """What run.json holds.

        Raises
        ------
        RunError
            If there is none, it cannot be read, or it is damaged.
        """
        try:
            record = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{self.path} is not a run folder: it has no run.json", "check the path") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / 'run.json'} is damaged: {error}", "restore it from a copy") from None
        except OSError as error:
            raise RunError(f"cannot read {self.path / 'run.json'}: {error.strerror}") from None
        if not isinstance(record, dict):
            raise RunError(f"{self.path / 'run.json'} is damaged: not an object", "restore it from a copy")
        return record

    def experiment(self) -> Experiment:
        """The run's settings.

        Raises
        ------
        RunError
            If experiment.toml cannot be read.
        """
        try:
            return load_experiment(self.path / "experiment.toml")
        except SettingsError as error:
            raise RunError(f"the settings of {self.path} cannot be read: {error.message}", error.hint) from None

    def settled_experiment(self) -> Experiment:
        """The run's settings, if they are still those it was started with wherever that matters: see `settled`.

        Raises
        ------
        RunError
            If somebody changed a settled one in experiment.toml.
        """
        experiment, written = self.experiment(), self.record().get("experiment")
        if written is None:  # a run of a version that did not keep them
            return experiment
        try:
            started = experiment_of(tomllib.loads(written))
        except (SettingsError, tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
            raise RunError(f"{self.path / 'run.json'} is damaged: {error}", "restore it from a copy") from None
        if changed := differences(experiment, started):
            raise RunError(
                f"{self.path / 'experiment.toml'} was edited: {changed[0]}",
                "set it back, or train a copy of the file as a new run in another folder",
            )
        return experiment

    def write_experiment(self, experiment: Experiment) -> None:
        """Write the run's settings; run.json keeps a copy, by which later edits are noticed."""
        text = to_toml(experiment)
        self._write("experiment.toml", text.encode())
        self._write_record(self.record() | {"experiment": text})

    def save(self, arrays: Arrays) -> None:
        """Write a new state; the one before is kept until the next save."""
        newest, previous = self.path / "state.npz", self.path / "state.previous.npz"
        content = _pack(arrays)
        if newest.exists():
            # A link, not a move: at no moment is there no newest state.
            kept = self.path / "state.previous.tmp"
            try:
                kept.unlink(missing_ok=True)
                os.link(newest, kept)
                os.replace(kept, previous)
            except OSError:
                # No links on this file system, or no space for one: a copy either works or says why not.
                self._write(previous.name, newest.read_bytes())
        self._write(newest.name, content)

    def load(self) -> dict[str, NDArray[Any]] | None:
        """The newest state that is whole, arrays in the shapes they were saved in, or None where nothing was saved yet.

        Raises
        ------
        RunError
            If states exist but none can be read.
        """
        problems = []
        for name in ("state.npz", "state.previous.npz"):
            path = self.path / name
            if not path.exists():
                continue
            try:
                return _unpack(path.read_bytes())
            except Exception as error:  # a damaged archive raises many kinds
                problems.append(f"{name}: {error}")
        if problems:
            raise RunError(f"no saved state of {self.path} can be read ({'; '.join(problems)})", "start the run again")
        return None

    def append_events(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append lines to the history: all of them, or none.

        Raises
        ------
        RunError
            If the file cannot be written, as on a full disk.
        """
        path = self.path / "events.jsonl"
        try:
            with path.open("ab") as file:
                before = file.tell()
                try:
                    file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
                    file.flush()
                except OSError:
                    os.truncate(path, before)  # half a line would spoil the next one
                    raise
        except OSError as error:
            raise RunError(
                f"cannot write the history of {self.path}: {error.strerror}", "free some space, then resume the run"
            ) from None

    def save_picture(self, arrays: Arrays) -> None:
        """Write what the run shows last, as arrays of any shape, in place of what it showed before."""
        self._write(PICTURE, _pack(arrays))

    def picture(self) -> dict[str, NDArray[Any]] | None:
        """Arrays, in their shapes, of what the run showed last; None where there are none, or the file is damaged."""
        try:
            return _unpack((self.path / PICTURE).read_bytes())
        except Exception:  # a damaged archive raises many kinds
            return None

    def events(self) -> list[dict[str, Any]]:
        """The history; a last line cut by a kill is left out."""
        try:
            text = (self.path / "events.jsonl").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        found = []
        for line in text.splitlines():
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict) and isinstance(event.get("step"), int) and "kind" in event:
                found.append(event)
        return found

    def keep_events_until(self, step: int) -> None:
        """Drop history beyond a step: those steps will be done again."""
        kept = [event for event in self.events() if event.get("step", 0) <= step]
        self._write("events.jsonl", "".join(json.dumps(event) + "\n" for event in kept).encode())

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _edited(self, written: Any) -> bool:
        """Whether experiment.toml holds anything else than the program wrote; a run of an older version cannot say."""
        try:
            return isinstance(written, str) and (self.path / "experiment.toml").read_bytes() != written.encode()
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _check_version(self, record: Mapping[str, Any]) -> None:
        version = record.get("format_version")
        if not isinstance(version, int) or version < 1:
            raise RunError(f"{self.path / 'run.json'} names no format version", "the file is damaged")
        if version > FORMAT_VERSION:
            raise RunError(
                f"{self.path} was written by a newer ptychoui (format {version}, this one knows {FORMAT_VERSION})",
                "update ptychoui to open it",
            )

    def _write(self, name: str, content: bytes) -> None:
        write_atomic(self.path / name, content, RunError)

    def _write_record(self, record: Mapping[str, Any]) -> None:
        self._write("run.json", (json.dumps(record, indent=2) + "\n").encode())

    def _sweep(self) -> None:
        """Remove temporary files that a killed process left."""
        written = [path for path in self.path.glob(".*.tmp") if re.fullmatch(r"\.[0-9a-f]{16}\.tmp", path.name)]
        for leftover in (*written, self.path / "state.previous.tmp"):
            leftover.unlink(missing_ok=True)

    def _take_lock(self) -> None:
        """Lock by the operating system: a killed process holds nothing."""
        try:
            lock = (self.path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise RunError(f"cannot write into {self.path}: {error.strerror}", "choose another folder") from None
        for patience in (0.02, 0.05, 0.1, None):  # somebody may just be looking whether it is in use
            try:
                _lock_file(lock)
            except OSError:
                if patience is None:
                    lock.close()
                    raise RunError(
                        f"another window or process is working on {self.path}", "stop that one, or use another folder"
                    ) from None
                time.sleep(patience)
            else:
                self._lock = lock
                return


def in_use(path: Path) -> bool:
    """Whether a process works on a run folder, as far as its lock can be seen from here."""
    try:
        lock = (path / "lock").open("r+", encoding="utf-8")
    except OSError:
        return False
    with lock:
        try:
            _lock_file(lock)
        except OSError:
            return True
    return False


def _lock_file(file: IO[str]) -> None:
    """Take an exclusive lock without waiting; OSError where somebody has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _pack(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, __sha256__=np.array(_digest(arrays)), **arrays)
    return buffer.getvalue()


def _unpack(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    expected = str(arrays.pop("__sha256__"))
    if _digest(arrays) != expected:
        raise RunError("its content does not match its hash")
    return arrays
