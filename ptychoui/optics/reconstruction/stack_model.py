"""One image per LED and all that is unknown about them: the object, the pupil, brightness, stray light, directions.

For LED l the spectrum S of the object is cut out around the LED's direction, passes the pupil and becomes an image:

    u_l = F^-1 [ P_l . S(k - k_l) ],    y_l = g_l R |u_l|^2 + b_l,    D = sum_l || sqrt(y_l + c) - sqrt(J_l + c) ||^2

with the camera's pixels R, the brightness g_l and the stray light b_l of each LED. The pupil of an LED is the edge, the
defocus and the Zernike terms of `pupil_function` at the fraction of a sample by which the LED lies beside its window,
times a factor of any shape on the windows' own grid.

Whatever the unknown, its derivative follows from dD/dpsi_l* = F[R^T(1 - s^_l/s_l) g_l u_l] with no further transform:
that of the object is the sum of conj(P_l) dD/dpsi_l*, that of the pupils is conj(S) dD/dpsi_l*, and the pupils know
their own derivatives in directions and aberrations. A pass over all images so costs two transforms per LED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.forward.grids import camera_matrix
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.geometry.pupil_series import radial_order, zernike_powers
from ptychoui.optics.reconstruction.stack_grids import half_width, object_upsampling
from ptychoui.settings import Microscope

DARK_SHARE = 0.02
"""Share of a dark-field image's pixels that are taken to see stray light only."""

MOST_STRAY = 0.3
"""Stray light that a reconstruction starts from is at most this share of the bright field."""

LARGEST_SAMPLE = 2**22
"""Pixels of an image that its percentile is taken from."""

LARGEST_START = 10.0
"""Largest brightness of an LED, over the others', that a reconstruction starts from."""

CHUNK_BYTES = 2**22
"""Fields that are in work at a time on a CPU."""


@dataclass(slots=True)
class Optics:
    """What is unknown beside the object; tensors, so that a fit may ask for their derivatives.

    Attributes
    ----------
    direction
        (L, 2) x, y of each LED's direction, in samples of the object's spectrum.
    zernike
        (J,) coefficients of `StackModel.nolls`, in waves RMS.
    factor
        (w, w) complex factor of the pupil.
    log_gain
        (L,) logarithm of each LED's brightness.
    background
        (L,) stray light of each LED.
    """

    direction: Tensor
    zernike: Tensor
    factor: Tensor
    log_gain: Tensor
    background: Tensor


@dataclass(frozen=True, slots=True)
class Sweep:
    """Value and derivatives of D over some LEDs.

    Attributes
    ----------
    loss
        D of each LED: (l,).
    spectrum
        dD/dS*, times n^2 and the field's samples per camera pixel so that the overlap of the pupils is its curvature.
    pupils
        (l, w, w) the same for P*.
    log_gain, background
        (l,) derivatives of D.
    """

    loss: Tensor
    spectrum: Tensor | None
    pupils: Tensor | None
    log_gain: Tensor
    background: Tensor


