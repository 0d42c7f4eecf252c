"""Large arrays in nameless files: images of a foreign format need not fit into memory once they are converted."""

from __future__ import annotations

import os
import shutil
import tempfile
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE_BYTES = 2**29
"""From here on an array gets a file: half a gigabyte is read back from a disk within seconds, mostly it need not be."""

LEFT_FREE_BYTES = 2**30
"""What must stay free on the disk."""


def room(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array to be filled; a large one lies in a file that is gone when the array is.

    Where the disk is too full for it, it lies in memory.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE_BYTES:
        return np.empty(shape, dtype)
    try:
        if shutil.disk_usage(tempfile.gettempdir()).free < size + LEFT_FREE_BYTES:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="ptychoui-") as file:
            if hasattr(os, "posix_fallocate"):
                # A disk that fills up while pages are written would end the program.
                os.posix_fallocate(file.fileno(), 0, size)
            # The map has a descriptor of its own.
            return np.memmap(file, dtype, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
    except OSError:
        return np.empty(shape, dtype)


def sealed(array: NDArray[Any]) -> NDArray[Any]:
    """The array, not to be written any more; what lies in a file stays there."""
    array.setflags(write=False)
    return array
