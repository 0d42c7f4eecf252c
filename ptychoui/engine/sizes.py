"""Sizes for people. No torch: the window shows them too."""

from __future__ import annotations


def size_text(count: float) -> str:
    """Bytes with the unit a person would use (powers of 1000)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
