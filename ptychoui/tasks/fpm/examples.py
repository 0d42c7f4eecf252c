"""Objects to learn from with what every single LED shows of them: simulated, or cut from a measured stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.dataset import ImageStack, TrainingSet, array_sha256, split_sources
from ptychoui.errors import DataError
from ptychoui.optics.forward.simulate import field_of_objects, low_pass, single_led_images
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.objects import resampled
from ptychoui.settings import FpmExperiment, Geometry
from ptychoui.words import counted
from ptychoui.workflows.crop import CropRegion, central_window, image_places
from ptychoui.workflows.explained_stack import PASSES, ExplainedStack, explain_stack

EMPTY_SHARE = 0.4
"""Contrast of a tile over the RMS of all tiles below which it shows next to nothing: losses and scores are relative
to what there is to show, and such tiles would weigh most."""

MOST_DRAWS = 20
"""Places that are tried for each training tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
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

    def part(self, first: int, stop: int) -> Objects:
        """The objects from ``first`` to before ``stop``, as views."""
        some = slice(first, stop)
        return Objects(intensities=self.intensities[some], truth=self.truth[some], sources=self.sources[some])

    def joined(self, others: Objects) -> Objects:
        """These objects and others behind them."""
        return Objects(
            intensities=torch.cat([self.intensities, others.intensities]),
            truth=torch.cat([self.truth, others.truth]),
            sources=np.concatenate([self.sources, others.sources]),
        )

    def double(self) -> Objects:
        """The same in double precision."""
        return Objects(
            intensities=self.intensities.double(), truth=self.truth.to(torch.complex128), sources=self.sources
        )

    def spread(self, count: int) -> Objects:
        """So many of the objects at most, spread evenly over all."""
        return self.pick(spread_places(len(self), count))

    def pick(self, places: Tensor | list[int] | NDArray[np.int64]) -> Objects:
        """Some of the objects, by their places (chosen,)."""
        index = torch.as_tensor(np.asarray(places), device=self.truth.device)
        return Objects(
            intensities=self.intensities[index],
            truth=self.truth[index],
            sources=self.sources[np.asarray(index.cpu())],
        )


