"""The network's own settings for a known design: its patterns stay, and only what is better is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from training.small import problem

from ptychoui.errors import EngineError
from ptychoui.tasks.fpm import tuning
from ptychoui.tasks.fpm.contenders import known_design
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.tuning import tuned_network

SMOOTH = {"network": {"prior": "smooth", "step": None, "unrolls": 6, "learn_step": True, "learn_smoothness": True}}


def test_patterns_stay_while_the_network_s_settings_are_learned() -> None:
    task = problem(**SMOOTH)
    design = known_design(task, "half_circles")
    levels, exposures = design.levels.clone(), design.exposures.clone()
    start = start_parameters(task)
    after = tuning.learned_a_little(
        design.task, 4, lambda: None, tuning._of_the_network_alone(tuning.adapted(design, start))
    )
    assert torch.equal(design.levels, levels) and torch.allclose(after.levels, levels)
    assert torch.allclose(after.exposures, exposures)
    assert not torch.equal(after["step"], start["step"])
    assert not torch.equal(after["log_smoothness"], start["log_smoothness"])


@pytest.mark.parametrize(("learned", "taken"), [(0.2, "learned"), (0.5, "second")])
def test_what_is_learned_is_taken_where_it_is_better(
    monkeypatch: pytest.MonkeyPatch, learned: float, taken: str
) -> None:
    """Planted errors: the second of two settings is the better, with 0.4."""
    task = problem(**SMOOTH)
    first, second, after = (start_parameters(task) for _ in range(3))
    errors = {id(first): 0.6, id(second): 0.4, id(after): learned}

    def error(_design: Any, parameters: Any, *_more: Any) -> np.ndarray:
        return np.array([errors[id(parameters)]])

    monkeypatch.setattr(tuning, "network_errors", error)
    monkeypatch.setattr(tuning, "learned_a_little", lambda *_arguments: after)
    found = tuned_network(known_design(task, "hybrid"), (first, second), task.training, 3)
    assert found is {"learned": after, "second": second}[taken]


def test_settings_that_diverge_while_they_are_learned_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_arguments: object) -> None:
        raise EngineError("the state grew beyond all bounds")

    task = problem(**SMOOTH)
    start = start_parameters(task)
    monkeypatch.setattr(tuning, "learned_a_little", diverge)
    assert tuned_network(known_design(task, "hybrid"), (start,), task.training, 3) is start
