"""How the emulated bench forms images: plain NumPy, written from the optics alone.

It shares nothing with the program's own forward model, so that a mistake in that one cannot hide in this one, and it is
finer: light of every LED is a spherical wave from several points of its die, in several wavelengths where asked for, on
a grid at least twice as fine as a reconstruction's; a pixel of the camera sums the intensity over its area.

An LED at (X, Y, Z) in mm sends exp(i k |r - R|) to the place r = (x, y, 0) of the sample; z points from the LEDs to the
sample, x runs along the columns of the images and y along the rows, as the pose of a geometry has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.emulators.bench_sample import slide
from ptychoui.errors import SettingsError

Field = NDArray[np.float64]

OVER_NYQUIST = 2.2
"""How much finer the bench's grid is than what the synthetic aperture needs."""
BORDER_UM = 40.0
"""Sample that is simulated beyond the camera's field on every side."""
FADE_UM = 25.0
"""Width over which light fades out at the end of the border: a sharp edge would scatter into the dark field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """A microscope as it really is.

    Attributes
    ----------
    wavelength_um, objective_na, magnification, camera_pixel_um
        As printed on its parts.
    image_px
        Edge of the camera's square image in pixels.
    led_numbers, positions_mm
        (LED,) numbers and (LED, 3) places in mm where the drawing of the array has them; z is above its plane.
    height_mm
        From the plane of the array to the sample, by the drawing.
    rotation_deg, shift_x_mm, shift_y_mm, height_percent
        By how much the array really stands otherwise.
    defocus_um
        Distance of the sample from focus.
    aberrations
        Waves RMS of the pupil: ``astigmatism``, ``oblique``, ``coma x``, ``coma y``, ``spherical``.
    led_size_um, led_points
        Edge of the square die, and points across it that shine.
    bandwidth_nm, wavelengths
        Full width at half maximum of the spectrum, and how many wavelengths stand for it; width 0 for one alone.
    lambertian
        LEDs of a flat board shine less to the side, and from farther away.
    sample_seed
        Which slide lies there; -1 for an empty one.
    slide_x_um, slide_y_um
        Where it lies.
    """

    wavelength_um: float
    objective_na: float
    magnification: float
    camera_pixel_um: float
    led_numbers: NDArray[np.int64]
    positions_mm: Field
    height_mm: float
    image_px: int = 96
    rotation_deg: float = 0.8
    shift_x_mm: float = 0.5
    shift_y_mm: float = -0.35
    height_percent: float = 0.8
    defocus_um: float = 2.0
    aberrations: dict[str, float] = field(default_factory=lambda: {"astigmatism": 0.03, "coma x": 0.02})
    led_size_um: float = 150.0
    led_points: int = 2
    bandwidth_nm: float = 0.0
    wavelengths: int = 3
    lambertian: bool = True
    sample_seed: int = 1
    slide_x_um: float = 0.0
    slide_y_um: float = 0.0

    def __post_init__(self) -> None:
        if np.shape(self.positions_mm) != (len(self.led_numbers), 3):
            raise SettingsError("the bench needs x, y, z of every LED", "give the geometry of the array")
        if not 16 <= self.image_px <= 512:
            raise SettingsError(f"a bench image of {self.image_px} pixels: it must be 16 to 512")
        if not 1 <= self.led_points <= 8 or not 1 <= self.wavelengths <= 15:
            raise SettingsError("a die of the bench has 1 to 8 points across, and a spectrum 1 to 15 wavelengths")
        unknown = set(self.aberrations) - set(ABERRATIONS)
        if unknown:
            raise SettingsError(f"the bench knows no aberration {sorted(unknown)[0]!r}")

    @property
    def pixel_um(self) -> float:
        """Camera pixel at the sample in um."""
        return self.camera_pixel_um / self.magnification

    def places_mm(self) -> Field:
        """(LED, 3) where LEDs really are, z up to the sample at 0: turned from +x to +y, then shifted."""
        turn = math.radians(self.rotation_deg)
        x, y, z = np.asarray(self.positions_mm, dtype=float).T
        height = self.height_mm * (1 + self.height_percent / 100)
        return np.column_stack(
            [
                x * math.cos(turn) - y * math.sin(turn) + self.shift_x_mm,
                x * math.sin(turn) + y * math.cos(turn) + self.shift_y_mm,
                z - height,
            ]
        )


ABERRATIONS = {
    "astigmatism": lambda x, y: math.sqrt(6) * (x**2 - y**2),
    "oblique": lambda x, y: 2 * math.sqrt(6) * x * y,
    "coma x": lambda x, y: math.sqrt(8) * (3 * (x**2 + y**2) - 2) * x,
    "coma y": lambda x, y: math.sqrt(8) * (3 * (x**2 + y**2) - 2) * y,
    "spherical": lambda x, y: math.sqrt(5) * (6 * (x**2 + y**2) ** 2 - 6 * (x**2 + y**2) + 1),
}
"""Aberrations over the unit pupil, each with an RMS of one."""


class BenchImages:
    """Images of single LEDs at full drive, worked out when they are first asked for and kept.

    The unit is the open field of an LED that stands on the axis at the height of the drawing.
    """

    def __init__(self, optics: Optics) -> None:
        self.optics = optics
        self._places = optics.places_mm()
        self._index = {int(number): place for place, number in enumerate(optics.led_numbers)}
        pixel = optics.pixel_um
        steepest = float(np.max(np.hypot(*self._places[:, :2].T) / np.linalg.norm(self._places, axis=1)))
        finest = optics.wavelength_um / 2 / (optics.objective_na + steepest)
        self.finer = 2 * math.ceil(OVER_NYQUIST * pixel / finest / 2)
        """Points of the bench's grid along a camera pixel: an even number."""
        self._coarse = max(2, 2 * math.ceil(pixel * 4 * optics.objective_na / optics.wavelength_um / 2))
        self.border_px = math.ceil(BORDER_UM / pixel)
        self.span_px = optics.image_px + 2 * self.border_px
        self.size = self.span_px * self.finer
        at = (np.arange(self.size) - self.size // 2) * (pixel / self.finer)
        self._x, self._y = np.meshgrid(at, at)
        reach = self.span_px * pixel / 2
        if optics.sample_seed < 0:
            self.sample = np.ones_like(self._x, dtype=complex)
        else:
            x, y = self._x - optics.slide_x_um, self._y - optics.slide_y_um
            self.sample = slide(x, y, reach, optics.sample_seed)
        self._fade = self.fade(self.finer)
        self._sample = (self.sample * self._fade).astype(np.complex64)
        self._kept: dict[int, NDArray[np.float32]] = {}

    def image(self, number: int) -> NDArray[np.float32]:
        """(row, column) image of an LED; zeros for one that this array does not have."""
        if number not in self._index:
            return np.zeros((self.optics.image_px, self.optics.image_px), np.float32)
        if number not in self._kept:
            self._kept[number] = self._formed(self._places[self._index[number]]).astype(np.float32)
        return self._kept[number]

    def truth(self, finer: int, edge_px: int) -> NDArray[np.complex128]:
        """(row, column) transmission of the middle ``edge_px`` camera pixels, ``finer`` points along each of them.

        Frequencies that so coarse a grid does not hold are left out.
        """
        size = self.span_px * finer
        spectrum = np.fft.fftshift(np.fft.fft2(self.sample))
        low = (self.size - size) // 2
        if low < 0:
            raise SettingsError(f"the bench holds {self.finer} points per camera pixel, not {finer}")
        cut = spectrum[low : low + size, low : low + size]
        whole = np.fft.ifft2(np.fft.ifftshift(cut)) * (finer / self.finer) ** 2
        first = (self.span_px - edge_px) // 2 * finer
        return np.asarray(whole[first : first + edge_px * finer, first : first + edge_px * finer])

    def fade(self, finer: int) -> Field:
        """(row, column) share of the light over the whole span, ``finer`` points along a camera pixel."""
        size = self.span_px * finer
        reach = self.span_px * self.optics.pixel_um / 2
        at = (np.arange(size) - size // 2) * (self.optics.pixel_um / finer)
        share = np.sin(np.pi / 2 * np.clip((reach - np.abs(at)) / FADE_UM, 0, 1)) ** 2
        return np.asarray(share[:, None] * share[None, :])

    def _formed(self, place_mm: Field) -> Field:
        optics = self.optics
        total = np.zeros((optics.image_px, optics.image_px))
        offsets, weights = _points(optics.led_size_um * 1e-3, optics.led_points)
        for wavelength, share in _spectrum(optics):
            pupil, half = self._pupil(wavelength)
            for dx, wx in zip(offsets, weights, strict=True):
                for dy, wy in zip(offsets, weights, strict=True):
                    source = place_mm + np.array([dx, dy, 0.0])
                    total += share * wx * wy * self._through(source, wavelength, pupil, half)
        return total

    def _through(self, source_mm: Field, wavelength: float, pupil: NDArray[np.complex128], half: int) -> Field:
        """Image of one point that shines in one wavelength."""
        optics = self.optics
        x0, y0, z0 = source_mm * 1e3
        away = math.sqrt(x0**2 + y0**2 + z0**2)
        # Distance less that to the axis, without the loss of digits of a difference of large numbers.
        square = self._x * (self._x - 2 * x0) + self._y * (self._y - 2 * y0)
        path = square / (np.sqrt(away**2 + square) + away)
        turns = path / wavelength
        angle = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)
        wave = np.empty(angle.shape, np.complex64)
        wave.real, wave.imag = np.cos(angle), np.sin(angle)
        spectrum = np.fft.fft2(self._sample * wave)
        rows = np.arange(-half, half + 1)
        small = self.span_px * self._coarse
        field = np.zeros((small, small), complex)
        field[np.ix_(rows, rows)] = spectrum[np.ix_(rows, rows)] * pupil
        intensity = np.abs(np.fft.ifft2(field) * (small / self.size) ** 2) ** 2
        brightness = 1.0
        if optics.lambertian:
            cosine = -z0 / away
            brightness = cosine**2 * (optics.height_mm * 1e3 / away) ** 2
        return brightness * self._summed(intensity)

    def _summed(self, intensity: Field) -> Field:
        """Integrate over the area of each pixel; the middle of the middle one lies on the axis."""
        n, pixel = len(intensity), self.optics.pixel_um
        frequency = np.fft.fftfreq(n, pixel / self._coarse)
        area = np.sinc(frequency * pixel)
        smooth = np.fft.ifft2(np.fft.fft2(intensity) * area[:, None] * area[None, :]).real
        first = self.border_px * self._coarse
        last = first + self.optics.image_px * self._coarse
        return np.asarray(smooth[first : last : self._coarse, first : last : self._coarse])

    def _pupil(self, wavelength: float) -> tuple[NDArray[np.complex128], int]:
        """Transmission of the objective on the frequencies of the grid, and how many of them a radius has."""
        optics = self.optics
        step = 1 / (self.span_px * optics.pixel_um)
        cutoff = optics.objective_na / wavelength
        half = math.ceil(cutoff / step) + 1
        at = np.arange(-half, half + 1) * step
        # The share of every cell of the grid that lies inside the pupil.
        fine = (np.arange(8) + 0.5) / 8 - 0.5
        points = (at[:, None] + fine * step).ravel()
        inside = (points[None, :] ** 2 + points[:, None] ** 2 <= cutoff**2).reshape(len(at), 8, len(at), 8)
        fx, fy = np.meshgrid(at, at)
        axial = np.sqrt(np.clip(1 / wavelength**2 - fx**2 - fy**2, 0, None))
        waves = optics.defocus_um * axial
        for name, amount in optics.aberrations.items():
            scale = optics.wavelength_um / wavelength
            waves = waves + amount * scale * ABERRATIONS[name](fx / cutoff, fy / cutoff)
        return inside.mean((1, 3)) * np.exp(2j * np.pi * waves), half


def _points(edge: float, count: int) -> tuple[Field, Field]:
    """Places across a die and their weights, by Gauss's rule."""
    at, weights = np.polynomial.legendre.leggauss(count)
    return at * edge / 2, weights / 2


def _spectrum(optics: Optics) -> list[tuple[float, float]]:
    """Wavelengths in um and their shares: a bell of the width given."""
    if not optics.bandwidth_nm:
        return [(optics.wavelength_um, 1.0)]
    sigma = optics.bandwidth_nm * 1e-3 / (2 * math.sqrt(2 * math.log(2)))
    at, weights = np.polynomial.hermite_e.hermegauss(optics.wavelengths)
    return list(zip((optics.wavelength_um + sigma * at).tolist(), (weights / weights.sum()).tolist(), strict=True))
