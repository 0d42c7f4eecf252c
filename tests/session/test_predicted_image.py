"""Predicted images against objects whose images are known on paper: nothing there, and one grating."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.data.dataset import TrainingSet
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.session.document import Document
from ptychoui.session.edits import usual_geometry
from ptychoui.session.predicted_image import EDGE_SHARE, LARGEST_PX, ObjectShown, object_of, predict, resampled
from ptychoui.settings import FpmExperiment

GEOMETRY = usual_geometry()
LEDS = led_array(GEOMETRY.array)
NA = GEOMETRY.microscope.objective_na
CAMERA_UM = GEOMETRY.microscope.pixel_size_um
SPAN = 64


def shown(values: np.ndarray, pixel_um: float) -> ObjectShown:
    return ObjectShown(values=values.astype(np.complex64), pixel_um=pixel_um, name="a test")


def levels(**at: float) -> np.ndarray:
    """Levels by places in the list: ``led7=0.5``."""
    result = np.zeros(len(LEDS))
    for name, level in at.items():
        result[int(name[3:])] = level
    return result


def test_without_an_object_bright_field_leds_add_up_and_dark_ones_give_nothing() -> None:
    order = np.argsort(LEDS.radius_na)
    first, second, dark = (int(order[place]) for place in (0, 3, -1))
    open_field = shown(np.ones((2 * SPAN, 2 * SPAN)), CAMERA_UM / 2)
    pattern = levels(**{f"led{first}": 1.0, f"led{second}": 0.5, f"led{dark}": 1.0})
    found = predict(GEOMETRY, LEDS, pattern, 3.0, open_field)
    expected = 3.0 * (LEDS.gain[first] + 0.5 * LEDS.gain[second])
    assert found.image == pytest.approx(expected, rel=1e-3)
    assert found.image.shape == (SPAN - 2 * (SPAN // EDGE_SHARE),) * 2 and found.pixel_um == pytest.approx(CAMERA_UM)
    only_dark = predict(GEOMETRY, LEDS, levels(**{f"led{dark}": 1.0}), 1.0, open_field)
    assert only_dark.image.max() < 1e-6


def test_a_grating_in_the_dark_field_gives_one_order() -> None:
    """Under an LED at -q the order at +q of 1 + a cos(q x) passes alone: everywhere (a / 2)^2."""
    step = GEOMETRY.microscope.wavelength_um / (SPAN * CAMERA_UM)  # NA of one period over the field
    axis = np.flatnonzero(np.abs(LEDS.illumination_na[:, 1]) < 1e-9)
    beyond = axis[LEDS.illumination_na[axis, 0] < -1.3 * NA]
    led = int(beyond[np.argmax(LEDS.illumination_na[beyond, 0])])
    orders = round(-LEDS.illumination_na[led, 0] / step)
    upsampled = 8
    x = np.arange(SPAN * upsampled) / (SPAN * upsampled)
    grating = np.ones((len(x), 1)) * (1 + 0.4 * np.cos(2 * np.pi * orders * x))
    for sign, expected in ((1, 0.04), (-1, 0.04)):
        mirror = int(np.argmin(np.hypot(*(LEDS.illumination_na - LEDS.illumination_na[led] * (sign, 1)).T)))
        found = predict(GEOMETRY, LEDS, levels(**{f"led{mirror}": 1.0}), 1.0, shown(grating, CAMERA_UM / upsampled))
        assert found.image == pytest.approx(expected * LEDS.gain[mirror], rel=0.02)


def test_only_the_middle_of_a_large_object_is_predicted() -> None:
    large = np.ones((400, 400))
    large[:80] = 0
    found = predict(GEOMETRY, LEDS, levels(led112=1.0), 1.0, shown(large, CAMERA_UM))
    assert found.image.shape == (LARGEST_PX - 2 * (LARGEST_PX // EDGE_SHARE),) * 2
    assert found.image == pytest.approx(1.0, rel=1e-3)


def test_a_dark_pattern_is_black_and_a_small_object_refused() -> None:
    assert predict(GEOMETRY, LEDS, levels(), 1.0, shown(np.ones((64, 64)), CAMERA_UM)).image.max() == 0
    with pytest.raises(DataError, match="too small"):
        predict(GEOMETRY, LEDS, levels(led112=1.0), 1.0, shown(np.ones((10, 10)), CAMERA_UM))


@pytest.mark.parametrize("pixels", [48, 63, 64, 96])
def test_other_grids_hold_the_same_wave(pixels: int) -> None:
    x = np.arange(64) / 64
    wave = np.exp(2j * np.pi * 5 * x)[None, :] * np.ones((64, 1))
    expected = np.exp(2j * np.pi * 5 * np.arange(pixels) / pixels)[None, :] * np.ones((pixels, 1))
    assert np.allclose(resampled(shown(wave, 1.0), 64.0, pixels), expected, atol=1e-5)


def test_the_object_is_that_of_the_document() -> None:
    document = Document(FpmExperiment(geometry=GEOMETRY))
    assert object_of(document) is None
    objects = np.arange(2 * 32 * 32).reshape(2, 32, 32).astype(np.complex64)
    document.dataset = TrainingSet(
        objects=objects, sources=np.array([0, 1]), pixel_size_um=0.3, source_names=("a", "b"), geometry=GEOMETRY
    )
    found = object_of(document)
    assert found is not None and found.pixel_um == 0.3 and (found.values == objects[0]).all()
