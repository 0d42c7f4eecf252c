"""Passes of a reconstruction, what they are counted and judged by, and what is said of doubtful results."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from optics import oracle

from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.reconstruction.stack import StackReconstruction, reconstruct
from ptychoui.optics.reconstruction.stack_fit import in_sequence
from ptychoui.optics.reconstruction.stack_result import Reconstruction
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.1, magnification=1, camera_pixel_um=1.2)
ALL = Reconstruct(passes=8, pupil="zernike", gain=True, background=True)


def simulated(gain: np.ndarray, stray: float) -> tuple[Geometry, np.ndarray]:
    """Noise-free images of a smooth object by the simple model, from a larger field than the tile."""
    array = Array(kind="lattice", rows=5, columns=5, pitch_mm=3, height_mm=60)
    geometry = Geometry(microscope=SCOPE, array=array)
    grids = Sampling(tile_px=64, pad_px=0, pixel_size_um=1.2, oversampling=1, upsampling=Fraction(3))
    rng = np.random.default_rng(0)
    f = np.fft.fftfreq(192, 0.4)
    rough = np.fft.ifft2(np.fft.fft2(rng.normal(size=(192, 192))) * (np.hypot(*np.meshgrid(f, f)) < 0.45)).real
    x = np.exp(1j * 0.6 * rough / rough.std()) * (1 - 0.1 * np.roll(rough, 40, 0) / rough.std())
    images = oracle.single_led_images(x, geometry.microscope, led_array(array).illumination_na, grids)
    return geometry, (gain[:, None, None] * images[:, 12:52, 12:52] + stray).astype(np.float32)


@pytest.fixture(scope="module")
def result() -> Reconstruction:
    geometry, images = simulated(np.ones(25), 0.002)
    return reconstruct(geometry, images, ALL.replace(passes=20))


def test_every_pass_changes_the_object_and_the_last_ones_lower_what_they_minimise() -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    work = StackReconstruction(geometry, images, ALL)
    objects, done = [], []
    for one in work.run():
        done.append(one)
        objects.append(work.object())
    assert [one.number for one in done] == list(range(1, 9))
    assert all(not np.array_equal(before, after) for before, after in itertools.pairwise(objects))
    costs = [one.penalised for one in done[ALL.sequential_passes :]]
    assert costs == sorted(costs, reverse=True)
    assert all(one.penalised >= one.residual > 0 for one in done)
    # The residual is that of the images, brightness and stray light fitted, with nothing added.
    assert done[-1].residual == pytest.approx(work.result().fitted_residual, rel=0.05)


def test_one_more_pass_says_more() -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    one, two = (reconstruct(geometry, images, ALL.replace(passes=passes)) for passes in (1, 2))
    assert two.fitted_residual < 0.9 * one.fitted_residual


def test_passes_end_where_they_lower_too_little() -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    found = reconstruct(geometry, images, ALL.replace(passes=60, stop_below=0.1))
    assert 2 < len(found.history) < 30


def test_tiny_windows_are_refused() -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    with pytest.raises(DataError, match="a window of 15 pixels is too small"):
        StackReconstruction(geometry, np.ascontiguousarray(images[:, :15, :15]), ALL)


def test_doubtful_results_come_with_warnings(result: Reconstruction) -> None:
    assert result.warnings == ()
    (poor,) = replace(result, fitted_residual=0.4).warnings
    assert "40% of the light unexplained" in poor and "--orientation" in poor
    veil = result.background.copy()
    veil[int(np.hypot(*result.illumination_na.T).argmin())] = 0.2
    (veiled,) = replace(result, background=veil).warnings
    assert "stray light" in veiled and "contrast" in veiled
    beyond = np.where(np.hypot(*result.illumination_na.T) > result.geometry.microscope.objective_na, 0.2, 0.0)
    assert beyond.any() and replace(result, background=beyond).warnings == ()
    assert replace(result, fitted_residual=float("nan")).warnings


def test_a_dark_field_exposed_otherwise_is_not_blamed_on_the_order(result: Reconstruction) -> None:
    dark = np.hypot(*result.illumination_na.T) > result.geometry.microscope.objective_na
    assert dark.sum() > 5
    (warning,) = replace(result, gain=np.where(dark, 8.0, 1.0), light=np.ones_like(result.light)).warnings
    assert "from angle to angle" in warning and "exposures" in warning and "order" not in warning


@pytest.mark.parametrize("seed", range(2))
def test_images_in_a_wrong_order_are_warned_of(seed: int) -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    found = reconstruct(geometry, images[np.random.default_rng(seed).permutation(len(images))], ALL)
    assert any("order" in warning and "brightness" in warning for warning in found.warnings)


def test_brightness_and_stray_light_are_found_and_the_images_explained() -> None:
    gain = np.exp(0.15 * np.random.default_rng(1).normal(size=25))
    geometry, images = simulated(gain, 0.003)
    plain = reconstruct(geometry, images, Reconstruct(passes=40, gain=False, background=False, pupil="fixed"))
    full = reconstruct(geometry, images, Reconstruct(passes=40, zernike_terms=6))
    bright = led_array(geometry.array).bright_field(0.1)
    found = full.gain / gain
    found /= np.exp(np.log(found[bright]).mean())
    assert np.abs(found - 1).max() < 0.05
    assert full.fitted_residual < 0.2 * plain.fitted_residual
    # With LEDs of one brightness only the object's scale is left.
    assert 0.98 * plain.fitted_residual < plain.amplitude_residual <= plain.fitted_residual * (1 + 1e-5)
    assert full.residual_per_led.shape == (25,) and full.object.shape == (80, 80)
    assert full.history[0] > full.history[-1]


def test_the_fit_goes_on_where_passes_in_sequence_looked_better(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry, images = simulated(np.ones(25), 0.0)
    # On the way a pass in sequence may sum to less than what the object of its end explains.
    flattered = lambda *words: 1e-3 * in_sequence(*words)  # noqa: E731
    monkeypatch.setattr("ptychoui.optics.reconstruction.stack.in_sequence", flattered)
    found = reconstruct(geometry, images, Reconstruct(passes=8, sequential_passes=3, pupil="fixed"))
    assert found.history[3] > found.history[2]
    assert len(found.history) > 5 and found.history[-1] < 0.5 * found.history[3]
    stopped = reconstruct(geometry, images, Reconstruct(passes=20, sequential_passes=3, pupil="fixed", stop_below=0.9))
    assert len(stopped.history) == 4


def test_a_dead_led_spoils_no_other() -> None:
    geometry, images = simulated(np.ones(25), 0.0)
    images[13] = 0  # beside the LED on the axis: bright field
    found = reconstruct(geometry, images, Reconstruct(passes=40, zernike_terms=6))
    others = np.delete(np.arange(25), 13)
    assert np.isfinite(found.gain).all() and np.isfinite(found.object).all()
    bright = led_array(geometry.array).bright_field(0.1)[others]
    relative = found.gain[others] / np.median(found.gain[others][bright])
    assert np.abs(relative[bright] - 1).max() < 0.05
    assert found.gain[13] < 0.2 * found.gain[others].min()


def test_an_aberration_is_found() -> None:
    geometry, _ = simulated(np.ones(25), 0.0)
    true = geometry.replace(microscope=geometry.microscope.replace(zernike_waves={5: 0.08, 7: -0.05}))
    grids = Sampling(tile_px=64, pad_px=0, pixel_size_um=1.2, oversampling=1, upsampling=Fraction(3))
    rng = np.random.default_rng(3)
    f = np.fft.fftfreq(192, 0.4)
    rough = np.fft.ifft2(np.fft.fft2(rng.normal(size=(192, 192))) * (np.hypot(*np.meshgrid(f, f)) < 0.45)).real
    x = np.exp(1j * 0.6 * rough / rough.std())
    images = oracle.single_led_images(x, true.microscope, led_array(true.array).illumination_na, grids)
    found = reconstruct(geometry, images[:, 12:52, 12:52].astype(np.float32), Reconstruct(passes=40, zernike_terms=8))
    assert found.zernike_waves[5] == pytest.approx(0.08, abs=0.01)
    assert found.zernike_waves[7] == pytest.approx(-0.05, abs=0.01)
    assert abs(found.zernike_waves[4]) < 0.015


def test_images_that_are_all_alike_end_in_an_object_without_structure() -> None:
    """Dark-field images as bright as the others are no stray light: nothing would be left of the object."""
    geometry, images = simulated(np.ones(25), 0.0)
    even = np.ones_like(images)
    even[3] = 0.0
    found = reconstruct(geometry, even, ALL.replace(passes=3))
    assert np.isfinite(found.object).all() and np.isfinite(found.gain).all() and np.isfinite(found.background).all()


def test_fewer_pixels_than_the_aperture_needs_are_every_second_one(result: Reconstruction) -> None:
    geometry, images = simulated(np.ones(25), 0.002)
    work = StackReconstruction(geometry, images, ALL)
    list(work.run())
    least = round(1.2 / work.object_pixel_um)
    assert least >= 2
    assert np.allclose(work.object(1), work.object(least)[::least, ::least])
    assert work.object(least + 1).shape == ((least + 1) * 40,) * 2
