"""Words that messages share. Standard library only."""

from __future__ import annotations


def counted(count: int, one: str, more: str = "") -> str:
    """A number with its noun: "1 image", "2 images"; ``more`` where the plural is not ``one`` with an s."""
    return f"{count} {one if count == 1 else more or one + 's'}"
