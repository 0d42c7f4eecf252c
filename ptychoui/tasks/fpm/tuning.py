"""The network's own settings for a design: what is known gets as much care as what is learned.

A learned design has step sizes and a prior that were learned with it. Patterns that are held against it keep their
levels and frame times, and have the rest learned for them in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ptychoui.errors import EngineError
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import adapted, network_errors
from ptychoui.tasks.fpm.parameters import DesignParameters
from ptychoui.training.trainer import Trainer

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask

OF_THE_PATTERNS = frozenset({"levels", "exposures"})


def tuned_network(
    design: Contender,
    settings: Sequence[DesignParameters],
    examples: Objects,
    steps: int,
    callback: Callable[[], None] = lambda: None,
) -> DesignParameters:
    """Step sizes and prior of the network that suit a design, whose patterns stay as they are.

    Of some settings those with the smallest mean error over the examples are taken; from there on they are learned on
    the training objects, and what comes of it is taken where it is better still.

    Parameters
    ----------
    settings
        Parameters of any designs: at the start of a run, and as they were learned.
    examples
        Training objects that choose; never held-out ones.
    steps
        Of learning; none where the experiment learns nothing but patterns.
    callback
        Called between layers: where the work can be given up by an exception.
    """

    def error(one: DesignParameters) -> float:
        return float(network_errors(design, one, examples, callback).mean())

    tried = [(error(one), one) for one in settings]
    least, best = min(tried, key=lambda found: found[0])
    start = _of_the_network_alone(adapted(design, best))
    if steps < 1 or not start.learned:
        return best
    try:
        after = learned_a_little(design.task, steps, callback, start)
    except EngineError:  # it diverges
        return best
    return after if error(after) < least else best


def _of_the_network_alone(parameters: DesignParameters) -> DesignParameters:
    """Copies of which nothing is learned that belongs to the patterns."""
    tensors = {name: tensor.clone() for name, tensor in parameters.items()}
    rates = {name: rate for name, rate in parameters.rates.items() if name not in OF_THE_PATTERNS}
    return DesignParameters(tensors, rates, parameters.per_unroll)


def learned_a_little(
    task: FpmTask, steps: int, callback: Callable[[], None], start: DesignParameters | None = None
) -> DesignParameters:
    """What some steps of a task's run teach, without scores, checks or files; they go on from ``start`` if given."""
    training = task.experiment.training.replace(steps=steps, validate_every=10 * steps, compare=False)
    engine = task.experiment.engine.replace(check_every=0)
    experiment = task.experiment.replace(training=training, engine=engine)
    trainer = Trainer(replace(task, experiment=experiment), start=start)
    for _event in trainer.steps_alone():
        callback()
    parameters = trainer.parameters
    assert isinstance(parameters, DesignParameters)
    return parameters
