"""Words that messages share. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Sequence


def counted(count: int, one: str, more: str = "") -> str:
    """A number with its noun: "1 image", "2 images"; ``more`` where the plural is not ``one`` with an s."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def joined(words: Sequence[str]) -> str:
    """A list in words: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def clock(seconds: float) -> str:
    """A time in seconds since 1970 as hours, minutes and seconds of the day, here."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))
