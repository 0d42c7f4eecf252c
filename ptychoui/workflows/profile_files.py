"""What ``ptychoui profile`` reads: dark frames, and stacks with the dark level taken off."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.folder import image_files, read_image
from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings, read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, NoGeometryError
from ptychoui.settings import Geometry, Images

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
    if not path.exists():
        raise DataError(f"there is no file or folder {text!r} with dark frames", "check the path, or give a number")
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


def image_overrides(geometry_path: str | None, dark_level: float | None) -> Images:
    """What the geometry file says of the images, with another dark level if there is one.

    Brightness and stray light of an earlier profile are left out: they are what is measured anew.
    """
    given = read_geometry(geometry_path, for_data=True) if geometry_path else None
    said = (given.images if isinstance(given, PartialGeometry) else None) or Images()
    return said.replace(gains=None, stray=None, dark_level=said.dark_level if dark_level is None else dark_level)


def open_for_profile(
    path: str, geometry_path: str | None, said: Images, otherwise: Geometry | None = None
) -> ImageStack:
    """Open a stack with a geometry, corrected by what is said of its images.

    Parameters
    ----------
    otherwise
        The geometry of a stack that neither carries one nor is given one: a blank field has that of the sample.

    Raises
    ------
    DataError
        If the file holds no stack with a whole geometry.
    """
    given = read_geometry(geometry_path, for_data=True) if geometry_path else None
    try:
        stack = open_dataset(path, _with_images(given, said))
    except NoGeometryError:
        if otherwise is None or given is not None:
            raise
        stack = open_dataset(path, _with_images(otherwise, said))
    if not isinstance(stack, ImageStack) or stack.geometry is None:
        raise DataError(f"{path} is not a stack of LED images with a geometry", "give one with --geometry")
    return stack


def _with_images(given: Geometry | PartialGeometry | None, said: Images) -> Geometry | PartialGeometry | None:
    if said == Images():
        return replace(given, images=None) if isinstance(given, PartialGeometry) else given
    if isinstance(given, PartialGeometry):
        return replace(given, images=said)
    values = flat_settings(given) if isinstance(given, Geometry) else {}
    return PartialGeometry(values=values, source="what is said of the images", images=said)
