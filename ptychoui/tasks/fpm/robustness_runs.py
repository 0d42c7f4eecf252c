"""Robustness cards of runs and of exported patterns: what is read for them, and where they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ptychoui.data.files import json_text, write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, RunError, SettingsError
from ptychoui.settings import FpmExperiment, experiment_of
from ptychoui.tasks.fpm.contenders import Contender, learned_design
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.robustness import RobustnessCard
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.task import AnyTask
from ptychoui.training.trainer import Trainer

CARD = "robustness.json"
"""The card's file in a run folder."""

LEARNED_PATTERNS = "learned patterns"


def design_of_run(trainer: Trainer[AnyTask]) -> tuple[Contender, DesignParameters]:
    """What a run learned last, with the network it was learned with.

    Raises
    ------
    RunError
        If the run learned something else than patterns.
    """
    task, parameters = trainer.task, trainer.parameters
    if not isinstance(task, FpmTask) or not isinstance(parameters, DesignParameters):
        raise RunError(
            f"a run of kind {task.experiment.kind!r} learned no patterns of LEDs", "give a run of a microscope"
        )
    return replace(learned_design(task, parameters), name=LEARNED_PATTERNS), parameters


def design_of_patterns(
    patterns: PatternSet, tell: Callable[[str], None] = lambda _sentence: None
) -> tuple[Contender, DesignParameters]:
    """Patterns that were exported, on the data of their record, with the network at its start.

    Raises
    ------
    PtychouiError
        If the patterns carry no experiment, or do not fit its LEDs or its number of rows, or its data cannot be read.
    """
    values = patterns.record.get("experiment")
    try:
        experiment = experiment_of(values) if isinstance(values, dict) else None
    except SettingsError as error:
        raise DataError(f"the record of {patterns.name!r} cannot be read: {error.message}", error.hint) from None
    if not isinstance(experiment, FpmExperiment):
        raise DataError(
            f"the patterns {patterns.name!r} carry no experiment: nothing says which data to try them on",
            "give the run folder, or patterns that this program exported as json",
        )
    if experiment.design.start == "best":  # nothing is to be chosen
        experiment = experiment.replace(design=experiment.design.replace(start="hybrid"))
    if experiment.design.rows != len(patterns.levels):
        raise DataError(
            f"the record of {patterns.name!r} is of {experiment.design.rows} patterns, the file holds "
            f"{len(patterns.levels)}",
            "give the run folder",
        )
    task = build_task(experiment, tell)
    places = {int(number): place for place, number in enumerate(patterns.led_numbers)}
    missing = [int(number) for number in task.leds.numbers if int(number) not in places]
    if missing or len(places) != len(task.leds):
        raise DataError(
            f"the patterns {patterns.name!r} are of other LEDs than the data of their record"
            + (f", which have LED {missing[0]}" if missing else ""),
            "give the run folder, or the data as they were",
        )
    order = [places[int(number)] for number in task.leds.numbers]
    everywhere = replace(task, mask=torch.ones_like(task.mask))
    made = Contender(
        name=patterns.name,
        task=everywhere,
        levels=torch.from_numpy(patterns.levels[:, order].copy()).to(task.device, task.dtype),
        exposures=torch.from_numpy(patterns.exposures.copy()).to(task.device, task.dtype),
    )
    return made, start_parameters(task)


def keep_card(folder: Path, card: RobustnessCard) -> Path:
    """Write a card into a run folder.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    return write_atomic(folder / CARD, json_text(card.record()) + "\n", RunError)


def kept_card(folder: Path, step: int) -> RobustnessCard | None:
    """The card in a run folder, if there is one and it is of what the run has learned by now."""
    try:
        card = RobustnessCard.from_record(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return card if card.steps == step else None
