"""What the C library does with freed arrays, on Linux."""

from __future__ import annotations

import ctypes
import sys

APART_FROM = 2**22
"""Bytes from which an array has pages of its own."""

KEPT_BYTES = 2**24
"""Freed bytes at the heap's end that are kept for the next array instead of going back to the system."""

LARGEST_IN_HEAP = 2**25
"""Largest array that the library can be told to keep in its heap."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def large_arrays_apart(least_bytes: int = APART_FROM) -> bool:
    """Let arrays of so many bytes have pages of their own, which go back to the system when the array is freed.

    Left to itself the GNU C library learns to carve arrays of up to 32 MiB out of a heap, where what is freed leaves
    holes that the next array may not fit into: a run then holds up to a third more than its arrays. Smaller arrays
    stay in the heap, and the heap keeps `KEPT_BYTES`, because fresh pages cost more than short work on them: chunks of
    LEDs are made and freed some ten times in an unroll. True if the library took the settings.
    """
    return _set(_M_MMAP_THRESHOLD, least_bytes) and _set(_M_TRIM_THRESHOLD, KEPT_BYTES)


def keep_freed_pages() -> bool:
    """Let all but the largest arrays come from a heap that gives nothing back: for benchmarks, which repeat.

    Every row then works on pages that it has had before, whatever was freed between. True if the library took it.
    """
    return _set(_M_MMAP_THRESHOLD, LARGEST_IN_HEAP) and _set(_M_TRIM_THRESHOLD, 2**31 - 1)


def _set(parameter: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(parameter, value))
