from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ptychoui.bench.stack.calibration import ARRAYS, make_scene
from ptychoui.data.dataset import ImageStack
from ptychoui.optics.quality.ring_correlation import RingCorrelation
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.stack_frc import FrcBegun, FrcFound, FrcHistory, HalfPass, found, frc_run
from ptychoui.session.stack_plan import StackPlan
from ptychoui.settings import Reconstruct
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped


@pytest.fixture(scope="module")
def sample() -> ImageStack:
    opened = opening.open_anything(data_file("sample:stack"), None)
    assert isinstance(opened, opening.OpenedData) and isinstance(opened.dataset, ImageStack)
    return opened.dataset


def events(stack: ImageStack, passes: int, control: RunControl | None = None) -> Iterator[Any]:
    plan = StackPlan(settings=Reconstruct(passes=passes))
    return frc_run(stack, stack.geometry, plan, "cpu")(control or RunControl(), lambda: False)


def rings(correlation: list[float]) -> FrcFound:
    """Ten rings of 0.1 /um and a threshold of 0.25; the aperture ends with the eighth."""
    values = np.array(correlation)
    curve = RingCorrelation(
        frequency_per_um=0.1 * np.arange(1, 11), correlation=values, half_bit=np.full(10, 0.25), pixel_um=0.4
    )
    return found(3, curve, 0.35, 0.8, np.arange(9) % 2 == 0)


def test_halves_of_a_stack_with_the_right_geometry_agree_far_beyond_the_objective() -> None:
    scene = make_scene(ARRAYS["lattice"], 7, tile_px=64)
    numbers = np.array(scene.geometry.array.numbers())
    stack = ImageStack(images=scene.images, led_numbers=numbers, geometry=scene.geometry)
    history, told = FrcHistory(), []
    for event in events(stack, 10):
        history.take(event)
        told.append(type(event))
    # A half that is explained already needs fewer passes.
    assert told[0] is FrcBegun and told[-2:] == [FrcFound, Finished] and 10 <= told.count(HalfPass) <= 20
    result = history.found
    assert result is not None and abs(result.leds[0] - result.leds[1]) <= 1
    curve = result.frc
    assert curve.frequency_per_um[-1] <= result.synthetic_per_um
    low = curve.frequency_per_um < 0.9 * result.objective_per_um
    assert np.median(curve.correlation[low]) > 0.9
    assert result.resolution_um < 0.6 / result.objective_per_um
    assert "every other LED" in result.sentence and "not seen here" in result.sentence


def test_what_lies_beyond_the_aperture_says_nothing() -> None:
    whole = rings([0.9] * 8 + [0.0, 0.0])
    assert whole.resolution_um == pytest.approx(1 / 0.8) and "end of the synthetic aperture" in whole.sentence
    cut = rings([0.9, 0.9, 0.9, 0.9, 0.5, 0.0, 0.0, 0.0, 0.9, 0.9])
    assert cut.resolution_um == pytest.approx(1 / 0.55) and "1.82 µm" in cut.sentence
    assert len(cut.frc.correlation) == 8


def test_slow_phases_that_disagree_do_not_decide() -> None:
    slow = rings([0.1, 0.9, 0.9, 0.9, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert slow.resolution_um == pytest.approx(1 / 0.55) and slow.slowest_um == pytest.approx(5)
    assert "Periods over 5 µm do not agree" in slow.sentence


def test_halves_that_agree_nowhere_have_no_resolution() -> None:
    none = rings([0.1] * 5 + [0.9] * 5)
    assert np.isinf(none.resolution_um) and "agree nowhere" in none.sentence


def test_a_stop_gives_the_comparison_up(sample: ImageStack) -> None:
    control, told = RunControl(), []
    for event in events(sample, 50, control):
        told.append(type(event))
        if isinstance(event, HalfPass):
            control.stop()
    assert told == [FrcBegun, HalfPass, Stopped]
