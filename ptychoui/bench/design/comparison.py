"""``ptychoui bench design``: what is learned beside every known design, by both judges, for several numbers of frames.

For every number of frames and every seed (split of the objects, start, noise):

1. patterns are learned as the experiment says;
2. every hand-made design has as many frames and as much exposure; random ones are the best of some draws, judged on
   training objects, and the network's step sizes and prior are learned for each (`tasks.fpm.tuning`);
3. patterns that somebody gives take part, too, with the same total exposure: those learned elsewhere, or in simulation;
4. all are scored on the same noisy measurements of the held-out objects: by their networks, and by a converged solver
   that shares no network (`tasks.fpm.judges`);
5. two ceilings, by the solver: every LED in a frame of its own, with the same total exposure and with a whole frame
   for each.

Gains are shares of the other design's error, with Student's 95 % interval of the paired differences: over the seeds, or
over the held-out objects where there is one seed. Resolution is the period at which the correlation of the solver's
object with the truth, ring by ring of its frequencies, falls below one half.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.files import check_target, json_text, write_atomic
from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.quality.ring_correlation import RingCorrelation, ring_correlation
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.contenders import (
    TITLES,
    Contender,
    contender,
    drawn_designs,
    given_design,
    learned_design,
    start_title,
)
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, Errors, network_errors, solver_outputs
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.sources import find_dataset
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.tasks.fpm.tuning import tuned_network
from ptychoui.training.events import Validated
from ptychoui.training.run_folder import library_versions
from ptychoui.training.trainer import Trainer
from ptychoui.training.verdict import LEARNED, compared

Say = Callable[[str], None]

ALL_EQUAL, ALL_WHOLE = "all_leds", "full_stack"
CEILINGS = {ALL_EQUAL: "all LEDs one by one, equal exposure", ALL_WHOLE: "all LEDs one by one, a frame each"}
NAMES = {LEARNED: "learned"} | TITLES | CEILINGS
"""Every design of the comparison as people call it."""

GIVEN = "patterns"
"""Name of patterns that somebody gives, with a number behind it."""

RANDOM = ("hybrid", "random_partition", "singles", "dense_random")
EQUAL = 0.1
"""What is learned equals all LEDs where the interval excludes that its error is larger by more than this share."""

RESOLVED = 0.5
"""Correlation with the truth below which a frequency is not resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much a comparison does.

    Attributes
    ----------
    draws
        Of every random design; the best on the training objects counts.
    tuning_share
        Steps that learn the network's settings for a known design, over those that learn patterns.
    tuning, judged
        Training objects that choose, and held-out objects that are scored, at most.
    """

    draws: int = 20
    tuning_share: float = 0.25
    tuning: int = 4
    judged: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All designs of one number of frames and one seed.

    Attributes
    ----------
    began
        What learning began from.
    titles
        What people call each design.
    errors
        Complex error of every held-out object, (object,), by design and judge.
    correlation
        (ring,) correlation of the solver's objects with the truth, by design; ``frequency_per_um`` (ring,).
    loss
        Held-out loss before and after.
    seconds
        Of everything.
    """

    frames: int
    seed: int
    began: str
    titles: dict[str, str]
    errors: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    correlation: dict[str, list[float]] = field(default_factory=dict)
    frequency_per_um: list[float]
    pixel_um: float
    loss: tuple[float, float]
    seconds: float


