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
from ptychoui.optics.led_array import LedArray, led_array
from ptychoui.optics.microscope import Sampling
from ptychoui.optics.stack_fit import BACKGROUND, FACTOR, GAIN, OBJECT, ZERNIKE, StackFit, in_sequence
from ptychoui.optics.stack_model import Optics, StackModel, object_upsampling, stack_sampling
from ptychoui.settings import Geometry, Microscope, Reconstruct

POOR = 0.1
"""Residual, brightness and stray light fitted, from which something about the geometry is likely to be wrong."""

UNEXPLAINED = 0.02
"""Structured part of the residual from which a result is called not explained: right geometries have up to .015."""

ERRATIC = 0.36
"""Standard deviation of the logarithm of brightness among LEDs of about the same angle, weighted by the images'
amplitude, that calls for a remark.

Stacks with a right geometry have .01 to .29, however long they are fitted, images in a wrong order .42 to 2.
"""

UNEVEN = 0.5
"""The same of all LEDs. A mirrored layout of an easy sample has .6 and hardly any more than that among like angles, and
so have LEDs of a right one whose dark field was exposed otherwise.
"""

ALIKE = 12
"""LEDs that count as of about the same angle."""

BLACK = 1e-6
"""Mean of an image, 1 = open field, below which misfits are no longer shares of it."""

