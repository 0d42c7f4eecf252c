"""Masks have the net acceleration asked for, their centre, and the geometry that their names promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ptychoui.errors import SettingsError
from ptychoui.mri import sampling
from ptychoui.mri.sampling import LINE_PATTERNS, PATTERNS, central, draw_mask, equispaced_lines, poisson_disc


def fresh(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("size", "count"), [(8, 4), (9, 4), (9, 3), (8, 3), (5, 5), (6, 0)])
def test_the_centre_is_the_lowest_frequencies_with_zero_first(size: int, count: int) -> None:
    frequencies = np.round(np.fft.fftfreq(size) * size).astype(int)
    marked = frequencies[central(size, count)]
    assert sorted(marked) == list(range(-(count // 2), -(count // 2) + count))


@pytest.mark.parametrize("name", ["variable_density", "uniform_random"])
@pytest.mark.parametrize("rows", [96, 127])
@pytest.mark.parametrize("net", [1.0, 2.0, 3.3, 5.0, 8.0])
def test_random_lines_meet_the_net_acceleration_to_one_line(name: str, rows: int, net: float) -> None:
    mask = LINE_PATTERNS[name](rows, net, 11, fresh())
    assert mask.shape == (rows,)
    assert mask.sum() == round(rows / net)
    assert mask[[*range(6), *range(-5, 0)]].all()  # frequencies -5 to 5, zero first


def test_every_line_is_as_likely_as_the_density_says() -> None:
    generator = fresh(1)
    share = np.mean([sampling.variable_density_lines(64, 4, 4, generator) for _ in range(2000)], axis=0)
    middle = np.fft.fftshift(share)
    uniform = np.mean([sampling.uniform_random_lines(64, 4, 4, generator) for _ in range(2000)], axis=0)
    assert np.allclose(np.sort(uniform)[:60], 12 / 60, atol=0.05)
    near, far = middle[22:28].mean(), middle[2:8].mean()
    assert near > 5 * far > 0  # (1 - |k|)^3 falls by far more, but no line is shut out
    assert share.min() > 0


@pytest.mark.parametrize("net", [2.0, 3.0, 4.0])
def test_equispaced_lines_are_equispaced_outside_the_centre(net: float) -> None:
    mask = equispaced_lines(128, net, 10, fresh(2))
    frequencies = np.round(np.fft.fftfreq(128) * 128).astype(int)
    outside = np.sort(frequencies[mask & ~central(128, 10)])
    gaps = set(np.diff(outside[outside < 0])) | set(np.diff(outside[outside > 0]))
    assert len(gaps) == 1
    step = gaps.pop()
    assert len(set(outside % step)) == 1  # one grid on both sides of the centre
    assert abs(128 / mask.sum() / net - 1) < 0.1  # the nearest grid's


@pytest.mark.parametrize("pattern", [*LINE_PATTERNS])
def test_frames_have_lines_of_their_own(pattern: str) -> None:
    masks = sampling.frame_lines(96, 12, 6, 8, fresh(3), pattern)
    assert masks.shape == (12, 96)
    assert len({mask.tobytes() for mask in masks}) > 5
    assert masks[:, central(96, 8)].all()


def test_shifted_frames_cover_every_line_once_in_a_round() -> None:
    step = sampling.equispaced_step(96, 6, 8)
    masks = sampling.frame_lines(96, step, 6, 8, fresh(4), "equispaced")
    assert np.array_equal(masks[:, ~central(96, 8)].sum(axis=0), np.ones(88))


@pytest.mark.parametrize("shape", [(64, 58), (45, 80)])
@pytest.mark.parametrize("net", [1.0, 1.5, 4.0, 10.0])
def test_a_poisson_disc_has_its_number_its_centre_and_distances(shape: tuple[int, int], net: float) -> None:
    mask = poisson_disc(shape, net, 8, fresh(5))
    assert mask.sum() == round(mask.size / net)
    assert mask[central(shape[0], 8)][:, central(shape[1], 8)].all()
    if net < 4:
        return
    block = central(shape[0], 8)[:, None] & central(shape[1], 8)[None, :]
    drawn = np.argwhere(np.fft.fftshift(mask & ~block))
    nearest = cKDTree(drawn).query(drawn, k=2)[0][:, 1]
    away = np.hypot(*((drawn / np.array(shape) - 0.5) * 2).T)
    scattered = np.argwhere(fresh().random(shape) < len(drawn) / mask.size)
    chance = cKDTree(scattered).query(scattered, k=2)[0][:, 1]
    # Random points of equal number come close to each other; discs at the edge do not, and are wider than inside.
    assert nearest[away > 0.9].min() >= max(math.sqrt(2), 1.3 * np.median(chance))
    assert nearest[away > 0.9].mean() > 1.4 * nearest[away < 0.4].mean()


def test_masks_follow_the_generator_and_leave_the_global_one_alone() -> None:
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    for name, draw in PATTERNS.items():
        size = (40, 36) if name == "poisson_disc" else 40
        first, again, other = (draw(size, 4, 4, fresh(seed)) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other) or name == "equispaced"
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("name", "acquisition", "space", "shape"),
    [
        ("variable_density", "2d", (32, 30), (32, 1)),
        ("poisson_disc", "2d", (32, 30), (32, 30)),
        ("equispaced", "slab", (6, 32, 30), (1, 32, 1)),
        ("poisson_disc", "slab", (6, 32, 30), (1, 32, 30)),
        ("poisson_disc", "3d", (6, 32, 30), (1, 32, 30)),
        ("uniform_random", "3d", (6, 32, 30), (1, 32, 1)),
        ("variable_density", "cine", (6, 32, 30), (6, 32, 1)),
        ("equispaced", "cine", (6, 32, 30), (6, 32, 1)),
    ],
)
def test_masks_fit_their_acquisition(
    name: str, acquisition: str, space: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    mask = draw_mask(name, acquisition, space, 3, 4, fresh())  # type: ignore[arg-type]
    assert mask.shape == shape
    assert mask.dtype == bool


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda g: draw_mask("poisson_disc", "cine", (4, 32, 30), 2, 4, g), "not one of lines"),
        (lambda g: draw_mask("spiral", "2d", (32, 30), 2, 4, g), "'spiral' is not known"),
        (lambda g: draw_mask("equispaced", "3d", (32, 30), 2, 4, g), "does not fit a 3d"),
        (lambda g: sampling.variable_density_lines(32, 0.9, 4, g), "0.9 is not possible"),
        (lambda g: sampling.uniform_random_lines(32, math.nan, 4, g), "nan is not possible"),
        (lambda g: sampling.uniform_random_lines(32, 4, 9, g), "8 of 32 lines, fewer than the 9"),
        (lambda g: sampling.uniform_random_lines(32, 100, 0, g), "leaves none of 32 lines"),
        (lambda g: sampling.variable_density_lines(32, 1, 33, g), "33 calibration lines do not fit 32"),
        (lambda g: sampling.variable_density_lines(32, 4, -1, g), "-1 calibration lines"),
        (lambda g: sampling.variable_density_lines(32, 4, 4, g, power=-1), "power of -1"),
        (lambda g: poisson_disc((32, 30), 16, 8, g), "60 of 960 samples, fewer than the 64"),
        (lambda g: poisson_disc((32, 30), 4, 4, g, growth=-1), "grow by -1"),
        (lambda g: sampling.frame_lines(32, 0, 4, 4, g), "0 frames"),
    ],
)
def test_impossible_values_are_refused_in_a_sentence(refused, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=words) as caught:
        refused(fresh())
    assert caught.value.hint