def spread_places(of: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` places, (chosen,), spread evenly over the first ``of``."""
    return np.unique(np.linspace(0, of - 1, min(count, of)).round().astype(np.int64))


def simulated_objects(
    experiment: FpmExperiment, geometry: Geometry, leds: LedArray, grids: Sampling, dataset: TrainingSet
) -> tuple[Objects, Objects, tuple[str, ...]]:
    """Simulate single-LED images of whole objects, which are larger than the tile and do not repeat.

    Raises
    ------
    DataError
        If the objects are smaller than the tile and its padding.
    """
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
    everything = Objects(
        intensities=torch.from_numpy(np.ascontiguousarray(images[:, :, inner, inner])),
        truth=torch.from_numpy(np.ascontiguousarray(seen[:, window, window])),
        sources=np.array(dataset.sources),
    )
    held, count = split_sources(everything.sources, experiment.training.holdout, experiment.seed)
    note = f"{count} of {len(np.unique(everything.sources))} source images are held out"
    return everything.pick(np.flatnonzero(~held)), everything.pick(np.flatnonzero(held)), (note,)


def objects_of_stack(
    experiment: FpmExperiment, grids: Sampling, stack: ImageStack, field: ExplainedStack
) -> tuple[Objects, Objects, tuple[str, ...]]:
    """Cut tiles from a measured stack; their truth is the reconstruction ``field`` of the window they lie in.

    The window is divided by a vertical band as wide as the margin: tiles for training lie left of it, held-out tiles
    right of it, so that they share no pixel.
    """
    side, tile = field.window.size_px, grids.tile_px
    guard, border = bands(experiment, side, tile)
    rng = np.random.default_rng(experiment.seed)

    def truth_at(place: tuple[int, int]) -> NDArray[np.complex64]:
        return _truth_at(experiment, grids, field, place)

    def cut(places: list[tuple[int, int]], source: int) -> Objects:
        return tiles_of_field(experiment, grids, field, places, source)

    def contrast(place: tuple[int, int]) -> float:
        return float(np.std(truth_at(place)))

    steps = np.unique(np.linspace(0, side - tile, max(1, side // tile)).round().astype(int)).tolist()
    usual = float(np.sqrt(np.mean([contrast((y, x)) ** 2 for y in steps for x in steps])))

    def shows_something(place: tuple[int, int]) -> bool:
        return contrast(place) >= EMPTY_SHARE * usual

    draws = [
        (int(rng.integers(side - tile + 1)), int(rng.integers(border - tile + 1)))
        for _ in range(MOST_DRAWS * experiment.data.tiles)
    ]
    # Where everything is empty, everything is taken, and the score of all LEDs one by one tells.
    places = ([place for place in draws if shows_something(place)] or draws)[: experiment.data.tiles]
    possible = [(y, x) for y in steps for x in sorted({border + guard, side - tile}) if x + tile <= side]
    held = [place for place in possible if shows_something(place)] or possible
    empty = len(possible) - len(held)
    rows, columns = stack.images.shape[1:]
    named = "the central" if experiment.data.region is None else "the chosen"
    cut_from = "" if side == rows == columns else f"of {named} {side} x {side} of {rows} x {columns} pixels "
    notes = (
        f"truth: the calibrated reconstruction {cut_from}from {counted(len(field.leds), 'image')}, amplitude residual "
        f"{field.amplitude_residual:.4f}, {field.fitted_residual:.4f} with brightness and stray light fitted; both "
        f"were taken out of the images, and the network has the brightness and the pupil that were found",
        f"{len(held)} held-out tiles right of column {border + guard}, {len(places)} training tiles left of {border}"
        + (f"; {counted(empty, 'held-out tile')} with next to nothing to see left out" if empty else ""),
    )
    return cut(places, 0), cut(held, 1), notes


def tiles_of_field(
    experiment: FpmExperiment, grids: Sampling, field: ExplainedStack, places: list[tuple[int, int]], source: int
) -> Objects:
    """Cut tiles out of the window of a measured stack; ``places`` are the first row and column of each."""
    tile = grids.tile_px
    images = np.stack([field.images[:, y : y + tile, x : x + tile] for y, x in places])
    truth = np.stack([_truth_at(experiment, grids, field, place) for place in places])
    return Objects(
        intensities=torch.from_numpy(images).clamp_min(0),
        truth=torch.from_numpy(np.ascontiguousarray(truth)),
        sources=np.full(len(places), source),
    )


def _truth_at(
    experiment: FpmExperiment, grids: Sampling, field: ExplainedStack, place: tuple[int, int]
) -> NDArray[np.complex64]:
    """What is to be seen in the tile whose first row and column are given, its margin left out."""
    margin, r, tile = experiment.training.margin_px, grids.upsampling, grids.tile_px
    rows, columns = (slice(int((p + margin) * r), int((p + tile - margin) * r)) for p in place)
    # The network's light is plane: what it reconstructs carries the curvature of the LEDs' light.
    return np.asarray(field.object[rows, columns] * field.light[rows, columns])


def bands(experiment: FpmExperiment, side: int, tile: int) -> tuple[int, int]:
    """Width of the band between training and held-out tiles, and the column where it begins.

    Raises
    ------
    DataError
        If the field is too small for both.
    """
    guard = max(2, experiment.training.margin_px)
    border = side - guard - max(tile, round(experiment.training.holdout * side))
    if border < tile:
        largest = min(side, (side - guard) // 2)
        raise DataError(
            f"an image of {side} x {side} pixels is too small for separate training and held-out tiles of "
            f"{tile} pixels",
            f"set data.tile_px to at most {largest}" if largest >= 8 else "a stack for learning needs larger images",
        )
    return guard, border


def region_of(experiment: FpmExperiment, stack: ImageStack) -> CropRegion:
    """The square of a stack that is learned from: the experiment's, or the middle.

    Raises
    ------
    DataError
        If it reaches beyond the images.
    """
    rows, columns = stack.images.shape[1:]
    if experiment.data.region is None:
        return central_window((rows, columns))
    row, column, size = experiment.data.region
    if row + size > rows or column + size > columns:
        raise DataError(
            f"the square of {size} pixels at row {row}, column {column} reaches beyond images of {rows} x {columns}",
            "move or shrink data.region",
        )
    return CropRegion(row=row, column=column, size_px=size)


_LAST_FIELD: dict[tuple[object, ...], ExplainedStack] = {}


def explained_field(
    experiment: FpmExperiment,
    geometry: Geometry,
    grids: Sampling,
    stack: ImageStack,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] | None = None,
) -> ExplainedStack:
    """The window of a stack that is learned from, reconstructed as ``ptychoui reconstruct`` does.

    The newest result is kept, because comparisons ask for it once per seed.

    Raises
    ------
    DataError
        If the stack is dark, too small, or lacks images.
    """
    window = region_of(experiment, stack)
    bands(experiment, window.size_px, grids.tile_px)
    if not stack.extent[1] > 0:
        raise DataError("no pixel of the stack is above zero", "check the dark frame that was subtracted")
    if stack.geometry != geometry:
        stack = replace(stack, geometry=geometry)
    image_places(stack, led_array(geometry.array), stack.provenance.source)  # refuses before anything takes long
    stack_key = (array_sha256(stack.images), stack.led_numbers.tobytes(), geometry.model_dump_json())
    key = (*stack_key, grids.upsampling, window)
    if key not in _LAST_FIELD:
        tell(f"reconstructing what is learned from: {PASSES} passes over {counted(len(stack.images), 'image')}")
        explained = explain_stack if callback is None else partial(explain_stack, callback=callback)
        found = explained(stack, window, int(grids.upsampling))
        _LAST_FIELD.clear()
        _LAST_FIELD[key] = found
    return _LAST_FIELD[key]
