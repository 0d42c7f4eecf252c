"""The order of images by what headers and tables state of them, beside the names of files."""

from __future__ import annotations

from collections.abc import Sequence

from ptychoui.data.formats.acquisition import states
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.name_order import (
    FIX,
    NUMBERED,
    in_array_order,
    is_listed,
    numbers_otherwise,
    order_by_labels,
    order_by_names,
    stated_numbers,
    tell_other_numbers,
)
from ptychoui.data.formats.name_places import led_words, named_places, numbers_of_places
from ptychoui.data.formats.names import notes_on_names, stem_of
from ptychoui.data.formats.stated_names import StatedNames
from ptychoui.errors import DataError
from ptychoui.settings import Array, Geometry


def stated_leds(texts: Sequence[str], array: Array) -> list[int] | None:
    """LED of each image by its place or its number; None where not each has one of its own in the array."""
    named = named_places(texts)
    if named is not None:
        return numbers_of_places(named, array)
    return stated_numbers(texts, array)


def order_as_stated(named: Sequence[StatedNames], geometry: Geometry, draft: Draft, kind: str = "image") -> list[int]:
    """Place of each image, in the order of the array's LEDs: as one of the sources states, or as they are.

    Parameters
    ----------
    named
        What the images are called, the most trusted source first.
    kind
        What the images are in the file: a page, a file.

    Raises
    ------
    DataError
        If two sources state different LEDs, or names state places that the array does not have.
    """
    array, differ = geometry.array, [one for one in named if one.differ]
    stored = list(range(len(named[0].texts))) if named else []
    told = [(one, leds) for one in differ if (leds := stated_leds(one.texts, array)) is not None]
    if draft.leds is not None or is_listed(array, draft):
        used = list(array.numbers())
        by = "the data file's own LEDs" if draft.leds is not None else "array.led_numbers of the geometry"
        for one, leds in told:
            if leds != used:
                place = next(place for place, number in enumerate(leds) if number != used[place])
                draft.notes.append(
                    f"{one.source} {states(one.source)} other LEDs than {by}, which were used: {kind} {place} is LED "
                    f"{used[place]}, by {one.source} LED {leds[place]}"
                )
        return stored
    _refuse_contradiction(told, draft, kind)
    usable = next(((one, leds) for one, leds in told if not one.as_stored or named_places(one.texts)), None)
    for one in differ:
        if one.as_stored:
            order = order_by_labels(list(one.texts), geometry, draft)
            if usable is None or usable[0] is one:
                return order
        elif usable is None:
            _tell_unused(one, array, draft)
    if usable is None:
        return stored
    one, leds = usable
    named_by = named_places(one.texts)
    words = "LED number" if named_by is None else named_by.words
    how = "counted as the array counts" if named_by is None else named_by.orientation
    draft.facts = [fact for fact in draft.facts if fact.name != "order of the images"]
    draft.tell("order of the images", f"by {words} in {one.source}", "", how, assumed=True)
    draft.notes.append(
        f"the LEDs were taken from {one.source} ({words}), {how}: {kind} 0 is LED {leds[0]}, {kind} "
        f"{len(leds) - 1} is LED {leds[-1]}"
    )
    tell_other_numbers(one.texts, leds, array, one.source, draft)
    return in_array_order({number: place for place, number in enumerate(leds)}, array, draft, one.source)


def order_of_files(names: StatedNames, stated: Sequence[StatedNames], geometry: Geometry, draft: Draft) -> list[int]:
    """Place of each file, in the order of the array's LEDs: by the names of the files, else as ``stated`` otherwise.

    Parameters
    ----------
    names
        In natural order.

    Raises
    ------
    DataError
        If names and other sources state different LEDs, or names state places that the array does not have.
    """
    array = geometry.array
    if draft.leds is not None or is_listed(array, draft):
        order_as_stated(stated, geometry, draft, "file")
        return order_by_names(list(names.texts), geometry, draft)
    by_names = stated_leds(names.texts, array)
    told = [(one, leds) for one in stated if one.differ and (leds := stated_leds(one.texts, array)) is not None]
    if by_names is not None:
        _refuse_contradiction([(names, by_names), *told], draft, "file")
    elif told and named_places(names.texts) is None:
        untrue = [
            *notes_on_names(names.texts),
            *(note for note in draft.notes if note.startswith("the names speak of")),
        ]
        draft.notes = [note for note in draft.notes if note not in untrue]  # they speak of the natural order
        return order_as_stated(stated, geometry, draft, "file")
    for one in stated:
        if one.differ and all(one is not other for other, _ in told):
            _tell_unused(one, array, draft)
    return order_by_names(list(names.texts), geometry, draft)


def _refuse_contradiction(told: Sequence[tuple[StatedNames, list[int]]], draft: Draft, kind: str) -> None:
    for other, leds in told[1:]:
        first, mine = told[0]
        if leds != mine:
            place = next(place for place, number in enumerate(leds) if number != mine[place])
            what = f"{kind} {place}" if kind == "page" else told[0][0].texts[place] or f"{kind} {place}"
            raise DataError(
                f"{draft.path.name}: {first.source} and {other.source} state different LEDs, of {what} LED "
                f"{mine[place]} and LED {leds[place]}",
                "list the LEDs in the order of the images as array.led_numbers of a geometry",
            )


def _tell_unused(one: StatedNames, array: Array, draft: Draft) -> None:
    """Say of texts that speak of LEDs that these could not be used; names of places that are not there are refused."""
    places = named_places(one.texts)
    if places is not None and array.kind == "lattice" and one.are_labels:
        raise DataError(
            f"{draft.path.name}: {one.source} {states(one.source)} LEDs ({places.words}) that are not those of the "
            f"lattice of {array.rows} x {array.columns} in the geometry",
            "correct rows and columns of the geometry, or list the LEDs in the order of the images as "
            "array.led_numbers",
        )
    numbered = [text for text in one.texts if NUMBERED.search(stem_of(text))]
    words = places.words if places else numbered[0][:40] if numbered else led_words(one.texts)
    if not words:
        if otherwise := numbers_otherwise(one.texts):
            draft.notes.append(
                f"{one.source} {otherwise} ({one.texts[0][:30]}, {one.texts[1][:30]}, ...), which was not used: the "
                f"order is as stored; {FIX}"
            )
        return
    if places or len(numbered) == len(one.texts):
        why = "they are not those of the array, each once"
    else:
        why = f"{len(numbered)} of {len(one.texts)} images have one" if numbered else "of which only the order is known"
    draft.notes.append(
        f"{one.source} {states(one.source)} LEDs ({words}), which were not used ({why}): the order is as stored; {FIX}"
    )
