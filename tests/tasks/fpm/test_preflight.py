"""What is said of a design before the first step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training.small import GEOMETRY, problem

from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.events import Started
from ptychoui.training.trainer import Trainer


def dense() -> FpmTask:
    """Nine LEDs in the bright field, 16 in the dark field."""
    array = {"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.5, "height_mm": 40.0}
    return problem(geometry=GEOMETRY | {"array": array})


def warned(task: FpmTask, bright: np.ndarray) -> list[str]:
    """Warnings about the sign of phase before the first step, with these levels in the bright-field row."""
    parameters = start_parameters(task)
    levels = parameters.levels.clone()
    levels[0] = torch.from_numpy(bright).to(levels)
    start = DesignParameters(parameters.tensors | {"levels": levels}, parameters.rates, parameters.per_unroll)
    event = next(iter(Trainer(task, start=start).run()))
    assert isinstance(event, Started)
    return [one for one in event.warnings if "sign of phase" in one]


@pytest.mark.parametrize("name", ["disc", "annulus", "half", "random"])
def test_a_design_that_is_blind_to_the_sign_of_phase_is_warned_of(name: str) -> None:
    task = dense()
    bright, x = task.leds.bright_field(task.objective_na), task.leds.illumination_na[:, 0]
    levels = {
        "disc": bright,
        "annulus": bright & (task.leds.radius_na > 0.05),
        "half": bright & (x > 1e-9),
        "random": bright * np.random.default_rng(0).uniform(size=len(x)),
    }[name]
    assert bool(warned(task, levels.astype(float))) == (name in ("disc", "annulus"))


def test_a_start_of_random_levels_is_not() -> None:
    for seed in range(5):
        event = next(iter(Trainer(problem(seed=seed)).run()))
        assert isinstance(event, Started) and not [one for one in event.warnings if "sign of phase" in one]
