"""One array of numbers from a .npy file, by an own strict reading of its header: no pickles, no evaluation."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1024
HEADER = re.compile(
    r"\{\s*'descr':\s*'([<>|=])([uifbc])(1|2|4|8|16)',\s*'fortran_order':\s*(True|False),"
    r"\s*'shape':\s*\(([0-9, ]*)\),?\s*\}\s*\n?"
)


SIZES = {"u": "1248", "i": "1248", "f": "248", "b": "1", "c": ("8", "16")}
"""Bytes that a number of each kind has."""


def read_npy(path: Path, kinds: str = "uif") -> NDArray[Any]:
    """Read an array of integers or floats, of any shape; of truth values (b) and complex numbers (c) where asked for.

    Raises
    ------
    DataError
        If the file is missing, holds objects (pickles) or is not exactly as long as its header says.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path.name} is not a file", "check the folder of the captures")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path.name}: {error.strerror}", "check that the file is there") from None
    if len(raw) < 12 or raw[:6] != MAGIC or raw[6] not in (1, 2):
        raise DataError(f"{path.name} is not a NumPy file", "copy the file again")
    width = 2 if raw[6] == 1 else 4
    length = int.from_bytes(raw[8 : 8 + width], "little")
    start = 8 + width + length
    if length > LONGEST_HEADER or start > len(raw):
        raise DataError(f"{path.name} is damaged: its header is {length} bytes long", "copy the file again")
    text = raw[8 + width : start].decode("latin-1")
    found = HEADER.fullmatch(text)
    if found is None:
        kind = "objects, which are pickled" if "|O" in text else "something else than plain numbers"
        raise DataError(f"{path.name} holds {kind}: not read", "save it as an array of integers or floats")
    order, letter, size, fortran, dimensions = found.groups()
    if letter in "bc" and letter not in kinds:
        kind = "complex numbers" if letter == "c" else "truth values"
        raise DataError(f"{path.name} holds {kind}: not read", "save it as an array of integers or floats")
    if size not in SIZES[letter]:
        raise DataError(f"{path.name} holds numbers of an unknown kind: not read", "copy the file again")
    # At most eight numbers of at most nine digits: enough for images, and no room for absurd integers.
    words = [word.strip() for word in dimensions.split(",") if word.strip()]
    if len(words) > 8 or any(not word.isdigit() or len(word) > 9 for word in words):
        raise DataError(f"{path.name} has the absurd shape ({dimensions[:60]})", "copy the file again")
    shape = tuple(int(word) for word in words)
    dtype = np.dtype(f"{'<' if order in '|=' else order}{letter}{size}")
    if math.prod(shape) * dtype.itemsize != len(raw) - start:
        raise DataError(
            f"{path.name} is cut short or damaged: its header says {shape} of {dtype}, {len(raw) - start} bytes follow",
            "copy the file again and compare its size",
        )
    flat = np.frombuffer(raw, dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran == "True" else "C")
