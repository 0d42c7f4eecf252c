"""A pupil that a file states as an array, as Zernike terms of a microscope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.settings import Microscope
from ptychoui.zernike import zernike

NOLLS = range(4, 16)
"""Terms that are fitted; piston and tilt (1 to 3) change no image but for a shift, and are left out of the result."""
INSIDE = 0.97
"""Share of the pupil's radius that is fitted: the edge is a matter of the pixels it falls on."""
WEAKEST = 0.05
"""Amplitude relative to the largest one below which a phase means nothing."""
LEAST_SAMPLES = 30
EXPLAINED_WAVES = 0.1
"""RMS of the phase that may remain for the terms to stand for the pupil; a phase at random leaves 0.29."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PupilFit:
    """Zernike terms fitted to the phase of a pupil.

    Attributes
    ----------
    zernike_waves
        Noll index, 4 to 15, to coefficient in waves RMS; those below 0.0001 waves are left out.
    rms_waves, residual_waves
        RMS of the phase without piston and tilt, and of what the terms leave of it, in waves.
    amplitude_spread
        Standard deviation of the amplitude inside the pupil over its mean; the terms do not hold it.
    """

    zernike_waves: dict[int, float]
    rms_waves: float
    residual_waves: float
    amplitude_spread: float

    @property
    def explains(self) -> bool:
        """Whether the terms stand for the pupil."""
        return self.residual_waves <= EXPLAINED_WAVES


def fit_pupil(pupil: NDArray[Any], microscope: Microscope) -> PupilFit | None:
    """Fit Zernike terms to a pupil on the spectrum of an image.

    The phase has the sign of ``microscope.pupil_function``: the field's spectrum is multiplied with the pupil.

    Parameters
    ----------
    pupil
        (row, column) complex, the zero frequency at (rows // 2, columns // 2), rows and columns as those of the images.

    Returns
    -------
    The fit; None where fewer than 30 samples lie inside the pupil or hold light.
    """
    from skimage.restoration import unwrap_phase

    steps = [1 / (size * microscope.pixel_size_um) for size in pupil.shape]
    rows, columns = ((np.arange(n) - n // 2) * step for n, step in zip(pupil.shape, steps, strict=True))
    cutoff = microscope.objective_na / microscope.wavelength_um
    y, x = np.meshgrid(rows / cutoff, columns / cutoff, indexing="ij")
    inside = np.hypot(x, y) <= INSIDE
    amplitude = np.abs(pupil)
    if not inside.any():
        return None
    bright = inside & (amplitude > WEAKEST * amplitude[inside].max())
    if bright.sum() < LEAST_SAMPLES:
        return None
    unwrapped = unwrap_phase(np.ma.masked_array(np.angle(pupil), ~bright), rng=0)[bright].data / (2 * np.pi)
    low = np.stack([zernike(noll, x[bright], y[bright]) for noll in range(1, 4)], axis=-1)
    terms = np.concatenate([low, *(zernike(n, x[bright], y[bright])[:, None] for n in NOLLS)], axis=-1)
    waves = np.linalg.lstsq(terms, unwrapped, rcond=None)[0]
    for _ in range(3):  # what a wrong unwrapping left: the rest, wrapped, is small where the terms are right
        rest = np.angle(pupil[bright] * np.exp(-2j * np.pi * (terms @ waves))) / (2 * np.pi)
        waves = waves + np.linalg.lstsq(terms, rest, rcond=None)[0]
    rest = np.angle(pupil[bright] * np.exp(-2j * np.pi * (terms @ waves))) / (2 * np.pi)
    rms = float(np.sqrt(np.mean((terms[:, 3:] @ waves[3:] + rest) ** 2)))
    return PupilFit(
        zernike_waves={noll: float(w) for noll, w in zip(NOLLS, waves[3:], strict=True) if abs(w) >= 1e-4},
        rms_waves=rms,
        residual_waves=float(np.sqrt(np.mean(rest**2))),
        amplitude_spread=float(amplitude[inside].std() / amplitude[inside].mean()),
    )
