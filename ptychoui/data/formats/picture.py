"""One image as grey numbers, and what has to be known of all images of a stack before they are light.

Colour is grey where its channels are equal, transparency says nothing where it is the same everywhere, and a palette
is looked up where it is a ramp of greys. Which value is black when white is 0 is decided over the whole stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import one_by_one, release
from ptychoui.data.scratch import room
from ptychoui.errors import DataError
from ptychoui.words import counted

GREY = "save the images as grey, one channel, before opening them"
USED_BITS = (8, 10, 12, 14, 16, 20, 24)
"""Bits of cameras, whose values are stored in words of 16 or 32 bits."""
NEARLY_FULL = 0.95
"""Share of the full scale that the darkest pixel of a stack reaches where white is 0."""
DARK = 0.05
"""Mean of a dark image against the brightest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image (row, column) in the file's own type.

    Attributes
    ----------
    white_is_zero
        0 is white; see `light`.
    bits
        Bits of a pixel that the file states.
    colour
        The file holds colour whose channels are equal.
    bits_said
        Bits in use, where the file states them beside those of a pixel.
    palette
        The numbers were looked up in a palette.
    mosaic
        The pixels are those of a colour filter array.
    turned
        Orientation that the file states and by which ``values`` were turned, 1 to 8.
    exposure_ms
        Exposure that the file's header states.
    says
        What else the header says, in words.
    """

    values: NDArray[Any]
    white_is_zero: bool = False
    bits: int = 16
    colour: bool = False
    bits_said: int | None = None
    palette: bool = False
    mosaic: bool = False
    turned: int = 1
    exposure_ms: float | None = None
    says: tuple[str, ...] = ()


def numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Images of one bit as 0 and 1, others as they are."""
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def one_channel(values: NDArray[Any], colours: int, what: str) -> NDArray[Any]:
    """Grey (row, column) of (row, column, sample): equal channels of colour, then transparency.

    Raises
    ------
    DataError
        If the channels differ, or the transparency does from pixel to pixel.
    """
    for place in range(1, colours):
        if not np.array_equal(values[..., place], values[..., 0]):
            raise DataError(f"{what} is a colour image whose channels differ, expected grey", GREY)
    for place in range(colours, values.shape[-1]):
        alpha = values[..., place]
        if alpha.size and np.any(alpha != alpha.flat[0]):
            raise DataError(f"{what} has a transparency that differs from pixel to pixel, expected grey", GREY)
    return np.ascontiguousarray(values[..., 0])


def looked_up(places: NDArray[Any], palette: NDArray[Any], what: str, any_greys: bool = False) -> NDArray[Any]:
    """Greys of a palette (place, red green blue), where those in use rise or fall evenly with their place.

    ``any_greys`` takes greys in any order, as programs store them that shrink PNG files.
    """
    if places.size and int(places.max()) >= len(palette):
        raise DataError(f"{what} names a colour that its palette does not have", "the file is damaged: copy it again")
    used = np.unique(places)
    greys = palette[used].astype(np.float64)
    if np.any(greys != greys[:, :1]):
        raise DataError(f"{what} has a palette of colours, expected grey", GREY)
    if len(used) > 2 and not any_greys:
        line = np.polynomial.Polynomial.fit(used, greys[:, 0], 1)
        step = max(1.0, float(palette.max()) / 255)
        if np.abs(line(used) - greys[:, 0]).max() > step:
            raise DataError(f"{what} has a palette that is no even ramp of greys, expected grey", GREY)
    if len(used) > 1 and len(np.unique(greys[:, 0])) < len(used):
        raise DataError(f"{what} has a palette that gives one grey to several values, expected grey", GREY)
    return np.asarray(palette[:, 0][places])


