"""How a run's gradients are obtained within its memory: strategy, examples at a time, variant of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import torch

from ptychoui.engine.memory import MemoryMeter, for_objects, predict, predict_greedy, probe
from ptychoui.engine.planner import Option, cheaper, choose, free_memory, options, predicted_beside
from ptychoui.engine.segments import Segments
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategies import strategy, usable
from ptychoui.engine.strategy import LayerCost
from ptychoui.errors import EngineError
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import Engine
from ptychoui.training.gradients import GREEDY, gradient_strategy
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.task import AnyTask


@dataclass(frozen=True, slots=True)
class Chosen:
    """How gradients are obtained.

    Attributes
    ----------
    option
        Strategy, examples at a time, variant of the network.
    predicted
        Peak bytes under every strategy for these examples and this variant.
    sentence
        What was chosen and why, where something was left to the planner; what every segment keeps, where there are any.
    among
        All options that were looked at.
    """

    option: Option
    predicted: Mapping[str, int]
    sentence: str | None
    among: tuple[Option, ...]

    def network(self, task: AnyTask) -> UnrolledNetwork:
        """The network that carries it out."""
        return task.network(self.option.variant)


def plan_run(task: AnyTask, parameters: ParameterSet, objects: int | None = None, processes: int = 1) -> Chosen:
    """Choose what the experiment leaves open; what it fixes is kept, and only a budget that was given can refuse it.

    Parameters
    ----------
    objects
        Examples that are differentiated together, where the experiment does not say; None: as many as fit.
    processes
        How many share this machine's memory.

    Raises
    ------
    EngineError
        If nothing fits the budget; it says how much is needed.
    """
    engine = task.experiment.engine
    batch = min(task.experiment.training.batch, len(task.training))
    at_once = engine.objects_at_once or objects
    fixed = None if at_once is None else min(at_once, batch)
    budget = free_memory(task.device) // processes if engine.memory_mb is None else int(engine.memory_mb * 1e6)

    def allowed(option: Option) -> bool:
        if fixed is not None and (option.objects or 1) != fixed:
            return False
        # Greedy learning has another loss and inverse another gradient: they are chosen by people only.
        if engine.strategy == "auto":
            return option.strategy not in (GREEDY, "inverse")
        return option.strategy == engine.strategy

    among: list[Option] = []
    for variant in task.variants:
        among += _options(task, parameters, variant, at_once)
        if any(allowed(option) and option.peak <= budget for option in among):
            break
    try:
        plan = choose(among, budget, allowed)
    except EngineError:
        if engine.memory_mb is not None or engine.strategy == "auto":
            raise
        # Nobody set a limit: free memory is a guess, and the run may well go through.
        least = min((option for option in among if allowed(option)), key=lambda option: option.peak)
        plan = choose(among, least.peak, allowed)
    chosen = plan.option
    left_open = engine.strategy == "auto" or bool(chosen.variant) or (chosen.objects or 1) != (fixed or batch)
    sentences = [f"segments, first to last: {'; '.join(chosen.parts)}"] if chosen.parts else []
    sentences += [plan.sentence] if left_open else []
    return Chosen(chosen, plan.predicted, "; ".join(sentences) or None, tuple(among))


def predicted_peaks(task: AnyTask, parameters: ParameterSet, unrolls: Sequence[int] = ()) -> dict[str, list[int]]:
    """Predicted peaks of one step, in bytes, under every strategy that can run the network, a whole batch at once.

    Parameters
    ----------
    unrolls
        Numbers of unrolls, all of them like the first one of the network; without any, the network as it is.

    Returns
    -------
    Strategy -> one peak for each number of unrolls.
    """
    batch = min(task.experiment.training.batch, len(task.training))
    network = task.network()
    alone = for_objects(cache(partial(_probe, task, network, parameters)), batch)
    cost = _beside(_held(task, parameters, batch), alone)
    chains = [replace(network.chain, layers=[network.chain.layers[0]] * count) for count in unrolls] or [network.chain]
    return {name: [predict(cost, chain, name) for chain in chains] for name in usable(network.chain)}


def after_running_out(task: AnyTask, parameters: ParameterSet, chosen: Chosen) -> Chosen | None:
    """What to go on with when memory has run out: the least work that takes clearly less, or None."""
    among = chosen.among
    looked_at = {option.variant for option in among}
    for variant in task.variants:
        if variant not in looked_at:
            among += tuple(_options(task, parameters, variant))
    end_to_end = [option for option in among if option.strategy not in (GREEDY, "inverse")]
    same_loss = [option for option in among if option.strategy == GREEDY]
    option = cheaper(chosen.option, same_loss if chosen.option.strategy == GREEDY else end_to_end)
    if option is None:
        return None
    return Chosen(option, predicted_beside(option, among), None, among)


def methods_to_check(task: AnyTask, chosen: Chosen) -> tuple[Option, ...]:
    """Methods to check the products of a run in double precision, for one example: the first is to be tried first.

    The run's own method comes first where it fits, else the one of the same variant that takes least. The variant that
    needs least memory is the last resort of a run in another one: its own layers would then take more than it may.
    """
    own, engine = chosen.option, task.experiment.engine
    single = [
        option
        for option in chosen.among
        if option.variant == own.variant and (option.objects is None or option.objects == 1)
    ]
    least = min((option for option in single if option.strategy not in (GREEDY, "inverse")), key=lambda o: o.peak)
    wanted = "store_all" if own.strategy == GREEDY else own.strategy
    methods = [*(option for option in single if option.strategy == wanted), least]
    last = task.variants[-1]
    methods += [replace(least, strategy="checkpoint", variant=last, peak=0)] * (own.variant != last)
    budget = free_memory(task.device) if engine.memory_mb is None else int(engine.memory_mb * 1e6)
    larger = 1 if task.dtype == torch.float64 else 2  # every buffer
    fitting = next((place for place, method in enumerate(methods) if larger * method.peak <= budget), len(methods) - 1)
    return tuple(methods[fitting:])


def _options(task: AnyTask, parameters: ParameterSet, variant: str, at_once: int | None = None) -> list[Option]:
    """All strategies for several numbers of objects at a time, ``at_once`` among them, the largest first."""
    network = task.network(variant)
    engine = task.experiment.engine
    wished = at_once or engine.objects_at_once
    batch = min(task.experiment.training.batch, len(task.training))
    known = cache(partial(_probe, task, network, parameters))
    held = _held(task, parameters, batch)
    found: list[Option] = []
    for objects in sorted({*_halvings(batch), min(wished or batch, batch)}, reverse=True):
        cost = _beside(held, for_objects(known, objects))
        some = None if batch == 1 else objects
        found += options(cost, network.chain, some, variant)
        found += _greedy(cost, network, engine.modules, some, variant)
        found += _segments(cost, network, engine, some, variant)
    return found


def _halvings(count: int) -> list[int]:
    found = [count]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


def _probe(task: AnyTask, network: UnrolledNetwork, parameters: ParameterSet, objects: int) -> LayerCost:
    """Cost of one unroll; noise is left out so that no random number is used."""
    examples = task.training.pick([0] * objects)
    with torch.no_grad():
        given = task.inputs(parameters, examples, None, training=True)
    return probe(network.chain, network.enter(given.x), given.tensors, tuple(given.tensors))


def _held(task: AnyTask, parameters: ParameterSet, batch: int) -> int:
    """Bytes of the network's inputs and of the graph they were made with, which a whole pass of a batch holds."""

    def of(objects: int) -> int:
        meter = MemoryMeter()
        # A generator of its own: noise has a graph, too, and the run's own numbers stay untouched.
        noise = torch.Generator(device=task.device).manual_seed(0)
        examples, leaves = task.training.pick([0] * objects), parameters.leaves()
        with meter, torch.enable_grad():
            given = task.inputs(leaves, examples, noise, training=True)
            live = meter.live
        del given
        return live

    one = of(1)
    return one if batch == 1 else one + (batch - 1) * max(0, of(2) - one)


