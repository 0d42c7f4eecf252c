"""Gradient strategies: what each keeps between the forward and the backward pass.

For N unrolls; transforms are those of the Fourier ptychographic layer with L LEDs, per unroll:

| strategy   | memory besides one layer                       | transforms      | gradient         | limits            |
|------------|------------------------------------------------|-----------------|------------------|-------------------|
| store_all  | N linearised layers                            | 4 L             | exact            | grows with N      |
| checkpoint | N points                                       | 5 L             | exact            | grows, slowly     |
| binomial   | s states, s = 17 for N = 1000                  | up to 4 L + 6 L | exact            | slowest           |
| reversible | log2(d/n) bits per number and unroll, in words | 6 L             | exact, certified | heavy-ball update |

All run the same layers on the same points with the same update rule, so their gradients are equal bit for bit;
`tests/engine` holds them to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import torch
from checkpoint_schedules import Copy, EndForward, EndReverse, Forward, Move, Reverse, Revolve
from torch import Tensor

from ptychoui.engine.layer import Inputs, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Backward, Between, Chain, Strategy, Trace, go_on, run_layers, walk_back, zeros
from ptychoui.errors import CertificateError, EngineError


class StoreAll(Strategy):
    """Keep every linearised layer: plain back-propagation, the reference."""

    name = "store_all"

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """Every layer gets buffers of its own."""
        self.check(chain)
        update = chain.update
        state = update.start(x)
        kept: list[Linearisation] = []
        for layer in chain.layers:
            between()
            at = layer.linearise(update.point(state), inputs, Scratch(), work)
            update.advance(state, at.increment)
            kept.append(at)
        update.check(state)
        return _StoreAllTrace(chain, inputs, kept, update.point(state))


class _StoreAllTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, kept: list[Linearisation], output: Tensor) -> None:
        self._chain, self._inputs, self._kept, self.output = chain, inputs, kept, output

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        into = zeros(self._inputs, wanted)
        q = walk_back(self._chain, cotangent, into, lambda _index: self._kept.pop(), between)
        return Backward(q, into)


class Checkpoint(Strategy):
    """Keep the point of every layer and linearise it again on the way back."""

    name = "checkpoint"

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """A point is tiny next to a linearised layer."""
        self.check(chain)
        points: list[Tensor] = []
        state = run_layers(chain, x, inputs, work, between, points.append)
        return _CheckpointTrace(chain, inputs, work, points, chain.update.point(state))


class _CheckpointTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, work: Scratch, points: list[Tensor], output: Tensor) -> None:
        self._chain, self._inputs, self._work = chain, inputs, work
        self._points, self.output = points, output

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        into = zeros(self._inputs, wanted)

        def again(index: int) -> Linearisation:
            return self._chain.layers[index].linearise(self._points.pop(), self._inputs, self._work, self._work)

        return Backward(walk_back(self._chain, cotangent, into, again, between), into)


class Reversible(Strategy):
    """Keep nothing but the final state: undo every step exactly, and prove it."""

    name = "reversible"

    def check(self, chain: Chain) -> None:
        """Refuse update rules that cannot be undone."""
        super().check(chain)
        if not chain.update.reversible:
            raise EngineError(
                f"the reversible strategy cannot undo the update rule {chain.update.name!r}",
                "use a heavy-ball update, or the strategy checkpoint",
            )

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """The state is updated in place; the remainders of its divisions are all that grows."""
        self.check(chain)
        state = run_layers(chain, x, inputs, work, between)
        return _ReversibleTrace(chain, inputs, work, x, state)


class _ReversibleTrace(Trace):
    def __init__(self, chain: Chain, inputs: Inputs, work: Scratch, x: Tensor, state: Any) -> None:
        self._chain, self._inputs, self._work = chain, inputs, work
        self._x, self._state = x, state
        self._threads = torch.get_num_threads()
        self.output = chain.update.point(state)

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        if torch.get_num_threads() != self._threads:
            raise EngineError(
                f"the forward pass ran on {self._threads} threads, the way back would run on {torch.get_num_threads()}",
                "sums may round differently: keep torch.set_num_threads as it was",
            )
        update, state = self._chain.update, self._state
        into = zeros(self._inputs, wanted)

        def undo(index: int) -> Linearisation:
            point = update.previous_point(state)
            return self._chain.layers[index].linearise(point, self._inputs, self._work, self._work)

        q = walk_back(
            self._chain, cotangent, into, undo, between, lambda _index, at: update.retreat(state, at.increment)
        )
        if not update.is_start(state, self._x):
            raise CertificateError(
                f"after {len(self._chain)} unrolls the reversible strategy did not come back to its start bit for bit",
                "a layer is not deterministic on this device; use the strategy checkpoint and report the device",
            )
        return Backward(q, into, f"exact: {len(self._chain)} unrolls undone bit for bit")


class Binomial(Strategy):
    """Keep a few states and run forward again from them, in the order that costs the fewest layers.

    The schedule is Griewank and Walther's "Revolve" (ACM TOMS 26, 2000, algorithm 799), by checkpoint_schedules.

    Parameters
    ----------
    snapshots
        States kept at a time; by default the fewest with which no layer is run more than four times.
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
        schedule = Revolve(unrolls, self.snapshots(unrolls))
        runs = 0
        for action in schedule:
            if isinstance(action, Forward) and not (action.write_adj_deps and schedule.r):
                runs += action.n1 - action.n0
            elif isinstance(action, EndReverse):
                break
        return runs / unrolls

    @torch.no_grad()
    def forward(self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, between: Between = go_on) -> Trace:
        """Keep the states that the schedule asks for."""
        self.check(chain)
        return _BinomialTrace(chain, x, inputs, work, self.snapshots(len(chain)), between)


