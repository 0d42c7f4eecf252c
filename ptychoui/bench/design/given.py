"""Patterns that take part in a comparison: files that export wrote, and folders of runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError
from ptychoui.export.json_file import load_patterns


def patterns_in(path: str | Path) -> PatternSet:
    """Patterns of a JSON file that export wrote, or what a run has learned, named by the run's folder.

    Raises
    ------
    PtychouiError
        If the file is damaged, or the folder holds no run that learned patterns.
    """
    path = Path(path)
    if not path.is_dir():
        return load_patterns(path)
    from ptychoui.training.evaluation import load_run

    found = load_run(path).result()
    if not isinstance(found, PatternSet):
        raise DataError(f"the run in {path.name} learned no patterns of LEDs", "give a run of a microscope")
    return replace(found, name=path.resolve().name)
