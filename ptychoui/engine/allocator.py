"""What the C library does with freed arrays, on Linux."""

from __future__ import annotations

import ctypes
import sys

APART_FROM = 2**22
"""Bytes from which an array has pages of its own."""

_M_MMAP_THRESHOLD = -3


def large_arrays_apart(least_bytes: int = APART_FROM) -> bool:
    """Let arrays of so many bytes have pages of their own, which go back to the system when the array is freed.

    Left to itself the GNU C library learns to carve arrays of up to 32 MiB out of a heap, where what is freed leaves
    holes that the next array may not fit into: a run then holds up to a third more than its arrays. Smaller arrays
    stay in the heap, because fresh pages cost more than short work on them. True if the library took the setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, least_bytes))
