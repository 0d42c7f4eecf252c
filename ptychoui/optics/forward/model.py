"""The Fourier ptychographic forward model, its data-consistency gradient and closed-form products.

For LED l with direction cosines s_l the field behind the objective is

    u_l = F_n^-1 [ P(k - d_l) . crop_l(F_N x) ],        I_l = R |u_l|^2,

where the crop is centred on the integer part of k_l = s_l / lambda on the frequency grid, d_l is its
fraction (the phase ramp it leaves drops out of |u|^2), the field's grid of n x n samples holds |u_l|^2
without aliasing, and R integrates over the camera's pixels. A multiplexed measurement is
y_m = sum_l C_ml I_l + o_m, and the residual compares amplitudes s_m = sqrt(y_m + c):

    D(x) = a sum_m || s_m - s^_m ||^2,    a = (object pixels / camera pixels),

so that D is an integral over the object's pixels and step sizes of order one suit every size.
Source: Kellman et al., "Memory-efficient learning for large-scale computational imaging" (2020), equations 9
to 11, with the sum over m taken before the adjoint.

Transforms of the field's grid that a pass takes for L LEDs, by whether fields are kept or streamed (made again in
chunks, in memory that does not grow with L):

| pass                                           | kept | streamed |
|------------------------------------------------|------|----------|
| `linearise`                                    | L    | L        |
| `gradient` after it                            | L    | 2 L      |
| `product` after it                             | 2 L  | 5 L      |
| `product_at`: linearise and product in one     | 3 L  | 5 L      |
| `gradient_and_product`: all three in one       | 4 L  | 6 L      |
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.coverage import spectral_coverage
from ptychoui.optics.forward.data_term import DataTerm, ProductResult, residual_change, residual_of
from ptychoui.optics.forward.grids import camera_matrix, interpolation_matrix, led_windows
from ptychoui.optics.forward.led_sums import Light
from ptychoui.optics.forward.led_sums_choice import led_sums
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope


@dataclass(frozen=True, slots=True)
class Linearised:
    """Fields and residuals at one object: all that a product with the Hessian needs."""

    light: Light  # the object's transform, and the fields u_l unless they are streamed
    weights: Tensor  # (M, L) C
    predicted: Tensor  # (B, M, T, T) s_m
    residual: Tensor  # (B, M, T, T) r_m = 1 - s^_m / s_m


DAMPING = 0.01
"""Share of the largest light over a frequency below which steps grow no more: no light says anything there."""


class FourierPtychography:
    """Forward model of a tile on a device, in single or double precision.

    Parameters
    ----------
    microscope, leds, grids
        The geometry; only these LEDs are modelled.
    dtype
        ``torch.float32`` or ``torch.float64``, the real type.
    stream
        Make fields and pupils again in chunks of LEDs instead of keeping those of all: memory does not grow with the
        number of LEDs, for half as many transforms again (see the table above). Results differ by rounding.
    chunk_bytes
        Bytes of the fields of one chunk, by default 2 MiB for every thread of a CPU, whose caches it fills, and 64 MiB
        elsewhere. On a CPU it holds for models that keep fields, too: they go through chunks without forgetting them.

    Methods take the buffers they may use: ``keep`` for what later products need, ``work`` for the rest.

    Raises
    ------
    GeometryError
        If an LED's pupil leaves the frequency grid of the object.
    """

    def __init__(
        self,
        microscope: Microscope,
        leds: LedArray,
        grids: Sampling,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        stream: bool = False,
        chunk_bytes: int | None = None,
    ) -> None:
        self.microscope, self.leds, self.grids = microscope, leds, grids
        self.dtype = dtype
        self.complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
        self.device = torch.device(device)
        self._windows = led_windows(microscope, leds, grids, np.complex64 if dtype == torch.float32 else np.complex128)
        self.stream = stream
        self._sums = led_sums(self._windows, self.device, stream, chunk_bytes)
        self._scale = (grids.field_px / grids.object_px) ** 2
        camera = camera_matrix(microscope, grids)
        plain = camera.shape[0] == camera.shape[1] and np.abs(camera - np.eye(len(camera))).max() < 1e-12
        self._camera = None if plain else torch.from_numpy(camera).to(self.device, dtype)
        self._interpolation = torch.from_numpy(interpolation_matrix(grids)).to(self.device, dtype)
        self._area = float((grids.object_px / grids.span_px) ** 2)

    def streamed(self, chunk_bytes: int | None = None) -> FourierPtychography:
        """The same model in chunks of LEDs: a view that shares all tables but the pupils, of which it has none."""
        other = copy.copy(self)
        other.stream = True
        other._sums = led_sums(self._windows, self.device, True, chunk_bytes)
        return other

    # Fields -----------------------------------------------------------------------------------------

    def _spectrum(self, x: Tensor) -> Tensor:
        """Transform of an object, scaled to the field's grid; the adjoint is the plain inverse transform."""
        spectrum: Tensor = torch.fft.fft2(x)
        return spectrum.mul_(self._scale)

    def field(self, x: Tensor, work: Scratch) -> Tensor:
        """Fields u_l of an object up to a phase ramp that is the same for all of an LED's fields.

        (B, N, N) complex -> (B, L, n, n) complex.
        """
        return self._sums.fields(self._spectrum(x), work)

    def field_adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """Adjoint of `field` as a real-linear map: (B, L, n, n) -> (B, N, N). Overlaps add in LED order."""
        image: Tensor = torch.fft.ifft2(self._sums.adjoint(fields, work))
        return image

    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Window places in the flat spectrum, pupils (L, w, w), and the camera's matrix (T, n): for benchmarks."""
        place = torch.from_numpy(self._windows.places().reshape(-1))
        camera = torch.eye(self.grids.field_px, dtype=self.dtype) if self._camera is None else self._camera
        return place.to(self.device), torch.from_numpy(self._windows.pupils()).to(self.device), camera.to(self.device)

    # Camera -----------------------------------------------------------------------------------------

    def camera(self, intensity: Tensor) -> Tensor:
        """Integrate over camera pixels: (..., n, n) intensity -> (..., T, T)."""
        return intensity if self._camera is None else self._camera @ intensity @ self._camera.T

    def camera_adjoint(self, image: Tensor) -> Tensor:
        """Adjoint of `camera`: (..., T, T) -> (..., n, n)."""
        return image if self._camera is None else self._camera.T @ image @ self._camera

    def intensities(self, x: Tensor, work: Scratch | None = None) -> Tensor:
        """Single-LED images of an object at gain one: (B, N, N) complex -> (B, L, T, T) real."""
        u = self.field(x, work or Scratch())
        return self.camera(u.real.square() + u.imag.square())

    def predict(self, x: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
        """Noise-free multiplexed measurements y_m: (B, N, N) -> (B, M, T, T)."""
        mixed = self._sums.mixed_intensities(self._spectrum(x), weights, None, Scratch())
        return self.camera(mixed) + offset[:, None, None]

    def first_estimate(self, amplitude: Tensor, brightness: Tensor) -> Tensor:
        """Object of zero phase from bright-field rows: sqrt(mean_m(s^_m^2 / brightness_m)), interpolated.

        Parameters
        ----------
        amplitude
            (B, rows, T, T) square roots of measurements.
        brightness
            (rows,) the value of each measurement where there is no object.

        Returns
        -------
        (B, N, N) complex; differentiable.
        """
        mean = (amplitude.square() / brightness[:, None, None]).mean(1)
        magnitude = torch.sqrt(mean.clamp_min(1e-6))
        return torch.complex(*self._spread(magnitude))

    def _spread(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        grown = self._interpolation @ magnitude @ self._interpolation.T
        return grown, torch.zeros_like(grown)

    @property
    def area(self) -> float:
        """Object pixels per camera pixel: what makes sums over camera pixels integrals over the object's."""
        return self._area

    # Data consistency ---------------------------------------------------------------------------------

    def linearise(self, x: Tensor, data: DataTerm, keep: Scratch, work: Scratch) -> Linearised:
        """Fields, predicted amplitudes and residuals at x, in buffers of ``keep``; L transforms.

        A streamed model keeps no fields: the object's spectrum takes their place.

        ``x`` is (B, N, N) complex.
        """
        spectrum, fields = self._spectrum(x), None
        if not self.stream:
            n = self.grids.field_px
            fields = keep.get("fields", (len(x), len(self.leds), n, n), self.complex_dtype, self.device)
        mixed = self._sums.mixed_intensities(spectrum, data.weights, fields, work)
        return self._linearised(Light(spectrum, fields), mixed, data)

    def _linearised(self, light: Light, mixed: Tensor, data: DataTerm) -> Linearised:
        predicted, residual = residual_of(self.camera(mixed), data)
        return Linearised(light, data.weights, predicted, residual)

    def gradient(self, at: Linearised, work: Scratch) -> Tensor:
        """G = dD/dx* = a sum_l B_l^H [w_l u_l]; L transforms, streamed 2 L. (B, N, N) complex."""
        images = self.camera_adjoint(at.residual)
        return self._image(self._sums.weighted_adjoint(at.light, at.weights, images, work))

    def _image(self, spectrum: Tensor) -> Tensor:
        image: Tensor = torch.fft.ifft2(spectrum)
        return image.mul_(self._area)

    def objective(self, at: Linearised, data: DataTerm) -> Tensor:
        """D(x) per object: (B,)."""
        return self._area * (at.predicted - data.amplitude).square().sum((1, 2, 3))

    def product(self, at: Linearised, q: Tensor, data: DataTerm, work: Scratch) -> ProductResult:
        """Product with the Hessian and the derivatives of Re<q, g> in every constant; 2 L transforms, streamed 5 L.

        With b_l = B_l q, dI_l = 2 Re(conj(u_l) b_l), dy_m = sum_l C_ml R dI_l, dr_m = s^_m dy_m / (2 s_m^3):

            H q          = a sum_l B_l^H [ w_l b_l + (R^T sum_m C_ml dr_m) u_l ]
            d/dC_ml      = a/2 ( <R^T r_m, dI_l> + <R^T dr_m, |u_l|^2> )
            d/do_m       = a/2 sum dr_m
            d/ds^_m      = - a dy_m / (2 s_m)

        Parameters
        ----------
        at
            From `linearise` at the same object.
        q
            (B, N, N) complex direction.
        """
        direction, others = self._spectrum(q), None
        if at.light.fields is not None:
            n = self.grids.field_px
            others = work.get("others", (len(q), len(self.leds), n, n), self.complex_dtype, self.device)
        crossed = self._sums.mixed_cross(at.light, direction, at.weights, others, work)
        dy, dr, images, changes = self._changes(at, crossed, data)
        spectrum, correlations = self._sums.product_adjoint(
            at.light, Light(direction, others), at.weights, images, changes, work
        )
        return self._result(at, spectrum, correlations, dy, dr)

    def product_at(self, x: Tensor, q: Tensor, data: DataTerm, work: Scratch) -> ProductResult:
        """`product` at x where nothing was linearised before; 3 L transforms, streamed 5 L.

        ``x`` and ``q`` are (B, N, N) complex.
        """
        if not self.stream:
            return self.product(self.linearise(x, data, work, work), q, data, work)
        at, direction, (dy, dr, images, changes) = self._both(self._spectrum(x), q, data, work)
        spectrum, correlations = self._sums.product_adjoint(
            at.light, Light(direction), at.weights, images, changes, work
        )
        return self._result(at, spectrum, correlations, dy, dr)

    def gradient_and_product(self, x: Tensor, q: Tensor, data: DataTerm, work: Scratch) -> tuple[Tensor, ProductResult]:
        """`gradient` at x, the same bits, and `product` with q; 4 L transforms, streamed 6 L.

        ``x``, ``q`` and the gradient are (B, N, N) complex.
        """
        if not self.stream:
            at = self.linearise(x, data, work, work)
            return self.gradient(at, work), self.product(at, q, data, work)
        at, direction, (dy, dr, images, changes) = self._both(self._spectrum(x), q, data, work)
        gradient, spectrum, correlations = self._sums.adjoint_both(
            at.light.spectrum, direction, at.weights, images, changes, work
        )
        return self._image(gradient), self._result(at, spectrum, correlations, dy, dr)

    def _both(
        self, spectrum: Tensor, q: Tensor, data: DataTerm, work: Scratch
    ) -> tuple[Linearised, Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Linearise a streamed model and look along q in one pass over the LEDs."""
        direction = self._spectrum(q)
        mixed, crossed = self._sums.mixed_both(spectrum, direction, data.weights, work)
        at = self._linearised(Light(spectrum), mixed, data)
        return at, direction, self._changes(at, crossed, data)

    def _changes(self, at: Linearised, crossed: Tensor, data: DataTerm) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """dy, dr, and residual and dr on the field's grid."""
        dy = self.camera(crossed)
        dr = residual_change(dy, at.predicted, data)
        return dy, dr, self.camera_adjoint(at.residual), self.camera_adjoint(dr)

    def _result(self, at: Linearised, spectrum: Tensor, correlations: Tensor, dy: Tensor, dr: Tensor) -> ProductResult:
        return ProductResult(
            hessian=self._image(spectrum),
            weights=correlations.mul_(0.5 * self._area),
            offset=0.5 * self._area * dr.sum((0, 2, 3)),
            amplitude=-0.5 * self._area * dy / at.predicted,
            along=0.5 * self._area * (at.residual * dy).sum(),
        )

    def curvature_bound(self, weights: Tensor) -> float:
        """Largest curvature of D where prediction and measurement agree: max_k sum_l (sum_m C_ml) |P(k - k_l)|^2.

        A step alpha with heavy-ball momentum beta is stable up to 2 (1 + beta) / bound (Polyak 1964, section 3).

        ``weights`` C is (M, L).
        """
        light = weights.detach().sum(0).cpu().double().numpy()
        covered = np.zeros(self.grids.object_px**2)
        for places, pupils, leds in self._windows.some():
            for place, pupil, amount in zip(places, pupils, light[leds], strict=True):
                covered[place] += amount * np.abs(pupil) ** 2
        return float(covered.max())

    def coverage(self, weights: Tensor) -> Tensor:
        """(N, N) sum_l (sum_m C_ml) |P(k - k_l)|^2, differentiable in the weights (M, L): see `spectral_coverage`."""
        return spectral_coverage(weights.sum(0), self._windows)

    def damped_coverage(self, weights: Tensor) -> Tensor:
        """(N, N) `coverage` and a hundredth of its maximum: what steps are divided by where next to no light falls."""
        coverage = self.coverage(weights)
        return coverage + DAMPING * coverage.amax()

    def roughness(self) -> Tensor:
        """(N, N) w(q) = (q lambda / NA)^2 of a smooth prior, at the frequencies of the discrete transform."""
        size, step = self.grids.object_px, self.grids.step_per_um
        frequency = torch.fft.fftfreq(size, dtype=torch.float64) * size * step
        square = frequency[:, None].square() + frequency.square()
        w: Tensor = square * (self.microscope.wavelength_um / self.microscope.objective_na) ** 2
        return w.to(self.device, self.dtype)

    # Every LED on its own ---------------------------------------------------------------------------------

    @property
    def largest_overlap(self) -> int:
        """Largest number of pupils over one spectral sample: bounds the curvature of a full-stack fit."""
        covered = np.zeros(self.grids.object_px**2, np.int64)
        for places, pupils, _leds in self._windows.some():
            covered += np.bincount(places[pupils != 0], minlength=len(covered))
        return int(covered.max())

    def single_led_gradient(self, x: Tensor, amplitude: Tensor, variance_floor: float, work: Scratch) -> Tensor:
        """Gradient of the full-stack fit, where every LED is a measurement of its own.

        The same as `gradient` with the identity for weights, without its matrix products.

        Parameters
        ----------
        amplitude
            (B, L, T, T) square roots of the measured images.
        """
        u = self.field(x, work)
        intensity = self.camera(u.real.square() + u.imag.square())
        residual = 1 - amplitude / torch.sqrt(intensity.clamp_min_(0).add_(variance_floor))
        return self.field_adjoint(u.mul_(self.camera_adjoint(residual)), work).mul_(self._area)
