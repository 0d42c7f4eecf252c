"""The order of images by their names: of files in a folder, or of the slices of a stack that ImageJ made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations

from ptychoui.data.formats.acquisition import states
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.name_places import led_words, named_places, numbers_of_places
from ptychoui.data.formats.names import natural_order, notes_on_names, stem_of
from ptychoui.errors import DataError
from ptychoui.settings import Array, Geometry
from ptychoui.words import counted

NUMBERED = re.compile(
    r"(?:(?<![A-Za-z])[Ll][Ee][Dd]|(?<![A-Z])LED)"
    r"(?:[ _-]?(?:[Nn]umber|[Ii]nde?x|[Nn]um|[Nn][or]|[Ii]d|ID)\.?(?![a-z]))?[ _#=:(-]{0,2}(\d{1,6})(?!\d|[.,p]\d)"
)
"""The number of an LED, as names state it."""
FIX = "if the LEDs were lit otherwise, list their numbers in that order as array.led_numbers of a geometry"


def is_listed(array: Array, draft: Draft) -> bool:
    """Whether the user lists the LEDs of the images in their order; a table by itself only numbers its LEDs."""
    return draft.listed if array.kind == "table" else array.led_numbers is not None


def stated_numbers(names: Sequence[str], array: Array) -> list[int] | None:
    """LED of each name, where all names number the LEDs of an array, each once, from 0 or 1; else None."""
    found = [NUMBERED.findall(stem_of(name)) for name in names]
    if any(len(one) != 1 for one in found):
        return None
    stated, numbers = [int(one[0]) for one in found], list(array.numbers())
    first = next((first for first in (0, 1) if sorted(stated) == sorted(number + first for number in numbers)), None)
    return None if first is None else [number - first for number in stated]


def tell_names(names: list[str], draft: Draft) -> None:
    """Record what the names of a folder's images say of their order, as far as it is known without a geometry."""
    named = named_places(names)
    if named is not None and draft.leds is None:
        draft.tell("order of the images", f"by {named.words} in the names", "", named.orientation, assumed=True)
        return
    draft.tell("order of the images", f"{names[0]} to {names[-1]}", "", "natural order of the names", assumed=True)
    if named is None:
        said, words = notes_on_names(names), led_words(names)
        if words and not any("not used" in note for note in said):
            said.append(f"the names speak of LEDs ({words}), of which only the natural order was used; {FIX}")
        draft.notes.extend(said)


def _forget_order(draft: Draft) -> None:
    draft.facts = [fact for fact in draft.facts if fact.name != "order of the images"]


def _natural_after_all(names: list[str], draft: Draft) -> None:
    """Record that places in the names were not used."""
    _forget_order(draft)
    draft.tell("order of the images", f"{names[0]} to {names[-1]}", "", "natural order of the names", assumed=True)


def order_by_names(names: list[str], geometry: Geometry, draft: Draft) -> list[int]:
    """Place in ``names`` of each image, in the order of the array's LEDs: as the names state, or as they are.

    Parameters
    ----------
    names
        In natural order.

    Raises
    ------
    DataError
        If the names state places that are not those of the geometry's lattice.
    """
    ends = f"{names[0]} to {names[-1]}"
    natural = f"{counted(len(names), 'file')} in natural order, from {names[0]} to {names[-1]}"
    named, array = named_places(names), geometry.array
    numbers = None if named is None or draft.leds is not None else numbers_of_places(named, array)
    listed = is_listed(array, draft)
    if named is not None and numbers is not None and not listed:
        place_of = {number: place for place, number in enumerate(numbers)}
        draft.notes.append(
            f"the LEDs were taken from the files' names ({named.words}): {named.orientation}; {names[0]} is LED "
            f"{numbers[0]}, {names[-1]} is LED {numbers[-1]}"
        )
        tell_other_numbers(names, numbers, array, "the names", draft)
        return in_array_order(place_of, array, draft)
    if named is not None and numbers is None and draft.leds is None and array.kind == "lattice" and not listed:
        raise DataError(
            f"the names of the files in {draft.path.name} state LEDs ({named.words}: {_range_of(named.places)}) that "
            f"are not those of the lattice of {array.rows} x {array.columns} in the geometry",
            "correct rows and columns of the geometry, or list the LEDs in the natural order of the names as "
            "array.led_numbers",
        )
    if named is not None:
        _natural_after_all(names, draft)
    if named is not None and numbers is not None:
        if list(numbers) != list(array.numbers()):
            draft.notes.append(
                f"the names state the LEDs ({named.words}), and array.led_numbers of the geometry states others for "
                f"them, which were used; {names[0]} is LED {array.numbers()[0]}, by its name LED {numbers[0]}"
            )
    elif named is not None:
        draft.notes.append(f"the names state LEDs ({named.words}), which were not used: {ends} in natural order; {FIX}")
    elif draft.leds is None and not listed and (place_of := _numbered(names, array)):
        _forget_order(draft)
        untrue = notes_on_names(names)  # they speak of the natural order
        draft.notes = [note for note in draft.notes if note not in untrue]
        draft.tell("order of the images", "by LED number in the names", "", "counted as the array counts", assumed=True)
        draft.notes.append(
            f"the LEDs were taken from the numbers in the files' names, which are in another order: {names[0]} is LED "
            f"{_led_at(0, place_of)}, {names[-1]} is LED {_led_at(len(names) - 1, place_of)}"
        )
        return in_array_order(place_of, array, draft)
    else:
        _note_on_numbers(names, geometry, draft)
    draft.notes.append(natural)
    return list(range(len(names)))


