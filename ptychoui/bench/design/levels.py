"""``ptychoui bench levels``: designs of few bits, learned in the loop against learned with any level and rounded.

For each seed (split of the sources, start, noise):

1. a design is learned with any level, and rounded by the export's `quantise`, whose correction of each exposure is
   applied;
2. from the same start a design is learned whose levels are shown in so many bits, see `design.drive_levels`;
3. the start itself is rounded as in 1.

All have equal frames and the same total exposure to spend: where the correction of 1 asks for more, all its frames are
shortened alike, and a row that would saturate the camera has a shorter frame, as in 2. Both judges of
`tasks.fpm.judges` see the same held-out objects with the same noise. A learned design keeps the step sizes and the
prior of the network that it was learned with; the start takes those of the beginning or those of 2, whichever suits it
better on training objects. The unrounded design of 1 is shown beside them: no array of so few bits can show it.

Differences are paired by seed; intervals are Student's t at 95 %.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptychoui.bench.design.grid import Say
from ptychoui.bench.intervals import interval
from ptychoui.data.files import check_target, json_text, write_atomic
from ptychoui.design.starts import start_exposures
from ptychoui.errors import SettingsError
from ptychoui.export.quantise import MAXIMUM_BITS, quantise
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.contenders import Contender, learned_design
from ptychoui.tasks.fpm.judges import network_errors, solver_errors
from ptychoui.tasks.fpm.parameters import DesignParameters, start_design, start_parameters
from ptychoui.tasks.fpm.shown import shown_design
from ptychoui.tasks.fpm.sources import find_dataset
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.trainer import Trainer

ROUNDED, IN_THE_LOOP, START, ANY_LEVEL = "rounded", "in the loop", "start", "any level"
"""Ways to come to a design: learned and rounded, learned as it is shown, not learned; and what cannot be shown."""

TUNING = 4
"""Training objects that choose the network of the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One design of one seed.

    Attributes
    ----------
    bits
        Of a level; 0 where any level was shown.
    network, solver
        Mean complex errors on held-out objects, by its own network and by the converged solver.
    lit
        Mean number of LEDs that shine in a pattern.
    total_exposure
        Sum of the frame times, in frames.
    """

    seed: int
    bits: int
    way: str
    network: float
    solver: float
    lit: float
    total_exposure: float


def learning(experiment: FpmExperiment, unrolls: int, start: str) -> FpmExperiment:
    """The experiment with a network whose prior is smooth and learned, which suits every start, and no limits."""
    network = experiment.network.replace(
        prior="smooth", unrolls=unrolls, step=None, learn_step=True, learn_smoothness=True
    )
    design = experiment.design.replace(start=start, drive_bits=None, maximum_lit=None)
    engine = experiment.engine.replace(check_every=0)
    return experiment.replace(network=network, design=design, engine=engine)


def with_bits(task: FpmTask, bits: int | None) -> FpmTask:
    """The task with levels of so many bits; None: any level."""
    return task.with_design_settings(task.experiment.design.replace(drive_bits=bits))


def rounded(task: FpmTask, levels: Tensor, exposures: Tensor) -> Contender:
    """Levels (M, LED) and exposures (M,) as the export rounds them, within the total exposure of a task of few bits.

    Raises
    ------
    SettingsError
        If the task does not state the bits of a level.
    """
    bits = task.experiment.design.drive_bits
    if bits is None:
        raise SettingsError("nothing says to how many bits levels are to be rounded", "set design.drive_bits")
    coded = quantise((levels * task.mask).double().cpu().numpy(), bits)
    corrected = exposures * torch.from_numpy(coded.exposure_scale).to(exposures)
    shown, times = shown_design(task, torch.from_numpy(coded.levels).to(levels), corrected)
    total = float(start_exposures(task.experiment.design).sum())
    times = times * min(1.0, total / float(times.sum()))
    return Contender(name=ROUNDED, task=task, levels=shown, exposures=times)


def learned(task: FpmTask) -> DesignParameters:
    """What is learned in all steps of a task's experiment."""
    trainer = Trainer(task)
    for _event in trainer.steps_alone():
        pass
    parameters = trainer.parameters
    assert isinstance(parameters, DesignParameters)
    return parameters