REPETITIONS = 3
"""How often `Binomial` runs a layer forward again at the most."""


class _BinomialTrace(Trace):
    def __init__(
        self, chain: Chain, x: Tensor, inputs: Inputs, work: Scratch, snapshots: int, between: Between
    ) -> None:
        self._chain, self._inputs, self._work = chain, inputs, work
        self._kept: dict[int, Any] = {}
        self._state = chain.update.start(x)
        self._last: Tensor | None = None
        # Over one layer there is nothing to schedule.
        self._actions = iter(Revolve(len(chain), snapshots)) if len(chain) > 1 else iter(())
        if len(chain) == 1:
            self._last = chain.update.point(self._state)
            self._advance(0, 1, between)
        for action in self._actions:
            if isinstance(action, EndForward):
                break
            if action.write_ics:
                self._kept[action.n0] = chain.update.copy(self._state)
            if action.write_adj_deps:
                self._last = chain.update.point(self._state)
            self._advance(action.n0, action.n1, between)
        chain.update.check(self._state)
        self.output = chain.update.point(self._state)

    def _advance(self, first: int, last: int, between: Between) -> None:
        update = self._chain.update
        for layer in self._chain.layers[first:last]:
            between()
            update.advance(self._state, layer.increment(update.point(self._state), self._inputs, self._work))

    def _walk(self, cotangent: Tensor, wanted: Sequence[str], between: Between) -> Backward:
        into = zeros(self._inputs, wanted)

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
                        self._advance(action.n0, action.n1, between)
            assert point is not None
            return self._chain.layers[index].linearise(point, self._inputs, self._work, self._work)

        return Backward(walk_back(self._chain, cotangent, into, again, between), into)


STRATEGIES: dict[str, type[Strategy]] = {cls.name: cls for cls in (StoreAll, Checkpoint, Binomial, Reversible)}


def strategy(name: str) -> Strategy:
    """Return the strategy of that name, or say which there are."""
    if name not in STRATEGIES:
        raise EngineError(f"there is no strategy {name!r}", f"strategies are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]()
