"""A chain of unrolls as a network: run with or without a way back, end to end or greedily."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ptychoui.engine.greedy import LocalLoss, ModuleDone, equal_modules, greedy_pass
from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Callback, Chain, Strategy, Trace, infer


class UnrolledNetwork:
    """A chain with workspaces that outlive its passes.

    Parameters
    ----------
    chain
        Layers and update rule.
    with_velocity
        True where the chain's state is an estimate and its velocity, stacked: see `LearnedMomentum`.
    """

    def __init__(self, chain: Chain, with_velocity: bool = False) -> None:
        self.chain, self._with_velocity = chain, with_velocity
        self._work = Scratch()

    def enter(self, x: Tensor) -> Tensor:
        """Input of the chain for first estimates, (B, ...) -> (B, ...), or (2, B, ...) with velocity."""
        return torch.stack([x, torch.zeros_like(x)]) if self._with_velocity else x

    def leave(self, point: Tensor) -> Tensor:
        """Estimates, (B, ...), of a point of the chain; on derivatives in its input the adjoint of `enter`."""
        return point[0] if self._with_velocity else point

    def forget_workspaces(self) -> None:
        """Free the buffers kept between passes."""
        self._work.clear()

    def forward(self, strategy: Strategy, x: Tensor, inputs: Inputs, callback: Callback) -> Trace:
        """Run first estimates, (B, ...), with a way back: the trace's output is a point of the chain.

        Raises
        ------
        EngineError
            As `Strategy.forward`: where the strategy cannot run the chain, or the state grows beyond bounds.
        """
        return strategy.forward(self.chain, self.enter(x), inputs, self._work, callback)

    def greedy(
        self,
        modules: int,
        x: Tensor,
        inputs: Inputs,
        wanted: Sequence[str],
        local_loss: LocalLoss,
        done: Callable[[ModuleDone], None],
        callback: Callback,
    ) -> None:
        """Run modules of equal length, each with a way back from its own loss: see `engine.greedy`.

        ``x`` are first estimates, (B, ...).

        Raises
        ------
        EngineError
            If there are fewer unrolls than modules, or no module.
        """
        lengths = equal_modules(len(self.chain), modules)
        greedy_pass(self.chain, lengths, self.enter(x), inputs, wanted, local_loss, done, self._work, callback)

    def infer(
        self,
        x: Tensor,
        inputs: Inputs,
        callback: Callback = lambda: None,
        watch: Callable[[Tensor], None] = lambda _point: None,
    ) -> Tensor:
        """Run first estimates, (B, ...), without a way back; ``watch`` sees the estimates before every unroll."""
        point = infer(self.chain, self.enter(x), inputs, self._work, callback, lambda point: watch(self.leave(point)))
        return self.leave(point)
