"""Export of whatever a run ends with, by its type."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.files import json_text, write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.formats import export_patterns
from ptychoui.export.options import Exported
from ptychoui.training.results import LearnedArrays, Result

ARRAY_FORMATS = ("npz", "json")
"""What learned arrays are written as."""


def export_result(result: Result, to: str, path: str | Path, bits: int | None = None) -> Exported:
    """Write a result in a format that its type has: patterns in those of `formats.FORMATS`, arrays as npz or json.

    Raises
    ------
    SettingsError
        If there is no such format for it.
    DataError
        If a file cannot be written; an old file is then as it was.
    """
    if isinstance(result, PatternSet):
        return export_patterns(result, to, path, bits=bits)
    if not isinstance(result, LearnedArrays):
        raise SettingsError(f"a result of type {type(result).__name__} cannot be exported", "use the run folder itself")
    if to not in ARRAY_FORMATS:
        raise SettingsError(f"{result.name!r} cannot be exported as {to!r}", f"formats: {', '.join(ARRAY_FORMATS)}")
    if bits is not None:
        raise SettingsError("only drive levels of LEDs are quantised", "leave the bits out")
    if to == "json":
        arrays = {name: array.tolist() for name, array in result.arrays.items()}
        content = (json_text({"name": result.name, "arrays": arrays, "record": dict(result.record)}) + "\n").encode()
    else:
        buffer = io.BytesIO()
        kept: dict[str, Any] = dict(result.arrays)
        np.savez(buffer, allow_pickle=False, record=np.array(json_text(dict(result.record))), **kept)
        content = buffer.getvalue()
    write_atomic(Path(path), content)
    return Exported(paths=(Path(path),), notes=())
