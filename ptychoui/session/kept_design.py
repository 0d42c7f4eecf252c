"""The patterns and the run of a saved experiment, in a file beside it: EXPERIMENT.design.json.

The experiment's TOML says how patterns are learned; the file beside it holds those that were, and names their run.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import json_text, write_atomic
from ptychoui.errors import DataError
from ptychoui.paths import user_state

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDesign:
    """Levels (row, LED) and exposures (row,) that differ from the experiment's start, or None; the newest run.

    While the run is ``going_on`` its folder knows newer levels.
    """

    levels: FloatArray | None = None
    exposures: FloatArray | None = None
    run_folder: Path | None = None
    going_on: bool = False


def design_path(experiment: Path) -> Path:
    """The file beside an experiment."""
    return experiment.with_name(f"{experiment.name}.design.json")


def write_design(experiment: Path, kept: KeptDesign) -> None:
    """Write the file beside an experiment, or remove it where there is nothing to keep.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    path = design_path(experiment)
    if kept.levels is None and kept.exposures is None and kept.run_folder is None:
        path.unlink(missing_ok=True)
        return
    run = ""
    if kept.run_folder is not None:
        try:
            run = os.path.relpath(kept.run_folder.resolve(), path.parent.resolve())
        except ValueError:  # another drive
            run = str(kept.run_folder.resolve())
    values: dict[str, Any] = {
        "format": "ptychoui design",
        "version": 1,
        "run": Path(run).as_posix() if run else "",
        "going_on": kept.going_on,
        "levels": None if kept.levels is None else kept.levels.tolist(),
        "exposures": None if kept.exposures is None else kept.exposures.tolist(),
    }
    write_atomic(path, json_text(values))


def read_design(experiment: Path) -> KeptDesign:
    """What lies beside an experiment; empty where there is nothing.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = design_path(experiment)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        run = path.parent / values["run"] if values["run"] else None
        levels, exposures = (
            None if values[name] is None else np.array(values[name], dtype=np.float64)
            for name in ("levels", "exposures")
        )
        for part, axes in ((levels, 2), (exposures, 1)):
            if part is not None and (part.ndim != axes or not np.isfinite(part).all()):
                raise ValueError("levels or exposures of a wrong shape")
    except FileNotFoundError:
        return KeptDesign()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path.name} is damaged, so the learned patterns of {experiment.name} are not shown: {error}",
            "open the run folder beside it, or restore the file from a copy",
        ) from None
    return KeptDesign(levels=levels, exposures=exposures, run_folder=run, going_on=bool(values.get("going_on", False)))


def bring_beside(run_folder: Path, experiment: Path) -> Path:
    """Move a run out of the hidden state folder to the experiment it belongs to; returns where it is.

    Raises
    ------
    DataError
        If it cannot be moved; it stays where it was.
    """
    if not run_folder.resolve().is_relative_to(user_state().resolve()) or not run_folder.is_dir():
        return run_folder
    target = experiment.parent / "runs" / run_folder.name
    if target.exists():
        return run_folder
    try:
        target.parent.mkdir(exist_ok=True)
        # Whole at its new place before the old one goes.
        copy = target.with_name(f".{target.name}.part")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run_folder, copy)
        os.replace(copy, target)
    except OSError as error:
        raise DataError(
            f"the run was not brought beside {experiment.name}: {error.strerror}", f"it stays in {run_folder}"
        ) from None
    shutil.rmtree(run_folder, ignore_errors=True)
    return target
