"""Objects to learn from with what every single LED shows of them: simulated, or cut from a measured stack."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.dataset import ImageStack, TrainingSet, array_sha256, split_sources
from ptychoui.errors import DataError, PtychouiError
from ptychoui.experiment import Experiment, Geometry
from ptychoui.optics.all_at_once import FieldReconstruction, all_at_once
from ptychoui.optics.led_array import LedArray
from ptychoui.optics.microscope import Sampling, sampling
from ptychoui.optics.objects import resampled
from ptychoui.optics.simulate import field_of_objects, low_pass, single_led_images

FIELD_ITERATIONS = 40
"""Iterations of the reconstruction that serves as truth for a measured stack: later ones fit the misfit of the
geometry (on the blood smear 200 instead of 60 lower the residual by 1 % and change the object by a tenth)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Objects with what every single LED would show of them.

    Attributes
    ----------
    intensities
        (example, LED, row, column) single-LED images of the tile at gain one.
    truth
        (example, row, column) complex object under the tile, without the margin.
    sources
        (example,) number of the image or field it was cut from.
    """

    intensities: Tensor
    truth: Tensor
    sources: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    def pick(self, places: Tensor | list[int] | NDArray[np.int64]) -> Examples:
        """Return some of the examples."""
        index = torch.as_tensor(np.asarray(places), device=self.truth.device)
        return Examples(
            intensities=self.intensities[index],
            truth=self.truth[index],
            sources=self.sources[np.asarray(index.cpu())],
        )


def examples_of_objects(
    experiment: Experiment, geometry: Geometry, leds: LedArray, grids: Sampling, dataset: TrainingSet
) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Simulate single-LED images of whole objects, which are larger than the tile and do not repeat."""
    if abs(dataset.pixel_size_um / grids.object_pixel_um - 1) > 1e-3:
        dataset = resampled(dataset, grids.object_pixel_um)
    size = dataset.objects.shape[-1]
    needed = grids.object_px
    span = size // grids.upsampling
    if span < grids.span_px:
        raise DataError(
            f"the objects are {size} pixels wide, the tile and its padding need {needed} pixels of "
            f"{grids.object_pixel_um:.3g} um",
            "use a smaller data.tile_px or data.pad_px, or larger objects",
        )
    objects = dataset.objects[:, : span * grids.upsampling, : span * grids.upsampling]
    whole = field_of_objects(geometry, leds, span * grids.upsampling, grids.object_pixel_um)
    if whole.upsampling != grids.upsampling:
        whole = Sampling(
            tile_px=span,
            pad_px=0,
            pixel_size_um=grids.pixel_size_um,
            oversampling=whole.oversampling,
            upsampling=grids.upsampling,
        )
    images = single_led_images(geometry, leds, objects, whole)
    first = (span - grids.tile_px) // 2
    inner = slice(first, first + grids.tile_px)
    cutoff = (geometry.microscope.objective_na + leds.radius_na.max()) / geometry.microscope.wavelength_um
    seen = low_pass(objects, grids.object_pixel_um, float(cutoff))
    margin = experiment.training.margin_px
    r = grids.upsampling
    window = slice((first + margin) * r, (first + grids.tile_px - margin) * r)
    everything = Examples(
        intensities=torch.from_numpy(np.ascontiguousarray(images[:, :, inner, inner])),
        truth=torch.from_numpy(np.ascontiguousarray(seen[:, window, window])),
        sources=np.array(dataset.sources),
    )
    held, count = split_sources(everything.sources, experiment.training.holdout, experiment.seed)
    note = f"{count} of {len(np.unique(everything.sources))} source images are held out"
    return everything.pick(np.flatnonzero(~held)), everything.pick(np.flatnonzero(held)), (note,)


