"""A folder into which images arrive: which files are complete, and which of them are new. Polling, no Qt, no torch.

A file counts as complete when its size and time have been the same for two looks, and a folder when its list of
files has; whether it can be read is for the reader to say. What was read, or could not be, is looked at again only
when it changes.
"""

from __future__ import annotations

import re
from pathlib import Path

RESULT_ENDINGS = (".reconstruction.h5", ".phase.tif")
"""What a watch writes: such files are never taken for images."""

SIDE_ENDINGS = (".toml", ".json", ".csv", ".txt", ".log", ".md", ".tmp", ".part", ".xml", ".ini")
"""Endings of files that lie beside images and are none."""

Signature = tuple[tuple[str, int, int], ...]


def in_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key by which frame_2 comes before frame_10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


class FolderWatch:
    """Looks at a folder, as often as it is asked to.

    Parameters
    ----------
    folder
        What is watched; folders in it count as one recording each, and nothing below them.
    results
        Where results are written: if it lies in ``folder``, it is left out.
    """

    def __init__(self, folder: Path, results: Path | None = None) -> None:
        self.folder = folder
        self._results = None if results is None else results.resolve()
        self._last: dict[str, Signature] = {}
        self._taken: dict[str, Signature] = {}

    def look(self) -> list[Path]:
        """Files and folders that are complete and were not taken yet, or have changed since, in the order of names.

        Raises
        ------
        OSError
            If the folder itself cannot be listed.
        """
        now: dict[str, Signature] = {}
        for entry in sorted(self.folder.iterdir(), key=lambda path: in_order(path.name)):
            if not self._counts(entry):
                continue
            signature = _signature(entry)
            if signature:
                now[entry.name] = signature
        ready = [name for name, seen in now.items() if self._last.get(name) == seen and self._taken.get(name) != seen]
        self._last = now
        for name in [name for name in self._taken if name not in now]:
            del self._taken[name]  # it went; another of that name is new
        return [self.folder / name for name in ready]

    @property
    def growing(self) -> bool:
        """Whether something was seen in the last look that is not complete yet."""
        return any(self._taken.get(name) != seen for name, seen in self._last.items())

    def take(self, entry: Path) -> None:
        """Not to be named again until it changes."""
        if entry.name in self._last:
            self._taken[entry.name] = self._last[entry.name]

    def _counts(self, entry: Path) -> bool:
        name = entry.name.lower()
        if name.startswith(".") or name.endswith((*RESULT_ENDINGS, *SIDE_ENDINGS)):
            return False
        return self._results is None or entry.resolve() != self._results


def _signature(entry: Path) -> Signature:
    """Name, size and time of a file, or of all files of a folder; empty if it has none, or went meanwhile."""
    try:
        files = sorted(entry.iterdir()) if entry.is_dir() else [entry]
        found = []
        for file in files:
            if file.is_file():
                about = file.stat()
                found.append((file.name, about.st_size, about.st_mtime_ns))
    except OSError:
        return ()
    return tuple(found)
