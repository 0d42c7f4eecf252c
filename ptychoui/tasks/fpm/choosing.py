"""Where learning begins: several hand-made designs are tried, the better half goes on, the best is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ptychoui.design import starts
from ptychoui.settings import Design
from ptychoui.tasks.fpm.contenders import learned_design, start_title
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import network_errors, solver_errors
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.tuning import learned_a_little

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask

FINALISTS = 2
"""Starts that are learned from for a little while."""

SHARE_OF_STEPS = 0.05
"""How long, as a share of the run's steps."""

JUDGED = 3
"""Training tiles that are kept for judging starts; the short learning does not see them."""


def with_best_start(
    task: FpmTask,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] = lambda: None,
) -> FpmTask:
    """The task with the start that promises most, by successive halving (Jamieson and Talwalkar 2016).

    All starts are scored by the network on some training tiles; the best few are learned from for a while, and judged
    again by the network and by the converged solver. No held-out tile is looked at.
    """
    if not task.experiment.training.steps:
        return task.with_design_settings(task.experiment.design.replace(start=starts.UNTIL_CHOSEN))
    judged, others = _apart(task.training)
    found: dict[int, float] = {}
    candidates = [task.with_design_settings(design) for design in candidate_starts(task.experiment.design)]
    for place, candidate in enumerate(candidates):
        tell(f"choosing where to begin: {start_title(candidate.experiment.design)}")
        parameters = start_parameters(candidate)
        found[place] = float(network_errors(learned_design(candidate, parameters), parameters, judged, callback).mean())
    finalists = sorted(found, key=lambda place: found[place])[:FINALISTS]
    steps = max(1, round(SHARE_OF_STEPS * task.experiment.training.steps))
    for place in finalists:
        candidate = candidates[place]
        tell(f"choosing where to begin: {steps} steps from {start_title(candidate.experiment.design)}")
        parameters = learned_a_little(replace(candidate, training=others), steps, callback)
        design = learned_design(candidate, parameters)
        by_network = network_errors(design, parameters, judged, callback).mean()
        found[place] = float(by_network + solver_errors(design, judged, callback).mean()) / 2
    best = min(finalists, key=lambda place: found[place])
    ranked = ", ".join(
        f"{start_title(candidates[place].experiment.design)} {found[place]:.3f}"
        for place in sorted(finalists, key=lambda place: found[place])
    )
    note = f"of {len(candidates)} designs to begin with the best after {steps} steps were taken up: {ranked}"
    return replace(candidates[best], split=(*task.split, note))


def candidate_starts(design: Design) -> list[Design]:
    """Ways to begin with as many rows: every hand-made design in the bands as they are, and half circles alone."""
    found = [design.replace(start=name) for name in ("hybrid", "random_partition", "singles", "dense_random")]
    if design.dark_field_rows:
        found.insert(1, design.replace(start="hybrid", bright_field_rows=design.rows, dark_field_rows=0))
    return found


def _apart(examples: Objects) -> tuple[Objects, Objects]:
    """A few examples to judge with, and the others; all for both where there are hardly more."""
    if len(examples) <= 2 * JUDGED:
        everything = examples.pick(np.arange(len(examples)))
        return everything.part(0, min(JUDGED, len(examples))), everything
    return examples.part(0, JUDGED), examples.part(JUDGED, len(examples))
