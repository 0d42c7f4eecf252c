"""``ptychoui bench design``: what is learned beside every known design, by both judges, for several numbers of frames.

For every number of frames and every seed (split of the objects, start, noise):

1. patterns are learned as the experiment says, unless only what is there already is compared;
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptychoui.bench.design.entrants import (
    ALL_EQUAL,
    ALL_WHOLE,
    EFFORT,
    EVERYTHING,
    NAMES,
    RANDOM,
    Effort,
    Entrants,
    Judged,
    LearnedDone,
    Opened,
    Run,
    Starting,
)
from ptychoui.bench.design.summary import summarise
from ptychoui.data.files import check_target, json_text, write_atomic
from ptychoui.design import starts
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.quality.ring_correlation import ring_correlation
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.contenders import (
    Contender,
    contender,
    drawn_designs,
    given_design,
    learned_design,
    start_title,
)
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, Errors, network_errors, solver_outputs
from ptychoui.tasks.fpm.objectives import align, without_ramp
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.sources import find_dataset
from ptychoui.tasks.fpm.task import BEST, FpmTask, build_task
from ptychoui.tasks.fpm.tuning import tuned_network
from ptychoui.training.control import RunControl
from ptychoui.training.events import Validated
from ptychoui.training.run_folder import library_versions
from ptychoui.training.trainer import Trainer
from ptychoui.training.verdict import LEARNED

Say = Callable[[str], None]
Told = Opened | Starting | LearnedDone | Judged | Run


def one_run(
    experiment: FpmExperiment,
    dataset: Any,
    frames: int,
    seed: int,
    effort: Effort = EFFORT,
    entrants: Entrants = EVERYTHING,
    control: RunControl | None = None,
) -> Iterator[Starting | LearnedDone | Judged | Run]:
    """Learn, if that is asked for, and compare once; the last that is told is the whole run.

    ``control`` is asked between layers and evaluations whether to stop.

    Raises
    ------
    PtychouiError
        If patterns that were given do not fit, before anything takes long.
    """
    began, control = time.monotonic(), control or RunControl()
    geometry = experiment.geometry or dataset.geometry
    if not entrants.learn and experiment.design.start == BEST:  # nothing is to be chosen
        experiment = experiment.replace(design=experiment.design.replace(start="hybrid"))
    if frames != experiment.design.rows and geometry is not None:
        na = geometry.microscope.objective_na
        experiment = experiment.replace(design=starts.divided(experiment.design, frames, led_array(geometry.array), na))
    training = experiment.training.replace(compare=False, validate_every=max(1, experiment.training.steps))
    experiment = experiment.replace(seed=seed, training=training)
    task = build_task(experiment, control.now, control.checkpoint, dataset)
    # What cannot take part is refused before anything takes long.
    given = {name: given_design(task, one, name) for name, one in entrants.of(frames).items()}
    loss, start, settings = None, "", [start_parameters(task)]
    if entrants.learn:
        yield Starting(frames=frames, seed=seed, name=LEARNED, title="learning")
        start = start_title(task.experiment.design)
        trainer = Trainer(task, None, control)
        losses = [event.loss for event in trainer.run() if isinstance(event, Validated)]
        control.checkpoint()  # a run that was stopped in the middle ends without a word
        assert isinstance(trainer.parameters, DesignParameters)
        settings.append(trainer.parameters)
        loss = losses[0], losses[-1]
        yield LearnedDone(began=start, steps=trainer.step, loss=loss)

    examples, tuning = task.held_out.spread(effort.judged), task.training.spread(effort.tuning)
    steps = round(effort.tuning_share * experiment.training.steps)
    everything = starts.sequential(task.leds)
    found: list[Judged] = []
    for name in entrants.names(frames):
        title = given[name].title if name in given else NAMES[name]
        yield Starting(frames=frames, seed=seed, name=name, title=title)
        since, own = time.monotonic(), None
        if name == LEARNED:
            design, own = learned_design(task, settings[-1]), settings[-1]
        elif name in (ALL_EQUAL, ALL_WHOLE):
            total = float(len(task.leds)) if name == ALL_WHOLE else None
            design = contender(task, everything, name, total_exposure=total)
        else:
            draws = effort.draws if name in RANDOM else 1
            control.now(f"{title}: finding the best draw")
            design = given.get(name) or best_draw(task, name, settings, tuning, draws, control.checkpoint)
            control.now(f"{title}: learning the network's settings for it")
            own = tuned_network(design, settings, tuning, steps, control.checkpoint)
        errors: dict[str, Errors] = {}
        if own is not None:
            errors[NETWORK] = network_errors(design, own, examples, control.checkpoint)
        control.now(f"{title}: reconstructing with the converged solver")
        outputs = solver_outputs(design, examples, control.checkpoint)
        errors[SOLVER] = design.task.scores(outputs, examples)["complex_error"].double().cpu().numpy()
        objects = design.task.object_of(outputs)
        rings, frequency = _correlation(objects, examples.truth, task.grids.object_pixel_um)
        found.append(
            Judged(
                frames=frames,
                seed=seed,
                name=name,
                title=title,
                errors={judge: values.tolist() for judge, values in errors.items()},
                correlation=rings,
                frequency_per_um=frequency,
                levels=design.levels.double().cpu().numpy(),
                exposures=design.exposures.double().cpu().numpy(),
                illumination_na=task.leds.illumination_na,
                objects=_as_shown(task, objects, examples.truth),
                truth=_as_shown(task, examples.truth, examples.truth),
                pixel_um=task.grids.object_pixel_um,
                seconds=time.monotonic() - since,
            )
        )
        yield found[-1]
    yield Run(
        frames=frames,
        seed=seed,
        began=start,
        titles={one.name: one.title for one in found},
        errors={one.name: one.errors for one in found},
        correlation={one.name: one.correlation for one in found},
        frequency_per_um=found[-1].frequency_per_um,
        pixel_um=task.grids.object_pixel_um,
        loss=loss,
        seconds=time.monotonic() - began,
    )


def best_draw(
    task: FpmTask,
    name: str,
    settings: Sequence[DesignParameters],
    examples: Objects,
    draws: int,
    callback: Callable[[], None] = lambda: None,
) -> Contender:
    """The best of some draws of a hand-made design, by the network on examples, with the better of some settings."""
    designs = drawn_designs(task, name, draws)
    if draws == 1:
        return designs[0]
    found = [min(float(network_errors(one, each, examples, callback).mean()) for each in settings) for one in designs]
    return designs[int(np.argmin(found))]


def _correlation(objects: Tensor, truth: Tensor, pixel_um: float) -> tuple[list[float], list[float]]:
    """(ring,) mean correlation of objects with the truth, (object, row, column) each, and the rings' frequencies."""
    pairs = zip(objects.cpu().numpy(), truth.cpu().numpy(), strict=True)
    found = [ring_correlation(one, other, pixel_um) for one, other in pairs]
    return np.mean([one.correlation for one in found], axis=0).tolist(), found[0].frequency_per_um.tolist()


