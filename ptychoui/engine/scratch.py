"""Named buffers that are made once and reused."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor


class Scratch:
    """Workspaces of a computation: fresh large arrays cost more than the transforms on a CPU."""

    def __init__(self) -> None:
        self._buffers: dict[Hashable, Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype, zero: bool = False) -> Tensor:
        """Return the buffer of that name, shape and type on the device of ``like``.

        Its content is whatever was left there. With ``zero`` it is filled with zeros when it is made, and
        the caller keeps up what it relies on.
        """
        key = (name, shape, dtype, like.device)
        buffer = self._buffers.get(key)
        if buffer is None:
            make = torch.zeros if zero else torch.empty
            buffer = self._buffers[key] = make(shape, dtype=dtype, device=like.device)
        return buffer

    def clear(self) -> None:
        """Forget all buffers."""
        self._buffers.clear()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(buffer.untyped_storage().nbytes() for buffer in self._buffers.values())
