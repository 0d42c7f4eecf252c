"""Designs that are known without learning, with as many frames and as much exposure as an experiment has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet, levels_on
from ptychoui.settings import Design
from ptychoui.tasks.fpm import titles
from ptychoui.tasks.fpm.shown import shown_design
from ptychoui.training.verdict import LEARNED

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.parameters import DesignParameters
    from ptychoui.tasks.fpm.task import FpmTask

TITLES = titles.TITLES


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
    levels = levels_on(patterns, task.leds.numbers, task.experiment.design.rows)
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
