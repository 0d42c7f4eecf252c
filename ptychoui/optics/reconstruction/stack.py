"""A stack of single-LED images becomes an object, a pupil and the brightness of every LED.

The first passes go LED by LED (`in_sequence`), which spreads the light over the synthetic aperture at once; the others
fit everything that is unknown together (`StackFit`), which neither forgets the first LED when it sees the last nor
needs step sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.errors import DataError
from ptychoui.optics.geometry.curvature import curved_light, light_at
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.reconstruction.stack_fit import BACKGROUND, FACTOR, GAIN, OBJECT, ZERNIKE, StackFit, in_sequence
from ptychoui.optics.reconstruction.stack_grids import object_upsampling, stack_sampling
from ptychoui.optics.reconstruction.stack_model import Optics, StackModel
from ptychoui.optics.reconstruction.stack_result import BLACK, Reconstruction
from ptychoui.settings import Geometry, Reconstruct

LEAST_PX = 16
"""Smallest edge of a window: fewer pixels hold less than the pupil's own blur."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassDone:
    """One more pass over all images.

    Attributes
    ----------
    residual
        sum (sqrt(y) - sqrt(J))^2 / sum J with the fitted brightness and stray light.
    penalised
        The same and what brightness and stray light far from the expected cost: what the fit lowers with every pass.
    """

    number: int
    passes: int
    residual: float
    penalised: float


