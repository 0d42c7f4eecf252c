"""Greedy learning: train modules of a network one after the other, each by a loss of its own.

A module is some consecutive unrolls. It is run forward, its output is compared with the final target, its own
parameters are differentiated and updated, and the next module gets the output computed before the update, without a
derivative: memory is that of one module, and nothing is computed twice. Source: Ozturkler et al., "GLEAM: Greedy
learning for large-scale accelerated MRI reconstruction" (2022), section 3.

The derivatives are those of local losses: by design they are not the derivative of the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import StoreAll
from ptychoui.engine.strategy import Callback, Chain, Record, Run, Strategy, go_on, zeros
from ptychoui.errors import EngineError

LocalLoss = Callable[[int, Tensor], tuple[float, Tensor]]
"""(module, its output) -> (loss, derivative of the loss in the output)."""


@dataclass(frozen=True, slots=True)
class ModuleDone:
    """What one module's pass gave.

    Attributes
    ----------
    module
        Its place, from 0.
    loss
        Its local loss.
    inputs
        Derivatives of its local loss in the inputs asked for, each of its input's shape.
    x
        Derivative in the input of the chain, of its shape, for the first module; None for the others, which start
        from a constant.
    """

    module: int
    loss: float
    inputs: Gradients
    x: Tensor | None


def equal_modules(unrolls: int, modules: int) -> list[int]:
    """Numbers of unrolls of nearly equal modules.

    Raises
    ------
    EngineError
        If there are not 1 to ``unrolls`` modules.
    """
    if not 1 <= modules <= unrolls:
        raise EngineError(
            f"a network of {unrolls} unroll{'s' * (unrolls != 1)} cannot be cut into {modules} greedy modules",
            f"use between 1 and {unrolls}",
        )
    return [unrolls * (m + 1) // modules - unrolls * m // modules for m in range(modules)]


class GreedyModule:
    """Some consecutive unrolls that learn by a loss of their own.

    The state leaves a module before its way back: whoever has the next module may run on from it, on another device or
    thread, while this one is differentiated (pipelined greedy learning).

    Parameters
    ----------
    chain
        The module's unrolls with the network's update rule.
    index
        Its place among the modules, from 0.
    inside
        How it is differentiated; by default `StoreAll` with buffers of its own, used again by every pass.

    Raises
    ------
    EngineError
        If that strategy cannot run the chain.
    """

    def __init__(self, chain: Chain, index: int, inside: Strategy | None = None) -> None:
        self.chain, self.index = chain, index
        self._strategy = StoreAll(reuse=True) if inside is None else inside
        self._strategy.check(chain)
        self._waiting: tuple[Record, Tensor] | None = None

    def forward(self, state: Any, run: Run, x: Tensor | None = None) -> Any:
        """Run on a state, which is used up, and return the state that leaves the module.

        ``x`` is what the state was made of, in the point's shape, where no layer has run on it yet.
        """
        update, strategy = self.chain.update, self._strategy
        with torch.no_grad():
            if strategy.holds_state:
                state = update.copy(state)
            record, state = strategy.record(self.chain, state, run, x)
            update.check(state)
            self._waiting = record, update.output(state)
            return update.copy(state) if strategy.holds_state else state

    def backward(self, inputs: Inputs, wanted: Sequence[str], local_loss: LocalLoss, callback: Callback) -> ModuleDone:
        """Differentiate the newest pass's local loss in the inputs asked for; once for each pass.

        Raises
        ------
        EngineError
            If no pass waits for it.
        """
        if self._waiting is None:
            raise EngineError("a forward pass can be walked back once only", "run the forward pass again")
        (record, output), self._waiting = self._waiting, None
        update = self.chain.update
        with torch.enable_grad():
            loss, cotangent = local_loss(self.index, output)
        with torch.no_grad():
            into = zeros(inputs, wanted)
            adjoint = record.backward(update.start_adjoint(cotangent), into, callback)
            return ModuleDone(self.index, loss, into, update.finish_adjoint(adjoint) if self.index == 0 else None)

    @property
    def output(self) -> Tensor:
        """Output of the newest pass, of the point's shape; it waits for its way back.

        Raises
        ------
        EngineError
            If no forward pass waits.
        """
        if self._waiting is None:
            raise EngineError("no forward pass waits for its way back", "run the forward pass first")
        return self._waiting[1]


def greedy_pass(
    chain: Chain,
    modules: Sequence[int],
    x: Tensor,
    inputs: Inputs,
    wanted: Sequence[str] | Callable[[int], Sequence[str]],
    local_loss: LocalLoss,
    done: Callable[[ModuleDone], None],
    work: Scratch,
    callback: Callback = go_on,
    inside: Strategy | None = None,
) -> Tensor:
    """Run all modules once; ``done`` is called after each, and may update what its layers read from ``inputs``.

    Parameters
    ----------
    modules
        Unrolls of every module; they add up to the chain. Modules may share inputs: their derivatives come one
        after the other.
    wanted
        Names of the inputs to differentiate, or a function of the module that gives them: where every module has
        inputs of its own, accumulators for those of all others would take memory, and time, for nothing.
    inside
        How a module is differentiated; by default `StoreAll`, whose buffers serve one module after the other.

    Returns
    -------
    Output of the last module, of x's shape, which may be any.

    Raises
    ------
    EngineError
        If the modules do not add up to the chain, or the strategy inside cannot run one.
    """
    if sum(modules) != len(chain) or any(count < 1 for count in modules):
        raise EngineError(
            f"modules of {list(modules)} unrolls cannot make a network of {len(chain)}", "let their lengths add up"
        )
    strategy = StoreAll(reuse=True) if inside is None else inside
    run, first = Run(inputs, work, callback), 0
    with torch.no_grad():
        state = chain.update.start(x)
    for index, count in enumerate(modules):
        module = GreedyModule(Chain(chain.layers[first : first + count], chain.update), index, strategy)
        state = module.forward(state, run, x if index == 0 else None)
        output = module.output
        done(module.backward(inputs, wanted(index) if callable(wanted) else wanted, local_loss, callback))
        first += count
    return output
