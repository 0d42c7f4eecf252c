"""Patterns as JSON: the format that keeps everything, and the one that can be read back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.export.options import Exported, Options, design_hash, dwell_ms, quantisation_notes, quantised
from ptychoui.settings import Geometry

SCHEMA = "ptychoui patterns"
VERSION = 1


def write_json(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write raw and quantised levels, exposures, LED positions, geometry, record and hash."""
    coded = quantised(patterns, options)
    dwell = dwell_ms(patterns, coded, options)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "name": patterns.name,
        "hash_sha256": design_hash(patterns),
        "units": {"position": "mm", "illumination_na": "1", "level": "0 to 1", "exposure": "frames"},
        "geometry": patterns.geometry.model_dump(mode="json", exclude_none=True),
        "leds": {
            "numbers": patterns.led_numbers.tolist(),
            "positions_mm": patterns.positions_mm.tolist(),
            "illumination_na": patterns.illumination_na.tolist(),
        },
        "quantisation": {"bits": options.bits, "minimum_code": options.minimum_code, "frame_ms": options.frame_ms},
        "patterns": [
            {
                "name": patterns.row_names[row],
                "exposure": float(patterns.exposures[row]),
                "levels": patterns.levels[row].tolist(),
                "quantised": {
                    "codes": coded.codes[row].tolist(),
                    "exposure_scale": float(coded.exposure_scale[row]),
                    "dwell_ms": float(dwell[row]),
                    "relative_error": float(coded.relative_error[row]),
                },
            }
            for row in range(len(patterns.levels))
        ],
        "record": _plain(patterns.record),
    }
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    return Exported(paths=(write_atomic(path, text),), notes=tuple(quantisation_notes(patterns, coded)))


def load_patterns(path: str | Path) -> PatternSet:
    """Read the raw patterns of a JSON file written by `write_json`.

    Raises
    ------
    DataError
        If the file is missing, damaged, of a newer version, or its hash does not match its content.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}", "check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not readable JSON: {error}", "export the patterns again") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DataError(f"{path.name} holds no patterns: its schema is not {SCHEMA!r}", "export them as json")
    version = document.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise DataError(
            f"{path.name} has schema version {version}; this program knows up to {VERSION}", "update ptychoui"
        )
    try:
        rows, leds = document["patterns"], document["leds"]
        patterns = PatternSet(
            levels=np.array([row["levels"] for row in rows], dtype=np.float64),
            exposures=np.array([row["exposure"] for row in rows], dtype=np.float64),
            led_numbers=np.array(leds["numbers"], dtype=np.int64),
            positions_mm=np.array(leds["positions_mm"], dtype=np.float64),
            illumination_na=np.array(leds["illumination_na"], dtype=np.float64),
            row_names=tuple(str(row["name"]) for row in rows),
            geometry=Geometry(**document["geometry"]),
            name=str(document["name"]),
            record=dict(document["record"]),
        )
    except PtychouiError as error:
        raise DataError(f"{path.name}: {error.message}", error.hint) from None
    except (KeyError, TypeError, ValueError, OverflowError, IndexError, AttributeError) as error:
        raise DataError(f"{path.name} is damaged: {type(error).__name__} {error}", "export them again") from None
    if design_hash(patterns) != document.get("hash_sha256"):
        raise DataError(
            f"{path.name} was changed after it was written: its hash does not match", "export the patterns again"
        )
    return patterns


def _plain(value: Any) -> Any:
    """Plain values of a record: JSON has neither NaN nor NumPy scalars."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
