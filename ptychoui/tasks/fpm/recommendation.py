"""What to use in the end: the learned patterns, or a design that was known before, by two judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ptychoui.tasks.fpm.contenders import TITLES, known_design, learned_design, start_title
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, network_errors, solver_errors
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.tuning import tuned_network
from ptychoui.training.verdict import Terms, Verdict, compared, verdict

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask

JUDGED = 8
"""Held-out tiles that are judged at most."""

TUNING = 4
"""Training tiles that choose the network's settings for each known design."""

SHARE_OF_STEPS = 0.125
"""How long those settings are learned for a known design, from the best of what is there, over the run's steps."""

TO_THE_SOLVER = 2
"""Known designs, the best by the network, that the slower judge sees."""


TERMS = Terms(
    learned="the learned patterns",
    example="held-out tile",
    more="more light, more patterns or fewer LEDs are needed",
)


def recommend(task: FpmTask, parameters: DesignParameters, callback: Callable[[], None] = lambda: None) -> Verdict:
    """Hold what was learned against every hand-made design, with equal frames and equal total exposure.

    All are ranked by the network with the settings at the start or those that were learned, whichever suit them; the
    best have settings learned for them, and are seen by both judges.

    Parameters
    ----------
    callback
        Called between layers and evaluations: where the work can be given up by an exception.
    """
    examples, tuning = task.held_out.spread(JUDGED), task.training.spread(TUNING)
    learned = learned_design(task, parameters)
    settings = (start_parameters(task), parameters)
    known = {name: known_design(task, name) for name in TITLES}
    ranks = {
        name: min(float(network_errors(design, each, tuning, callback).mean()) for each in settings)
        for name, design in known.items()
    }
    best = sorted(known, key=lambda name: ranks[name])[:TO_THE_SOLVER]
    steps = round(SHARE_OF_STEPS * task.experiment.training.steps)
    of_learned = {
        NETWORK: network_errors(learned, parameters, examples, callback),
        SOLVER: solver_errors(learned, examples, callback),
    }
    rows = []
    for name in best:
        own = tuned_network(known[name], settings, tuning, steps, callback)
        errors = {
            NETWORK: network_errors(known[name], own, examples, callback),
            SOLVER: solver_errors(known[name], examples, callback),
        }
        rows += [compared(name, TITLES[name], judge, errors[judge], of_learned[judge]) for judge in errors]
    return verdict(rows, len(examples), TERMS, start_title(task.experiment.design))