def _as_shown(task: FpmTask, objects: Tensor, truth: Tensor) -> np.ndarray[Any, np.dtype[np.complex64]]:
    """Objects (object, row, column) with the truth's global phase, both turned so that phases are centred on zero."""
    found = without_ramp(objects, truth) if task.experiment.training.without_ramp else objects
    mean = truth.mean((1, 2), keepdim=True)
    turn = mean.conj() / mean.abs().clamp_min(1e-30)
    return (align(found, truth) * turn).cpu().numpy().astype(np.complex64)


def runs(
    experiment: FpmExperiment,
    frames: Sequence[int],
    seeds: Sequence[int],
    effort: Effort = EFFORT,
    entrants: Entrants = EVERYTHING,
    control: RunControl | None = None,
) -> Iterator[Told]:
    """Compare for all frames and seeds; `Opened` is told first, and a `Run` for each.

    Raises
    ------
    PtychouiError
        If the data and the settings do not fit together, or patterns that were given fit no number of frames.
    """
    dataset, geometry = find_dataset(experiment)
    experiment = experiment.replace(geometry=experiment.geometry or geometry)
    facts = {
        "experiment": experiment.model_dump(mode="json", exclude_none=True),
        "data_sha256": dataset.provenance.sha256,
        "versions": library_versions(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    yield Opened(facts=facts)
    counts = tuple(frames) or (experiment.design.rows,)
    entrants.check(counts)
    for count in counts:
        for seed in seeds:
            yield from one_run(experiment, dataset, count, seed, effort, entrants, control)


def run(
    experiment: FpmExperiment,
    frames: Sequence[int],
    seeds: Sequence[int],
    effort: Effort = EFFORT,
    say: Say = print,
    output: Path | None = None,
    entrants: Entrants = EVERYTHING,
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
    done: list[Run] = []
    result: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    said: tuple[int, int] | None = None
    for told in runs(experiment, frames, seeds, effort, entrants):
        if isinstance(told, Opened):
            facts = told.facts
        elif isinstance(told, Starting) and said != (told.frames, told.seed):
            said = told.frames, told.seed
            say(f"{told.frames} frames, seed {told.seed}")
        elif isinstance(told, LearnedDone):
            before, after = told.loss
            say(f"  {told.steps} steps from {told.began}: held-out loss {before:.4f} -> {after:.4f}")
        elif isinstance(told, Judged):
            means = "   ".join(f"by {judge} {np.mean(values):.3f}" for judge, values in told.errors.items())
            say(f"  {told.title:<48}{means}")
        elif isinstance(told, Run):
            done.append(told)
            result = summarise(done) | facts
            if output is not None:
                write_atomic(output, json_text(result) + "\n")
    return result
