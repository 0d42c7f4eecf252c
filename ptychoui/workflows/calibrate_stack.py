"""What ``ptychoui calibrate`` does with a stack: read, cut, test the orientation, calibrate, start again elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError
from ptychoui.optics.calibration.orientation import Orientation, orientation
from ptychoui.optics.calibration.refine import Calibration, Step, calibrate
from ptychoui.optics.geometry.pose import HEIGHT, NAMES, ROTATION, SHIFT_X, SHIFT_Y, UNITS, difference, moved
from ptychoui.settings import Geometry
from ptychoui.workflows.crop import CropRegion, central_window, image_places, leds_seen_from

LARGEST_PX = 192
"""Edge of the window that a calibration uses of larger images, in camera pixels."""

START_SHIFT_MM, START_ROTATION_DEG, START_HEIGHT_PERCENT = 2.0, 3.0, 5.0
"""How far off the starts of the error bar are, in random directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Where calibrations from several starts ended.

    Attributes
    ----------
    ends
        (start, 6) changes of the pose from the geometry given, as `pose.moved` takes them.
    residuals
        (start,) fitted residual of each.
    """

    ends: NDArray[np.float64]
    residuals: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """(6,) standard deviation: mm, mm, degrees, percent, degrees, degrees."""
        return np.asarray(self.ends.std(0, ddof=1))

    def values(self) -> dict[str, object]:
        """The error bar in plain values, each by its name and unit."""

        def named(change: NDArray[np.float64]) -> dict[str, float]:
            return {f"{name} [{unit}]": float(amount) for name, unit, amount in zip(NAMES, UNITS, change, strict=True)}

        return {
            "starts": len(self.ends),
            "deviation": named(self.deviation),
            "ends": [named(end) for end in self.ends],
            "fitted_residuals": self.residuals.tolist(),
        }

    @property
    def sentence(self) -> str:
        """The error bar for people."""
        parts = [
            f"{name} {amount:.3g} {unit}"
            for name, amount, unit in zip(NAMES, self.deviation, UNITS, strict=True)
            if amount
        ]
        return (
            f"spread over {len(self.ends)} starts that were {START_SHIFT_MM:g} mm, {START_ROTATION_DEG:g} degrees and "
            f"{START_HEIGHT_PERCENT:g} % off (standard deviation): {', '.join(parts) or 'none'}"
        )


class StackCalibration:
    """A stack, the square of it that calibrates, and what is done with it.

    Parameters
    ----------
    stack
        With a geometry to start from.
    window
        By default the central square of up to `LARGEST_PX`.
    device
        Where the refinement runs.

    Raises
    ------
    DataError, GeometryError
        If the window leaves the images, or an LED has no image.
    """

    def __init__(self, stack: ImageStack, window: CropRegion | None = None, device: torch.device | str = "cpu") -> None:
        if stack.geometry is None:
            raise DataError("this stack has no geometry to start from", "give one with microscope and array")
        shape = (stack.images.shape[1], stack.images.shape[2])
        self.window = central_window(shape, LARGEST_PX) if window is None else window
        place = self.window
        cut = stack.crop(place.row, place.column, place.size_px, place.size_px)
        # Every LED moves with the pose: one that is too steep now may not be in the end.
        self.geometry: Geometry = stack.geometry.replace(array=stack.geometry.array.replace(max_illumination_na=None))
        self.field_point_um = place.field_point_um(shape, self.geometry.microscope.pixel_size_um)
        leds = leds_seen_from(self.geometry.array, self.field_point_um)
        self.places = image_places(stack, leds, stack.provenance.source)
        self.images = cut.images[self.places]
        self._limit, self._device = stack.geometry.array.max_illumination_na, device

    def orient(self, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Orientation:
        """Test the eight orientations; the geometry takes the best one where its margin is sure."""
        found = orientation(self.geometry, self.images, self.field_point_um, progress=progress, device=self._device)
        if found.sure:
            self.geometry = self.geometry.replace(array=found.array)
        return found

    def run(
        self,
        start: Geometry | None = None,
        tilt: bool = False,
        callback: Callable[[], None] | None = None,
        single_leds: bool = False,
    ) -> Iterator[Step | Calibration]:
        """Steps and, at the end, the calibration, from the stack's geometry or another; see `calibrate`."""
        yield from calibrate(
            start or self.geometry,
            self.images,
            self.field_point_um,
            tilt,
            device=self._device,
            callback=callback,
            single_leds=single_leds,
        )

    def spread(self, starts: int, seed: int = 0, tilt: bool = False) -> Iterator[Spread]:
        """Calibrate from random starts; yields what is known after every one from the second on."""
        rng = np.random.default_rng(seed)
        ends, residuals = [], []
        for _ in range(starts):
            change = np.zeros(6)
            angle, signs = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1], 2)
            change[SHIFT_X], change[SHIFT_Y] = START_SHIFT_MM * np.cos(angle), START_SHIFT_MM * np.sin(angle)
            change[ROTATION], change[HEIGHT] = signs * (START_ROTATION_DEG, START_HEIGHT_PERCENT)
            start = self.geometry.replace(array=moved(self.geometry.array, change))
            for found in self.run(start, tilt):
                if isinstance(found, Calibration):
                    ends.append(difference(self.geometry.array, found.geometry.array))
                    residuals.append(found.reconstruction.fitted_residual)
            if len(ends) > 1:
                yield Spread(ends=np.array(ends), residuals=np.array(residuals))

    def for_use(self, geometry: Geometry) -> Geometry:
        """A calibrated geometry with the limit of illumination NA that the stack's geometry had."""
        return geometry.replace(array=geometry.array.replace(max_illumination_na=self._limit))
