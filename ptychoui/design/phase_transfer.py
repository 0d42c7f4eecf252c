"""How a weak object's phase goes into the images of a design, and whether its sign does. NumPy only.

The object 1 + a + i phi under an LED in the direction k_l gives to first order an image with the spectrum
T_l(q) phi(q) + ..., with the phase transfer function

    T_l(q) = i [conj P(-k_l) P(q - k_l) - P(-k_l) conj P(-q - k_l)],

and a pattern with weights C_l the sum of C_l T_l (Tian and Waller, Opt. Express 23, 11394 (2015), equations 5 to 7).
In focus, where aberrations are odd at most (P(-k) = conj P(k)), T_-l = -T_l: of a pattern with C(+k) = C(-k) nothing is
left. That is no matter of weak objects: the image of the conjugate object under the LED at k_l is the image of the
object under the LED at -k_l, so that symmetric patterns show both alike, in the dark field, too.

Dark-field LEDs have no T_l, P(-k_l) = 0. Their images know the sign only where light that the sample scatters
interferes with itself: to second order in an object that absorbs and shifts the phase, to third order in one that only
shifts the phase. Of dark-field rows the asymmetry of the levels is looked at, and it counts as the weaker sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import pupil_function
from ptychoui.settings import Microscope

FloatArray = NDArray[np.float64]

SAMPLES = 33
"""Frequencies along each axis, from -2 NA to 2 NA."""

EDGE = 1e-3
"""Width of the pupil's edge, in units of NA / wavelength: sharp, but rounding must not decide what lies inside."""

BLIND = 0.005
"""RMS of the phase transfer function over the disc of 2 NA below which a row is blind to the sign of phase.

Half circles have 0.3 to 0.5, dense random levels 0.01 (hundreds of LEDs) to 0.1 (ten).
"""

SYMMETRIC = 0.1
"""Asymmetry up to which a row counts as symmetric, whatever its transfer function is.

What an array that stands a little aside, or LEDs of uneven brightness, add to a disc tells the sign only as well as
they are known. Random levels have 0.3.
"""


def phase_transfer(weights: FloatArray, leds: LedArray, microscope: Microscope) -> FloatArray:
    """Magnitude of the phase transfer function of every row, over its light: 0 (nothing is seen) to 1.

    |sum_l C_l T_l(q)| / sum_l C_l over the bright-field LEDs; zero for rows without them.

    Parameters
    ----------
    weights
        (M, LED) levels times exposure and brightness of the LEDs.

    Returns
    -------
    (M, n, n) for the n x n frequencies q between -2 NA and 2 NA, rows along y and columns along x.
    """
    wavelength, na = microscope.wavelength_um, microscope.objective_na
    axis = np.linspace(-2 * na, 2 * na, SAMPLES)
    step = EDGE * na / wavelength

    def pupil(na_x: FloatArray, na_y: FloatArray) -> NDArray[np.complex128]:
        return pupil_function(microscope, na_x / wavelength, na_y / wavelength, step)

    k_x, k_y = leds.illumination_na.T
    direct = pupil(-k_x, -k_y)
    seen = np.flatnonzero(leds.bright_field(na))
    if not len(seen):
        return np.zeros((len(weights), SAMPLES, SAMPLES))
    direct, k_x, k_y = (each[seen, None, None] for each in (direct, k_x, k_y))
    q_y, q_x = (each[None] for each in np.meshgrid(axis, axis, indexing="ij"))
    of_led = direct.conj() * pupil(q_x - k_x, q_y - k_y) - direct * pupil(-q_x - k_x, -q_y - k_y).conj()
    rows = weights[:, seen]
    light = rows.sum(1)
    found = np.abs(np.tensordot(rows, of_led, 1))
    return np.asarray(found / np.maximum(light, 1e-30)[:, None, None])


def in_focus(microscope: Microscope) -> Microscope:
    """The microscope with a real and even pupil."""
    return microscope.replace(defocus_um=0.0, zernike_waves={})


