"""How windows, camera pixels and first estimates lie on the grids of the forward model."""

from __future__ import annotations

import numpy as np

from ptychoui.errors import GeometryError
from ptychoui.optics.forward.led_sums import PupilWindows
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope


def led_windows(
    microscope: Microscope, leds: LedArray, grids: Sampling, dtype: type[np.complexfloating]
) -> PupilWindows:
    """Places and fractions of every LED's window on the object's spectrum.

    Raises
    ------
    GeometryError
        If the pupil is wider than the field's grid, or that of an LED leaves the object's frequency grid.
    """
    step = grids.step_per_um
    k = leds.illumination_na / microscope.wavelength_um / step  # (L, 2) in frequency samples
    whole = np.rint(k)
    fraction = k - whole
    cutoff = microscope.objective_na / microscope.wavelength_um / step
    half = int(np.ceil(cutoff + 1.01))
    if 2 * half + 1 > grids.field_px:
        raise GeometryError(
            f"the pupil spans {2 * half + 1} frequencies but the field's grid has {grids.field_px}",
            "the camera undersamples the field: use a higher magnification or a smaller camera pixel",
        )
    _inside_the_grid(whole, fraction, cutoff + 0.5, leds, grids)
    first = (whole - half).astype(np.int64) % grids.object_px
    return PupilWindows(
        microscope=microscope,
        row=np.ascontiguousarray(first[:, 1]),
        column=np.ascontiguousarray(first[:, 0]),
        fraction=fraction,
        half=half,
        step_per_um=step,
        object_px=grids.object_px,
        field_px=grids.field_px,
        dtype=np.dtype(dtype),
    )


def _reach(whole: np.ndarray, fraction: np.ndarray, radius: float) -> np.ndarray:
    """(L,) highest frequency, in samples, at which an LED's pupil of this radius is open along either axis."""
    # A column is open where its sample nearest to the axis is: up to this far on either side.
    chord = np.sqrt(radius**2 - fraction[:, ::-1] ** 2)
    last, first = np.ceil(fraction + chord) - 1, np.floor(fraction - chord) + 1
    return np.asarray(np.maximum(np.abs(whole + last), np.abs(whole + first)).max(1))


def _inside_the_grid(whole: np.ndarray, fraction: np.ndarray, radius: float, leds: LedArray, grids: Sampling) -> None:
    """Refuse an LED whose pupil reaches beyond the object's highest frequency; closed corners may wrap round."""
    reach = _reach(whole, fraction, radius)
    worst = int(np.argmax(reach))
    if reach[worst] >= grids.object_px / 2:
        raise GeometryError(
            f"LED {leds.numbers[worst]} at illumination NA {leds.radius_na[worst]:.3f} lies outside the object's "
            f"frequency grid ({reach[worst]:.0f} of {grids.object_px // 2} samples)",
            "use a finer object grid, or leave the LED out with max_illumination_na",
        )


def camera_matrix(microscope: Microscope, grids: Sampling) -> np.ndarray:
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
    # A row at a time: T n n phases would take more memory than all that follows.
    return np.stack([(transfer * np.cos(2 * np.pi * (c - place[:, None]) * frequency)).sum(-1) / n for c in centre])


def interpolation_matrix(grids: Sampling) -> np.ndarray:
    """(N, T) linear interpolation from the tile's camera pixels to the object's grid, edges continued."""
    place = np.clip(np.arange(grids.object_px) / float(grids.upsampling) - grids.pad_px, 0, grids.tile_px - 1)
    low = np.minimum(place.astype(int), grids.tile_px - 2)
    matrix = np.zeros((grids.object_px, grids.tile_px))
    rows = np.arange(grids.object_px)
    matrix[rows, low] = 1 - (place - low)
    matrix[rows, low + 1] += place - low
    return matrix
