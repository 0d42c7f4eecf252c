"""What to use in the end: the learned patterns, or a design that was known before, by two judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.tasks.fpm.contenders import TITLES, Contender, known_design, learned_design, start_title
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, Errors, network_errors, solver_errors
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.training.verdict import Terms, Verdict, compared, verdict

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask

JUDGED = 8
"""Held-out tiles that are judged at most."""

TUNING = 4
"""Training tiles that choose between the settings at the start and those that were learned, for each known design."""

TO_THE_SOLVER = 2
"""Known designs, the best by the network, that the slower judge sees."""


TERMS = Terms(
    learned="the learned patterns",
    example="held-out tile",
    more="more light, more patterns or fewer LEDs are needed",
)


def recommend(task: FpmTask, parameters: DesignParameters, callback: Callable[[], None] = lambda: None) -> Verdict:
    """Hold what was learned against every hand-made design, with equal frames and equal total exposure.

    Parameters
    ----------
    callback
        Called between layers and evaluations: where the work can be given up by an exception.
    """
    examples = spread(task.held_out, JUDGED)
    learned = learned_design(task, parameters)
    settings = (start_parameters(task), parameters)
    by_network: dict[str, Errors] = {}
    known = {name: known_design(task, name) for name in TITLES}
    for name, design in known.items():
        by_network[name] = network_errors(design, suited(design, settings, callback), examples, callback)
    best = sorted(known, key=lambda name: float(by_network[name].mean()))[:TO_THE_SOLVER]
    of_learned = {
        NETWORK: network_errors(learned, parameters, examples, callback),
        SOLVER: solver_errors(learned, examples, callback),
    }
    rows = []
    for name in best:
        errors = {NETWORK: by_network[name], SOLVER: solver_errors(known[name], examples, callback)}
        rows += [compared(name, TITLES[name], judge, errors[judge], of_learned[judge]) for judge in errors]
    return verdict(rows, len(examples), TERMS, start_title(task.experiment.design))


def suited(
    design: Contender, settings: Sequence[DesignParameters], callback: Callable[[], None] = lambda: None
) -> DesignParameters:
    """Of several settings of the network, those that suit a design best on some of the training tiles."""
    tuning = spread(design.task.training, TUNING)
    found = [float(network_errors(design, each, tuning, callback).mean()) for each in settings]
    return settings[int(np.argmin(found))]


def spread(examples: Objects, count: int) -> Objects:
    """So many of the examples, spread evenly over all."""
    return examples.pick(spread_places(len(examples), count))


def spread_places(of: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` places, (chosen,), spread evenly over the first ``of``."""
    return np.unique(np.linspace(0, of - 1, min(count, of)).round().astype(np.int64))
