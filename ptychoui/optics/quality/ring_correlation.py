"""How two results agree, ring by ring of their frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingCorrelation:
    """Agreement of two images, ring by ring of their spectra.

    Attributes
    ----------
    frequency_per_um
        (ring,) middle of each ring.
    correlation
        (ring,) from -1 to 1.
    half_bit
        (ring,) the half-bit threshold for the ring's number of frequencies.
    pixel_um
        Pixel of the images.
    """

    frequency_per_um: FloatArray
    correlation: FloatArray
    half_bit: FloatArray
    pixel_um: float

    def resolution_um(self, threshold: FloatArray | float | None = None) -> float:
        """Period in um at which the correlation first falls below a threshold, by default the half-bit one.

        The threshold is (ring,), or a constant such as 1 / 7. The result is infinite if the first ring lies below
        already, and two pixels, the finest that the images hold, if none does.
        """
        limit = self.half_bit if threshold is None else np.broadcast_to(threshold, self.correlation.shape)
        apart = self.correlation - limit
        below = np.flatnonzero(apart < 0)
        if not len(below):
            return 2 * self.pixel_um
        ring = int(below[0])
        if ring == 0:
            return float("inf")
        share = apart[ring - 1] / (apart[ring - 1] - apart[ring])
        first, second = self.frequency_per_um[ring - 1 : ring + 1]
        return float(1 / (first + share * (second - first)))


def ring_correlation(
    first: NDArray[np.inexact], second: NDArray[np.inexact], pixel_um: float, taper: float = 0.15
) -> RingCorrelation:
    """Fourier ring correlation of two reconstructions of the same field.

    FRC(r) = Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2) over a ring of spatial frequencies, half-bit threshold
    (0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n)) for n independent frequencies (van Heel & Schatz, Journal
    of Structural Biology 151, 250 (2005), eq. 2 and 17). Departure: n is the number of grid points of the ring, half of
    them for real images, scaled by the share of the area that the taper leaves; the paper's factor for a round particle
    does not apply to a full field.

    The two should share neither images nor noise: two halves of the LEDs, or two recordings. A constant phase between
    them is taken away, for it cannot be measured. Means are removed, so that the common background says nothing.

    Parameters
    ----------
    first, second
        (N, N) real or complex images.
    pixel_um
        Edge of a pixel.
    taper
        Share of the edge over which each side fades to zero: the sides of a field do not match.

    Raises
    ------
    DataError
        If the images differ in shape or are not square.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] != first.shape[1]:
        raise DataError(
            f"images of shape {first.shape} and {second.shape} cannot be compared ring by ring",
            "crop both to the same square",
        )
    size = first.shape[0]
    edge = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / max(taper * size, 0.5), 0, 1)
    window = np.outer(np.sin(edge * np.pi / 2) ** 2, np.sin(edge * np.pi / 2) ** 2)
    is_complex = np.iscomplexobj(first) or np.iscomplexobj(second)
    spectra = [np.fft.fft2((image - image.mean()) * window) for image in (first, second)]
    cross, power = spectra[0] * spectra[1].conj(), [np.square(np.abs(s)) for s in spectra]
    if is_complex:
        total = np.vdot(second, first)
        cross = cross * np.exp(-1j * np.angle(total))
    step = np.fft.fftfreq(size) * size
    ring = np.rint(np.hypot(step[:, None], step[None, :])).astype(int).ravel()
    rings = size // 2
    count = np.bincount(ring)[1:rings]
    upper = np.bincount(ring, cross.real.ravel())[1:rings]
    below = np.sqrt(np.bincount(ring, power[0].ravel())[1:rings] * np.bincount(ring, power[1].ravel())[1:rings])
    independent = np.maximum(1.0, count * float(np.mean(window)) * (1.0 if is_complex else 0.5))
    root = np.sqrt(independent)
    return RingCorrelation(
        frequency_per_um=np.arange(1, rings) / (size * pixel_um),
        correlation=np.divide(upper, below, out=np.zeros_like(upper), where=below > 0),
        half_bit=(0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root),
        pixel_um=pixel_um,
    )


ONE_SEVENTH = 1 / 7
"""Fixed threshold, for comparison with figures in the literature; van Heel & Schatz advise against it."""
