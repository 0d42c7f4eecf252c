"""Quantising keeps each row's light and is the best of all choices where all can be tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ptychoui.errors import SettingsError
from ptychoui.export.quantise import quantise


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("minimum_code", [0, 1])
def test_light_is_kept_and_the_error_is_what_it_says(bits: int, minimum_code: int) -> None:
    levels = np.random.default_rng(bits).random((6, 40)) ** 2
    levels[:, :10] = 0
    coded = quantise(levels, bits, minimum_code)
    assert coded.codes.min() >= 0 and coded.codes.max() <= 2**bits - 1
    np.testing.assert_allclose(coded.levels, coded.codes / (2**bits - 1))
    assert (coded.codes[:, :10] == 0).all()
    shown = coded.levels * coded.exposure_scale[:, None]
    np.testing.assert_allclose(shown.sum(1), levels.sum(1))
    error = np.linalg.norm(levels - shown, axis=1) / np.linalg.norm(levels, axis=1)
    np.testing.assert_allclose(coded.relative_error, error)
    assert error.max() < {1: 0.7, 2: 0.3, 3: 0.15, 4: 0.06, 8: 0.004, 16: 2e-5}[bits]


def test_one_bit_is_the_best_of_all_subsets() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        level = rng.random(9) ** 2
        best = min(
            np.linalg.norm(level - level.sum() / sum(lit) * np.array(lit))
            for lit in itertools.product([0, 1], repeat=9)
            if any(lit)
        )
        coded = quantise(level[None], 1)
        assert coded.relative_error[0] * np.linalg.norm(level) == pytest.approx(best)


def test_exact_patterns_stay_exact() -> None:
    levels = np.array([[0, 1, 1, 0], [0, 0.25, 0.25, 0.25], [0, 0, 0, 0]])
    coded = quantise(levels, 1)
    assert coded.codes.tolist() == [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert coded.exposure_scale.tolist() == [1, 0.25, 1]
    assert coded.relative_error.max() < 1e-12
    eight = quantise(np.arange(256)[None] / 255, 8)
    assert eight.codes.tolist() == [list(range(256))]
    assert eight.exposure_scale[0] == pytest.approx(1)
    learned = quantise(np.array([[0, 1, 2], [0, 3, 0]]) / 7, 3)
    assert learned.codes.tolist() == [[0, 1, 2], [0, 3, 0]] and learned.exposure_scale.tolist() == [1, 1]
    dead = quantise(np.array([[0, 1, 7]]) / 7, 3, minimum_code=2)
    assert 1 not in dead.codes


def test_dead_zone() -> None:
    levels = np.array([[1.0, 0.5, 3 / 255, 2 / 255, 1 / 255, 0]])
    coded = quantise(levels, 8, minimum_code=5)
    assert not np.isin(coded.codes, [1, 2, 3, 4]).any()
    assert coded.codes[0, 2] in (0, 5) and coded.codes[0, 4] == 0
    faint = quantise(np.array([[0.001, 0.0005, 0.0]]), 1)
    assert faint.codes[0, 0] == 1


@pytest.mark.parametrize(
    ("levels", "bits", "code", "words"),
    [
        ([[0.5]], 0, 0, "0 bits per level: it must be 1 to 16"),
        ([[0.5]], 17, 0, "17 bits per level"),
        ([[0.5]], 2, 4, "a smallest code of 4: with 2 bits it must be 0 to 3"),
        ([[1.5]], 2, 0, "expected (row, LED) in 0 to 1"),
        ([[np.nan]], 2, 0, "expected (row, LED) in 0 to 1"),
        ([0.5], 2, 0, "levels of shape (1,) cannot be quantised"),
    ],
)
def test_refusals(levels: list[list[float]], bits: int, code: int, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        quantise(levels, bits, code)
    assert words in caught.value.message
