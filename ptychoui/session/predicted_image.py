"""The image that a pattern would give of the object that is open, by the program's own forward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import TrainingSet
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.settings import Geometry

if TYPE_CHECKING:
    from ptychoui.session.document import Document

FloatImage = NDArray[np.float32]

LARGEST_PX = 128
"""Edge of the square in camera pixels: so much is predicted while somebody paints."""

EDGE_SHARE = 16
"""This part of the edge is cut off on every side: there the model's object goes on at the opposite side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectShown:
    """An object with its origin in words: (row, column) complex, pixels of ``pixel_um``."""

    values: NDArray[np.complex64]
    pixel_um: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedImage:
    """A prediction: (row, column) intensity, where 1 is one LED on axis at full level for one frame, without noise."""

    image: FloatImage
    pixel_um: float
    name: str


def object_of(document: Document) -> ObjectShown | None:
    """The reconstruction that is shown, else the first object of the training set, else None."""
    report = document.reconstruction.report
    if report is not None:
        found = report.found
        return ObjectShown(values=found.object, pixel_um=found.object_pixel_um, name="the reconstruction")
    data = document.dataset
    if isinstance(data, TrainingSet):
        return ObjectShown(values=data.objects[0], pixel_um=data.pixel_size_um, name="the first object")
    return None


def predict(
    geometry: Geometry, leds: LedArray, levels: NDArray[np.float64], exposure: float, shown: ObjectShown
) -> PredictedImage:
    """The image of one pattern.

    Parameters
    ----------
    geometry, leds
        Microscope and the array's LEDs.
    levels, exposure
        (LED,) drive levels, and the frame time in frames.
    shown
        The object; of a large one the middle.

    Raises
    ------
    DataError
        If the object is too small for an image.
    """
    import torch

    from ptychoui.optics.forward.model import FourierPtychography
    from ptychoui.optics.geometry.microscope import sampling

    camera_um = geometry.microscope.pixel_size_um
    span = min(LARGEST_PX, int(min(shown.values.shape) * shown.pixel_um / camera_um + 1e-6))
    if span < 16:
        raise DataError("the object that is open is too small to predict an image of it", "open a larger one")
    lit = levels > 0
    edge = span // EDGE_SHARE
    inner = slice(edge, span - edge)
    if not lit.any():
        black = np.zeros((span - 2 * edge,) * 2, np.float32)
        return PredictedImage(image=black, pixel_um=camera_um, name=shown.name)
    some = leds.select(lit)
    grids = sampling(geometry.microscope, some, span, 0)
    physics = FourierPtychography(geometry.microscope, some, grids, stream=True)
    x = torch.from_numpy(resampled(shown, span * camera_um, grids.object_px))[None]
    weights = torch.from_numpy((exposure * levels[lit] * some.gain).astype(np.float32))[None]
    with torch.no_grad():
        image = physics.predict(x, weights, torch.zeros(1))[0, 0].clamp_min(0).numpy()
    return PredictedImage(image=image[inner, inner].copy(), pixel_um=camera_um, name=shown.name)


def resampled(shown: ObjectShown, edge_um: float, pixels: int) -> NDArray[np.complex64]:
    """The middle of an object, ``edge_um`` wide, on ``pixels`` x ``pixels``: (row, column), band-limited."""
    rows, columns = shown.values.shape
    cut = min(rows, columns, max(1, round(edge_um / shown.pixel_um)))
    top, left = (rows - cut) // 2, (columns - cut) // 2
    square = shown.values[top : top + cut, left : left + cut]
    if cut == pixels:
        return np.array(square, np.complex64)
    spectrum = np.fft.fftshift(np.fft.fft2(square))
    target = np.zeros((pixels, pixels), complex)
    few = min(cut, pixels)
    source, to = cut // 2 - few // 2, pixels // 2 - few // 2
    target[to : to + few, to : to + few] = spectrum[source : source + few, source : source + few]
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(target)) * (pixels / cut) ** 2, np.complex64)
