from __future__ import annotations

from dataclasses import replace

import numpy as np
from stepwise_run import started, step_done, validated

from ptychoui.session.history import Curve, RunHistory
from ptychoui.settings import kind_of
from ptychoui.training.events import StrategyChanged


def test_curves_grow_and_stay_float64() -> None:
    curve = Curve()
    for i in range(1000):
        curve.append(i, i * 0.5)
    assert len(curve) == 1000 and curve.x.dtype == np.float64
    assert np.array_equal(curve.y, np.arange(1000) * 0.5)
    curve.keep_until(9)
    assert len(curve) == 10


def test_a_resumed_run_does_the_steps_after_its_save_again() -> None:
    history = RunHistory()
    history.take(started())
    for step in range(1, 8):
        history.take(step_done(step))
    history.take(replace(started(), step=4, resumed=True))
    history.take(step_done(5))
    assert list(history.training.x) == [1, 2, 3, 4, 5]


def test_lines_of_a_run_folder_and_odd_ones() -> None:
    history = RunHistory(kind_of("fpm").metrics)
    good = {"complex_error": 1, "amplitude_error": 1, "phase_error_rad": 1}
    history.take_lines(
        [
            {"kind": "step", "step": 1, "loss": 0.5},
            {"kind": "validated", "step": 1, "loss": 0.4, **good},
            {"kind": "validated", "step": 2, "loss": 0.4},
            {"kind": "step", "loss": 1},
            {"kind": "step", "step": "two", "loss": 1},
        ]
    )
    assert (len(history.training), len(history.held_out), history.step) == (1, 1, 1)


def test_the_first_score_is_kept() -> None:
    history = RunHistory()
    history.take(validated(0))
    history.take(replace(validated(5), scores={"complex_error": 0.1}))
    assert history.first_score is not None and history.first_score.step == 0
    assert history.last_score is not None and history.last_score.step == 5


def test_a_changed_strategy_is_shown_with_its_reason() -> None:
    history = RunHistory()
    change = StrategyChanged(step=3, strategy="reversible", reason="checkpoint ran out of memory at step 4")
    history.take(change)
    assert history.started is None
    history.take(started())
    history.take(change)
    assert history.started is not None
    assert history.started.strategy == "reversible" and history.started.warnings[-1] == change.reason


def test_metrics_that_have_no_meaning_for_a_run_are_not_missed() -> None:
    """Where samples judge, an MRI run has its error alone."""
    history = RunHistory(kind_of("mri").metrics)
    history.take_lines([{"kind": "validated", "step": 3, "loss": 0.4, "nrmse": 0.6}])
    assert history.last_score is not None and history.last_score.scores == {"nrmse": 0.6}
    history.take_lines([{"kind": "validated", "step": 4, "loss": 0.4, "psnr_db": 30.0}])
    assert len(history.held_out) == 1