def _beside(held: int, cost: LayerCost) -> LayerCost:
    """The cost of a chain that runs while so many bytes are held beside it."""
    return replace(cost, first={name: peak + held for name, peak in cost.first.items()})


def _greedy(cost: LayerCost, network: UnrolledNetwork, modules: int, objects: int | None, variant: str) -> list[Option]:
    """Greedy learning keeps the linearised layers of one module."""
    if modules > len(network.chain):
        return []
    peak = predict_greedy(cost, network.chain, modules)
    effort = strategy("store_all").effort(network.chain)
    return [Option(strategy=GREEDY, peak=peak, effort=effort, objects=objects, variant=variant)]


def _segments(
    cost: LayerCost, network: UnrolledNetwork, engine: Engine, objects: int | None, variant: str
) -> list[Option]:
    """The segments of the experiment, where it asks for them."""
    if engine.strategy != Segments.name:
        return []
    parts = gradient_strategy(engine, Segments.name)
    assert isinstance(parts, Segments)
    peak, effort = predict(cost, network.chain, parts), parts.effort(network.chain)
    kept = tuple(
        f"{count} unrolls {name} keep {size_text(size)}" for count, name, size in parts.memory(network.chain, cost)
    )
    return [Option(strategy=Segments.name, peak=peak, effort=effort, objects=objects, variant=variant, parts=kept)]
