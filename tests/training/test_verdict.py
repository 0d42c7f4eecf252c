"""What is recommended in planted cases, and that its figures are those of a paired t-test."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

from ptychoui.training.verdict import LEARNED, Comparison, Terms, Verdict, compared, verdict

TERMS = Terms(learned="the learned things", example="sample", more="more of everything is needed")
RNG = np.random.default_rng(5)
USUAL = RNG.uniform(0.4, 0.6, 12)
SCATTER = RNG.normal(0, 0.01, 12)
SCATTER -= SCATTER.mean()


def rows(factors: dict[str, float], name: str = "old", usual: np.ndarray = USUAL) -> list[Comparison]:
    """The learned has ``factor`` times the error of the known, with some scatter, by every judge."""
    return [compared(name, f"the {name} way", judge, usual, usual * f + SCATTER) for judge, f in factors.items()]


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    learned = USUAL * 0.9 + SCATTER
    row = compared("old", "the old way", "one judge", USUAL, learned)
    expected = ttest_rel(USUAL, learned).confidence_interval(0.95)
    assert row.gain == pytest.approx(np.mean(USUAL - learned) / USUAL.mean())
    assert (row.low, row.high) == pytest.approx((expected.low / USUAL.mean(), expected.high / USUAL.mean()))


def test_better_by_both_is_recommended_with_its_evidence() -> None:
    found = verdict(rows({"its own eyes": 0.86, "a stranger": 0.9}), 12, TERMS, "the old way")
    assert found.recommended == LEARNED
    assert found.sentence.startswith("learned from the old way: better than the old way")
    assert "14 % smaller error (95 % interval 1" in found.sentence and "by a stranger" in found.sentence
    assert "over 12 samples" in found.sentence


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"its own eyes": 1.1, "a stranger": 1.2}, "worse than the old way: use the old way"),
        ({"its own eyes": 0.8, "a stranger": 1.2}, "worse than the old way: use the old way"),
        ({"its own eyes": 1.001, "a stranger": 0.999}, "not better than the old way for certain: use the old way"),
        ({"its own eyes": 1.003, "a stranger": 1.005}, "not better than the old way for certain: use the old way"),
        ({"its own eyes": 0.8, "a stranger": 1.015}, "not better"),
    ],
    ids=["worse by both", "worse by one", "equal", "a little worse within the scatter", "a gain that may be a loss"],
)
def test_what_is_not_better_is_not_recommended(factors: dict[str, float], said: str) -> None:
    found = verdict(rows(factors), 12, TERMS)
    assert found.recommended == "old" and said in found.sentence


def test_a_gain_by_one_judge_is_enough_where_the_other_sees_no_loss() -> None:
    found = verdict(rows({"its own eyes": 0.9, "a stranger": 0.995}), 12, TERMS)
    assert found.recommended == LEARNED and found.sentence.startswith("the learned things: better")


def test_it_is_held_against_the_best_of_what_is_known() -> None:
    poor = rows({"its own eyes": 0.5, "a stranger": 0.5}, "poor", 2 * USUAL)
    found = verdict([*poor, *rows({"its own eyes": 1.1, "a stranger": 1.1})], 12, TERMS)
    assert found.recommended == "old" and "the poor way" not in found.sentence


def test_where_nothing_shows_anything_that_is_said() -> None:
    found = verdict(rows({"its own eyes": 0.9, "a stranger": 0.9}, usual=3 * USUAL), 12, TERMS)
    assert found.recommended == "old"
    assert "more than an empty picture" in found.sentence and "more of everything" in found.sentence


def test_one_example_proves_nothing() -> None:
    row = compared("old", "the old way", "one judge", np.array([0.5]), np.array([0.3]))
    found = verdict([row], 1, TERMS)
    assert np.isnan(row.low) and found.recommended == "old"
    assert "interval" not in found.sentence and "over 1 sample)" in found.sentence


def test_a_record_is_plain_and_comes_back() -> None:
    found = verdict(rows({"its own eyes": 0.9, "a stranger": 0.9}), 12, TERMS)
    assert Verdict.from_record(json.loads(json.dumps(found.record()))) == found
    with pytest.raises(KeyError):
        Verdict.from_record({"sentence": "half of it"})
