"""Whether the bright images are those of LEDs inside the objective's NA. NumPy only: fast enough for every file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, pieces
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.settings import Array, Geometry
from ptychoui.words import counted

BESIDE_EDGE = 0.1
"""LEDs within this share of the objective's NA of its edge may be bright or dark."""

DARK_SHARE = 0.35
"""Mean of an image, over the median of the bright field, below which it is no bright field, whatever its LED gives."""

BRIGHT_SHARE = 0.6
"""The same above which it is no dark field."""


ENOUGH_PIXELS = 2**20
"""Pixels of an image that tell its brightness, where a quick answer is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in which images and geometry contradict each other.

    Attributes
    ----------
    kind
        ``bright field``, ``pose``, ``circles``, ``order`` or ``layout``.
    sentence
        What is the matter and what to do.
    led_numbers
        LEDs that show it.
    array
        The array that the images suggest, where they do.
    """

    kind: str
    sentence: str
    led_numbers: tuple[int, ...] = ()
    array: Array | None = None


def bright_field_finding(means: NDArray[np.float64], leds: LedArray, objective_na: float) -> Finding | None:
    """Compare which images are bright with which LEDs should be.

    A single LED that is dead or far too bright is no sign of a wrong geometry and is left to others.

    Parameters
    ----------
    means
        (LED,) mean of every image in the order of ``leds``, any unit.
    """
    radius = leds.radius_na / objective_na
    inside, outside = radius < 1 - BESIDE_EDGE, radius > 1 + BESIDE_EDGE
    if not inside.any() or not outside.any():
        return None
    usual = float(np.median(means[inside]))
    count = int(inside.sum())
    brightest = leds.numbers[np.argsort(-means, kind="stable")[:count]]
    named = ", ".join(str(n) for n in sorted(brightest[:6])) + (", ..." if count > 6 else "")
    hint = (
        "check the order of the LEDs, the array's centre, shift and height, and the objective's NA (ptychoui info "
        "--leds lists what is predicted)"
    )
    if not usual > 2 * float(np.median(means[outside])):
        return Finding(
            kind="bright field",
            sentence=f"the {counted(count, 'LED')} predicted in the bright field "
            f"{'is' if count == 1 else 'are'} not the brightest, which are LED {named}: {hint}",
            led_numbers=tuple(int(n) for n in brightest),
        )
    dark, bright = inside & (means < DARK_SHARE * usual), outside & (means > BRIGHT_SHARE * usual)
    if dark.sum() + bright.sum() < max(2, 0.03 * count) or not bright.any():
        return None
    parts = []
    for some, seen, expected in ((dark, "dark", "bright"), (bright, "bright", "dark")):
        if some.any():
            few = ", ".join(str(n) for n in leds.numbers[some][:6]) + (", ..." if some.sum() > 6 else "")
            parts.append(f"{counted(int(some.sum()), 'image')} {seen} that should be {expected} field (LED {few})")
    return Finding(
        kind="bright field",
        sentence=f"the images contradict the geometry: {' and '.join(parts)}; {hint}",
        led_numbers=tuple(int(n) for n in leds.numbers[dark | bright]),
    )


def image_means(stack: ImageStack) -> NDArray[np.float64]:
    """(L,) mean of every image, of large ones over some of their rows: bright and dark field differ by far more."""
    step = max(1, stack.images[0].size // ENOUGH_PIXELS)
    parts = [part[:, ::step].mean((1, 2), dtype=np.float64) for part in pieces(stack.images)]
    return np.concatenate(parts)


def stack_findings(
    stack: ImageStack, geometry: Geometry, all_means: NDArray[np.float64] | None = None
) -> tuple[Finding, ...]:
    """What the brightness of a stack's images says of a geometry; nothing where no LED has an image.

    ``all_means`` are the `image_means`, (image,), where they are known already.
    """
    leds = led_array(geometry.array.replace(falloff="none"))
    places = stack.places_of(leds.numbers)
    there = places >= 0
    if not there.any():
        return ()
    leds, chosen = leds.select(there), places[there]
    means = (image_means(stack) if all_means is None else all_means)[chosen]
    found = bright_field_finding(means, leds, geometry.microscope.objective_na)
    return () if found is None else (found,)
