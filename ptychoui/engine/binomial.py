"""Keep a few states and run forward again from them, in the order that costs the fewest layers."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import Any

from checkpoint_schedules import Copy, EndForward, EndReverse, Forward, Move, Reverse, Revolve
from torch import Tensor

from ptychoui.engine.layer import Gradients, Linearisation
from ptychoui.engine.reversible import words
from ptychoui.engine.strategy import Callback, Chain, LayerCost, Record, Run, Strategy, run_backward
from ptychoui.errors import EngineError

REPETITIONS = 3
"""How often `Binomial` runs a layer forward again at the most."""


@lru_cache(maxsize=32)
def _schedule(unrolls: int, snapshots: int) -> tuple[Any, ...]:
    """What is to be done from the first layer to the end of the walk back.

    Finding it takes time with the square of the unrolls, seconds for a thousand, and every pass asks for the same.
    """
    actions = []
    for action in Revolve(unrolls, snapshots):
        if isinstance(action, EndReverse):
            break
        actions.append(action)
    return tuple(actions)


class Binomial(Strategy):
    """The schedule is Griewank and Walther's "Revolve" (ACM TOMS 26, 2000, algorithm 799), by checkpoint_schedules.

    Parameters
    ----------
    snapshots
        States kept at a time; by default the fewest with which no layer is run more than four times.

    Raises
    ------
    EngineError
        If there is no snapshot.
    """

    name = "binomial"

    def __init__(self, snapshots: int | None = None) -> None:
        if snapshots is not None and snapshots < 1:
            raise EngineError(f"binomial cannot work with {snapshots} snapshots", "give 1 or more")
        self._snapshots = snapshots

    def snapshots(self, unrolls: int) -> int:
        """States kept at a time for so many unrolls."""
        if self._snapshots is not None:
            return min(self._snapshots, unrolls)
        count = 1
        while comb(count + REPETITIONS, REPETITIONS) < unrolls:
            count += 1
        return count

    def mean_runs(self, unrolls: int) -> float:
        """How often a layer is run forward on the average, without its linearisation."""
        if unrolls == 1:
            return 1.0
        runs, walking_back = 0, False
        for action in _schedule(unrolls, self.snapshots(unrolls)):
            if isinstance(action, Forward) and not (action.write_adj_deps and walking_back):
                runs += action.n1 - action.n0
            walking_back = walking_back or isinstance(action, Reverse)
        return runs / unrolls

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Snapshots, the state that runs on from one of them, and words of remainders."""
        return words(chain, cost) + ((self.snapshots(len(chain)) + 1) * cost.state if len(chain) > 1 else 0)

    def effort(self, chain: Chain) -> float:
        """Forward as often as the schedule says."""
        of_layer = chain.effort
        return of_layer.increment * self.mean_runs(len(chain)) + of_layer.products

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Keep the states that the schedule asks for; ``start``, of the point's shape, is not needed."""
        return _BinomialRecord(chain, state, run, self.snapshots(len(chain))), state


class _BinomialRecord(Record):
    def __init__(self, chain: Chain, state: Any, run: Run, snapshots: int) -> None:
        self._chain, self._run = chain, run
        self._kept: dict[int, Any] = {}
        self._state: Any = state
        self._last: Tensor | None = None
        self.checkpoints = snapshots
        # Over one layer there is nothing to schedule.
        self._actions = iter(_schedule(len(chain), snapshots)) if len(chain) > 1 else iter(())
        if len(chain) == 1:
            self._last = chain.update.point(state)
            self._advance(0, 1, run.callback)
        for action in self._actions:
            if isinstance(action, EndForward):
                break
            if action.write_ics:
                self._kept[action.n0] = chain.update.copy(state)
            if action.write_adj_deps:
                self._last = chain.update.point(state)
            self._advance(action.n0, action.n1, run.callback)
        self._state = None  # who gave it runs on

    def _advance(self, first: int, last: int, callback: Callback) -> None:
        update, run = self._chain.update, self._run
        for layer in self._chain.layers[first:last]:
            callback()
            update.advance(self._state, layer.increment(update.point(self._state), run.inputs, run.work))

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        run = self._run

        def again(index: int) -> Linearisation:
            """Follow the schedule until this layer is to be linearised."""
            point, self._last = self._last, None
            for action in self._actions:
                if isinstance(action, Reverse):
                    break
                if isinstance(action, Copy):
                    self._state = self._chain.update.copy(self._kept[action.n])
                elif isinstance(action, Move):
                    self._state = self._kept.pop(action.n)
                elif isinstance(action, Forward):
                    if action.write_ics:
                        self._kept[action.n0] = self._chain.update.copy(self._state)
                    if action.write_adj_deps:
                        point = self._chain.update.point(self._state)
                    else:
                        self._advance(action.n0, action.n1, callback)
            assert point is not None
            return self._chain.layers[index].linearise(point, run.inputs, run.work, run.work)

        return run_backward(self._chain, adjoint, into, again, callback)
