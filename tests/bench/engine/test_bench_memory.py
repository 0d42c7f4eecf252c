"""Foretold peaks beside metered ones, and the benchmarks that compare them with fresh processes."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.bench.engine import memory
from ptychoui.bench.engine.memory import NAMES, Probes, draw, leds_table, predicted_bytes, run, run_leds, table
from ptychoui.bench.engine.passes import Pass
from ptychoui.bench.engine.problem import disc_of_leds, make_bench
from ptychoui.bench.engine.resident import Measured, available, measure_pass
from ptychoui.engine.memory import MemoryMeter
from ptychoui.errors import EngineError, PtychouiError


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems to draw from, and the meter in the place of fresh processes."""
    for name, values in {"SIZES": (64, 80), "LEDS": (21, 37), "MEASUREMENTS": (1, 3), "UNROLLS": (2, 3, 6)}.items():
        monkeypatch.setattr(memory, name, values)
    monkeypatch.setattr(memory, "BATCHES", (1, 2, 3))

    def in_this_process(one: Pass, _threads: int, own_pages: bool = False) -> Measured:
        bytes_ = metered(one)
        return Measured(resident_bytes=bytes_ + 1000 * own_pages, metered_bytes=bytes_, seconds=2.0)

    monkeypatch.setattr(memory, "measure_pass", in_this_process)


def metered(one: Pass) -> int:
    bench = one.bench()
    with MemoryMeter() as meter:
        one.run(bench)
    return meter.peak


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_peak_is_predicted_from_one_layer_with_one_object_and_with_two(name: str, stream: bool) -> None:
    one = Pass(
        strategy=name, unrolls=7, leds=21, measurements=2, size=64, batch=4, stream=stream, dense=True, modules=3
    )
    predicted = predicted_bytes(one, Probes().cost(one), one.bench().network.chain)
    assert predicted == pytest.approx(metered(one), rel=0.08)


def test_a_batch_holds_different_objects_and_the_first_is_that_of_a_single_one() -> None:
    one, three = (
        Pass(strategy="checkpoint", unrolls=1, leds=9, measurements=2, size=64, batch=b).bench() for b in (1, 3)
    )
    assert three.x.shape == (3, 64, 64) and three.inputs["amplitude"].shape[0] == 3
    assert not np.allclose(three.cotangent[1], three.cotangent[0])
    weights = three.inputs["weights"]
    assert weights.equal(one.inputs["weights"]) and three.cotangent[:1].equal(one.cotangent)


@pytest.mark.parametrize("count", [1, 21, 89, 293, 581, 1200])
def test_more_leds_stay_in_the_same_disc(count: int) -> None:
    leds = disc_of_leds(count)
    assert len(leds) == count and leds.radius_na.max() < 0.45
    assert count < 89 or leds.radius_na.max() > 0.40


def test_a_streamed_problem_keeps_no_pupils() -> None:
    kept, streamed = (make_bench(1, 89, 2, 64, memory.torch.device("cpu"), stream=s) for s in (False, True))
    assert streamed.network.physics.stream and not kept.network.physics.stream
    assert streamed.inputs["amplitude"].allclose(kept.inputs["amplitude"], rtol=1e-4)


@pytest.mark.usefixtures("tiny")
def test_configurations_are_drawn_by_a_seed_between_two_peaks() -> None:
    probes = Probes()

    def drawn(seed: int) -> list[tuple[Pass, int]]:
        generator = np.random.default_rng(seed)
        return [draw(generator, name, 2_000_000, 8_000_000, probes, 1e9) for name in NAMES]

    first = drawn(0)
    assert first == drawn(0) != drawn(1)
    assert [one.strategy for one, _peak in first] == list(NAMES)
    assert all(2_000_000 <= peak <= 8_000_000 for _one, peak in first)
    assert {one.stream for one, _peak in first + drawn(1)} == {False, True}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("limits", [(10**12, 10**13, 1e9), (1, 10**13, 1.0)])
def test_what_cannot_be_drawn(limits: tuple[int, int, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GEOMETRIES", 3)
    with pytest.raises(PtychouiError, match="none of 3 geometries gives reversible a peak") as error:
        draw(np.random.default_rng(0), "reversible", limits[0], limits[1], Probes(), limits[2])
    assert error.value.hint


@pytest.mark.usefixtures("tiny")
def test_every_strategy_takes_its_turn_and_the_worst_ratio_is_told() -> None:
    said: list[str] = []
    result = run(8, 3, 2.0, progress=said.append)
    rows = result["rows"]
    assert isinstance(rows, list) and len(rows) == len(said) == 8
    assert {row["configuration"]["strategy"] for row in rows} == set(NAMES)
    for row in rows:
        assert row["predicted"] >= 2e6
        assert row["predicted_over_metered"] == row["predicted"] / row["metered"]
        assert row["own_pages"] == row["resident"] + 1000
    ratios = [row["predicted_over_resident"] for row in rows]
    worst = result["worst"]
    assert isinstance(worst, dict) and abs(worst["resident"] - 1) == max(abs(ratio - 1) for ratio in ratios)
    lines = table(result).splitlines()
    assert len(lines) == 3 + 8 and lines[-1].startswith("worst: ")
    assert f"{worst['resident']:.3f} of resident" in lines[-1]


@pytest.mark.usefixtures("tiny")
def test_at_a_fixed_budget_leds_are_streamed_in_flat_memory() -> None:
    result = run_leds((89, 293), 128, unrolls=2, measurements=2)
    rows, growth = result["rows"], result["growth"]
    assert isinstance(rows, list) and isinstance(growth, dict)
    assert [row["configuration"]["stream"] for row in rows] == [True, True]
    assert all(row["predicted"] <= result["budget_bytes"] for row in rows)
    assert 0 <= growth["metered"] < 0.05
    assert rows[0]["seconds_per_unroll"] == 1.0
    assert "streamed" in leds_table(result) and leds_table(result).count("\n") == 4


@pytest.mark.usefixtures("tiny")
def test_with_more_memory_the_planner_keeps_the_leds() -> None:
    rows = run_leds((89,), 64, budget_mb=100.0, unrolls=2, measurements=2)["rows"]
    assert isinstance(rows, list) and not rows[0]["configuration"]["stream"]
    with pytest.raises(EngineError, match="a pass needs at least"):
        run_leds((89,), 64, budget_mb=0.1, unrolls=2, measurements=2)


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="needs /proc")
def test_a_fresh_process_takes_what_was_predicted() -> None:
    one = Pass(strategy="offload", unrolls=4, leds=21, measurements=4, size=256, batch=8, dense=True)
    predicted = predicted_bytes(one, Probes().cost(one), one.bench().network.chain)
    assert predicted > 100e6
    found = measure_pass(one, 1, own_pages=True)
    assert found.metered_bytes is None and predicted == pytest.approx(found.resident_bytes, rel=0.15)
    found = measure_pass(one, 1)
    assert found.metered_bytes == pytest.approx(predicted, rel=0.05)
    assert found.resident_bytes > 0.9 * found.metered_bytes


@pytest.mark.skipif(not available(), reason="needs /proc")
def test_a_pass_that_fails_in_the_other_process_says_why() -> None:
    with pytest.raises(PtychouiError, match=r"the measuring process failed: .*no strategy 'sideways'"):
        measure_pass(Pass(strategy="sideways", unrolls=1, leds=5, measurements=1, size=64), 1)
