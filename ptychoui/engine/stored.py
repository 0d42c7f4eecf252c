"""Strategies that keep something of every layer: its linearisation, or its point, here or on the host."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.float_updates import ALIGNED_BYTES
from ptychoui.engine.layer import Gradients, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import Callback, Chain, LayerCost, Record, Run, Strategy, run_backward, run_layers


class StoreAll(Strategy):
    """Keep every linearised layer: plain back-propagation, the reference.

    Parameters
    ----------
    reuse
        Keep the layers' buffers with the workspaces and use them again: fresh ones take time. Then a record must be
        walked back before the next is made with the same workspaces.
    """

    name = "store_all"
    runs_again = False

    def __init__(self, reuse: bool = False) -> None:
        self.reuse = reuse

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Every further layer is kept."""
        return cost.linearised * (len(chain) - 1)

    def first_bytes(self, cost: LayerCost) -> int:
        """The linearised layer."""
        return cost.linearised

    def effort(self, chain: Chain) -> float:
        """Everything once: nothing is run again."""
        return chain.effort.stored

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Every layer of the record gets buffers of its own. ``start``, of the point's shape, is not needed."""
        update = chain.update
        kept: list[Linearisation] = []
        for index, layer in enumerate(chain.layers):
            run.callback()
            keep = run.work.keep(("store_all", index), Scratch) if self.reuse else Scratch()
            at = layer.linearise(update.point(state), run.inputs, keep, run.work)
            update.advance(state, at.increment)
            kept.append(at)
        return _StoreAllRecord(chain, kept), state


class _StoreAllRecord(Record):
    def __init__(self, chain: Chain, kept: list[Linearisation]) -> None:
        self._chain, self._kept = chain, kept

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        return run_backward(self._chain, adjoint, into, lambda _index: self._kept.pop(), callback)


class Checkpoint(Strategy):
    """Keep the point of every layer and linearise it again on the way back."""

    name = "checkpoint"

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """Every further point is kept."""
        return cost.point * (len(chain) - 1)

    def effort(self, chain: Chain) -> float:
        """Forward, and again for the products."""
        return _effort_of_points(chain)

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Keep every point, tiny next to a linearised layer; ``start``, of the point's shape, is not needed."""
        points = Points(len(chain))
        run_layers(chain, state, run, points.append)
        return PointsRecord(chain, run, points), state


def _effort_of_points(chain: Chain) -> float:
    of_layer = chain.effort
    return of_layer.increment + of_layer.products


class Points:
    """Points of equal shape in one block of memory, to be taken back last first.

    Kept one by one they would lie scattered among the buffers of the layers, and the holes between them would take
    more memory than they do: fifteen times as much at 64 x 64 pixels. Each begins where an array of its own would: some
    libraries' products of small matrices have other bits elsewhere, so that a layer that is run again would not give
    what it gave on the way.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._block: Tensor | None = None
        self._shape = torch.Size()

    def __len__(self) -> int:
        return self._count

    def append(self, point: Tensor) -> None:
        """Copy a point; the first one decides on the shape of all."""
        if self._block is None:
            each = -(-point.numel() * point.element_size() // ALIGNED_BYTES) * ALIGNED_BYTES // point.element_size()
            self._block = torch.empty((self._most, each), dtype=point.dtype, device=point.device)
            self._shape = point.shape
        self._at(self._count).copy_(point)
        self._count += 1

    def _at(self, place: int) -> Tensor:
        assert self._block is not None
        return self._block[place, : self._shape.numel()].view(self._shape)

    def pop(self) -> Tensor:
        """The last point, of the shape it was given in, valid as long as the block."""
        self._count -= 1
        return self._at(self._count)


class PointsRecord(Record):
    """The points of all layers, in order."""

    def __init__(self, chain: Chain, run: Run, points: Points) -> None:
        self._chain, self._run, self._points = chain, run, points
        self.checkpoints = len(points)

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        """Linearise again, last first."""
        run = self._run

        def again(index: int) -> Linearisation:
            return self._chain.layers[index].linearise(self._points.pop(), run.inputs, run.work, run.work)

        return run_backward(self._chain, adjoint, into, again, callback)


class Offload(Strategy):
    """Keep the point of every layer in the host's memory.

    From a GPU the copies go through page-locked memory on a stream of their own: a point travels while the next layer
    is computed, and comes back one layer ahead. On a CPU the points simply stay where they are.
    """

    name = "offload"

    def further_bytes(self, chain: Chain, cost: LayerCost) -> int:
        """On a GPU one point is on its way while another is used."""
        return cost.point * (min(len(chain), 2) - 1 if cost.device.type == "cuda" else len(chain) - 1)

    def effort(self, chain: Chain) -> float:
        """As for points that stay."""
        return _effort_of_points(chain)

    def record(self, chain: Chain, state: Any, run: Run, start: Tensor | None = None) -> tuple[Record, Any]:
        """Send every point to the host as soon as it is known; ``start``, of the point's shape, is not needed."""
        shelf = _Shelf(len(chain))
        run_layers(chain, state, run, shelf.put)
        return _OffloadRecord(chain, run, shelf), state


class _Shelf:
    """Points on the host, taken back in reverse order, one ahead."""

    def __init__(self, most: int) -> None:
        self._here = Points(most)
        self._kept: list[tuple[Tensor, torch.device, Any]] = []
        self._stream: Any = None
        self._coming: Tensor | None = None

    def __len__(self) -> int:
        return len(self._kept) + len(self._here)

    def put(self, point: Tensor) -> None:
        """Copy a point to the host."""
        if not point.is_cuda:
            self._here.append(point)
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream(point.device)  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream(point.device))
        host = torch.empty(point.shape, dtype=point.dtype, pin_memory=True)
        with torch.cuda.stream(self._stream):
            host.copy_(point, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self._stream)
        # The allocator must not hand the point's memory on while it is being read.
        point.record_stream(self._stream)
        self._kept.append((host, point.device, arrived))

    def take(self) -> Tensor:
        """The last point, on its device; the one before it starts to come back."""
        if len(self._here):
            return self._here.pop()
        point = self._fetch() if self._coming is None else self._coming
        if point.is_cuda:
            torch.cuda.current_stream(point.device).wait_stream(self._stream)
            point.record_stream(torch.cuda.current_stream(point.device))
        self._coming = self._fetch() if self._kept else None
        return point

    def _fetch(self) -> Tensor:
        host, device, arrived = self._kept.pop()
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(arrived)
            return host.to(device, non_blocking=True)


class _OffloadRecord(Record):
    def __init__(self, chain: Chain, run: Run, shelf: _Shelf) -> None:
        self._chain, self._run, self._shelf = chain, run, shelf
        self.checkpoints = len(shelf)

    def backward(self, adjoint: Any, into: Gradients, callback: Callback) -> Any:
        run = self._run

        def again(index: int) -> Linearisation:
            return self._chain.layers[index].linearise(self._shelf.take(), run.inputs, run.work, run.work)

        return run_backward(self._chain, adjoint, into, again, callback)
