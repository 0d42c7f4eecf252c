"""Named buffers that are made once and reused."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Scratch:
    """Workspaces of a computation: fresh large arrays cost more than the transforms on a CPU."""

    def __init__(self) -> None:
        self._buffers: dict[Hashable, Tensor] = {}
        self._kept: dict[Hashable, Any] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the buffer of that name, shape and type on a device; its content is whatever was left there."""
        key = (name, shape, dtype, device)
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = self._buffers[key] = torch.empty(shape, dtype=dtype, device=device)
        return buffer

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned the first time: things that are built of buffers and forgotten with them."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def clear(self) -> None:
        """Forget all buffers."""
        self._buffers.clear()
        self._kept.clear()

    @property
    def nbytes(self) -> int:
        """Bytes of named buffers."""
        return sum(buffer.untyped_storage().nbytes() for buffer in self._buffers.values())
