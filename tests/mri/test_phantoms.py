"""Drawn objects: families that can be told apart, volumes without copies, a heart that beats in a still chest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops

from ptychoui.errors import SettingsError
from ptychoui.mri import phantoms
from ptychoui.mri.grids import inside, level_distance, noise, plane_grid, volume_grid
from ptychoui.mri.heart import SYSTOLE, contraction, heart
from ptychoui.mri.phantoms import FAMILIES, STILL_FAMILIES, draw_phantom


def fresh(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_draws_objects_of_order_one(family: str) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    one, again, other = (draw_phantom(family, "2d", (96, 88), fresh(seed)) for seed in (1, 1, 2))
    assert np.array_equal(np.random.get_state()[1], before)
    assert one.image.shape == one.support.shape == (96, 88)
    assert np.array_equal(one.image, again.image)
    assert np.corrcoef(np.abs(one.image).ravel(), np.abs(other.image).ravel())[0, 1] < 0.95
    assert 0.5 < np.abs(one.image).max() < 2.5
    assert 0.3 < one.support.mean() < 0.85
    outside = ~ndimage.binary_dilation(one.support, iterations=3)
    assert np.abs(one.image[outside]).max() < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_no_object_is_cut_off_by_the_field_of_view(family: str) -> None:
    for seed in range(12):
        drawn = draw_phantom(family, "2d", (64, 58), fresh(seed))
        values = np.abs(drawn.image) + drawn.support
        assert max(values[0].max(), values[-1].max(), values[:, 0].max(), values[:, -1].max()) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_phase_is_smooth_and_not_flat(family: str) -> None:
    one = draw_phantom(family, "2d", (128, 128), fresh(4))
    bright = np.abs(one.image) > 0.05
    phasor = one.image / np.maximum(np.abs(one.image), 1e-6)
    pair = bright[1:] & bright[:-1]
    steps = np.angle(phasor[1:] * phasor[:-1].conj())[pair]
    assert np.abs(steps).max() < 0.3
    assert np.abs(steps).mean() > 1e-3


def features(image: np.ndarray, support: np.ndarray) -> np.ndarray:
    """What a viewer would tell families by: dark and bright shares, edges, the rim, roundness."""
    values = np.abs(image)
    values /= np.quantile(values[support], 0.98)
    inner = ndimage.binary_erosion(support, iterations=12)
    rim = support & ~ndimage.binary_erosion(support, iterations=4)
    edges = np.hypot(*np.gradient(values))[inner]
    shape = regionprops(support.astype(int))[0]
    return np.array(
        [
            np.mean(values[inner] < 0.25),
            np.mean(values[inner] > 0.75),
            np.mean(edges > 0.05),
            np.std(values[inner]),
            np.mean(values[rim]) - np.mean(values[inner]),
            shape.solidity * 5,
            shape.eccentricity,
        ]
    )


def test_families_can_be_told_apart() -> None:
    rows, families = [], []
    for family in FAMILIES:
        for seed in range(8):
            drawn = draw_phantom(family, "2d", (128, 128), fresh(100 + seed))
            rows.append(features(drawn.image, drawn.support))
            families.append(family)
    table = np.array(rows) / np.std(rows, axis=0)
    apart = np.linalg.norm(table[:, None] - table[None], axis=-1) + np.diag([np.inf] * len(table))
    told = [families[nearest] for nearest in apart.argmin(axis=1)]
    assert np.mean([a == b for a, b in zip(told, families, strict=True)]) > 0.85


@pytest.mark.parametrize("family", STILL_FAMILIES)
@pytest.mark.parametrize("acquisition", ["slab", "3d"])
def test_planes_of_a_volume_are_neighbours_and_no_copies(family: str, acquisition: str) -> None:
    drawn = draw_phantom(family, acquisition, (12, 64, 60), fresh(5))  # type: ignore[arg-type]
    planes = np.abs(drawn.image[2:-2]).reshape(8, -1)
    alike = np.corrcoef(planes)
    near = np.diagonal(alike, 1)
    assert near.min() > 0.7
    assert near.max() < 0.99995
    assert near.mean() > np.diagonal(alike, 5).mean()


def test_a_slab_is_excited_in_its_middle_only() -> None:
    drawn = draw_phantom("brain", "3d", (20, 32, 32), fresh(6))
    mean = np.abs(drawn.image).mean(axis=(1, 2))
    assert mean[[0, -1]].max() < 0.1 * mean[10]
    assert mean[4:16].min() > 0.7 * mean[10]


def test_a_contraction_is_periodic_smooth_and_faster_than_the_filling() -> None:
    phases = np.linspace(0, 1, 401)
    amount = contraction(phases)
    assert amount[0] == pytest.approx(0)
    assert amount[-1] == pytest.approx(0)
    assert phases[amount.argmax()] == pytest.approx(SYSTOLE, abs=0.003)
    assert amount.max() == pytest.approx(1)
    assert np.all(np.diff(amount[phases <= SYSTOLE]) > 0)
    assert np.all(np.diff(amount[phases > SYSTOLE + 0.003]) < 0)
    assert np.allclose(contraction(phases + 3), amount)
    speed = np.gradient(np.concatenate([amount[:-1], amount[:-1]]), phases[1])
    assert np.abs(np.diff(speed)).max() < 0.12  # no jump of the speed, at the seam neither


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cine_changes_smoothly_and_comes_back(family: str) -> None:
    drawn = draw_phantom(family, "cine", (24, 64, 60), fresh(7))
    frames = np.abs(drawn.image)
    steps = np.linalg.norm(frames - np.roll(frames, 1, axis=0), axis=(1, 2))
    widest = np.linalg.norm(frames - frames[0], axis=(1, 2)).max()
    assert steps.max() < 0.4 * widest  # the step from the last frame to the first is among them
    assert steps.max() < 4 * np.median(steps)
    assert steps.min() > 1e-4 * widest  # no frame comes twice
    assert widest > 0.02 * np.linalg.norm(frames[0])
    phases = np.angle(drawn.image[:, 30, 30])
    assert np.ptp(phases[np.abs(drawn.image[:, 30, 30]) > 0.05]) < 1e-3


def walls(frame: np.ndarray) -> tuple[float, float]:
    """Radius of the round bright chamber in pixels, and the thickness of the dark wall to its right."""
    found = [
        region
        for region in regionprops(label(ndimage.binary_opening(frame > 0.7, iterations=2)))
        if region.area > 300 and region.solidity > 0.9 and region.eccentricity < 0.6
    ]
    pool = max(found, key=lambda region: region.area)
    row, column = (int(value) for value in pool.centroid)
    ray = frame[row, column:]
    inner = int(np.argmax(ray < 0.65))
    outer = inner + int(np.argmax(ray[inner + 3 :] > 0.47)) + 3
    return np.sqrt(pool.area / np.pi), outer - inner


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_heart_contracts_and_its_wall_thickens_in_a_still_chest(seed: int) -> None:
    values, support = heart(plane_grid((256, 256), (1.0, 1.0)), 16, fresh(seed))
    moved = np.ptp(values, axis=0) > 1e-6
    assert 0.02 < moved.mean() < 0.3
    assert moved[support[0]].any()
    assert not moved[~support[0]].any()
    measured = np.array([walls(frame) for frame in values])
    full, empty = measured[:, 0].argmax(), measured[:, 0].argmin()
    assert measured[empty, 0] < 0.8 * measured[full, 0]
    assert measured[empty, 1] > 1.15 * measured[full, 1]


def test_noise_has_one_variance_and_the_scale_asked_for() -> None:
    grid = plane_grid((128, 100), (1.0, 100 / 128))
    drawn = noise(grid, 0.05, fresh(8))[0]
    assert drawn.mean() == pytest.approx(0, abs=1e-5)
    assert drawn.std() == pytest.approx(1, abs=1e-4)
    # White noise behind a Gaussian of width s correlates over a distance d as exp(-d^2 / (4 s^2)).
    many = np.stack([noise(grid, 0.05, fresh(seed))[0] for seed in range(40)])
    for step in (2, 4, 6):
        expected = np.exp(-((step * grid.pixel) ** 2) / (4 * 0.05**2))
        assert np.mean(many[:, step:] * many[:, :-step]) == pytest.approx(expected, abs=0.03)
        assert np.mean(many[:, :, step:] * many[:, :, :-step]) == pytest.approx(expected, abs=0.03)


def test_a_level_distance_is_a_distance_near_the_level() -> None:
    grid = volume_grid((8, 64, 64), (0.2, 1.0, 1.0))
    sphere = 3 * (0.6**2 - grid.z**2 - grid.y**2 - grid.x**2)
    true = 0.6 - np.sqrt(grid.z**2 + grid.y**2 + grid.x**2)
    near = np.abs(true) < 0.03
    assert np.abs(level_distance(sphere, grid) - true)[near].max() < 0.003


def test_an_edge_goes_from_nothing_to_all_within_its_width() -> None:
    edge = inside(np.array([-0.06, -0.05, 0.0, 0.05, 0.06], np.float32), 0.1)
    assert np.allclose(edge, [0, 0, 0.5, 1, 1], atol=1e-6)


def test_grids_of_any_size_share_their_first_pixel() -> None:
    coarse, fine = plane_grid((20, 15), (1.0, 0.75)), plane_grid((60, 45), (1.0, 0.75))
    assert np.allclose(fine.y[:, ::3], coarse.y)
    assert np.allclose(fine.x[:, :, ::3], coarse.x)
    assert coarse.shape == (1, 20, 15)
    assert coarse.spacing == pytest.approx((1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: draw_phantom("liver", "2d", (32, 32), fresh()), "'liver' is not known"),
        (lambda: draw_phantom("heart", "3d", (8, 32, 32), fresh()), "does not fit a 3d"),
        (lambda: draw_phantom("brain", "cine", (32, 32), fresh()), "cannot be drawn for a cine"),
        (lambda: draw_phantom("brain", "2d", (32, 8), fresh()), "cannot be drawn for a 2d"),
    ],
)
def test_impossible_objects_are_refused_in_a_sentence(refused, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=words) as caught:
        refused()
    assert caught.value.hint
    assert phantoms.FAMILIES
