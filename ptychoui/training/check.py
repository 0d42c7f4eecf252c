"""The products of a run held against differences in double precision, now and then.

What is checked is what the run does: its layers in its variant, walked back by its strategy.
Every input has a comparison of its own, so that a small derivative does not hide behind a large one. A pass in the
precision of the run is then held against the one in double precision.

A check takes two passes with a way back and, for each input that it looks at, three to seven without one where products
are right (twenty where they are wrong), all for one object. The first check of a run looks at all five or six inputs,
about the time of ten steps with two objects each, or of two steps with eight; later ones take the inputs in turn. By
default one comes every 50 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import torch
from torch import Tensor

from ptychoui.engine.check import ALLOWED, allowed_deviation, deviations, off_kinks, vjps_of
from ptychoui.engine.planner import Option
from ptychoui.engine.strategy import Callback, Strategy, go_on
from ptychoui.errors import CertificateError, is_out_of_memory
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import Engine
from ptychoui.training.gradients import GREEDY, gradient_strategy
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.planning import Chosen, methods_to_check
from ptychoui.training.task import AnyTask, Examples

SINGLE_TOLERANCE = 0.05
"""Deviation of single from double precision above which products are wrong: rounding gives 2e-4 over 500 unrolls."""

DRIFT = 1e-9
"""Drift that the strategy inverse is held to in double precision: what a run allows it would be taken for an error."""


def check_chosen(
    task: AnyTask,
    double: AnyTask,
    chosen: Chosen,
    parameters: ParameterSet,
    step: int,
    turn: int | None = None,
    callback: Callback = go_on,
) -> tuple[float, str]:
    """`check_vjps` of the first method that memory suffices for, on one example; the method in words, too."""
    examples = task.training.pick([0])
    methods = methods_to_check(task, chosen)
    for method in methods:
        generator = torch.Generator(device=task.device).manual_seed(step)
        try:
            deviation = check_vjps(task, double, method, parameters, examples, generator, turn, callback)
            break
        except (MemoryError, RuntimeError) as error:
            if method is methods[-1] or not is_out_of_memory(error):
                raise
    return deviation, ", ".join(word for word in (method.strategy, method.variant) if word)


def check_vjps(
    task: AnyTask,
    double: AnyTask,
    method: Option,
    parameters: ParameterSet,
    examples: Examples,
    generator: torch.Generator,
    turn: int | None = None,
    callback: Callback = go_on,
) -> float:
    """Largest relative deviation of the network's products from differences, over its inputs.

    Parameters
    ----------
    task
        The run's.
    double
        The same in double precision.
    method
        Strategy and variant, from `planning.methods_to_check`.
    examples
        What is measured with the present parameters.
    turn
        Which of the inputs is looked at, counted over and over; by default all are.
    callback
        Called between layers; may wait or raise.

    Raises
    ------
    CertificateError
        If an input's derivative deviates from differences by more than `allowed_deviation`, or in the precision of the
        run by more than `SINGLE_TOLERANCE` from that in double precision.
    """
    engine = task.experiment.engine
    network, inputs, x = _measured(double, method, parameters.double(), examples.double())
    given, x = x, off_kinks(x, generator)
    moved = None if x is given else x
    cotangent = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    vjps = vjps_of(network.chain, x, inputs, cotangent, tuple(inputs), _strategy(method, engine, DRIFT), callback)
    names = list(vjps.of)
    among = names if turn is None else [names[turn % len(names)]]
    allowed = allowed_deviation(network.chain)
    found = deviations(network.chain, x, inputs, cotangent, vjps, generator, allowed, among, callback)
    _refuse({name: each.relative for name, each in found.items()}, "differences", allowed)
    if task.dtype != torch.float64:
        network, inputs, x = _measured(task, method, parameters, examples)
        x = x if moved is None else moved.to(x)
        single = vjps_of(
            network.chain, x, inputs, cotangent.to(x), tuple(inputs), _strategy(method, engine, ALLOWED), callback
        )
        apart = {name: float((single.of[name] - vjps.of[name]).norm()) / found[name].size for name in among}
        _refuse(apart, "those in double precision", SINGLE_TOLERANCE)
    return max(each.relative for each in found.values())


def _measured(
    task: AnyTask, method: Option, parameters: ParameterSet, examples: Examples
) -> tuple[UnrolledNetwork, dict[str, Tensor], Tensor]:
    """The network in the variant of a method, and what it is given, without noise."""
    network = task.network(method.variant)
    with torch.no_grad():
        given = task.inputs(parameters, examples, None, training=True)
        return network, dict(given.tensors), network.enter(given.x)


def _strategy(method: Option, engine: Engine, drift: float) -> Strategy:
    """The strategy of a method; greedy modules keep their linearised layers, as back-propagation does."""
    engine = engine.replace(drift_tolerance=min(engine.drift_tolerance, drift))
    return gradient_strategy(engine, "store_all" if method.strategy == GREEDY else method.strategy)


def _refuse(found: Mapping[str, float], others: str, allowed: float) -> None:
    """Raise where an input deviates by more than is allowed, or by what is not a number; the worst is named first."""
    wrong = [name for name, deviation in found.items() if not deviation <= allowed]
    if not wrong:
        return
    wrong.sort(key=lambda name: -found[name] if found[name] == found[name] else -inf)
    raise CertificateError(
        f"derivatives in {', '.join(wrong)} deviate from {others} by {found[wrong[0]]:.1e} of their size "
        f"(allowed {allowed:.0e})",
        "the products of a layer are wrong on this device: run on another device and report this one",
    )
