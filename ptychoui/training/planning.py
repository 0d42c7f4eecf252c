"""How a run's gradients are obtained within its memory: strategy, objects at a time, LEDs kept or streamed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ptychoui.engine.greedy import equal_modules
from ptychoui.engine.memory import for_objects, probe
from ptychoui.engine.planner import Option, Plan, choose, free_memory, options
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import LayerCost
from ptychoui.errors import EngineError
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.training.problem import Problem
from ptychoui.training.step import GREEDY, Parameters, network_inputs

STREAMED = "LEDs streamed"
"""The variant in which fields are made again instead of kept."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A plan and the network that carries it out."""

    plan: Plan
    network: UnrolledNetwork
    asked: bool  # a sentence is due: something was left to the planner


def plan_run(problem: Problem, parameters: Parameters) -> Chosen:
    """Choose what the experiment leaves open; what it fixes is kept, and only a budget that was given can refuse it.

    Raises
    ------
    EngineError
        If nothing fits the budget; it says how much is needed.
    """
    engine = problem.experiment.engine
    batch = min(problem.experiment.training.batch, len(problem.training))
    networks = {variant: problem.network(streamed=bool(variant)) for variant in ("", STREAMED)}
    sizes = sorted({*_halvings(batch), *([engine.objects_at_once] if engine.objects_at_once else [])}, reverse=True)
    among: list[Option] = []
    for variant, network in networks.items():
        one, two = _probes(problem, network, parameters)
        for objects in sizes:
            cost = one if objects == 1 else for_objects(one, two, objects)
            among += _with_greedy(options(cost, network.chain, objects, variant), cost, network, engine.modules)
    budget = free_memory(problem.physics.device) if engine.memory_mb is None else int(engine.memory_mb * 1e6)
    fixed = min(engine.objects_at_once or batch, batch)

    def allowed(option: Option) -> bool:
        objects = engine.objects_at_once is None or option.objects == fixed
        # Greedy learning has another loss and inverse another gradient: they are chosen by people only.
        if engine.strategy == "auto":
            return objects and option.strategy not in (GREEDY, "inverse")
        return objects and option.strategy == engine.strategy

    try:
        plan = choose(among, budget, allowed)
    except EngineError:
        if engine.memory_mb is not None or engine.strategy == "auto":
            raise
        # Nobody set a limit: free memory is a guess, and the run may well go through.
        least = min((option for option in among if allowed(option)), key=lambda option: option.peak)
        plan = choose(among, least.peak, allowed)
    whole = plan.option.objects == batch and not plan.option.variant
    return Chosen(plan, networks[plan.option.variant], engine.strategy == "auto" or not whole)


def _halvings(count: int) -> list[int]:
    found = [count]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


def _probes(problem: Problem, network: UnrolledNetwork, parameters: Parameters) -> tuple[LayerCost, LayerCost]:
    """Cost of one unroll for one object and for two; noise is left out so that no random number is used."""
    found = []
    for objects in (1, 2):
        examples = problem.training.pick([0] * objects)
        with torch.no_grad():
            inputs, x = network_inputs(problem, parameters, examples, None, poisson=False)
        found.append(probe(network.chain, network.enter(x), inputs, tuple(inputs)))
    network.forget_workspaces()
    return found[0], found[1]


def _with_greedy(among: list[Option], cost: LayerCost, network: UnrolledNetwork, modules: int) -> list[Option]:
    """Greedy learning keeps the linearised layers of one module."""
    unrolls = len(network.chain)
    if modules > unrolls:
        return among
    longest = max(equal_modules(unrolls, modules))
    like = next(option for option in among if option.strategy == "store_all")
    greedy = Option(
        strategy=GREEDY,
        peak=cost.first["store_all"] + (longest - 1) * cost.linearised,
        effort=strategy("store_all").effort(network.chain),
        objects=like.objects,
        variant=like.variant,
    )
    return [*among, greedy]