def one_seed(experiment: FpmExperiment, dataset: Any, bits: Sequence[int], objects: int, say: Say) -> list[Score]:
    """Learn and compare with the experiment's seed, at each number of bits."""
    problem = build_task(experiment, dataset=dataset)
    judged, tuning = problem.held_out.spread(objects), problem.training.spread(TUNING)
    found: list[Score] = []

    def note(design: Contender, parameters: DesignParameters, way: str, of_bits: int) -> None:
        score = Score(
            seed=experiment.seed,
            bits=of_bits,
            way=way,
            network=float(network_errors(design, parameters, judged).mean()),
            solver=float(solver_errors(design, judged).mean()),
            lit=float((design.levels > 0).sum(1).double().mean()),
            total_exposure=float(design.exposures.sum()),
        )
        found.append(score)
        named = f"{_bits(of_bits)}, {way}" if of_bits else way
        say(
            f"    {named:<24} own network {score.network:.3f}   converged {score.solver:.3f}   "
            f"{score.lit:.1f} LEDs lit, {score.total_exposure:.2f} frames"
        )

    began = time.monotonic()
    free = learned(problem)
    say(f"  seed {experiment.seed}: {experiment.training.steps} steps in {time.monotonic() - began:.0f} s")
    note(learned_design(problem, free), free, ANY_LEVEL, 0)
    for count in bits:
        task = with_bits(problem, count)
        begun, limited = start_parameters(task), learned(task)
        note(rounded(task, free.levels, free.exposures), free, ROUNDED, count)
        note(learned_design(task, limited), limited, IN_THE_LOOP, count)
        first = rounded(task, *start_design(problem))
        errors = [float(network_errors(first, each, tuning).mean()) for each in (begun, limited)]
        note(first, (begun, limited)[int(np.argmin(errors))], START, count)
    return found


def run(
    experiment: FpmExperiment,
    bits: Sequence[int] = (1, 3),
    seeds: Sequence[int] = range(5),
    objects: int = 6,
    say: Say = lambda _text: None,
    output: Path | None = None,
) -> dict[str, object]:
    """Compare over seeds; the dictionary is what ``--json`` prints.

    With ``output`` the JSON is written after every seed: a long comparison loses nothing when it is stopped.

    Raises
    ------
    SettingsError
        If levels cannot have so many bits, or the output's folder is not there.
    """
    if wrong := [count for count in bits if not 1 <= count <= MAXIMUM_BITS]:
        raise SettingsError(f"{wrong[0]} bits per level: it must be 1 to {MAXIMUM_BITS}")
    if output is not None:
        check_target(output, SettingsError)
    dataset, geometry = find_dataset(experiment)
    experiment = experiment.replace(geometry=experiment.geometry or geometry)
    scores: list[Score] = []
    result: dict[str, object] = {}
    for seed in seeds:
        scores += one_seed(experiment.replace(seed=seed), dataset, sorted(set(bits)), objects, say)
        result = summarise(scores, torch.get_num_threads())
        if output is not None:
            write_atomic(output, json_text(result) + "\n")
    return result


def summarise(scores: Sequence[Score], threads: int) -> dict[str, object]:
    """Means over seeds, and paired differences of learning in the loop to rounding and to the start."""
    seeds = sorted({score.seed for score in scores})
    rows = []
    for bits in sorted({score.bits for score in scores if score.bits}):
        for judge in ("network", "solver"):
            of = {
                way: np.array([_error(scores, seed, bits if way != ANY_LEVEL else 0, way, judge) for seed in seeds])
                for way in (ROUNDED, IN_THE_LOOP, START, ANY_LEVEL)
            }
            row: dict[str, object] = {"bits": bits, "judge": judge}
            row |= {way.replace(" ", "_"): float(errors.mean()) for way, errors in of.items()}
            for way in (ROUNDED, START):
                mean, _, high = interval(of[IN_THE_LOOP] - of[way])
                half = high - mean
                row |= {f"minus_{way}": mean, f"minus_{way}_interval_95": half}
            rows.append(row)
    return {"seeds": seeds, "threads": threads, "rows": rows, "scores": [asdict(score) for score in scores]}


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"seeds {result['seeds']}; mean complex error on held-out objects; differences of learning in the loop to "
        "others, below 0 where it is better, with 95 % intervals",
        f"{'bits':>4}  {'judge':<12}{ANY_LEVEL:>10}{ROUNDED:>10}{IN_THE_LOOP:>13}{START:>8}"
        f"{'against rounded':>20}{'against the start':>20}",
    ]
    judges = {"network": "own network", "solver": "converged"}
    for row in result["rows"]:
        against = [f"{row[f'minus_{way}']:+.3f} +- {row[f'minus_{way}_interval_95']:.3f}" for way in (ROUNDED, START)]
        lines.append(
            f"{row['bits']:>4}  {judges[row['judge']]:<12}{row['any_level']:>10.3f}{row['rounded']:>10.3f}"
            f"{row['in_the_loop']:>13.3f}{row['start']:>8.3f}{against[0]:>20}{against[1]:>20}"
        )
    return "\n".join(lines)


def _error(scores: Sequence[Score], seed: int, bits: int, way: str, judge: str) -> float:
    (found,) = (score for score in scores if (score.seed, score.bits, score.way) == (seed, bits, way))
    return found.network if judge == "network" else found.solver


def _bits(count: int) -> str:
    return f"{count} bit" if count == 1 else f"{count} bits"
