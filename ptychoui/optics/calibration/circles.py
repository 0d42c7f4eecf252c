"""The pose of an array from its bright-field images alone: circles in their spectra. NumPy only.

The image of an LED inside the objective's NA is direct light that interferes with what the sample scatters: its
spectrum holds the sample inside two circles of radius NA / lambda around +k_l and -k_l, and little outside. All
bright-field images together say by maximum likelihood where the circles lie, and so where the array stands.

Source of the idea: Eckert, Phillips and Waller, "Efficient illumination angle self-calibration in Fourier
ptychography", Applied Optics 57, 5434 (2018), who find the circles' edges image by image. Here the squared spectrum
of image l at k is taken as exponentially distributed around q(|k|) t(covers of k), with q and the three levels t (no
circle, one, both) estimated on the way, and only the pose is free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.optics.geometry.pose import LIMITS, RIGID, SCALES, Movable, moved
from ptychoui.settings import Array, Microscope

BRIGHT = 0.35
"""Share of the brightest images' mean above which an image is bright field."""

EDGES_PX = (6.0, 3.0, 1.5, 1.0)
"""Widths of the circles' edges in frequency samples, one search after the other: wide ones reach far."""

LEAST_RADIUS = 6.0
"""Radius of the circles in frequency samples from which they are told from the direct light and its window."""

AT_LIMIT = 0.98
"""Share of `LIMITS` from which a search is taken to have run into them."""

FLAT = 1.3
"""Power inside the objective's NA over that beyond 1.5 times of it, below which images hold only noise."""

LEAST_SAMPLES = 30
"""Frequencies from which two parts of a spectrum are compared."""

SEEN = 0.05
"""Gain in log-likelihood per spectral sample over images without circles, from which there are any.

Measured stacks have .26 to .45, noise less than .001.
"""

