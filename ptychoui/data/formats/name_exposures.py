"""Exposures in the names of single images: ``led_3_10ms.tif``, ``dark10ms``, ``dark_0.1s.png``, ``led_3_0p5ms.tif``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ptychoui.data.formats.acquisition import MS_PER_UNIT, Acquisition
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.stated_names import StatedNames
from ptychoui.errors import DataError

UNIT = "ms|us|µs|μs"
NUMBER = r"([0-9]+(?:[.,pP][0-9]+)?)"
WHOLE = r"(?<![0-9.,])(?<![0-9][A-SU-Za-su-z'’·:;^])(?<![0-9][eE][-+])"
"""Before a number: no other part of it, as in 1e3 or 1d5; a t between two numbers stands for the time."""
IN_NAME = re.compile(rf"(?:{WHOLE}{NUMBER} ?({UNIT})|(?<![A-Za-z]){WHOLE}{NUMBER}(s))(?![0-9A-Za-z])")
DIVIDED = re.compile("0(?:[^0-9]{1,3}|point|comma)")
"""What stands before the last digits of a number that a character or short word divides; numbers count as 0."""
TAIL = re.compile(r"[0-9]+[^0-9]{1,5}[0-9]+(?:[.,pP][0-9]+)? ?[a-zµμ]+$")
GROUPED = re.compile(r"[1-9][0-9]*[.][0-9]{2}0")
"""1.000 and 1.500 beside numbers without a point: thousands, or decimals."""
THOUSANDS = re.compile(r"[1-9][0-9]*,[0-9]{3}")
UNCLEAR = re.compile(
    rf"[0-9][0-9.,]*(?:[A-SU-Za-su-z'’·:;^]|[eE][-+])[0-9.,]*[0-9] ?(?:{UNIT}|s)(?![0-9A-Za-z])"
    rf"|(?<![0-9.,])[1-9][0-9]*(?:,[0-9]{{3}})+ ?(?:{UNIT}|s)(?![0-9A-Za-z])"
)
"""Numbers with a unit that may be read in two ways, or are written as no camera's software expects."""
TIME = re.compile(r"(?<![A-Za-z])[tT][ _=-]?([0-9]+(?:[.,p][0-9]+)?)(?![0-9]|[.,p][0-9]| ?(?:ms|us|µs|μs|s)(?![a-z]))")
"""t10: an exposure, or a number in time."""
BARE = re.compile(r"(?<![a-z])exp(?:osure)?(?:[ _-]?time)?[ _=-]*[0-9]+(?:[.,][0-9]+)?(?![0-9])", re.IGNORECASE)
WORD = r"(?:ms(?:ecs?)?|milli-?sec[a-z]*|[uµμ]s(?:ecs?)?|micro-?sec[a-z]*|secs?|seconds?)"
LIKE = re.compile(rf"[0-9.,]*[0-9](?:[ _-]?(?:{WORD}|ns|min|s)(?![0-9a-z])|ms[0-9a-z]+)", re.IGNORECASE)
BEFORE = re.compile(rf"(?<![0-9a-z]){WORD}[ _=-]?[0-9]+(?:[.,p][0-9]+)?(?![0-9a-z])", re.IGNORECASE)
"""What looks like a time: a number and a unit, or a unit and a number."""


def of_name(name: str) -> float | None:
    """Exposure in ms that a file's name states with its unit; None if there is none, or it can be read in two ways."""
    found = [(first or other, unit or seconds) for first, unit, other, seconds in IN_NAME.findall(name)]
    if len(found) != 1 or THOUSANDS.fullmatch(found[0][0]):
        return None
    value = float(re.sub("[,pP]", ".", found[0][0])) * MS_PER_UNIT[found[0][1]]
    return value if value > 0 else None


def without_unit(names: Sequence[str]) -> list[str]:
    """Exposures that names state without a unit, as they are written, if they differ."""
    found = [match[0] for name in names if of_name(name) is None and (match := BARE.search(name))]
    if len(set(found)) > 1:
        return sorted(set(found))
    times = [match[0] for name in names if of_name(name) is None and (match := TIME.search(name))]
    # All different they number the images: t000, t001, ...
    return sorted(set(times)) if 1 < len(set(times)) and len(set(times)) < len(names) else []


def not_read(names: Sequence[str]) -> list[str]:
    """What looks like a time in names of which no exposure is taken, as it is written, if the names differ in it."""
    for pattern in (LIKE, BEFORE):
        found = [" ".join(pattern.findall(name)) for name in names if of_name(name) is None]
        texts = sorted(set(filter(None, found)))
        counts = pattern is BEFORE and len(texts) == len(names)  # MS1, MS2, ... number the images
        if not counts and (len(texts) > 1 or 0 < sum(map(bool, found)) < len(names)):
            return texts
    return []


