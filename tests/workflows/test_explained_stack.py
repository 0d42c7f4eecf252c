"""What is learned from a measured stack: held against the object that a simulated one was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from optics.calibration.test_geometry_check import MEASURED, measured
from optics.quality.test_led_neighbours import exchanged
from optics.setups import figure

from ptychoui.data.dataset import ImageStack
from ptychoui.optics.forward.simulate import low_pass, simulate_stack
from ptychoui.settings import Geometry, Measurement, Reconstruct
from ptychoui.workflows.crop import central_window
from ptychoui.workflows.explained_stack import BLIND, ExplainedStack, explain_stack
from ptychoui.workflows.reconstruct_stack import WindowReconstruction

SCOPE: dict[str, Any] = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 6.5}
ARRAY: dict[str, Any] = {"kind": "lattice", "rows": 9, "columns": 9, "pitch_mm": 4.0, "height_mm": 90.0}
ASTIGMATISM_WAVES = 0.15
STRAY = 0.05
TIMES = 3
"""Object pixels per camera pixel of the simulation."""
EDGE = 8
"""Camera pixels at the border into which light comes from outside the images."""


def off_stack(source: str = "cell", size: int = 64) -> tuple[ImageStack, NDArray[np.complex64], NDArray[np.float64]]:
    """Astigmatism, brightness spread by 30 %, 5 % stray light, counts; the geometry knows none of it."""
    flat = Geometry(microscope=SCOPE, array=ARRAY)  # type: ignore[arg-type]
    true = Geometry(microscope=SCOPE | {"zernike_waves": {6: ASTIGMATISM_WAVES}}, array=ARRAY)  # type: ignore[arg-type]
    stack, seen = simulate_stack(true, flat, Measurement(noise="none"), size, 0, source)
    rng = np.random.default_rng(0)
    gain = np.exp(0.3 * rng.normal(size=81))
    light = stack.images * gain[:, None, None] + STRAY
    counts = rng.poisson(2e4 * light) / 2e4
    return replace(stack, images=counts.astype(np.float32)), seen, gain


@pytest.fixture(scope="module", params=["brick", "coins"])
def case(request: pytest.FixtureRequest) -> tuple[ExplainedStack, NDArray[np.complex64], NDArray[np.float64]]:
    stack, seen, gain = off_stack(request.param)
    return explain_stack(stack, central_window(stack.images.shape[1:]), TIMES), seen, gain


def complex_error(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """Misfit at the best common factor over what the truth has to show."""
    found = found * np.vdot(found, truth) / np.vdot(found, found)
    return float(np.sqrt(np.mean(np.abs(found - truth) ** 2) / np.mean(np.abs(truth - truth.mean()) ** 2)))


def test_object_is_the_known_one(case: Any) -> None:
    """Without the pupil, brightness and stray light the same images give an error above 1: an empty picture."""
    found, seen, _gain = case
    cutoff = (0.1 + found.leds.radius_na.max()) / 0.53
    truth = low_pass(seen[None], 1.625 / found.upsampling, float(cutoff))[0]
    inner = slice(EDGE * found.upsampling, -EDGE * found.upsampling)
    assert (
        figure(
            "object of an aberrated stack",
            complex_error((found.object * found.light)[inner, inner], truth[inner, inner]),
        )
        < 0.25
    )


def test_pupil_brightness_and_stray_light_are_the_known_ones(case: Any) -> None:
    found, _seen, gain = case
    assert found.microscope.zernike_waves[6] == pytest.approx(ASTIGMATISM_WAVES, abs=0.02)
    bright = found.leds.bright_field(0.1)
    ratio = np.log(found.leds.gain / gain)[bright]
    assert np.std(ratio) < 0.15
    assert found.leds.gain.min() >= BLIND
    recorded = found.images * found.leds.gain[:, None, None]
    assert abs(float(np.median(recorded[~bright]))) < 0.2 * STRAY


def test_it_is_what_reconstruct_finds() -> None:
    stack, _seen, _gain = off_stack()
    window = central_window(stack.images.shape[1:])
    found = explain_stack(stack, window)
    work = WindowReconstruction(stack, Reconstruct(), window)
    list(work.run())
    shown = work.stored().object
    correlation = abs(np.vdot(found.object, shown)) / (np.linalg.norm(found.object) * np.linalg.norm(shown))
    assert correlation > 0.999


def test_its_window_lies_in_the_middle_of_longer_images() -> None:
    stack, _seen, _gain = off_stack()
    wide = replace(stack, images=np.pad(stack.images, ((0, 0), (0, 0), (10, 30)), mode="reflect"))
    found = explain_stack(wide, central_window(wide.images.shape[1:]))
    assert (found.window.row, found.window.column, found.window.size_px) == (0, 20, 64)
    assert found.images.shape == (81, 64, 64) and found.object.shape == (64 * found.upsampling,) * 2


@pytest.mark.parametrize("planted", ["right", "rows", "mirrored", "turned"])
def test_a_wrong_order_or_layout_is_among_the_warnings(planted: str) -> None:
    """They come before anything is learned: `tasks.fpm.truth.doubts`."""
    stack = off_stack("coins")[0]
    if planted == "rows":
        stack = exchanged(stack, 0)
    pose = {"mirrored": {"flip_x": True}, "turned": {"rotation_deg": 90.0}}.get(planted, {})
    array = stack.geometry.array  # type: ignore[union-attr]
    turned = array.replace(pose=array.pose.replace(**pose))
    stack = replace(stack, geometry=stack.geometry.replace(array=turned))  # type: ignore[union-attr]
    said = explain_stack(stack, central_window(stack.images.shape[1:])).warnings
    wrong = [one for one in said if "exchanged" in one or "another layout" in one]
    assert bool(wrong) == (planted != "right"), said
    assert planted != "rows" or "rows of LEDs seem to be exchanged" in wrong[0]


@pytest.mark.slow
@pytest.mark.parametrize("which", MEASURED)
def test_of_measured_stacks_it_is_what_reconstruct_shows(which: str, shared_data: Path) -> None:
    stack = measured(shared_data, which)
    window = central_window(stack.images.shape[1:], 128)
    found = explain_stack(stack, window)
    work = WindowReconstruction(stack, Reconstruct(), window)
    list(work.run())
    shown = work.stored().object
    correlation = abs(np.vdot(found.object, shown)) / (np.linalg.norm(found.object) * np.linalg.norm(shown))
    assert 1 - figure(f"truth of the {which} stack: 1 - correlation with reconstruct", 1 - float(correlation)) > 0.95