VEILED = 0.1
"""Stray light of a bright-field image, in units of its open field, that calls for a remark."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What a stack says of its sample and of the microscope.

    Attributes
    ----------
    object
        (row, column) complex64 transmission under the images, in pixels of ``object_pixel_um``.
    pupil
        (w, w) complex64 pupil around the optical axis, samples of ``frequency_step_per_um``.
    zernike_waves
        Noll index -> waves RMS, the geometry's own coefficients included.
    led_numbers, illumination_na
        (L,) and (L, 2) direction cosines that were used.
    gain, background
        (L,) brightness relative to the median of the bright field, which a dead LED does not move, and stray light;
        ones and zeros where not fitted.
    light
        (L,) mean of every image as it was measured, 1 = open field.
    residual_per_led
        (L,) sum (sqrt(y) - A)^2 / sum A^2 of each image, fitted brightness and stray light included; images darker
        than `BLACK` are taken to be as bright.
    amplitude_residual
        sum (|g| - A)^2 / sum A^2 over all images, in a pass of its own, with A the square root of the images as they
        are stored, g the fields of ``object``, and neither brightness nor stray light of single LEDs.
    fitted_residual
        The same with the fitted brightness and stray light.
    history
        Residual after each pass.
    structured_residual
        The part of ``fitted_residual`` in which neighbouring pixels agree: what noise does not explain.
    contradictions
        In what images and geometry contradict each other, where that was checked: sentences, see `geometry_check`.
    """

    object: NDArray[np.complex64]
    object_pixel_um: float
    pupil: NDArray[np.complex64]
    frequency_step_per_um: float
    zernike_waves: dict[int, float]
    led_numbers: NDArray[np.int64]
    illumination_na: NDArray[np.float64]
    gain: NDArray[np.float64]
    background: NDArray[np.float64]
    light: NDArray[np.float64]
    residual_per_led: NDArray[np.float64]
    amplitude_residual: float
    fitted_residual: float
    history: tuple[float, ...]
    geometry: Geometry
    structured_residual: float = 0.0
    contradictions: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What should make its owner doubt it, in sentences."""
        found = list(self.contradictions)
        if self.fitted_residual < POOR and self.structured_residual > UNEXPLAINED:
            noise = self.fitted_residual - self.structured_residual
            found.append(
                f"not explained: {self.structured_residual:.1%} of the light is left over as structure, where noise "
                f"accounts for {noise:.1%}: calibrate (ptychoui calibrate), and check the orientation, wavelength and "
                "NA; more coherent light or a smaller square help where LEDs are large or their light is broad"
            )
        if not self.fitted_residual < POOR:
            found.append(
                f"the model leaves {self.fitted_residual:.0%} of the light unexplained: check wavelength, pixel, "
                "height, the order of the LEDs, and the orientation (ptychoui calibrate --orientation)"
            )
        radius = np.hypot(*self.illumination_na.T)
        inside = radius < self.geometry.microscope.objective_na
        logarithm = np.log(self.gain)
        erratic = self._spread(logarithm - _of_like_angle(logarithm, radius, inside))
        uneven = self._spread(logarithm)
        if erratic > ERRATIC:
            found.append(
                f"to explain the images, neighbouring LEDs were given brightness differing {np.exp(erratic):.1f} times "
                "(RMS): their order or their layout is likely to be wrong (ptychoui info --leds, ptychoui calibrate "
                "--orientation)"
            )
        elif uneven > UNEVEN:
            found.append(
                f"to explain the images, LEDs were given brightness that differs {np.exp(uneven):.1f} times (RMS) from "
                "angle to angle: exposures, power or falloff of the LEDs may be other than the geometry says, or the "
                "layout is mirrored (ptychoui calibrate --orientation)"
            )
        stray = float((self.background / self.gain)[inside].max(initial=0.0))
        if stray > VEILED:
            found.append(
                f"bright-field images were given up to {stray:.0%} of their open field as stray light: they have less "
                "contrast than point sources of one wavelength would give; check LED size, bandwidth and dark level"
            )
        return tuple(found)

    def _spread(self, logarithm: NDArray[np.float64]) -> float:
        """RMS of logarithms; images with hardly any light say hardly anything of their LED."""
        weight = np.sqrt(self.light)
        weight /= max(float(weight.sum()), 1e-30)
        return float(np.sqrt((weight * (logarithm - (weight * logarithm).sum()) ** 2).sum()))


def _of_like_angle(
    values: NDArray[np.float64], radius: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For every LED the median over those of about the same angle, bright and dark field apart."""
    smooth = np.zeros_like(values)
    for group in (inside, ~inside):
        outwards = np.flatnonzero(group)[np.argsort(radius[group])]
        for ring in np.array_split(outwards, max(1, len(outwards) // ALIKE)):
            smooth[ring] = np.median(values[ring]) if len(ring) else 0.0
    return smooth


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
    between
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
        between: Callable[[], None] | None = None,
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
        self.model.between = between
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
            found = found * _light(self.geometry.microscope, place, self._curvature).conj()
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


def curvature(geometry: Geometry, field_point_um: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """How the direction of the light changes with place: (2, 2) symmetric, about -1 / height, in 1/um.

    The light of an LED at a finite height is a spherical wave. Over a tile it is taken for a plane one with the
    direction s at the tile's centre; what is left, the phase of

        - pi / lambda (x - x_t)^T J (x - x_t),    J = ds / dx,

    is the same for all LEDs but for their obliquity, and would be found in the object. J is the mean over the
    bright-field LEDs, which give nearly all light.
    """
    array, step_um = geometry.array.replace(max_illumination_na=None, falloff="none"), 1.0
    x, y = field_point_um
    here = led_array(array, field_point_um)
    bright = here.bright_field(geometry.microscope.objective_na)
    bright = bright if bright.any() else np.ones(len(here), bool)
    slopes = []
    for dx, dy in ((step_um, 0.0), (0.0, step_um)):
        ahead = led_array(array, (x + dx, y + dy)).illumination_na[bright]
        behind = led_array(array, (x - dx, y - dy)).illumination_na[bright]
        slopes.append((ahead - behind).mean(0) / (2 * step_um))
    return np.asarray((np.array(slopes) + np.array(slopes).T) / 2)


def curved_light(
    microscope: Microscope, grids: Sampling, curvature_per_um: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """(N, N) phase factor of the light over the object's grid, one at the tile's centre; see `curvature`."""
    place = (np.arange(grids.object_px) / grids.object_px - 0.5) * grids.span_px * grids.pixel_size_um
    return _light(microscope, place, curvature_per_um)


def _light(
    microscope: Microscope, place_um: NDArray[np.float64], curvature_per_um: NDArray[np.float64]
) -> NDArray[np.complex64]:
    (xx, xy), (_, yy) = curvature_per_um
    x, y = place_um[None, :], place_um[:, None]
    square = xx * x**2 + yy * y**2 + 2 * xy * x * y
    return np.asarray(np.exp(-1j * np.pi / microscope.wavelength_um * square), np.complex64)


def reconstruct(
    geometry: Geometry,
    images: NDArray[np.float32],
    settings: Reconstruct | None = None,
    leds: LedArray | None = None,
    device: torch.device | str = "cpu",
    between: Callable[[], None] | None = None,
) -> Reconstruction:
    """Reconstruct a stack in one go: see `StackReconstruction`."""
    work = StackReconstruction(geometry, images, settings or Reconstruct(), leds, device, between=between)
    for _done in work.run():
        pass
    return work.result()
