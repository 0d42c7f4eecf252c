"""The picture that a run folder keeps."""

from __future__ import annotations

from pathlib import Path

from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.tasks.mri.events import MriSnapshot
from ptychoui.training.events import Snapshot


def picture_in(folder: Path) -> Snapshot | None:
    """What a run showed at its last score; None where it kept none, or one of an unknown kind."""
    from ptychoui.training.kept_pictures import unpacked
    from ptychoui.training.run_folder import RunFolder

    arrays = RunFolder(folder).picture()
    return None if arrays is None else unpacked(arrays, (PatternSnapshot, MriSnapshot))
