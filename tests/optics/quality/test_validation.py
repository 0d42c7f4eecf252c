from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.quality import validation
from ptychoui.optics.quality.led_quality import LedQuality, led_quality, misfit_per_led
from ptychoui.optics.quality.ring_correlation import ONE_SEVENTH, ring_correlation
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

NA = 0.2


def ring(count: int, radius: float) -> np.ndarray:
    angle = 2 * np.pi * np.arange(count) / count
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def test_coverage_of_one_led_is_its_pupil() -> None:
    found = validation.fourier_coverage(np.zeros((1, 2)), NA, samples=301)
    assert found.counts.max() == 1 and found.hole_share < 0.02
    area = found.counts.sum() * (2 * found.extent_na / 300) ** 2
    assert area == pytest.approx(np.pi * NA**2, rel=0.02)
    assert found.least_na == pytest.approx(NA) and found.largest_na == pytest.approx(NA)


def test_coverage_has_the_orientation_of_the_array_and_counts_overlap() -> None:
    found = validation.fourier_coverage(np.array([[0.0, 0.0], [0.1, 0.3]]), NA, samples=201)
    assert found.counts[:60].sum() > 0 and found.counts[-60:].sum() == 0  # +y is the first row
    assert found.counts.max() == 2
    assert found.largest_na == pytest.approx(NA + np.hypot(0.1, 0.3), rel=1e-3)
    assert found.least_na == pytest.approx(NA, rel=1e-3)


def test_a_ring_without_a_middle_has_a_hole() -> None:
    with_hole = validation.fourier_coverage(ring(24, 0.6), NA)
    assert with_hole.hole_share == pytest.approx((0.4 / 0.8) ** 2, abs=0.02)
    middle = len(with_hole.counts) // 2
    assert with_hole.counts[middle, middle] == 0
    assert validation.fourier_coverage(np.concatenate([ring(24, 0.6), ring(12, 0.3), [[0, 0]]]), NA).hole_share < 0.01


def test_coverage_needs_an_led() -> None:
    with pytest.raises(DataError, match="no LEDs"):
        validation.fourier_coverage(np.empty((0, 2)), NA)


def quality(misfit: Any, gain: Any = None) -> LedQuality:
    na = np.concatenate([[[0, 0]], ring(8, 0.1), ring(16, 0.2), ring(24, 0.3)])
    light = np.where(np.hypot(*na.T) < 0.15, 0.9, 0.02)
    return led_quality(misfit, light, np.ones(49) if gain is None else gain, na)


def test_noise_alone_is_no_outlier() -> None:
    rng = np.random.default_rng(0)
    found = quality(0.01 * np.exp(0.1 * rng.normal(size=49)), np.exp(0.1 * rng.normal(size=49)))
    assert not found.outlier.any() and set(found.reasons) == {""}


def test_single_and_several_bad_leds_stand_out() -> None:
    rng = np.random.default_rng(0)
    misfit = 0.01 * np.exp(0.1 * rng.normal(size=49))
    gain = np.exp(0.05 * rng.normal(size=49))
    misfit[[5, 20, 21]] *= 8
    gain[30] = 0.3
    found = quality(misfit, gain)
    assert np.flatnonzero(found.outlier).tolist() == [5, 20, 21, 30]
    assert set(found.worst_first[:4].tolist()) == {5, 20, 21, 30}
    assert found.reasons[30] == "too dim" and "not explained" in found.reasons[5]


def test_misfit_of_shot_noise_is_the_same_in_bright_and_dark_field() -> None:
    rng = np.random.default_rng(0)
    light, photons = np.array([1.0, 0.05])[:, None, None] * np.ones((2, 64, 64)), 10_000
    found = misfit_per_led(rng.poisson(light * photons) / photons, light)
    assert found == pytest.approx(0.5 / np.sqrt(photons), rel=0.05)


SCOPE: dict[str, Any] = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8}
ARRAY: dict[str, Any] = {"kind": "lattice", "rows": 7, "columns": 7, "pitch_mm": 4.0, "height_mm": 72.0}