class StackReconstruction:
    """A reconstruction that goes on pass by pass and can be looked at, or given up, after any of them.

    Parameters
    ----------
    geometry
        Microscope and array.
    images
        (LED, row, column) square images in the order of the array's LEDs, 1 = open field.
    settings
        What is unknown beside the object, and when to stop.
    leds
        The LEDs as seen from these images, by default from the optical axis.
    grids
        By default what `stack_sampling` finds.
    callback
        Called every few LEDs: where a pass can wait, or be given up by an exception. What earlier passes found stays.
    curvature_per_um
        (2, 2) change of the light's direction with place, see `curvature`: its phase belongs to the light and not to
        the object. By default the light is plane and its curvature is found in the object.

    Attributes
    ----------
    contradictions
        What a check of the geometry found, to be kept with the result.

    Raises
    ------
    DataError, GeometryError
        If images, LEDs and grids do not fit together.
    """

    def __init__(
        self,
        geometry: Geometry,
        images: NDArray[np.float32],
        settings: Reconstruct,
        leds: LedArray | None = None,
        device: torch.device | str = "cpu",
        grids: Sampling | None = None,
        callback: Callable[[], None] | None = None,
        curvature_per_um: NDArray[np.float64] | None = None,
    ) -> None:
        if images.shape[-1] < LEAST_PX:
            raise DataError(
                f"a window of {images.shape[-1]} pixels is too small", f"use {LEAST_PX} pixels or more, best 64 to 256"
            )
        self.geometry, self.settings = geometry, settings
        self.leds = led_array(geometry.array) if leds is None else leds
        scope = geometry.microscope
        if grids is None:
            grids = stack_sampling(scope, self.leds, images.shape[-1], settings.pad_px)
        object_upsampling(grids, settings.upsampling)  # refuses what cannot be
        nolls = range(4, settings.zernike_terms + 1) if settings.pupil == "zernike" else ()
        self.model = StackModel(scope, self.leds, grids, images, nolls, settings.variance_floor, device=device)
        # Brightness and stray light start where the images put them: passes that began far off would give bright-field
        # images the object's own light as stray light, and take it back only slowly.
        self.optics = self.model.optics()
        stray = self.model.stray_level() if settings.background else 0.0
        self.spectrum = self.model.start(stray)
        self.optics.background += stray
        if settings.gain:
            self.optics.log_gain += self.model.bright_field_gains(stray)
        self._curvature = curvature_per_um
        if curvature_per_um is not None:
            # Slow phases are hardly seen in the images: what is known of the light is where the object starts.
            light = torch.from_numpy(curved_light(scope, grids, curvature_per_um)).to(self.model.device)
            whole = torch.fft.ifft2(torch.fft.ifftshift(self.spectrum)) * light
            self.spectrum = torch.fft.fftshift(torch.fft.fft2(whole))
        self.model.callback = callback
        self.history: list[float] = []
        self.contradictions: tuple[str, ...] = ()

    @property
    def grids(self) -> Sampling:
        """The grids of the tile."""
        return self.model.grids

    def run(self) -> Iterator[PassDone]:
        """Do the passes; stop iterating to give up what is left."""
        settings, model = self.settings, self.model
        with torch.no_grad():
            pupils = model.pupils(self.optics)
            for _ in range(min(settings.sequential_passes, settings.passes)):
                misfit = in_sequence(model, self.spectrum, pupils, self.optics)
                yield self._done(misfit, misfit)
        left = settings.passes - len(self.history)
        if left <= 0:
            return
        unknown = {OBJECT}
        unknown |= {"zernike": {ZERNIKE}, "free": {FACTOR}, "fixed": set[str]()}[settings.pupil]
        unknown |= ({GAIN} if settings.gain else set()) | ({BACKGROUND} if settings.background else set())
        fit = StackFit(model, self.spectrum, self.optics, frozenset(unknown))
        run = fit.run(left)
        before = next(run).penalised
        for found in run:
            self.spectrum, self.optics = fit.spectrum(found.x), fit.optics(found.x)
            yield self._done(found.misfit, found.penalised)
            if before - found.penalised < settings.stop_below * before:
                return
            before = found.penalised

    def _done(self, misfit: float, penalised: float) -> PassDone:
        self.history.append(misfit / self.model.power)
        return PassDone(
            number=len(self.history),
            passes=self.settings.passes,
            residual=self.history[-1],
            penalised=penalised / self.model.power,
        )

    @property
    def log_brightness(self) -> float:
        """Logarithm of the median brightness of the bright field, in units of the light `object` was found with."""
        bright = torch.from_numpy(self.leds.bright_field(self.geometry.microscope.objective_na)).to(self.model.device)
        return float(self.optics.log_gain[bright].median())

    @property
    def object_pixel_um(self) -> float:
        """Pixel of `object` in um."""
        return self.grids.pixel_size_um / object_upsampling(self.grids, self.settings.upsampling)

    def object(self, upsampling: int | None = None) -> NDArray[np.complex64]:
        """(row, column) object under the images as it is now, in the settings' pixels or others.

        Fewer pixels than the synthetic aperture needs are every second, third, ... of those that hold it.
        """
        times = object_upsampling(self.grids, self.settings.upsampling) if upsampling is None else upsampling
        finer = -(-object_upsampling(self.grids) // times)
        found = np.asarray(self.model.object(self.spectrum, finer * times).cpu().numpy())[::finer, ::finer]
        if self._curvature is not None:
            place = np.arange(len(found)) / len(found) - 0.5
            place *= self.grids.tile_px * self.grids.pixel_size_um
            found = found * light_at(self.geometry.microscope, place, self._curvature).conj()
        return found.astype(np.complex64)

    def predicted(self, led_number: int) -> NDArray[np.float32]:
        """(row, column) image of one LED as object, pupil, brightness and stray light have it by now; 1 = open field.

        Raises
        ------
        DataError
            If the array has no LED of that number.
        """
        found = np.flatnonzero(self.leds.numbers == led_number)
        if not len(found):
            raise DataError(f"the array has no LED {led_number}", "choose one of the LEDs shown")
        led = int(found[0])
        model, optics = self.model, self.optics
        with torch.no_grad():
            # The pupil belongs to the LED's direction beside its window.
            beside = optics.direction[led] - model.whole_samples[led]
            alone = replace(optics, direction=model.whole_samples[:1] + beside)
            light = model.images(self.spectrum, model.pupils(alone), [led])[0]
            image = optics.log_gain[led].exp() * light + optics.background[led]
        return np.asarray(image.float().cpu().numpy())

    def result(self) -> Reconstruction:
        """Everything that is known by now."""
        model, optics = self.model, self.optics
        with torch.no_grad():
            fitted, crossed, light, power, agreeing = self._residuals()
            # The object is known up to its scale: the one that explains all images best with LEDs of one brightness.
            scale = float(crossed.sum() / max(light.sum(), 1e-30))
            log_gain = optics.log_gain - self.log_brightness
        waves = dict(self.geometry.microscope.zernike_waves)
        for noll, amount in zip(model.nolls, optics.zernike.tolist(), strict=True):
            waves[noll] = waves.get(noll, 0.0) + amount
        return Reconstruction(
            object=(self.object() * scale).astype(np.complex64),
            object_pixel_um=self.object_pixel_um,
            pupil=self._pupil(optics),
            frequency_step_per_um=self.grids.step_per_um,
            zernike_waves=waves,
            led_numbers=self.leds.numbers,
            illumination_na=self.leds.illumination_na,
            gain=log_gain.exp().double().cpu().numpy(),
            background=optics.background.double().cpu().numpy(),
            light=power / self.grids.tile_px**2,
            residual_per_led=fitted / np.maximum(power, BLACK * self.grids.tile_px**2),
            amplitude_residual=float(1 - scale * crossed.sum() / power.sum()),
            fitted_residual=float(fitted.sum() / power.sum()),
            history=tuple(self.history),
            geometry=self.geometry,
            structured_residual=float(max(0.0, agreeing.sum()) / power.sum()),
            contradictions=self.contradictions,
        )

    def _pupil(self, optics: Optics) -> NDArray[np.complex64]:
        """The pupil on the optical axis."""
        centred = Optics(
            direction=self.model.whole_samples[:1],
            zernike=optics.zernike,
            factor=optics.factor,
            log_gain=optics.log_gain,
            background=optics.background,
        )
        with torch.no_grad():
            return np.asarray(self.model.pupils(centred)[0].cpu().numpy()).astype(np.complex64)

    def _residuals(self) -> tuple[NDArray[np.float64], ...]:
        """Of every LED (L,): squared misfit, sums of A |g|, |g|^2 and A^2 with amplitudes |g| at one brightness, and
        products of neighbouring misfits.
        """
        model, optics = self.model, self.optics
        pupils = model.pupils(optics)
        rows: list[Tensor] = []
        for first in range(0, len(model), model.chunk):
            leds = range(first, min(first + model.chunk, len(model)))
            part = slice(leds.start, leds.stop)
            light = model.images(self.spectrum, pupils[part], leds).clamp_min(0)
            measured = (model.amplitude[part].square() - model.floor).clamp_min(0).sqrt()
            gain, stray = optics.log_gain[part].exp()[:, None, None], optics.background[part][:, None, None]
            misfit = (gain * light + stray).clamp_min(0).sqrt() - measured
            sums = (misfit.square(), measured * light.sqrt(), light, measured.square())
            # Products of neighbours: noise has none on average, structure has nearly the squares.
            beside = (misfit[:, :, 1:] * misfit[:, :, :-1]).sum((1, 2)) + (misfit[:, 1:] * misfit[:, :-1]).sum((1, 2))
            size = misfit.shape[-1]
            rows.append(torch.stack([*(one.sum((1, 2)) for one in sums), beside * (size / (size - 1) / 2)]))
        return tuple(torch.cat(rows, 1).double().cpu().numpy())


def reconstruct(
    geometry: Geometry,
    images: NDArray[np.float32],
    settings: Reconstruct | None = None,
    leds: LedArray | None = None,
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
) -> Reconstruction:
    """Reconstruct a stack in one go: see `StackReconstruction`.

    ``images`` are (LED, row, column) intensities, square, 1 = open field.

    Raises
    ------
    DataError, GeometryError
        If images, LEDs and grids do not fit together.
    """
    work = StackReconstruction(geometry, images, settings or Reconstruct(), leds, device, callback=callback)
    for _done in work.run():
        pass
    return work.result()
