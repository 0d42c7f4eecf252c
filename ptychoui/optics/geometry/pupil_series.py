"""The pupil as a polynomial phase and an edge: what makes it again quickly, sample by sample, wherever its LED lies.

The pupil of every LED is `pupil_function` moved by a fraction of a sample. A table of all takes L w w numbers; streams
over LEDs make those of a few LEDs when they need them, each time the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.settings import Microscope


@dataclass(frozen=True, slots=True)
class PupilSeries:
    """`pupil_function` with frequencies counted in samples of the object's spectrum.

    P(x, y) = edge(r) exp(2 pi i [defocus sqrt(medium^2 - r^2) + sum_ab waves[a, b] x^a y^b]), where r is the radius
    and the edge falls linearly from 1 to 0 between cutoff - 1/2 and cutoff + 1/2.

    Attributes
    ----------
    cutoff
        NA / lambda.
    medium
        n / lambda.
    defocus
        Waves per sample of the axial frequency.
    waves
        (D + 1, D + 1) Zernike terms of up to degree D as powers.
    """

    cutoff: float
    medium: float
    defocus: float
    waves: NDArray[np.float64]

    @staticmethod
    def of(microscope: Microscope, step_per_um: float) -> PupilSeries | None:
        """The series, or None where the pupil is so small that Zernike terms are clipped within its edge."""
        cutoff = microscope.objective_na / microscope.wavelength_um / step_per_um
        if microscope.zernike_waves and cutoff + 0.5 > 1.1 * cutoff:
            return None
        waves = zernike_powers(microscope.zernike_waves)
        degree = np.arange(len(waves))
        return PupilSeries(
            cutoff=cutoff,
            medium=microscope.medium_index / microscope.wavelength_um / step_per_um,
            defocus=microscope.defocus_um * step_per_um,
            waves=waves / cutoff ** (degree[:, None] + degree[None, :]),
        )

    def on(self, fraction: Tensor, half: int) -> Tensor:
        """(l, w, w) complex128 pupils of LEDs at these fractions (l, 2), on their device."""
        order = torch.arange(-half, half + 1, dtype=torch.float64, device=fraction.device)
        x, y = order - fraction[:, :1], order - fraction[:, 1:]
        squared = (y * y)[:, :, None] + (x * x)[:, None, :]
        # sum_a (sum_b waves[a, b] y^b) x^a: one small matrix product for each LED.
        power = torch.arange(len(self.waves), device=fraction.device)
        in_x = y[..., None] ** power @ torch.from_numpy(self.waves).to(fraction.device).T
        phase = in_x @ (x[..., None] ** power).mT
        if self.defocus:
            phase += (self.medium**2 - squared).clamp_(min=0).sqrt_().mul_(self.defocus)
        edge = squared.sqrt_().neg_().add_(self.cutoff + 0.5).clamp_(0, 1)
        return torch.polar(edge, phase.mul_(2 * math.pi))


def zernike_powers(waves: dict[int, float]) -> NDArray[np.float64]:
    """(D + 1, D + 1) coefficients of x^a y^b of a sum of Zernike polynomials on the unit disc, by Noll's index.

    With rho^m cos(m theta) = Re (x + i y)^m, and the sine likewise, every term of Noll's table is a polynomial.
    """
    degree = max((radial_order(noll) for noll in waves), default=0)
    total = np.zeros((degree + 1, degree + 1))
    for noll, amount in waves.items():
        n = radial_order(noll)
        place = noll - n * (n + 1) // 2 - 1
        m = 2 * (place // 2) + 1 if n % 2 else 2 * ((place + 1) // 2)
        norm = math.sqrt(n + 1) if m == 0 else math.sqrt(2 * (n + 1))
        for s in range((n - m) // 2 + 1):
            radial = (
                (-1) ** s
                * math.factorial(n - s)
                / (math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s))
            )
            turns = (n - m) // 2 - s  # (x^2 + y^2)^turns times the angular part
            for k in range(m + 1):
                unit = 1j**k  # of (x + i y)^m = sum_k C(m, k) x^(m - k) (i y)^k
                angular = unit.imag if m and noll % 2 else unit.real
                for t in range(turns + 1):
                    a, b = m - k + 2 * (turns - t), k + 2 * t
                    total[a, b] += amount * norm * radial * angular * math.comb(m, k) * math.comb(turns, t)
    return total


def radial_order(noll: int) -> int:
    """Radial order n of a Zernike polynomial in Noll's order."""
    return (math.isqrt(8 * noll - 7) - 1) // 2
