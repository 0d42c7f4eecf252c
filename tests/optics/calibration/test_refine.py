"""Poses from circles and refinement: simulated truths, the eight layouts, and what must never get worse."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ptychoui.bench.stack.calibration import ARRAYS, BOUNDS, Scene, errors, make_scene
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.calibration.circles import Circles
from ptychoui.optics.calibration.orientation import orientation
from ptychoui.optics.calibration.refine import Calibration, Step, calibrate
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import (
    LIMITS,
    RIGID,
    VARIANTS,
    Variant,
    difference,
    directions,
    half_turn,
    laid_out,
    moved,
    shifted,
    single_slopes,
    slopes,
)
from ptychoui.optics.reconstruction.stack_fit import SHIFT_LIMIT_MM
from ptychoui.paths import resources
from ptychoui.settings import Array, Geometry, Measurement, Pose, load_geometry
from ptychoui.workflows.sample_data import sample_geometry, true_geometry

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(ARRAYS["rings"], 5, tile_px=96)


@pytest.fixture(scope="module")
def small() -> Scene:
    """A smaller square, where it matters what becomes of a step and not how well it is done."""
    return make_scene(ARRAYS["rings"], 5, tile_px=64)


@pytest.fixture
def few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poses are judged after fewer passes."""
    monkeypatch.setattr("ptychoui.optics.calibration.refine.JUDGED_PASSES", 3)


# Poses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lattice", "dome"])
@pytest.mark.parametrize("flags", list(product((False, True), repeat=3)))
def test_a_layout_turns_every_direction_by_its_matrix(kind: str, flags: tuple[bool, bool, bool]) -> None:
    own = Pose(shift_x_mm=1.2, shift_y_mm=-0.4, rotation_deg=7, tilt_x_deg=3, flip_x=True, swap_xy=True)
    array = ARRAYS[kind].replace(pose=own)
    variant = Variant(*flags)
    expected = led_array(array).illumination_na @ variant.matrix.T
    found = led_array(laid_out(array, variant)).illumination_na
    assert np.abs(found - expected).max() < 1e-12


def test_the_eight_layouts_differ_and_their_twins_are_half_turns() -> None:
    assert len({str(variant) for variant in VARIANTS}) == 8
    for variant in VARIANTS:
        assert (variant.twin.matrix == -variant.matrix).all()


def test_an_array_tilted_about_both_axes_has_no_other_layout() -> None:
    array = ARRAYS["lattice"].replace(pose=Pose(tilt_x_deg=2, tilt_y_deg=1))
    with pytest.raises(GeometryError, match="tilted about both axes"):
        laid_out(array, Variant(False, False, True))


