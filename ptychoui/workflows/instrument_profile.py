"""A microscope's profile: what dark frames, a blank field and a known sample say of it, in one dated geometry file.

1. *Dark*: the value of a pixel without light, subtracted from all images.
2. *Blank*: images without a sample give the brightness of every bright-field LED at once.
3. *Known sample*: the calibration gives the pose, the pupil, the brightness of the other LEDs and their stray light;
   a sample whose phase is known to rise tells which of two twin layouts is the right one.

The file is a geometry file: whatever reads geometries uses it, and with it the dark level, brightness and stray light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray

from ptychoui import __version__
from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError
from ptychoui.optics.calibration.refine import Calibration, Step
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import Variant, laid_out
from ptychoui.optics.geometry.pupil_series import radial_order
from ptychoui.optics.quality.validation import without_ramp
from ptychoui.optics.reconstruction.stack import reconstruct
from ptychoui.settings import Geometry, Images, to_toml
from ptychoui.workflows.calibrate_stack import StackCalibration
from ptychoui.workflows.crop import image_places

BLANK_STRUCTURE = 0.03
"""Standard deviation over mean, shading and noise apart, above which an image shows more than a blank field."""

EDGE = 0.95
"""Share of the objective's NA up to which an LED counts as bright field in a blank field."""

DEAD = 0.01
"""Share of the typical brightness below which an LED is dead."""

SKEW_PER_NOISE = 0.3
"""Skewness of the phase below which a sample does not tell its sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A calibrated microscope.

    Attributes
    ----------
    geometry
        Pose, pupil, microscope.
    images
        Dark level in counts, and brightness and stray light of the LEDs in the order of their images.
    made
        The day.
    sources
        What was measured -> sha256 of the file.
    notes
        What was found, in sentences.
    """

    geometry: Geometry
    images: Images
    made: date
    sources: dict[str, str]
    notes: tuple[str, ...]

    def toml(self) -> str:
        """The profile as a geometry file with the tables ``[images]`` and ``[profile]``."""
        record = {
            "made": self.made,
            "program": f"ptychoui {__version__}",
            "sources": self.sources,
            "notes": list(self.notes),
        }
        said = self.images.model_dump(exclude_none=True)
        return to_toml(self.geometry) + "\n" + tomli_w.dumps({"images": said, "profile": record})


def blank_gain(blank: ImageStack, geometry: Geometry) -> NDArray[np.float64]:
    """(LED,) brightness by a stack without a sample, relative to the median bright-field LED.

    LEDs of the dark field and dead ones are NaN.

    Parameters
    ----------
    geometry
        The calibrated one: LEDs at the pupil's very edge, whose light may be cut, are left to the sample.

    Raises
    ------
    DataError
        If the images are dark or show a sample, or no LED lies inside the pupil.
    """
    leds = led_array(geometry.array.replace(max_illumination_na=None, falloff="none"))
    radius = leds.radius_na
    bright = radius < EDGE * geometry.microscope.objective_na
    if len(radius) != len(blank.images) or not bright.any():
        raise DataError(
            f"the blank stack has {len(blank.images)} images of {len(radius)} LEDs ({int(bright.sum())} bright field)",
            "measure it with all LEDs that the sample has",
        )
    order = image_places(blank, leds, "the blank stack")
    means = blank.images.mean((1, 2), dtype=np.float64)[order]
    typical = float(np.median(means[bright]))
    if not typical > 0:
        raise DataError("the blank images are dark", "check their exposure and the dark level")
    seen = float(np.median([structure(blank.images[place]) for place in order[bright]]))
    if seen > BLANK_STRUCTURE:
        raise DataError(
            f"the blank images vary by {seen:.1%} of their mean, shading and noise apart: they show a sample",
            "move to an empty place, or leave the blank stack out",
        )
    # A dead LED has no brightness that an image could be divided by: the sample's fit, which has a limit, stands.
    lit = bright & (means > DEAD * typical)
    gain = np.full(len(means), np.nan)
    gain[lit] = means[lit] / typical
    return gain


