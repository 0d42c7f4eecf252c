"""One forward and backward pass on the problem of the published curves: what the benchmarks measure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptychoui.bench.engine.problem import Bench, make_bench
from ptychoui.engine.greedy import ModuleDone, equal_modules, greedy_pass
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.network.gradient import INPUTS
from ptychoui.training.gradients import GREEDY

MODULES = 10


@dataclass(frozen=True, slots=True)
class Found:
    """What one pass gave."""

    gradients: dict[str, Tensor]
    certificate: str = ""
    drift: float | None = None
    checkpoints: int | None = None


def closed_form_gradient(bench: Bench, name: str, work: Scratch) -> Found:
    """One forward and backward pass under a strategy."""
    trace = strategy(name).forward(bench.network.chain, bench.x, bench.inputs, work)
    back = trace.backward(bench.cotangent, INPUTS)
    return Found(back.inputs, back.certificate or "", back.drift, back.checkpoints)


def greedy_gradient(bench: Bench, work: Scratch, modules: int = MODULES) -> Found:
    """One pass over modules, whose derivatives are those of Re<cotangent, output> of each."""
    sums = {name: torch.zeros_like(bench.inputs[name]) for name in INPUTS}
    chain = bench.network.chain

    def add(done: ModuleDone) -> None:
        for name in INPUTS:
            sums[name].add_(done.inputs[name])

    greedy_pass(
        chain,
        equal_modules(len(chain), min(modules, len(chain))),
        bench.x,
        bench.inputs,
        INPUTS,
        lambda _module, _output: (0.0, bench.cotangent),
        add,
        work,
    )
    return Found(sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass as numbers, so that another process can run it.

    Attributes
    ----------
    strategy
        A name of `engine.strategies`, or greedy.
    unrolls, leds, measurements, size, batch
        Of the problem; ``size`` in pixels, ``batch`` in objects.
    stream
        LEDs pass in chunks instead of being kept.
    dense
        LEDs are those of `problem.disc_of_leds`.
    modules
        Of greedy learning.
    """

    strategy: str
    unrolls: int
    leds: int
    measurements: int
    size: int
    batch: int = 1
    stream: bool = False
    dense: bool = False
    modules: int = MODULES

    @property
    def update(self) -> str:
        """The update rule of the network: heavy ball, but plain steps where they are undone by solving."""
        return "gradient" if self.strategy == "inverse" else "heavy_ball"

    def bench(self) -> Bench:
        """Build the problem on the CPU."""
        return make_bench(
            self.unrolls,
            self.leds,
            self.measurements,
            self.size,
            torch.device("cpu"),
            update=self.update,
            batch=self.batch,
            stream=self.stream,
            dense=self.dense,
        )

    def run(self, bench: Bench) -> Found:
        """Forward and back, with workspaces of its own."""
        if self.strategy == GREEDY:
            return greedy_gradient(bench, Scratch(), self.modules)
        return closed_form_gradient(bench, self.strategy, Scratch())
