"""What tests of real files share: a stack of which every image is another, its geometry, and OME headers to order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings
from ptychoui.data.formats.open import open_dataset
from ptychoui.settings import Geometry, Images

SCOPE = {"wavelength_um": 0.5, "objective_na": 0.1, "magnification": 2.0, "camera_pixel_um": 4.0}
LEDS = {"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.0, "height_mm": 90.0}
WHOLE = Geometry(microscope=SCOPE, array=LEDS)  # type: ignore[arg-type]
SNAKE = [5 * row + (4 - column if row % 2 else column) for row in range(5) for column in range(5)]
"""Plane of each page where a stage goes back and forth."""
XML = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'


def stack(most: int = 4000, dtype: Any = np.uint16, count: int = 25) -> np.ndarray:
    """(25, 6, 8) counts up to ``most``; the middle image is the brightest, each fourth is dark, none is like another."""
    rng = np.random.default_rng(5)
    images = rng.random((count, 6, 8)) * 0.9 + 0.1
    middle = count // 2
    images *= np.where(np.arange(count) == middle, 1, np.where(np.arange(count) % 4, 0.5, 0.05))[:, None, None]
    images[middle, 0, 0], images[0, 0, 0] = 1, 0
    return np.round(images * most).astype(dtype)


def given(**images: Any) -> PartialGeometry:
    return PartialGeometry(values=flat_settings(WHOLE), source="g.toml", images=Images(**images))


def read(path: Path, geometry: Any = WHOLE) -> ImageStack:
    found = open_dataset(path, geometry)
    assert isinstance(found, ImageStack)
    return found


def is_same(found: ImageStack, images: np.ndarray) -> bool:
    """The images in their order, up to the unit that the dataset states by itself."""
    unit = np.percentile(images[int(np.argmax(images.mean((1, 2), dtype=float)))], 99)
    return found.led_numbers.tolist() == list(range(len(images))) and np.allclose(
        found.images, images / unit, rtol=2e-6, atol=1e-7
    )


def said(found: ImageStack) -> str:
    return "\n".join([*found.provenance.notes, *map(str, found.provenance.facts)])


def rewritten(path: Path, change: Callable[[str], str]) -> None:
    """The same file with another OME header."""
    with tifffile.TiffFile(path) as tiff:
        header = change(str(tiff.ome_metadata))
    tifffile.tiffcomment(path, header.encode())


def ome(path: Path, images: np.ndarray, axes: str = "TYX", **metadata: Any) -> Path:
    tifffile.imwrite(path, images, metadata={"axes": axes, **metadata}, ome=True, photometric="minisblack")
    return path


def tiff_data(planes: list[int], axis: str = "T") -> str:
    """One TiffData element for each page that says which plane it holds."""
    return "".join(
        f'<TiffData First{axis}="{plane}" IFD="{page}" PlaneCount="1"/>' for page, plane in enumerate(planes)
    )


def mapped(path: Path, images: np.ndarray, planes: list[int], axis: str = "T") -> Path:
    """Planes stored in another order, which the header states."""
    ome(path, images[planes], axes=f"{axis}YX")
    rewritten(path, lambda text: re.sub(r"<TiffData.*?(/>|</TiffData>)", tiff_data(planes, axis), text))
    return path


def ome_exposures(path: Path, images: np.ndarray, times: list[Any], unit: str = "") -> Path:
    planes = "".join(
        f'<Plane TheT="{t}" TheC="0" TheZ="0" ExposureTime="{time}"{unit}/>' for t, time in enumerate(times) if time
    )
    ome(path, images)
    rewritten(path, lambda text: text.replace("</Pixels>", f"{planes}</Pixels>"))
    return path


def plain(path: Path, images: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, images, **({"photometric": "minisblack"} | options))
    return path


TIMES = [0.01 if number == 12 else 0.04 for number in range(25)]


def exposed(images: np.ndarray, times: Any = TIMES) -> np.ndarray:
    return images / (np.array(times, dtype=float) / max(times))[:, None, None]