@pytest.fixture(scope="module")
def stack() -> tuple[Geometry, np.ndarray]:
    """Images with shot noise of an object that scatters into the dark field."""
    from ptychoui.optics.forward.simulate import single_led_images
    from ptychoui.optics.geometry.microscope import sampling

    geometry = Geometry(microscope=Microscope(**SCOPE), array=Array(**ARRAY))
    leds = led_array(geometry.array)
    grids = sampling(geometry.microscope, leds, 64, 0)
    rng = np.random.default_rng(1)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(grids.object_px, grids.object_pixel_um)] * 2))
    noise = rng.normal(size=(2, grids.object_px, grids.object_px))
    soft = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency / 0.25) ** 2))).real
    soft /= soft.std(axis=(1, 2), keepdims=True)
    x = np.exp(0.15 * soft[0] + 0.6j * soft[1])[None].astype(np.complex64)
    clean = single_led_images(geometry, leds, x, grids)[0]
    return geometry, (rng.poisson(np.maximum(clean, 0) * 40_000) / 40_000).astype(np.float32)


def bad_leds(geometry: Geometry, images: np.ndarray, **settings: Any) -> tuple[set[int], LedQuality]:
    from ptychoui.optics.reconstruction.stack import StackReconstruction

    work = StackReconstruction(
        geometry, images, Reconstruct(**{"passes": 25, "pupil": "fixed", "pad_px": 0} | settings)
    )
    for _ in work.run():
        pass
    result = work.result()
    predicted = np.stack([work.predicted(int(number)) for number in result.led_numbers])
    found = led_quality(misfit_per_led(images, predicted), images.mean((1, 2)), result.gain, result.illumination_na)
    return set(result.led_numbers[found.outlier].tolist()), found


def test_a_good_stack_has_no_bad_led(stack: tuple[Geometry, np.ndarray]) -> None:
    bad, _ = bad_leds(*stack)
    assert bad == set()


def test_a_dimmed_led_is_found_by_its_brightness(stack: tuple[Geometry, np.ndarray]) -> None:
    geometry, images = stack
    images = images.copy()
    images[25] *= 0.4
    bad, found = bad_leds(geometry, images)
    assert bad == {25} and found.reasons[25] == "too dim"


def test_a_dimmed_led_is_found_by_its_misfit_where_brightness_is_not_fitted(stack: tuple[Geometry, np.ndarray]) -> None:
    geometry, images = stack
    images = images.copy()
    images[25] *= 0.4
    bad, found = bad_leds(geometry, images, gain=False)
    assert 25 in bad and int(found.worst_first[0]) == 25


def test_swapped_leds_are_found(stack: tuple[Geometry, np.ndarray]) -> None:
    geometry, images = stack
    images = images.copy()
    images[[17, 30]] = images[[30, 17]]
    bad, found = bad_leds(geometry, images)
    assert {17, 30} <= bad and set(found.worst_first[:2].tolist()) == {17, 30}


def test_a_shifted_led_is_found(stack: tuple[Geometry, np.ndarray]) -> None:
    """The geometry says that LED 16 is where LED 15 is: its image is another's."""
    geometry, images = stack
    images = images.copy()
    images[16] = images[15]
    bad, found = bad_leds(geometry, images)
    assert 16 in bad and int(found.worst_first[0]) == 16


def test_prediction_agrees_with_the_residuals(stack: tuple[Geometry, np.ndarray]) -> None:
    from ptychoui.optics.reconstruction.stack import StackReconstruction

    geometry, images = stack
    work = StackReconstruction(geometry, images, Reconstruct(passes=3))
    for _ in work.run():
        pass
    result = work.result()
    for number in (24, 0):
        predicted = work.predicted(number)
        assert predicted.shape == images.shape[1:] and predicted.dtype == np.float32
        misfit = np.square(np.sqrt(np.maximum(predicted, 0)) - np.sqrt(images[number])).sum()
        assert misfit / images[number].sum() == pytest.approx(result.residual_per_led[number], rel=1e-2)
    with pytest.raises(DataError, match="LED 99"):
        work.predicted(99)


def test_profile_of_stripes_has_their_period_and_contrast() -> None:
    x = (np.arange(200) + 0.5) * 0.5
    image = np.tile(1 + 0.5 * np.cos(2 * np.pi * x / 10), (50, 1))
    found = validation.line_profile(image, 0.5, (10, 12), (90, 12))
    assert found.distance_um[-1] == pytest.approx(80) and found.contrast == pytest.approx(0.5, abs=0.01)
    assert found.span == pytest.approx(1.0, abs=0.02)
    peaks = found.distance_um[1:-1][(found.values[1:-1] >= found.values[:-2]) & (found.values[1:-1] > found.values[2:])]
    assert np.diff(peaks) == pytest.approx(10, abs=0.6)
    along = validation.line_profile(image, 0.5, (20, 2), (20, 22))
    assert along.contrast == pytest.approx(0, abs=1e-9)