def light(
    raw: NDArray[Any], first: Picture, bits_said: int | None, name: str, tell: Callable[[str, str], None]
) -> NDArray[Any]:
    """The stack (LED, row, column) with 0 as black: turned round where the file says that 0 is white.

    ``tell`` takes what was done and why.
    """
    if not first.white_is_zero:
        return raw
    if raw.dtype.kind != "u":
        raise DataError(
            f"{name} says that 0 is white, which has no meaning for {raw.dtype} numbers",
            "save it with black as 0 (photometric interpretation BlackIsZero)",
        )
    largest = int(max(image.max() for image in one_by_one(raw)))
    bits = _used_bits(raw, largest, first.bits) if bits_said is None else bits_said
    if bits is None or largest > 2**bits - 1:
        stated = f"[images] states {bits} bits" if bits_said else f"of {first.bits} bits not all are in use"
        raise DataError(
            f"{name} says that 0 is white, but not which value is black: its largest is {largest}, and {stated}",
            "state the camera's bits in a geometry: [images] bit_depth = 12",
        )
    black = 2**bits - 1
    tell(
        f"{black} less the value",
        f"0 is white in the file, {counted(bits, 'bit')} {'is' if bits == 1 else 'are'} in use",
    )
    np.subtract(raw.dtype.type(black), raw, out=raw)
    return raw


def _used_bits(raw: NDArray[Any], largest: int, bits: int) -> int | None:
    """Bits of which 0 is white, by the darkest pixel of the stack; None where it does not tell.

    Fewer bits than a pixel has are believed only if some images are dark then, as in the dark field: else all images
    may be nearly white in all the bits.
    """
    fits = next((used for used in USED_BITS if used < bits and largest < 2**used), None)
    if bits <= 8 or fits is None:
        return bits
    black = 2**fits - 1
    means = [black - float(image.mean()) for image in raw]
    return fits if largest >= NEARLY_FULL * black and min(means) <= DARK * max(means) else None


def stack_of(
    named: Iterable[tuple[str, Picture]], count: int, like: tuple[str, Picture] | None = None
) -> tuple[NDArray[Any], Picture]:
    """(image, row, column) of pictures with their names, which must be alike (and like ``like``); and the first one.

    Raises
    ------
    DataError
        If they differ in size, type or meaning.
    """
    raw: NDArray[Any] | None = None
    pictures: list[tuple[str, Picture]] = []
    for place, (name, picture) in enumerate(named):
        image = picture.values
        like = like or (name, picture)
        if raw is None:
            raw = room((count, *like[1].values.shape), like[1].values.dtype)
        if image.shape != raw.shape[1:] or image.dtype != raw.dtype:
            raise DataError(
                f"{name} is {image.shape} {image.dtype}, {like[0]} is {raw.shape[1:]} {raw.dtype}",
                "all images of a stack must have the same size and type",
            )
        raw[place] = image
        release(raw)
        pictures.append((name, replace(picture, values=raw[place])))
    assert raw is not None and like is not None
    _check_alike(pictures, like)
    return raw, pictures[0][1]


def _check_alike(pictures: Sequence[tuple[str, Picture]], like: tuple[str, Picture]) -> None:
    """Refuse images of different kinds, and colour images that are all of one value.

    A black image in colour has equal channels, too, and says nothing of the others.
    """
    for name, picture in pictures:
        if picture.turned != like[1].turned:
            raise DataError(
                f"{name} is turned otherwise than {like[0]} (Orientation {picture.turned} and {like[1].turned})",
                "save all images of the stack in the same way",
            )
        mine = (picture.white_is_zero, picture.palette, picture.mosaic)
        if mine != (like[1].white_is_zero, like[1].palette, like[1].mosaic):
            raise DataError(
                f"{name} gives its grey values another meaning (white as 0, a palette, a mosaic) than {like[0]}",
                "save all images of the stack in the same way",
            )
    colour = [(name, picture) for name, picture in pictures if picture.colour]
    even = all(np.ptp(picture.values) == 0 for _, picture in [*colour, like])
    if colour and (len(colour) < len(pictures) or even):
        raise DataError(
            f"{colour[0][0]} is a colour or palette image, expected grey"
            + ("" if len(colour) == len(pictures) else f"; {counted(len(pictures) - len(colour), 'image')} are grey"),
            "convert colour images to one channel first",
        )


def shifted_bits(raw: NDArray[Any]) -> int:
    """Bits by which unsigned values of 16 bits were moved up: all are multiples of 4, 16, ...; 0 if they were not."""
    if raw.dtype.kind != "u" or raw.dtype.itemsize != 2:
        return 0
    union = 0
    for image in one_by_one(raw):
        union |= int(np.bitwise_or.reduce(image, axis=None))
        if union & 3:
            return 0
    shift = (union & -union).bit_length() - 1 if union else 0
    return shift if union >= 2**12 and union.bit_count() >= 6 else 0
