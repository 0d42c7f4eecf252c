"""The light of LEDs at a finite height: how its direction changes with place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Geometry, Microscope


def curvature(geometry: Geometry, field_point_um: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """How the direction of the light changes with place: (2, 2) symmetric, about -1 / height, in 1/um.

    The light of an LED at a finite height is a spherical wave. Over a tile it is taken for a plane one with the
    direction s at the tile's centre; what is left, the phase of

        - pi / lambda (x - x_t)^T J (x - x_t),    J = ds / dx,

    is the same for all LEDs but for their obliquity, and would be found in the object. J is the mean over the
    bright-field LEDs, which give nearly all light.
    """
    array, step_um = geometry.array.replace(max_illumination_na=None, falloff="none"), 1.0
    x, y = field_point_um
    here = led_array(array, field_point_um)
    bright = here.bright_field(geometry.microscope.objective_na)
    bright = bright if bright.any() else np.ones(len(here), bool)
    slopes = []
    for dx, dy in ((step_um, 0.0), (0.0, step_um)):
        ahead = led_array(array, (x + dx, y + dy)).illumination_na[bright]
        behind = led_array(array, (x - dx, y - dy)).illumination_na[bright]
        slopes.append((ahead - behind).mean(0) / (2 * step_um))
    return np.asarray((np.array(slopes) + np.array(slopes).T) / 2)


def curved_light(
    microscope: Microscope, grids: Sampling, curvature_per_um: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """(N, N) phase factor of the light over the object's grid, one at the tile's centre; see `curvature`."""
    place = (np.arange(grids.object_px) / grids.object_px - 0.5) * grids.span_px * grids.pixel_size_um
    return light_at(microscope, place, curvature_per_um)


def light_at(
    microscope: Microscope, place_um: NDArray[np.float64], curvature_per_um: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """(row, column) phase factor of the light at ``place_um`` along both axes, um; one at the tile's centre."""
    (xx, xy), (_, yy) = curvature_per_um
    x, y = place_um[None, :], place_um[:, None]
    square = xx * x**2 + yy * y**2 + 2 * xy * x * y
    return np.asarray(np.exp(-1j * np.pi / microscope.wavelength_um * square), np.complex64)
