"""Gradients of unrolled networks in constant memory, for any list of layers that follow the contract.

    from ptychoui.engine import Chain, HeavyBall, Reversible, Scratch

    trace = Reversible().forward(Chain(layers, HeavyBall("7/8")), x, inputs, Scratch())
    gradients = trace.backward(derivative_of_the_loss(trace.output), ["weight"]).inputs

Names are imported on first use: reading the list must not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptychoui.engine.autograd_layer import AutogradLayer as AutogradLayer
    from ptychoui.engine.binomial import Binomial as Binomial
    from ptychoui.engine.check import directional_deviation as directional_deviation
    from ptychoui.engine.composite import Composite as Composite
    from ptychoui.engine.float_updates import Nesterov as Nesterov
    from ptychoui.engine.float_updates import Plain as Plain
    from ptychoui.engine.greedy import GreedyModule as GreedyModule
    from ptychoui.engine.greedy import ModuleDone as ModuleDone
    from ptychoui.engine.greedy import equal_modules as equal_modules
    from ptychoui.engine.greedy import greedy_pass as greedy_pass
    from ptychoui.engine.heavy_ball import HeavyBall as HeavyBall
    from ptychoui.engine.inverse import Inverse as Inverse
    from ptychoui.engine.layer import Effort as Effort
    from ptychoui.engine.layer import Gradients as Gradients
    from ptychoui.engine.layer import Inputs as Inputs
    from ptychoui.engine.layer import Layer as Layer
    from ptychoui.engine.layer import Linearisation as Linearisation
    from ptychoui.engine.memory import MemoryMeter as MemoryMeter
    from ptychoui.engine.memory import measure as measure
    from ptychoui.engine.memory import predict as predict
    from ptychoui.engine.memory import probe as probe
    from ptychoui.engine.momentum import LearnedMomentum as LearnedMomentum
    from ptychoui.engine.planner import Plan as Plan
    from ptychoui.engine.planner import plan as plan
    from ptychoui.engine.reversible import Reversible as Reversible
    from ptychoui.engine.scratch import Scratch as Scratch
    from ptychoui.engine.segments import Segments as Segments
    from ptychoui.engine.stored import Checkpoint as Checkpoint
    from ptychoui.engine.stored import Offload as Offload
    from ptychoui.engine.stored import StoreAll as StoreAll
    from ptychoui.engine.strategies import STRATEGIES as STRATEGIES
    from ptychoui.engine.strategy import Backward as Backward
    from ptychoui.engine.strategy import Chain as Chain
    from ptychoui.engine.strategy import LayerCost as LayerCost
    from ptychoui.engine.strategy import Strategy as Strategy
    from ptychoui.engine.strategy import Trace as Trace
    from ptychoui.engine.strategy import infer as infer
    from ptychoui.engine.update import Update as Update

_HOMES = {
    "autograd_layer": ["AutogradLayer"],
    "binomial": ["Binomial"],
    "check": ["directional_deviation"],
    "composite": ["Composite"],
    "float_updates": ["Nesterov", "Plain"],
    "greedy": ["GreedyModule", "ModuleDone", "equal_modules", "greedy_pass"],
    "heavy_ball": ["HeavyBall"],
    "inverse": ["Inverse"],
    "layer": ["Effort", "Gradients", "Inputs", "Layer", "Linearisation"],
    "memory": ["MemoryMeter", "measure", "predict", "probe"],
    "momentum": ["LearnedMomentum"],
    "planner": ["Plan", "plan"],
    "reversible": ["Reversible"],
    "scratch": ["Scratch"],
    "segments": ["Segments"],
    "stored": ["Checkpoint", "Offload", "StoreAll"],
    "strategies": ["STRATEGIES"],
    "strategy": ["Backward", "Chain", "LayerCost", "Strategy", "Trace", "infer"],
    "update": ["Update"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"ptychoui.engine has no {name!r}")
    return getattr(import_module(f"ptychoui.engine.{_HOME[name]}"), name)
