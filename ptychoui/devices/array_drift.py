"""By how much array, LEDs and focus are not what they were: today's frames of single LEDs against a reference.

The reference is a stack of the same slide, taken on a good day and reconstructed. Its object and pupil predict every
LED's image; pose, focus and the place of the slide are moved until the prediction fits today's frames, with brightness
and stray light of every image free. The same is done with the frames of the reference itself, and the difference
counts: what the model does not explain is in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import HEIGHT, ROTATION, SHIFT_X, SHIFT_Y, moved
from ptychoui.workflows.reconstruct_stack import WindowReconstruction

Images = NDArray[np.float64]

NAMES = ("shift_x_mm", "shift_y_mm", "rotation_deg", "height_percent", "focus_um", "slide_x_um", "slide_y_um")
STEPS = np.array([0.02, 0.02, 0.05, 0.1, 1.0, 0.05, 0.05])
"""Changes by which derivatives are taken."""
LARGEST = np.array([3.0, 3.0, 6.0, 6.0, 60.0, 8.0, 8.0])
"""Largest change that is looked for."""
ROUNDS = 12
EDGE_SAMPLES = 2.5
"""LEDs whose direct light passes so near to the pupil's edge, in samples of the spectrum, do not tell the pose."""
MODEL_SHARE = 0.01
"""What no model explains of an image, as a share of its mean: keeps the brightest images from deciding alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where array, focus and slide are for some frames.

    Attributes
    ----------
    change
        (7,) from the reference's geometry, by `NAMES`.
    deviation
        (7,) its standard deviation by the noise of the frames.
    gain, stray
        (LED,) brightness and stray light of every image in units of the prediction.
    misfit
        (LED,) RMS of what is left of every image.
    light
        (LED,) mean of the prediction.
    """

    change: NDArray[np.float64]
    deviation: NDArray[np.float64]
    gain: NDArray[np.float64]
    stray: NDArray[np.float64]
    misfit: NDArray[np.float64]
    light: NDArray[np.float64]


