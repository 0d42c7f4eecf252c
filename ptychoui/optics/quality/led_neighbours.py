"""Whether images stand in the order of their LEDs: neighbours show about the same, LEDs further apart less. NumPy only.

The pupils of neighbouring LEDs overlap, and so do the parts of the object's spectrum that make their images. Nothing is
reconstructed: what is compared is how alike images are, which a wrong pose, focus or pupil does not change. Arrays that
are mirrored or turned keep all neighbours; for these see `calibration.geometry_check`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.optics.geometry.led_array import LedArray, layout
from ptychoui.optics.quality.bright_field import Finding
from ptychoui.settings import Array

FloatArray = NDArray[np.float64]

NEIGHBOURS = 1.2
"""Distance, in units of the pitch, up to which LEDs are neighbours."""

LEAST_LEDS = 20
"""Fewer have too few neighbours to say anything."""

ORDERS = 100
"""Orders by chance that the given one is held against."""

BY_CHANCE = 3.0
"""Standard deviations above orders by chance from which neighbours are more alike: right ones of measured and simulated
stacks have 7 to 50, images in any order up to 1."""

LEAST_PAIRS = 8
"""Pairs of images that must speak for an exchange of two rows."""

EXCHANGED = 3.0
"""Mean over its standard error from which they do: right orders have -9 to 1.5, exchanged rows up to 20."""


def likeness(images: NDArray[np.float32]) -> FloatArray:
    """How alike the amplitudes of images are, each about its mean: (L, L) correlations of (L, row, column) images."""
    amplitude = np.sqrt(np.maximum(images.reshape(len(images), -1), 0)).astype(np.float32)
    amplitude -= amplitude.mean(1, keepdims=True)
    amplitude /= np.maximum(np.linalg.norm(amplitude, axis=1, keepdims=True), 1e-12)
    return np.asarray(amplitude @ amplitude.T, dtype=np.float64)


def order_finding(images: NDArray[np.float32], leds: LedArray, array: Array, objective_na: float) -> Finding | None:
    """Whether images are in another order than their LEDs, all of them or two neighbouring rows or columns.

    Parameters
    ----------
    images
        (LED, row, column) in the order of ``leds``.
    array
        Whose LEDs they are.
    """
    if len(leds) < LEAST_LEDS:
        return None
    numbers, positions = layout(array.replace(max_illumination_na=None))
    places = {int(number): place for place, number in enumerate(numbers)}
    xy = positions[[places[int(number)] for number in leds.numbers], :2]
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    pitch = float(np.median(apart.min(1)))
    if not pitch > 0:
        return None
    alike = likeness(images)
    if above_chance(alike, apart < NEIGHBOURS * pitch, leds.bright_field(objective_na)) < BY_CHANCE:
        return Finding(
            kind="order",
            sentence="images of neighbouring LEDs are no more alike than those of any two: they are in another order "
            "than the LEDs of the geometry, or show little but noise; check the order of the LEDs (ptychoui info "
            "--leds)",
        )
    return _exchanged(alike, (xy - xy[0]) / pitch, leds)


def above_chance(alike: FloatArray, neighbours: NDArray[np.bool_], bright: NDArray[np.bool_]) -> float:
    """How much more alike neighbours are than in orders by chance, in standard deviations of these.

    Bright-field and dark-field images keep apart in them: which are bright, others ask (`bright_field_finding`).

    Parameters
    ----------
    alike, neighbours
        (L, L) from `likeness`, and True for pairs of neighbours.
    bright
        (L,) True in the bright field.
    """
    rng = np.random.default_rng(0)
    pairs = np.nonzero(np.triu(neighbours))
    found = []
    for _ in range(ORDERS):
        order = np.arange(len(alike))
        for group in (bright, ~bright):
            some = np.flatnonzero(group)
            order[some] = rng.permutation(some)
        found.append(float(alike[order[pairs[0]], order[pairs[1]]].mean()))
    return float((alike[pairs].mean() - np.mean(found)) / max(float(np.std(found)), 1e-12))


def _exchanged(alike: FloatArray, cells: FloatArray, leds: LedArray) -> Finding | None:
    """Two neighbouring lines of a lattice whose images are more like those around them the other way round."""
    whole = np.round(cells).astype(int)
    if np.abs(cells - whole).max() > 0.1:
        return None  # no lattice
    best, found = EXCHANGED, None
    for along, name in ((1, "rows"), (0, "columns")):
        place = {(int(cell[along]), int(cell[1 - along])): led for led, cell in enumerate(whole)}
        for line in np.unique(whole[:, along])[:-1].tolist():
            crossing = sorted({across for at, across in place if at == line and (line + 1, across) in place})
            gains = []
            for across in crossing:
                one, other = place[line, across], place[line + 1, across]
                if (before := place.get((line - 1, across))) is not None:
                    gains.append(alike[before, other] - alike[before, one])
                if (after := place.get((line + 2, across))) is not None:
                    gains.append(alike[one, after] - alike[other, after])
            if len(gains) < LEAST_PAIRS:
                continue
            score = float(np.mean(gains) / max(np.std(gains, ddof=1) / np.sqrt(len(gains)), 1e-12))
            if score > best:
                both = [[int(leds.numbers[place[at, across]]) for across in crossing] for at in (line, line + 1)]
                best, found = score, (name, both)
    if found is None:
        return None
    name, (one_line, other_line) = found
    return Finding(
        kind="order",
        sentence=f"two neighbouring {name} of LEDs seem to be exchanged: the images of {_few(one_line)} and those of "
        f"{_few(other_line)} are more like their neighbours' the other way round; check the order of the LEDs "
        "(ptychoui info --leds)",
        led_numbers=tuple(one_line + other_line),
    )


def _few(numbers: list[int]) -> str:
    return f"LED {', '.join(str(n) for n in numbers[:3])}{', ...' if len(numbers) > 3 else ''}"
