"""Look-up tables for images: the ones microscopists know, and a cyclic one for phase."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from ptychoui.gui.look.theme import ramp

NAMES = ("gray", "inverted gray", "viridis", "magma", "phase (cyclic)", "blue to red", "HiLo")

_CYCLIC = ("#101018", "#27366f", "#3f77b5", "#8fbcd0", "#ebe7e1", "#dba683", "#b8543f", "#6b2440", "#101018")
_DIVERGING = ("#1b4f9c", "#6fa3d6", "#f4f4f4", "#e08a66", "#9c2a1b")


@cache
def lut(name: str) -> NDArray[np.uint8]:
    """(256, 3) colours of a look-up table; unknown names give gray."""
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    if name == "inverted gray":
        return np.ascontiguousarray(gray[::-1])
    if name in ("viridis", "magma"):
        table: NDArray[np.uint8] = pg.colormap.get(name).getLookupTable(0.0, 1.0, 256)[:, :3].astype(np.uint8)
        return table
    if name == "phase (cyclic)":
        return ramp(_CYCLIC)
    if name == "blue to red":
        return ramp(_DIVERGING)
    if name == "HiLo":
        # Fiji's convention: what is at or below the lower limit is blue, at or above the upper limit red.
        gray[0], gray[255] = (0, 0, 255), (255, 0, 0)
    return gray


def with_gamma(table: NDArray[np.uint8], gamma: float) -> NDArray[np.uint8]:
    """(256, 3) colours where the share s of the range has the colour that s to the power of ``gamma`` had."""
    if gamma == 1:
        return table
    places = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.intp)
    return np.ascontiguousarray(table[places])
