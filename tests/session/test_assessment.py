"""The brightness of a stack's images contradicts geometries at once, without a reconstruction."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.quality import bright_field
from ptychoui.session.assessment import Brightness
from ptychoui.settings import Array, Geometry, Microscope

RIGHT = Geometry(
    microscope=Microscope(wavelength_um=0.53, objective_na=0.1, magnification=4.0, camera_pixel_um=6.5),
    array=Array(kind="lattice", rows=7, columns=7, pitch_mm=4.0, height_mm=90.0),
)
BESIDE = RIGHT.replace(array=RIGHT.array.replace(pose=RIGHT.array.pose.replace(shift_x_mm=8.0)))


def stack(size: int = 8, leds: slice = slice(None)) -> ImageStack:
    """Bright inside the objective's NA, dark outside."""
    radius = led_array(RIGHT.array).radius_na
    light = np.where(radius < 0.1, 1.0, 0.01)[leds].astype(np.float32)
    images = light[:, None, None] * np.ones((1, size, size), np.float32)
    return ImageStack(images=images, led_numbers=np.arange(49)[leds], geometry=RIGHT)


def test_a_shifted_array_is_contradicted_and_the_right_one_is_not() -> None:
    brightness, some = Brightness(), stack()
    assert brightness.warnings(some, RIGHT) == ()
    (sentence,) = brightness.warnings(some, BESIDE)
    assert "contradict the geometry" in sentence or "not the brightest" in sentence


def test_every_stack_is_looked_at_itself_in_any_order_of_its_images() -> None:
    brightness = Brightness()
    assert brightness.warnings(stack(), RIGHT) == ()
    assert brightness.warnings(stack(leds=slice(None, None, -1)), RIGHT) == ()
    dark = stack()
    inverted = ImageStack(images=1.01 - dark.images, led_numbers=dark.led_numbers, geometry=RIGHT)
    assert brightness.warnings(inverted, RIGHT)


def test_images_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    brightness, some, read = Brightness(), stack(), []
    kept = bright_field.image_means
    monkeypatch.setattr(bright_field, "image_means", lambda of: read.append(of) or kept(of))
    for geometry in (RIGHT, BESIDE, RIGHT):
        brightness.warnings(some, geometry)
    assert len(read) == 1 and read[0] is some


def test_of_large_images_some_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    some = stack(size=64)
    ramp = np.linspace(0.5, 1.5, 64, dtype=np.float32)[:, None]
    uneven = ImageStack(images=some.images * ramp, led_numbers=some.led_numbers, geometry=RIGHT)
    monkeypatch.setattr(bright_field, "ENOUGH_PIXELS", 64 * 16)
    assert np.allclose(bright_field.image_means(uneven), uneven.images.mean((1, 2)), rtol=0.05)
    assert Brightness().warnings(uneven, RIGHT) == () and Brightness().warnings(uneven, BESIDE)
