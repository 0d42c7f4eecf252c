"""Simulated objects and stacks, and the full-stack reconstruction of simulated and measured images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from optics import oracle
from optics.setups import ABERRATED, make, objects, relative

from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.optics.forward.simulate import low_pass, simulate_stack, single_led_images
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling, good_padding, sampling
from ptychoui.optics.objects import source_image, training_objects
from ptychoui.optics.reconstruction.accelerated import all_at_once
from ptychoui.settings import Array, Geometry, Measurement, Microscope

SCOPE = {"wavelength_um": 0.5, "objective_na": 0.2, "magnification": 10.0, "camera_pixel_um": 5.0}
ARRAY = {"kind": "lattice", "rows": 7, "columns": 7, "pitch_mm": 4.0, "height_mm": 50.0}


def test_objects_are_a_function_of_the_seed() -> None:
    first, again, other = (training_objects(0.3, 48, 2, seed, sources=("camera", "blobs")) for seed in (3, 3, 4))
    assert np.array_equal(first.objects, again.objects)
    assert first.provenance.sha256 == again.provenance.sha256 != other.provenance.sha256
    assert first.sources.tolist() == [0, 0, 1, 1] and first.source_names == ("camera", "blobs")
    assert first.objects.shape == (4, 48, 48) and first.objects.dtype == np.complex64


def test_objects_have_the_contrast_asked_for() -> None:
    found = training_objects(0.3, 64, 3, 0, phase_rad=1.0, absorption=0.2, sources=("camera",))
    phase, amplitude = np.angle(found.objects), np.abs(found.objects)
    span = np.quantile(phase, 0.98) - np.quantile(phase, 0.02)
    assert span == pytest.approx(1.0, abs=0.1)
    assert amplitude.max() <= 1 + 0.2 * 0.2 + 1e-6 and amplitude.min() >= 1 - 0.2 * 1.2 - 1e-6


def test_source_images_fill_zero_to_one() -> None:
    for name in ("cell", "camera", "coins", "blobs"):
        image = source_image(name)
        assert image.ndim == 2 and image.min() == 0 and image.max() == 1


def test_low_pass_is_a_projection_that_keeps_low_frequencies() -> None:
    n, pixel = 32, 0.25
    x = np.arange(n) * pixel
    low, high = np.exp(2j * np.pi * 0.5 * x), np.exp(2j * np.pi * 1.5 * x)
    both = np.broadcast_to(low + high, (1, n, n)).astype(np.complex64)
    assert np.abs(low_pass(both, pixel, 1.0)[0] - low).max() < 1e-5
    assert np.abs(low_pass(low_pass(both, pixel, 1.0), pixel, 1.0) - low_pass(both, pixel, 1.0)).max() < 1e-6


def test_single_led_images_of_a_batch_agree_with_the_simple_model() -> None:
    microscope, leds, grids = make(scope=ABERRATED)
    x = objects(grids, batch=3).astype(np.complex64)
    geometry = Geometry(microscope=microscope, array=Array(**ARRAY))
    found = single_led_images(geometry, leds, x, grids, batch=2)
    for b in range(3):
        expected = oracle.single_led_images(x[b].astype(complex), microscope, leds.illumination_na, grids)
        assert relative(found[b], expected) < 3e-6


def test_a_simulated_stack_is_a_function_of_its_seed_and_carries_the_nominal_geometry() -> None:
    true = Geometry(microscope=Microscope(**SCOPE, defocus_um=2.0), array=Array(**ARRAY))
    nominal = Geometry(microscope=Microscope(**SCOPE), array=Array(**ARRAY))
    first, truth = simulate_stack(true, nominal, Measurement(), 32, seed=1)
    again, _ = simulate_stack(true, nominal, Measurement(), 32, seed=1)
    other, _ = simulate_stack(true, nominal, Measurement(), 32, seed=2)
    assert np.array_equal(first.images, again.images) and not np.array_equal(first.images, other.images)
    assert first.geometry == nominal and first.images.shape == (49, 32, 32)
    assert truth.shape[0] % 32 == 0
    assert first.provenance.sha256 == again.provenance.sha256 != other.provenance.sha256


def measured(setup: tuple[Microscope, object, Sampling], x: np.ndarray) -> np.ndarray:
    """Noise-free images from the simple model, as a camera file would hold them."""
    microscope, leds, grids = setup
    return oracle.single_led_images(x, microscope, leds.illumination_na, grids).astype(np.float32)  # type: ignore[attr-defined]


def smooth_object(grids: Sampling, seed: int = 0) -> np.ndarray:
    """Weak random object inside the synthetic aperture of the test array."""
    rng = np.random.default_rng(seed)
    n = grids.object_px
    frequency = np.fft.fftfreq(n, grids.object_pixel_um)
    inside = np.hypot(frequency[:, None], frequency[None, :]) < 0.6
    noise = rng.normal(size=(2, n, n))
    parts = [np.fft.ifft2(np.fft.fft2(p) * inside).real for p in noise]
    return (1 - 0.1 * parts[0] / parts[0].std()) * np.exp(0.3j * parts[1] / parts[1].std())


def test_reconstruction_recovers_a_simulated_object() -> None:
    setup = make(rows=7, columns=7, pitch_mm=3.0, tile_px=24, pad_px=0)
    microscope, leds, grids = setup
    x = smooth_object(grids)
    seen: list[tuple[int, float]] = []
    result = all_at_once(
        microscope, leds, grids, measured(setup, x), 150, lambda iteration, error: seen.append((iteration, error))
    )
    turn = np.vdot(result.object, x)
    error = np.linalg.norm(result.object * turn / abs(turn) - x) / np.linalg.norm(x - x.mean())
    assert error < 0.1
    assert result.amplitude_residual < 1e-7 and result.iterations == 150
    assert [iteration for iteration, _ in seen] == list(range(10, 151, 10))
    assert seen[-1][1] == pytest.approx(result.amplitude_residual) and seen[0][1] > seen[-1][1]


def test_a_mirrored_array_does_not_explain_the_images() -> None:
    """The control that must fail: wrong handedness."""
    setup = make(rows=7, columns=7, pitch_mm=3.0, tile_px=24, pad_px=0)
    mirrored = make(rows=7, columns=7, pitch_mm=3.0, tile_px=24, pad_px=0, pose={"flip_x": True})
    images = measured(setup, smooth_object(setup[2]))
    right = all_at_once(*setup, images, 60).amplitude_residual
    wrong = all_at_once(*mirrored, images, 60).amplitude_residual
    assert wrong > 20 * right


def test_images_that_do_not_fit_are_refused() -> None:
    microscope, leds, grids = make()
    with pytest.raises(DataError, match="do not match 9 LEDs and a tile of 12 pixels"):
        all_at_once(microscope, leds, grids, np.ones((8, 12, 12), np.float32))
    dark = leds.select(np.array([0]))
    _, far, far_grids = make(pose={"shift_x_mm": 30.0})
    assert len(dark) == 1 and not far.bright_field(0.2).any()
    with pytest.raises(DataError, match="no LED lies in the bright field"):
        all_at_once(microscope, far, far_grids, np.ones((9, 12, 12), np.float32))


@pytest.mark.slow
def test_the_measured_red_stack_is_explained(shared_data: Path) -> None:
    """Sum (sqrt(I) - A)^2 / sum A^2 below 0.0254 for the whole field."""
    path = shared_data / "uconn" / "bloodsmear_red.mat"
    if not path.exists():
        pytest.skip("bloodsmear_red.mat is not there")
    from ptychoui.paths import resources
    from ptychoui.settings import load_geometry

    geometry = load_geometry(resources() / "geometries" / "uconn_bloodsmear.toml")
    stack = open_dataset(path, geometry)
    leds = led_array((stack.geometry or geometry).array)
    assert np.array_equal(leds.numbers, stack.led_numbers)
    side = min(stack.images.shape[1:])
    grids = sampling(geometry.microscope, leds, side, good_padding(side, 8))
    threads = torch.get_num_threads()
    result = all_at_once(geometry.microscope, leds, grids, stack.images[:, :side, :side])
    assert torch.get_num_threads() == threads
    assert result.amplitude_residual < 0.0254
