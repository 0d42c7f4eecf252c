"""One colour of a raw Bayer image: its sites are picked, nothing is interpolated.

Red and blue have one site in four; the two green sites of a cell are averaged. The pixel pitch doubles. Demosaicing
would mix neighbouring pixels and colours, which a measurement of intensities must not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
COLOURS = {"red": "R", "green": "G", "blue": "B"}


def bayer_channel(image: NDArray[Any], pattern: str, colour: str) -> NDArray[Any]:
    """Pixels of one colour of a Bayer image.

    Parameters
    ----------
    image
        (row, column) raw values; an odd last row or column is left out.
    pattern
        Colours of the first two pixels of the first row, then of the second: RGGB, BGGR, GRBG or GBRG.
    colour
        red, green or blue.

    Returns
    -------
    (row // 2, column // 2); red and blue in the image's own type, green as float64.
    """
    if pattern not in PATTERNS or colour not in COLOURS:
        raise DataError(
            f"unknown Bayer pattern {pattern!r} or colour {colour!r}",
            f"patterns are {', '.join(PATTERNS)}, colours {', '.join(COLOURS)}",
        )
    rows, columns = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    sites = [divmod(place, 2) for place, letter in enumerate(pattern) if letter == COLOURS[colour]]
    parts = [image[row:rows:2, column:columns:2] for row, column in sites]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    return np.asarray((parts[0].astype(np.float64) + parts[1]) / 2)
