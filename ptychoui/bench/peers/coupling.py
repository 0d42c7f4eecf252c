"""A network of additive couplings, differentiated by torch, by reversible libraries and by the engine.

A block moves both halves of its channels, y1 = x1 + F(x2), y2 = x2 + G(y1) (Gomez et al., "The reversible residual
network", 2017, equations 6 and 7), and is undone in closed form: x2 = y2 - G(y1), x1 = y1 - F(x2). For the engine a
block is a `Composite` of two layers, each of which moves one half and looks at the other.

The libraries are imported when they are asked for: they are no dependencies of ptychoui.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from ptychoui.engine.autograd_layer import AutogradLayer
from ptychoui.engine.composite import Composite
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Inputs, Layer
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain

BETA = Fraction(7, 8)
"""Momentum of the heavy-ball network."""


class CannotRun(Exception):
    """A library is not installed, or does not run here; the message says which."""


def library(name: str) -> ModuleType:
    """Import a library of others.

    Raises
    ------
    CannotRun
        If it is not installed or cannot be loaded.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if error.name == package:
            raise CannotRun(f"not installed: pip install {package}") from error
        raise CannotRun(f"does not load: {first_line(error)}") from error
    except Exception as error:
        raise CannotRun(f"does not load: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Of an error's message, or its kind."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


@dataclass(frozen=True, slots=True)
class Problem:
    """Blocks with random weights, their input and a cotangent of their output.

    Attributes
    ----------
    blocks
        F and G of every block.
    x, cotangent
        (B, 2 C, N, N) real.
    """

    blocks: Sequence[tuple[nn.Module, nn.Module]]
    x: Tensor
    cotangent: Tensor

    def modules(self) -> list[nn.Module]:
        """F and G of all blocks, in order."""
        return [module for block in self.blocks for module in block]


@dataclass(frozen=True, slots=True)
class Gradient:
    """Derivatives in the input and in all weights, flat, and what is known of the way back.

    Attributes
    ----------
    flat
        (numbers,) real.
    drift
        Relative error of the input as it was made again, where it can be seen.
    certificate
        What the engine says about the way back.
    """

    flat: Tensor
    drift: float | None = None
    certificate: str = ""


def make_problem(
    depth: int, size: int, channels: int = 8, batch: int = 2, gain: float = 1.0, dtype: torch.dtype = torch.float32
) -> Problem:
    """Blocks of two convolutions of 3 x 3 with tanh between them, the second ``gain`` times as large as usual."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)

        def half() -> nn.Module:
            found = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh(), nn.Conv2d(channels, channels, 3, padding=1)
            )
            with torch.no_grad():
                found[2].weight.mul_(gain)  # type: ignore[operator]
            return found.to(dtype)

        blocks = [(half(), half()) for _ in range(depth)]
        x, cotangent = (torch.randn(batch, 2 * channels, size, size, dtype=torch.float64).to(dtype) for _ in range(2))
    return Problem(blocks, x, cotangent)


# By torch and by libraries ----------------------------------------------------------------------------------------


def _block(f: nn.Module, g: nn.Module, x: Tensor) -> Tensor:
    x1, x2 = x.chunk(2, 1)
    y1 = x1 + f(x2)
    return torch.cat([y1, x2 + g(y1)], 1)


def by_autograd(problem: Problem) -> Gradient:
    """Every block's graph is kept."""

    def run(x: Tensor) -> Tensor:
        for f, g in problem.blocks:
            x = _block(f, g, x)
        return x

    return _backward(problem, run)


def by_torch_checkpoint(problem: Problem) -> Gradient:
    """`torch.utils.checkpoint` around every block."""

    def run(x: Tensor) -> Tensor:
        for f, g in problem.blocks:
            x = checkpoint(_block, f, g, x, use_reentrant=False)
        return x

    return _backward(problem, run)


def by_memcnn(problem: Problem) -> Gradient:
    """The library's `InvertibleModuleWrapper`: the input's memory is given back, and filled again on the way back."""
    memcnn = library("memcnn")
    blocks = [memcnn.InvertibleModuleWrapper(memcnn.AdditiveCoupling(f, g)) for f, g in problem.blocks]

    def run(x: Tensor) -> Tensor:
        for block in blocks:
            x = block(x)
        return x

    return _backward(problem, run, made_again=True)


def by_revtorch(problem: Problem) -> Gradient:
    """The library's `ReversibleSequence`."""
    revtorch = library("revtorch")
    blocks = nn.ModuleList(revtorch.ReversibleBlock(f, g, split_along_dim=1) for f, g in problem.blocks)
    return _backward(problem, revtorch.ReversibleSequence(blocks))


def by_autograd_with_momentum(problem: Problem) -> Gradient:
    """The heavy-ball network, v' = beta v + (1 - beta) (block(x) - x), x' = x + v', in floating point."""

    def run(x: Tensor) -> Tensor:
        v = torch.zeros_like(x)
        for f, g in problem.blocks:
            v = float(BETA) * v + float(1 - BETA) * (_block(f, g, x) - x)
            x = x + v
        return x

    return _backward(problem, run)


def _backward(problem: Problem, run: Callable[[Tensor], Tensor], made_again: bool = False) -> Gradient:
    """Through ``.backward()``, which all libraries support; weights are left without gradients."""
    weights = [weight for module in problem.modules() for weight in module.parameters()]
    x = problem.x.detach().requires_grad_()
    # A copy: memcnn empties its input, and gives an input without history its gradient twice.
    start = x.clone()
    try:
        run(start).backward(problem.cotangent)  # type: ignore[no-untyped-call]
        found = [x.grad, *(weight.grad for weight in weights)]
        flat = torch.cat([derivative.flatten() for derivative in found if derivative is not None])
    finally:
        for weight in weights:
            weight.grad = None
    drift = float((start.detach() - problem.x).norm() / problem.x.norm()) if made_again else None
    return Gradient(flat, drift)


# By the engine ----------------------------------------------------------------------------------------------------


class HalfCoupling(AutogradLayer):
    """h(x1, x2) = (F(x2), 0), or (0, F(x1)): undone in closed form, since h looks only at what it leaves alone.

    Parameters
    ----------
    prefix
        Inputs with F's weights are named ``prefix.weight``.
    module
        F.
    moves
        Which half moves: 0 or 1.
    """

    def __init__(self, prefix: str, module: nn.Module, moves: int) -> None:
        names = [name for name, _weight in module.named_parameters()]

        def added(x: Tensor, inputs: Inputs) -> Tensor:
            halves = x.chunk(2, 1)
            weights = {name: inputs[f"{prefix}.{name}"] for name in names}
            moved: Tensor = functional_call(module, weights, (halves[1 - moves],))
            still = torch.zeros_like(moved)
            return torch.cat([still, moved] if moves else [moved, still], 1)

        super().__init__(f"coupling {prefix}", added)
        self.added = added

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """Z - h(z)."""
        return z - self.increment(z, inputs, work)


def by_engine(problem: Problem, name: str, momentum: bool = False) -> Gradient:
    """A chain of blocks under a strategy, joined by plain steps or by heavy-ball ones."""
    inputs: dict[str, Tensor] = {}
    layers: list[Layer] = []
    for index, block in enumerate(problem.blocks):
        halves = []
        for moves, module in enumerate(block):
            prefix = f"{index}.{'FG'[moves]}"
            inputs |= {f"{prefix}.{key}": weight.detach() for key, weight in module.named_parameters()}
            halves.append(HalfCoupling(prefix, module, moves))
        layers.append(_damped(halves) if momentum else Composite(halves))
    chain = Chain(layers, HeavyBall(BETA) if momentum else Plain())
    trace = strategy(name).forward(chain, problem.x, inputs, Scratch())
    back = trace.backward(problem.cotangent, tuple(inputs))
    flat = torch.cat([back.x.flatten(), *(back.inputs[key].flatten() for key in inputs)])
    return Gradient(flat, back.drift, back.certificate or "")


def _damped(halves: Sequence[HalfCoupling]) -> AutogradLayer:
    """A layer with h(x) = (1 - beta) (block(x) - x)."""

    def increment(x: Tensor, inputs: Inputs) -> Tensor:
        moved = halves[0].added(x, inputs)
        return float(1 - BETA) * (moved + halves[1].added(x + moved, inputs))

    return AutogradLayer("damped block", increment)


@dataclass(frozen=True, slots=True)
class Method:
    """A row: which network it differentiates, how, and whether by a library that may be missing."""

    network: str
    run: Callable[[Problem], Gradient]
    foreign: bool = False


def _ours(name: str, momentum: bool = False) -> Any:
    return lambda problem: by_engine(problem, name, momentum)


COUPLING, MOMENTUM = "coupling", "heavy ball"

METHODS: dict[str, Method] = {
    "autograd": Method(COUPLING, by_autograd),
    "torch checkpoint": Method(COUPLING, by_torch_checkpoint),
    "memcnn": Method(COUPLING, by_memcnn, True),
    "revtorch": Method(COUPLING, by_revtorch, True),
    **{name: Method(COUPLING, _ours(name)) for name in ("store_all", "checkpoint", "binomial", "inverse")},
    "autograd, heavy ball": Method(MOMENTUM, by_autograd_with_momentum),
    "reversible": Method(MOMENTUM, _ours("reversible", True)),
}
"""All rows; the first of each network is what the others are compared with."""
