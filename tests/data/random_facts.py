"""What pages of a TIFF state of themselves: descriptions, their number; or a smaller copy of one beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

FACTS = (
    "LED {n}",
    "x{x}_y{y}",
    '{{"led": {n}, "exposure_ms": 5}}',
    "Camera: A\nLED number = {n}",
    "number",
    "thumbnail",
)


def write_facts(
    path: Path,
    images: np.ndarray,
    options: dict[str, Any],
    facts: str,
    stored: Sequence[int],
    board: Sequence[tuple[int, int]],
) -> None:
    """Pages in the order ``stored`` that say which LED, or which page, each is; ``board`` has row and column of LEDs."""
    with tifffile.TiffWriter(path, byteorder=options.pop("byteorder")) as tiff:
        for n in stored:
            more, own = dict[str, Any](), list(options.get("extratags", []))
            if facts == "number":
                own.append((297, 3, 2, (n, len(images)), True))
            elif facts != "thumbnail":
                more["description"] = facts.format(n=n, x=board[n][1], y=board[n][0])
            tiff.write(images[n], metadata=None, **(options | more | {"extratags": own}))
        if facts == "thumbnail":
            tiff.write(np.zeros((2, 2), images.dtype), metadata=None, photometric="minisblack", subfiletype=1)
