"""How far a reconstruction is from the truth, once what no image can tell is set aside.

Images know neither the object's global phase and scale, nor where it lies to a part of a pixel, nor a slight ramp of
its phase, which a shift of the LED array is. All four are fitted; what is left counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Object = NDArray[np.complexfloating]
FINER = 4
ROUNDS = 4


def low_passed(field: Object, pixel_um: float, cutoff_per_um: float) -> NDArray[np.complex128]:
    """A field (row, column) without frequencies above a cut-off in 1/um."""
    fy, fx = (np.fft.fftfreq(n, pixel_um) for n in field.shape)
    inside = np.hypot(fy[:, None], fx[None, :]) <= cutoff_per_um
    return np.asarray(np.fft.ifft2(np.fft.fft2(field) * inside))


def error(found: Object, truth: Object, margin_px: int) -> float:
    """|c S R x - t| over |t - mean t|, both norms over the inner pixels, best of all factors c, shifts S and ramps R.

    Parameters
    ----------
    found, truth
        (row, column) on the same pixels.
    margin_px
        Object pixels at every edge that do not count.
    """
    x, t = np.asarray(found, complex), np.asarray(truth, complex)
    inner = slice(margin_px, -margin_px or None)
    for _ in range(ROUNDS):
        x = _without_ramp(x, t, inner)
        x = _shifted_onto(x, t, inner)
    a, b = x[inner, inner], t[inner, inner]
    factor = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-30)
    return float(np.linalg.norm(factor * a - b) / np.linalg.norm(b - b.mean()))


def _without_ramp(x: Object, t: Object, inner: slice) -> Object:
    """The field times the phase ramp that brings it closest to the truth."""
    product = (x.conj() * t)[inner, inner]
    ky, kx = _peak(product)
    y, n = np.arange(x.shape[0]), np.arange(x.shape[1])
    return x * np.exp(2j * np.pi * (ky * y[:, None] + kx * n[None, :]))


def _shifted_onto(x: Object, t: Object, inner: slice) -> Object:
    """The field moved by the part of a pixel, or by pixels, that bring its structure onto that of the truth."""
    window = np.hanning(x.shape[0] + 2)[1:-1, None] * np.hanning(x.shape[1] + 2)[None, 1:-1]
    a, b = ((field - field[inner, inner].mean()) * window for field in (x, t))
    spectrum = np.fft.fft2(x)
    # The correlation's peak: the cross spectrum is a wave whose frequencies are the shift.
    cross = np.fft.fftshift(np.fft.fft2(a).conj() * np.fft.fft2(b))
    sy, sx = (step * n for step, n in zip(_peak(cross), x.shape, strict=True))
    fy, fx = (np.fft.fftfreq(n) for n in x.shape)
    return np.asarray(np.fft.ifft2(spectrum * np.exp(2j * np.pi * (fy[:, None] * sy + fx[None, :] * sx))))


def _peak(values: Object) -> tuple[float, float]:
    """Frequency (row, column), cycles per sample, of the strongest wave in some values."""
    size = tuple(FINER * n for n in values.shape)
    power = np.abs(np.fft.fft2(values, size))
    place = np.unravel_index(int(np.argmax(power)), size)
    f = np.array([np.fft.fftfreq(n)[p] for n, p in zip(size, place, strict=True)])
    rows, columns = (np.arange(n) for n in values.shape)

    def strength(at: NDArray[np.float64]) -> float:
        return float(abs(np.exp(-2j * np.pi * at[0] * rows) @ values @ np.exp(-2j * np.pi * at[1] * columns)))

    step = np.array([0.5 / n for n in size])
    for _ in range(12):  # parabolas along both axes, closer and closer
        for axis in (0, 1):
            move = np.zeros(2)
            move[axis] = step[axis]
            low, mid, high = strength(f - move), strength(f), strength(f + move)
            bend = low - 2 * mid + high
            if bend < 0:
                f = f + move * float(np.clip(0.5 * (low - high) / bend, -1, 1))
        step *= 0.5
    return float(f[0]), float(f[1])
