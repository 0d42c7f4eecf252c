"""Loss and derivatives of one batch, and the scoring of what was learned, for any task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.greedy import ModuleDone
from ptychoui.engine.inverse import Inverse
from ptychoui.engine.segments import Segments
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Callback, Strategy
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import Engine
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.task import AnyTask, Examples, NetworkInputs

GREEDY = "greedy"
"""The strategy that differentiates local losses, not end to end."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """Loss and derivatives of one batch, each derivative of its parameter's shape."""

    loss: float
    gradients: dict[str, Tensor]
    certificate: str


@dataclass(frozen=True, slots=True)
class Found:
    """Mean loss of some examples, and its derivatives in the first estimate (B, ...) and in inputs of their shapes."""

    loss: float
    x: Tensor
    inputs: Mapping[str, Tensor]
    certificate: str = ""


Part = Callable[[int, int], Found]

Shares = Callable[[Sequence[tuple[int, int]], Part, Part], Iterable[Found]]
"""What is found for each of some ranges of examples, in their order: given the ranges, what finds it, and what makes
tensors of its shapes to be filled by those who found it."""


def reconstruct_batch(
    task: AnyTask,
    network: UnrolledNetwork,
    parameters: ParameterSet,
    batch: Examples,
    generator: torch.Generator | None,
    callback: Callback = lambda: None,
    watch: Callable[[Tensor], None] = lambda _point: None,
) -> Tensor:
    """Measure examples with what was learned and reconstruct them, (B, ...); noise as it falls.

    ``watch`` is shown the reconstructions before every unroll.
    """
    with torch.no_grad():
        given = task.inputs(parameters, batch, generator, training=False)
        return network.infer(given.x, given.tensors, callback, watch)


Reconstruct = Callable[[AnyTask, UnrolledNetwork, ParameterSet, Examples, torch.Generator | None, Callback], Tensor]
"""`reconstruct_batch`, or what divides it among processes."""


def gradient_strategy(engine: Engine, name: str) -> Strategy:
    """The strategy of a name with the experiment's settings."""
    if name == Segments.name:
        return Segments([(part.unrolls, gradient_strategy(engine, part.strategy)) for part in engine.segments])
    return Inverse(engine.drift_tolerance) if name == Inverse.name else strategy(name)


def loss_and_gradients(
    task: AnyTask,
    network: UnrolledNetwork,
    strategy_name: str,
    parameters: ParameterSet,
    batch: Examples,
    generator: torch.Generator | None,
    callback: Callback = lambda: None,
    examples_at_once: int | None = None,
    shares: Shares | None = None,
) -> StepResult:
    """Mean loss of a batch and its derivatives in everything that is learned.

    What comes before the network is differentiated by autograd once; the network by the strategy, which hands back
    derivatives in its inputs and the first estimate, for so many examples at a time; ``shares`` divides these among
    processes. Under ``greedy`` they are those of the mean of the modules' losses; where each module has an optimiser,
    those of what every unroll has of its own are of its module's loss. The loss is that of the last module.
    """
    leaves = parameters.leaves()
    with torch.enable_grad():
        given = task.inputs(leaves, batch, generator, training=True)
    constants = NetworkInputs(
        given.x.detach(), {name: tensor.detach() for name, tensor in given.tensors.items()}, given.per_example
    )
    asked = [name for name, tensor in given.tensors.items() if tensor.requires_grad]
    sums = {name: torch.zeros_like(constants.tensors[name]) for name in asked}
    of_x = torch.zeros_like(given.x)
    count, loss, certificates = len(given.x), 0.0, []

    def part(first: int, stop: int) -> Found:
        some = _Part(task, network, strategy_name, constants.part(first, stop), batch.part(first, stop), asked)
        return (_greedy if strategy_name == GREEDY else _end_to_end)(some, parameters.per_unroll, callback)

    def room(first: int, stop: int) -> Found:
        of_part = {name: sums[name][first:stop] if name in given.per_example else sums[name] for name in asked}
        return Found(0.0, torch.empty_like(of_x[first:stop]), {n: torch.empty_like(t) for n, t in of_part.items()})

    every = examples_at_once or count
    bounds = [(first, min(first + every, count)) for first in range(0, count, every)]
    found_parts = (part(*one) for one in bounds) if shares is None else shares(bounds, part, room)
    for (first, stop), found in zip(bounds, found_parts, strict=True):
        share = (stop - first) / count
        loss += share * found.loss
        of_x[first:stop] = share * found.x
        for name in asked:
            if name in given.per_example:
                sums[name][first:stop] = share * found.inputs[name]
            else:
                sums[name] += share * found.inputs[name]
        if found.certificate:
            certificates.append(found.certificate)
    roots = [(given.tensors[name], sums[name]) for name in asked]
    if given.x.requires_grad:
        roots.append((given.x, of_x))
    if roots:
        # Not with `grad_tensors`: to compare shapes torch would first load a library of symbolic mathematics.
        derivatives = [derivative for _, derivative in roots]
        handed_on: Tensor = _HandedOn.apply(derivatives, *(root for root, _ in roots))  # type: ignore[no-untyped-call]
        handed_on.backward()  # type: ignore[no-untyped-call]
    gradients = {}
    for name in parameters.learned:
        gradient = leaves[name].grad
        gradients[name] = torch.zeros_like(leaves[name]) if gradient is None else gradient
    return StepResult(loss, gradients, certificates[-1] if certificates else "")


