"""Memory: the meter on known allocations, growth of each strategy, prediction against measurement."""

from __future__ import annotations

import pytest
import torch
from engine.chains import STRATEGIES, Problem, optics_problem, tanh_problem
from optics.setups import make

from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.memory import MemoryMeter, measure, predict, probe
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import infer
from ptychoui.engine.update import Update

BALL = HeavyBall("1/2")  # opens a word of its buffer every 62 unrolls


def peak(problem: Problem, unrolls: int, name: str, update: Update = BALL) -> int:
    wanted = tuple(name for name in problem.inputs if name != "step")
    return measure(problem.chain(unrolls, update), problem.x, problem.inputs, wanted, name)


def words(problem: Problem, unrolls: int, update: Update = BALL) -> int:
    """Bytes of whole words: 8 per real number and begun word."""
    reals = problem.x.numel() * (2 if problem.x.is_complex() else 1)
    return reals * int(update.stored_bits(unrolls)) // 8


def test_the_meter_counts_allocations_and_frees() -> None:
    with MemoryMeter() as meter:
        a = torch.empty(1000, dtype=torch.float64)
        assert (meter.live, meter.peak) == (8000, 8000)
        b = torch.zeros(10, 10, dtype=torch.complex64)
        assert meter.live == 8800
        view = a.view(10, 100)[2:].T
        assert meter.live == 8800
        del a
        assert meter.live == 8800  # the view keeps the storage
        del view
        assert meter.live == 800
        c = b * 2
        assert meter.live == 1600
        b.mul_(3)
        assert meter.live == 1600
        del b, c
    assert (meter.live, meter.peak) == (0, 8800)


def test_the_meter_leaves_out_what_was_there_before() -> None:
    old = torch.ones(500, dtype=torch.float64)
    with MemoryMeter() as meter:
        old.add_(1)
        half = old[:250]
        assert meter.live == 0
        new = half + 1
        assert meter.live == new.numel() * 8
        del old, half
        assert meter.live == 2000
    assert meter.peak == 2000


def test_the_meter_sees_results_written_into_and_reused_addresses() -> None:
    with MemoryMeter() as meter:
        for _ in range(50):
            x = torch.empty(100, dtype=torch.float64)
            torch.add(x, 1, out=x)
            del x
        parts = torch.ones(64, dtype=torch.float32).split(16)
        assert meter.live == 256
        del parts
    assert (meter.live, meter.peak) == (0, 800)


def test_the_meter_counts_every_result_of_an_operation() -> None:
    square = torch.eye(10, dtype=torch.float64)
    with MemoryMeter() as meter:
        both = torch.linalg.qr(square)
        assert meter.live >= sum(one.untyped_storage().nbytes() for one in both) == 1600
        del both
    assert meter.live == 0


def test_the_meter_is_a_context_that_can_be_left_by_an_error() -> None:
    with pytest.raises(ValueError, match="out"), MemoryMeter():
        torch.ones(3)
        raise ValueError("out")
    with MemoryMeter() as meter:
        pass
    torch.ones(100)
    assert meter.peak == 0


def test_store_all_grows_by_exactly_one_linearised_layer() -> None:
    problem = optics_problem(30)
    grids = make(tile_px=8, pad_px=1, pitch_mm=6.0)[2]
    batch, leds, rows, samples = 2, 9, 2, grids.field_px**2
    field, spectrum, image = 16 * batch * leds * samples, 16 * batch * grids.object_px**2, 8 * batch * rows * 64
    layer = field + spectrum + 2 * image
    steps = {peak(problem, n + 1, "store_all") - peak(problem, n, "store_all") for n in (2, 9, 20)}
    assert steps == {layer}


def test_checkpoint_grows_by_exactly_one_point_and_reversible_by_nothing() -> None:
    problem = optics_problem(30)
    point = problem.x.numel() * 16
    assert {peak(problem, n + 1, "checkpoint") - peak(problem, n, "checkpoint") for n in (2, 9, 20)} == {point}
    assert {peak(problem, n + 1, "reversible") - peak(problem, n, "reversible") for n in (2, 9, 20)} == {0}


