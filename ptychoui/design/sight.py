"""What a design sees: frequencies that reach the camera, and where the transfer of phase is weak. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.phase_transfer import phase_transfer, sign_of_phase
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.quality.validation import FourierCoverage, fourier_coverage
from ptychoui.settings import Microscope
from ptychoui.words import counted

FloatArray = NDArray[np.float64]

WEAK = 0.1
"""Share of the largest possible transfer (1) below which a frequency's phase counts as weakly seen."""

LIT = 0.01
"""Level from which an LED counts as lit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What some patterns see.

    Attributes
    ----------
    coverage
        Which frequencies the lit LEDs bring into the images; None where none is lit.
    transfer
        (n, n) magnitude of the phase transfer function of a weak object, the best of the patterns at every frequency, 0
        to 1; rows along y and columns along x, from -``transfer_na`` to it.
    weak_share
        Share of the frequencies up to ``transfer_na`` with a transfer below `WEAK`.
    weak_from_na
        NA from which on all transfer is weak; 0 where it is weak everywhere.
    lit
        LEDs that are lit in some pattern.
    warning
        What the patterns are blind to, in a sentence; empty if nothing.
    """

    coverage: FourierCoverage | None
    transfer: FloatArray
    transfer_na: float
    weak_share: float
    weak_from_na: float
    lit: int
    warning: str
    wavelength_um: float
    objective_na: float

    @property
    def sentence(self) -> str:
        """What it comes to, in a few sentences."""
        if self.coverage is None:
            return "No LED is lit: nothing is seen."
        reach = self.coverage.largest_na
        holes = self.coverage.hole_share
        parts = [
            f"{counted(self.lit, 'LED')} lit: frequencies up to NA {reach:.3g} reach the camera, the smallest period "
            f"is {self.wavelength_um / reach:.3g} µm" + (f"; {holes:.0%} of them are holes." if holes > 0.001 else ".")
        ]
        if self.weak_from_na <= 0:
            parts.append("In focus these patterns carry no phase of a weak object to first order.")
        else:
            parts.append(
                f"Phase of a weak object is carried up to NA {self.weak_from_na:.3g}; within twice the objective's NA "
                f"it is weak for {self.weak_share:.0%} of the frequencies."
            )
        return " ".join(parts)


def sight(levels: FloatArray, exposures: FloatArray, leds: LedArray, microscope: Microscope) -> Sight:
    """What patterns see of an object, by levels (row, LED) and exposures (row,).

    The transfer is that of the first order in a weak object's phase, with the pupil's own aberrations; dark-field LEDs
    have none of it, but their frequencies are covered.
    """
    lit = (levels >= LIT).any(0)
    covered = fourier_coverage(leds.illumination_na[lit], microscope.objective_na) if lit.any() else None
    weights = exposures[:, None] * levels * leds.gain
    transfer = phase_transfer(weights, leds, microscope).max(0)
    axis = np.linspace(-1, 1, transfer.shape[-1])
    radius = np.hypot(axis[:, None], axis)
    inside = radius <= 1
    strong = inside & (transfer >= WEAK)
    reach = 2 * microscope.objective_na
    return Sight(
        coverage=covered,
        transfer=transfer,
        transfer_na=reach,
        weak_share=float(1 - strong.sum() / inside.sum()),
        weak_from_na=float(radius[strong].max(initial=0.0) * reach),
        lit=int(lit.sum()),
        warning=sign_of_phase(levels, exposures, leds, microscope).warning if lit.any() else "",
        wavelength_um=microscope.wavelength_um,
        objective_na=microscope.objective_na,
    )