class _HandedOn(torch.autograd.Function):
    """A number whose derivatives in some tensors are those that are handed in, each of its tensor's shape."""

    @staticmethod
    def forward(ctx: Any, derivatives: Sequence[Tensor], *tensors: Tensor) -> Tensor:
        """Keep the derivatives."""
        ctx.derivatives = derivatives
        return tensors[0].new_zeros((), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *_one: Tensor) -> tuple[Tensor | None, ...]:
        """Hand them on as they are."""
        return None, *ctx.derivatives


@dataclass(frozen=True, slots=True)
class _Part:
    """Some examples of a batch, to be differentiated together."""

    task: AnyTask
    network: UnrolledNetwork
    strategy_name: str
    given: NetworkInputs
    batch: Examples
    asked: list[str]

    def loss_at(self, point: Tensor) -> tuple[float, Tensor]:
        """Mean loss at a point of the chain and its derivative."""
        leaf = point.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.task.loss(self.network.leave(leaf), self.batch).mean()
        (cotangent,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), cotangent


def _end_to_end(part: _Part, _per_unroll: frozenset[str], callback: Callback) -> Found:
    chosen = gradient_strategy(part.task.experiment.engine, part.strategy_name)
    trace = part.network.forward(chosen, part.given.x, part.given.tensors, callback)
    loss, cotangent = part.loss_at(trace.output)
    back = trace.backward(cotangent, part.asked, callback)
    return Found(loss, part.network.leave(back.x), back.inputs, back.certificate or "")


def _greedy(part: _Part, per_unroll: frozenset[str], callback: Callback) -> Found:
    engine = part.task.experiment.engine
    modules = engine.modules
    own = per_unroll if engine.module_optimisers == "each" else frozenset[str]()
    sums = {name: torch.zeros_like(part.given.tensors[name]) for name in part.asked}
    of_x = torch.zeros_like(part.given.x)
    losses: list[float] = []

    def add(done: ModuleDone) -> None:
        losses.append(done.loss)
        for name in part.asked:
            sums[name].add_(done.inputs[name], alpha=1 if name in own else 1 / modules)
        if done.x is not None:
            of_x.add_(part.network.leave(done.x), alpha=1 / modules)

    def local_loss(_module: int, point: Tensor) -> tuple[float, Tensor]:
        return part.loss_at(point)

    part.network.greedy(modules, part.given.x, part.given.tensors, part.asked, local_loss, add, callback)
    return Found(losses[-1], of_x, sums)


def evaluate(
    task: AnyTask,
    network: UnrolledNetwork,
    parameters: ParameterSet,
    examples: Examples,
    seed: int = 1,
    batch: int = 8,
    callback: Callback = lambda: None,
    reconstruct: Reconstruct = reconstruct_batch,
) -> dict[str, Tensor]:
    """Scores of every example, (B,) each, by their names, and the ``loss``; noise comes from a seed of its own."""
    generator = torch.Generator(device=task.device).manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    for first in range(0, len(examples), batch):
        some = examples.pick(list(range(first, min(first + batch, len(examples)))))
        output = reconstruct(task, network, parameters, some, generator, callback)
        parts.append(task.scores(output, some))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
