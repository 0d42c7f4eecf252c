"""Image stacks made by the program itself, from a seed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, Provenance, array_sha256
from ptychoui.optics.forward.measurement import MeasurementModel
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling, sampling
from ptychoui.optics.objects import training_objects
from ptychoui.settings import Geometry, Measurement


def low_pass(objects: NDArray[np.complex64], pixel_size_um: float, cutoff_per_um: float) -> NDArray[np.complex64]:
    """Remove frequencies beyond a cut-off: what no microscope of that synthetic aperture can see.

    (object, row, column) complex in and out; the cut-off is in 1/um.
    """
    frequency = np.fft.fftfreq(objects.shape[-1], pixel_size_um)
    inside = np.hypot(frequency[:, None], frequency[None, :]) <= cutoff_per_um
    return np.asarray(np.fft.ifft2(np.fft.fft2(objects) * inside)).astype(np.complex64)


def field_of_objects(geometry: Geometry, leds: LedArray, objects_px: int, pixel_size_um: float) -> Sampling:
    """The grids that simulate whole objects: their span in camera pixels, no padding."""
    span = round(objects_px * pixel_size_um / geometry.microscope.pixel_size_um)
    return sampling(geometry.microscope, leds, span, 0)


def single_led_images(
    geometry: Geometry,
    leds: LedArray,
    objects: NDArray[np.complex64],
    grids: Sampling,
    batch: int = 4,
    dtype: torch.dtype = torch.float32,
) -> NDArray[np.floating]:
    """Noise-free single-LED images of objects at gain one: (object, LED, row, column) of the real ``dtype``.

    Objects are (object, N, N) on the grid of ``grids``.
    """
    physics = FourierPtychography(geometry.microscope, leds, grids, dtype)
    parts = []
    with torch.no_grad():
        for first in range(0, len(objects), batch):
            x = torch.from_numpy(np.array(objects[first : first + batch])).to(dtype.to_complex())
            parts.append(physics.intensities(x).clamp_min_(0).numpy())
    return np.concatenate(parts)


def simulate_stack(
    true_geometry: Geometry,
    nominal_geometry: Geometry,
    measurement: Measurement,
    image_px: int,
    seed: int,
    source: str = "cell",
) -> tuple[ImageStack, NDArray[np.complex64]]:
    """A measured-looking LED stack: physical noise, and a microscope that is not quite what its owner believes.

    Parameters
    ----------
    true_geometry
        What the images are made with: misplaced array, aberrated pupil.
    nominal_geometry
        What the file says.
    image_px
        Edge of the images in camera pixels.
    source
        Image that becomes the object, one of `objects.SOURCES`.

    Returns
    -------
    The stack, with the nominal geometry, and the object (row, column) on the true object's grid, cropped to the field.
    """
    leds = led_array(true_geometry.array)
    border = image_px // 4
    grids = sampling(true_geometry.microscope, leds, image_px + 2 * border, 0)
    objects = training_objects(grids.object_pixel_um, grids.object_px, 1, seed, sources=(source,))
    # In float64, so that another processor's rounding changes no count: the same seed makes the same file.
    clean = single_led_images(true_geometry, leds, objects.objects, grids, dtype=torch.float64)
    inner = slice(border, border + image_px)
    clean = clean[:, :, inner, inner]
    model = MeasurementModel(measurement, torch.from_numpy(leds.gain.copy()).double())
    generator = torch.Generator().manual_seed(seed)
    count = len(leds)
    recorded = model.record(
        torch.from_numpy(clean.copy()),
        torch.eye(count, dtype=torch.float64),
        torch.ones(count, dtype=torch.float64),
        generator,
        poisson=True,
    )
    fine = slice(border * grids.upsampling, (border + image_px) * grids.upsampling)
    stack = ImageStack(
        images=recorded[0].float().numpy(),
        led_numbers=leds.numbers,
        geometry=nominal_geometry,
        unit_counts=measurement.photons_per_led,
        provenance=Provenance(
            source=f"simulated, seed {seed}",
            layout="simulation",
            sha256=array_sha256(recorded.float().numpy()),
            notes=("simulated with a misplaced array and an aberrated pupil: not the geometry given here",),
        ),
    )
    return stack, objects.objects[0][fine, fine]