class Prediction:
    """Images of single LEDs by a finished reconstruction, for a pose, focus and slide that moved.

    Parameters
    ----------
    work
        Of the reference, after its passes.
    numbers
        (LED,) which LEDs.

    Raises
    ------
    DataError
        If the reference has none of an LED.
    """

    def __init__(self, work: WindowReconstruction, numbers: Sequence[int]) -> None:
        self._work, self.model = work, work.work.model
        places = {int(number): place for place, number in enumerate(work.leds.numbers)}
        absent = [number for number in numbers if int(number) not in places]
        if absent:
            raise DataError(
                f"the reference has no image of LED {absent[0]}", "acquire it with all LEDs of the patterns"
            )
        self.leds = [places[int(number)] for number in numbers]
        self.reference = np.asarray(work.images, dtype=np.float64)[self.leds]
        size = self.model.grids.object_px
        self._frequency = (torch.arange(size) - size // 2).double() * self.model.grids.step_per_um
        self._scope = self.model.microscope

    def inner(self, change: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
        """(LED,) True where the direct light is well inside or well outside of the pupil, also after a change (7,)."""
        cutoff = self.model.cutoff
        here = np.hypot(*self.model.samples(self._work.leds.illumination_na[self.leds]).T)
        if change is None:
            return np.asarray(np.abs(here - cutoff) > EDGE_SAMPLES)
        there = np.hypot(*self.model.samples(self._directions(change)[self.leds]).T)
        least = np.minimum(np.abs(here - cutoff), np.abs(there - cutoff))
        same_side = (here < cutoff) == (there < cutoff)
        inside = self._share_inside(self._directions(change)[self.leds]) == 1
        return np.asarray(same_side & inside & (least > EDGE_SAMPLES + 2 * np.abs(there - here)))

    def _share_inside(self, na: NDArray[np.float64]) -> NDArray[np.float64]:
        """(L,) factor that brings directions (L, 2) back onto the reference's spectrum: 1 for those that lie there."""
        limit = self.model.grids.object_px // 2 - self.model.half - 1
        reach = np.abs(self.model.samples(na)).max(1)
        return np.asarray(np.minimum(1.0, limit / np.maximum(reach, 1e-12)))

    def _directions(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """(L, 2) directions of all LEDs of the reference after a change (7,)."""
        work = self._work
        pose = np.zeros(6)
        pose[[SHIFT_X, SHIFT_Y, ROTATION, HEIGHT]] = change[:4]
        array = moved(work.work.geometry.array, pose).replace(max_illumination_na=None)
        seen = led_array(array, work.field_point_um)
        order = {int(number): place for place, number in enumerate(seen.numbers)}
        return seen.illumination_na[[order[int(number)] for number in work.leds.numbers]]

    def images(self, change: NDArray[np.float64]) -> Images:
        """(LED, row, column) for a change (7,) of the reference's geometry, brightness that of the reference."""
        model, work = self.model, self._work
        na = self._directions(change)
        na = na * self._share_inside(na)[:, None]
        optics = work.work.optics
        known = optics.direction
        with torch.no_grad():
            try:
                model.place(na)
                optics.direction = torch.from_numpy(model.samples(na)).to(known)
                model.microscope = self._scope.replace(defocus_um=self._scope.defocus_um + float(change[4]))
                pupils = model.pupils(optics)[self.leds]
                across, down = (torch.exp(-2j * torch.pi * self._frequency * float(c)) for c in change[5:7])
                spectrum = work.work.spectrum * (down[:, None] * across[None, :]).to(work.work.spectrum)
                parts = []
                for first in range(0, len(self.leds), model.chunk):
                    some = slice(first, first + model.chunk)
                    parts.append(model.images(spectrum, pupils[some], self.leds[some]))
                gain = optics.log_gain[self.leds].exp()[:, None, None]
                found: Images = (torch.cat(parts) * gain).double().cpu().numpy()
                return found
            finally:
                optics.direction, model.microscope = known, self._scope
                model.place(work.leds.illumination_na)

    def fit(self, images: Images, noise: NDArray[np.float64] | None = None) -> Fit:
        """Move everything until the prediction fits images (LED, row, column), in units of the reference's.

        Parameters
        ----------
        noise
            (LED,) RMS of what is not explained of every image; by default two percent of its mean.

        Raises
        ------
        DataError
            If the images are dark.
        """
        means = self.reference.mean((1, 2))
        sigma = np.hypot(0.02 * means if noise is None else noise, MODEL_SHARE * means)
        sigma = np.maximum(sigma, 1e-12)
        if not images.mean() > 0:
            raise DataError("the frames are dark", "is the lamp on, and the camera open?")
        use = self.inner()
        change = np.zeros(len(NAMES))
        change[5:7] = self._slide(images, use)
        hessian = np.eye(len(NAMES))
        for _ in range(ROUNDS):
            predicted = self.images(change)
            gain, stray = _brightness(images, predicted)
            left = (images - gain[:, None, None] * predicted - stray[:, None, None]) / sigma[:, None, None]
            columns = []
            for place, step in enumerate(STEPS):
                move = np.zeros(len(NAMES))
                move[place] = step
                slope = (self.images(change + move) - self.images(change - move)) / (2 * step)
                slope *= (np.clip(gain, 0, None) / sigma)[:, None, None]
                again, offset = _brightness(slope, predicted)  # brightness and stray light take their part
                slope -= again[:, None, None] * predicted + offset[:, None, None]
                columns.append(slope[use].ravel())
            jacobian = np.stack(columns, 1)
            # Images of which nothing is left, of dead LEDs, must not pull: weights fall where much is not explained.
            size = np.sqrt((left**2).mean((1, 2)))
            weight = np.repeat((1 / np.maximum(1.0, size / 3))[use], left[0].size)
            hessian = jacobian.T @ (jacobian * weight[:, None])
            floor = 1e-6 * np.diag(1 / STEPS**2)
            moves = np.linalg.solve(hessian + floor, jacobian.T @ (weight * left[use].ravel()))
            moves = np.clip(moves, -LARGEST / 4, LARGEST / 4)
            change = np.clip(change + moves, -LARGEST, LARGEST)
            if np.all(np.abs(moves) < 0.02 * STEPS):
                break
        predicted = self.images(change)
        gain, stray = _brightness(images, predicted)
        left = images - gain[:, None, None] * predicted - stray[:, None, None]
        return Fit(
            change=change,
            deviation=np.sqrt(np.diag(np.linalg.pinv(hessian))),
            gain=gain,
            stray=stray,
            misfit=np.sqrt((left**2).mean((1, 2))),
            light=predicted.mean((1, 2)),
        )

    def _slide(self, images: Images, use: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(2,) x, y in um by which the slide lies otherwise, to a camera pixel: the bright field's correlation."""
        means = self.reference.mean((1, 2))
        bright = use & (means > 0.3 * means.max())
        here, there = (_flat(stack[bright].mean(0)) for stack in (self.reference, images))
        cross = np.fft.ifft2(np.fft.fft2(here).conj() * np.fft.fft2(there)).real
        pixel = self.model.grids.pixel_size_um
        reach = int(LARGEST[5] / pixel)
        rows, columns = np.fft.fftfreq(len(here), 1 / len(here)), np.fft.fftfreq(here.shape[1], 1 / here.shape[1])
        cross[(np.abs(rows) > reach)[:, None] | (np.abs(columns) > reach)[None, :]] = -np.inf
        row, column = np.unravel_index(int(np.argmax(cross)), cross.shape)
        return np.array([columns[column], rows[row]]) * pixel


def _flat(image: Images) -> Images:
    """An image without its mean, faded out towards its edges."""
    window = np.hanning(len(image))[:, None] * np.hanning(image.shape[1])[None, :]
    return np.asarray((image - image.mean()) * window)


def _brightness(images: Images, predicted: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(LED,) factor and offset that bring each prediction closest to its image."""
    p, y = predicted.mean((1, 2)), images.mean((1, 2))
    around = predicted - p[:, None, None]
    power = np.maximum((around**2).mean((1, 2)), 1e-30)
    factor = (around * images).mean((1, 2)) / power
    # An even image has no structure that tells light of the LED from stray light.
    even = power < (0.02 * p) ** 2
    factor = np.where(even, y / np.maximum(p, 1e-30), factor)
    return factor, y - factor * p