class StackModel:
    """A stack, its microscope, and D with all its derivatives.

    Parameters
    ----------
    microscope, leds, grids
        The geometry; ``grids`` from `stack_sampling`.
    images
        (LED, row, column) intensities of the tile, 1 = open field.
    nolls
        Zernike terms that `Optics.zernike` stands for.
    floor
        The constant c, in units of the images.

    Raises
    ------
    DataError
        If images, LEDs and tile do not fit together.
    """

    def __init__(
        self,
        microscope: Microscope,
        leds: LedArray,
        grids: Sampling,
        images: NDArray[np.float32],
        nolls: Sequence[int] = (),
        floor: float | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if images.shape != (len(leds), grids.tile_px, grids.tile_px):
            raise DataError(
                f"images of shape {images.shape} do not match {len(leds)} LEDs and a tile of {grids.tile_px} pixels"
            )
        self.microscope, self.leds, self.grids, self.nolls = microscope, leds, grids, tuple(nolls)
        self.callback: Callable[[], None] | None = None  # called before some LEDs are worked on; may raise
        self.dtype, self.device = dtype, torch.device(device)
        self.complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
        step = grids.step_per_um
        self.cutoff = microscope.objective_na / microscope.wavelength_um / step
        self.half = half_width(self.cutoff)
        recorded = torch.from_numpy(np.array(images)).to(self.device, dtype).clamp_min_(0)
        self.floor = 1e-4 * float(recorded.mean()) if floor is None else floor
        self.amplitude = recorded.add_(self.floor).sqrt_()
        self.power = float((self.amplitude.double().square() - self.floor).sum())
        self._camera = torch.from_numpy(camera_matrix(microscope, grids)).to(self.device, dtype)
        self._medium = microscope.medium_index / microscope.wavelength_um / step
        self._waves = self._powers(microscope.zernike_waves)
        self._terms = torch.stack([self._powers({noll: 1.0}) for noll in self.nolls]) if self.nolls else None
        self._order = torch.arange(-self.half, self.half + 1, device=self.device, dtype=dtype)
        self.place(leds.illumination_na)

    def _powers(self, waves: dict[int, float]) -> Tensor:
        """(D + 1, D + 1) phase in waves as powers of frequencies in samples, with one degree for all."""
        degree = 1 + max((radial_order(noll) for noll in (*self.nolls, *self.microscope.zernike_waves)), default=0)
        table = np.zeros((degree, degree))
        found = zernike_powers(waves)
        table[: len(found), : len(found)] = found
        power = np.arange(degree)
        scaled = table / self.cutoff ** (power[:, None] + power[None, :])
        return torch.from_numpy(scaled).to(self.device, self.dtype)

    def __len__(self) -> int:
        return len(self.leds)

    @property
    def width(self) -> int:
        """Edge of a window: w."""
        return 2 * self.half + 1

    # Unknowns -----------------------------------------------------------------------------------------

    def samples(self, illumination_na: NDArray[np.float64]) -> NDArray[np.float64]:
        """Direction cosines, (L, 2), in samples of the object's spectrum, (L, 2)."""
        return illumination_na / self.microscope.wavelength_um / self.grids.step_per_um

    def place(self, illumination_na: NDArray[np.float64]) -> None:
        """Cut the windows out around these directions (L, 2).

        Raises
        ------
        GeometryError
            If a window leaves the object's spectrum.
        """
        whole = np.rint(self.samples(illumination_na)).astype(np.int64)
        limit = self.grids.object_px // 2 - self.half - 1
        worst = int(np.argmax(np.abs(whole).max(1)))
        if np.abs(whole[worst]).max() > limit:
            raise GeometryError(
                f"LED {self.leds.numbers[worst]} lies outside the object's frequency grid",
                "use a finer object grid, or leave the LED out with max_illumination_na",
            )
        corner = whole + self.grids.object_px // 2 - self.half
        self.corners = [(int(row), int(column)) for column, row in corner]
        self.whole_samples = torch.from_numpy(whole).to(self.device, self.dtype)

    def optics(self) -> Optics:
        """The unknowns as the geometry has them."""
        return Optics(
            direction=torch.from_numpy(self.samples(self.leds.illumination_na)).to(self.device, self.dtype),
            zernike=torch.zeros(len(self.nolls), device=self.device, dtype=self.dtype),
            factor=torch.ones(self.width, self.width, device=self.device, dtype=self.complex_dtype),
            log_gain=torch.zeros(len(self), device=self.device, dtype=self.dtype),
            background=torch.zeros(len(self), device=self.device, dtype=self.dtype),
        )

    def pupils(self, optics: Optics) -> Tensor:
        """(L, w, w) complex transmission of each LED's window; differentiable in all of ``optics``."""
        fraction = optics.direction - self.whole_samples[: len(optics.direction)]
        x = self._order - fraction[:, :1]
        y = self._order - fraction[:, 1:]
        squared = y.square()[:, :, None] + x.square()[:, None, :]
        edge = (self.cutoff + 0.5 - squared.clamp_min(1e-12).sqrt()).clamp(0, 1)
        waves = self._waves
        if self._terms is not None:
            waves = waves + torch.einsum("j,jab->ab", optics.zernike, self._terms)
        phase: Tensor | None = None
        if len(waves) > 1 or bool(waves.detach().any()):
            degree = len(waves)
            # Row powers go with y: the table's first index is that of x.
            in_x = torch.stack([x**a for a in range(degree)], -1)
            in_y = torch.stack([y**b for b in range(degree)], -1)
            phase = in_y @ waves.T @ in_x.transpose(1, 2)
        if self.microscope.defocus_um:
            axial = (self._medium**2 - squared).clamp_min(0).sqrt()
            defocus = self.microscope.defocus_um * self.grids.step_per_um * (axial - self._medium)
            phase = defocus if phase is None else phase + defocus
        if phase is None:
            return edge * optics.factor
        return torch.polar(edge, 2 * torch.pi * phase) * optics.factor

    # Images -------------------------------------------------------------------------------------------

    @property
    def chunk(self) -> int:
        """LEDs whose fields are in work at a time."""
        item = 8 if self.dtype == torch.float32 else 16
        limit = CHUNK_BYTES if self.device.type == "cpu" else 2**28
        return max(1, limit // (item * self.grids.field_px**2))

    def fields(self, spectrum: Tensor, pupils: Tensor, leds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Fields u_l (l, n, n) and windows of the spectrum (l, w, w) of a few LEDs, whose pupils are given."""
        w, n = self.width, self.grids.field_px
        windows = torch.stack([spectrum[r : r + w, c : c + w] for r, c in (self.corners[led] for led in leds)])
        padded = spectrum.new_zeros(len(leds), n, n)
        torch.mul(windows, pupils, out=padded[:, :w, :w])
        return torch.fft.ifft2(padded), windows

    def camera(self, intensity: Tensor) -> Tensor:
        """Integrate over camera pixels: (l, n, n) -> (l, T, T)."""
        return self._camera @ intensity @ self._camera.T

    def images(self, spectrum: Tensor, pupils: Tensor, leds: Sequence[int]) -> Tensor:
        """R |u_l|^2 of a few LEDs, at gain one and without stray light: (l, T, T)."""
        u, _windows = self.fields(spectrum, pupils, leds)
        return self.camera(u.real.square() + u.imag.square())

    def sweep(
        self, spectrum: Tensor, pupils: Tensor, optics: Optics, leds: Sequence[int], of_pupils: bool = False
    ) -> Sweep:
        """D and its derivatives over a few LEDs: at most `chunk` of them; ``pupils`` are theirs.

        ``spectrum`` is (N, N) complex, ``pupils`` (l, w, w) complex.
        """
        if self.callback is not None:
            self.callback()
        w, camera = self.width, self._camera
        u, windows = self.fields(spectrum, pupils, leds)
        single = self.camera(u.real.square().addcmul_(u.imag, u.imag))
        chosen = list(leds)
        gain = optics.log_gain.detach()[chosen].exp()[:, None, None]
        measured = self.amplitude[chosen]
        light = gain * single
        predicted = (light + optics.background.detach()[chosen][:, None, None]).clamp_min_(0).add_(self.floor).sqrt_()
        difference = predicted - measured
        slope = difference / predicted
        weight = camera.T @ (gain * slope) @ camera
        back = torch.fft.fft2(u.mul_(weight))[:, :w, :w].mul_(self.field_per_pixel)
        return Sweep(
            loss=difference.square().sum((1, 2)),
            spectrum=pupils.conj() * back,
            pupils=windows.conj() * back if of_pupils else None,
            log_gain=(slope * light).sum((1, 2)),
            background=slope.sum((1, 2)),
        )

    @property
    def field_per_pixel(self) -> float:
        """Field samples per camera pixel: what one row of R^T R leaves of a smooth weight."""
        return (self.grids.field_px / self.grids.span_px) ** 2

    def add(self, total: Tensor, parts: Tensor, leds: Sequence[int], scale: float = 1.0) -> None:
        """Add windows (l, w, w) to a spectrum where they were cut out, in LED order."""
        w = self.width
        for part, (r, c) in zip(parts, (self.corners[led] for led in leds), strict=True):
            total[r : r + w, c : c + w].add_(part, alpha=scale)

    def overlap(self, pupils: Tensor) -> Tensor:
        """(N, N) sum_l |P_l|^2 over the object's spectrum."""
        total = torch.zeros(self.grids.object_px, self.grids.object_px, device=self.device, dtype=self.dtype)
        self.add(total, pupils.abs().square(), range(len(self)))
        return total

    # Object -------------------------------------------------------------------------------------------

    def object(self, spectrum: Tensor, upsampling: int | None = None) -> Tensor:
        """(row, column) complex transmission under the tile of a centred spectrum, in whole parts of a camera pixel.

        Raises
        ------
        GeometryError
            If so few pixels cannot hold the spectrum.
        """
        times = object_upsampling(self.grids, upsampling)
        size = self.grids.span_px * times
        more = size - len(spectrum)
        # The zero frequency stays in the middle.
        before = size // 2 - len(spectrum) // 2
        grown = torch.nn.functional.pad(spectrum, (before, more - before, before, more - before))
        image: Tensor = torch.fft.ifft2(torch.fft.ifftshift(grown))
        window = slice(self.grids.pad_px * times, (self.grids.pad_px + self.grids.tile_px) * times)
        return image[window, window].mul((size / self.grids.field_px) ** 2)

    def spectrum(self, image: Tensor) -> Tensor:
        """Centred spectrum of an object on the whole grid of `grids.object_px` pixels: (N, N) -> (N, N) complex."""
        n, size = self.grids.field_px, self.grids.object_px
        spectrum: Tensor = torch.fft.fftshift(torch.fft.fft2(image.to(self.complex_dtype)))
        return spectrum.mul_((n / size) ** 2)

    def stray_level(self) -> float:
        """Stray light that dark-field images show where the sample sends none, 0 without dark field.

        A low percentile of each, and the median of these: dark structures are everywhere, scattering ones are not.
        """
        dark = np.flatnonzero(~self.leds.bright_field(self.microscope.objective_na))
        if not len(dark):
            return 0.0
        lowest = [float(torch.quantile(image.flatten()[:LARGEST_SAMPLE], DARK_SHARE)) for image in self.amplitude[dark]]
        bright = torch.from_numpy(self.leds.bright_field(self.microscope.objective_na)).to(self.device)
        # Where the dark field is as bright as the bright field, it is no stray light that makes it so.
        most = MOST_STRAY * float(self.amplitude[bright].square().mean((1, 2)).median()) if bright.any() else 0.0
        return min(max(0.0, float(np.median(lowest)) ** 2 - self.floor), most)

    def bright_field_gains(self, stray: float) -> Tensor:
        """(L,) logarithm of brightness by the means of the bright-field images, which see one object; 0 elsewhere."""
        found = torch.zeros(len(self), device=self.device, dtype=self.dtype)
        bright = torch.from_numpy(self.leds.bright_field(self.microscope.objective_na)).to(self.device)
        means = self.amplitude[bright].square().mean((1, 2)) - self.floor - stray
        usual = means.median().clamp_min(self.floor)
        found[bright] = (means / usual).clamp(1 / LARGEST_START, LARGEST_START).log()
        return found

    def start(self, stray: float = 0.0) -> Tensor:
        """Centred spectrum of a first estimate: the mean bright-field image's square root inside the objective's NA.

        ``stray`` light is no light of the object.

        It is (N, N) complex.

        Raises
        ------
        DataError
            If no LED lies in the bright field.
        """
        bright = np.flatnonzero(self.leds.bright_field(self.microscope.objective_na))
        if not len(bright):
            raise DataError("no LED lies in the bright field", "check the array's shift and the objective's NA")
        mean = self.amplitude[bright].square().mean(0).sub_(self.floor + stray).clamp_min_(0).sqrt_()
        tile, pad, size = self.grids.tile_px, self.grids.pad_px, self.grids.object_px
        place = (torch.arange(size, device=self.device) * (self.grids.span_px / size) - pad).round().long()
        place = place.clamp(0, tile - 1)
        spectrum = self.spectrum(mean[place][:, place])
        order = torch.arange(size, device=self.device) - size // 2
        inside = order.square()[:, None] + order.square() <= self.cutoff**2
        return spectrum * inside