def in_array_order(place_of: Mapping[int, int], array: Array, draft: Draft, source: str = "the names") -> list[int]:
    """Place of each LED's image; that exposures which the user states follow the LEDs is said."""
    order = [place_of[number] for number in array.numbers()]
    if len(set(draft.said.exposures or ())) > 1 and order != sorted(order):
        draft.notes.append(
            f"the exposures in [images] of {draft.said_in} were taken in the order of the array's LEDs, not in "
            f"that of {source}"
        )
    return order


def _numbered(names: list[str], array: Array) -> dict[int, int]:
    """LED -> place of its name, where the names number the LEDs of an array in another order."""
    numbers = stated_numbers(names, array)
    if numbers is None or numbers == list(array.numbers()):
        return {}
    return {number: place for place, number in enumerate(numbers)}


def _led_at(place: int, place_of: Mapping[int, int]) -> int:
    return next(number for number, at in place_of.items() if at == place)


def _range_of(places: tuple[tuple[int, int], ...]) -> str:
    if not places:
        return "bits"
    first, second = ([place[axis] for place in places] for axis in (0, 1))
    return f"{min(first)} to {max(first)}, {min(second)} to {max(second)}"


def _note_on_numbers(names: list[str], geometry: Geometry, draft: Draft) -> None:
    """Say that names number the LEDs otherwise than the geometry lists them, or by two bare numbers."""
    found = [NUMBERED.findall(stem_of(name)) for name in names]
    listed = geometry.array.numbers()
    if all(len(one) == 1 for one in found):
        numbers = [int(one[0]) for one in found]
        if draft.leds is None and numbers != list(listed) and sorted(numbers) == sorted(listed):
            draft.notes.append(
                f"the names number the LEDs, and the geometry lists them in another order, which was used: {names[0]} "
                f"is LED {listed[0]}, {names[-1]} is LED {listed[-1]}"
            )
        return
    columns = [re.findall(r"\d+", stem_of(name)) for name in names]
    if len({len(one) for one in columns}) != 1:
        return
    moving = [column for column in zip(*columns, strict=True) if 1 < len(set(column)) < len(names)]
    for slow, fast in combinations(moving, 2):
        pairs = set(zip(slow, fast, strict=True))
        if len(pairs) == len(names) == len(set(slow)) * len(set(fast)):
            draft.notes.append(
                f"the names hold two numbers, as row and column would be, but do not say which is which: the first was "
                f"taken as the slow one, from {names[0]} to {names[-1]}"
            )
            return


def tell_other_numbers(names: Sequence[str], leds: Sequence[int], array: Array, source: str, draft: Draft) -> None:
    """Say that names which state places number the LEDs as well, and otherwise."""
    numbers = stated_numbers(names, array)
    if numbers is not None and numbers != list(leds):
        place = next(place for place, number in enumerate(numbers) if number != leds[place])
        draft.notes.append(
            f"the numbers of LEDs that {source} {states(source)} contradict the places, which were used: "
            f"{names[place]} is LED {leds[place]} by its place"
        )


def numbers_otherwise(names: Sequence[str]) -> str:
    """What names without an LED seem to say of another order than theirs; empty where they do not."""
    parts = [re.split(r"(\d+)", stem_of(name)) for name in names]
    if len(names) < 3 or len({tuple(part[::2]) for part in parts}) > 1:
        return ""
    columns = [[int(text) for text in column] for column in zip(*(part[1::2] for part in parts), strict=True)]
    moving = [column for column in columns if len(set(column)) > 1]
    if len(moving) == 1:
        counts = len(set(moving[0])) == len(names) == max(moving[0]) - min(moving[0]) + 1
        return "number the images in another order" if counts and moving[0] != sorted(moving[0]) else ""
    for slow, fast in combinations(moving, 2):
        if len(set(zip(slow, fast, strict=True))) == len(names) == len(set(slow)) * len(set(fast)) and len(moving) == 2:
            return "hold two numbers, as row and column would be"
    return ""


def order_by_labels(labels: list[str], geometry: Geometry, draft: Draft) -> list[int]:
    """Place in ``labels`` of each plane, in the order of the array's LEDs, as the slices of a stack are called.

    Labels that state column and row, or one bit of many, are used as names of files are; others only have to follow
    each other naturally.
    """
    stored = list(range(len(labels)))
    if draft.leds is not None or len(set(labels)) != len(labels) or len(labels) < 2:
        return stored
    if named_places(labels) is not None:
        natural = natural_order(labels)
        tell_names(natural, draft)
        return [labels.index(natural[place]) for place in order_by_names(natural, geometry, draft)]
    if natural_order(labels) != labels:
        draft.notes.append(
            f"the slices are called {labels[0]}, {labels[1]}, ... {labels[-1]}, which is not the natural order of "
            "these names; they were taken as stored: if they were sorted by letters, list the LEDs in that order as "
            "array.led_numbers of a geometry"
        )
    return stored
