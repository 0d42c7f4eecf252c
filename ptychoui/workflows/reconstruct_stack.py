"""What ``ptychoui reconstruct`` does with one window of a stack: read, cut, reconstruct, keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.results import StoredReconstruction, versions
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.geometry.curvature import curvature
from ptychoui.optics.geometry.led_array import limit_notes
from ptychoui.optics.reconstruction.stack import PassDone, StackReconstruction
from ptychoui.optics.reconstruction.stack_result import Reconstruction
from ptychoui.settings import Array, Reconstruct
from ptychoui.workflows.crop import CropRegion, central_window, cut_note, image_places, leds_seen_from


def open_stack(path: str, geometry_path: str | None) -> ImageStack:
    """Open a stack with a whole geometry.

    Raises
    ------
    DataError, GeometryError
        If the file holds no stack, or nobody says what microscope it is from.
    """
    stack = open_dataset(path, read_geometry(geometry_path, for_data=True) if geometry_path else None)
    if not isinstance(stack, ImageStack):
        raise DataError(f"{path} holds objects, not images of LEDs", "give an LED stack")
    acquired = stack.provenance.acquired
    if acquired is not None and acquired.design_sha256:
        raise DataError(f"{path} shows patterns of {acquired.design}, not LEDs one by one", "give them with --patterns")
    if stack.geometry is None:
        raise GeometryError(
            f"{path} carries no geometry", "give a TOML file with [microscope] and [array] (--geometry)"
        )
    return stack


def with_limit_noted(stack: ImageStack) -> ImageStack:
    """The stack with a note of how many images ``max_illumination_na`` leaves out, if it does."""
    assert stack.geometry is not None
    source = stack.provenance
    notes = limit_notes(stack.geometry.array)
    return replace(stack, provenance=replace(source, notes=(*source.notes, *notes))) if notes else stack


def with_calibration(
    stack: ImageStack, notes: list[str], window: CropRegion | None = None, device: torch.device | str = "cpu"
) -> ImageStack:
    """The stack with its geometry calibrated on a window, by default that of `StackCalibration`."""
    from ptychoui.optics.calibration.refine import Step
    from ptychoui.workflows.calibrate_stack import StackCalibration

    work = StackCalibration(stack, window, device)
    geometry = stack.geometry
    for found in work.run():
        if isinstance(found, Step):
            notes.append(found.sentence)
        else:
            geometry = work.for_use(found.geometry)
    return replace(stack, geometry=geometry)


class WindowReconstruction:
    """One window of a stack: `run` it, then take `stored`.

    Parameters
    ----------
    stack
        With a geometry.
    window
        By default the central one of up to `LARGEST_PX`.
    leave_out
        Numbers of LEDs whose images are not used.
    callback
        See `StackReconstruction`.

    Attributes
    ----------
    images, leds
        (LED, row, column) what is reconstructed, and the LEDs in the same order, as seen from the window's middle.
    field_point_um, curvature_per_um
        The window's middle, see `CropRegion.field_point_um`, and `curvature` there.
    work
        What does the passes.
    notes
        What was chosen for whoever asked for nothing, and what a calibration did.
    warnings
        What should make its owner doubt the result, once it was `stored`.
    suggested
        The array in another layout, where a `check` found that the images ask for one.

    Raises
    ------
    PtychouiError
        If window, images, LEDs and grids do not fit together.
    """

    def __init__(
        self,
        stack: ImageStack,
        settings: Reconstruct,
        window: CropRegion | None = None,
        leave_out: Sequence[int] = (),
        calibrate: bool = False,
        device: torch.device | str = "cpu",
        callback: Callable[[], None] | None = None,
    ) -> None:
        shape = stack.images.shape[1:]
        self.window = central_window(shape) if window is None else window
        self.notes = [] if window is not None or self.window.size_px == max(shape) else [cut_note(self.window, shape)]
        if calibrate:
            stack = with_calibration(stack, self.notes, window, device)
        geometry = stack.geometry
        assert geometry is not None
        self.stack, self.settings = stack, settings
        self.warnings: tuple[str, ...] = ()
        self.suggested: Array | None = None
        place = self.window
        cut = stack.crop(place.row, place.column, place.size_px, place.size_px)
        point = place.field_point_um(shape, geometry.microscope.pixel_size_um)
        self.field_point_um = point
        self.leds = leds_seen_from(geometry.array, point, leave_out)
        start = time.perf_counter()
        self.images = cut.images[image_places(stack, self.leds, stack.provenance.source)]
        self.curvature_per_um = curvature(geometry, point)
        self.work = StackReconstruction(
            geometry,
            self.images,
            settings,
            self.leds,
            device,
            callback=callback,
            curvature_per_um=self.curvature_per_um,
        )
        self.seconds = time.perf_counter() - start

    def run(self) -> Iterator[PassDone]:
        """Do the passes; stop iterating to give up what is left. ``seconds`` counts what they take."""
        start, before = time.perf_counter(), self.seconds
        for done in self.work.run():
            self.seconds = before + time.perf_counter() - start
            yield done

    def check(self) -> None:
        """Look for what in the images contradicts the geometry, in a few seconds: it is then among the ``warnings``."""
        from ptychoui.optics.calibration.geometry_check import findings, suggested_array

        geometry = self.work.geometry
        found = findings(
            geometry, self.leds, self.images, self.field_point_um, self.work.model.device, self.work.model.callback
        )
        self.work.contradictions = tuple(one.sentence for one in found)
        self.suggested = suggested_array(geometry.array, found)

    def object(self, upsampling: int | None = None) -> NDArray[np.complex64]:
        """(row, column) object as it is now, with so many pixels for each of the camera's, by default the settings'."""
        return self.work.object(upsampling)

    def stored(self, interrupted: bool = False) -> StoredReconstruction:
        """What is known by now, with its record."""
        result = self.work.result()
        self.warnings = result.warnings
        record = record_of(self.stack, self.seconds, interrupted, self.notes, result.warnings, self.suggested)
        return stored_tiles([result], [self.window], self.settings, record)


def record_of(
    stack: ImageStack,
    seconds: float,
    interrupted: bool,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    suggested: Array | None = None,
) -> dict[str, Any]:
    """Where a result comes from, in plain values, with what should make one doubt it.

    ``seconds`` is how long it took.
    """
    record: dict[str, Any] = {
        "source": stack.provenance.source,
        "data_sha256": stack.provenance.sha256,
        "unit_counts": stack.unit_counts,
        "seconds": seconds,
        "interrupted": interrupted,
        "notes": [*stack.provenance.notes, *notes, *warnings],
        "remarks": list(warnings),
        "versions": versions(),
    }
    if suggested is not None:
        record["suggested_array"] = suggested.model_dump(mode="json", exclude_none=True)
    return record


def stored_tiles(
    tiles: Sequence[Reconstruction],
    windows: Sequence[CropRegion],
    settings: Reconstruct,
    record: dict[str, Any],
) -> StoredReconstruction:
    """Tiles of one stack as a result to be kept, with the object of the first."""
    first = tiles[0]
    nolls = sorted({noll for tile in tiles for noll in tile.zernike_waves})
    passes = max(len(tile.history) for tile in tiles)
    history = np.full((len(tiles), passes), np.nan)
    for row, tile in zip(history, tiles, strict=True):
        row[: len(tile.history)] = tile.history
    return StoredReconstruction(
        object=first.object,
        object_pixel_um=first.object_pixel_um,
        pupil=np.stack([tile.pupil for tile in tiles]),
        frequency_step_per_um=first.frequency_step_per_um,
        zernike_noll=np.array(nolls, np.int64),
        zernike_waves=np.array([[tile.zernike_waves.get(n, 0.0) for n in nolls] for tile in tiles]).reshape(
            len(tiles), len(nolls)
        ),
        led_numbers=first.led_numbers,
        illumination_na=np.stack([tile.illumination_na for tile in tiles]),
        gain=np.stack([tile.gain for tile in tiles]),
        background=np.stack([tile.background for tile in tiles]),
        light=np.stack([tile.light for tile in tiles]),
        residual=np.stack([tile.residual_per_led for tile in tiles]),
        history=history,
        corners_px=np.array([(window.row, window.column) for window in windows]),
        tile_px=windows[0].size_px,
        amplitude_residual=float(np.mean([tile.amplitude_residual for tile in tiles])),
        fitted_residual=float(np.mean([tile.fitted_residual for tile in tiles])),
        geometry=first.geometry,
        settings=settings,
        record=record,
    )
