"""Walk back by solving for the input of every layer: the published memory-efficient learning, made honest.

The published form (Kellman et al., "Memory-efficient learning for large-scale computational imaging", 2020, algorithm
1) takes four fixed-point steps per unroll, keeps a state every so often, and does not look how far it went astray.
Here a fixed point is iterated to a tolerance, states are kept where the errors to be expected would exceed the
tolerance that was asked for, every segment's drift is measured against the state kept at its start, and a segment that
drifted further is run again from that state: a gradient of wrong states is never returned. Errors are relative: to a
whole state, or to each item of a batch where its axis is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.composite import Composite
from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import Points, PointsRecord
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
from ptychoui.engine.update import norms
from ptychoui.errors import CertificateError, EngineError

LOOK_EVERY = 8
"""Unrolls between two trials of how much a layer amplifies errors, where it gives no bound."""

MOST_ITERATIONS = 60
"""Fixed-point steps after which a layer counts as not inverted."""

SHARE = 0.25
"""Part of the tolerance that states may drift: products amplify it, by up to 36 at a = 0.5 on the published problem."""

TYPICAL_ITERATIONS = 8
"""Fixed-point steps per unroll by which the time of a pass is predicted."""


class NotConverged(Exception):
    """A layer could not be inverted to the tolerance."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A fixed point: x, of the shape of its start, and the factor by which the last steps shrank."""

    x: Tensor
    rate: float


def fixed_point(
    layer: Layer, z: Tensor, inputs: Inputs, work: Scratch, tolerance: float, batch_axis: int | None = None
) -> Solved:
    """The x with x + h(x) = z by x <- z - h(x), to a relative error of about ``tolerance``, of every item of a batch.

    x has z's shape, which may be any.

    Raises
    ------
    NotConverged
        If steps grow, or are still too large after `MOST_ITERATIONS`.
    """
    x, before, rate, grown = z, inf, 0.0, 0
    for _ in range(MOST_ITERATIONS):
        following = z - layer.increment(x, inputs, work)
        moved = float((norms(following - x, batch_axis) / norms(following, batch_axis).clamp_min(1e-150)).amax())
        x = following
        ratio = moved / before
        if before < inf:
            rate = max(ratio, 0.5 * rate)
        if moved == 0 or (rate < 1 and moved * rate <= tolerance * (1 - rate) and before < inf):
            return Solved(x, rate)
        grown = grown + 1 if ratio >= 1 else 0
        if moved != moved or moved == inf or grown == 3:
            break
        before = moved
    raise NotConverged(layer.name)


def _parts(layer: Layer) -> Sequence[Layer]:
    """What is undone one after the other: the parts of a composite layer, last first."""
    return layer.layers[::-1] if isinstance(layer, Composite) else (layer,)


def _solve(layer: Layer, z: Tensor, run: Run, accuracy: float, batch_axis: int | None) -> Solved:
    """The x with x + h(x) = z, by the layer's closed form where it has one."""
    if layer.has_inverse:
        return Solved(layer.inverse(z, run.inputs, run.work), 0.0)
    return fixed_point(layer, z, run.inputs, run.work, accuracy, batch_axis)


class Inverse(Strategy):
    """Keep few states and reconstruct the others, last first.

    Parameters
    ----------
    tolerance
        Relative drift of a state that is as good as its gradient must be: states are held to `SHARE` of it.
    batch_axis
        Axis of a state that counts the items of a batch, each of which is held to the tolerance; by default the state
        as a whole is, whose faint items may be far off.

    Raises
    ------
    EngineError
        If the tolerance does not lie between 0 and 1.
    """

    name = "inverse"
    holds_state = True

    def __init__(self, tolerance: float = 1e-4, batch_axis: int | None = None) -> None:
        if not 0 < tolerance < 1:
            raise EngineError(f"a drift tolerance of {tolerance} does not lie between 0 and 1", "use for example 1e-4")
        self.tolerance, self.batch_axis = tolerance, batch_axis
        self.allowed = SHARE * tolerance

    def check(self, chain: Chain) -> None:
        """Refuse update rules that are undone exactly, and layers that have no inverse.

        Raises
        ------
        EngineError
            If the update rule is not undone by solving for its points, or a layer is said to have no inverse.
        """
        if not chain.update.invertible:
            raise EngineError(
                f"the strategy inverse does not go with the update rule {chain.update.name!r} of the layer "
                f"{chain.layers[0].name!r}, which the strategy reversible undoes exactly",
                "use reversible, or the strategies checkpoint, binomial, offload or store_all",
            )
        for layer in chain.layers:
            if not layer.invertible:
                raise EngineError(
                    f"the layer {layer.name!r} has no inverse",
                    "use the strategies checkpoint, binomial, offload or store_all, or reversible with a heavy-ball "
                    "update",
                )

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Keep a state wherever the drift expected of the segment reaches half of what is allowed.

        ``start``, of the point's shape, is not needed.
        """
        update, parts = chain.update, [(0, chain.update.copy(state))]
        accuracy = self.accuracy(update.point(state).dtype)
        expected, factor = _Expected(self.allowed, accuracy), inf
        for index, layer in enumerate(chain.layers):
            run.callback()
            if index and expected.opens_segment(factor):
                parts.append((index, update.copy(state)))
            point = update.point(state)
            increment = layer.increment(point, run.inputs, run.work)
            z = point + increment
            update.advance(state, increment)
            bound = layer.inverse_bound(run.inputs)
            if bound is None and (index % LOOK_EVERY == 0 or parts[-1][0] == index):
                bound = self.amplification(layer, z, run)
            if bound is not None:
                factor = bound * update.amplification
        return _InverseRecord(chain, run, state, parts, self, accuracy), state

    def accuracy(self, dtype: torch.dtype) -> float:
        """Relative error to which one layer is inverted: a hundredth of the tolerance, or what rounding allows."""
        return max(0.01 * self.tolerance, 4 * torch.finfo(dtype).eps)

    def kept_states(self, unrolls: int, factor: float, dtype: torch.dtype) -> int:
        """States kept where every layer amplifies errors by a factor."""
        expected = _Expected(self.allowed, self.accuracy(dtype))
        return 1 + sum(expected.opens_segment(factor) for _ in range(unrolls - 1))

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """The states kept, as many as the probed layer's amplification asks for."""
        kept = self.kept_states(len(chain), cost.amplification * chain.update.amplification, cost.dtype)
        return (kept - 1) * cost.state

    def effort(self, chain: Chain) -> float:
        """Fixed points come on top of a run forward and the products."""
        of_layer = chain.effort
        steps = TYPICAL_ITERATIONS * sum(not layer.has_inverse for layer in chain.layers) / len(chain)
        return (1 + steps) * of_layer.increment + of_layer.products

    def amplification(self, layer: Layer, z: Tensor, run: Run) -> float:
        """By how much a step back from z amplifies errors: the layer's bound, or the rate of its fixed point.

        ``z`` has the point's shape; infinite where a fixed point is not found.
        """
        factor, accuracy = 1.0, self.accuracy(z.dtype)
        for part in _parts(layer):
            bound = part.inverse_bound(run.inputs)
            try:
                solved = _solve(part, z, run, accuracy, self.batch_axis)
            except NotConverged:
                return inf
            z = solved.x
            factor *= bound if bound is not None else (1 / (1 - solved.rate) if solved.rate < 1 else inf)
        return factor


