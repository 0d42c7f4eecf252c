"""What the names of a folder's images say of their order: gaps, numbers twice, coordinates that nobody used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from ptychoui.words import counted

NUMBER = re.compile(r"((?:(?<![0-9])[-+])?[0-9]+)")
"""A number with its sign; what stands between two digits is no sign but a hyphen."""
DECIMAL = re.compile(r"(?<![0-9.])[0-9]+\.([0-9]+)(?![0-9.])")
"""A number with a point, and its decimal places."""
SHOWN = 5
"""So many names or numbers are listed at most."""


SUFFIX = re.compile(r"(?:\.ome)?\.(?:tiff?|png|jpe?g|bmp|gif)$", re.IGNORECASE)


def stem_of(name: str) -> str:
    """A name without the suffix of an image file; what stands behind a decimal point is none."""
    return SUFFIX.sub("", name)


def natural_key(name: str, decimals: bool = False) -> tuple[list[str | Fraction], str]:
    """Sort key in which the numbers inside a name count as numbers; equal names by their spelling."""
    parts = re.split(r"([0-9]+(?:\.[0-9]+)?)" if decimals else r"([0-9]+)", _stem(name.lower()))
    # Text and numbers alternate, so two keys always compare like with like.
    return [Fraction(part) if place % 2 else part for place, part in enumerate(parts)], name


def have_decimals(names: Sequence[str]) -> bool:
    """Whether numbers with a point are decimals (0.1, 0.05) and not two counts (series 1.9, 1.10)."""
    found = [DECIMAL.findall(_stem(name)) for name in names]
    fractions = [fraction for one in found for fraction in one]
    whole = len({len(one) for one in found}) > 1  # some names have whole numbers instead
    if not fractions or (len({len(fraction) for fraction in fractions}) < 2 and not whole):
        return False  # of one length both readings give one order
    return not any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)


def natural_order(names: Sequence[str]) -> list[str]:
    """Names in natural order: image_2 before image_10, 0.05 before 0.1."""
    decimals = have_decimals(names)
    return sorted(names, key=lambda name: natural_key(name, decimals))


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def notes_on_names(names: Sequence[str]) -> list[str]:
    """Sentences about names, in the order in which their images were taken, that may not be that of the LEDs."""
    if len(names) < 2:
        return []
    if have_decimals(names):
        keys = [natural_key(name, True)[0] for name in names]
        twins = [(one, two) for (one, a), (two, b) in pairwise(zip(names, keys, strict=True)) if a == b]
        return [f"{one} and {two} have the same number: both were taken as images of LEDs" for one, two in twins[:1]]
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