def structure(image: NDArray[np.float32]) -> float:
    """Standard deviation over mean of an image (row, column) without its smooth shading and its noise.

    Shading is a polynomial of second degree. Noise is what the mixed second differences of 2 x 2 pixels say, in which
    a sample, that the microscope has blurred, hardly shows.
    """
    mean = float(image.mean(dtype=np.float64))
    if not mean > 0:
        return 0.0
    flat = image.astype(np.float64) / mean
    rows, columns = flat.shape
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    shading = terms @ np.linalg.lstsq(terms, flat.ravel(), rcond=None)[0]
    corner = flat[1:, 1:] - flat[1:, :-1] - flat[:-1, 1:] + flat[:-1, :-1]
    noise = float((corner**2).mean()) / 4
    return math.sqrt(max(float(((flat.ravel() - shading) ** 2).mean()) - noise, 0.0))


def _stray_light(result: Calibration) -> NDArray[np.float64]:
    """(L,) stray light of every image: fitted in the dark field, and there its median for all others.

    In a bright image stray light and direct light look alike, and the fit puts into one what belongs to the other.
    """
    scope = result.geometry.microscope
    radius = led_array(result.geometry.array.replace(max_illumination_na=None, falloff="none")).radius_na
    dark = radius > scope.objective_na / EDGE
    found = np.array(result.reconstruction.background)
    found[~dark] = np.median(found[dark]) if dark.any() else 0.0
    return found


def phase_sign(found: NDArray[np.complex64]) -> float:
    """Skewness of the phase of an object (row, column) without its ramp.

    Above zero where features lag behind a flat background.
    """
    edge = len(found) // 8
    phase = np.angle(without_ramp(found))[edge:-edge, edge:-edge]
    low, high = np.quantile(phase, (0.002, 0.998))
    phase = np.clip(phase, low, high)
    phase = phase - phase.mean()
    return float((phase**3).mean() / max((phase**2).mean(), 1e-12) ** 1.5)


def check_blank(blank: ImageStack, sample: ImageStack) -> None:
    """Refuse a blank stack that cannot be that of a sample's microscope, before the sample is calibrated.

    Raises
    ------
    DataError
        If it is the sample itself, has other images or LEDs, is dark, or shows a sample.
    """
    if blank.provenance.sha256 and blank.provenance.sha256 == sample.provenance.sha256:
        raise DataError("the blank stack is the sample's own file", "give a stack of an empty place, or none")
    if blank.images.shape[1:] != sample.images.shape[1:]:
        raise DataError(
            f"the blank images have {blank.images.shape[1]} x {blank.images.shape[2]} pixels, the sample's "
            f"{sample.images.shape[1]} x {sample.images.shape[2]}",
            "measure both with the same part of the camera",
        )
    work = StackCalibration(sample)
    place = work.window
    blank_gain(blank.crop(place.row, place.column, place.size_px, place.size_px), work.geometry)


