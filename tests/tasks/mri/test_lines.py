"""Learned lines of k-space: how many, which, and the derivative that stands for the choice."""

from __future__ import annotations

import pytest
import torch

from ptychoui.tasks.mri.lines import STEEPNESS, chosen_lines, first_scores

ALWAYS = torch.tensor([True, False, False, False, False, True])
SCORES = torch.tensor([0.0, 0.9, -0.2, 0.3, -0.7, 0.0], dtype=torch.float64)


def test_the_best_lines_are_taken_with_the_derivative_of_a_step_between_the_last_and_the_next() -> None:
    scores = SCORES.clone().requires_grad_()
    lines = chosen_lines(scores, ALWAYS, 4)
    assert lines.tolist() == [1, 1, 0, 1, 0, 1]
    lines.sum().backward()
    step = torch.sigmoid(STEEPNESS * (SCORES - (0.3 - 0.2) / 2))
    expected = torch.where(ALWAYS, 0.0, STEEPNESS * step * (1 - step))
    assert scores.grad is not None and torch.allclose(scores.grad, expected)


@pytest.mark.parametrize(("lines", "expected"), [(2, [1, 0, 0, 0, 0, 1]), (1, [1, 0, 0, 0, 0, 1]), (6, [1] * 6)])
def test_where_there_is_no_choice_there_is_no_derivative(lines: int, expected: list[int]) -> None:
    found = chosen_lines(SCORES.clone().requires_grad_(), ALWAYS, lines)
    assert found.tolist() == expected and not found.requires_grad


def test_scores_begin_at_the_pattern_and_say_nothing_of_lines_that_are_always_measured() -> None:
    sampled = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    scores = first_scores(sampled, ALWAYS, torch.Generator().manual_seed(1))
    assert scores[ALWAYS].tolist() == [0, 0]
    assert torch.equal(chosen_lines(scores, ALWAYS, 4), sampled)
    assert len(set(scores[~ALWAYS].tolist())) == 4
