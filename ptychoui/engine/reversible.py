"""Keep nothing but the final state: undo every step exactly, and prove it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Linearisation
from ptychoui.engine.strategy import (
    OTHER_BITS,
    Callback,
    Chain,
    LayerCost,
    Record,
    Run,
    Strategy,
    run_backward,
    run_layers,
)
from ptychoui.errors import CertificateError, EngineError


class Reversible(Strategy):
    """The state is updated in place; the remainders of its divisions are all that grows."""

    name = "reversible"
    holds_state = True

    def check(self, chain: Chain) -> None:
        """Refuse update rules that cannot be undone.

        Raises
        ------
        EngineError
            If the update rule is not undone exactly.
        """
        if not chain.update.reversible:
            raise EngineError(
                f"the reversible strategy cannot undo the update rule {chain.update.name!r} of the layer "
                f"{chain.layers[0].name!r}",
                "use the heavy_ball update with a fixed ratio as momentum, or the strategies checkpoint, binomial, "
                "offload, inverse or store_all",
            )

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Words of remainders."""
        return words(chain, cost)

    def effort(self, chain: Chain) -> float:
        """Forward, and again with the increment that undoes it."""
        of_layer = chain.effort
        return of_layer.increment + of_layer.both

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """In the middle of a network the state at the segment's start is kept: the certificate compares with it.

        At its beginning ``start``, of the point's shape, serves instead.
        """
        mark = chain.update.copy(state) if start is None else None
        run_layers(chain, state, run)
        return _ReversibleRecord(chain, run, state, start, mark), state


def words(chain: Chain, cost: LayerCost) -> int:
    """Bytes of remainder words that a chain opens beyond its first unroll."""
    return int(cost.reals * (chain.update.stored_bits(len(chain)) - chain.update.stored_bits(1)) / 8)


class _ReversibleRecord(Record):
    def __init__(self, chain: Chain, run: Run, state: Any, start: Tensor | None, mark: Any) -> None:
        self._chain, self._run, self._state = chain, run, state
        self._start, self._mark = start, mark
        self._threads = torch.get_num_threads()

    def check(self) -> None:
        if torch.get_num_threads() != self._threads:
            raise EngineError(
                f"the forward pass ran on {self._threads} threads, the way back would run on {torch.get_num_threads()}",
                "sums may round differently: keep torch.set_num_threads as it was",
            )

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        chain, run = self._chain, self._run
        update, state = chain.update, self._state

        def undo(index: int) -> Linearisation:
            point = update.previous_point(state)
            return chain.layers[index].linearise(point, run.inputs, run.work, run.work)

        adjoint = run_backward(chain, adjoint, into, undo, callback, lambda increment: update.retreat(state, increment))
        back = update.same(state, self._mark) if self._start is None else update.is_start(state, self._start)
        if not back:
            raise CertificateError(
                f"after {len(chain)} unrolls the reversible strategy did not come back to its start bit for bit",
                OTHER_BITS,
            )
        self.certificate = f"exact: {len(chain)} unrolls undone bit for bit"
        self.drift = 0.0
        return adjoint
