"""One setting of a run varied: error, memory and time of each value over several seeds.

Such as depth at equal memory (`network.unrolls`), or convolutions that see their neighbours or single planes
(`network.planes`). Every value learns from the same phantoms, in the same order, for the same number of steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ptychoui.bench.intervals import interval
from ptychoui.bench.mri.prior import gain_db
from ptychoui.engine.sizes import size_text
from ptychoui.errors import SettingsError
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.task import MriTask, build_task
from ptychoui.training.events import StepDone
from ptychoui.training.gradients import evaluate
from ptychoui.training.trainer import Trainer


def varied(experiment: MriExperiment, name: str, text: str) -> MriExperiment:
    """The experiment with one setting, TABLE.NAME, at a value that a person typed.

    Raises
    ------
    SettingsError
        If there is no such setting, or it cannot have this value.
    """
    table, _, field = name.partition(".")
    inner = getattr(experiment, table, None)
    if inner is None or field not in type(inner).model_fields:
        raise SettingsError(f"there is no setting {name!r} to vary", "give for example network.unrolls")
    value: Any = {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(value, str):
        for kind in (int, float):
            try:
                value = kind(text)
                break
            except ValueError:
                continue
    return experiment.replace(**{table: inner.replace(**{field: value})})


def run(
    experiment: MriExperiment,
    name: str,
    values: Sequence[str],
    seeds: Sequence[int],
    say: Callable[[str], None] = lambda _line: None,
    keep: Callable[[dict[str, Any]], None] = lambda _result: None,
) -> dict[str, Any]:
    """Learn with every value for every seed; ``keep`` gets the result after each.

    Raises
    ------
    SettingsError
        If there is no such setting, or it cannot have a value.
    """
    settings = {value: varied(experiment, name, value) for value in values}
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {"setting": name, "experiment": experiment.name, "rows": rows}
    for seed in seeds:
        for value, each in settings.items():
            trainer: Trainer[MriTask] = Trainer(build_task(each.replace(seed=each.seed + seed)))
            began, memory, certified, steps = time.process_time(), 0, 0, 0
            for event in trainer.run():
                if isinstance(event, StepDone):
                    steps += 1
                    memory = max(memory, event.memory_bytes)
                    certified += event.certificate.startswith("exact")
            seconds = (time.process_time() - began) / torch.get_num_threads()
            found = evaluate(trainer.task, trainer.network, trainer.parameters, trainer.task.held_out)
            row: dict[str, Any] = {
                "value": value, "seed": each.seed + seed, "errors": found["nrmse"].tolist(), "memory_bytes": memory,
                "seconds": seconds, "steps": steps, "certified": certified,
            }  # fmt: skip
            rows.append(row)
            say(f"seed {row['seed']} {name} {value}: error {np.mean(row['errors']):.4f}, {size_text(memory)}")
            result["load"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
            keep(result)
    return result


def table(result: dict[str, Any]) -> str:
    """A line for every value, and its gain over the first."""
    rows = result["rows"]
    values, seeds = list(dict.fromkeys(row["value"] for row in rows)), sorted({row["seed"] for row in rows})
    of = {(row["value"], row["seed"]): row for row in rows}
    lines = [
        f"{result['experiment']}, {len(seeds)} seed(s), load {result['load']:.1f}",
        f"{result['setting']:<20}{'error':>8}{'memory':>10}{'time':>8}{'certified':>12}   better than {values[0]} by",
    ]
    for value in values:
        mine = [of[value, seed] for seed in seeds]
        gains = [gain_db(of[values[0], seed]["errors"], of[value, seed]["errors"]) for seed in seeds]
        mean, low, high = interval(np.array(gains))
        better = "" if value == values[0] else f"   {mean:+.2f} dB [{low:+.2f}, {high:+.2f}]"
        certified = f"{sum(row['certified'] for row in mine)}/{sum(row['steps'] for row in mine)}"
        lines.append(
            f"{value:<20}{np.mean([np.mean(row['errors']) for row in mine]):>8.4f}"
            f"{size_text(max(row['memory_bytes'] for row in mine)):>10}"
            f"{np.mean([row['seconds'] for row in mine]):>6.0f} s{certified:>12}{better}"
        )
    return "\n".join(lines)