def make_profile(
    sample: ImageStack,
    blank: ImageStack | None = None,
    said: Images | None = None,
    sign: int = 0,
    sources: dict[str, str] | None = None,
    device: torch.device | str = "cpu",
    made: date | None = None,
    callback: Callable[[], None] | None = None,
) -> Iterator[Step | Profile]:
    """Yield the steps of the calibration and, at the end, the profile.

    Parameters
    ----------
    sample
        A stack of a sample with structure, with the geometry to start from; corrected by ``said`` already.
    blank
        A stack without a sample, of the same LEDs.
    said
        By what the images were corrected when they were read, such as a dark level or exposures; brightness and stray
        light are added to it.
    sign
        1 if the features of the sample are known to raise the phase, -1 if they lower it, 0 if nobody knows. Where
        the sample does not tell, the layout stays and a note says so: the calibration is not lost.
    callback
        Called every few LEDs: where the work can wait, or be given up by an exception.

    Raises
    ------
    DataError
        If stacks do not belong together, or the blank one shows a sample.
    """
    work = StackCalibration(sample, device=device)
    if blank is not None:
        check_blank(blank, sample)
        # Lenses and LEDs shade the field: brightness is that of the place where the sample is calibrated.
        place = work.window
        blank = blank.crop(place.row, place.column, place.size_px, place.size_px)
    notes: list[str] = []
    for found in work.run(callback=callback):
        if isinstance(found, Step):
            notes.append(found.sentence)
            yield found
        else:
            result = found
    brightness = _joined(result, None if blank is None else blank_gain(blank, result.geometry), notes)
    geometry = result.geometry
    if sign:
        geometry = _handed(result, work, sign, notes, device, callback)
    # The file speaks of images in the order of the stack, the calibration of LEDs in that of the array.
    gains, stray = np.ones(len(sample.images)), np.zeros(len(sample.images))
    gains[work.places], stray[work.places] = brightness, _stray_light(result)
    # It was fitted in the unit of images as they were read; a reader takes it off in the unit of corrected images.
    stray /= _bright_level(sample.images, gains)
    images = (said or Images()).replace(gains=tuple(gains.tolist()), stray=tuple(stray.tolist()))
    yield Profile(
        geometry=work.for_use(geometry),
        images=images,
        made=made or date.today(),
        sources=sources or {},
        notes=tuple(notes),
    )


def _bright_level(images: NDArray[np.float32], gains: NDArray[np.float64]) -> float:
    """The open field as readers take it: the 99th percentile of the brightest image, brightness divided out."""
    brightest = int(np.argmax(images.mean((1, 2), dtype=np.float64) / gains))
    return float(np.percentile(images[brightest], 99) / gains[brightest])


def _joined(result: Calibration, direct: NDArray[np.float64] | None, notes: list[str]) -> NDArray[np.float64]:
    """(L,) brightness by the blank field where it tells, else by the sample, on one scale."""
    gain = np.array(result.reconstruction.gain)
    if direct is None:
        notes.append("brightness of all LEDs by the sample")
        return gain
    known = np.isfinite(direct)
    scale = float(np.median(gain[known] / direct[known]))
    apart = float(np.std(gain[known] / (scale * direct[known])))
    notes.append(f"brightness of {int(known.sum())} LEDs by the blank field; the sample's differ by {apart:.1%} (RMS)")
    gain[known] = scale * direct[known]
    return gain


def _handed(
    result: Calibration,
    work: StackCalibration,
    sign: int,
    notes: list[str],
    device: torch.device | str,
    callback: Callable[[], None] | None,
) -> Geometry:
    """The geometry or its twin, whichever gives the phase the sign that the sample is known to have."""
    skew = phase_sign(result.reconstruction.object)
    if abs(skew) < SKEW_PER_NOISE:
        notes.append(
            f"WARNING: handedness not checked, because the sample's phase does not tell its sign (skewness {skew:.2f}):"
            " use separate features on a flat background, such as beads or cells"
        )
        return result.geometry
    if skew * sign > 0:
        notes.append(f"the phase has the known sign (skewness {skew:.2f})")
        return result.geometry
    scope = result.geometry.microscope
    # The twin's pupil is the conjugate one, turned by half a turn: even aberrations change their sign, odd ones do not.
    waves = {noll: waves if radial_order(noll) % 2 else -waves for noll, waves in scope.zernike_waves.items()}
    twin = result.geometry.replace(
        array=laid_out(result.geometry.array, Variant(True, True, False)),
        microscope=scope.replace(zernike_waves=waves),
    )
    there = reconstruct(twin, work.images, None, led_array(twin.array, work.field_point_um), device, callback)
    twin = twin.replace(microscope=scope.replace(zernike_waves=there.zernike_waves))
    other = phase_sign(there.object)
    if other * sign <= 0:
        notes.append(
            "WARNING: handedness not checked, because neither this layout nor its twin gives the phase the known sign "
            f"(skewness {skew:.2f} and {other:.2f})"
        )
        return result.geometry
    notes.append(f"the array turned by half a turn, because the phase had the wrong sign (skewness {skew:.2f})")
    return twin