def test_changes_add_up_and_slopes_are_their_derivatives() -> None:
    array = ARRAYS["spiral"]
    change = np.array([0.3, -0.2, 1.0, 2.0, 0.0, 0.0])
    assert difference(array, moved(array, change)) == pytest.approx(change)
    small = 1e-3 * change
    expected = directions(array, small) - directions(array, np.zeros(6))
    linear = slopes(array, RIGID) @ (small[:4] / np.array([1.0, 1.0, 2.0, 3.0]))
    assert np.abs(linear - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("kind", sorted(ARRAYS))
def test_single_leds_shift_in_the_plane_of_their_array(kind: str) -> None:
    array = ARRAYS[kind].replace(pose=Pose(shift_x_mm=1.0, rotation_deg=20, flip_x=True, swap_xy=True))
    still = np.zeros((len(array.numbers()), 2))
    table = shifted(array, still)
    assert table.kind == "table" and table.pose == array.pose and table.numbers() == array.numbers()
    assert np.abs(led_array(table).illumination_na - led_array(array).illumination_na).max() < 1e-12
    some = np.random.default_rng(0).normal(size=still.shape)
    expected = led_array(shifted(array, 1e-4 * some)).illumination_na - led_array(array).illumination_na
    linear = 1e-4 * (single_slopes(array) * some[:, None, :]).sum(-1)
    assert np.abs(linear - expected).max() < 1e-3 * np.abs(expected).max()
    # All alike, they are a shift of the array in its own plane.
    alike = np.tile([[0.3, -0.1]], (len(still), 1))
    moves = led_array(shifted(array, alike)).positions_mm - led_array(array).positions_mm
    assert np.abs(moves - moves[0]).max() < 1e-12 and np.hypot(*moves[0][:2]) == pytest.approx(np.hypot(0.3, 0.1))


# Circles -------------------------------------------------------------------------------------------------------------


def test_circles_find_the_pose_from_far_away(scene: Scene) -> None:
    before = difference(scene.geometry.array, scene.believed.array)
    assert np.hypot(before[0], before[1]) == pytest.approx(2.0) and abs(before[2]) == pytest.approx(3.0)
    found = Circles(scene.believed.microscope, scene.believed.array, scene.images).fit()
    after = difference(scene.geometry.array, found.array)
    assert np.hypot(after[0], after[1]) < 0.1
    assert abs(after[2]) < 0.8 and abs(after[3]) < 4
    assert found.after < found.before
    assert found.levels[0] < 0.3 < found.levels[1]
    assert found.seen and found.evidence > 0.2


def test_circles_say_nothing_worse_than_they_were_given(scene: Scene) -> None:
    first = Circles(scene.believed.microscope, scene.believed.array, scene.images).fit()
    again = Circles(scene.believed.microscope, first.array, scene.images).fit()
    assert again.after <= again.before == pytest.approx(first.after, abs=1e-6)
    assert np.abs(difference(first.array, again.array)[:4]).max() < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_structure_without_circles_moves_nothing(seed: int, scene: Scene) -> None:
    # Blurred noise: power that falls with |k|, but no edges.
    noise = np.random.default_rng(seed).standard_normal((225, 64, 64))
    images = (1 + 0.1 * ndimage.gaussian_filter(noise, (0, 1.5, 1.5), mode="wrap")).astype(np.float32)
    geometry = scene.geometry.replace(array=ARRAYS["lattice"])
    found = Circles(geometry.microscope, geometry.array, images).fit()
    assert (np.abs(found.change) <= LIMITS).all()
    assert found.after <= found.before
    assert not found.seen and abs(found.evidence) < 0.01
    step = next(iter(calibrate(geometry, images)))
    assert isinstance(step, Step) and not step.accepted and step.geometry == geometry
    assert "the images show no circles" in step.sentence or "ran into the limit" in step.sentence


@pytest.mark.parametrize("seed", range(3))
def test_a_field_of_noise_is_refused(seed: int, scene: Scene) -> None:
    bright = led_array(scene.geometry.array).bright_field(scene.geometry.microscope.objective_na)
    mean = np.where(bright, 1e4, 40.0)[:, None, None] * np.ones((1, 48, 48))
    noise = np.random.default_rng(seed).poisson(mean).astype(np.float32) / 1e4
    with pytest.raises(DataError, match="nothing but noise"):
        next(iter(calibrate(scene.geometry, noise)))


def test_too_few_bright_images_are_refused(scene: Scene) -> None:
    images = scene.images.copy()
    images[3:] *= 1e-3
    with pytest.raises(DataError, match="bright field"):
        Circles(scene.believed.microscope, scene.believed.array, images)
    with pytest.raises(DataError, match="one square image for each"):
        Circles(scene.believed.microscope, scene.believed.array, images[:, :40])


def test_even_and_tiny_images_have_no_circles(scene: Scene) -> None:
    even = np.full((189, 48, 48), 0.7, np.float32)
    with pytest.raises(DataError, match="48 x 48 pixels show no structure"):
        Circles(scene.believed.microscope, scene.believed.array, even)
    with pytest.raises(DataError, match="in 16 x 16 pixels the circles' radius"):
        Circles(scene.believed.microscope, scene.believed.array, scene.images[:, :16, :16])


def test_circles_that_run_into_a_limit_are_left_out() -> None:
    # A lone vessel along one axis: the likelihood rises, by next to nothing, all the way to a height of +20 %.
    stack, _ = simulate_stack(true_geometry(), sample_geometry(), Measurement(), 96, 0, "microaneurysms")
    assert stack.geometry is not None
    step = next(iter(calibrate(stack.geometry, stack.images)))
    assert isinstance(step, Step) and step.after < step.before and not step.accepted
    assert step.geometry == stack.geometry
    assert "left out, because it ran into the limit" in step.sentence


# Calibration ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(ARRAYS))
def test_calibration_comes_within_its_bounds(kind: str) -> None:
    scene = make_scene(ARRAYS[kind], 3)
    *steps, found = calibrate(scene.believed, scene.images, variance_floor=3.75e-5)
    assert isinstance(found, Calibration) and len(steps) == 2
    measured = errors(scene, found.geometry, found.reconstruction)
    assert {name: value for name, value in measured.items() if value > BOUNDS[name]} == {}


def test_steps_say_before_and_after_and_keep_the_better(small: Scene, few_passes: None) -> None:
    *steps, found = calibrate(small.believed, small.images, rounds=(12,), final_passes=6, variance_floor=3.75e-5)
    assert isinstance(found, Calibration)
    circles, refinement = (step for step in steps if isinstance(step, Step))
    assert circles.accepted and circles.after < circles.before
    assert refinement.accepted == (refinement.after < refinement.before)
    kept = found.geometry.array if refinement.accepted else circles.geometry.array
    assert found.geometry.array == kept
    assert "shift x" in circles.sentence and "->" in refinement.sentence
    assert found.moved and ("defocus" in refinement.sentence) == bool(refinement.defocus_waves)
    waves = [geometry.microscope.zernike_waves.get(4, 0.0) for geometry in (circles.geometry, refinement.geometry)]
    if refinement.accepted:
        assert refinement.defocus_waves == waves[1] - waves[0]
    # The pitch is never touched: height would be free with it.
    assert found.geometry.array.ring_radii_mm == small.believed.array.ring_radii_mm


@pytest.mark.parametrize("amount_mm", [0.25, 0.0])
def test_single_leds_are_found_where_they_are_misplaced_and_left_where_they_are_not(
    amount_mm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptychoui.optics.calibration.refine.JUDGED_PASSES", 6)
    plain = ARRAYS["rings"]
    amiss = amount_mm / np.sqrt(2) * np.random.default_rng(1).normal(size=(len(plain.numbers()), 2))
    scene = make_scene(shifted(plain, amiss), 5, tile_px=64)
    start = scene.geometry.replace(
        array=plain.replace(pose=scene.geometry.array.pose, height_mm=scene.geometry.array.height_mm)
    )
    settings = {"rounds": (14,), "final_passes": 1, "variance_floor": 3.75e-5, "single_leds": True}
    _circles, rigid, single, found = calibrate(start, scene.images, **settings)
    assert isinstance(rigid, Step) and isinstance(single, Step) and isinstance(found, Calibration)
    true = led_array(scene.geometry.array).illumination_na

    def error(geometry: Geometry) -> float:
        return float(np.sqrt(((led_array(geometry.array).illumination_na - true) ** 2).sum(1).mean()))

    assert single.accepted == bool(amount_mm)
    assert "mm (RMS)" in single.sentence and ("hardly better" in single.sentence) != bool(amount_mm)
    assert found.geometry.array == single.geometry.array
    assert single.shift_mm is not None and np.abs(single.shift_mm).max() <= SHIFT_LIMIT_MM
    if amount_mm:
        assert found.geometry.array.kind == "table"
        assert error(single.geometry) < 0.75 * error(rigid.geometry)
        assert "shift_mm" in single.values()
    else:
        assert single.geometry == rigid.geometry


@pytest.mark.parametrize("tilt_deg", [(6.0, -5.0), pytest.param((0.0, 0.0), marks=pytest.mark.slow)])
def test_a_tilt_is_found_where_there_is_one_and_not_invented(tilt_deg: tuple[float, float], few_passes: None) -> None:
    plain = ARRAYS["lattice"]
    tilted = plain.replace(pose=plain.pose.replace(tilt_x_deg=tilt_deg[0], tilt_y_deg=tilt_deg[1]))
    scene = make_scene(tilted, 5, tile_px=80, shift_mm=0.5, rotation_deg=0.5, height_percent=1)
    pose = scene.believed.array.pose.replace(tilt_x_deg=0, tilt_y_deg=0)
    start = scene.believed.replace(array=scene.believed.array.replace(pose=pose))
    settings = {"rounds": (14,), "final_passes": 1, "variance_floor": 3.75e-5, "tilt": True}
    _circles, rigid, tilt, found = calibrate(start, scene.images, **settings)
    assert isinstance(rigid, Step) and isinstance(tilt, Step) and isinstance(found, Calibration)
    assert tilt.name == "tilt" and not rigid.change[4:].any()
    if not any(tilt_deg):
        assert not tilt.accepted and "hardly better" in tilt.sentence and tilt.geometry == rigid.geometry
        return
    pose = found.geometry.array.pose
    assert tilt.accepted
    assert (pose.tilt_x_deg, pose.tilt_y_deg) == pytest.approx(tilt_deg, abs=0.5)


def test_single_leds_that_run_away_are_left_out(
    small: Scene, few_passes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ptychoui.optics.calibration.refine as module

    def astray(array: Array, shift_mm: np.ndarray) -> Array:
        return shifted(array, np.full_like(shift_mm, np.nan))

    monkeypatch.setattr(module, "shifted", astray)
    settings = {"rounds": (2,), "final_passes": 1, "single_leds": True}
    *_rest, rigid, single, found = calibrate(small.believed, small.images, **settings)
    assert isinstance(single, Step) and not single.accepted and "left out, because" in single.sentence
    assert isinstance(rigid, Step) and isinstance(found, Calibration)
    assert single.geometry == rigid.geometry and found.geometry.array == rigid.geometry.array


def test_a_refinement_that_makes_it_worse_is_left_out(
    small: Scene, few_passes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ptychoui.optics.calibration.refine as module

    real = module._refine

    def sabotaged(geometry: object, *rest: object) -> object:
        refined = real(geometry, *rest)
        return refined.replace(array=moved(refined.array, np.array([0.0, 0.0, 6.0, 9.0, 0.0, 0.0])))

    monkeypatch.setattr(module, "_refine", sabotaged)
    *steps, found = calibrate(small.believed, small.images, rounds=(4,), final_passes=4, variance_floor=3.75e-5)
    refinement = steps[-1]
    assert isinstance(refinement, Step) and not refinement.accepted
    assert "left out" in refinement.sentence
    assert found.geometry.array == steps[0].geometry.array


@pytest.mark.parametrize("height", [25.0, -99.99])
def test_a_refinement_that_runs_away_is_left_out(
    height: float, small: Scene, few_passes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ptychoui.optics.calibration.refine as module

    def astray(geometry: Geometry, *_rest: object) -> Geometry:
        away = np.array([0.0, 0.0, 0.0, height, 0.0, 0.0])
        return geometry.replace(array=moved(geometry.array, away))

    monkeypatch.setattr(module, "_refine", astray)
    circles, refinement, found = calibrate(small.believed, small.images, rounds=(2,), final_passes=1)
    assert isinstance(refinement, Step) and not refinement.accepted and "left out, because" in refinement.sentence
    assert isinstance(circles, Step) and isinstance(found, Calibration)
    assert found.geometry.array == circles.geometry.array


def test_calibrating_with_leds_left_out_by_their_angle_is_refused(scene: Scene) -> None:
    geometry = scene.believed.replace(array=scene.believed.array.replace(max_illumination_na=0.2))
    with pytest.raises(GeometryError, match="max_illumination_na"):
        next(iter(calibrate(geometry, scene.images)))


# Orientation ---------------------------------------------------------------------------------------------------------


def test_the_right_layout_of_a_defocused_stack_is_found(scene: Scene) -> None:
    wrong = laid_out(scene.geometry.array, Variant(True, False, True))
    found = orientation(scene.geometry.replace(array=wrong), scene.images[:, 24:72, 24:72], passes=4)
    best = led_array(found.array).illumination_na
    right = led_array(scene.geometry.array).illumination_na
    twin = led_array(laid_out(scene.geometry.array, Variant(True, True, False))).illumination_na
    assert min(np.abs(best - right).max(), np.abs(best - twin).max()) < 1e-9
    assert list(found.residuals) == sorted(found.residuals)
    assert "amplitude residual" in found.sentence


@pytest.mark.parametrize("variant", [Variant(False, False, False), Variant(True, False, False)])
def test_the_right_layout_is_found_from_a_pose_that_is_off(scene: Scene, variant: Variant) -> None:
    """By 2 mm, 3 degrees and 5 % of the height: as they are, all layouts explain the images about equally badly."""
    given = scene.believed.replace(array=laid_out(scene.believed.array, variant))
    found = orientation(given, scene.images[:, 16:80, 16:80], passes=2)
    assert found.sure and found.pair_margin > 0.5
    assert found.variants[0] in (variant, variant.twin)
    assert found.array == laid_out(given.array, found.variants[0])


def test_a_half_turn_about_a_point_reverses_what_is_seen_from_there(scene: Scene) -> None:
    point = (310.0, -150.0)
    here, there = (
        led_array(array, point).illumination_na
        for array in (scene.believed.array, half_turn(scene.believed.array, point))
    )
    assert np.allclose(there, -here, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "geometry"), [("red", "uconn_bloodsmear"), ("green", "uconn_bloodsmear_green")])
def test_the_orientation_of_the_measured_blood_smear_comes_first(name: str, geometry: str) -> None:
    file = SHARED / "uconn" / f"bloodsmear_{name}.mat"
    if not file.is_file():
        pytest.skip("the measured stacks are not here")
    stack = open_dataset(file, load_geometry(resources() / "geometries" / f"{geometry}.toml"))
    found = orientation(stack.geometry, stack.images)
    assert str(found.variants[0]) == "as it is"
    assert found.pair_margin > 0.2 and found.twin_margin > 0.05
    assert isinstance(found.array, Array)
