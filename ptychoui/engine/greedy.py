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

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import StoreAll
from ptychoui.engine.strategy import Between, Chain, Run, Strategy, go_on, zeros
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
        Derivatives of its local loss in the inputs asked for.
    x
        Derivative in the input of the chain, for the first module; None for the others, which start from a constant.
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


def greedy_pass(
    chain: Chain,
    modules: Sequence[int],
    x: Tensor,
    inputs: Inputs,
    wanted: Sequence[str] | Callable[[int], Sequence[str]],
    local_loss: LocalLoss,
    done: Callable[[ModuleDone], None],
    work: Scratch,
    between: Between = go_on,
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
    Output of the last module.

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
    update, run = chain.update, Run(inputs, work, between)
    with torch.no_grad():
        state, first = update.start(x), 0
        for module, count in enumerate(modules):
            part = Chain(chain.layers[first : first + count], update)
            strategy.check(part)
            if strategy.holds_state:
                state = update.copy(state)
            record, state = strategy.record(part, state, run, x if first == 0 else None)
            update.check(state)
            output = update.output(state)
            following = update.copy(state) if strategy.holds_state else state
            with torch.enable_grad():
                loss, cotangent = local_loss(module, output)
            into = zeros(inputs, wanted(module) if callable(wanted) else wanted)
            adjoint = record.walk(update.start_adjoint(cotangent), into, between)
            done(ModuleDone(module, loss, into, update.finish_adjoint(adjoint) if module == 0 else None))
            state, first = following, first + count
        return output