def strength(transfer: FloatArray) -> FloatArray:
    """(M,) RMS of phase transfer functions (M, n, n) over the disc of 2 NA."""
    axis = np.linspace(-1, 1, transfer.shape[-1])
    disc = np.hypot(axis[:, None], axis) <= 1
    return np.asarray(np.sqrt((transfer[:, disc] ** 2).mean(1)))


def asymmetry(weights: FloatArray, leds: LedArray) -> FloatArray:
    """By how much rows differ from themselves turned by half a turn: 0 (symmetric) to 1 (one side alone).

    sum |C(k) - C(-k)| / sum (C(k) + C(-k)). The LED at -k is the one that is nearest to it, if it is no further than
    the LEDs are from one another; elsewhere there is none, and C(-k) is 0. Rows without light are symmetric.

    Parameters
    ----------
    weights
        (M, LED) levels times exposure and brightness of the LEDs.

    Returns
    -------
    (M,) one number for every row.
    """
    place = leds.illumination_na
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    opposite = np.hypot(*(place[:, None] + place[None]).transpose(2, 0, 1))
    nearest = opposite.argmin(1)
    np.fill_diagonal(apart, np.inf)
    pitch = float(np.median(apart.min(1))) if len(place) > 1 else 0.0
    there = opposite[np.arange(len(place)), nearest] <= pitch
    turned = weights[:, nearest] * there
    both = (weights + turned).sum(1)
    return np.asarray(np.abs(weights - turned).sum(1) / np.maximum(both, 1e-30))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOfPhase:
    """What a design sees of the sign of phase.

    Attributes
    ----------
    peak
        Largest magnitude of the phase transfer function of any row, 0 to 1, in focus and without aberrations.
    bright_field
        `strength` of the best row whose bright field is not symmetric, in focus and without aberrations.
    aberrated
        `strength` of the best row with the pupil's own defocus and aberrations.
    dark_field
        Largest `asymmetry` of the dark-field LEDs of any row.
    """

    peak: float
    bright_field: float
    aberrated: float
    dark_field: float

    @property
    def warning(self) -> str:
        """What a design is blind to, and what to do; empty where some row lights one side of the bright field."""
        if self.bright_field >= BLIND:
            return ""
        advice = "light one side of the bright field in one pattern"
        if self.aberrated >= BLIND:
            return (
                "every bright-field pattern is symmetric: the sign of phase rests on the pupil's defocus and "
                f"aberrations, or on uneven LEDs, alone, and is as sure as they are: {advice}"
            )
        if self.dark_field > SYMMETRIC:
            return (
                "every bright-field pattern is symmetric: of a weak object an in-focus microscope cannot tell the sign "
                f"of phase from them, and dark-field patterns tell it weakly: {advice}"
            )
        return (
            "every pattern is symmetric: an in-focus microscope cannot tell the sign of phase from it, an object and "
            f"its conjugate give the same images: {advice}"
        )


def sign_of_phase(levels: FloatArray, exposures: FloatArray, leds: LedArray, microscope: Microscope) -> SignOfPhase:
    """What a design of levels (M, LED) and exposures (M,) sees of the sign of phase.

    The light of a row is levels times exposure times the brightness of the LEDs. A row is symmetric if its levels are,
    with or without that brightness.
    """
    weights = exposures[:, None] * levels * leds.gain
    sharp = phase_transfer(weights, leds, in_focus(microscope))
    bright = leds.bright_field(microscope.objective_na)

    def lopsided(part: NDArray[np.bool_]) -> FloatArray:
        some = leds.select(part)
        both = (asymmetry(each[:, part], some) for each in (levels, weights))
        return np.minimum(*both) if part.any() else np.zeros(len(levels))

    seeing = strength(sharp) * (lopsided(bright) > SYMMETRIC)
    return SignOfPhase(
        peak=float(sharp.max(initial=0.0)),
        bright_field=float(seeing.max(initial=0.0)),
        aberrated=float(strength(phase_transfer(weights, leds, microscope)).max(initial=0.0)),
        dark_field=float(lopsided(~bright).max(initial=0.0)),
    )
