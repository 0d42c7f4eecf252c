"""Patterns of a run in bounded memory: first, newest, and evenly thinned between."""

from __future__ import annotations

import numpy as np

from ptychoui.session.history import RunHistory
from ptychoui.session.level_history import LevelHistory
from ptychoui.tasks.fpm.events import PatternSnapshot


def filled(count: int, **limits: int) -> LevelHistory:
    history = LevelHistory(**limits)
    for step in range(count):
        history.add(step, np.full((2, 5), step / 1000), np.ones(2))
    return history


def steps(history: LevelHistory) -> list[int]:
    return [history[place].step for place in range(len(history))]


def test_no_more_are_kept_than_may_be_and_ends_stay() -> None:
    history = filled(1000, most=20)
    found = steps(history)
    assert len(found) <= 20 and found[0] == 0 and found[-1] == 999 and found == sorted(set(found))
    assert all(np.allclose(history[place].levels, step / 1000, atol=1e-6) for place, step in enumerate(found))
    # Nowhere is more than a fifth of the run missing.
    assert max(np.diff(found)) <= 200


def test_memory_is_bounded_too() -> None:
    history = filled(100, most_bytes=10 * (4 * 10 + 4 * 2))
    assert 5 <= len(history) <= 10


def test_a_resumed_run_writes_over_what_came_after() -> None:
    history = filled(10)
    history.add(4, np.ones((2, 5)), np.ones(2))
    assert steps(history) == [0, 1, 2, 3, 4] and history[4].levels.min() == 1
    history.add(9, np.ones((3, 5)), np.ones(3))
    assert steps(history) == [9]


def test_what_is_kept_is_a_copy() -> None:
    levels = np.zeros((2, 5))
    history = LevelHistory()
    history.add(0, levels, np.ones(2))
    levels[:] = 1
    assert history[0].levels.max() == 0 and not history[0].levels.flags.writeable


def test_a_run_s_history_keeps_its_patterns() -> None:
    history = RunHistory()
    picture = np.zeros((4, 4), np.float32)
    for step in (0, 5):
        history.take(
            PatternSnapshot(
                step=step,
                levels=np.full((1, 3), 0.1 * step, np.float32),
                exposures=np.ones(1, np.float32),
                amplitude=picture,
                phase_rad=picture,
                true_amplitude=picture,
                true_phase_rad=picture,
                pixel_size_um=1.0,
            )
        )
    assert steps(history.learned) == [0, 5]