def refuse_unclear(where: str, names: Sequence[str]) -> None:
    """Refuse names whose exposures differ and can be read in two ways.

    Raises
    ------
    DataError
        If they have an exponent, a comma before three digits, or perhaps a decimal point written as ``_``.
    """
    found = [match[0] if (match := UNCLEAR.search(name)) and of_name(name) is None else "" for name in names]
    texts = sorted({text for text in found if text}) if len(set(found)) > 1 else _split(names)
    if texts:
        raise DataError(
            f"{where} state exposures that can be read in two ways ({', '.join(texts[:3])})",
            "write them as 0.5ms, 1500us or 1s, or state [images] exposures of a geometry",
        )


def _split(names: Sequence[str]) -> list[str]:
    """Exposures like 1_5ms, where the number before the _ does not seem to count the images."""
    matches = [IN_NAME.search(name) for name in names]
    parts = [
        re.fullmatch(r"(.*?)((?<![0-9.,])[0-9]{1,3})([_ -])", name[: match.start()]) if match else None
        for name, match in zip(names, matches, strict=True)
    ]
    shapes = [
        re.sub("[0-9]+", "0", name[: match.start()]) if match else ""
        for name, match in zip(names, matches, strict=True)
    ]
    texts = [part[2] + part[3] + match[0] if part and match else "" for part, match in zip(parts, matches, strict=True)]
    known = {shape for shape, match in zip(shapes, matches, strict=True) if match}
    longer = [
        any(shape.startswith(other) and DIVIDED.fullmatch(shape.removeprefix(other)) for other in known)
        for shape in shapes
    ]
    if any(longer):
        ends = [TAIL.search(name[: match.end()]) if match else None for name, match in zip(names, matches, strict=True)]
        return sorted({end[0] for end, more in zip(ends, longer, strict=True) if end and more})
    fractions = [match[1] or match[3] if match else "" for match in matches]
    grouped = {
        match[0] for match, number in zip(matches, fractions, strict=True) if match and GROUPED.fullmatch(number)
    }
    if grouped and any(number.isdigit() for number in fractions):
        return sorted(grouped)
    if not all(parts) or len(set(shapes)) > 1:
        return []
    whole = [part[2] for part in parts if part]
    before = [re.findall("[0-9]+", part[1]) for part in parts if part]
    others = {
        part[1] + name[match.end() :] for part, name, match in zip(parts, names, matches, strict=True) if part and match
    }
    # Row and column together are a place, and need not be the only number of the image.
    places = any(
        len(set(column)) < len(names) == len(set(zip(column, whole, strict=True)))
        for column in zip(*before, strict=True)
    )
    if places or len(set(whole)) == len(names) or len(others) < len(names):
        return []
    decimals = all(re.fullmatch("[0-9]|[0-9][1-9]", text) for text in fractions)
    return sorted(set(texts)) if decimals and len(set(texts)) > 1 else []


def agreed(
    every: Sequence[Acquisition], named: Sequence[StatedNames], where: str, draft: Draft, given: bool
) -> Acquisition:
    """The first of several sources that has exposures: what headers state, then what the images are called.

    Parameters
    ----------
    named
        What the images are called, by their source.
    where
        What is opened, in words.
    given
        The user states the exposures, so nothing has to agree.

    Raises
    ------
    DataError
        If names state exposures that differ, and these cannot be read, or another source states one for all.
    """
    by_name = [Acquisition(exposures_ms=[of_name(text) for text in one.texts], source=one.source) for one in named]
    every = [*every, *by_name]
    found = next((one for one in every if any(one.exposures_ms)), every[0] if every else Acquisition())
    if given:
        return found
    for names, mine in zip(named, by_name, strict=True):
        if found is mine or not _several(found):
            refuse_unclear(names.where or f"{names.source} in {where}", names.texts)
        words = "the names" if names.source.endswith("names") else names.source
        state, hold = ("state", "hold") if mine.states == "state" else ("states", "holds")
        if bare := without_unit(names.texts):
            draft.notes.append(
                f"{words} {state} exposures without a unit ({', '.join(bare[:3])}), which were not used: write them as "
                "10ms, or state exposures in [images] of a geometry"
            )
        if like := not_read(names.texts):
            draft.notes.append(
                f"{words} {hold} what looks like times ({', '.join(like[:3])}), which were not used: write exposures "
                "as 0.5ms, or state exposures in [images] of a geometry"
            )
    for other in every:
        if not any(_unlike(a, b, 1e-2) for a, b in zip(found.exposures_ms, other.exposures_ms, strict=False)):
            continue
        if _several(other) and not _several(found):
            raise DataError(
                f"{draft.path.name}: {found.source} {found.states} one exposure for all images, and {other.source} "
                f"{other.states} several",
                "state the exposures that were used in a geometry: [images] exposures = [...]",
            )
        draft.notes.append(
            f"{found.source} and {other.source} state different exposures: those of {found.source} were used"
        )
    return found


def _several(found: Acquisition) -> bool:
    """Whether the exposures that are known differ by more than digits of a name are left out."""
    known = [value for value in found.exposures_ms if value is not None]
    return bool(known) and _unlike(min(known), max(known), 1e-2)


def _unlike(one: float | None, other: float | None, share: float) -> bool:
    return one is not None and other is not None and not math.isclose(one, other, rel_tol=share)