def test_reversible_memory_at_1000_unrolls_is_that_at_10_but_for_its_words() -> None:
    problem = tanh_problem(batch=16, size=64, scale=-0.02)
    few, many = (peak(problem, n, "reversible") - words(problem, n) for n in (10, 1000))
    assert words(problem, 1000) == 17 * words(problem, 10)
    assert many <= 1.05 * few


def test_reversible_memory_on_optics_at_200_unrolls() -> None:
    problem = optics_problem(200, batch=1, dtype=torch.float32, rows=1)
    few, many = (peak(problem, n, "reversible", HeavyBall("7/8")) for n in (10, 200))
    assert many - words(problem, 200, HeavyBall("7/8")) <= 1.05 * (few - words(problem, 10, HeavyBall("7/8")))
    assert peak(problem, 60, "store_all", HeavyBall("7/8")) > 5 * many


@pytest.mark.slow
def test_reversible_memory_on_optics_at_1000_unrolls() -> None:
    problem = optics_problem(1000, batch=1, dtype=torch.float32, rows=1)
    few, many = (peak(problem, n, "reversible", HeavyBall("9/10")) for n in (10, 1000))
    assert many - words(problem, 1000, HeavyBall("9/10")) <= 1.05 * (few - words(problem, 10, HeavyBall("9/10")))


def ratios(problem: Problem, name: str, update: Update, depths: tuple[int, ...]) -> list[float]:
    """Predicted over measured peak."""
    wanted = tuple(problem.inputs)
    cost = probe(problem.chain(1, update), problem.x, problem.inputs, wanted)
    chains = [problem.chain(unrolls, update) for unrolls in depths]
    return [predict(cost, chain, name) / measure(chain, problem.x, problem.inputs, wanted, name) for chain in chains]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("kind", ["optics", "optics, large batch", "tanh"])
def test_prediction_is_within_15_percent_of_measurement(name: str, kind: str) -> None:
    if kind == "tanh":
        problem = tanh_problem(batch=16, size=64, scale=-0.02)
    else:
        problem = optics_problem(70, batch=4 if "large" in kind else 1, dtype=torch.float32)
    for update in (BALL, Plain()):
        if update.reversible or name != "reversible":
            assert ratios(problem, name, update, (20, 70)) == pytest.approx([1, 1], abs=0.15)


@pytest.mark.parametrize("name", STRATEGIES)
def test_prediction_also_holds_for_few_unrolls(name: str) -> None:
    problem = optics_problem(5, batch=1, dtype=torch.float32)
    assert ratios(problem, name, BALL, (1, 2, 5)) == pytest.approx([1, 1, 1], abs=0.15)


def test_inference_keeps_one_layer() -> None:
    problem = optics_problem(30)
    peaks = []
    for unrolls in (5, 30):
        with MemoryMeter() as meter:
            infer(problem.chain(unrolls, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
        peaks.append(meter.peak)
    assert peaks[0] == peaks[1]


def test_scratch_counts_and_forgets_its_buffers() -> None:
    scratch, cpu = Scratch(), torch.device("cpu")
    a = scratch.get("a", (10, 10), torch.float64, cpu)
    assert scratch.get("a", (10, 10), torch.float64, cpu) is a
    assert scratch.get("a", (10, 9), torch.float64, cpu) is not a
    scratch.get("z", (5,), torch.float32, cpu)
    made = scratch.keep("two", lambda: [1, 2])
    assert scratch.keep("two", lambda: [3]) is made
    assert scratch.nbytes == 800 + 720 + 20
    scratch.clear()
    assert scratch.nbytes == 0 and scratch.keep("two", lambda: [3]) == [3]


@pytest.mark.parametrize("resized", [False, True])
def test_storages_emptied_behind_their_tensors(resized: bool) -> None:
    with MemoryMeter(resized) as meter:
        a, b = torch.empty(1000, dtype=torch.float64), torch.empty(10, dtype=torch.float64)
        a.untyped_storage().resize_(0)
        b.add_(1)
        assert meter.live == (80 if resized else 8080)
        a.untyped_storage().resize_(16000)
        b.add_(1)
        assert meter.live == (16080 if resized else 8080)
        del a
        assert meter.live == 80
    assert meter.peak == (16080 if resized else 8080)
