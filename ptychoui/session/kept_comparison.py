"""Comparisons of designs that outlive the window: beside the run they belong to, or in the user's state folder.

A folder holds ``comparison.json``, which is what `ptychoui bench design` writes, ``pictures.npz`` with what is shown of
the first split, and the patterns that somebody added, as files of patterns.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.bench.design.entrants import Judged, Run
from ptychoui.data.files import json_text, write_atomic
from ptychoui.errors import DataError, PtychouiError
from ptychoui.export.json_file import load_patterns, write_json
from ptychoui.export.options import Options
from ptychoui.paths import user_state
from ptychoui.session.comparison_told import ComparisonBegun, ComparisonHistory
from ptychoui.session.design_comparison import Candidate, DesignPlan, key_of
from ptychoui.session.document import Document
from ptychoui.training.events import Finished

RESULT, PICTURES, ADDED = "comparison.json", "pictures.npz", "added"
MOST_KEPT = 20
"""Comparisons in the state folder; older ones go."""

ARRAYS = ("levels", "exposures", "illumination_na", "objects", "truth")


def place_of(document: Document, sweep: bool = False) -> Path:
    """Where the comparison of a document is kept: in its run's folder, else in the state folder."""
    kind = "frames" if sweep else "designs"
    folder, key = document.run_folder, key_of(document)
    if folder is not None and folder.is_dir():
        return folder / "comparisons" / f"{kind}-{key}"
    return user_state() / "comparisons" / f"{kind}-{key}"


def keep(folder: Path, history: ComparisonHistory, added: Iterable[Candidate] = ()) -> None:
    """Write what was found so far into a folder.

    Raises
    ------
    PtychouiError, OSError
        If it cannot be written.
    """
    result, begun = history.result, history.begun
    if result is None or begun is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    told: list[dict[str, Any]] = []
    for place, one in enumerate(history.judged.values()):
        told.append({each.name: getattr(one, each.name) for each in fields(Judged) if each.name not in ARRAYS})
        arrays |= {f"{name}.{place}": getattr(one, name) for name in ARRAYS}
    buffer = io.BytesIO()
    arrays["told"] = np.frombuffer(json_text(told).encode(), dtype=np.uint8)
    arrays["problem"] = np.frombuffer(begun.problem.encode(), dtype=np.uint8)
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(folder / PICTURES, buffer.getvalue())
    # The result last: what has one is whole.
    for place, candidate in enumerate(added):
        if candidate.patterns is not None and candidate.ours:
            (folder / ADDED).mkdir(exist_ok=True)
            write_json(candidate.patterns, folder / ADDED / f"{place}.json", Options(bits=8))
    write_atomic(folder / RESULT, json_text(result) + "\n")
    if folder.parent.parent == user_state():
        _drop_old(folder.parent)


def kept(folder: Path) -> tuple[ComparisonHistory, tuple[Candidate, ...]] | None:
    """What was kept in a folder, and the patterns that were added then; None where there is nothing.

    Raises
    ------
    DataError
        If it is damaged.
    """
    if not (folder / RESULT).is_file():
        return None
    import scipy.stats  # noqa: F401  # here, so that the window's thread need not wait for it

    history = ComparisonHistory()
    try:
        result = _numbers(json.loads((folder / RESULT).read_text(encoding="utf-8")))
        runs = [Run(**values) for values in result.pop("runs")]
        with np.load(folder / PICTURES, allow_pickle=False) as arrays:
            told = _numbers(json.loads(bytes(arrays["told"]).decode()))
            problem = bytes(arrays["problem"]).decode()
            for place, values in enumerate(told):
                one = Judged(**values, **{name: arrays[f"{name}.{place}"] for name in ARRAYS})
                history.judged[one.frames, one.seed, one.name] = one
        facts = {name: result[name] for name in ("experiment", "data_sha256", "versions", "threads", "load")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the comparison that was kept in {folder.name} is damaged: {error}", "compare the designs again"
        ) from None
    seeds = len({run.seed for run in runs})
    history.runs = runs
    history.step = len(history.judged)
    history.begun = ComparisonBegun(step=0, designs=history.step, facts=facts, seeds=seeds, problem=problem)
    history.end = Finished(step=history.step, seconds=sum(run.seconds for run in runs))
    return history, tuple(_added(folder))


def keeper(document: Document, added: Iterable[Candidate], sweep: bool = False) -> Any:
    """Return what `design_comparison.comparison_run` calls after every split."""
    folder, added = place_of(document, sweep), tuple(added)

    def write(_plan: DesignPlan, history: ComparisonHistory) -> None:
        keep(folder, history, added)

    return write


def _added(folder: Path) -> Iterable[Candidate]:
    for path in sorted((folder / ADDED).glob("*.json")):
        try:
            found = load_patterns(path)
        except PtychouiError:  # the result says of it what there is to say
            continue
        key = f"given kept {path.stem}"
        yield Candidate(key=key, title=found.name, kind="given", patterns=found, source=str(path))


def _numbers(values: Any) -> Any:
    """JSON has no infinities: errors that were none came back as None."""
    if isinstance(values, dict):
        return {
            name: _finite(each) if name in ("errors", "correlation") else _numbers(each)
            for name, each in values.items()
        }
    return [_numbers(each) for each in values] if isinstance(values, list) else values


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _finite(each) for name, each in values.items()}
    if isinstance(values, list):
        return [_finite(each) for each in values]
    return float("inf") if values is None else values


def _drop_old(folder: Path) -> None:
    """Keep the newest in the state folder."""
    old = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in old[:-MOST_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
