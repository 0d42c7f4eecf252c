"""Images of the forward model against the simple model of `oracle`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from optics import oracle
from optics.setups import ABERRATED, figure, make, objects, physics, relative

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import GeometryError
from ptychoui.optics.forward.data_term import DataTerm, residual_change, residual_of
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope

RINGS = {"kind": "rings", "ring_radii_mm": (0.0, 5.0, 9.0), "ring_counts": (1, 6, 5)}
DOME = {"kind": "dome", "ring_radii_mm": (0.0, 8.0, 15.0), "ring_counts": (1, 5, 4), "dome_radius_mm": 40.0}
POSE = {"rotation_deg": 17.0, "tilt_x_deg": 6.0, "tilt_y_deg": -9.0, "shift_x_mm": 0.7, "shift_y_mm": -1.1}
CASES: dict[str, dict[str, Any]] = {
    "lattice": {},
    "one LED": {"rows": 1, "columns": 1},
    "odd object grid": {"tile_px": 9, "pad_px": 3, "scope": {"camera_pixel_um": 4.5}},
    "no padding": {"pad_px": 0, "tile_px": 16},
    "much padding": {"pad_px": 7, "tile_px": 8},
    "rings": RINGS,
    "dome": DOME,
    "spiral": {"kind": "spiral", "count": 11, "pitch_mm": 4.0},
    "table": {"kind": "table", "positions_mm": ((0.0, 0.0, 0.0), (3.0, -7.0, 2.0), (-11.0, 1.0, -4.0))},
    "posed": {"pose": POSE},
    "slide": {"slide_thickness_mm": 2.0, "pose": POSE},
    "flipped": {"pose": POSE | {"flip_x": True, "swap_xy": True}},
    "point": {"scope": {"pixel": "point"}},
    "aberrated": {"scope": ABERRATED},
    "aberrated, posed, point": {"scope": ABERRATED | {"pixel": "point"}, "pose": POSE, "slide_thickness_mm": 1.0},
    "coarse camera": {"scope": {"camera_pixel_um": 11.0}},
    "coarse point camera": {"scope": {"camera_pixel_um": 14.0, "pixel": "point"}, "tile_px": 10},
    "very coarse camera": {"scope": ABERRATED | {"camera_pixel_um": 20.0}, "tile_px": 6, "pad_px": 1},
    "immersed": {"scope": {"medium_index": 1.33, "defocus_um": -4.0}},
}


@pytest.mark.parametrize("name", CASES)
def test_single_led_images_agree_with_the_simple_model(name: str) -> None:
    setup = make(**CASES[name])
    microscope, leds, grids = setup
    x = objects(grids)
    found = physics(setup).intensities(torch.from_numpy(x))[0].numpy()
    expected = oracle.single_led_images(x[0], microscope, leds.illumination_na, grids)
    assert found.shape == (len(leds), grids.tile_px, grids.tile_px)
    assert figure("forward model against the simple NumPy model", relative(found, expected)) < 1e-12


def test_coarse_cameras_do_oversample() -> None:
    assert make(**CASES["coarse camera"])[2].oversampling == 2
    assert make(**CASES["very coarse camera"])[2].oversampling == 4
    assert make(**CASES["coarse point camera"])[2].oversampling == 2


def test_an_led_on_the_frequency_grid_is_a_plain_crop() -> None:
    """Whole frequency steps: k_l from the tile itself, so no pupil is shifted by a fraction."""
    microscope, _, grids = make()
    sines = [0.0, 2 * grids.step_per_um * microscope.wavelength_um]
    height = 40.0
    positions = tuple((height * s / np.sqrt(1 - s**2), 0.0, 0.0) for s in sines)
    setup = make(kind="table", positions_mm=positions)
    x = objects(setup[2])
    k = setup[1].illumination_na / microscope.wavelength_um / setup[2].step_per_um
    assert np.abs(k - np.rint(k)).max() < 1e-12
    found = physics(setup).intensities(torch.from_numpy(x))[0].numpy()
    expected = oracle.single_led_images(x[0], setup[0], setup[1].illumination_na, setup[2])
    assert relative(found, expected) < 1e-12


@pytest.mark.parametrize("pixel", ["integrating", "point"])
def test_the_intensity_is_held_at_the_very_limit_of_sampling(pixel: str) -> None:
    """A camera pixel a hair below lambda / (4 NA): the soft edge must not alias either."""
    limit = 0.5 / (4 * 0.2) * (2 if pixel == "point" else 1)
    setup = make(scope={"camera_pixel_um": 10 * limit * (1 - 1e-6), "pixel": pixel}, pad_px=4, tile_px=12)
    x = objects(setup[2])
    found = physics(setup).intensities(torch.from_numpy(x))[0].numpy()
    expected = oracle.single_led_images(x[0], setup[0], setup[1].illumination_na, setup[2])
    assert relative(found, expected) < 1e-12


def test_single_precision_is_the_same_model() -> None:
    setup = make(scope=ABERRATED)
    x = objects(setup[2])
    found = physics(setup, torch.float32).intensities(torch.from_numpy(x).to(torch.complex64))
    expected = oracle.single_led_images(x[0], setup[0], setup[1].illumination_na, setup[2])
    assert found.dtype == torch.float32
    assert relative(found[0].numpy(), expected) < 3e-6


def test_multiplexed_measurements_are_weighted_sums_and_stray_light() -> None:
    setup = make(pose=POSE)
    x = objects(setup[2], batch=2)
    rng = np.random.default_rng(3)
    weights, offset = rng.random((4, len(setup[1]))), rng.random(4)
    found = physics(setup).predict(torch.from_numpy(x), torch.from_numpy(weights), torch.from_numpy(offset)).numpy()
    for b in range(2):
        images = oracle.single_led_images(x[b], setup[0], setup[1].illumination_na, setup[2])
        for m in range(4):
            expected = sum(w * image for w, image in zip(weights[m], images, strict=True)) + offset[m]
            assert relative(found[b, m], expected) < 1e-12


def test_an_led_on_axis_with_a_wide_pupil_low_passes_the_object() -> None:
    """No frequency of the object reaches the pupil's edge: the image is |x|^2 at the camera's points."""
    setup = make(scope={"pixel": "point", "camera_pixel_um": 6.0}, rows=1, columns=1, tile_px=16, pad_px=0)
    grids = setup[2]
    position = np.arange(grids.object_px) / grids.object_px
    y, x = np.meshgrid(position, position, indexing="ij")
    wave = 1 + 0.2 * np.exp(2j * np.pi * (2 * x - y)) + 0.1j * np.cos(2 * np.pi * (x + 2 * y))
    beyond = 0.7 * np.exp(2j * np.pi * 9 * x)
    found = physics(setup).intensities(torch.from_numpy((wave + beyond)[None]))[0, 0].numpy()
    expected = np.abs(wave[:: grids.upsampling, :: grids.upsampling]) ** 2
    assert np.abs(found - expected).max() < 1e-12


def test_an_empty_field_is_one_in_the_bright_field_and_dark_beyond() -> None:
    setup = make(rows=5, columns=5, pad_px=4)
    microscope, leds, grids = setup
    ones = torch.ones(1, grids.object_px, grids.object_px, dtype=torch.complex128)
    images = physics(setup).intensities(ones)[0].numpy()
    clear = microscope.wavelength_um * grids.step_per_um
    inside = leds.radius_na < microscope.objective_na - clear
    outside = leds.radius_na > microscope.objective_na + clear
    assert inside.any() and outside.any()
    assert np.abs(images[inside] - 1).max() < 1e-12
    assert np.abs(images[outside]).max() < 1e-12


def test_scaling_every_length_changes_nothing() -> None:
    """Micrometres or nanometres: wavelength, pixel and defocus times the same number give the same images."""
    one = make(scope=ABERRATED)
    microscope, leds, grids = one
    factor = 4.0
    scaled = Microscope(
        **microscope.model_dump()
        | {
            "wavelength_um": microscope.wavelength_um * factor,
            "camera_pixel_um": microscope.camera_pixel_um * factor,
            "defocus_um": microscope.defocus_um * factor,
        }
    )
    larger = Sampling(
        tile_px=grids.tile_px,
        pad_px=grids.pad_px,
        pixel_size_um=grids.pixel_size_um * factor,
        oversampling=grids.oversampling,
        upsampling=grids.upsampling,
    )
    x = torch.from_numpy(objects(grids))
    first = FourierPtychography(microscope, leds, grids, torch.float64).intensities(x)
    second = FourierPtychography(scaled, leds, larger, torch.float64).intensities(x)
    assert relative(second, first) < 1e-12


def test_a_model_gives_the_same_bits_with_used_and_fresh_workspaces() -> None:
    setup = make()
    model, work = physics(setup), Scratch()
    x, other = (torch.from_numpy(objects(setup[2], seed=s)) for s in (0, 1))
    first = model.intensities(x, work).clone()
    model.intensities(other, work)
    assert torch.equal(model.intensities(x, work), first)
    assert torch.equal(model.intensities(x), first)


def test_an_led_outside_the_grid_is_named() -> None:
    microscope, _, grids = make(rows=1, columns=1)
    _, leds, _ = make(rows=9, columns=9)
    with pytest.raises(GeometryError, match=r"LED (0|8|72|80) at illumination NA 0\.577 lies outside") as error:
        FourierPtychography(microscope, leds, grids, torch.float64)
    assert "max_illumination_na" in error.value.hint


def test_a_camera_that_undersamples_the_field_is_refused() -> None:
    microscope, leds, grids = make()
    coarse = Sampling(tile_px=6, pad_px=1, pixel_size_um=1.0, oversampling=1, upsampling=4)
    assert grids.span_px * grids.pixel_size_um == pytest.approx(coarse.span_px * coarse.pixel_size_um)
    with pytest.raises(GeometryError, match="the pupil spans"):
        FourierPtychography(microscope, leds, coarse, torch.float64)


@pytest.mark.parametrize("pixel_um", np.linspace(4.0, 9.0, 25).tolist())
def test_the_grids_that_are_chosen_hold_every_led(pixel_um: float) -> None:
    for tile in (16, 40):
        for pitch in (0.5, 2.0, 5.0):
            setup = make(scope={"camera_pixel_um": pixel_um}, tile_px=tile, pad_px=0, pitch_mm=pitch)
            physics(setup)


@pytest.mark.parametrize("upsampling", [1, 2, 3, 4])
@pytest.mark.parametrize("turn", [0.0, 90.0, 45.0])
def test_the_object_grid_holds_the_outermost_pupil_at_the_very_limit_of_sampling(upsampling: int, turn: float) -> None:
    """A camera pixel a hair below so many times lambda / (2 synthetic NA), and an LED that rounds outwards."""
    for sine in (0.3, 0.31, 0.317, 0.333):
        pixel = upsampling * 0.5 / (2 * (0.2 + sine)) * (1 - 1e-9)
        lateral = 40.0 * sine / np.sqrt(1 - sine**2)
        table = ((lateral * np.cos(np.deg2rad(turn)), lateral * np.sin(np.deg2rad(turn)), 0.0), (0.0, 0.0, 0.0))
        setup = make(scope={"camera_pixel_um": 10 * pixel}, kind="table", positions_mm=table, tile_px=20, pad_px=0)
        x = objects(setup[2])
        found = physics(setup).intensities(torch.from_numpy(x))[0].numpy()
        assert relative(found, oracle.single_led_images(x[0], setup[0], setup[1].illumination_na, setup[2])) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_residuals_by_compiled_loops_are_those_of_the_formulas(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)

    def images(batch: int) -> torch.Tensor:
        return torch.rand(batch, 3, 8, 8, generator=generator, dtype=dtype)

    mixed, change = images(2) - 0.2, images(2) - 0.5
    data = DataTerm(torch.ones(3, 4, dtype=dtype), torch.tensor([0.1, 0.0, -0.3], dtype=dtype), images(1), 1e-3)
    predicted, residual = residual_of(mixed, data)
    expected = np.sqrt(np.maximum(mixed.numpy() + data.offset.numpy()[:, None, None], 0) + 1e-3)
    assert np.array_equal(expected < 0.04, mixed.numpy() + data.offset.numpy()[:, None, None] <= 0)
    close = 1e-6 if dtype == torch.float32 else 1e-14
    assert predicted.numpy() == pytest.approx(expected, rel=close)
    assert residual.numpy() == pytest.approx(1 - data.amplitude.numpy() / expected, abs=100 * close)
    dr = residual_change(change, predicted, data)
    assert dr.numpy() == pytest.approx(data.amplitude.numpy() * change.numpy() / (2 * expected**3), rel=100 * close)
    assert dr.dtype == residual.dtype == predicted.dtype == dtype