class _Expected:
    """The drift to be expected of a segment: every layer's error, amplified by the layers before it."""

    def __init__(self, allowed: float, accuracy: float) -> None:
        self._allowed, self._accuracy = allowed, accuracy
        self._drift, self._amplified = accuracy, 1.0

    def opens_segment(self, factor: float) -> bool:
        """Go on by one layer, after one that amplifies errors by a factor; True if it must open a segment."""
        self._amplified *= factor
        self._drift += self._accuracy * self._amplified
        full = self._drift > self._allowed / 2
        if full:
            self._drift, self._amplified = self._accuracy, 1.0
        return full


class _InverseRecord(Record):
    def __init__(
        self,
        chain: Chain,
        run: Run,
        state: Any,
        parts: list[tuple[int, Any]],
        asked: Inverse,
        accuracy: float,
    ) -> None:
        self._chain, self._run, self._state = chain, run, state
        self._parts, self._asked, self._accuracy = parts, asked, accuracy
        self.checkpoints = len(parts)

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        segments, failed, drifts = len(self._parts), 0, []
        last = len(self._chain)
        while self._parts:
            first, kept = self._parts.pop()
            part = Chain(self._chain.layers[first:last], self._chain.update)
            before = {name: value.clone() for name, value in into.items()}
            if len(part) == 1:  # its only point is kept
                found = self._run_again(part, kept, adjoint, into, callback)
            else:
                found, drift = self._solve_back(part, kept, adjoint, into, callback)
                if found is None:
                    failed += 1
                    for name, value in before.items():
                        into[name].copy_(value)
                    found = self._run_again(part, kept, adjoint, into, callback)
                else:
                    drifts.append(drift)
            adjoint, self._state, last = found, kept, first
        self.drift = max(drifts) if drifts else None
        told = f"drift {self.drift:.1e} over {segments} segments" if drifts else f"no drift: {segments} states kept"
        self.certificate = told + (f", {failed} of them run again from kept states" if failed else "")
        return adjoint

    def _solve_back(
        self, part: Chain, kept: Any, adjoint: Any, into: Gradients, callback: Callback
    ) -> tuple[Any, float]:
        """Adjoint at the segment's start and its drift; no adjoint where it drifted too far or did not converge."""
        run, update = self._run, part.update
        state = update.copy(self._state)

        def undo(index: int) -> Linearisation:
            layer = part.layers[index]
            point = update.invert(state, lambda z: self._solved(layer, z))
            return layer.linearise(point, run.inputs, run.work, run.work)

        try:
            found = run_backward(part, adjoint, into, undo, callback)
        except NotConverged:
            return None, inf
        drift = update.deviation(state, kept, self._asked.batch_axis)
        return (found if drift <= self._asked.allowed else None), drift

    def _solved(self, layer: Layer, z: Tensor) -> Tensor:
        for part in _parts(layer):
            z = _solve(part, z, self._run, self._accuracy, self._asked.batch_axis).x
        return z

    def _run_again(self, part: Chain, kept: Any, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        points = Points(len(part))
        run = Run(self._run.inputs, self._run.work, callback)
        state = part.update.copy(kept)
        run_layers(part, state, run, points.append)
        if not part.update.deviation(state, self._state) <= self._asked.allowed:
            raise CertificateError(
                f"{len(part)} unrolls that were run again from a kept state ended elsewhere than the first time",
                OTHER_BITS,
            )
        return PointsRecord(part, run, points).backward(adjoint, into, callback)
