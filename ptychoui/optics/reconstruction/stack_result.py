"""What a stack says of its sample and of the microscope, and what should make its owner doubt it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.settings import Geometry

POOR = 0.1
"""Residual, brightness and stray light fitted, from which something about the geometry is likely to be wrong."""

UNEXPLAINED = 0.02
"""Structured part of the residual from which a result is called not explained: right geometries have up to .015."""

ERRATIC = 0.36
"""Standard deviation of the logarithm of brightness among LEDs of about the same angle, weighted by the images'
amplitude, that calls for a warning.

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
"""Stray light of a bright-field image, in units of its open field, that calls for a warning."""


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
    def warnings(self) -> tuple[str, ...]:
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
