"""Several layers applied one after the other as one layer.

Any unroll x -> U(x), say a data-consistency step followed by a learned denoiser, becomes one layer with
h(x) = U(x) - x. Joined by a heavy-ball update it is undone bit for bit, whether or not its parts have inverses:
nothing is inverted (Maclaurin, Duvenaud, Adams, ICML 2015, section 3, see `update`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from math import prod

from torch import Tensor

from ptychoui.engine.layer import Effort, Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError


class Composite(Layer):
    """h(x) = U(x) - x with U = (1 + h_n) o ... o (1 + h_1).

    Parameters
    ----------
    layers
        h_1 to h_n, the first to be applied first.
    name
        For messages; by default the names of the parts.

    Raises
    ------
    EngineError
        If there is no part.
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        if not layers:
            raise EngineError("a composite layer needs at least one part", "give it a layer")
        self.layers = tuple(layers)
        self.name = " + ".join(layer.name for layer in self.layers) if name is None else name
        self.kind = " + ".join(f"{type(layer).__name__} {layer.kind or layer.name}" for layer in self.layers)
        self.invertible = all(layer.invertible for layer in self.layers)
        self.kinked = any(layer.kinked for layer in self.layers)
        efforts = [layer.effort for layer in self.layers]
        self.effort = Effort(*(sum(getattr(effort, kind.name) for effort in efforts) for kind in fields(Effort)))

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedComposite:
        """Linearise every part where the parts before it lead to. Each has buffers of its own inside ``keep``.

        All parts work on tensors of x's shape.
        """
        moved: Tensor | None = None
        parts: list[Linearisation] = []
        for index, layer in enumerate(self.layers):
            if parts:
                moved = _add(moved, parts[-1].increment)
            own = keep.keep(("part", index), Scratch)
            parts.append(layer.linearise(x if moved is None else x + moved, inputs, own, work))
        return _LinearisedComposite(parts, moved)

    def increment(self, x: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """The same sum of the parts' increments, of x's shape, without keeping their linearisations."""
        moved: Tensor | None = None
        for layer in self.layers:
            moved = _add(moved, layer.increment(x if moved is None else x + moved, inputs, work))
        assert moved is not None
        return moved

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """(1 + c_1) ... (1 + c_n) - 1, from Lip(U) <= prod Lip(1 + h_i); None where a part has no bound."""
        bounds = [layer.contraction_bound(inputs) for layer in self.layers]
        known = [bound for bound in bounds if bound is not None]
        return prod(1 + bound for bound in known) - 1 if len(known) == len(bounds) else None

    def inverse_bound(self, inputs: Inputs) -> float | None:
        """What the parts amplify one after the other; None where a part has no bound."""
        bounds = [layer.inverse_bound(inputs) for layer in self.layers]
        known = [bound for bound in bounds if bound is not None]
        return prod(known) if len(known) == len(bounds) else None

    @property
    def has_inverse(self) -> bool:
        """True if every part has one."""
        return all(layer.has_inverse for layer in self.layers)

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """Undo the parts, last first; the result has z's shape.

        Raises
        ------
        EngineError
            If a part has no closed-form inverse.
        """
        for layer in reversed(self.layers):
            z = layer.inverse(z, inputs, work)
        return z


class _LinearisedComposite(Linearisation):
    def __init__(self, parts: list[Linearisation], moved: Tensor | None) -> None:
        self._parts, self._moved = parts, moved
        self._increment: Tensor | None = None

    @property
    def increment(self) -> Tensor:
        """The sum of the parts' increments; the last one is computed when this is asked for."""
        if self._increment is None:
            self._increment = _add(self._moved, self._parts[-1].increment)
        return self._increment

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """J_U^T p - p, as the sum of what the parts add: with q_n = p, q_i-1 = q_i + J_i^T q_i."""
        added: Tensor | None = None
        for part in reversed(self._parts):
            added = _add(added, part.pullback(cotangent if added is None else cotangent + added, into))
        assert added is not None
        return added


def _add(total: Tensor | None, more: Tensor) -> Tensor:
    """A tensor of its own: increments may lie in buffers that the next part writes into."""
    return more.clone() if total is None else total + more
