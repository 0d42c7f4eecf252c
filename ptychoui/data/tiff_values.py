"""Values as a TIFF file that says how large a pixel is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tiff_of(values: NDArray[np.float32], pixel_um: float | None, **about: Any) -> bytes:
    """Values of shape (row, column) as the bytes of a TIFF file in float32.

    Parameters
    ----------
    pixel_um
        Edge of a pixel in um, or None. It is written ImageJ's way, which Fiji and others read.
    about
        More words for the file's description, such as the unit of the values.
    """
    import tifffile

    file = io.BytesIO()
    per_um = (1 / pixel_um, 1 / pixel_um) if pixel_um else None
    said = {"unit": "um", **about} if pixel_um else about or None
    tifffile.imwrite(file, np.ascontiguousarray(values, np.float32), imagej=True, resolution=per_um, metadata=said)
    return file.getvalue()
