"""Numbers against their definitions written out pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mri.coils import inside, picture

from ptychoui.errors import DataError
from ptychoui.mri.metrics import DEFINITIONS, WINDOW_PX, nrmse, psnr_db, scores, ssim

TRUTH = picture((3, 20, 18))
SUPPORT = inside((3, 20, 18))
RNG = np.random.default_rng(0)
IMAGE = TRUTH + 0.1 * (RNG.normal(size=TRUTH.shape) + 1j * RNG.normal(size=TRUTH.shape)).astype(np.complex64)


def test_error_and_peak_ratio_pixel_by_pixel() -> None:
    above = below = count = 0.0
    for x, t, where in zip(IMAGE.ravel(), TRUTH.ravel(), SUPPORT.ravel(), strict=True):
        if where:
            above += abs(complex(x) - complex(t)) ** 2
            below += abs(complex(t)) ** 2
            count += 1
    assert math.isclose(nrmse(IMAGE, TRUTH, SUPPORT), math.sqrt(above / below), rel_tol=1e-6)
    peak = max(abs(complex(t)) for t in TRUTH.ravel())
    assert math.isclose(psnr_db(IMAGE, TRUTH, SUPPORT), 20 * math.log10(peak / math.sqrt(above / count)), rel_tol=1e-6)


def test_the_similarity_window_by_window() -> None:
    """Uniform windows inside the image, sample covariances, the data range of the whole volume."""
    largest = np.abs(TRUTH).max()
    plane, row, column, half = 1, 9, 8, WINDOW_PX // 2
    x = np.abs(IMAGE)[plane, row - half : row + half + 1, column - half : column + half + 1].ravel().astype(float)
    t = np.abs(TRUTH)[plane, row - half : row + half + 1, column - half : column + half + 1].ravel().astype(float)
    c1, c2 = (0.01 * largest) ** 2, (0.03 * largest) ** 2
    covariance = np.cov(x, t)
    expected = (2 * x.mean() * t.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (x.mean() ** 2 + t.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    one = np.zeros(TRUTH.shape, dtype=bool)
    one[plane, row, column] = True
    assert np.isclose(ssim(IMAGE, TRUTH, one), expected, rtol=1e-6)
    two = one.copy()
    two[0, 10, 9] = True
    other = two & ~one
    assert np.isclose(ssim(IMAGE, TRUTH, two), (expected + ssim(IMAGE, TRUTH, other)) / 2, rtol=1e-6)


def test_the_maximum_is_that_of_the_whole_volume() -> None:
    bright = TRUTH.copy()
    bright[0, 0, 0] = 50
    assert not SUPPORT[0, 0, 0]
    image = IMAGE.copy()
    image[0, 0, 0] = 50
    gain = psnr_db(image, bright, SUPPORT) - psnr_db(IMAGE, TRUTH, SUPPORT)
    assert math.isclose(gain, 20 * math.log10(50 / np.abs(TRUTH).max()), rel_tol=1e-5)


def test_outside_the_support_nothing_counts() -> None:
    wrong = np.where(SUPPORT, IMAGE, 1e3)
    assert nrmse(wrong, TRUTH, SUPPORT) == nrmse(IMAGE, TRUTH, SUPPORT)
    assert psnr_db(wrong, TRUTH, SUPPORT) == psnr_db(IMAGE, TRUTH, SUPPORT)


def test_the_same_image_is_perfect_and_another_scale_is_not() -> None:
    same = scores(TRUTH, TRUTH, SUPPORT)
    assert same == {"nrmse": 0.0, "psnr_db": math.inf, "ssim": 1.0} and set(same) == set(DEFINITIONS)
    assert math.isclose(nrmse(2 * TRUTH, TRUTH), 1, rel_tol=1e-6)
    assert math.isclose(nrmse(-TRUTH, TRUTH), 2, rel_tol=1e-6) and ssim(-TRUTH, TRUTH) == 1.0
    assert scores(TRUTH[0, :5, :6], TRUTH[0, :5, :6] + 0.1)["ssim"] < 1


@pytest.mark.parametrize(
    ("image", "truth", "support", "words"),
    [
        (IMAGE[0], TRUTH, None, "cannot be held against"),
        (IMAGE * np.nan, TRUTH, None, "the image holds values that are not finite"),
        (IMAGE, np.full_like(TRUTH, np.inf), None, "the truth holds"),
        (IMAGE, TRUTH, SUPPORT[0], "a support of shape"),
        (IMAGE, 0 * TRUTH, None, "zero in the support"),
        (IMAGE, TRUTH, ~SUPPORT, "zero in the support"),
        (IMAGE, TRUTH, np.zeros((1, 1, 1), bool), "zero in the support"),
    ],
)
def test_numbers_without_a_meaning_are_refused(
    image: np.ndarray, truth: np.ndarray, support: np.ndarray | None, words: str
) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match=words) as error:
        scores(image, truth, support)
    assert error.value.hint


def test_an_image_that_is_too_small() -> None:
    with pytest.raises(DataError, match="no structural similarity"):
        ssim(TRUTH[0, :2, :6] + 1, TRUTH[0, :2, :6] + 1)
