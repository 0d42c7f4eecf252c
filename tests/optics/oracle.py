"""A deliberately simple forward model: full grids, one LED at a time, written without the code under test.

The field of an LED is the object's whole spectrum times a pupil centred on k_l, on twice the object's grid so that
|u|^2 does not alias. Camera pixels are values of the intensity's Fourier series at the pixel's centre, times
sinc(f p) per axis where the pixel integrates. Positions start at the corner of the padded span.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

ZERNIKE = {
    1: lambda r, t: 1 + 0 * r,
    2: lambda r, t: 2 * r * np.cos(t),
    3: lambda r, t: 2 * r * np.sin(t),
    4: lambda r, t: np.sqrt(3) * (2 * r**2 - 1),
    5: lambda r, t: np.sqrt(6) * r**2 * np.sin(2 * t),
    6: lambda r, t: np.sqrt(6) * r**2 * np.cos(2 * t),
    7: lambda r, t: np.sqrt(8) * (3 * r**3 - 2 * r) * np.sin(t),
    8: lambda r, t: np.sqrt(8) * (3 * r**3 - 2 * r) * np.cos(t),
    9: lambda r, t: np.sqrt(8) * r**3 * np.sin(3 * t),
    10: lambda r, t: np.sqrt(8) * r**3 * np.cos(3 * t),
    11: lambda r, t: np.sqrt(5) * (6 * r**4 - 6 * r**2 + 1),
}
"""Noll 1976, table I."""


def pupil(scope: Any, fx: np.ndarray, fy: np.ndarray, step: float) -> np.ndarray:
    """Disc with an edge one frequency step wide, defocus exactly, Zernike terms from the table above."""
    f, cutoff = np.sqrt(fx**2 + fy**2), scope.objective_na / scope.wavelength_um
    edge = 0.5 - (f - cutoff) / step
    edge[edge > 1] = 1
    edge[edge < 0] = 0
    axial = np.sqrt(np.maximum((scope.medium_index / scope.wavelength_um) ** 2 - f**2, 0))
    waves = scope.defocus_um * axial
    for noll, coefficient in scope.zernike_waves.items():
        waves = waves + coefficient * ZERNIKE[noll](np.minimum(f / cutoff, 1.1), np.arctan2(fy, fx))
    return edge * np.exp(2j * np.pi * waves)


def pupils(scope: Any, na: np.ndarray, grids: Any) -> np.ndarray:
    """(L, N, N) pupils centred on k_l over the object's whole grid, in transform order."""
    size = int(grids.span_px * grids.upsampling)
    span_um = grids.span_px * scope.camera_pixel_um / scope.magnification
    f = np.fft.fftfreq(size) * size / span_um
    fx, fy = np.meshgrid(f, f)
    return np.array([pupil(scope, fx - kx, fy - ky, 1 / span_um) for kx, ky in na / scope.wavelength_um])


def series(scope: Any, grids: Any) -> np.ndarray:
    """(T, 2N) Fourier series of a periodic function at the tile's camera pixels, from coefficients in transform order."""
    pixel = scope.camera_pixel_um / scope.magnification
    size = 2 * int(grids.span_px * grids.upsampling)
    f = np.fft.fftfreq(size) * size / (grids.span_px * pixel)
    place = (grids.pad_px + np.arange(grids.tile_px)) * pixel
    transfer = np.sinc(f * pixel) if scope.pixel == "integrating" else np.ones(size)
    return np.exp(2j * np.pi * np.outer(place, f)) * transfer


def single_led_images(x: np.ndarray, scope: Any, na: np.ndarray, grids: Any) -> np.ndarray:
    """(N, N) complex object -> (L, T, T) images at gain one."""
    size = x.shape[-1]
    low = size // 2 + size % 2
    matrix, images = series(scope, grids), []
    for p in pupils(scope, na, grids):
        spectrum = np.fft.fftshift(np.fft.fft2(x) * p)
        field = np.fft.ifft2(np.fft.ifftshift(np.pad(spectrum, (low, size - low)))) * 4
        coefficients = np.fft.fft2(np.abs(field) ** 2) / (2 * size) ** 2
        images.append((matrix @ coefficients @ matrix.T).real)
    return np.array(images)


class TorchModel:
    """The same model in float64 torch, for autograd; (B, N, N) objects."""

    def __init__(self, scope: Any, na: np.ndarray, grids: Any) -> None:
        self.grids = grids
        self._pupils = torch.from_numpy(pupils(scope, na, grids))
        self._series = torch.from_numpy(series(scope, grids))

    def images(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, N) -> (B, L, T, T)."""
        size = x.shape[-1]
        spectrum = torch.fft.fftshift(torch.fft.fft2(x)[:, None] * self._pupils, dim=(-2, -1))
        low = size // 2 + size % 2
        high = size - low
        wide = torch.fft.ifftshift(torch.nn.functional.pad(spectrum, (low, high, low, high)), dim=(-2, -1))
        field = torch.fft.ifft2(wide) * 4
        squared = field.real.square() + field.imag.square()
        coefficients = torch.fft.fft2(squared.to(torch.complex128)) / (2 * size) ** 2
        return (self._series @ coefficients @ self._series.T).real

    def objective(self, x: torch.Tensor, data: Any) -> torch.Tensor:
        """(N / span)^2 sum_m || sqrt(y_m + c) - s^_m ||^2, over the whole batch."""
        y = torch.einsum("ml,blij->bmij", data.weights, self.images(x)) + data.offset[:, None, None]
        difference = torch.sqrt(y + data.variance_floor) - data.amplitude
        return (self.grids.object_px / self.grids.span_px) ** 2 * difference.square().sum()

    def gradient(self, x: torch.Tensor, data: Any, create_graph: bool = False) -> torch.Tensor:
        """G = dD/dx*: half of what autograd returns for a complex tensor."""
        if not x.requires_grad:
            x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(self.objective(x, data), x, create_graph=create_graph)
        return g / 2