def examples_of_stack(
    experiment: Experiment, geometry: Geometry, leds: LedArray, grids: Sampling, stack: ImageStack
) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Cut tiles from a measured stack; their truth is the reconstruction of the whole stack.

    The field is divided by a vertical band as wide as the margin: tiles for training lie left of it, held-out tiles
    right of it, so that they share no pixel.
    """
    stack = _matched(stack, leds)
    # The whole field is reconstructed on a square grid: the top left square of a longer image.
    side, tile = min(stack.images.shape[1:]), grids.tile_px
    rows = columns = side
    guard = max(2, experiment.training.margin_px)
    border = columns - guard - max(tile, round(experiment.training.holdout * columns))
    if not stack.extent[1] > 0:
        raise DataError("no pixel of the stack is above zero", "check the dark frame that was subtracted")
    if border < tile or rows < tile:
        largest = min(rows, (columns - guard) // 2)
        raise DataError(
            f"an image of {rows} x {columns} pixels is too small for separate training and held-out tiles of "
            f"{tile} pixels",
            f"set data.tile_px to at most {largest}" if largest >= 8 else "a stack for learning needs larger images",
        )
    # The whole field is not padded: light from beyond its edge has no image to answer for it, and a free border
    # would fill with whatever explains the misfit.
    full = sampling(geometry.microscope, leds, side, 0)
    full = replace(full, upsampling=grids.upsampling)
    result = _whole_field(geometry, leds, full, stack.images[:, :side, :side])
    object_ = result.object[full.object_window(), full.object_window()]
    margin, r = experiment.training.margin_px, grids.upsampling
    rng = np.random.default_rng(experiment.seed)

    def cut(places: list[tuple[int, int]], source: int) -> Examples:
        images = np.stack([stack.crop(y, x, tile, tile).images for y, x in places])
        truth = np.stack(
            [
                object_[(y + margin) * r : (y + tile - margin) * r, (x + margin) * r : (x + tile - margin) * r]
                for y, x in places
            ]
        )
        return Examples(
            intensities=torch.from_numpy(images).clamp_min(0),
            truth=torch.from_numpy(np.ascontiguousarray(truth)),
            sources=np.full(len(places), source),
        )

    limit_row, limit_column = side - tile, border - tile
    places = [
        (int(rng.integers(limit_row + 1)), int(rng.integers(limit_column + 1))) for _ in range(experiment.data.tiles)
    ]
    held_columns = sorted({border + guard, min(columns, side) - tile})
    held_rows = np.unique(np.linspace(0, side - tile, max(1, side // tile)).round().astype(int))
    held = [(int(y), int(x)) for y in held_rows for x in held_columns if x + tile <= side]
    note = (
        f"full-stack reconstruction: amplitude residual {result.amplitude_residual:.4f}; "
        f"{len(held)} held-out tiles right of column {border + guard}, {len(places)} training tiles left of {border}"
    )
    return cut(places, 0), cut(held, 1), (note,)


_LAST_FIELD: dict[tuple[object, ...], FieldReconstruction] = {}


def _whole_field(
    geometry: Geometry, leds: LedArray, grids: Sampling, images: NDArray[np.float32]
) -> FieldReconstruction:
    """Reconstruct a whole stack; the newest result is kept, because comparisons ask for it once per seed."""
    key = (array_sha256(images), geometry.model_dump_json(), grids)
    if key not in _LAST_FIELD:
        found = all_at_once(geometry.microscope, leds, grids, images, iterations=FIELD_ITERATIONS)
        _LAST_FIELD.clear()
        _LAST_FIELD[key] = found
    return _LAST_FIELD[key]


def _matched(stack: ImageStack, leds: LedArray) -> ImageStack:
    """Bring a stack's images into the order of the array's LEDs."""
    place = {int(number): index for index, number in enumerate(stack.led_numbers)}
    missing = [int(n) for n in leds.numbers if int(n) not in place]
    if missing:
        raise PtychouiError(
            f"the stack has no image of LED {missing[0]} ({len(missing)} of {len(leds)} are missing)",
            "check the LED numbers of the geometry",
        )
    order = [place[int(n)] for n in leds.numbers]
    if order == list(range(len(stack.images))):
        return stack  # as it is: images of a large stack stay in their file
    exposure = None if stack.exposure is None else stack.exposure[order]
    return replace(stack, images=stack.images[order], led_numbers=stack.led_numbers[order], exposure=exposure)
