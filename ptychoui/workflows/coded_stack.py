"""Images of several LEDs each become an object: what ``ptychoui reconstruct --patterns`` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.acquired import Acquired
from ptychoui.data.dataset import ImageStack, array_sha256
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry, PartialGeometry, with_images
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.results import StoredReconstruction
from ptychoui.errors import DataError, SettingsError
from ptychoui.optics.geometry.curvature import curvature, curved_light
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import pupil_function, sampling
from ptychoui.optics.reconstruction.accelerated import AcceleratedDescent
from ptychoui.optics.reconstruction.smooth_prior import STRENGTHS, SmoothDescent
from ptychoui.optics.reconstruction.stack import PassDone
from ptychoui.optics.reconstruction.stack_grids import free_border_px
from ptychoui.optics.reconstruction.stack_result import BLACK
from ptychoui.settings import Array, Geometry, Reconstruct
from ptychoui.words import counted
from ptychoui.workflows.crop import LARGEST_PX, CropRegion, central_window, cut_note
from ptychoui.workflows.reconstruct_stack import record_of


def open_coded_images(path: str, geometry: Geometry, count: int, given: GivenGeometry = None) -> ImageStack:
    """Open the images of ``count`` patterns; the stack's LED numbers are those of the patterns, from 0.

    Parameters
    ----------
    geometry
        Of the patterns; what ``given`` says wins over it, and what that says of the images holds for these.

    Raises
    ------
    DataError
        If the file holds another number of images, or none.
    """
    images, draft = None, Draft(path=Path("the patterns"), layout="patterns")
    if isinstance(given, PartialGeometry):
        images, given = given.images, replace(given, images=None)
    geometry = draft.overlay(geometry, given) or geometry
    # Readers want an LED for every image: these stand for the patterns.
    places = tuple((0.0, 0.0, 0.0) for _ in range(count))
    stand_in = geometry.replace(
        array=Array(kind="table", height_mm=geometry.array.height_mm, positions_mm=places, led_numbers=range(count))
    )
    stack = open_dataset(path, stand_in if images is None else with_images(stand_in, images, "the geometry"))
    if not isinstance(stack, ImageStack):
        raise DataError(f"{path} holds objects, not images", "give the images that were taken with the patterns")
    if len(stack.images) != count:
        raise DataError(
            f"{path} holds {counted(len(stack.images), 'image')} but there {'is' if count == 1 else 'are'} "
            f"{counted(count, 'pattern')}",
            "give one image for each pattern, in their order",
        )
    if stack.geometry is not None:  # a Bayer pattern makes the pixels larger
        geometry = geometry.replace(microscope=stack.geometry.microscope)
    source = replace(stack.provenance, notes=(*stack.provenance.notes, *draft.notes))
    return replace(stack, geometry=geometry, led_numbers=np.arange(count), provenance=source)


SHORTEST_FIT = 4
"""Passes for every strength of the smooth prior where there are few in all."""


class CodedReconstruction:
    """One window of coded images: `run` it, then take `stored`.

    The images' unit does not matter: it becomes the object's scale. Pupil, brightness and stray light are those of the
    geometry, since coded images hold too little to find them. They hold fewer numbers than the object, too: a smooth
    prior keeps noise out of what they do not show, see `SmoothDescent`.

    Parameters
    ----------
    stack
        Images in the order of the patterns, with the geometry of the LEDs.
    levels, exposures
        (image, LED) drive levels and (image,) frame times.
    led_numbers
        (LED,) what the columns of ``levels`` are.

    Raises
    ------
    PtychouiError
        If images, patterns, LEDs and window do not fit together.
    """

    def __init__(
        self,
        stack: ImageStack,
        levels: NDArray[np.float64],
        exposures: NDArray[np.float64],
        led_numbers: NDArray[np.int64],
        settings: Reconstruct,
        window: CropRegion | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        geometry = stack.geometry
        assert geometry is not None and stack.exposure is not None
        self.stack, self.settings, self._geometry = stack, settings, geometry
        rows, columns = stack.images.shape[1:]
        self.window = central_window((rows, columns), LARGEST_PX) if window is None else window
        self.notes = [cut_note(self.window, (rows, columns))] if window is None and self._cuts(rows, columns) else []
        place = self.window
        cut = stack.crop(place.row, place.column, place.size_px, place.size_px)
        start = time.perf_counter()
        point = place.field_point_um((rows, columns), geometry.microscope.pixel_size_um)
        self.leds = _in_order(led_array(geometry.array.replace(max_illumination_na=None), point), led_numbers)
        images = np.asarray(cut.images)
        if (acquired := stack.provenance.acquired) is not None:
            self.weights, images = _as_acquired(stack, images, acquired, levels, exposures, led_numbers, self.leds.gain)
        else:
            # Readers divide exposures out where they know them.
            self.weights = levels * (exposures / stack.exposure)[:, None] * self.leds.gain
        pad = free_border_px(geometry.microscope) if settings.pad_px is None else settings.pad_px
        self.grids = sampling(geometry.microscope, self.leds, place.size_px, pad)
        if settings.upsampling is not None:
            if settings.upsampling < self.grids.upsampling:
                raise SettingsError(
                    f"{settings.upsampling} object pixels per camera pixel do not hold all LEDs",
                    f"use {self.grids.upsampling} or more",
                )
            self.grids = replace(self.grids, upsampling=settings.upsampling)
        self._light = curved_light(geometry.microscope, self.grids, curvature(geometry, point))
        self._work = AcceleratedDescent(
            geometry.microscope,
            self.leds,
            self.grids,
            images,
            self.weights,
            light=self._light,
            device=device,
        )
        self._smooth: SmoothDescent | None = None
        if settings.smoothness != 0:
            assert self._work.data is not None
            # Exposures may be in any unit: one LED's light is that of the brightest one in an image.
            unit, strength = float(self._work.data.weights.max()), settings.smoothness
            self._smooth = SmoothDescent(
                self._work.physics, self._work.data, self._work.x, strength=strength, unit=unit
            )
        self.history: list[float] = []
        self.seconds = time.perf_counter() - start

    def _cuts(self, rows: int, columns: int) -> bool:
        return max(rows, columns) > self.window.size_px

    def run(self) -> Iterator[PassDone]:
        """Do the passes, of which several may be reported at once; stop iterating to give up what is left."""
        start, before = time.perf_counter(), self.seconds
        for number in self._steps():
            residual = self._work.residual
            self.history += [residual] * (number - len(self.history))
            self.seconds = before + time.perf_counter() - start
            yield PassDone(number=number, passes=self.settings.passes, residual=residual, penalised=residual)

    def _steps(self) -> Iterator[int]:
        """The number of passes after every step."""
        passes, smooth = self.settings.passes, self._smooth
        if smooth is None:
            yield from self._work.run(passes)
            return
        # The last fit, of all pixels, gets twice as many passes as any other.
        each = min(max(passes // (len(STRENGTHS) + 2), SHORTEST_FIT), passes)
        for now in smooth.run(each, passes):
            self._work.x = now.x
            yield now.evaluations

    @property
    def prior(self) -> str:
        """One sentence: the smooth prior, and what it was chosen by."""
        smooth = self._smooth
        if smooth is None:
            return "no prior"
        strength = f"smooth prior {smooth.strength:g}"
        if not smooth.chosen:
            return f"{strength}, the weakest that was tried before the stop"
        return f"{strength}, {'as given' if self.settings.smoothness else 'chosen by a tenth of the pixels left out'}"

    def object(self) -> NDArray[np.complex64]:
        """(row, column) object under the images as it is now."""
        inside = self.grids.object_window()
        whole = self._work.x[0].cpu().numpy() * self._light.conj()
        return np.asarray(whole[inside, inside], np.complex64)

    def stored(self, interrupted: bool = False) -> StoredReconstruction:
        """What is known by now, with its record."""
        misfit, power = self._work.residuals()
        residual = float(misfit.sum() / power.sum())
        microscope, step = self._geometry.microscope, self.grids.step_per_um
        half = int(np.ceil(microscope.objective_na / microscope.wavelength_um / step)) + 1
        frequency = np.arange(-half, half + 1) * step
        x, y = np.meshgrid(frequency, frequency)
        pupil = pupil_function(microscope, x, y, step)
        waves = microscope.zernike_waves
        count = len(self.weights)
        record = record_of(self.stack, self.seconds, interrupted, [*self.notes, self.prior])
        if self._smooth is not None:
            smooth = self._smooth
            record["smooth_prior"] = {
                "strength": smooth.strength,
                "chosen_by": "pixels left out" if self.settings.smoothness is None else "setting",
                "tried": list(smooth.tried),
                "misfits": list(smooth.misfits),
            }
        return StoredReconstruction(
            object=self.object(),
            object_pixel_um=self.grids.object_pixel_um,
            pupil=pupil[None].astype(np.complex64),
            frequency_step_per_um=step,
            zernike_noll=np.array(list(waves), np.int64),
            zernike_waves=np.array([list(waves.values())], float),
            led_numbers=self.leds.numbers,
            illumination_na=self.leds.illumination_na[None],
            gain=np.ones((1, len(self.leds))),
            background=np.zeros((1, count)),
            light=power[None] / self.window.size_px**2,
            residual=(misfit / np.maximum(power, BLACK * self.window.size_px**2))[None],
            history=np.array([self.history]),
            corners_px=np.array([(self.window.row, self.window.column)]),
            tile_px=self.window.size_px,
            amplitude_residual=residual,
            fitted_residual=residual,
            geometry=self._geometry,
            settings=self.settings,
            weights=self.weights,
            record=record,
        )


def _as_acquired(
    stack: ImageStack,
    images: NDArray[np.float32],
    acquired: Acquired,
    levels: NDArray[np.float64],
    exposures: NDArray[np.float64],
    led_numbers: NDArray[np.int64],
    gain: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(image, LED) light as it was shown, rounded to 8 bits, and the images that belong to it.

    Exposures are put back: photons count in the fit as they were taken.
    """
    design = array_sha256(
        np.asarray(levels, np.float64), np.asarray(exposures, np.float64), np.asarray(led_numbers, np.int64)
    )
    if acquired.design_sha256 and design != acquired.design_sha256:
        raise DataError(
            f"these images were taken with other patterns, {acquired.design or 'of another design'}",
            "give the patterns that they were acquired with",
        )
    place = {number: column for column, number in enumerate(acquired.led_numbers)}
    absent = [int(number) for number in led_numbers if int(number) not in place]
    if absent:
        raise DataError(f"the images' record does not know LED {absent[0]}", "give the patterns of the acquisition")
    light = acquired.light_ms()[:, [place[int(number)] for number in led_numbers]]
    if not acquired.gain_known:
        light = light * gain  # what was measured holds the falloff already
    assert stack.exposure is not None
    scaled = images * stack.exposure[:, None, None].astype(np.float32)
    return np.asarray(light / max(float(light.max()), 1e-30)), scaled


def _in_order(leds: LedArray, numbers: NDArray[np.int64]) -> LedArray:
    """The LEDs of the patterns, in the patterns' order."""
    place = {int(number): index for index, number in enumerate(leds.numbers)}
    missing = [int(number) for number in numbers if int(number) not in place]
    if missing:
        raise DataError(
            f"the patterns light LED {missing[0]}, which the array has not", "give the geometry they were made for"
        )
    return leds.select(np.array([place[int(number)] for number in numbers]))
