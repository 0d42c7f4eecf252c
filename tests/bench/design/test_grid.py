"""The grid of step sizes, momenta and depths that suits a design."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training.small import problem

from ptychoui.bench.design import grid
from ptychoui.errors import EngineError
from ptychoui.tasks.fpm.contenders import Contender, known_design


def design(**sections: Any) -> Contender:
    return known_design(problem(**sections), "random_partition")


def test_tuning_finds_the_best_of_its_grid() -> None:
    some = design()
    examples = some.task.training
    tuned = grid.tune(some, examples, unrolls=(2, 4))
    curvature = some.task.physics.curvature_bound(some.task.measurement.weights(some.levels, some.exposures))
    lowest = np.inf
    for momentum in grid.MOMENTA:
        beta = {"3/4": 0.75, "7/8": 0.875, "15/16": 0.9375}[momentum]
        for share in grid.STEPS:
            step = float(f"{share * 2 * (1 + beta) / curvature:.2g}")
            errors = grid._errors_at(some, examples, step, momentum, (2, 4))
            lowest = min([lowest, *(e for e in errors if e is not None)])
    assert tuned.error == lowest
    assert grid._errors_at(some, examples, tuned.step, tuned.momentum, [tuned.unrolls]) == [tuned.error]


def test_one_run_serves_all_depths() -> None:
    some = design()
    together = grid._errors_at(some, some.task.training, 0.3, "7/8", (1, 3, 6))
    apart = [grid._errors_at(some, some.task.training, 0.3, "7/8", [n])[0] for n in (1, 3, 6)]
    assert together == apart and None not in together


def test_settings_that_diverge_never_win() -> None:
    some = design()
    assert grid._errors_at(some, some.task.training, 1e4, "15/16", (1, 40)) == [None, None]
    with pytest.raises(EngineError, match="every step size of the grid diverges") as error:
        grid.tune(some, some.task.training, steps=[1e3], unrolls=(40,))
    assert error.value.hint
