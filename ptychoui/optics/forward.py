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
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import GeometryError
from ptychoui.experiment import Microscope
from ptychoui.optics.led_array import LedArray
from ptychoui.optics.microscope import Sampling, pupil_function


@dataclass(frozen=True, slots=True)
class DataTerm:
    """What a multiplexed measurement compares with: constants of one reconstruction.

    Attributes
    ----------
    weights
        (M, L) light of each LED in each measurement: level x exposure x gain.
    offset
        (M,) stray light and dark level of each measurement.
    amplitude
        (B, M, row, column) sqrt(max(measured, 0) + variance_floor), in camera pixels.
    variance_floor
        The constant c of the variance-stabilising square root.
    """

    weights: Tensor
    offset: Tensor
    amplitude: Tensor
    variance_floor: float


@dataclass(frozen=True, slots=True)
class Linearised:
    """Fields and residuals at one object: all that a product with the Hessian needs."""

    field: Tensor  # (B, L, n, n) complex u_l
    led_weight: Tensor  # (B, L, n, 2n) w_l, every value twice: it multiplies real views of fields
    predicted: Tensor  # (B, M, T, T) s_m
    residual: Tensor  # (B, M, T, T) r_m = 1 - s^_m / s_m


class FourierPtychography:
    """Forward model of a tile on a device, in single or double precision.

    Parameters
    ----------
    microscope, leds, grids
        The geometry; only these LEDs are modelled.
    dtype
        ``torch.float32`` or ``torch.float64``, the real type.

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
    ) -> None:
        self.microscope, self.leds, self.grids = microscope, leds, grids
        self.dtype = dtype
        self.complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
        self.device = torch.device(device)
        crop, pupil = _windows(microscope, leds, grids)
        self.window_px = crop.shape[-1]
        self._half = (self.window_px - 1) // 2
        target, source = _gather_of_scatter(crop, pupil, grids.object_px)
        scale = (grids.field_px / grids.object_px) ** 2
        self._crop = torch.from_numpy(crop.reshape(-1)).to(self.device)
        self._pupil = torch.from_numpy(pupil * scale).to(self.device, self.complex_dtype)
        self._pupil_adjoint = torch.from_numpy(pupil.conj()).to(self.device, self.complex_dtype)
        self._target = torch.from_numpy(target).to(self.device)
        self._source = torch.from_numpy(source).to(self.device)
        self._camera = torch.from_numpy(_camera_matrix(microscope, grids)).to(self.device, dtype)
        self._interpolation = torch.from_numpy(_interpolation_matrix(grids)).to(self.device, dtype)
        self._area = float((grids.object_px / grids.span_px) ** 2)

    # Fields -----------------------------------------------------------------------------------------

    def field(self, x: Tensor, work: Scratch, keep: Scratch | None = None, name: str = "field") -> Tensor:
        """Fields u_l of an object: (B, N, N) complex -> (B, L, n, n) complex, in the buffer ``name`` of ``keep``."""
        batch, leds, n, w = len(x), len(self.leds), self.grids.field_px, self.window_px
        spectrum = torch.fft.fft2(x).reshape(batch, -1)
        box = work.get("box", (batch, leds * w * w), x, self.complex_dtype)
        torch.index_select(spectrum, 1, self._crop, out=box)
        windows = box.view(batch, leds, w, w)
        windows.mul_(self._pupil)
        # Only the corners are ever written, so the rest stays zero; no other model may share this buffer.
        padded = work.get(f"padded {id(self)}", (batch, leds, n, n), x, self.complex_dtype, zero=True)
        for big, small in self._corners():
            padded[..., big[0], big[1]] = windows[..., small[0], small[1]]
        out = (keep or work).get(name, (batch, leds, n, n), x, self.complex_dtype)
        torch.fft.ifft2(padded, out=out)
        return out

    def field_adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """Adjoint of `field` as a real-linear map: (B, L, n, n) -> (B, N, N). Overlaps add in LED order."""
        batch, leds, w = len(fields), len(self.leds), self.window_px
        transformed = work.get("transformed", tuple(fields.shape), fields, self.complex_dtype)
        torch.fft.fft2(fields, out=transformed)
        box = work.get("box", (batch, leds * w * w), fields, self.complex_dtype)
        windows = box.view(batch, leds, w, w)
        for big, small in self._corners():
            windows[..., small[0], small[1]] = transformed[..., big[0], big[1]]
        windows.mul_(self._pupil_adjoint)
        # Every spectral sample gathers its contributions in LED order: no atomics, the same bits each time.
        overlaps, samples = self._source.shape
        parts = work.get("parts", (batch, overlaps * samples), fields, self.complex_dtype)
        torch.index_select(box, 1, self._source.view(-1), out=parts)
        spectrum = work.get(
            f"spectrum {id(self)}", (batch, self.grids.object_px**2), fields, self.complex_dtype, zero=True
        )
        spectrum[:, self._target] = parts.view(batch, overlaps, samples).sum(1)
        size = self.grids.object_px
        image: Tensor = torch.fft.ifft2(spectrum.view(batch, size, size))
        return image

    def _corners(self) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """Slices that map the window (frequencies 0..h, -h..-1) into the corners of the field's grid."""
        h, n = self._half, self.grids.field_px
        halves = [(slice(0, h + 1), slice(0, h + 1)), (slice(n - h, n), slice(h + 1, 2 * h + 1))]
        return [((a[0], b[0]), (a[1], b[1])) for a in halves for b in halves]

    def tables(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Window places in the flat spectrum, pupils, adjoint pupils and the camera's matrix: for benchmarks."""
        return self._crop, self._pupil, self._pupil_adjoint, self._camera

    # Camera -----------------------------------------------------------------------------------------

    def camera(self, intensity: Tensor) -> Tensor:
        """Integrate over camera pixels: (..., n, n) intensity -> (..., T, T)."""
        return self._camera @ intensity @ self._camera.T

    def camera_adjoint(self, image: Tensor) -> Tensor:
        """Adjoint of `camera`: (..., T, T) -> (..., n, n)."""
        return self._camera.T @ image @ self._camera

    def intensities(self, x: Tensor, work: Scratch | None = None) -> Tensor:
        """Single-LED images of an object at gain one: (B, N, N) complex -> (B, L, T, T) real."""
        u = self.field(x, work or Scratch())
        return self.camera(u.real.square() + u.imag.square())

    def predict(self, x: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
        """Noise-free multiplexed measurements y_m: (B, N, N) -> (B, M, T, T)."""
        return self._mix(weights, _real(self.field(x, Scratch())).square()) + offset[:, None, None]

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

    # Data consistency ---------------------------------------------------------------------------------

    def linearise(self, x: Tensor, data: DataTerm, keep: Scratch, work: Scratch) -> Linearised:
        """Fields, predicted amplitudes and residuals at x, in buffers of ``keep``; L transforms."""
        u = self.field(x, work, keep)
        squared = torch.square(_real(u), out=self._pairs("pairs", u, work))
        intensity = self._mix(data.weights, squared) + data.offset[:, None, None]
        predicted = torch.sqrt(intensity.clamp_min_(0).add_(data.variance_floor))
        residual = 1 - data.amplitude / predicted
        w = self._unmix(data.weights, residual, keep, "led_weight")
        return Linearised(u, w, predicted, residual)

    def gradient(self, at: Linearised, work: Scratch) -> Tensor:
        """G = dD/dx* = a sum_l B_l^H [w_l u_l]; L transforms. (B, N, N) complex."""
        product = self._pairs("pairs", at.field, work)
        torch.mul(_real(at.field), at.led_weight, out=product)
        return self.field_adjoint(_complex(product), work).mul_(self._area)

    def objective(self, at: Linearised, data: DataTerm) -> Tensor:
        """D(x) per object: (B,)."""
        return self._area * (at.predicted - data.amplitude).square().sum((1, 2, 3))

    def product(self, at: Linearised, q: Tensor, data: DataTerm, work: Scratch) -> ProductResult:
        """Product with the Hessian and the derivatives of Re<q, g> in every constant; 2 L transforms.

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
        u = at.field
        b = self.field(q, work, name="direction")
        cross = self._pairs("cross", u, work)  # Re(conj(u) b) = half of dI, as the sum of its pairs
        torch.mul(_real(u), _real(b), out=cross)
        dy = 2 * self._mix(data.weights, cross)
        dr = data.amplitude * dy / (2 * at.predicted**3)
        dw = self._unmix(data.weights, dr, work, "dw")
        total = self._pairs("pairs", u, work)
        torch.square(_real(u), out=total)
        d_weights = self._area * (self._correlate(at.residual, cross) + 0.5 * self._correlate(dr, total))
        along = self._area * torch.dot(at.led_weight.reshape(-1), cross.view(-1))
        torch.mul(_real(b), at.led_weight, out=total)
        total.addcmul_(_real(u), dw)
        return ProductResult(
            hessian=self.field_adjoint(_complex(total), work).mul_(self._area),
            weights=d_weights,
            offset=0.5 * self._area * dr.sum((0, 2, 3)),
            amplitude=-0.5 * self._area * dy / at.predicted,
            along=along,
        )

    def curvature_bound(self, weights: Tensor) -> float:
        """Largest curvature of D where prediction and measurement agree: max_k sum_l (sum_m C_ml) |P(k - k_l)|^2.

        A step alpha with heavy-ball momentum beta is stable up to 2 (1 + beta) / bound (Polyak 1964, section 3).
        """
        light = weights.detach().sum(0)[:, None, None] * self._pupil_adjoint.abs().square()
        covered = light.reshape(-1)[self._source].sum(0)
        return float(covered.max())

    # Every LED on its own ---------------------------------------------------------------------------------

    @property
    def largest_overlap(self) -> int:
        """Largest number of pupils over one spectral sample: bounds the curvature of a full-stack fit."""
        return int(self._source.shape[0])

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

    # Mixing LEDs into measurements. Real views keep (re, im) pairs side by side, so that every product over
    # pixels is contiguous and every sum over LEDs is one matrix product. -------------------------------

    def _mix(self, weights: Tensor, pairs: Tensor) -> Tensor:
        """sum_l C_ml R (sum of pairs): (B, L, n, 2n) -> (B, M, T, T)."""
        batch, leds, n, _ = pairs.shape
        mixed = torch.matmul(weights, pairs.view(batch, leds, -1)).view(batch, -1, n, n, 2)
        return self.camera(mixed[..., 0] + mixed[..., 1])

    def _unmix(self, weights: Tensor, image: Tensor, keep: Scratch, name: str) -> Tensor:
        """R^T sum_m C_ml image_m, every value twice: (B, M, T, T) -> (B, L, n, 2n)."""
        n, batch, leds = self.grids.field_px, len(image), len(self.leds)
        spread = self.camera_adjoint(image).unsqueeze(-1).expand(-1, -1, -1, -1, 2).reshape(batch, -1, 2 * n * n)
        out = keep.get(name, (batch, leds, 2 * n * n), image, self.dtype)
        torch.matmul(weights.T, spread, out=out)
        return out.view(batch, leds, n, 2 * n)

    def _correlate(self, image: Tensor, pairs: Tensor) -> Tensor:
        """<R^T image_m, sum of pairs of l>, summed over the batch: -> (M, L)."""
        n, batch = self.grids.field_px, len(image)
        spread = self.camera_adjoint(image).unsqueeze(-1).expand(-1, -1, -1, -1, 2).reshape(batch, -1, 2 * n * n)
        return torch.matmul(spread, pairs.view(batch, len(self.leds), -1).transpose(1, 2)).sum(0)

    def _pairs(self, name: str, like: Tensor, work: Scratch) -> Tensor:
        batch, leds, n, _ = like.shape
        return work.get(name, (batch, leds, n, 2 * n), like, self.dtype)


@dataclass(frozen=True, slots=True)
class ProductResult:
    """Derivatives of Re<q, g(x)>: see `FourierPtychography.product`."""

    hessian: Tensor  # (B, N, N) complex
    weights: Tensor  # (M, L)
    offset: Tensor  # (M,)
    amplitude: Tensor  # (B, M, T, T)
    along: Tensor  # () Re<q, g> itself


def _real(fields: Tensor) -> Tensor:
    """(B, L, n, n) complex -> (B, L, n, 2n) real view."""
    return torch.view_as_real(fields).flatten(-2)


def _complex(pairs: Tensor) -> Tensor:
    """Inverse of `_real`: a complex view."""
    return torch.view_as_complex(pairs.view(*pairs.shape[:-1], -1, 2))


def _windows(microscope: Microscope, leds: LedArray, grids: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """Places in the flat object spectrum and pupil values of every LED's window, in transform order."""
    step = grids.step_per_um
    k = leds.illumination_na / microscope.wavelength_um / step  # (L, 2) in frequency samples
    whole = np.rint(k)
    fraction = k - whole
    half = int(np.ceil(microscope.objective_na / microscope.wavelength_um / step + 1.01))
    if 2 * half + 1 > grids.field_px:
        raise GeometryError(
            f"the pupil spans {2 * half + 1} frequencies but the field's grid has {grids.field_px}",
            "the camera undersamples the field: use a higher magnification or a smaller camera pixel",
        )
    order = np.concatenate([np.arange(half + 1), np.arange(-half, 0)])
    column = (whole[:, 0, None] + order).astype(np.int64) % grids.object_px
    row = (whole[:, 1, None] + order).astype(np.int64) % grids.object_px
    crop = row[:, :, None] * grids.object_px + column[:, None, :]
    fx = (order[None, :] - fraction[:, 0, None]) * step
    fy = (order[None, :] - fraction[:, 1, None]) * step
    fx, fy = np.broadcast_arrays(fx[:, None, :], fy[:, :, None])
    pupil = pupil_function(microscope, fx, fy, step)
    _inside_the_grid(pupil != 0, whole, order, leds, grids)
    return crop, pupil


def _inside_the_grid(open_: np.ndarray, whole: np.ndarray, order: np.ndarray, leds: LedArray, grids: Sampling) -> None:
    """Refuse an LED whose pupil reaches beyond the object's highest frequency; closed corners may wrap round."""
    column = np.abs(np.where(open_.any(1), whole[:, 0, None] + order, 0)).max(1)
    row = np.abs(np.where(open_.any(2), whole[:, 1, None] + order, 0)).max(1)
    reach = np.maximum(row, column)
    worst = int(np.argmax(reach))
    if reach[worst] >= grids.object_px / 2:
        raise GeometryError(
            f"LED {leds.numbers[worst]} at illumination NA {leds.radius_na[worst]:.3f} lies outside the object's "
            f"frequency grid ({reach[worst]:.0f} of {grids.object_px // 2} samples)",
            "use a finer object grid, or leave the LED out with max_illumination_na",
        )


def _gather_of_scatter(crop: np.ndarray, pupil: np.ndarray, object_px: int) -> tuple[np.ndarray, np.ndarray]:
    """For every spectral sample that some pupil covers, where its contributions lie, in LED order.

    Returns
    -------
    target
        (S,) places in the flat spectrum.
    source
        (K, S) places in the flat windows; short columns point at a place where the pupil is zero.
    """
    place = crop.reshape(-1)
    covered = np.flatnonzero(pupil.reshape(-1) != 0)
    empty = int(np.flatnonzero(pupil.reshape(-1) == 0)[0])
    covered = covered[np.argsort(place[covered], kind="stable")]
    target, first, count = np.unique(place[covered], return_index=True, return_counts=True)
    rank = np.arange(len(covered)) - np.repeat(first, count)
    source = np.full((int(count.max()), len(target)), empty, dtype=np.int64)
    source[rank, np.repeat(np.arange(len(target)), count)] = covered
    return target.astype(np.int64), source


def _camera_matrix(microscope: Microscope, grids: Sampling) -> np.ndarray:
    """(T, n) matrix that integrates a band-limited periodic intensity over the tile's camera pixels.

    Row i is the inverse transform of sinc(f p) exp(2 pi i f i p): exact for a full fill factor, and plain
    sampling where the camera samples points.
    """
    n, pixel = grids.field_px, grids.pixel_size_um
    frequency = np.fft.fftfreq(n) * n * grids.step_per_um
    transfer = np.sinc(frequency * pixel) if microscope.pixel == "integrating" else np.ones(n)
    centre = (np.arange(grids.tile_px) + grids.pad_px) * pixel
    place = np.arange(n) * (grids.span_px * pixel / n)
    if n % 2 == 0:
        transfer[n // 2] *= 0.0 if microscope.pixel == "integrating" else 1.0
    phase = 2 * np.pi * (centre[:, None, None] - place[None, :, None]) * frequency
    return np.asarray((transfer * np.cos(phase)).sum(-1) / n)


def _interpolation_matrix(grids: Sampling) -> np.ndarray:
    """(N, T) linear interpolation from the tile's camera pixels to the object's grid, edges continued."""
    place = np.clip(np.arange(grids.object_px) / float(grids.upsampling) - grids.pad_px, 0, grids.tile_px - 1)
    low = np.minimum(place.astype(int), grids.tile_px - 2)
    matrix = np.zeros((grids.object_px, grids.tile_px))
    rows = np.arange(grids.object_px)
    matrix[rows, low] = 1 - (place - low)
    matrix[rows, low + 1] += place - low
    return matrix
