"""What a measured stack is to whatever learns from it: the object, pupil and brightness that `reconstruct` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.optics.geometry.curvature import curved_light
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope, Reconstruct
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.reconstruct_stack import WindowReconstruction

PASSES = 40
"""Passes over the stack: what is learned from may take longer than what is looked at. What more passes gain is lost
again in weak dark fields."""

BLIND = 0.05
"""Smallest brightness, 1 = the median of the bright field, that images are divided by: an LED that seems fainter is
dead or hidden, and its image is noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStack:
    """A window of a stack, its images at brightness one, and the object and pupil that explain them.

    Attributes
    ----------
    object
        (row, column) complex64 transmission under the window, ``upsampling`` pixels for each of the camera's.
    light
        (row, column) phase factor of the LEDs' spherical light: plane waves see ``object * light``.
    images
        (LED, row, column) float32, stray light subtracted and brightness divided out, 1 = open field.
    leds
        In the order of the images; ``gain`` is the brightness that was found, the array's falloff included.
    microscope
        With the pupil that was found.
    amplitude_residual, fitted_residual
        Without and with brightness and stray light of single LEDs: see `Reconstruction`.
    warnings
        What should make its owner doubt it, in sentences.
    """

    object: NDArray[np.complex64]
    light: NDArray[np.complex64]
    images: NDArray[np.float32]
    leds: LedArray
    microscope: Microscope
    window: CropRegion
    upsampling: int
    amplitude_residual: float
    fitted_residual: float
    warnings: tuple[str, ...] = ()


def explain_stack(
    stack: ImageStack,
    window: CropRegion,
    upsampling: int | None = None,
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
) -> ExplainedStack:
    """Reconstruct a window of a stack as ``ptychoui reconstruct`` does, and undo what is not the object's.

    With images J_l = g_l I_l + b_l, found together with object and pupil, what is returned are I_l = (J_l - b_l) / g_l.

    Parameters
    ----------
    stack
        With a geometry.
    upsampling
        Object pixels per camera pixel; by default what the synthetic aperture needs.
    callback
        Called every few LEDs: where the work can wait, or be given up by an exception.

    Raises
    ------
    PtychouiError
        If window, images, LEDs and grids do not fit together.
    """
    work = WindowReconstruction(stack, Reconstruct(passes=PASSES), window, device=device, callback=callback)
    work.check()
    for _done in work.run():
        pass
    found = work.work.result()
    gain = np.maximum(found.gain, BLIND)
    images = (work.images - found.background[:, None, None]) / gain[:, None, None]
    scope = found.geometry.microscope
    times = upsampling or round(scope.pixel_size_um / found.object_pixel_um)
    tile = Sampling(
        tile_px=window.size_px, pad_px=0, pixel_size_um=scope.pixel_size_um, oversampling=1, upsampling=times
    )
    return ExplainedStack(
        # With the light that the median LED of the bright field gives.
        object=(work.object(times) * np.exp(work.work.log_brightness / 2)).astype(np.complex64),
        light=curved_light(scope, tile, work.curvature_per_um),
        images=images.astype(np.float32),
        leds=replace(work.leds, gain=gain),
        microscope=scope.replace(zernike_waves=found.zernike_waves),
        window=window,
        upsampling=times,
        amplitude_residual=found.amplitude_residual,
        fitted_residual=found.fitted_residual,
        warnings=found.warnings,
    )
