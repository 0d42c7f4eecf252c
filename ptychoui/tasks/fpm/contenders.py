"""Designs that are known without learning, with as many frames and as much exposure as an experiment has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.settings import Design
from ptychoui.tasks.fpm.shown import shown_design
from ptychoui.training.verdict import LEARNED

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
    """

    name: str
    task: FpmTask
    levels: Tensor
    exposures: Tensor

    @property
    def title(self) -> str:
        """As people call it."""
        return TITLES.get(self.name, self.name)


def contender(task: FpmTask, levels: NDArray[np.float64], name: str = "") -> Contender:
    """Levels (M, LED) with the experiment's total exposure in equal parts; the mask allows every LED.

    Rows that light the bright field come first, and rows that would saturate the camera are dimmed. Levels are shown in
    as many bits as those that are learned, and as many LEDs shine at most.
    """
    experiment, leds, na = task.experiment, task.leds, task.objective_na
    of_bright = levels[:, leds.bright_field(na)].sum(1)
    bright_rows = max(int((of_bright > 0).sum()), 1)
    total, rows = float(starts.start_exposures(experiment.design).sum()), len(levels)
    design = experiment.design.replace(
        bright_field_rows=bright_rows,
        dark_field_rows=rows - bright_rows,
        total_exposure=total,
        minimum_exposure=min(experiment.design.minimum_exposure, total / rows),
    )
    exposures = np.full(rows, total / rows)
    order = np.argsort(of_bright == 0, kind="stable")
    dimmed = starts.dimmed(levels[order], exposures, leds, na, experiment.measurement, design)
    everywhere = torch.ones(dimmed.shape, dtype=torch.bool, device=task.device)
    own = replace(task, experiment=experiment.replace(design=design), mask=everywhere)
    shown, times = shown_design(
        own,
        torch.from_numpy(dimmed).to(task.device, task.dtype),
        torch.from_numpy(exposures).to(task.device, task.dtype),
    )
    return Contender(name=name, task=own, levels=shown, exposures=times)


def learned_design(task: FpmTask, parameters: DesignParameters) -> Contender:
    """The present patterns of a run, as they are shown, in the bands of its experiment."""
    levels, exposures = shown_design(task, parameters.levels, parameters.exposures)
    return Contender(name=LEARNED, task=task, levels=levels, exposures=exposures)


def known_design(task: FpmTask, name: str) -> Contender:
    """A hand-made design of `TITLES`, drawn from the experiment's seed."""
    rng = np.random.default_rng([task.experiment.seed, 1])
    make = starts.STARTS[name]
    return contender(task, make(task.experiment.design, task.leds, task.objective_na, rng), name)
