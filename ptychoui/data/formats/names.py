"""What the names of a folder's images say of their order: gaps, numbers twice, coordinates that nobody used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ptychoui.words import counted

NUMBER = re.compile(r"((?:(?<![0-9])[-+])?[0-9]+)")
"""A number with its sign; what stands between two digits is no sign but a hyphen."""
SHOWN = 5
"""So many names or numbers are listed at most."""


def notes_on_names(names: Sequence[str]) -> list[str]:
    """Sentences about names, in the order in which their images were taken, that may not be that of the LEDs."""
    if len(names) < 2:
        return []
    parts = [NUMBER.split(name.lower()) for name in names]
    columns = _columns(parts)
    if columns is None:
        hyphens = [re.split(r"([0-9]+)", name.lower()) for name in names]
        columns = _columns(hyphens)
    order = f"they were taken in the order {', '.join(names[:3])}{', ...' if len(names) > 4 else ''}, {names[-1]}"
    fix = "if the LEDs were lit otherwise, list their numbers in that order as array.led_numbers of a geometry"
    if columns is None:
        return [f"the names are not numbered in one way: {order}; {fix}"]
    varied = [column for column in columns if len(set(column)) > 1]
    signed = [column for column in varied if len({text[0] if text[0] in "+-" else "" for text in column}) > 1]
    if signed:
        return [f"the names hold numbers with signs, as coordinates have, which were not used: {order}; {fix}"]
    return _notes_on_numbers(names, [[abs(int(text)) for text in column] for column in varied])


def _columns(parts: list[list[str]]) -> list[tuple[str, ...]] | None:
    """The numbers of all names, place by place; None if the names differ in more than their numbers."""
    if len({tuple(part[::2]) for part in parts}) > 1:
        return None
    return list(zip(*(part[1::2] for part in parts), strict=True))


def _notes_on_numbers(names: Sequence[str], columns: list[list[int]]) -> list[str]:
    """What is missing or twice where names differ by one number, or by several."""
    keys = list(zip(*columns, strict=True)) if columns else [() for _ in names]
    notes = []
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        same = [name for name, key in zip(names, keys, strict=True) if key == twice[0]]
        more = f", and {counted(len(twice) - 1, 'other')} are" if len(twice) > 1 else ""
        notes.append(f"{' and '.join(same)} have the same number{more}: both were taken as images of LEDs")
    counting = [column for column in columns if len(set(column)) == len(set(keys))]
    missing: list[str] = []
    if counting:
        missing = _gaps(min(counting, key=lambda column: max(column) - min(column)))
    elif len(columns) == 2:
        pairs = {(first, second) for first in columns[0] for second in columns[1]}
        missing = [f"{first}, {second}" for first, second in sorted(pairs - set(keys))]
    if missing and len(missing) <= len(names):  # more are no gaps: times, or numbers of a larger board
        listed = "; ".join(missing[:SHOWN]) + ("; ..." if len(missing) > SHOWN else "")
        notes.append(
            f"the names leave out {counted(len(missing), 'number')} ({listed}): the images were taken in a row without "
            "them; if an image was lost, all after it would be of the wrong LED"
        )
    return notes


def _gaps(values: list[int]) -> list[str]:
    """Numbers between the smallest and the largest that are not there, in the usual step."""
    there = sorted(set(values))
    step = math.gcd(*(high - low for low, high in pairwise(there)))
    if (there[-1] - there[0]) // max(step, 1) > 3 * len(there):
        return []
    return [str(value) for value in range(there[0], there[-1], max(step, 1)) if value not in set(there)]
