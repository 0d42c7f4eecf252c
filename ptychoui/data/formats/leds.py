"""How many LEDs an array describes, as far as a reader must know it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.experiment import Array


def array_led_count(array: Array) -> int | None:
    """Number of LEDs of an array; None where only the optics can count them (a disc of a lattice)."""
    if array.kind == "lattice":
        return None if array.disc else int(array.rows or 0) * int(array.columns or 0)
    if array.kind == "spiral":
        return int(array.count or 0)
    if array.kind == "table":
        return len(array.positions_mm or ())
    return sum(array.ring_counts or ())


def led_numbers(array: Array | None, count: int) -> NDArray[np.int64]:
    """(LED,) numbers of ``count`` images in the array's order: a table's own numbers, else 0, 1, 2, ..."""
    if array is not None and array.kind == "table" and array.led_numbers is not None:
        return np.asarray(array.led_numbers, dtype=np.int64)
    return np.arange(count, dtype=np.int64)
