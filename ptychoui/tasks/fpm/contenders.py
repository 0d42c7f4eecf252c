"""Designs that are known without learning, with as many frames and as much exposure as an experiment has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError
from ptychoui.settings import Design
from ptychoui.tasks.fpm.shown import shown_design
from ptychoui.training.verdict import LEARNED
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.parameters import DesignParameters
    from ptychoui.tasks.fpm.task import FpmTask

TITLES = {
    "half_circles": "half circles",
    "hybrid": "half circles with a partition of the dark field",
    "random_partition": "a random partition",
    "singles": "single LEDs",
    "dense_random": "dense random patterns",
}
"""Hand-made designs as people call them."""


def start_title(design: Design) -> str:
    """What learning begins from, as people call it."""
    if design.start == "hybrid" and not design.dark_field_rows:
        return TITLES["half_circles"]
    return TITLES.get(design.start, design.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A design, and the task that measures it: its rows need not be those of the experiment.

    Attributes
    ----------
    levels, exposures
        (M, LED) and (M,), as the LED array shows them.
    called
        What people call it, where it is none of `TITLES`.
    """

    name: str
    task: FpmTask
    levels: Tensor
    exposures: Tensor
    called: str = ""

    @property
    def title(self) -> str:
        """As people call it."""
        return self.called or TITLES.get(self.name, self.name)


def contender(
    task: FpmTask,
    levels: NDArray[np.float64],
    name: str = "",
    total_exposure: float | None = None,
    shares: NDArray[np.float64] | None = None,
    called: str = "",
) -> Contender:
    """Levels (M, LED) with a total exposure; the mask allows every LED.

    Rows that light the bright field come first, and rows that would saturate the camera are dimmed. Levels are
    shown in as many bits as those that are learned, and as many LEDs shine at most.

    Parameters
    ----------
    total_exposure
        In frames; by default the experiment's.
    shares
        (M,) frame times in any unit; by default all the same.
    """
    experiment, leds, na = task.experiment, task.leds, task.objective_na
    of_bright = levels[:, leds.bright_field(na)].sum(1)
    bright_rows = max(int((of_bright > 0).sum()), 1)
    rows = len(levels)
    total = float(starts.start_exposures(experiment.design).sum()) if total_exposure is None else total_exposure
    order = np.argsort(of_bright == 0, kind="stable")
    exposures = np.full(rows, total / rows) if shares is None else (total * shares / shares.sum())[order]
    design = experiment.design.replace(
        bright_field_rows=bright_rows,
        dark_field_rows=rows - bright_rows,
        total_exposure=total,
        minimum_exposure=min(experiment.design.minimum_exposure, float(exposures.min())),
    )
    dimmed = starts.dimmed(levels[order], exposures, leds, na, experiment.measurement, design)
    everywhere = torch.ones(dimmed.shape, dtype=torch.bool, device=task.device)
    own = replace(task, experiment=experiment.replace(design=design), mask=everywhere)
    shown, times = shown_design(
        own,
        torch.from_numpy(dimmed).to(task.device, task.dtype),
        torch.from_numpy(exposures).to(task.device, task.dtype),
    )
    return Contender(name=name, task=own, levels=shown, exposures=times, called=called)


def given_design(task: FpmTask, patterns: PatternSet, name: str) -> Contender:
    """Patterns that somebody made, perhaps for another array, with the experiment's total exposure.

    Raises
    ------
    DataError
        If they light an LED that the task does not have, or are more or fewer than its rows.
    """
    if len(patterns.levels) != task.experiment.design.rows:
        raise DataError(
            f"{patterns.name} has {counted(len(patterns.levels), 'pattern')}, the comparison is of "
            f"{counted(task.experiment.design.rows, 'frame')}",
            f"compare with --frames {len(patterns.levels)}",
        )
    places = {int(number): place for place, number in enumerate(task.leds.numbers)}
    lit = patterns.led_numbers[(patterns.levels > 0).any(0)]
    strange = [int(number) for number in lit if int(number) not in places]
    if strange:
        raise DataError(
            f"{patterns.name} lights LED {strange[0]}, which is not among the {len(places)} LEDs that are used here "
            f"({len(strange)} of {len(lit)} are not)",
            "give patterns for the same array, or raise array.max_illumination_na",
        )
    levels = np.zeros((len(patterns.levels), len(places)))
    for led, number in enumerate(patterns.led_numbers):
        if int(number) in places:
            levels[:, places[int(number)]] = patterns.levels[:, led]
    return contender(task, levels, name, shares=patterns.exposures, called=patterns.name)


def learned_design(task: FpmTask, parameters: DesignParameters) -> Contender:
    """The present patterns of a run, as they are shown, in the bands of its experiment."""
    levels, exposures = shown_design(task, parameters.levels, parameters.exposures)
    return Contender(name=LEARNED, task=task, levels=levels, exposures=exposures)


def known_design(task: FpmTask, name: str) -> Contender:
    """A hand-made design of `TITLES`, the first that is drawn from the experiment's seed: see `drawn_designs`."""
    return drawn_designs(task, name, 1)[0]


def drawn_designs(task: FpmTask, name: str, draws: int) -> list[Contender]:
    """Hand-made designs of a name with the experiment's rows and exposure, drawn from its seed one after the other.

    What was learned may have no dark-field rows, or have been chosen without them; designs that are known to need them
    have them all the same.
    """
    design, leds, na = task.experiment.design, task.leds, task.objective_na
    bands = design if design.dark_field_rows else starts.divided(design, design.rows, leds, na)
    rng = np.random.default_rng([task.experiment.seed, 1])
    return [contender(task, starts.STARTS[name](bands, leds, na, rng), name) for _ in range(draws)]