def one_run(
    experiment: FpmExperiment,
    dataset: Any,
    frames: int,
    seed: int,
    effort: Effort = Effort(),
    say: Say = print,
    given: Sequence[PatternSet] = (),
) -> Run:
    """Learn and compare once."""
    began = time.monotonic()
    geometry = experiment.geometry or dataset.geometry
    if frames != experiment.design.rows and geometry is not None:
        na = geometry.microscope.objective_na
        experiment = experiment.replace(design=starts.divided(experiment.design, frames, led_array(geometry.array), na))
    training = experiment.training.replace(compare=False, validate_every=max(1, experiment.training.steps))
    experiment = experiment.replace(seed=seed, training=training)
    say(f"{frames} frames, seed {seed}")
    task = build_task(experiment, dataset=dataset)
    start = start_title(task.experiment.design)
    trainer = Trainer(task)
    losses = [event.loss for event in trainer.run() if isinstance(event, Validated)]
    learned = trainer.parameters
    assert isinstance(learned, DesignParameters)
    say(f"  {trainer.step} steps from {start}: held-out loss {losses[0]:.4f} -> {losses[-1]:.4f}")

    examples, tuning = task.held_out.spread(effort.judged), task.training.spread(effort.tuning)
    settings = (start_parameters(task), learned)
    errors: dict[str, dict[str, list[float]]] = {}
    rings: dict[str, list[float]] = {}
    titles: dict[str, str] = {}
    frequency: list[float] = []

    def judge(design: Contender, own: DesignParameters | None) -> None:
        nonlocal frequency
        found: dict[str, Errors] = {}
        if own is not None:
            found[NETWORK] = network_errors(design, own, examples)
        outputs = solver_outputs(design, examples)
        found[SOLVER] = design.task.scores(outputs, examples)["complex_error"].double().cpu().numpy()
        objects = design.task.object_of(outputs)
        titles[design.name] = NAMES.get(design.name, design.title)
        errors[design.name] = {name: values.tolist() for name, values in found.items()}
        rings[design.name], frequency = _correlation(objects, examples.truth, task.grids.object_pixel_um)
        means = "   ".join(f"by {name} {values.mean():.3f}" for name, values in found.items())
        say(f"  {titles[design.name]:<48}{means}")

    # What cannot take part is refused before anything takes long.
    others = [given_design(task, one, f"{GIVEN} {place + 1}") for place, one in enumerate(given)]
    judge(learned_design(task, learned), learned)
    steps = round(effort.tuning_share * experiment.training.steps)
    for name in TITLES:
        design = best_draw(task, name, settings, tuning, effort.draws if name in RANDOM else 1)
        judge(design, tuned_network(design, settings, tuning, steps))
    for other in others:
        judge(other, tuned_network(other, settings, tuning, steps))
    everything = starts.sequential(task.leds)
    judge(contender(task, everything, ALL_EQUAL), None)
    judge(contender(task, everything, ALL_WHOLE, total_exposure=float(len(task.leds))), None)
    return Run(
        frames=frames,
        seed=seed,
        began=start,
        titles=titles,
        errors=errors,
        correlation=rings,
        frequency_per_um=frequency,
        pixel_um=task.grids.object_pixel_um,
        loss=(losses[0], losses[-1]),
        seconds=time.monotonic() - began,
    )


def best_draw(
    task: FpmTask, name: str, settings: Sequence[DesignParameters], examples: Objects, draws: int
) -> Contender:
    """The best of some draws of a hand-made design, by the network on examples, with the better of some settings."""
    designs = drawn_designs(task, name, draws)
    if draws == 1:
        return designs[0]
    found = [min(float(network_errors(one, each, examples).mean()) for each in settings) for one in designs]
    return designs[int(np.argmin(found))]


def _correlation(objects: Tensor, truth: Tensor, pixel_um: float) -> tuple[list[float], list[float]]:
    """(ring,) mean correlation of objects with the truth, (object, row, column) each, and the rings' frequencies."""
    pairs = zip(objects.cpu().numpy(), truth.cpu().numpy(), strict=True)
    found = [ring_correlation(one, other, pixel_um) for one, other in pairs]
    return np.mean([one.correlation for one in found], axis=0).tolist(), found[0].frequency_per_um.tolist()