def test_profile_of_a_ramp_is_exact_and_stays_inside() -> None:
    image = np.add.outer(2.0 * np.arange(20), np.arange(30))
    found = validation.line_profile(image, 1.0, (0.5, 0.5), (10.5, 10.5))
    assert found.values == pytest.approx(np.linspace(0, 30, len(found.values)))
    assert len(validation.line_profile(image, 1.0, (-50, 5), (500, 5)).values) == 61
    assert np.isnan(validation.line_profile(image - 20, 1.0, (1, 1), (20, 1)).contrast)
    with pytest.raises(DataError, match="no length"):
        validation.line_profile(image, 1.0, (3, 3), (3, 3))


def test_ring_correlation_of_the_same_image_is_one_up_to_a_phase() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(64, 64)) + 1j * rng.normal(size=(64, 64))
    found = ring_correlation(image, image * np.exp(1.3j), 0.4)
    assert found.correlation == pytest.approx(1)
    assert found.resolution_um() == pytest.approx(0.8)


@pytest.mark.parametrize("real", [True, False])
def test_ring_correlation_of_white_noise_is_below_the_threshold(real: bool) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 128, 128)) + (0 if real else 1j) * rng.normal(size=(2, 128, 128))
    found = ring_correlation(first, second, 0.4)
    assert np.abs(found.correlation[5:]).max() < 0.35 and abs(found.correlation[5:].mean()) < 0.05
    assert np.mean(found.correlation > found.half_bit) < 0.05


def test_resolution_is_where_noise_takes_over() -> None:
    """A band-limited image under independent noise: both thresholds cross within a few rings of the band's edge."""
    rng = np.random.default_rng(0)
    size, pixel, edge = 256, 0.25, 0.8
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size, pixel)] * 2))
    image = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * (frequency < edge)).real
    first, second = (image + 0.5 * image.std() * rng.normal(size=(size, size)) for _ in range(2))
    found = ring_correlation(first, second, pixel)
    assert found.resolution_um() == pytest.approx(1 / edge, rel=0.06)
    assert found.resolution_um(ONE_SEVENTH) == pytest.approx(1 / edge, rel=0.1)
    assert found.half_bit[0] > found.half_bit[-1] > 0.17


def test_ring_correlation_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="ring by ring"):
        ring_correlation(np.zeros((4, 4)), np.zeros((4, 5)), 1.0)


def test_ramp_and_piston_are_taken_away() -> None:
    y, x = np.mgrid[:90, :120]
    sample = np.exp(0.5j * np.exp(-((x - 50) ** 2 + (y - 40) ** 2) / 150)) * (1 - 0.2 * (x > 80))
    field = sample * np.exp(1j * (0.7 + 0.213 * x - 0.131 * y))
    flat = validation.without_ramp(field)
    known = validation.without_ramp(sample)
    assert flat.dtype == np.complex64
    assert np.abs(np.angle(flat * known.conj())).max() < 1e-3
    assert abs(np.angle(flat[:20, :20].mean())) < 0.05


def test_phase_beyond_one_turn_is_unwrapped() -> None:
    y, x = np.mgrid[:80, :80]
    phase = 9 * np.exp(-((x - 40) ** 2 + (y - 40) ** 2) / 300)
    found = validation.unwrapped_phase(np.exp(1j * phase))
    assert found.dtype == np.float32
    assert found.max() - found.min() == pytest.approx(9, abs=0.2)
    assert np.array_equal(found, validation.unwrapped_phase(np.exp(1j * phase)))


def test_phase_of_nothing_is_zero() -> None:
    assert np.all(validation.without_ramp(np.zeros((8, 8), complex)) == 0)


def test_brightness_of_dark_leds_is_no_reason_and_a_dead_led_among_lit_ones_is() -> None:
    na = np.concatenate([[[0, 0]], ring(8, 0.1), ring(16, 0.2), ring(24, 0.3)])
    light = np.where(np.hypot(*na.T) < 0.15, 0.9, 0.0)
    gain = np.where(light > 0, 1.0, np.random.default_rng(0).uniform(0, 2, 49))
    light[4], gain[4] = 0.0, 0.0
    gain[30] = np.nan
    found = led_quality(np.full(49, 0.01), light, gain, na)
    assert np.flatnonzero(found.outlier).tolist() == [4] and found.reasons[4] == "too dim"
    assert found.lit[:9].all() and not found.lit[40]
    assert np.isfinite(found.gain_score).all()
