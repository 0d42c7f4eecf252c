"""Numbers of things, as a person would say them."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """``1 LED``, ``2 LEDs``; ``many`` where an s is not enough."""
    return f"{number} {one if number == 1 else many or one + 's'}"
