"""What can be said of a design before any run. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.phase_transfer import sign_of_phase
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.settings import Geometry, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasibility:
    """Numbers and warnings of a design before it is run.

    Attributes
    ----------
    lit
        (M,) LEDs above 1 % of full level.
    dark_field_photons
        Photoelectrons per pixel that the average dark-field row collects from an object that scatters 1 % of the
        light of every LED into the objective; NaN without dark-field rows.
    saturated_rows
        Rows whose open field exceeds the full well.
    coverage
        Share of the synthetic aperture's disc that the lit LEDs' pupils cover.
    phase_sensitivity
        Largest antisymmetric part of the weak-phase transfer function over all rows, 0 (blind) to 1: see
        `phase_transfer`.
    warnings
        Sentences with what to change.
    """

    lit: tuple[int, ...]
    dark_field_photons: float
    saturated_rows: tuple[int, ...]
    coverage: float
    phase_sensitivity: float
    warnings: tuple[str, ...]

    def line(self) -> str:
        """The feasibility line: one sentence for a terminal or a status bar."""
        low, high = min(self.lit), max(self.lit)
        lit = f"{low}" if low == high else f"{low} to {high}"
        photons = (
            "no dark-field rows"
            if np.isnan(self.dark_field_photons)
            else (f"{self.dark_field_photons:.0f} photons per dark-field pixel at 1 % scattering")
        )
        return (
            f"{lit} LEDs lit per pattern, {photons}, {self.coverage:.0%} of the synthetic aperture covered, "
            f"phase sensitivity {self.phase_sensitivity:.2f}"
        )


def feasibility(
    levels: NDArray[np.float64],
    exposures: NDArray[np.float64],
    leds: LedArray,
    geometry: Geometry,
    measurement: Measurement,
) -> Feasibility:
    """Judge a design: light, saturation, coverage, blindness to the sign of phase."""
    na = geometry.microscope.objective_na
    bright = leds.bright_field(na)
    weights = exposures[:, None] * levels * leds.gain
    lit = levels > 0.01
    open_field = (weights * bright).sum(1) + exposures * measurement.background
    dark_rows = (lit.any(1)) & ~(lit & bright).any(1)
    photons = float("nan")
    if dark_rows.any():
        photons = float(0.01 * weights[dark_rows].sum(1).mean() * measurement.photons_per_led)
    saturated = tuple(int(r) for r in np.flatnonzero(open_field * measurement.photons_per_led > measurement.full_well))
    coverage = _coverage(leds.illumination_na[lit.any(0)], na)
    sign = sign_of_phase(levels, exposures, leds, geometry.microscope)
    warnings = []
    if saturated:
        warnings.append(
            f"rows {', '.join(str(r + 1) for r in saturated)} saturate without an object: lower the levels, the "
            "exposure or measurement.photons_per_led"
        )
    if not np.isnan(photons) and photons < 10:
        warnings.append("dark-field rows collect fewer than 10 photons per pixel: lengthen their exposure")
    if sign.warning:
        warnings.append(sign.warning)
    empty = np.flatnonzero(~lit.any(1))
    if len(empty):
        warnings.append(f"rows {', '.join(str(r + 1) for r in empty)} light no LED")
    return Feasibility(
        lit=tuple(int(n) for n in lit.sum(1)),
        dark_field_photons=photons,
        saturated_rows=saturated,
        coverage=coverage,
        phase_sensitivity=sign.peak,
        warnings=tuple(warnings),
    )


def _grid(limit: float, samples: int = 65) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = np.linspace(-limit, limit, samples)
    x, y = np.meshgrid(axis, axis)
    return x, y


def _coverage(lit_na: NDArray[np.float64], objective_na: float) -> float:
    """Share of the disc of radius NA + largest lit NA that some pupil covers."""
    if not len(lit_na):
        return 0.0
    radius = objective_na + float(np.hypot(*lit_na.T).max())
    x, y = _grid(radius)
    covered = np.zeros(x.shape, dtype=bool)
    for kx, ky in lit_na:
        covered |= np.hypot(x - kx, y - ky) <= objective_na
    disc = np.hypot(x, y) <= radius
    return float((covered & disc).sum() / disc.sum())
