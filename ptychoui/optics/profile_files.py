"""What ``ptychoui profile`` reads: dark frames, and stacks with the dark level taken off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.folder import image_files, read_image
from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings, read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry, Images

UNEVEN = 0.5
"""Standard deviation over pixels, relative to the dark level, above which one number does not stand for all."""


def read_dark_level(text: str, sources: dict[str, str]) -> float:
    """The dark level in counts: a number, the mean of a dark frame, or of all in a folder.

    Parameters
    ----------
    sources
        Grows by the hash of what was read.

    Raises
    ------
    DataError
        If the frames cannot be read, or show more than darkness.
    """
    try:
        return float(text)
    except ValueError:
        pass
    path = Path(text)
    files = [file for part in image_files(path) for file in part] if path.is_dir() else [path]
    frames = [read_image(file).astype(np.float64) for file in files]
    digest = hashlib.sha256("".join(sha256_file(file) for file in files).encode())
    sources["dark"] = digest.hexdigest()
    level = float(np.mean([frame.mean() for frame in frames]))
    pattern = np.mean(frames, axis=0) if len({frame.shape for frame in frames}) == 1 else frames[0]
    if float(pattern.std()) > UNEVEN * max(abs(level), 1.0):
        raise DataError(
            f"the dark frames are not dark: their mean is {level:.4g} counts and varies by {pattern.std():.4g}",
            "take them with all LEDs off, with the exposure of the images",
        )
    return level


def open_with_dark(path: str, geometry_path: str | None, dark_level: float | None) -> ImageStack:
    """Open a stack with a geometry, and with the dark level subtracted if there is one.

    Raises
    ------
    DataError
        If the file holds no stack with a whole geometry.
    """
    given = read_geometry(geometry_path) if geometry_path else None
    if dark_level is not None:
        if isinstance(given, PartialGeometry):
            said = given.images or Images()
            given = PartialGeometry(
                values=given.values,
                source=given.source,
                leds=given.leds,
                images=said.replace(dark_level=dark_level),
            )
        else:
            values = flat_settings(given) if isinstance(given, Geometry) else {}
            given = PartialGeometry(values=values, source="the dark frames", images=Images(dark_level=dark_level))
    stack = open_dataset(path, given)
    if not isinstance(stack, ImageStack) or stack.geometry is None:
        raise DataError(f"{path} is not a stack of LED images with a geometry", "give one with --geometry")
    return stack