LED_LIMIT = 60
SAMPLE_LIMIT = 12_000
COARSE_LEDS = 21
COARSE_SAMPLES = 3000
COARSE_EDGES_PX = (6.0, 2.5)
COARSE_EVALUATIONS = 35
"""The same where a pose is looked at and not measured, in a twentieth of the time."""
EVALUATIONS = 60
"""Calls per number of the pose and per width of edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleFit:
    """Where the circles say the array stands.

    Attributes
    ----------
    array
        The array with its new pose.
    change
        (6,) change of the pose, as `moved` takes it.
    before, after
        Negative log-likelihood per spectral sample at the pose given and at the new one: smaller is better.
    led_numbers
        Bright-field LEDs whose circles were used.
    levels
        Power outside the circles, inside one (1) and inside both.
    evidence
        Gain in log-likelihood per spectral sample over spectra without circles.
    """

    array: Array
    change: NDArray[np.float64]
    before: float
    after: float
    led_numbers: tuple[int, ...]
    levels: tuple[float, float, float]
    evidence: float

    @property
    def seen(self) -> bool:
        """True if there are circles at all: a search in noise ends somewhere, too."""
        return self.evidence > SEEN

    @property
    def at_limit(self) -> bool:
        """True if the search ended where it may not go on: there is no maximum, or it is elsewhere."""
        return bool((np.abs(self.change) > AT_LIMIT * LIMITS).any())


class Circles:
    """The spectra of the bright-field images of a square tile, and how well a pose explains them.

    Parameters
    ----------
    microscope, array
        The geometry to start from.
    images
        (LED, row, column) square images in the order of the array's numbers.
    field_point_um
        The tile's centre at the sample.
    coarse
        Look at fewer images and frequencies, and search less: a pose is then known sooner and less well.

    Raises
    ------
    DataError
        If fewer than four images are bright field, the window is too small to resolve
        the circles, or it shows nothing but an even brightness or noise.
    """

    def __init__(
        self,
        microscope: Microscope,
        array: Array,
        images: NDArray[np.float32],
        field_point_um: tuple[float, float] = (0.0, 0.0),
        coarse: bool = False,
    ) -> None:
        self.array, self._leds = array, Movable(array, field_point_um)
        most_leds, self._most_samples = (COARSE_LEDS, COARSE_SAMPLES) if coarse else (LED_LIMIT, SAMPLE_LIMIT)
        self._edges_px: tuple[float, ...] = COARSE_EDGES_PX if coarse else EDGES_PX
        self._evaluations = COARSE_EVALUATIONS if coarse else EVALUATIONS
        numbers = np.array(array.numbers())
        if images.ndim != 3 or images.shape[1] != images.shape[2] or len(images) != len(numbers):
            raise DataError(f"images of shape {images.shape} are not one square image for each of {len(numbers)} LEDs")
        means = images.mean((1, 2), dtype=np.float64)
        top = float(np.sort(means)[-5:].mean())
        bright = np.flatnonzero(means > BRIGHT * top)
        if len(bright) < 4:
            raise DataError(
                f"only {len(bright)} images are bright field, the circles need 4",
                "check the order of the images, the exposures and the dark frame",
            )
        if len(bright) > most_leds:
            bright = bright[np.linspace(0, len(bright) - 1, most_leds).astype(int)]
        self.bright, self.numbers = bright, tuple(int(number) for number in numbers[bright])
        size = images.shape[1]
        step_per_um = 1 / (size * microscope.pixel_size_um)
        self._samples_per_na = 1 / microscope.wavelength_um / step_per_um
        self.radius = microscope.objective_na * self._samples_per_na
        if self.radius < LEAST_RADIUS:
            least = math.ceil(size * LEAST_RADIUS / self.radius)
            raise DataError(
                f"in {size} x {size} pixels the circles' radius is only {self.radius:.2g} frequency samples",
                f"use a window of {least} pixels or more, better several times that",
            )
        self._read(images, size)

    def _read(self, images: NDArray[np.float32], size: int) -> None:
        """Squared spectra of the windowed images at some frequencies of one half-plane."""
        order = np.fft.fftfreq(size) * size
        kx, ky = np.meshgrid(order, order)
        radius = np.hypot(kx, ky)
        # The direct light itself and its window, and what lies far outside all circles, say nothing.
        half_plane = (ky > 0) | ((ky == 0) & (kx > 0))
        chosen = np.flatnonzero((half_plane & (radius > 4) & (radius < 2 * self.radius + 8)).ravel())
        if len(chosen) > self._most_samples:
            chosen = np.random.default_rng(0).choice(chosen, self._most_samples, replace=False)
        self._kx, self._ky = kx.ravel()[chosen].astype(np.float32), ky.ravel()[chosen].astype(np.float32)
        ring = (radius.ravel()[chosen] / 2).astype(int)
        self._ring = np.unique(ring, return_inverse=True)[1]
        hann = np.hanning(size + 2)[1:-1]
        window = hann[:, None] * hann
        power = []
        for led in self.bright:
            image = images[led] / images[led].mean()
            power.append(np.abs(np.fft.fft2(window * (image - 1)).ravel()[chosen]) ** 2)
        self._power = np.array(power, np.float32)
        # Rounding alone leaves some 1e-7 of an image's mean in every pixel.
        if self._power.size == 0 or not self._power.mean() > (1e-6 * size) ** 2:
            raise DataError(
                f"the bright-field images of {size} x {size} pixels show no structure: nothing tells the pose",
                "use a sample with structure, in a larger window",
            )
        self._power /= self._power.mean()
        near, far = radius.ravel()[chosen] < self.radius, radius.ravel()[chosen] > 1.5 * self.radius
        enough = min(near.sum(), far.sum()) >= LEAST_SAMPLES
        if enough and self._power[:, near].mean() < FLAT * self._power[:, far].mean():
            raise DataError(
                "the bright-field images show nothing but noise: nothing tells the pose",
                "use a sample with structure, in focus, or expose for longer",
            )

    def _covers(self, change: NDArray[np.float64], edge_px: float) -> NDArray[np.float32]:
        """(l, sample) how many of an LED's two circles hold each frequency, with edges of some width."""
        k = self._leds.directions(change)[self.bright].astype(np.float32) * self._samples_per_na
        total = np.zeros((len(k), len(self._kx)), np.float32)
        for sign in (1, -1):
            x, y = self._kx + sign * k[:, :1], self._ky + sign * k[:, 1:]
            distance = np.sqrt(x * x + y * y)  # no number here is so large that it takes the slower hypot
            total += np.clip((self.radius - distance) / edge_px + 0.5, 0, 1)
        return total

    def _levels(self, covers: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Power outside, inside one and inside both circles, and the sample's power at every frequency."""
        levels = np.array([0.1, 1.0, 1.0])
        rings = np.maximum(np.bincount(self._ring), 1)
        for _ in range(4):
            mean = (self._power / np.interp(covers, (0, 1, 2), levels)).mean(0)
            sample = (np.bincount(self._ring, mean) / rings)[self._ring]
            relative = self._power / np.maximum(sample, 1e-12)
            parts = (covers < 0.05, (covers > 0.95) & (covers < 1.05), covers > 1.95)
            found = [
                float(relative[part].mean()) if part.any() else level for part, level in zip(parts, levels, strict=True)
            ]
            levels = np.maximum(np.array(found) / max(found[1], 1e-12), 1e-3)
        return levels, np.maximum(sample, 1e-12).astype(np.float32)

    def misfit(self, change: NDArray[np.float64], edge_px: float = EDGES_PX[-1]) -> float:
        """Negative log-likelihood per sample of a change of the pose (6,)."""
        covers = self._covers(change, edge_px)
        levels, sample = self._levels(covers)
        return self._misfit(covers, levels, sample)

    def _misfit(self, covers: NDArray[np.float32], levels: NDArray[np.float64], sample: NDArray[np.float32]) -> float:
        # Straight lines between the levels.
        low, high = (np.float32(levels[i + 1] - levels[i]) for i in (0, 1))
        expected = np.float32(levels[0]) + low * np.minimum(covers, 1) + high * np.maximum(covers - 1, 0)
        expected *= sample
        return float((np.log(expected) + self._power / expected).mean(dtype=np.float64))

    def _without_circles(self) -> float:
        """Negative log-likelihood per sample of spectra that only depend on |k|."""
        nowhere = np.zeros_like(self._power)
        rings = np.maximum(np.bincount(self._ring), 1)
        sample = (np.bincount(self._ring, self._power.mean(0)) / rings)[self._ring]
        return self._misfit(nowhere, np.ones(3), np.maximum(sample, 1e-12).astype(np.float32))

    def scale(self, change: NDArray[np.float64], whole: bool) -> float:
        """Size of the circles that explains the spectra best at a pose, over that of NA, wavelength and pixel.

        ``change`` is (6,), as `moved` takes it.

        Parameters
        ----------
        whole
            Their places grow with them, as with wavelength and pixel; otherwise their radius alone, as with the NA.
        """
        own, scales = (self.radius, self._samples_per_na), np.geomspace(0.64, 1.5625, 29)
        misfits = []
        try:
            for scale in scales.tolist():
                self.radius, self._samples_per_na = own[0] * scale, own[1] * (scale if whole else 1.0)
                misfits.append(self.misfit(change, EDGES_PX[1]))
        finally:
            self.radius, self._samples_per_na = own
        return float(scales[int(np.argmin(misfits))])

    def fit(self, numbers: tuple[int, ...] = RIGID) -> CircleFit:
        """Search the pose with the largest likelihood, by Nelder and Mead's simplex, within `LIMITS`.

        Parameters
        ----------
        numbers
            Which of the pose's numbers are free.
        """
        from scipy.optimize import minimize

        free = list(numbers)
        best = np.zeros(6)
        for edge_px in self._edges_px:
            levels, sample = self._levels(self._covers(best, edge_px))
            start = best.copy()

            def value(z: NDArray[np.float64], edge_px: float = edge_px, start: NDArray[np.float64] = start) -> float:
                change = start.copy()
                change[free] += z * SCALES[free]
                outside = np.maximum(np.abs(change) / LIMITS - 1, 0).sum()
                if outside:
                    return 1e3 + float(outside)
                return self._misfit(self._covers(change, edge_px), levels, sample)  # noqa: B023

            reach = 0.12 * edge_px
            simplex = np.vstack([np.zeros(len(free)), reach * np.eye(len(free))])
            found = minimize(
                value,
                np.zeros(len(free)),
                method="Nelder-Mead",
                options={
                    "initial_simplex": simplex,
                    "xatol": 2e-3,
                    "fatol": 1e-7,
                    "maxfev": self._evaluations * len(free),
                },
            )
            best[free] += found.x * SCALES[free]
        before, after = self.misfit(np.zeros(6)), self.misfit(best)
        if after >= before:  # never worse than what was given
            best, after = np.zeros(6), before
        levels, _sample = self._levels(self._covers(best, EDGES_PX[-1]))
        return CircleFit(
            array=moved(self.array, best),
            change=best,
            before=before,
            after=after,
            led_numbers=self.numbers,
            levels=(float(levels[0]), float(levels[1]), float(levels[2])),
            evidence=self._without_circles() - after,
        )


def near_circles(
    microscope: Microscope,
    array: Array,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float],
    coarse: bool = False,
) -> Array:
    """The array with the pose that circles in the images show, or as it is where they show none.

    ``images`` are (LED, row, column), square, in the order of the array's numbers; ``field_point_um`` is their centre
    at the sample.
    """
    try:
        found = Circles(microscope, array, images, field_point_um, coarse).fit()
    except DataError:  # too few bright-field images
        return array
    return found.array if found.seen and found.after < found.before and not found.at_limit else array
