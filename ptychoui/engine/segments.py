"""A network cut into segments, each with a strategy of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ptychoui.engine.layer import Gradients
from ptychoui.engine.strategy import Callback, Chain, LayerCost, Record, Run, Strategy
from ptychoui.errors import EngineError


class Segments(Strategy):
    """Run consecutive parts of a chain under different strategies.

    Parameters
    ----------
    parts
        (number of unrolls, strategy) from the first to the last; they must add up to the chain.

    Raises
    ------
    EngineError
        If there is no part, or one without an unroll.
    """

    name = "segments"
    holds_state = True

    def __init__(self, parts: Sequence[tuple[int, Strategy]]) -> None:
        if not parts or any(count < 1 for count, _ in parts):
            raise EngineError("every segment needs at least one unroll", "give (unrolls, strategy) pairs")
        self.parts = tuple(parts)

    def cut(self, chain: Chain) -> list[tuple[Chain, Strategy]]:
        """The chain's segments.

        Raises
        ------
        EngineError
            If the parts do not add up to the chain.
        """
        total = sum(count for count, _ in self.parts)
        if total != len(chain):
            raise EngineError(
                f"segments of {total} unrolls cannot make a network of {len(chain)}", "let their lengths add up"
            )
        found, first = [], 0
        for count, strategy in self.parts:
            found.append((Chain(chain.layers[first : first + count], chain.update), strategy))
            first += count
        return found

    def check(self, chain: Chain) -> None:
        """Every strategy must be able to run its part, and none may use the buffers of another.

        Raises
        ------
        EngineError
            If two segments would use the same buffers, the parts do not add up to the chain, or a strategy cannot run
            its part.
        """
        if sum(getattr(strategy, "reuse", False) for _, strategy in self.parts) > 1:
            raise EngineError(
                "two segments under store_all would use the same buffers again", "leave out reuse for all but one"
            )
        for part, strategy in self.cut(chain):
            strategy.check(part)

    def memory(self, chain: Chain, cost: LayerCost) -> list[tuple[int, str, int]]:
        """For each segment its unrolls, its strategy, and the bytes that it keeps."""
        found = []
        for part, strategy in self.cut(chain):
            kept = strategy.first_bytes(cost) + strategy.further_bytes(part, cost)
            found.append((len(part), strategy.name, kept))
        return found

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """What all segments keep."""
        return sum(kept for _, _, kept in self.memory(chain, cost))

    def peak_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """The largest over the segments: while one is walked back, those before it are kept and those after it gone."""
        before = peak = 0
        for (part, strategy), (_, _, kept) in zip(self.cut(chain), self.memory(chain, cost), strict=True):
            # What holds states needs a copy of the one it began with where that is not the chain's own input.
            begun = cost.state if before and strategy.holds_state else 0
            peak = max(peak, before + begun + strategy.peak_bytes(part, cost))
            before += kept
        return peak

    def effort(self, chain: Chain) -> float:
        """Mean over the unrolls."""
        return sum(len(part) * strategy.effort(part) for part, strategy in self.cut(chain)) / len(chain)

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Segment after segment; a strategy that goes on using its last state is followed by a copy of it.

        ``start``, of the point's shape, goes to the first segment.
        """
        records: list[Record] = []
        held = False
        for part, strategy in self.cut(chain):
            if held:
                state = chain.update.copy(state)
            record, state = strategy.record(part, state, run, None if records else start)
            records.append(record)
            held = strategy.holds_state
        return _SegmentsRecord(records), state


class _SegmentsRecord(Record):
    def __init__(self, records: list[Record]) -> None:
        self._records = records
        self.checkpoints = sum(record.checkpoints for record in records)

    def check(self) -> None:
        for record in self._records:
            record.check()

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        certificates, drifts = [], []
        for record in reversed(self._records):
            adjoint = record.backward(adjoint, into, callback)
            certificates.append(record.certificate or "kept")
            drifts.append(record.drift)
        self._records = []
        known = [drift for drift in drifts if drift is not None]
        self.drift = max(known) if known else None
        self.certificate = "; ".join(reversed(certificates))
        return adjoint