def run(
    experiment: FpmExperiment,
    frames: Sequence[int],
    seeds: Sequence[int],
    effort: Effort = Effort(),
    say: Say = print,
    output: Path | None = None,
    given: Sequence[PatternSet] = (),
) -> dict[str, Any]:
    """Compare for all frames and seeds; the dictionary is what ``--json`` prints.

    With ``output`` the JSON is written after every run: a long comparison loses nothing when it is stopped.

    Raises
    ------
    PtychouiError
        If the data and the settings do not fit together, or the output's folder is not there.
    """
    if output is not None:
        check_target(output, SettingsError)
    dataset, geometry = find_dataset(experiment)
    experiment = experiment.replace(geometry=experiment.geometry or geometry)
    runs: list[Run] = []
    result: dict[str, Any] = {}
    for count in frames or (experiment.design.rows,):
        for seed in seeds:
            runs.append(one_run(experiment, dataset, count, seed, effort, say, given))
            result = summarise(runs) | {
                "experiment": experiment.model_dump(mode="json", exclude_none=True),
                "data_sha256": dataset.provenance.sha256,
                "versions": library_versions(),
                "threads": torch.get_num_threads(),
                "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            }
            if output is not None:
                write_atomic(output, json_text(result) + "\n")
    return result


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Means, paired gains with their intervals, resolution, spread, and where what is learned equals all LEDs."""
    rows, spread, equal = [], [], None
    for frames in sorted({one.frames for one in runs}):
        mine = [one for one in runs if one.frames == frames]
        for name in mine[0].errors:
            for judge in (NETWORK, SOLVER):
                if judge not in mine[0].errors[name]:
                    continue
                row = compared(
                    name, mine[0].titles[name], judge, _paired(mine, name, judge), _paired(mine, LEARNED, judge)
                )
                rows.append(
                    {
                        "frames": frames,
                        "design": name,
                        "title": row.title,
                        "judge": judge,
                        "error": row.error,
                        "learned": row.learned,
                        "gain": row.gain,
                        "low": row.low,
                        "high": row.high,
                        "resolution_um": _resolution_um(mine, name) if judge == SOLVER else None,
                    }
                )
                if name == ALL_WHOLE and equal is None and row.low > -EQUAL:
                    equal = frames
        if len(mine) > 1:
            for judge in (NETWORK, SOLVER):
                # Seeds have other objects, too; what the best known design makes of the same ones is divided out.
                means = np.array([np.mean(one.errors[LEARNED][judge]) / _best_known(one, judge) for one in mine])
                spread.append({"frames": frames, "judge": judge, "spread": float(means.std(ddof=1) / means.mean())})
    return {
        "rows": rows,
        "spread_over_seeds": spread,
        "equal_to_full_stack_at": equal,
        "paired_by": "seed" if max(_counts(runs)) > 1 else "held-out object",
        "runs": [{name: getattr(one, name) for name in Run.__dataclass_fields__} for one in runs],
    }


def _best_known(run: Run, judge: str) -> float:
    """Smallest mean error of the hand-made designs of a run."""
    return float(min(np.mean(run.errors[name][judge]) for name in TITLES if name in run.errors))


def _counts(runs: Sequence[Run]) -> list[int]:
    return [sum(other.frames == one.frames for other in runs) for one in runs]


def _paired(runs: Sequence[Run], name: str, judge: str) -> NDArray[np.float64]:
    """(seed,) mean errors of a design, or (object,) errors where there is one seed."""
    errors = [np.array(one.errors[name][judge], dtype=float) for one in runs]
    return errors[0] if len(errors) == 1 else np.array([one.mean() for one in errors])


def _resolution_um(runs: Sequence[Run], name: str) -> float | None:
    """Finest resolved period of a design, from the correlation of all runs; None where nothing is resolved."""
    correlation = np.mean([one.correlation[name] for one in runs], axis=0)
    frequency = np.array(runs[0].frequency_per_um)
    rings = RingCorrelation(
        frequency_per_um=frequency, correlation=correlation, half_bit=np.ones_like(frequency), pixel_um=runs[0].pixel_um
    )
    found = rings.resolution_um(RESOLVED)
    return found if np.isfinite(found) else None


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"complex error on held-out objects; gain of what is learned, 95 % interval paired by {result['paired_by']}"
    ]
    for frames in sorted({row["frames"] for row in result["rows"]}):
        mine = [row for row in result["rows"] if row["frames"] == frames]
        runs = [one for one in result["runs"] if one["frames"] == frames]
        seconds = ", ".join(f"{one['seconds']:.0f} s" for one in runs)
        lines += ["", f"{frames} frames, seeds {[one['seed'] for one in runs]}, {seconds}"]
        lines.append(f"{'':<46}{'its network':>12}{'gain':>24}{'solver':>10}{'gain':>24}{'resolves':>12}")
        for name in dict.fromkeys(row["design"] for row in mine):
            cells = {row["judge"]: row for row in mine if row["design"] == name}
            network, solver = cells.get(NETWORK), cells[SOLVER]
            resolved = solver["resolution_um"]
            lines.append(
                f"{solver['title']:<46.45}{'-' if network is None else format(network['error'], '.3f'):>12}"
                f"{_gain(network):>24}{solver['error']:>10.3f}{_gain(solver):>24}"
                f"{'-' if resolved is None else format(resolved, '.2f') + ' um':>12}"
            )
    for one in result["spread_over_seeds"]:
        lines.append(
            f"{one['frames']} frames: what is learned over the best known design spreads by {one['spread']:.1%} by "
            f"{one['judge']}"
        )
    if result["equal_to_full_stack_at"] is not None:
        lines.append(
            f"from {result['equal_to_full_stack_at']} frames on as good as a frame for each LED, by the solver"
        )
    return "\n".join(lines)


def _gain(row: dict[str, Any] | None) -> str:
    if row is None or row["design"] == LEARNED:
        return ""
    interval = "" if not np.isfinite(row["low"]) else f" [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]"
    return f"{100 * row['gain']:+.0f} %{interval}"
